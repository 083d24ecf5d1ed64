import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Decimal, type SchemaType, type Value } from '../../../../worker/api/data.ts'
import { hashOrder, inHashOrder } from '../../../../worker/api/java-hash.ts'

test('HashMap order of numbers and colliding strings', () => {
  const order = (keys: readonly (string | number | bigint)[]) =>
    inHashOrder(keys.map((k) => [k, k] as const)).map(([k]) => k)
  assert.deepEqual(order([17, 1, 16]), [16, 17, 1])
  assert.deepEqual(order(['BB', 'Aa']), ['BB', 'Aa'])
  assert.deepEqual(order([-1n, 0n]), [-1n, 0n])
})

// What `new HashMap<>(…).keySet()` prints on a JVM, for keys put in the order on the left.
const observed: readonly (readonly [SchemaType, readonly Value[], string])[] = [
  ['FLOAT64', [1.5, 0.0001, 0, 1, 100, 1e21, 5e-324], '0,1,5e-324,1.5,0.0001,100,1e+21'],
  ['FLOAT32', [1.5, Math.fround(0.1), 0, 1, 100, 16777216], '1.5,0,1,16777216,0.10000000149011612,100'],
  [
    'BYTES',
    [
      [150n, 2],
      [-325n, 2],
      [0n, 2],
      [9999999999999999999999n, 2],
      [1200n, 2],
      [-7n, 2],
    ].map(([unscaled, scale]) => new Decimal(unscaled as bigint, scale as number)),
    '0.00,12.00,99999999999999999999.99,-0.07,-3.25,1.50',
  ],
]

test('HashMap order of doubles, floats and decimals', () => {
  for (const [type, keys, order] of observed) {
    const entries = keys.map((key) => [key, null] as const)
    assert.equal(
      inHashOrder(entries, undefined, type)
        .map(([key]) => String(key))
        .join(),
      order,
      type,
    )
  }
  const days = [0, 86_400_000, 1_700_000_000_000, -1, 253_402_300_799_000].map((at) => [new Date(at), at] as const)
  const times = inHashOrder(days, undefined, 'INT64').map(([, at]) => at)
  assert.deepEqual(times, [0, -1, 253_402_300_799_000, 86_400_000, 1_700_000_000_000])
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
