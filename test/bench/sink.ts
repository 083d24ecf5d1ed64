import { randomBytes } from 'node:crypto'
import { groupLag, kafkaFor, recreateTopics } from '../../compose/pipelines/support/kafka-topics.ts'
import type { Services } from '../../compose/pipelines/support/pipeline.ts'
import { type Measurement, measure } from './measure.ts'
import { type PeerName, startPeer } from './peers.ts'

/** Fills a topic of four partitions with JSON records of about `bytes` bytes; `shard` has as many values as told. */
export async function fillTopic(services: Services, records: number, bytes: number, shards = 50): Promise<string> {
  const topic = `bench-sink-${randomBytes(3).toString('hex')}`
  await recreateTopics(services.kafkaBrokers, { [topic]: 4 })
  const producer = kafkaFor(services.kafkaBrokers, 'bench-fill').producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const filler = 'x'.repeat(Math.max(0, bytes - 100))
  // A broker takes a megabyte at a time.
  const batch = Math.min(1_500, Math.floor(900_000 / bytes))
  for (let start = 0; start < records; start += batch) {
    const messages = []
    for (let i = start; i < Math.min(records, start + batch); i++) {
      const shard = i % shards
      const value = JSON.stringify({
        id: i,
        name: `record ${i}`,
        amount: i / 4,
        active: i % 2 === 0,
        shard,
        text: filler,
      })
      messages.push({ key: `k${i}`, value, partition: (start / batch) % 4 })
    }
    await producer.send({ topic, messages })
  }
  await producer.disconnect()
  return topic
}

/**
 * Kafka → a sink that does next to nothing: FileStreamSink writing to /dev/null, JSON values decoded to Connect data,
 * one task, four partitions. It measures the runtime alone. Counted by committed consumer offsets: what the worker
 * says is done.
 */
export async function benchSink(options: {
  readonly services: Services
  readonly peer: PeerName
  readonly variant: string
  readonly topic: string
  readonly records: number
  readonly port: number
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
  })
  const group = `connect-${name}`
  const measurement = await measure({
    variant: options.variant,
    pid: peer.pid,
    records,
    timeoutMs: 600_000,
    count: async () => {
      const lag = await groupLag(services.kafkaBrokers, group, topic)
      return lag < 0 ? 0 : records - lag
    },
  })
  await peer.connect.remove(name)
  return measurement
}
