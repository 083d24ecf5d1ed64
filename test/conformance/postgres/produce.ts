/** Records that a case writes to Kafka itself, e.g. signals. */
import { createKafkaClientFactory } from '../../../worker/kafka/client.ts'
import { sendAll } from '../../../worker/runtime/topic-producer.ts'
import { eventually } from '../../support/worker-process.ts'

const timeoutMs = 30_000

/** Writes one record to partition 0 of a topic, which is made with one partition when it is not there. */
export async function produceOne(
  brokers: readonly string[],
  record: { readonly topic: string; readonly key: string; readonly value: string },
): Promise<void> {
  const client = { 'bootstrap.servers': brokers.join(',') }
  const factory = createKafkaClientFactory()
  const { topic } = record
  await using admin = factory.admin(client)
  await admin.createTopic({ topic, partitions: 1, replicationFactor: 1 })
  await using producer = factory.producer(client)
  await eventually(() => producer.partitionsOf(topic), timeoutMs)
  await sendAll(
    producer,
    [{ topic, partition: 0, key: Buffer.from(record.key), value: Buffer.from(record.value) }],
    AbortSignal.timeout(timeoutMs),
  )
}

/** Removes topics that a case has written to; their absence is no failure. */
export async function deleteTopics(brokers: readonly string[], topics: readonly string[]): Promise<void> {
  if (topics.length === 0) return
  await using admin = createKafkaClientFactory().admin({ 'bootstrap.servers': brokers.join(',') })
  await admin.deleteTopics(topics).catch(() => undefined)
}
