import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConnectError } from '../../../../worker/api/errors.ts'
import { type CompressionType, compress, decompress } from '../../../../worker/kafka/compression.ts'
import { crc32c } from '../../../../worker/kafka/crc32c.ts'
import { readBatchHeader, readRecords } from '../../../../worker/kafka/record-batch.ts'
import {
  CRC_START,
  NO_PRODUCER,
  RecordBatchBuilder,
  writeProducerState,
} from '../../../../worker/kafka/record-batch-builder.ts'

interface Plain {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly { readonly key: string; readonly value: Uint8Array | null }[]
  readonly timestamp: number
}

const codecs: readonly CompressionType[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const payload = fc.option(fc.uint8Array({ maxLength: 300 }))
const plain: fc.Arbitrary<Plain> = fc.record(
  {
    key: payload,
    value: payload,
    headers: fc.array(
      fc.record({ key: fc.string({ unit: 'grapheme', maxLength: 20 }), value: payload }, { noNullPrototype: true }),
      {
        maxLength: 4,
      },
    ),
    timestamp: fc.oneof(fc.integer({ min: 0, max: 2 ** 41 }), fc.integer({ min: 0, max: 2 ** 50 })),
  },
  { noNullPrototype: true },
)

function build(records: readonly Plain[], codec: CompressionType): Buffer {
  const builder = new RecordBatchBuilder(Buffer.alloc(64), 1 << 24)
  for (const { timestamp, key, value, headers } of records) {
    assert.ok(builder.tryAppend(timestamp, key, value, headers, RecordBatchBuilder.sizeUpperBound(key, value, headers)))
  }
  return builder.seal(codec, null, NO_PRODUCER)
}

function decode(bytes: Buffer): { plain: Plain[]; offsets: bigint[] } | null {
  const header = readBatchHeader(bytes, 0)
  if (header === null) return null
  const records = readRecords(bytes, header)
  const copy = (value: Uint8Array | null): Uint8Array | null => (value === null ? null : Uint8Array.from(value))
  return {
    offsets: records.map((r) => r.offset),
    plain: records.map((r) => ({
      key: copy(r.key),
      value: copy(r.value),
      headers: r.headers.map((h) => ({ key: h.key, value: copy(h.value) })),
      timestamp: r.timestamp,
    })),
  }
}

const typed = (error: unknown): boolean =>
  error instanceof ConnectError && (error.code === 'CONNECT_KAFKA_CORRUPT' || error.code === 'CONNECT_KAFKA_CODEC')

test('what is encoded is decoded, with every codec', () => {
  fc.assert(
    fc.property(fc.array(plain, { minLength: 1, maxLength: 30 }), fc.constantFrom(...codecs), (records, codec) => {
      const decoded = decode(build(records, codec))
      assert.deepEqual(decoded?.plain, records)
      assert.deepEqual(
        decoded?.offsets,
        records.map((_, i) => BigInt(i)),
      )
    }),
    { numRuns: 300, verbose: 1 },
  )
})

test('the size bound holds and a full batch is left as it was', () => {
  fc.assert(
    fc.property(
      fc.array(plain, { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 100, max: 2000 }),
      (records, limit) => {
        const builder = new RecordBatchBuilder(Buffer.alloc(64), limit)
        for (const { timestamp, key, value, headers } of records) {
          const before = builder.byteLength
          const bound = RecordBatchBuilder.sizeUpperBound(key, value, headers)
          if (builder.tryAppend(timestamp, key, value, headers, bound)) assert.ok(builder.byteLength - before <= bound)
          else assert.equal(builder.byteLength, before)
          if (builder.count > 1) assert.ok(builder.byteLength <= limit)
        }
      },
    ),
    { verbose: 1 },
  )
})

test('a truncated batch reads as absent, never as a shorter one', () => {
  fc.assert(
    fc.property(
      fc.array(plain, { minLength: 1, maxLength: 5 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (records, part) => {
        const bytes = build(records, 'none')
        assert.equal(decode(bytes.subarray(0, Math.floor(bytes.length * part))), null)
      },
    ),
    { verbose: 1 },
  )
})

test('a flipped bit under the checksum is a typed error', () => {
  fc.assert(
    fc.property(
      fc.array(plain, { minLength: 1, maxLength: 5 }),
      fc.nat(),
      fc.integer({ min: 0, max: 7 }),
      (records, at, bit) => {
        const bytes = build(records, 'none')
        const index = CRC_START + (at % (bytes.length - CRC_START))
        bytes[index] = (bytes[index] ?? 0) ^ (1 << bit)
        assert.throws(() => decode(bytes), typed)
      },
    ),
    { verbose: 1 },
  )
})

test('arbitrary damage with a right checksum never crashes or hangs', () => {
  fc.assert(
    fc.property(
      fc.array(plain, { minLength: 1, maxLength: 5 }),
      fc.constantFrom(...codecs),
      fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 20 }),
      (records, codec, damage) => {
        const bytes = Buffer.from(build(records, codec))
        for (const [at, value] of damage) bytes[CRC_START + (at % (bytes.length - CRC_START))] = value
        // A count far beyond the bytes must not be believed before they are seen.
        bytes.writeUInt32BE(crc32c(bytes, CRC_START), 17)
        try {
          decode(bytes)
        } catch (error) {
          assert.ok(typed(error), String(error))
        }
      },
    ),
    { numRuns: 500, verbose: 1 },
  )
})

test('arbitrary bytes never crash', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decode(Buffer.from(bytes))
      } catch (error) {
        assert.ok(typed(error), String(error))
      }
    }),
    { verbose: 1 },
  )
})

test('a new producer state keeps the records and renews the checksum', () => {
  const records: Plain[] = [{ key: null, value: Buffer.from('v'), headers: [], timestamp: 5 }]
  const bytes = build(records, 'zstd')
  writeProducerState(bytes, { producerId: 2n ** 60n, epoch: 7, baseSequence: 2 ** 31 - 1, transactional: true })
  const header = readBatchHeader(bytes, 0)
  assert.ok(header)
  assert.deepEqual(
    [header.producerId, header.producerEpoch, header.baseSequence, header.transactional],
    [2n ** 60n, 7, 2 ** 31 - 1, true],
  )
  assert.equal(readRecords(bytes, header).length, 1)
})

test('offsets beyond 2^53 are exact', () => {
  const bytes = build([{ key: null, value: null, headers: [], timestamp: 0 }], 'none')
  const base = 2n ** 62n + 1n
  bytes.writeBigInt64BE(base, 0)
  assert.deepEqual(decode(bytes)?.offsets, [base])
  assert.equal(readBatchHeader(bytes, 0)?.nextOffset, base + 1n)
})

test('an old message format is named in the error', () => {
  const bytes = build([{ key: null, value: null, headers: [], timestamp: 0 }], 'none')
  bytes[16] = 1
  assert.throws(() => decode(bytes), { code: 'CONNECT_KAFKA_CORRUPT', message: /format 1/ })
})

test('snappy of other clients: one bare block', () => {
  const framed = compress('snappy', Buffer.from('x'.repeat(100_000)), null)
  assert.equal(decompress(2, framed).length, 100_000)
  const bare = framed.subarray(20, 20 + framed.readInt32BE(16))
  assert.equal(decompress(2, bare).toString(), 'x'.repeat(32 * 1024))
})

test('an unknown codec is a typed error', () => {
  assert.throws(() => decompress(7, Buffer.alloc(3)), { code: 'CONNECT_KAFKA_CODEC' })
})
