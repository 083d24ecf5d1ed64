/** What tests of the Redshift sink share: a schema and a bucket of their own, files with their messages, running tasks. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { ListStatementsCommand, RedshiftDataClient, type StatementData } from '@aws-sdk/client-redshift-data'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3'
import {
  encodeMetadataMessage,
  type MessageColumn,
  type MetadataMessage,
  messageId,
} from '../../connectors/common/metadata-message.ts'
import type { ObjectStore } from '../../connectors/common/object-store.ts'
import { openObjectStore } from '../../connectors/common/s3-client.ts'
import { CopyRunner, type RunnerOptions } from '../../connectors/redshift/copy-runner.ts'
import { type DataApi, openDataApi, type ResultRow } from '../../connectors/redshift/data-api.ts'
import { plugin } from '../../connectors/redshift/index.ts'
import { RedshiftSinkTask } from '../../connectors/redshift/task.ts'
import { Password } from '../../worker/api/config.ts'
import type { Logger, Metrics, TopicProducer } from '../../worker/api/context.ts'
import type { Value } from '../../worker/api/data.ts'
import { ConnectError, type ErrorContext } from '../../worker/api/errors.ts'
import { SinkRecord } from '../../worker/api/record.ts'
import type { SinkTaskContext } from '../../worker/api/task.ts'
import { TopicPartitionMap } from '../../worker/api/topic-partition.ts'
import { parseConfig } from '../../worker/config/config-def.ts'
import { systemClock } from '../../worker/util/clock.ts'
import { requireService } from './services.ts'

/** Where the emulator and the S3 server are. */
interface WarehouseSettings {
  readonly redshiftEndpoint: string
  readonly s3Endpoint: string
  readonly accessKey: string
  readonly secretKey: string
}

/** Where a file of the tests goes, and what its message says beside the obvious. */
export interface FileOptions {
  readonly key: string
  readonly format?: string
  readonly compression?: 'gzip' | 'none'
  readonly columns?: readonly MessageColumn[] | null
  readonly metaFields?: readonly string[]
  readonly partition?: number
  readonly table?: string | null
  readonly role?: MetadataMessage['role']
  readonly op?: MetadataMessage['op']
}

/** A message that was reported. */
export interface Reported {
  readonly offset: bigint
  readonly message: string
  readonly context: ErrorContext
}

const filePartition = { topic: 'files', partition: 0 }
const instrument = { add() {}, set() {}, observe() {} }
/** Of a `CopyRunner` whose server answers at once. */
export const quickRunner: RunnerOptions = {
  pollInitialMs: 10,
  pollMaxMs: 50,
  waitSeconds: 0,
  statementTimeoutMs: 20_000,
  maxRetries: 3,
  retryBackoffMs: 20,
}
export const noMetrics: Metrics = { counter: () => instrument, gauge: () => instrument, histogram: () => instrument }
export const noLogger: Logger = { trace() {}, debug() {}, info() {}, warn() {}, error() {} }
const never = new AbortController().signal

/** One load as the Data API lists it. */
export interface Load {
  readonly sql: string
  readonly status: string
  /** When it was submitted and when it ended, in ms since 1970. */
  readonly fromMs: number
  readonly toMs: number
}

/** The greatest number of loads under way at one instant. */
export function mostAtOnce(loads: readonly Load[]): number {
  const under = loads.map(({ fromMs }) => loads.filter((load) => load.fromMs <= fromMs && load.toMs > fromMs).length)
  return Math.max(0, ...under)
}

/** A column that may be null, of unknown length. */
export function messageColumn(
  name: string,
  type: MessageColumn['type'],
  parts: Partial<MessageColumn> = {},
): MessageColumn {
  return { name, type, nullable: true, length: null, precision: null, scale: null, ...parts }
}

export class WarehouseTest implements AsyncDisposable {
  readonly schema: string
  readonly bucket: string
  readonly workgroup: string
  readonly store: ObjectStore
  readonly runner: CopyRunner
  readonly #api: DataApi
  readonly #settings: WarehouseSettings
  #statements = 0

  private constructor(settings: WarehouseSettings, drivers: { store: ObjectStore; api: DataApi; names: string }) {
    this.#settings = settings
    this.#api = drivers.api
    this.store = drivers.store
    this.workgroup = `wg-${drivers.names}`
    this.bucket = `sluice-test-${drivers.names}`
    this.schema = `test_${drivers.names}`
    this.runner = new CopyRunner(drivers.api, quickRunner, { clock: systemClock, logger: noLogger })
  }

