import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { crc32c } from '../../../../worker/kafka/crc32c.ts'
import { AnswerBytes, FetchedData } from '../../../../worker/kafka/fetched-data.ts'
import type { FetchAnswer } from '../../../../worker/kafka/protocol/fetch.ts'
import { CRC_START, NO_PRODUCER, RecordBatchBuilder } from '../../../../worker/kafka/record-batch-builder.ts'

/** Batches of records with values of these sizes, as one answer to a fetch. */
function fetched(batches: readonly (readonly number[])[], bytes: AnswerBytes | null = null): FetchedData {
  return new FetchedData(answerOf(batches), 0n, false, bytes)
}

function answerOf(batches: readonly (readonly number[])[]): FetchAnswer {
  let offset = 0n
  const parts = batches.map((sizes) => {
    const builder = new RecordBatchBuilder(Buffer.alloc(64), 1 << 24)
    for (const size of sizes) {
      const value = Buffer.alloc(size, 0x61)
      assert.ok(builder.tryAppend(0, null, value, [], RecordBatchBuilder.sizeUpperBound(null, value, [])))
    }
    const bytes = Buffer.from(builder.seal('none', null, NO_PRODUCER))
    bytes.writeBigInt64BE(offset, 0)
    offset += BigInt(sizes.length)
    return bytes
  })
  return {
    topic: 't',
    partition: 0,
    error: 0,
    highWatermark: offset,
    lastStableOffset: offset,
    logStartOffset: 0n,
    aborted: [],
    records: Buffer.concat(parts),
  }
}

function pieces(data: FetchedData, maxRecords: number, maxBytes: number) {
  const all: { readonly offsets: readonly bigint[]; readonly byteLength: number }[] = []
  for (let piece = data.next(maxRecords, maxBytes); piece !== null; piece = data.next(maxRecords, maxBytes)) {
    assert.equal(piece.nextOffset, data.position)
    all.push({ offsets: piece.records.map(({ offset }) => offset), byteLength: piece.byteLength })
  }
  return all
}

test('every record is handed out once and in order, however small the pieces', () => {
  const sizes = fc.array(fc.array(fc.nat({ max: 200 }), { minLength: 1, maxLength: 12 }), {
    minLength: 1,
    maxLength: 6,
  })
  fc.assert(
    fc.property(
      sizes,
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 2000 }),
      (batches, records, bytes) => {
        const all = pieces(fetched(batches), records, bytes)
        const count = batches.flat().length
        assert.deepEqual(
          all.flatMap(({ offsets }) => offsets),
          Array.from({ length: count }, (_, i) => BigInt(i)),
        )
        for (const { offsets } of all) assert.ok(offsets.length >= 1 && offsets.length <= records)
      },
    ),
    { verbose: 1 },
  )
})

test('a piece holds about as many bytes as asked for, and one record when that alone is larger', () => {
  const equal = pieces(
    fetched([Array.from({ length: 10 }, () => 1000), Array.from({ length: 10 }, () => 1000)]),
    500,
    4000,
  )
  assert.deepEqual(
    equal.map(({ offsets }) => offsets.length),
    [4, 4, 4, 4, 4],
    'each record takes some bytes more than its value, so four pass 4000',
  )
  const large = pieces(fetched([[5000, 5000, 5000]]), 500, 10)
  assert.deepEqual(
    large.map(({ offsets }) => offsets.length),
    [1, 1, 1],
  )
  for (const { byteLength } of large) assert.ok(byteLength > 5000 && byteLength < 5020)
})

test('an answer is used again when the last partition whose data it holds has ended and been released', () => {
  let reused = 0
  const bytes = new AnswerBytes(() => {
    reused++
  })
  const [a, b] = [fetched([[10]], bytes), fetched([[10]], bytes)]
  a.end()?.release()
  assert.equal(a.end(), null, 'only once')
  assert.equal(reused, 0)
  b.end()?.release()
  assert.equal(reused, 1)
})

test('an answer of which a part was copied out is left to the garbage collector', () => {
  const bytes = new AnswerBytes(() => assert.fail('records that were handed out may still be views of it'))
  const batch = Buffer.alloc(1000)
  const answer = {
    topic: 't',
    partition: 0,
    error: 0,
    highWatermark: 1n,
    lastStableOffset: 1n,
    logStartOffset: 0n,
    aborted: [],
    records: batch.subarray(0, 100),
  }
  const data = new FetchedData(answer, 0n, false, bytes)
  data.detach()
  assert.equal(data.end(), null)
})

test('records before the position that was asked for are not handed out, wherever in a batch it lies', () => {
  const answer = answerOf([[1, 2, 3], [4], [5, 6]])
  for (let position = 0; position <= 6; position++) {
    const data = new FetchedData(answer, BigInt(position), false)
    const lengths: (number | undefined)[] = []
    // Views are looked at when later ones of their batch have been taken.
    const records = []
    for (let piece = data.next(1, 1000); piece !== null; piece = data.next(1, 1000)) records.push(...piece.records)
    for (const { offset, value } of records) {
      assert.equal(offset, BigInt(position + lengths.length))
      lengths.push(value?.length)
    }
    assert.deepEqual(lengths, [1, 2, 3, 4, 5, 6].slice(position))
    assert.equal(data.position, 6n)
    assert.ok(data.isExhausted)
  }
})

test('damage is met before the first record of its batch, after those of the batches before it', () => {
  const answer = answerOf([
    [1, 2],
    [3, 4, 100],
  ])
  const { records } = answer
  const second = 12 + records.readInt32BE(8)
  // The length of the last value, in zigzag: 100 bytes become 63.
  const lengthAt = records.length - 1 - 100 - 2
  assert.equal(records.readUInt16BE(lengthAt), 0xc801)
  records[lengthAt] = 0xfe
  records[lengthAt + 1] = 0
  const batch = records.subarray(second)
  batch.writeUInt32BE(crc32c(batch, CRC_START), 17)
  const data = new FetchedData(answer, 0n, false)
  assert.equal(data.next(500, 10_000)?.records.length, 2)
  for (let i = 0; i < 2; i++) {
    assert.throws(() => data.next(1, 10_000), { code: 'CONNECT_KAFKA_CORRUPT' })
    assert.equal(data.position, 2n)
  }
})
