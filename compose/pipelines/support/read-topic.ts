import { randomBytes } from 'node:crypto'
import type { KafkaMessage } from 'kafkajs'
import { kafkaFor } from './kafka-topics.ts'

export interface TopicMessage {
  readonly partition: number
  readonly offset: string
  readonly key: string | null
  readonly value: string | null
  readonly headers: Readonly<Record<string, string>>
}

/** Everything in a topic, in the order of each partition. @throws Error after `timeoutMs` */
export async function readTopic(brokers: string, topic: string, timeoutMs = 60_000): Promise<readonly TopicMessage[]> {
  const kafka = kafkaFor(brokers, 'pipelines')
  const admin = kafka.admin()
  await admin.connect()
  const partitions = await admin.fetchTopicOffsets(topic)
  await admin.disconnect()
  const left = new Map(partitions.filter((p) => p.high !== p.low).map((p) => [p.partition, BigInt(p.high)]))
  const messages: TopicMessage[] = []
  if (left.size === 0) return messages
  const groupId = `pipelines-${randomBytes(6).toString('hex')}`
  const consumer = kafka.consumer({ groupId })
  await consumer.connect()
  const finished = Promise.withResolvers<void>()
  const timer = setTimeout(() => finished.reject(new Error(`${topic} was not read within ${timeoutMs} ms`)), timeoutMs)
  try {
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        for (const message of batch.messages) messages.push(asText(batch.partition, message))
        // Control records are no messages, but a batch counts them.
        if (BigInt(batch.lastOffset()) + 1n >= (left.get(batch.partition) ?? 0n)) left.delete(batch.partition)
        if (left.size === 0) finished.resolve()
      },
    })
    await finished.promise
  } finally {
    clearTimeout(timer)
    await consumer.disconnect()
  }
  return messages
}

function asText(partition: number, { offset, key, value, headers }: KafkaMessage): TopicMessage {
  const text = Object.entries(headers ?? {}).map(([name, header]) => [name, String(header ?? '')])
  return {
    partition,
    offset,
    key: key?.toString() ?? null,
    value: value?.toString() ?? null,
    headers: Object.fromEntries(text) as Record<string, string>,
  }
}
