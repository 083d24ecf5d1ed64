import assert from 'node:assert/strict'
import { TopicPartitionMap } from '../../worker/api/topic-partition.ts'
import { type KafkaCases, KafkaTest, partitions, read, until } from './kafka-context.ts'

const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `value ${i}`)

export const kafkaConsumerConformance: KafkaCases = {
  'positions follow what was handed out; seek moves them': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    await kafka.write(topic, numbered(10))
    const [tp] = partitions(topic, 1)
    assert.ok(tp)
    const consumer = kafka.consumer()
    consumer.assign([tp])
    assert.equal(await consumer.position(tp), 0n)
    await read(consumer, 10)
    assert.equal(await consumer.position(tp), 10n)
    consumer.seek(tp, 7n)
    assert.equal(await consumer.position(tp), 7n)
    assert.deepEqual(
      (await read(consumer, 3)).map((r) => r.offset),
      [7n, 8n, 9n],
    )
  },

  'poll hands out at most max.poll.records and tells where to go on': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    await kafka.write(topic, numbered(10))
    const consumer = kafka.consumer({ 'max.poll.records': '4' })
    consumer.assign(partitions(topic, 1))
    const sizes: number[] = []
    let next = 0n
    await until('all records', async () => {
      for (const batch of await consumer.poll(100)) {
        assert.equal(batch.records[0]?.offset, next)
        next = batch.nextOffset
        assert.equal(batch.endOffset, 10n)
        sizes.push(batch.records.length)
      }
      return next === 10n
    })
    assert.deepEqual(sizes, [4, 4, 2])
  },

  'paused partitions hand out nothing and lose nothing': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic(2)
    await kafka.write(topic, numbered(3), 0)
    await kafka.write(topic, numbered(3), 1)
    const consumer = kafka.consumer()
    const both = partitions(topic, 2)
    consumer.assign(both)
    consumer.pause(both.slice(0, 1))
    assert.deepEqual(consumer.paused(), both.slice(0, 1))
    const other = await read(consumer, 3)
    assert.deepEqual(new Set(other.map((r) => r.partition)), new Set([1]))
    assert.deepEqual(await consumer.poll(100), [])
    consumer.resume(both)
    assert.deepEqual(
      (await read(consumer, 3)).map((r) => [r.partition, r.value]),
      [
        [0, 'value 0'],
        [0, 'value 1'],
        [0, 'value 2'],
      ],
    )
  },

  'auto.offset.reset decides without a committed offset': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    await kafka.write(topic, numbered(5))
    const [tp] = partitions(topic, 1)
    assert.ok(tp)
    const latest = kafka.consumer({ 'auto.offset.reset': 'latest' })
    latest.assign([tp])
    assert.equal(await latest.position(tp), 5n)
    const none = kafka.consumer({ 'auto.offset.reset': 'none' })
    none.assign([tp])
    await assert.rejects(async () => none.position(tp), { code: 'CONNECT_KAFKA_OFFSET_RESET', kind: 'fatal' })
  },

  'a position outside the log is reset': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    await kafka.write(topic, numbered(3))
    const consumer = kafka.consumer()
    consumer.assign(partitions(topic, 1))
    consumer.seek({ topic, partition: 0 }, 1000n)
    assert.deepEqual(
      (await read(consumer, 3)).map((r) => r.offset),
      [0n, 1n, 2n],
    )
  },

  'commits without members are read back, also beyond 2^53': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const consumer = kafka.consumer({ 'group.id': kafka.name })
    const offset = 2n ** 53n + 1n
    await consumer.commit(new TopicPartitionMap<bigint>().set(topic, 0, offset))
    const committed = await consumer.committed(partitions(topic, 1))
    assert.equal(committed.get(topic, 0), offset)
    assert.equal((await kafka.admin.listGroupOffsets(kafka.name)).get(topic, 0), offset)
  },

  'a poll ends with its signal': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const consumer = kafka.consumer()
    consumer.assign(partitions(topic, 1))
    const stop = new AbortController()
    const polling = consumer.poll(60_000, stop.signal)
    stop.abort()
    assert.deepEqual(await polling, [])
    assert.deepEqual(await consumer.poll(60_000, stop.signal), [])
  },

  'records that come during a poll end it': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const consumer = kafka.consumer()
    consumer.assign(partitions(topic, 1))
    assert.deepEqual(await consumer.poll(50), [])
    const polling = consumer.poll(15_000)
    await kafka.write(topic, ['news'])
    const batches = await polling
    assert.equal(batches[0]?.records.length, 1)
  },
}
