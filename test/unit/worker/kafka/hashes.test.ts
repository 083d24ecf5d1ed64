import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { crc32c } from '../../../../worker/kafka/crc32c.ts'
import { murmur2, partitionOfKey } from '../../../../worker/kafka/murmur2.ts'

test('crc32c gives the values of RFC 3720', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa)
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43)
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e)
  assert.equal(crc32c(new Uint8Array(0)), 0)
})

test('crc32c by sixteens equals crc32c bit by bit, at any alignment', () => {
  const plain = (bytes: Uint8Array): number => {
    let crc = -1
    for (const byte of bytes) {
      crc ^= byte
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    }
    return ~crc >>> 0
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat({ max: 10 }), fc.nat({ max: 20 }), (bytes, start, less) => {
      const from = Math.min(start, bytes.length)
      const to = Math.max(from, bytes.length - less)
      assert.equal(crc32c(bytes, from, to), plain(bytes.subarray(from, to)))
    }),
    { verbose: 1 },
  )
})

test("murmur2 gives the values of Kafka's own test", () => {
  const cases: readonly (readonly [string, number])[] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ]
  for (const [text, hash] of cases) assert.equal(murmur2(Buffer.from(text)), hash, text)
})

test('partitions are within their count', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.integer({ min: 1, max: 1000 }), (key, count) => {
      const partition = partitionOfKey(key, count)
      assert.ok(partition >= 0 && partition < count)
    }),
    { verbose: 1 },
  )
})
