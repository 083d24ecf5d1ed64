import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashOrder } from '../../../../worker/api/java-hash.ts'
import {
  decodeOffsetKey,
  decodeOffsetValue,
  encodeOffsetKey,
  encodeOffsetValue,
  partitionIdentity,
} from '../../../../worker/cluster/offset-format.ts'

const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString())

test('keys and values are compact JSON, as JsonConverter without schemas writes them', () => {
  assert.equal(text(encodeOffsetKey('c-1', { filename: '/a "b"' })), '["c-1",{"filename":"/a \\"b\\""}]')
  assert.equal(
    text(encodeOffsetValue({ position: 9_007_199_254_740_993n, done: true, at: null })),
    '{"at":null,"position":9007199254740993,"done":true}',
  )
  assert.equal(encodeOffsetValue(null), null)
})

test('fields come in the order of a Java HashMap', () => {
  // 'Aa' and 'BB' have one hash (2112): they share a bucket and keep the order of insertion.
  assert.deepEqual(hashOrder(['BB', 'Aa']), ['BB', 'Aa'])
  assert.deepEqual(hashOrder(['Aa', 'BB']), ['Aa', 'BB'])
  // Single letters hash to their code: bucket = code & 15, so 'p' (112) precedes 'a' (97).
  assert.deepEqual(hashOrder(['a', 'p', 'b']), ['p', 'a', 'b'])
  // Beyond 12 keys the table has 32 buckets: 'p' (112 & 31 = 16) now follows 'a' (1).
  const many = ['p', ...'abcdefghijkl'.split('')]
  assert.equal(hashOrder(many).indexOf('p'), 12)
})

test('integers beyond 2^53 survive a round trip (I6, statement 95 for foreign keys)', () => {
  assert.deepEqual(decodeOffsetValue(Buffer.from('{"lsn":9223372036854775807,"n":1,"d":1.5}')), {
    lsn: 9_223_372_036_854_775_807n,
    n: 1,
    d: 1.5,
  })
  for (const foreign of ['{"a":1}', '["c"]', '["c",[]]', '[1,{}]', 'x', '["c",{"a":{}}]']) {
    assert.equal(decodeOffsetKey(Buffer.from(foreign)), null, foreign)
  }
})

test('partitions are compared as maps', () => {
  assert.equal(partitionIdentity({ a: 1, b: 'x' }), partitionIdentity({ b: 'x', a: 1 }))
  assert.notEqual(partitionIdentity({ a: 1 }), partitionIdentity({ a: '1' }))
})

test('offsets hold primitives only', () => {
  assert.throws(() => encodeOffsetValue({ a: { b: 1 } } as never), /may only contain primitive types as values/)
  assert.throws(() => encodeOffsetKey('c', [] as never), /must be specified as a Map/)
})
