import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, beforeEach, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3'
import { encodeMetadataMessage, type MetadataMessage, messageId } from '../../connectors/common/metadata-message.ts'
import { type ObjectStore, openObjectStore } from '../../connectors/common/s3-client.ts'
import { CopyRunner } from '../../connectors/redshift/copy-runner.ts'
import { type DataApi, openDataApi } from '../../connectors/redshift/data-api.ts'
import { plugin } from '../../connectors/redshift/index.ts'
import { RedshiftSinkTask } from '../../connectors/redshift/task.ts'
import { Password } from '../../worker/api/config.ts'
import type { Logger, Metrics, TopicRecord } from '../../worker/api/context.ts'
import { SinkRecord } from '../../worker/api/record.ts'
import type { SinkTaskContext } from '../../worker/api/task.ts'
import { TopicPartitionMap } from '../../worker/api/topic-partition.ts'
import { parseConfig } from '../../worker/config/config-def.ts'
import { systemClock } from '../../worker/util/clock.ts'
import { ManualClock, SinkHarness } from '../conformance/s3/sink-harness.ts'
import { seededRandom } from '../support/random.ts'
import { requireService, skipUnless } from '../support/services.ts'

const redshift = requireService('redshift')
const s3 = requireService('s3')
const skip = skipUnless(redshift, s3)

const id = randomBytes(5).toString('hex')
const workgroup = `wg-${id}`
const bucket = `sluice-test-${id}`
const schema = `test_${id}`
const partition = { topic: 'files', partition: 0 }
const logger: Logger = { trace() {}, debug() {}, info() {}, warn() {}, error() {} }
const instrument = { add() {}, set() {}, observe() {} }
const metrics: Metrics = { counter: () => instrument, gauge: () => instrument, histogram: () => instrument }

let store: ObjectStore
let api: DataApi
let runner: CopyRunner
let table: string
let next = 0
const never = new AbortController().signal

const arm = async (fault: object) => {
  const body = JSON.stringify({ owner: workgroup, ...fault })
  const answer = await fetch(`${redshift.settings.endpoint}/_admin/faults`, { method: 'POST', body })
  assert.ok(answer.ok, await answer.text())
}

async function run(sql: string): Promise<void> {
  const outcome = await runner.run([sql], sql, ++next, never)
  assert.equal(outcome.kind, 'finished', JSON.stringify(outcome))
}

const loadedIds = async () => {
  const rows = await runner.query(`SELECT id FROM ${schema}.${table} ORDER BY id`, never)
  return rows.map(([value]) => Number(value))
}

const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

/** Writes the file of an offset range and answers with its message. */
async function writeFile(
  first: number,
  last: number,
  options: { name?: string; broken?: boolean } = {},
): Promise<MetadataMessage> {
  const key = `topics/events/kind=${table}/${options.name ?? `events+0+${first}`}.json.gz`
  const lines = range(first, last).map((offset) => {
    const value = options.broken === true ? '"no number"' : offset
    return `{"id":${value},"Name":"it's \\\\ ${offset}","extra":{"a":[1]},"__partition":0,"__offset":${offset}}\n`
  })
  const body = gzipSync(lines.join(''))
  const plain = {
    contentType: 'binary/octet-stream',
    cannedAcl: null,
    encryption: null,
    kmsKeyId: null,
    customerKey: null,
  }
  const written = await store.put({ bucket, key }, body, { ...plain, contentMd5: false, onlyIfAbsent: false })
  const source = {
    topic: 'events',
    partition: 0,
    firstOffset: BigInt(first),
    lastOffset: BigInt(last),
    minTs: null,
    maxTs: null,
  }
  const file = {
    bucket,
    key,
    region: null,
    bytes: body.length,
    recordCount: lines.length,
    ...written,
    contentHash: null,
  }
  const column = { nullable: true, length: null, precision: null, scale: null }
  return {
    v: 1,
    type: 's3.file.committed',
    id: messageId([file], source, 'value'),
    producer: { connector: 's3', task: 0, host: 'h' },
    role: 'value',
    op: 'append',
    eventKey: table,
    table: null,
    source,
    files: [file],
    format: 'json',
    compression: 'gzip',
    columns: [
      { name: 'id', type: 'int64', ...column },
      { name: 'Name', type: 'string', ...column },
      { name: 'extra', type: 'struct', ...column },
    ],
    metaFields: ['__partition', '__offset'],
    schemaId: null,
    commitId: null,
    createdAt: '2024-06-03T16:34:21.010Z',
  }
}

