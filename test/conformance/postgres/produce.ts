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
  await createTopic(brokers, record.topic)
  await produceTogether(brokers, record, [record.value])
}

/** A topic with one partition, if it is not there. */
export async function createTopic(brokers: readonly string[], topic: string): Promise<void> {
  await using admin = createKafkaClientFactory().admin({ 'bootstrap.servers': brokers.join(',') })
  await admin.createTopic({ topic, partitions: 1, replicationFactor: 1 })
}

/** Writes values with one key to partition 0, so that they are read at once. */
export async function produceTogether(
  brokers: readonly string[],
  { topic, key }: { readonly topic: string; readonly key: string },
  values: readonly string[],
): Promise<void> {
  await using producer = createKafkaClientFactory().producer({ 'bootstrap.servers': brokers.join(',') })
  await eventually(() => producer.partitionsOf(topic), timeoutMs)
  await sendAll(
    producer,
    values.map((value) => ({ topic, partition: 0, key: Buffer.from(key), value: Buffer.from(value) })),
    AbortSignal.timeout(timeoutMs),
  )
}

/** Removes topics that a case has written to; their absence is no failure. */
export async function deleteTopics(brokers: readonly string[], topics: readonly string[]): Promise<void> {
  if (topics.length === 0) return
  await using admin = createKafkaClientFactory().admin({ 'bootstrap.servers': brokers.join(',') })
  await admin.deleteTopics(topics).catch(() => undefined)
}
