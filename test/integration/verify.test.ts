import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { encodeMetadataMessage, type MetadataMessage } from '../../connectors/common/metadata-message.ts'
import type { Finding } from '../../worker/cli/verify/finding.ts'
import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import type { Admin } from '../../worker/kafka/types.ts'
import { bytes, Outcomes, record } from '../conformance/kafka-context.ts'
import { projectRoot } from '../support/project-root.ts'
import { messageColumn, type TaskTest, WarehouseTest } from '../support/redshift-sink.ts'
import { requireService, skipUnless } from '../support/services.ts'

const kafka = requireService('kafka')
const skip = skipUnless(kafka, requireService('redshift'), requireService('s3'))

const clients = createKafkaClientFactory()
let warehouse: WarehouseTest
let admin: Admin
let folder: string
let table: string
let events: string
let files: string

const brokers = () => kafka.settings.brokers.join(',')
const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

/** A file of the S3 sink, announced on the metadata topic. */
async function announce(first: number, last: number, line = rowOf): Promise<MetadataMessage> {
  const offsets = range(first, last)
  const body = Buffer.from(offsets.map((offset) => `${JSON.stringify(line(offset))}\n`).join(''))
  const message = await warehouse.write(
    body,
    { first, last, records: offsets.length },
    {
      key: `topics/events/kind=${table}/events+0+${first}.json.gz`,
      compression: 'gzip',
      table,
      columns: [messageColumn('id', 'int64'), messageColumn('amount', 'float64'), messageColumn('at', 'int64')],
      metaFields: ['__partition', '__offset', '__op'],
    },
  )
  const announced = { ...message, source: { ...message.source, topic: events } }
  await produce(files, [encodeMetadataMessage(announced)])
  return announced
}

const rowOf = (offset: number) => ({
  id: offset,
  amount: offset / 4,
  at: offset * 600_000,
  __partition: 0,
  __offset: offset,
})

async function produce(topic: string, values: readonly string[]): Promise<void> {
  await using producer = clients.producer({ 'bootstrap.servers': brokers(), 'linger.ms': '0' })
  await producer.partitionsOf(topic)
  const outcomes = new Outcomes()
  for (const value of values) producer.append(record(topic, { value: bytes(value) }), outcomes)
  await producer.flush()
  assert.deepEqual(outcomes.errors, [])
}

interface Verdict {
  readonly code: number
  readonly findings: readonly Finding[]
  readonly differences: readonly string[]
}

/** Runs the command as a user does. */
async function verify(config: Readonly<Record<string, string>>, ...options: readonly string[]): Promise<Verdict> {
  const file = join(folder, `${table}.json`)
  await writeFile(
    file,
    JSON.stringify({ name: 'warehouse', config: { ...warehouse.sinkConfig(config), topics: files } }),
  )
  const args = [
    join(projectRoot, 'worker/main.ts'),
    'verify',
    file,
    '--tables',
    table,
    '--json',
    '--attempts',
    '1',
    ...options,
  ]
  const { code, stdout, stderr } = await new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, args, (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout: out, stderr: err })
    })
  })
  assert.ok(code < 2, stderr)
  const { findings } = JSON.parse(stdout) as { readonly findings: readonly Finding[] }
  return { code, findings, differences: findings.flatMap(({ differences }) => differences) }
}

async function load(task: TaskTest, ...messages: readonly MetadataMessage[]): Promise<void> {
  await task.deliver(...messages)
  await task.settle()
}