/** A running task over a log of messages; a new one begins at the offset that it is given. */
async function startTask(config: Readonly<Record<string, string>> = {}) {
  const { accessKey, secretKey } = s3.settings
  const raw = {
    topics: 'files',
    'aws.region': 'us-east-1',
    'aws.access.key.id': accessKey,
    'aws.secret.access.key': secretKey,
    'redshift.data.endpoint': redshift.settings.endpoint,
    's3.endpoint': s3.settings.endpoint,
    'redshift.workgroup.name': workgroup,
    'redshift.database': 'dev',
    'redshift.schema': schema,
    'batch.linger.ms': '0',
    'poll.initial.ms': '10',
    'poll.max.ms': '50',
    'retry.backoff.ms': '20',
    'auto.create': 'true',
    'overlap.policy': 'filter',
    ...config,
  }
  const reported: bigint[] = []
  let position = 0n
  const context: SinkTaskContext = {
    connector: 'warehouse',
    task: 0,
    logger,
    metrics,
    clock: systemClock,
    rawConfig: raw,
    producer: { send: async () => {}, ensureTopic: async () => {} },
    assignment: () => [partition],
    pause() {},
    resume() {},
    seek() {},
    timeout() {},
    requestCommit() {},
    report: async (record) => void reported.push(record.offset),
  }
  const task = new RedshiftSinkTask()
  await task.start(parseConfig(plugin.config, raw), context)
  await task.open([partition])
  const committable = async () => {
    const offsets = await task.preCommit(TopicPartitionMap.from([[partition, position]]))
    return offsets.get(partition.topic, partition.partition)
  }
  return {
    reported,
    committable,
    async deliver(...messages: readonly MetadataMessage[]): Promise<void> {
      const records = messages.map((message) => {
        const value = encodeMetadataMessage(message)
        return new SinkRecord({ ...partition, offset: position++, value })
      })
      await task.put(records, never)
    },
    /** Calls `put` as an idle worker does, until every message is done. */
    async settle(): Promise<void> {
      const deadline = Date.now() + 30_000
      while ((await committable()) !== position) {
        assert.ok(Date.now() < deadline, 'loads do not end')
        await task.put([], never)
      }
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await task.close([partition])
      await task.stop()
    },
  }
}

function s3Client(): S3Client {
  const { endpoint, accessKey, secretKey } = s3.settings
  const credentials = { accessKeyId: accessKey, secretAccessKey: secretKey }
  return new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
}