  /** @throws Error naming the variable to set when a server is not there */
  static async open(): Promise<WarehouseTest> {
    const { endpoint, accessKey, secretKey } = requireService('s3').settings
    const redshiftEndpoint = requireService('redshift').settings.endpoint
    const settings = { redshiftEndpoint, s3Endpoint: endpoint, accessKey, secretKey }
    const names = randomBytes(5).toString('hex')
    const credentials = { id: settings.accessKey, secret: new Password(settings.secretKey), sessionToken: null }
    const store = await openObjectStore({
      region: 'us-east-1',
      credentials,
      endpoint: settings.s3Endpoint,
      pathStyle: true,
      accelerate: false,
      attempts: 3,
      backoffMs: 50,
      checksums: 'WHEN_REQUIRED',
      expectContinue: false,
    })
    const api = await openDataApi({
      region: 'us-east-1',
      credentials,
      endpoint: settings.redshiftEndpoint,
      workgroup: `wg-${names}`,
      cluster: '',
      database: 'dev',
      dbUser: '',
      secretArn: '',
      sessionKeepAliveSeconds: 0,
    })
    const opened = new WarehouseTest(settings, { store, api, names })
    using client = opened.#s3Client()
    await client.sdk.send(new CreateBucketCommand({ Bucket: opened.bucket }))
    await opened.run(`CREATE SCHEMA ${opened.schema}`)
    return opened
  }

  /** A name that no other test has. */
  tableName(): string {
    return `events_${randomBytes(4).toString('hex')}`
  }

  /** Runs a statement to its end. */
  async run(sql: string): Promise<void> {
    const outcome = await this.runner.run([sql], sql, ++this.#statements, never)
    assert.equal(outcome.kind, 'finished', JSON.stringify(outcome))
  }

  async query(sql: string): Promise<readonly ResultRow[]> {
    return this.runner.query(sql, never)
  }

  /** Texts of the statements that ran lately, those of other tests too. */
  async statements(): Promise<readonly string[]> {
    return (await this.#listed()).flatMap(({ QueryString, QueryStrings = [] }) => [...QueryStrings, QueryString ?? ''])
  }

  /** The loads of this schema that ran lately, oldest first. */
  async loads(): Promise<readonly Load[]> {
    const statements = await this.#listed()
    return statements
      .filter(({ QueryStrings = [] }) =>
        QueryStrings.some((sql) => sql.startsWith('COPY ') && sql.includes(this.schema)),
      )
      .map(({ QueryStrings = [], Status = '', CreatedAt, UpdatedAt }) => ({
        sql: QueryStrings.join('\n'),
        status: Status,
        fromMs: CreatedAt?.getTime() ?? 0,
        toMs: UpdatedAt?.getTime() ?? 0,
      }))
      .reverse()
  }

  async #listed(): Promise<readonly StatementData[]> {
    const { accessKey, secretKey, redshiftEndpoint: endpoint } = this.#settings
    const credentials = { accessKeyId: accessKey, secretAccessKey: secretKey }
    const client = new RedshiftDataClient({ region: 'us-east-1', endpoint, credentials })
    try {
      const { Statements = [] } = await client.send(
        new ListStatementsCommand({ MaxResults: 100, WorkgroupName: this.workgroup }),
      )
      return Statements
    } finally {
      client.destroy()
    }
  }

  /** The column `id` of a table of the schema, in order. */
  async ids(table: string): Promise<readonly number[]> {
    const rows = await this.query(`SELECT id FROM ${this.schema}.${table} ORDER BY id`)
    return rows.map(([id]) => Number(id))
  }

  /** Makes the emulator misbehave towards this test alone. */
  async arm(fault: object): Promise<void> {
    const body = JSON.stringify({ owner: this.workgroup, ...fault })
    const answer = await fetch(`${this.#settings.redshiftEndpoint}/_admin/faults`, { method: 'POST', body })
    assert.ok(answer.ok, await answer.text())
  }

  /** Writes an object and answers with its message; offsets are those of the first and the last record in it. */
  async write(
    body: Uint8Array,
    range: { readonly first: number; readonly last: number; readonly records: number },
    options: FileOptions,
  ): Promise<MetadataMessage> {
    const { bucket } = this
    const { key, compression = 'none', role = 'value' } = options
    const bytes = compression === 'gzip' ? gzipSync(body) : body
    const written = await this.store.put({ bucket, key }, Buffer.from(bytes), {
      contentType: 'binary/octet-stream',
      cannedAcl: null,
      encryption: null,
      kmsKeyId: null,
      customerKey: null,
      contentMd5: false,
      onlyIfAbsent: false,
    })
    const offsets = { firstOffset: BigInt(range.first), lastOffset: BigInt(range.last) }
    const source = { topic: 'events', partition: options.partition ?? 0, ...offsets, minTs: null, maxTs: null }
    const file = {
      bucket,
      key,
      region: null,
      bytes: bytes.length,
      recordCount: range.records,
      ...written,
      contentHash: null,
    }
    return {
      v: 1,
      type: 's3.file.committed',
      id: messageId([file], source, role),
      producer: { connector: 's3', task: 0, host: 'h' },
      role,
      op: options.op ?? 'append',
      eventKey: options.table ?? null,
      table: null,
      source,
      files: [file],
      format: options.format ?? 'json',
      compression,
      columns: options.columns ?? null,
      metaFields: options.metaFields ?? [],
      schemaId: null,
      commitId: null,
      createdAt: '2024-06-03T16:34:21.010Z',
    }
  }

  /** A running task over a log of messages, which begins at offset 0. */
  async startTask(config: Readonly<Record<string, string>> = {}): Promise<TaskTest> {
    return TaskTest.start(this.sinkConfig(config))
  }

  /** The sink's configuration for this warehouse: quick, creating tables, and with these changes. */
  sinkConfig(config: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
    const { accessKey, secretKey, redshiftEndpoint, s3Endpoint } = this.#settings
    return {
      topics: 'files',
      'aws.region': 'us-east-1',
      'aws.access.key.id': accessKey,
      'aws.secret.access.key': secretKey,
      'redshift.data.endpoint': redshiftEndpoint,
      's3.endpoint': s3Endpoint,
      'redshift.workgroup.name': this.workgroup,
      'redshift.database': 'dev',
      'redshift.schema': this.schema,
      'batch.linger.ms': '0',
      'poll.initial.ms': '10',
      'poll.max.ms': '50',
      'retry.backoff.ms': '20',
      'auto.create': 'true',
      'overlap.policy': 'filter',
      ...config,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run(`DROP SCHEMA ${this.schema} CASCADE`)
    using client = this.#s3Client()
    const { Contents = [] } = await client.sdk.send(new ListObjectsV2Command({ Bucket: this.bucket }))
    for (const { Key } of Contents) await client.sdk.send(new DeleteObjectCommand({ Bucket: this.bucket, Key }))
    await client.sdk.send(new DeleteBucketCommand({ Bucket: this.bucket }))
    this.#api.close()
    await this.store.close()
  }

  #s3Client(): { readonly sdk: S3Client } & Disposable {
    const { s3Endpoint: endpoint, accessKey, secretKey } = this.#settings
    const credentials = { accessKeyId: accessKey, secretAccessKey: secretKey }
    const sdk = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
    return { sdk, [Symbol.dispose]: () => sdk.destroy() }
  }
}

const noTopicProducer: TopicProducer = { send: async () => {}, ensureTopic: async () => {} }

/** A task that is given messages, and what it reports. */
export class TaskTest implements AsyncDisposable {
  readonly reports: Reported[] = []
  readonly #task = new RedshiftSinkTask()
  #position = 0n

