/** Exported conformance suites of sink tasks, on real servers. */
import { randomBytes } from 'node:crypto'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { encodeMetadataMessage, type MetadataMessage, messageId } from '../../connectors/common/metadata-message.ts'
import { plugin as elasticsearchSink } from '../../connectors/elasticsearch/index.ts'
import { CopyRunner } from '../../connectors/redshift/copy-runner.ts'
import { openDataApi } from '../../connectors/redshift/data-api.ts'
import { plugin as redshiftSink } from '../../connectors/redshift/index.ts'
import { plugin as s3Sink } from '../../connectors/s3/index.ts'
import { Password } from '../../worker/api/config.ts'
import { SinkRecord } from '../../worker/api/record.ts'
import { systemClock } from '../../worker/util/clock.ts'
import { sinkTaskConformance } from '../conformance/sink-task.ts'
import { RecordingLogger } from '../support/contexts.ts'
import { quickRunner } from '../support/redshift-sink.ts'
import { requireService, skipUnless } from '../support/services.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

const elasticsearch = requireService('elasticsearch')
const s3 = requireService('s3')
const redshift = requireService('redshift')
const token = (): string => randomBytes(5).toString('hex')
const identity = (partition: number, offset: number): string => `${partition}-${offset}`

/** The way to a server, which breaks for a moment when told to. */
async function openLink(url: string) {
  const { protocol, hostname, port } = new URL(url)
  const proxy = await TcpProxy.open({ host: hostname, port: Number(port) })
  let healing: NodeJS.Timeout | undefined
  return {
    url: `${protocol}//127.0.0.1:${proxy.port}`,
    failForAWhile(): void {
      proxy.cut()
      healing = setTimeout(() => proxy.heal(), 500)
    },
    async [Symbol.asyncDispose]() {
      clearTimeout(healing)
      await proxy[Symbol.asyncDispose]()
    },
  }
}

sinkTaskConformance('Elasticsearch', {
  plugin: elasticsearchSink,
  skip: elasticsearch.skip,
  open: async () => {
    const { url } = elasticsearch.settings
    const topic = `t-${token()}`
    const link = await openLink(url)
    const options = {
      topics: topic,
      'connection.url': url,
      'schema.ignore': 'true',
      'batch.size': '2',
      'linger.ms': '5',
      'max.retries': '50',
      'retry.backoff.ms': '20',
    }
    return {
      options: { ...options, 'connection.url': link.url },
      // Nobody listens there.
      brokenOptions: { ...options, 'connection.url': 'http://127.0.0.1:9', 'max.retries': '1' },
      topic,
      record: async (partition, offset) =>
        new SinkRecord({
          topic,
          partition,
          offset: BigInt(offset),
          key: identity(partition, offset),
          value: { n: offset },
        }),
      identity,
      written: async () => {
        await fetch(`${url}/${topic}/_refresh`, { method: 'POST' })
        const answer = await fetch(`${url}/${topic}/_search?size=1000`)
        if (answer.status === 404) return []
        const found = (await answer.json()) as { hits: { hits: readonly { _id: string }[] } }
        return found.hits.hits.map(({ _id }) => _id)
      },
      duplicates: false,
      failForAWhile: async () => link.failForAWhile(),
      [Symbol.asyncDispose]: async () => {
        await link[Symbol.asyncDispose]()
        await fetch(`${url}/${topic}`, { method: 'DELETE' })
      },
    }
  },
})

function s3Client(): S3Client {
  const { endpoint, accessKey, secretKey } = s3.settings
  const credentials = { accessKeyId: accessKey, secretAccessKey: secretKey }
  return new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
}

async function openBucket() {
  const bucket = `sluice-test-${token()}`
  const client = s3Client()
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  const keys = async (): Promise<readonly string[]> => {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }))
    return Contents.map(({ Key }) => Key ?? '')
  }
  return {
    bucket,
    keys,
    write: async (key: string, body: string) => {
      const { ETag } = await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }))
      return ETag ?? ''
    },
    read: async (key: string) => {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
      return (await Body?.transformToString()) ?? ''
    },
    [Symbol.asyncDispose]: async () => {
      for (const Key of await keys()) await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }))
      await client.send(new DeleteBucketCommand({ Bucket: bucket }))
      client.destroy()
    },
  }
}

sinkTaskConformance('S3', {
  plugin: s3Sink,
  skip: s3.skip,
  unit: 3,
  open: async () => {
    const { endpoint, accessKey, secretKey } = s3.settings
    const lake = await openBucket()
    const link = await openLink(endpoint)
    const options = {
      'connector.class': 'io.confluent.connect.s3.S3SinkConnector',
      topics: 'orders',
      's3.bucket.name': lake.bucket,
      's3.region': 'us-east-1',
      'store.url': link.url,
      's3.path.style.access.enabled': 'true',
      'aws.access.key.id': accessKey,
      'aws.secret.access.key': secretKey,
      'storage.class': 'io.confluent.connect.s3.storage.S3Storage',
      'format.class': 'io.confluent.connect.s3.format.json.JsonFormat',
      'flush.size': '3',
    }
    return {
      options,
      brokenOptions: { ...options, 's3.bucket.name': `no-such-${token()}`, 's3.part.retries': '0' },
      topic: 'orders',
      record: async (partition, offset) =>
        new SinkRecord({
          topic: 'orders',
          partition,
          offset: BigInt(offset),
          value: { id: identity(partition, offset) },
        }),
      identity,
      written: async () => {
        const texts = await Promise.all((await lake.keys()).map((key) => lake.read(key)))
        const lines = texts.flatMap((text) => text.split('\n').filter((line) => line !== ''))
        return lines.map((line) => (JSON.parse(line) as { id: string }).id)
      },
      // A file has the name of its first offset, so that a second delivery writes the same file again.
      duplicates: false,
      failForAWhile: async () => link.failForAWhile(),
      [Symbol.asyncDispose]: async () => {
        await link[Symbol.asyncDispose]()
        await lake[Symbol.asyncDispose]()
      },
    }
  },
})