describe('sluice verify', { skip }, () => {
  before(async () => {
    warehouse = await WarehouseTest.open()
    admin = clients.admin({ 'bootstrap.servers': brokers() })
    folder = await mkdtemp(join(tmpdir(), 'sluice-verify-'))
  })

  beforeEach(async () => {
    table = warehouse.tableName()
    events = `${table}-events`
    files = `${table}-files`
    for (const topic of [events, files]) await admin.createTopic({ topic, partitions: 1, replicationFactor: 1 })
    await produce(events, range(0, 119).map(String))
  })

  after(async () => {
    await rm(folder, { recursive: true, force: true })
    await admin.deleteTopics(
      (await admin.listTopics()).filter((topic) => /^events_[0-9a-f]{8}-(events|files)$/.test(topic)),
    )
    await admin.close()
    await warehouse[Symbol.asyncDispose]()
  })

  const everything = () => ['--bootstrap-servers', brokers(), '--files']

  test('finds nothing while all ends agree, and says what is not written yet', async () => {
    await using task = await warehouse.startTask()
    await load(task, await announce(0, 49), await announce(50, 99))
    const { code, findings, differences } = await verify({}, ...everything())
    assert.deepEqual([code, differences], [0, []])
    assert.deepEqual(
      findings.map(({ what }) => what),
      [
        `${events} → files`,
        'metadata topic → ledgers',
        `files → ${warehouse.schema}.${table}`,
        `ledger → ${warehouse.schema}.${table}`,
      ],
    )
    assert.equal(findings[0]?.figures['behind'], 20)
    assert.equal(findings[2]?.figures['rows expected'], 100)
  })

  test('names the row that was removed and the one that was planted by hand', async () => {
    await using task = await warehouse.startTask()
    await load(task, await announce(0, 49), await announce(50, 99))
    const target = `${warehouse.schema}.${table}`
    await warehouse.run(`DELETE FROM ${target} WHERE id = 17`)
    const removed = await verify({}, ...everything())
    assert.equal(removed.code, 1)
    assert.deepEqual(removed.differences, ['1 rows are missing: 0-17', '1 rows of the ledger are missing'])
    await warehouse.run(
      `INSERT INTO ${target} (id, __partition, __offset) VALUES (17, 0, 17), (5, 0, 5), (900, 0, 900)`,
    )
    const planted = await verify({}, ...everything())
    assert.deepEqual(planted.differences, [
      '2 rows are too many: 0-5 (2 times), 0-900',
      '2 rows more than the ledger says were loaded',
      '1 rows have the offset of another row',
    ])
  })

  test('names an announced file that nobody loaded', async () => {
    await using task = await warehouse.startTask()
    await load(task, await announce(0, 9))
    await announce(10, 19)
    const { code, differences } = await verify({}, '--bootstrap-servers', brokers())
    assert.equal(code, 1)
    assert.match(
      differences.join(),
      /1 announced files are not loaded: topics\/events\/kind=.*\/events\+0\+10\.json\.gz/,
    )
  })

  test('a warehouse that does not answer is told of, soon and without a verdict', async () => {
    const file = join(folder, 'away.json')
    const config = { ...warehouse.sinkConfig({}), topics: files, 'redshift.data.endpoint': 'http://127.0.0.1:1' }
    await writeFile(file, JSON.stringify({ name: 'warehouse', config }))
    const args = [join(projectRoot, 'worker/main.ts'), 'verify', file, '--attempts', '1']
    // Killed after a minute: it used to wait as long as the sink does.
    const { code, text } = await new Promise<{ code: unknown; text: string }>((resolve) => {
      execFile(process.execPath, args, { timeout: 60_000 }, (error, _out, err) =>
        resolve({ code: error?.code, text: err }),
      )
    })
    assert.equal(code, 2, text)
    assert.match(text, /could not be made: .*ECONNREFUSED 127\.0\.0\.1:1/)
  })

  test('another cut of the same records is no difference', async () => {
    await using task = await warehouse.startTask()
    await load(task, await announce(0, 29))
    await load(task, await announce(10, 39))
    const { code, differences } = await verify({}, ...everything())
    assert.deepEqual([code, differences], [0, []])
  })

  test('with upserts the files are folded by key', async () => {
    const upsert = { 'insert.mode': 'upsert', 'pk.fields': 'id', 'delete.enabled': 'true' }
    const change = (offset: number) => ({ ...rowOf(offset), id: offset % 7, __op: offset % 5 === 0 ? 'd' : 'u' })
    await using task = await warehouse.startTask(upsert)
    await load(task, await announce(0, 29, change), await announce(30, 44, change))
    const clean = await verify(upsert, ...everything())
    assert.deepEqual([clean.code, clean.differences], [0, []])
    await warehouse.run(`UPDATE ${warehouse.schema}.${table} SET __offset = 3 WHERE __offset = 44`)
    const { differences } = await verify(upsert, ...everything())
    assert.deepEqual(differences, ['1 rows are missing: 0-44', '1 rows are too many: 0-3'])
  })

  test('two tables are compared by hour and key, and the rows that differ are named', async () => {
    const legacy = `legacy_${table}`
    await warehouse.run(`CREATE SCHEMA ${legacy}`)
    try {
      await using task = await warehouse.startTask()
      await load(task, await announce(0, 99))
      const target = `${warehouse.schema}.${table}`
      await warehouse.run(`CREATE TABLE ${legacy}.${table} AS SELECT id, amount, at FROM ${target}`)
      const against = ['--against', legacy, '--key', 'id', '--time', 'at']
      const equal = await verify({}, ...against)
      assert.deepEqual([equal.code, equal.differences], [0, []])
      await warehouse.run(`UPDATE ${target} SET amount = 0.5 WHERE id = 40`)
      await warehouse.run(`DELETE FROM ${legacy}.${table} WHERE id IN (7, 8)`)
      await warehouse.run(`INSERT INTO ${legacy}.${table} (id, amount, at) VALUES (1000, 1, 0)`)
      const { code, differences } = await verify({}, ...against)
      assert.equal(code, 1)
      assert.deepEqual(differences, [
        `1 rows of ${legacy}.${table} are not in ${target}: 1000`,
        `2 rows of ${target} are not in ${legacy}.${table}: 7, 8`,
        '1 rows differ: 40',
      ])
      // What is younger than the limit may be on its way.
      const early = await verify({}, ...against, '--until', new Date(40 * 600_000).toISOString())
      assert.ok(early.differences.every((text) => !text.includes('differ')))
    } finally {
      await warehouse.run(`DROP SCHEMA ${legacy} CASCADE`)
    }
  })
})
