import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sendAll } from '../../../../worker/runtime/topic-producer.ts'
import { KafkaTopicReader } from '../../../../worker/runtime/topic-reader.ts'
import { FakeKafka } from '../../../support/kafka/fake-kafka.ts'

async function clusterWith(values: readonly string[]): Promise<FakeKafka> {
  const kafka = new FakeKafka()
  const admin = kafka.clients.admin({})
  await admin.createTopic({ topic: 'signals', partitions: 1, replicationFactor: 1 })
  const producer = kafka.clients.producer({})
  const records = values.map((value) => ({ topic: 'signals', partition: 0, key: null, value: Buffer.from(value) }))
  await sendAll(producer, records, undefined)
  await producer.close(1000)
  return kafka
}

const open = (kafka: FakeKafka) =>
  new KafkaTopicReader(kafka.clients, { topic: 'signals', partition: 0, properties: { 'group.id': 'g' } })

async function readAll(reader: KafkaTopicReader): Promise<readonly string[]> {
  const records = await reader.poll(100)
  return records.map(({ offset, value }) => `${offset}:${Buffer.from(value ?? []).toString()}`)
}

test('a first reader begins with the oldest record, a later one where the group has committed', async () => {
  const kafka = await clusterWith(['a', 'b', 'c'])
  {
    await using reader = open(kafka)
    assert.deepEqual(await readAll(reader), ['0:a', '1:b', '2:c'])
    await reader.commit(2n)
  }
  await using next = open(kafka)
  assert.deepEqual(await readAll(next), ['2:c'])
})

test('seek counts, whatever the group has committed', async () => {
  const kafka = await clusterWith(['a', 'b', 'c'])
  await using reader = open(kafka)
  await reader.commit(3n)
  reader.seek(1n)
  assert.deepEqual(await readAll(reader), ['1:b', '2:c'])
})