/** A schema of its own in the warehouse, and a bucket with a file per record. */
async function openWarehouse() {
  const { accessKey, secretKey } = s3.settings
  const { endpoint } = redshift.settings
  const lake = await openBucket()
  const schema = `conformance_${token()}`
  const credentials = { id: accessKey, secret: new Password(secretKey), sessionToken: null }
  const target = { workgroup: `wg-${token()}`, cluster: '', database: 'dev', dbUser: '', secretArn: '' }
  const session = { sessionKeepAliveSeconds: 0 }
  const api = await openDataApi({ region: 'us-east-1', credentials, endpoint, ...target, ...session })
  const runner = new CopyRunner(api, quickRunner, { clock: systemClock, logger: new RecordingLogger() })
  const never = new AbortController().signal
  let next = 0
  const run = (sql: string) => runner.run([sql], sql, ++next, never)
  await run(`CREATE SCHEMA ${schema}`)
  return {
    lake,
    schema,
    workgroup: target.workgroup,
    arm: async (fault: object) => {
      const body = JSON.stringify({ owner: target.workgroup, ...fault })
      await fetch(`${endpoint}/_admin/faults`, { method: 'POST', body })
    },
    ids: async (): Promise<readonly string[]> => {
      const exists = `SELECT 1 FROM information_schema.tables WHERE table_schema = '${schema}' AND table_name = 'events'`
      if ((await runner.query(exists, never)).length === 0) return []
      return (await runner.query(`SELECT id FROM ${schema}.events`, never)).map(([id]) => String(id))
    },
    [Symbol.asyncDispose]: async () => {
      await run(`DROP SCHEMA ${schema} CASCADE`)
      api.close()
      await lake[Symbol.asyncDispose]()
    },
  }
}

function messageOf(file: MetadataMessage['files'][number], partition: number, offset: number): MetadataMessage {
  const at = BigInt(offset)
  const source = { topic: 'events', partition, firstOffset: at, lastOffset: at, minTs: null, maxTs: null }
  const column = { nullable: true, length: null, precision: null, scale: null }
  return {
    v: 1,
    type: 's3.file.committed',
    id: messageId([file], source, 'value'),
    producer: { connector: 's3', task: 0, host: 'h' },
    role: 'value',
    op: 'append',
    eventKey: 'events',
    table: null,
    source,
    files: [file],
    format: 'json',
    compression: 'none',
    columns: [{ name: 'id', type: 'string', ...column }],
    metaFields: ['__partition', '__offset'],
    schemaId: null,
    commitId: null,
    createdAt: '2024-06-03T16:34:21.010Z',
  }
}

sinkTaskConformance('Redshift', {
  plugin: redshiftSink,
  skip: skipUnless(redshift, s3),
  open: async () => {
    const { accessKey, secretKey, endpoint } = s3.settings
    const warehouse = await openWarehouse()
    const { lake } = warehouse
    const written = new Map<string, SinkRecord>()
    const options = {
      topics: 'files',
      'aws.region': 'us-east-1',
      'aws.access.key.id': accessKey,
      'aws.secret.access.key': secretKey,
      'redshift.data.endpoint': redshift.settings.endpoint,
      's3.endpoint': endpoint,
      'redshift.workgroup.name': warehouse.workgroup,
      'redshift.database': 'dev',
      'redshift.schema': warehouse.schema,
      'batch.linger.ms': '0',
      'poll.initial.ms': '10',
      'poll.max.ms': '50',
      'retry.backoff.ms': '20',
      'auto.create': 'true',
      'overlap.policy': 'filter',
    }
    const record = async (partition: number, offset: number): Promise<SinkRecord> => {
      const id = identity(partition, offset)
      const known = written.get(id)
      if (known !== undefined) return known
      const key = `topics/events/${id}.json`
      const line = `{"id":"${id}","__partition":${partition},"__offset":${offset}}\n`
      const etag = await lake.write(key, line)
      const common = { bucket: lake.bucket, key, region: null, bytes: line.length, recordCount: 1 }
      const file = { ...common, etag, versionId: null, contentHash: null }
      const value = encodeMetadataMessage(messageOf(file, partition, offset))
      const made = new SinkRecord({ topic: 'files', partition, offset: BigInt(offset), value })
      written.set(id, made)
      return made
    }
    return {
      options,
      brokenOptions: { ...options, 'redshift.data.endpoint': 'http://127.0.0.1:9', 'max.retries': '0' },
      topic: 'files',
      record,
      identity,
      written: warehouse.ids,
      duplicates: false,
      failForAWhile: () => warehouse.arm({ kind: 'throttle', count: 4 }),
      [Symbol.asyncDispose]: () => warehouse[Symbol.asyncDispose](),
    }
  },
})
