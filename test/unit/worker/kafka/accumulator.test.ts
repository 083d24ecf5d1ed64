import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Accumulator } from '../../../../worker/kafka/accumulator.ts'
import type { ProducerBatch } from '../../../../worker/kafka/producer-batch.ts'
import { readProducerConfig } from '../../../../worker/kafka/producer-config.ts'
import { PropertyReader } from '../../../../worker/kafka/property-reader.ts'
import { readBatchHeader, readRecords } from '../../../../worker/kafka/record-batch.ts'
import { NO_PRODUCER } from '../../../../worker/kafka/record-batch-builder.ts'
import { systemClock } from '../../../../worker/util/clock.ts'

const delivery = { delivered: () => undefined, failed: () => undefined }

/** Appends one record that fills a batch, and closes it. */
function fill(accumulator: Accumulator, text: string): ProducerBatch {
  const record = { topic: 't', partition: 0, key: null, headers: [], timestamp: 1 }
  accumulator.append({ ...record, value: Buffer.from(text.repeat(10_000)) }, delivery)
  const batch = accumulator.queue('t', 0)?.waiting.shift()
  assert.ok(batch !== undefined)
  return batch
}

function textOf(bytes: Buffer): string {
  const header = readBatchHeader(bytes, 0)
  assert.ok(header !== null)
  return readRecords(bytes, header).map(({ value }) => Buffer.from(value ?? []).toString('utf8'))[0] ?? ''
}

for (const compression of ['none', 'gzip', 'zstd']) {
  test(`${compression}: storage that goes on to later batches is not that of a batch under way`, () => {
    const reader = new PropertyReader({
      'bootstrap.servers': 'localhost:1',
      'compression.type': compression,
      'batch.size': '100000',
    })
    const accumulator = new Accumulator(readProducerConfig(reader), systemClock)
    accumulator.setPartitionCount('t', 1)
    const first = fill(accumulator, 'first ')
    const firstBytes = accumulator.seal(first, NO_PRODUCER)
    // Compressed bytes have moved, so this one is written where the first was.
    const second = fill(accumulator, 'second')
    assert.equal(second.buffer === first.buffer, compression !== 'none')
    const secondBytes = accumulator.seal(second, NO_PRODUCER)
    // A repeat of the first, as after a lost answer, after the second was sealed.
    assert.equal(accumulator.seal(first, NO_PRODUCER), firstBytes)
    assert.equal(textOf(firstBytes), 'first '.repeat(10_000))
    assert.equal(textOf(secondBytes), 'second'.repeat(10_000))
    accumulator.release(first)
    const third = fill(accumulator, 'third!')
    const thirdBytes = accumulator.seal(third, NO_PRODUCER)
    assert.equal(textOf(secondBytes), 'second'.repeat(10_000))
    assert.equal(textOf(thirdBytes), 'third!'.repeat(10_000))
    accumulator.release(second)
    accumulator.release(third)
    assert.equal(accumulator.pendingBytes, 0)
  })
}
