import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { BulkBatch } from '../../../../connectors/elasticsearch/bulk-batch.ts'
import { DocumentWriter } from '../../../../connectors/elasticsearch/documents.ts'
import { OffsetTracker } from '../../../../connectors/elasticsearch/offset-tracker.ts'
import { GrowingByteWriter } from '../../../../worker/api/byte-writer.ts'
import type { SinkRecord } from '../../../../worker/api/record.ts'
import { elasticsearchConfig, readBulk, sinkRecord } from './support.ts'

/** A batch of records, as the task fills it. */
function batchOf(records: readonly SinkRecord[], { keeps = true, upsert = false } = {}): BulkBatch {
  const method = upsert ? 'upsert' : 'insert'
  const documents = new DocumentWriter(elasticsearchConfig({ 'write.method': method, 'schema.ignore': 'true' }))
  const tracker = new OffsetTracker()
  const batch = new BulkBatch(new GrowingByteWriter(64))
  const lines = new GrowingByteWriter(64)
  for (const record of records) {
    lines.reset()
    const action = documents.write(record, record.topic, lines)
    batch.add({ record: keeps ? record : null, slot: tracker.add(record), action }, lines.since(0))
  }
  return batch
}

const linesOf = ({ count, body }: BulkBatch) => (count === 0 && body.length === 0 ? [] : readBulk(body.since(0)))

const of = (topic: string, partition: number, offset: number, value: object | null = { n: offset }) =>
  sinkRecord(offset, { topic, partition, key: `k${offset}`, value: value as never })

describe('BulkBatch', () => {
  it('has one run for what one partition delivered to one resource', () => {
    const records = [of('a', 0, 0), of('a', 0, 2), of('a', 1, 0), of('a', 0, 3), of('b', 0, 9), of('b', 0, 10, null)]
    assert.deepEqual(
      batchOf(records).runs.map(({ action, count }) => [action.kind, action.resource, count]),
      [
        ['index', 'a', 2],
        ['index', 'a', 1],
        ['index', 'a', 1],
        ['index', 'b', 1],
        ['delete', 'b', 1],
      ],
    )
    const updates = batchOf([of('a', 0, 0), of('a', 0, 1)], { upsert: true })
    assert.deepEqual(
      updates.runs.map(({ action, count }) => [action.orderKey, count]),
      [
        ['a\nk0', 1],
        ['a\nk1', 1],
      ],
    )
  })

  it('gives back each action, and any part of them with its own lines', () => {
    const record = fc.record({
      topic: fc.constantFrom('a', 'b'),
      partition: fc.integer({ min: 0, max: 1 }),
      // Newlines in texts must not be taken for the ends of lines.
      text: fc.option(fc.constantFrom('', 'x', 'two\nlines\n', '"\\\n'), { freq: 3 }),
      isChosen: fc.boolean(),
    })
    const flags = { keeps: fc.boolean(), upsert: fc.boolean() }
    const property = fc.property(fc.array(record, { maxLength: 30 }), fc.record(flags), (plan, options) => {
      const records = plan.map(({ topic, partition, text }, i) =>
        of(topic, partition, i, text === null ? null : { text }),
      )
      const batch = batchOf(records, options)
      const chosen = plan.flatMap(({ isChosen }, i) => (isChosen ? [i] : []))
      for (const [part, indices] of [
        [batch, [...records.keys()]],
        [batch.subset(chosen), chosen],
      ] as const) {
        const expected = indices.map((i) => records[i] as SinkRecord)
        const actions = part.actions()
        assert.equal(part.count, indices.length)
        assert.deepEqual(
          actions.map(({ slot: { partition, sequence } }) => ({
            ...partition.source,
            offset: partition.offsetOf(sequence),
          })),
          expected.map(({ topic, partition, offset }) => ({ topic, partition, offset })),
        )
        assert.deepEqual(
          actions.map(({ record: kept }) => kept),
          options.keeps ? expected : expected.map(() => null),
        )
        assert.deepEqual(
          linesOf(part).map(({ id, kind }) => ({ id, kind })),
          actions.map(({ action: { kind } }, i) => ({ id: expected[i]?.key, kind })),
        )
      }
    })
    fc.assert(property, { numRuns: 100 })
  })
})
