import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inHashMapOrder } from '../../../../../connectors/s3/formats/hash-map-order.ts'

test('HashMap order of numbers and colliding strings', () => {
  const order = (keys: readonly (string | number | bigint)[]) =>
    inHashMapOrder(keys.map((k) => [k, k] as const)).map(([k]) => k)
  assert.deepEqual(order([17, 1, 16]), [16, 17, 1])
  assert.deepEqual(order(['BB', 'Aa']), ['BB', 'Aa'])
  assert.deepEqual(order([-1n, 0n]), [-1n, 0n])
})
