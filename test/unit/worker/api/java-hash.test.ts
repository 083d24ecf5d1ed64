import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashOrder, inHashOrder } from '../../../../worker/api/java-hash.ts'

test('HashMap order of numbers and colliding strings', () => {
  const order = (keys: readonly (string | number | bigint)[]) =>
    inHashOrder(keys.map((k) => [k, k] as const)).map(([k]) => k)
  assert.deepEqual(order([17, 1, 16]), [16, 17, 1])
  assert.deepEqual(order(['BB', 'Aa']), ['BB', 'Aa'])
  assert.deepEqual(order([-1n, 0n]), [-1n, 0n])
})

test('a table grows when it is three quarters full', () => {
  const names = Array.from({ length: 13 }, (_, i) => String.fromCharCode(97 + i))
  // `p` is the first of 16 buckets, the seventeenth of 32.
  assert.deepEqual(hashOrder(['a', 'p', 'b']), ['p', 'a', 'b'])
  assert.deepEqual(hashOrder([...names, 'p']).indexOf('p'), 13)
  assert.deepEqual(
    inHashOrder(
      [
        ['p', 1],
        ['a', 2],
      ] as const,
      64,
    ),
    [
      ['a', 2],
      ['p', 1],
    ],
  )
})