  static async start(raw: Readonly<Record<string, string>>): Promise<TaskTest> {
    const test = new TaskTest()
    const context: SinkTaskContext = {
      connector: 'warehouse',
      task: 0,
      logger: noLogger,
      metrics: noMetrics,
      clock: systemClock,
      rawConfig: raw,
      producer: noTopicProducer,
      producerWith: () => noTopicProducer,
      assignment: () => [filePartition],
      pause() {},
      resume() {},
      seek() {},
      timeout() {},
      requestCommit() {},
      report: async ({ offset }, error) => {
        const context = error instanceof ConnectError ? error.context : {}
        test.reports.push({ offset, message: error.message, context })
      },
    }
    await test.#task.start(parseConfig(plugin.config, raw), context)
    await test.#task.open([filePartition])
    return test
  }

  /** Offsets of the reported messages. */
  get reported(): readonly bigint[] {
    return this.reports.map(({ offset }) => offset)
  }

  async committable(): Promise<bigint | undefined> {
    const offsets = await this.#task.preCommit(TopicPartitionMap.from([[filePartition, this.#position]]))
    return offsets.get(filePartition.topic, filePartition.partition)
  }

  async deliver(...messages: readonly MetadataMessage[]): Promise<void> {
    await this.deliverValues(...messages.map(encodeMetadataMessage))
  }

  async deliverValues(...values: readonly Value[]): Promise<void> {
    const records = values.map((value) => new SinkRecord({ ...filePartition, offset: this.#position++, value }))
    await this.#task.put(records, never)
  }

  /** Calls `put` as an idle worker does, until every message is done. */
  async settle(): Promise<void> {
    const deadline = Date.now() + 30_000
    while ((await this.committable()) !== this.#position) {
      assert.ok(Date.now() < deadline, 'loads do not end')
      await this.idle()
    }
  }

  /** One call of `put` without records, as a worker makes it when there are none. */
  async idle(): Promise<void> {
    await this.#task.put([], never)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#task.close([filePartition])
    await this.#task.stop()
  }
}
