import { randomBytes } from 'node:crypto'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3'
import { groupLag } from '../../compose/pipelines/support/kafka-topics.ts'
import type { Services } from '../../compose/pipelines/support/pipeline.ts'
import { requireService } from '../support/services.ts'
import { type Measurement, measure } from './measure.ts'
import { startPeer } from './peers.ts'

/** Options of the sink that the measurement is about; the rest is as in the sink bench. */
type SinkOptions = Readonly<Record<string, string>>

type S3Variant = readonly [variant: string, sink: SinkOptions]

/** Partitions of the topic that `fillTopic` makes, each with as many open objects as there are shards. */
const partitions = 4

/** Shards that make as many open objects as wanted. @throws RangeError when that is no multiple of the partitions */
export function shardsFor(openObjects: number): number {
  const shards = openObjects / partitions
  if (Number.isInteger(shards) && shards > 0) return shards
  throw new RangeError(`--open ${openObjects}: the topic has ${partitions} partitions, so it takes a multiple of that`)
}

/** What is measured: plain objects twice, so that a difference of nothing shows, compressed ones, and many at a time. */
export const s3Setups: Readonly<Record<string, (open: number) => readonly S3Variant[]>> = {
  plain: () => [
    ['sluice A', {}],
    ["sluice A'", {}],
  ],
  gzip: () => [['gzip', { 's3.compression.type': 'gzip' }]],
  open: (open) => [
    [
      `${open} open objects`,
      {
        'partitioner.class': 'io.confluent.connect.storage.partitioner.FieldPartitioner',
        'partition.field.name': 'shard',
      },
    ],
  ],
}

/**
 * Kafka → S3 as JSON lines (P7): one task, four partitions, 50,000 records per object. Counted by committed consumer
 * offsets, that is by what is in the bucket. The bucket is removed afterwards.
 */
export async function benchS3(options: {
  readonly services: Services
  readonly variant: string
  readonly topic: string
  readonly records: number
  readonly port: number
  readonly sink?: SinkOptions
}): Promise<Measurement> {
  const { services, topic, records } = options
  const { endpoint, accessKey, secretKey } = requireService('s3').settings
  const name = `bench-s3-${randomBytes(3).toString('hex')}`
  await using bucket = await openBucket(
    name,
    new S3Client({
      endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    }),
  )
  await using peer = await startPeer('sluice', services.kafkaBrokers, options.port, {
    'offset.flush.interval.ms': '500',
  })
  await peer.connect.request('PUT', `/connectors/${name}/config`, {
    'connector.class': 'io.confluent.connect.s3.S3SinkConnector',
    'storage.class': 'io.confluent.connect.s3.storage.S3Storage',
    'format.class': 'io.confluent.connect.s3.format.json.JsonFormat',
    'tasks.max': '1',
    topics: topic,
    's3.bucket.name': bucket.name,
    's3.region': 'us-east-1',
    'store.url': endpoint,
    'aws.access.key.id': accessKey,
    'aws.secret.access.key': secretKey,
    'flush.size': '50000',
    // What the last full object leaves is committed, too.
    'rotate.idle.ms': '1000',
    'key.converter': 'org.apache.kafka.connect.storage.StringConverter',
    'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
    'value.converter.schemas.enable': 'false',
    'consumer.override.max.poll.records': '5000',
    ...options.sink,
  })
  const measurement = await measure({
    variant: options.variant,
    pid: peer.pid,
    records,
    timeoutMs: 300_000,
    count: async () => {
      const lag = await groupLag(services.kafkaBrokers, `connect-${name}`, topic)
      return lag < 0 ? 0 : records - lag
    },
  })
  await peer.connect.remove(name)
  return measurement
}

async function openBucket(name: string, client: S3Client) {
  await client.send(new CreateBucketCommand({ Bucket: name }))
  return {
    name,
    async [Symbol.asyncDispose]() {
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: name }))
      for (const { Key } of Contents) await client.send(new DeleteObjectCommand({ Bucket: name, Key }))
      await client.send(new DeleteBucketCommand({ Bucket: name }))
      client.destroy()
    },
  }
}
