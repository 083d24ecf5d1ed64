import assert from 'node:assert/strict'
import { ConnectError } from '../../worker/api/errors.ts'
import { partitionOfKey } from '../../worker/kafka/murmur2.ts'
import { bytes, type KafkaCases, KafkaTest, Outcomes, partitions, read, record } from './kafka-context.ts'

export const kafkaProducerConformance: KafkaCases = {
  'records come back as they were written, in order': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const producer = kafka.producer()
    assert.equal(await producer.partitionsOf(topic), 1)
    const outcomes = new Outcomes()
    const headers = [
      { key: 'a', value: bytes('1') },
      { key: 'a', value: null },
      { key: '10', value: bytes('') },
      { key: 'ü', value: bytes('é') },
    ]
    producer.append(
      record(topic, { key: bytes('k'), value: bytes('v'), headers, timestamp: 1_700_000_000_123 }),
      outcomes,
    )
    producer.append(record(topic, { key: null, value: null, timestamp: 1_600_000_000_000 }), outcomes)
    producer.append(record(topic, { key: bytes(''), value: bytes(''), timestamp: 1_700_000_000_000 }), outcomes)
    await producer.flush()
    const consumer = kafka.consumer()
    consumer.assign(partitions(topic, 1))
    assert.deepEqual(await read(consumer, 3), [
      {
        partition: 0,
        offset: 0n,
        key: 'k',
        value: 'v',
        headers: [
          ['a', '1'],
          ['a', null],
          ['10', ''],
          ['ü', 'é'],
        ],
        timestamp: 1_700_000_000_123,
      },
      { partition: 0, offset: 1n, key: null, value: null, headers: [], timestamp: 1_600_000_000_000 },
      { partition: 0, offset: 2n, key: '', value: '', headers: [], timestamp: 1_700_000_000_000 },
    ])
    assert.equal(outcomes.deliveredCount, 3)
  },

  'deliveries count every record once and tell offsets in order': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const producer = kafka.producer({ 'batch.size': '2000' })
    await producer.partitionsOf(topic)
    const outcomes = [new Outcomes(), new Outcomes()] as const
    for (let i = 0; i < 500; i++)
      producer.append(record(topic, { value: bytes(`value ${i}`) }), outcomes[i % 2 === 0 ? 0 : 1])
    await producer.flush()
    assert.deepEqual([outcomes[0].deliveredCount, outcomes[1].deliveredCount], [250, 250])
    const offsets = outcomes[0].delivered_.map((d) => d.baseOffset)
    assert.deepEqual(
      offsets,
      offsets.toSorted((a, b) => Number(a - b)),
    )
    assert.equal(producer.pendingBytes, 0)
  },

  'buffers may be reused at once': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const producer = kafka.producer()
    await producer.partitionsOf(topic)
    const buffer = Buffer.alloc(4)
    for (let i = 0; i < 3; i++) {
      buffer.write(`no ${i}`)
      producer.append(record(topic, { value: buffer }), new Outcomes())
    }
    buffer.fill(0)
    await producer.flush()
    const consumer = kafka.consumer()
    consumer.assign(partitions(topic, 1))
    assert.deepEqual(
      (await read(consumer, 3)).map((r) => r.value),
      ['no 0', 'no 1', 'no 2'],
    )
  },

  'keys go where the Java partitioner puts them': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic(7)
    const producer = kafka.producer()
    await producer.partitionsOf(topic)
    const keys = Array.from({ length: 50 }, (_, i) => `key ${i}`)
    for (const key of keys) producer.append(record(topic, { partition: null, key: bytes(key) }), new Outcomes())
    await producer.flush()
    const consumer = kafka.consumer()
    consumer.assign(partitions(topic, 7))
    for (const { key, partition } of await read(consumer, 50))
      assert.equal(partition, partitionOfKey(bytes(key ?? ''), 7))
  },

  'a record beyond max.request.size is refused alone': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const producer = kafka.producer({ 'max.request.size': '1000' })
    await producer.partitionsOf(topic)
    const outcomes = new Outcomes()
    assert.throws(() => producer.append(record(topic, { value: new Uint8Array(1000) }), outcomes), {
      kind: 'record',
      code: 'CONNECT_KAFKA_RECORD_TOO_LARGE',
    })
    producer.append(record(topic, { value: bytes('small') }), outcomes)
    await producer.flush()
    assert.equal(outcomes.deliveredCount, 1)
  },

  'a record that the topic refuses fails as a record, and later ones are written': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic(1, { 'max.message.bytes': '2000' })
    const producer = kafka.producer()
    await producer.partitionsOf(topic)
    const big = new Outcomes()
    producer.append(record(topic, { value: new Uint8Array(5000) }), big)
    await producer.flush()
    assert.equal(big.failedCount, 1)
    assert.ok(big.errors[0] instanceof ConnectError && big.errors[0].kind === 'record', String(big.errors[0]))
    const small = new Outcomes()
    producer.append(record(topic, { value: bytes('small') }), small)
    await producer.flush()
    assert.equal(small.deliveredCount, 1)
  },

  'an unknown topic is retriable, an unknown partition is not': async (open) => {
    await using kafka = new KafkaTest(open())
    const producer = kafka.producer()
    const missing = kafka.admin.describeTopic(`${kafka.name}-missing`)
    assert.equal(await missing, null)
    const topic = await kafka.topic()
    assert.throws(() => producer.append(record(topic), new Outcomes()), {
      kind: 'retriable',
      code: 'CONNECT_KAFKA_UNKNOWN_TOPIC',
    })
    await producer.partitionsOf(topic)
    assert.throws(() => producer.append(record(topic, { partition: 1 }), new Outcomes()), { kind: 'record' })
  },

  'ready waits for buffer.memory': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const producer = kafka.producer({ 'buffer.memory': '20000', 'linger.ms': '60000' })
    await producer.partitionsOf(topic)
    const outcomes = new Outcomes()
    let appended = 0
    for (; producer.pendingBytes < 20_000; appended++)
      producer.append(record(topic, { value: new Uint8Array(500) }), outcomes)
    await producer.ready()
    assert.ok(producer.pendingBytes < 20_000)
    await producer.flush()
    assert.equal(outcomes.deliveredCount, appended)
  },

  'a closed producer takes nothing, closing twice is harmless': async (open) => {
    await using kafka = new KafkaTest(open())
    const topic = await kafka.topic()
    const producer = kafka.producer({ 'linger.ms': '60000' })
    await producer.partitionsOf(topic)
    const outcomes = new Outcomes()
    producer.append(record(topic, { value: bytes('last') }), outcomes)
    await producer.close()
    await producer.close()
    assert.equal(outcomes.deliveredCount, 1, 'close waits for what was appended')
    assert.throws(() => producer.append(record(topic), outcomes), { code: 'CONNECT_KAFKA_CLOSED' })
  },
}
