import assert from 'node:assert/strict'
import type { Producer } from '../../worker/kafka/types.ts'
import { bytes, type KafkaCases, KafkaTest, Outcomes, partitions, read, record } from './kafka-context.ts'

async function open_(kafka: KafkaTest, topic: string, id = kafka.name): Promise<Producer> {
  const producer = kafka.producer({ 'transactional.id': id })
  await producer.initTransactions()
  await producer.partitionsOf(topic)
  return producer
}

function append(producer: Producer, topic: string, value: string): Outcomes {
  const outcomes = new Outcomes()
  producer.append(record(topic, { value: bytes(value) }), outcomes)
  return outcomes
}

export const kafkaTransactionConformance: KafkaCases = {
  'read_committed sees what was committed, read_uncommitted all that was written': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const producer = await open_(kafka, topic)
    for (const [value, commit] of [
      ['a', false],
      ['b', true],
      ['c', false],
      ['d', false],
      ['e', true],
    ] as const) {
      producer.beginTransaction()
      append(producer, topic, value)
      await producer.flush()
      if (commit) await producer.commitTransaction()
      else await producer.abortTransaction()
    }
    const committed = kafka.consumer({ 'isolation.level': 'read_committed' })
    committed.assign(partitions(topic, 1))
    assert.deepEqual(
      (await read(committed, 2)).map((r) => r.value),
      ['b', 'e'],
    )
    const all = kafka.consumer()
    all.assign(partitions(topic, 1))
    assert.deepEqual(
      (await read(all, 5)).map((r) => r.value),
      ['a', 'b', 'c', 'd', 'e'],
    )
  },

  'positions pass over markers and aborted records': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const producer = await open_(kafka, topic)
    producer.beginTransaction()
    append(producer, topic, 'gone')
    await producer.flush()
    await producer.abortTransaction()
    const consumer = kafka.consumer({ 'isolation.level': 'read_committed' })
    consumer.assign(partitions(topic, 1))
    let next = 0n
    while (next < 2n) for (const batch of await consumer.poll(100)) next = batch.nextOffset
    assert.equal(next, 2n)
    assert.equal(await consumer.position({ topic, partition: 0 }), 2n)
  },

  'an open transaction hides itself and what follows': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    await kafka.write(topic, ['before'])
    const producer = await open_(kafka, topic)
    producer.beginTransaction()
    append(producer, topic, 'open')
    await producer.flush()
    await kafka.write(topic, ['after'])
    const tps = partitions(topic, 1)
    assert.equal((await kafka.admin.listOffsets(tps, 'latest', 'read_committed')).get(topic, 0), 1n)
    assert.equal((await kafka.admin.listOffsets(tps, 'latest', 'read_uncommitted')).get(topic, 0), 3n)
    const consumer = kafka.consumer({ 'isolation.level': 'read_committed' })
    consumer.assign(tps)
    assert.deepEqual(
      (await read(consumer, 1)).map((r) => r.value),
      ['before'],
    )
    assert.deepEqual(await consumer.poll(150), [])
    await producer.commitTransaction()
    assert.deepEqual(
      (await read(consumer, 2)).map((r) => r.value),
      ['open', 'after'],
    )
  },

  'records that were not sent before an abort fail; the next transaction works': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const producer = await open_(kafka, topic)
    producer.beginTransaction()
    const dropped = append(producer, topic, 'dropped')
    await producer.abortTransaction()
    assert.equal(dropped.failedCount + dropped.deliveredCount, 1)
    producer.beginTransaction()
    const kept = append(producer, topic, 'kept')
    await producer.commitTransaction()
    assert.equal(kept.deliveredCount, 1)
    const consumer = kafka.consumer({ 'isolation.level': 'read_committed' })
    consumer.assign(partitions(topic, 1))
    assert.deepEqual(
      (await read(consumer, 1)).map((r) => r.value),
      ['kept'],
    )
  },

  'a newer producer of the same id fences the older one': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const zombie = await open_(kafka, topic)
    zombie.beginTransaction()
    append(zombie, topic, 'zombie')
    await zombie.flush()
    const successor = await open_(kafka, topic)
    await assert.rejects(zombie.commitTransaction(), { kind: 'fenced' })
    successor.beginTransaction()
    append(successor, topic, 'successor')
    await successor.commitTransaction()
    const consumer = kafka.consumer({ 'isolation.level': 'read_committed' })
    consumer.assign(partitions(topic, 1))
    assert.deepEqual(
      (await read(consumer, 1)).map((r) => r.value),
      ['successor'],
    )
  },

  'fenceProducers stops producers and aborts what they left open': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const zombie = await open_(kafka, topic)
    zombie.beginTransaction()
    append(zombie, topic, 'zombie')
    await zombie.flush()
    await kafka.admin.fenceProducers([kafka.name, `${kafka.name}-never-used`])
    await assert.rejects(zombie.commitTransaction(), { kind: 'fenced' })
    await kafka.write(topic, ['after'])
    const consumer = kafka.consumer({ 'isolation.level': 'read_committed' })
    consumer.assign(partitions(topic, 1))
    assert.deepEqual(
      (await read(consumer, 1)).map((r) => r.value),
      ['after'],
    )
  },

  'calls in the wrong state are refused': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const producer = kafka.producer({ 'transactional.id': kafka.name })
    assert.throws(() => producer.beginTransaction(), { code: 'CONNECT_KAFKA_TRANSACTION_STATE' })
    await producer.initTransactions()
    await producer.partitionsOf(topic)
    assert.throws(() => append(producer, topic, 'x'), { code: 'CONNECT_KAFKA_TRANSACTION_STATE' })
    await assert.rejects(producer.commitTransaction(), { code: 'CONNECT_KAFKA_TRANSACTION_STATE' })
    producer.beginTransaction()
    await producer.commitTransaction()
    await assert.rejects(kafka.producer().initTransactions(), { code: 'CONNECT_KAFKA_CONFIG' })
  },

  'one transaction spans topics and partitions': async (open) => {
    await using kafka = new KafkaTest(open())
    const topics = [await kafka.topic(3), await kafka.topic(2)] as const
    const producer = await open_(kafka, topics[0])
    await producer.partitionsOf(topics[1])
    producer.beginTransaction()
    const outcomes = new Outcomes()
    for (const [topic, count] of [
      [topics[0], 3],
      [topics[1], 2],
    ] as const) {
      for (let partition = 0; partition < count; partition++)
        producer.append(record(topic, { partition, value: bytes('x') }), outcomes)
    }
    await producer.commitTransaction()
    assert.equal(outcomes.deliveredCount, 5)
    const consumer = kafka.consumer({ 'isolation.level': 'read_committed' })
    consumer.assign([...partitions(topics[0], 3), ...partitions(topics[1], 2)])
    assert.equal((await read(consumer, 5)).length, 5)
  },
}
