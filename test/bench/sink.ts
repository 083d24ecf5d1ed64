import { randomBytes } from 'node:crypto'
import { kafkaFor, recreateTopics } from '../../compose/pipelines/support/kafka-topics.ts'
import type { Services } from '../../compose/pipelines/support/pipeline.ts'
import { type Measurement, measure } from './measure.ts'
import { type PeerName, startPeer } from './peers.ts'

/** What a topic is filled with. */
export interface TopicContent {
  readonly records: number
  /** About so many of each record. */
  readonly bytes: number
  /** Default: 4. */
  readonly partitions?: number
  /** Values of the member `shard`; default: 50. */
  readonly shards?: number
}

/** A topic that is deleted when it is done with: some runs of a bench would fill a disk. */
export interface FilledTopic extends AsyncDisposable {
  readonly topic: string
}

/** What the value of a record is made of: JSON of about `bytes`. */
export function jsonRecord(id: number, bytes: number, shards: number): Readonly<Record<string, unknown>> {
  const text = 'x'.repeat(Math.max(0, bytes - 100))
  return { id, name: `record ${id}`, amount: id / 4, active: id % 2 === 0, shard: id % shards, text }
}

/** Fills a topic with JSON records, several batches for each partition in turn. */
export async function fillTopic(
  services: Services,
  { records, bytes, partitions = 4, shards = 50 }: TopicContent,
): Promise<FilledTopic> {
  const topic = `bench-sink-${randomBytes(3).toString('hex')}`
  await recreateTopics(services.kafkaBrokers, { [topic]: partitions })
  const producer = kafkaFor(services.kafkaBrokers, 'bench-fill').producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  // A broker takes a megabyte at a time.
  const request = Math.min(1_500, Math.floor(900_000 / bytes))
  const batch = Math.min(request, Math.max(1, Math.floor(records / partitions / 16)))
  for (let start = 0; start < records; start += request) {
    const messages = []
    for (let i = start; i < Math.min(records, start + request); i++) {
      const value = JSON.stringify(jsonRecord(i, bytes, shards))
      messages.push({ key: `k${i}`, value, partition: Math.floor(i / batch) % partitions })
    }
    await producer.send({ topic, messages })
  }
  await producer.disconnect()
  return { topic, [Symbol.asyncDispose]: () => deleteTopic(services, topic) }
}

async function deleteTopic(services: Services, topic: string): Promise<void> {
  const admin = kafkaFor(services.kafkaBrokers, 'bench').admin()
  await admin.connect()
  try {
    await admin.deleteTopics({ topics: [topic] })
  } finally {
    await admin.disconnect()
  }
}

/** How far a group is. */
export interface Progress {
  readonly records: number
  /** Share of each partition's records. */
  readonly shares: readonly number[]
}

async function progressOf(brokers: string, groupId: string, topic: string): Promise<Progress> {
  const admin = kafkaFor(brokers, 'bench').admin()
  await admin.connect()
  try {
    const [ends, groups] = await Promise.all([
      admin.fetchTopicOffsets(topic),
      admin.fetchOffsets({ groupId, topics: [topic] }),
    ])
    const committed = new Map(groups[0]?.partitions.map((p) => [p.partition, Number(p.offset)]))
    let records = 0
    const shares: number[] = []
    for (const { partition, high } of ends) {
      // -1: nothing is committed yet.
      const at = Math.max(0, committed.get(partition) ?? 0)
      records += at
      if (Number(high) > 0) shares.push(at / Number(high))
    }
    return { records, shares }
  } finally {
    await admin.disconnect()
  }
}

/**
 * Kafka → a sink that does next to nothing: FileStreamSink writing to /dev/null, JSON values decoded to Connect data,
 * one task. It measures the runtime alone. Counted by committed consumer offsets: what the worker says is done.
 */
export async function benchSink(options: {
  readonly services: Services
  readonly peer: PeerName
  readonly variant: string
  readonly topic: string
  readonly records: number
  readonly port: number
  /** Options of the consumer beside those of the bench. */
  readonly consumer?: Readonly<Record<string, string>>
  readonly onProgress?: (progress: Progress) => void
}): Promise<Measurement> {
  const { services, topic, records } = options
  const name = `bench-sink-${randomBytes(3).toString('hex')}`
  // Progress is read off the committed offsets, so commits must be frequent against the length of a run.
  await using peer = await startPeer(options.peer, services.kafkaBrokers, options.port, {
    'offset.flush.interval.ms': '500',
  })
  await peer.connect.request('PUT', `/connectors/${name}/config`, {
    'connector.class': 'org.apache.kafka.connect.file.FileStreamSinkConnector',
    'tasks.max': '1',
    topics: topic,
    file: '/dev/null',
    'key.converter': 'org.apache.kafka.connect.storage.StringConverter',
    'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
    'value.converter.schemas.enable': 'false',
    'consumer.override.max.poll.records': '5000',
    'consumer.override.fetch.min.bytes': '1',
    'consumer.override.max.partition.fetch.bytes': '4194304',
    ...options.consumer,
  })
  const group = `connect-${name}`
  const measurement = await measure({
    variant: options.variant,
    pid: peer.pid,
    records,
    timeoutMs: 600_000,
    count: async () => {
      const progress = await progressOf(services.kafkaBrokers, group, topic)
      options.onProgress?.(progress)
      return progress.records
    },
  })
  await peer.connect.remove(name)
  return measurement
}