describe('Redshift sink', { skip }, () => {
  before(async () => {
    const { endpoint, accessKey, secretKey } = s3.settings
    const credentials = { id: accessKey, secret: new Password(secretKey), sessionToken: null }
    const shared = { region: 'us-east-1', credentials }
    store = await openObjectStore({
      ...shared,
      endpoint,
      pathStyle: true,
      accelerate: false,
      attempts: 3,
      backoffMs: 50,
      checksums: 'WHEN_REQUIRED',
      expectContinue: false,
    })
    api = await openDataApi({
      ...shared,
      endpoint: redshift.settings.endpoint,
      workgroup,
      cluster: '',
      database: 'dev',
      dbUser: '',
      secretArn: '',
    })
    const options = { pollInitialMs: 10, pollMaxMs: 50, statementTimeoutMs: 20_000, maxRetries: 3, retryBackoffMs: 20 }
    runner = new CopyRunner(api, options, { clock: systemClock, logger })
    const client = s3Client()
    await client.send(new CreateBucketCommand({ Bucket: bucket }))
    client.destroy()
    await run(`CREATE SCHEMA ${schema}`)
  })

  beforeEach(() => {
    table = `events_${randomBytes(4).toString('hex')}`
  })

  after(async () => {
    await run(`DROP SCHEMA ${schema} CASCADE`)
    const client = s3Client()
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }))
    for (const { Key } of Contents) await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }))
    await client.send(new DeleteBucketCommand({ Bucket: bucket }))
    client.destroy()
    api.close()
    await store.close()
  })

  test('creates table and ledger, loads files together, text and structures intact', async () => {
    await using task = await startTask()
    await task.deliver(await writeFile(0, 4), await writeFile(5, 9))
    await task.settle()
    assert.deepEqual(await loadedIds(), range(0, 9))
    const [row] = await runner.query(`SELECT name, extra, __offset FROM ${schema}.${table} WHERE id = 3`, never)
    assert.equal(row?.[0], "it's \\ 3")
    assert.deepEqual(JSON.parse(String(row?.[1])), { a: [1] })
    assert.equal(await task.committable(), 2n)
  })

  test('repeated and reordered messages, and a restart from offset 0, load each row once', async () => {
    const files = [await writeFile(0, 4), await writeFile(5, 9), await writeFile(10, 14)] as const
    await using task = await startTask()
    await task.deliver(files[2], files[0], files[0], files[1], files[2])
    await task.settle()
    await task.deliver(...files)
    await task.settle()
    await using restarted = await startTask()
    await restarted.deliver(...files)
    await restarted.settle()
    assert.deepEqual(await loadedIds(), range(0, 14))
    assert.deepEqual(task.reported, [])
  })

  test('another cut of the same records loads only the rows that are missing', async () => {
    await using task = await startTask()
    await task.deliver(await writeFile(0, 30))
    await task.settle()
    // After a crash the wall clock cuts elsewhere: the same name with more, or the next free name.
    await task.deliver(
      await writeFile(0, 50),
      await writeFile(20, 60, { name: 'events+0+21' }),
      await writeFile(61, 62),
    )
    await task.settle()
    assert.deepEqual(await loadedIds(), range(0, 62))
  })

  test('overlap.policy=fail stops the task and names both ranges', async () => {
    await using task = await startTask({ 'overlap.policy': 'fail' })
    await task.deliver(await writeFile(0, 30))
    await task.settle()
    await task.deliver(await writeFile(20, 40))
    await assert.rejects(task.settle(), { code: 'CONNECT_REDSHIFT_OVERLAP', message: /20-40.*0-30/ })
    assert.deepEqual(await loadedIds(), range(0, 30))
  })

  for (const fault of [
    { kind: 'drop-response', operation: 'BatchExecuteStatement' },
    { kind: 'abort-though-committed', sqlContains: 'COPY' },
    { kind: 'fail-commit', sqlContains: 'COPY' },
    { kind: 'serializable-violation', sqlContains: 'COPY' },
    { kind: 'throttle', operation: 'DescribeStatement', count: 3 },
    { kind: 'active-statements', operation: 'BatchExecuteStatement', count: 2 },
    { kind: 'internal-error', operation: 'BatchExecuteStatement', count: 2 },
  ]) {
    test(`${fault.kind}: every row once`, async () => {
      await using task = await startTask()
      await task.deliver(await writeFile(0, 9))
      await task.settle()
      await arm(fault)
      await task.deliver(await writeFile(10, 19), await writeFile(20, 29))
      await task.settle()
      assert.deepEqual(await loadedIds(), range(0, 29))
      assert.deepEqual(task.reported, [])
    })
  }

  test('two loaders with the same messages at the same time load each row once', async () => {
    const files = await Promise.all([writeFile(0, 9), writeFile(10, 19), writeFile(20, 29)])
    await using one = await startTask()
    await using two = await startTask()
    await Promise.all([one.deliver(...files), two.deliver(...files)])
    await Promise.all([one.settle(), two.settle()])
    assert.deepEqual(await loadedIds(), range(0, 29))
  })

  test('one bad file among many is reported, the others are loaded', async () => {
    await using task = await startTask()
    const files = await Promise.all([
      writeFile(0, 9),
      writeFile(10, 19),
      writeFile(20, 29, { broken: true }),
      writeFile(30, 39),
    ])
    await task.deliver(...files)
    await task.settle()
    assert.deepEqual(await loadedIds(), [...range(0, 19), ...range(30, 39)])
    assert.deepEqual(task.reported, [2n])
  })

  test('a wrong count rolls back and is reported; a missing file by its policy', async () => {
    await using task = await startTask({ 'behavior.on.missing.file': 'dlq' })
    const wrong = await writeFile(0, 4)
    const counted = { ...wrong, files: wrong.files.map((file) => ({ ...file, recordCount: 6 })) }
    const gone = await writeFile(5, 9)
    for (const file of gone.files) await store.remove(file)
    await task.deliver(counted, gone, await writeFile(10, 14))
    await task.settle()
    assert.deepEqual(await loadedIds(), range(10, 14))
    assert.deepEqual(task.reported.sort(), [0n, 1n])
  })

  test('S3 sink and Redshift sink with crashes and cuts of the clock: the table is the set of events', async () => {
    const random = seededRandom()
    const clock = new ManualClock()
    const committed = new TopicPartitionMap<bigint>()
    const sent: TopicRecord[] = []
    const log = range(0, 299).map(
      (offset) =>
        new SinkRecord({ topic: 'events', partition: 0, offset: BigInt(offset), value: { kind: table, id: offset } }),
    )
    const s3Config = {
      topics: 'events',
      's3.bucket.name': bucket,
      'topics.dir': `chaos-${table}`,
      's3.compression.type': 'gzip',
      'partitioner.class': 'io.confluent.connect.storage.partitioner.FieldPartitioner',
      'partition.field.name': 'kind',
      'flush.size': '40',
      'rotate.schedule.interval.ms': '7000',
      timezone: 'UTC',
      'format.output.meta.fields': 'partition,offset',
      'notify.topic': 'files',
    }
    let produced = 0
    for (let life = 0; produced < log.length || life < 12; life++) {
      const sink = await SinkHarness.start({ store, clock, committed, sent, config: s3Config })
      await sink.assign({ topic: 'events', partition: 0 })
      sink.append(log.slice(0, produced))
      for (let round = 0; round < 3; round++) {
        const more = log.slice(produced, produced + random.integer(1, 20))
        produced += more.length
        sink.append(more)
        clock.advance(random.integer(0, 9000))
        await sink.poll()
        if (random.integer(0, 2) === 0) await sink.commit()
      }
      // Without a last commit: what is visible or announced by now comes again, cut elsewhere.
    }
    const last = await SinkHarness.start({ store, clock, committed, sent, config: s3Config })
    await last.assign({ topic: 'events', partition: 0 })
    last.append(log)
    await last.settle(20_000)
    assert.equal(last.offset('events'), 300n)
    const messages = last.messages
    assert.ok(
      messages.length > new Set(messages.map((m) => m.source.firstOffset)).size,
      `no overlap (seed ${random.seed})`,
    )
    for (let at = 0; at < messages.length; ) {
      // A loader that dies after any batch; the next one reads some messages again.
      await using task = await startTask()
      const take = random.integer(1, 12)
      await task.deliver(...messages.slice(Math.max(0, at - random.integer(0, 3)), at + take))
      if (random.integer(0, 2) > 0 || at + take >= messages.length) {
        await task.settle()
        at += take
      }
    }
    assert.deepEqual(await loadedIds(), range(0, 299), `seed ${random.seed}`)
  })
})
