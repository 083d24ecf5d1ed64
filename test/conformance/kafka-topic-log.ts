import assert from 'node:assert/strict'
import { createTopicLog } from '../../worker/kafka/topic-log.ts'
import type { ClientProperties, TopicLog, TopicLogRecord } from '../../worker/kafka/types.ts'
import { bytes, type KafkaCases, KafkaTest, Outcomes, record, text, until } from './kafka-context.ts'

interface Opened {
  readonly log: TopicLog
  readonly records: TopicLogRecord[]
}

function openLog(kafka: KafkaTest, topic: string, consumer: ClientProperties = {}): Opened {
  const { clients, properties } = kafka.kafka
  const records: TopicLogRecord[] = []
  const log = createTopicLog(clients, {
    topic,
    consumer: { ...properties, 'fetch.max.wait.ms': '50', ...consumer },
    producer: { ...properties, 'linger.ms': '0' },
    admin: properties,
    onRecord: (one) => void records.push(one),
    onError: () => undefined,
  })
  return { log: kafka.use(log), records }
}

const values = (records: readonly TopicLogRecord[]): (string | null)[] => records.map((r) => text(r.value))

export const kafkaTopicLogConformance: KafkaCases = {
  'start reads what is there, then follows': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic(2, { 'cleanup.policy': 'delete' })
    await kafka.write(topic, ['a', 'b'], 0)
    await kafka.write(topic, ['c'], 1)
    const { log, records } = openLog(kafka, topic)
    await log.start()
    assert.equal(log.partitionCount, 2)
    assert.deepEqual(values(records).sort(), ['a', 'b', 'c'])
    await kafka.write(topic, ['d'], 1)
    await until('the tail', () => values(records).includes('d'))
  },

  'what was sent is read by readToEnd, here and elsewhere': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic(3)
    const one = openLog(kafka, topic)
    const two = openLog(kafka, topic)
    await Promise.all([one.log.start(), two.log.start()])
    await one.log.send([
      { key: bytes('k'), value: bytes('1') },
      { key: bytes('k'), value: bytes('2') },
      { key: bytes('k'), value: null },
    ])
    await Promise.all([one.log.readToEnd(), two.log.readToEnd()])
    assert.deepEqual(values(one.records), ['1', '2', null])
    assert.deepEqual(values(two.records), ['1', '2', null])
    assert.deepEqual(
      one.records.map((r) => r.offset),
      [0n, 1n, 2n],
    )
  },

  'an empty topic is at its end': async (open) => {
    await using kafka = new KafkaTest(open())
    const { log, records } = openLog(kafka, await kafka.topic(5))
    await log.start()
    await Promise.all([log.readToEnd(), log.readToEnd(), log.readToEnd()])
    assert.deepEqual(records, [])
  },

  'with read_committed aborted records and markers do not keep a reader waiting': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const producer = kafka.producer({ 'transactional.id': kafka.name })
    await producer.initTransactions()
    await producer.partitionsOf(topic)
    for (const [value, commit] of [
      ['kept', true],
      ['dropped', false],
    ] as const) {
      producer.beginTransaction()
      producer.append(record(topic, { value: bytes(value) }), new Outcomes())
      await producer.flush()
      if (commit) await producer.commitTransaction()
      else await producer.abortTransaction()
    }
    const { log, records } = openLog(kafka, topic, { 'isolation.level': 'read_committed' })
    await log.start()
    assert.deepEqual(values(records), ['kept'])
  },

  'closing ends waiting reads': async (open) => {
    await using kafka = new KafkaTest(open())
    const { log } = openLog(kafka, await kafka.topic())
    await log.start()
    await log.close()
    await log.close()
    await assert.rejects(log.readToEnd())
  },
}
