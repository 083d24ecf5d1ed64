import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseSinkOffsets, parseSourceOffsets } from '../../../../worker/runtime/offset-requests.ts'

const sinkPartition = { kafka_topic: 't', kafka_partition: 0 }

test('statement 103: bodies that are no sink offsets get Connect’s texts', () => {
  const cases: readonly (readonly [unknown, unknown, RegExp])[] = [
    [undefined, undefined, /^The partition for a sink connector offset cannot be null or missing$/],
    [null, { kafka_offset: 2 }, /cannot be null or missing/],
    [{}, { kafka_offset: 2 }, /must contain the keys 'kafka_topic' and 'kafka_partition'/],
    [{ kafka_topic: null, kafka_partition: 0 }, { kafka_offset: 2 }, /topic names must be valid strings/],
    [{ kafka_topic: 't', kafka_partition: null }, { kafka_offset: 2 }, /partitions must be valid numbers/],
    [{ kafka_topic: 't', kafka_partition: 'x' }, { kafka_offset: 2 }, /Kafka partition value .* 'x'/],
    [sinkPartition, {}, /should either be null or contain the key 'kafka_offset'/],
    [sinkPartition, { kafka_offset: 'x' }, /Kafka offset value .* 'x'/],
    [sinkPartition, { kafka_offset: 1.5 }, /'1\.5'/],
    [sinkPartition, { kafka_offset: null }, /'null'/],
  ]
  for (const [partition, offset, message] of cases) {
    assert.throws(() => parseSinkOffsets([{ partition, offset }]), { status: 400, message })
  }
  assert.throws(() => parseSinkOffsets([]), { status: 400, message: /need to be provided/ })
  assert.throws(() => parseSourceOffsets([]), { status: 400, message: /need to be provided/ })
})

test('4.9: numbers may be texts; of one partition named twice the last counts; null resets', () => {
  const entry = (partition: unknown, offset: unknown) => ({
    partition: { kafka_topic: 't', kafka_partition: partition },
    offset: offset === null ? null : { kafka_offset: offset },
  })
  assert.deepEqual(parseSinkOffsets([entry(0, 1), entry('0', '3'), entry(1, null), entry(2, 2n ** 60n)]), [
    { topic: 't', partition: 0, offset: 3n },
    { topic: 't', partition: 1, offset: null },
    { topic: 't', partition: 2, offset: 2n ** 60n },
  ])
})

test('4.9: a source partition that is null or missing reaches the connector as null', () => {
  const entries = [
    { partition: undefined, offset: undefined },
    { partition: { a: 1, b: 'x' }, offset: { at: 1 } },
    { partition: { b: 'x', a: 1 }, offset: { at: 2 } },
  ]
  assert.deepEqual(parseSourceOffsets(entries), [
    { partition: null, offset: null },
    { partition: { b: 'x', a: 1 }, offset: { at: 2 } },
  ])
})
