import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
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
  const { code, stdout, stderr } = await command(config, '--tables', table, '--json', ...options)
  assert.ok(code < 2, stderr)
  const { findings } = JSON.parse(stdout) as { readonly findings: readonly Finding[] }
  return { code, findings, differences: findings.flatMap(({ differences }) => differences) }
}

async function command(config: Readonly<Record<string, string>>, ...options: readonly string[]) {
  const file = join(folder, `${table}.json`)
  await writeFile(
    file,
    JSON.stringify({ name: 'warehouse', config: { ...warehouse.sinkConfig({ topics: files, ...config }) } }),
  )
  const args = [join(projectRoot, 'worker/main.ts'), 'verify', file, '--attempts', '1', ...options]
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, args, (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout: out, stderr: err })
    })
  })
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

  test('sees rows that no record left, and those that stand in for others', async () => {
    await using task = await warehouse.startTask()
    await load(task, await announce(0, 49))
    const target = `${warehouse.schema}.${table}`
    await warehouse.run(`INSERT INTO ${target} (id, __partition, __offset) VALUES (900, NULL, NULL), (901, 0, -3)`)
    // As many rows as before, and their offsets have the same sum.
    await warehouse.run(`UPDATE ${target} SET __offset = 6 WHERE __offset IN (5, 7)`)
    const { code, differences } = await verify({}, ...everything())
    assert.equal(code, 1)
    assert.deepEqual(differences, [
      '2 rows are missing: 0-5, 0-7',
      '1 rows are too many: 0-6 (3 times)',
      '2 rows are of no record: they have no __partition and __offset',
      '2 rows more than the ledger says were loaded',
      '2 rows have the offset of another row',
    ])
  })

  test('what topic and ledger no longer remember is no difference, but what came since', async () => {
    await using task = await warehouse.startTask()
    await load(task, await announce(0, 49), await announce(50, 99))
    // Retention has removed the first message, the purge the first row of the ledger.
    // oxlint-disable-next-line no-restricted-imports -- nothing of the product removes records of a topic
    const { Kafka, logLevel } = await import('kafkajs')
    const kafkaAdmin = new Kafka({ brokers: [...kafka.settings.brokers], logLevel: logLevel.NOTHING }).admin()
    try {
      await kafkaAdmin.connect()
      await kafkaAdmin.fetchTopicMetadata({ topics: [files] })
      await kafkaAdmin.deleteTopicRecords({ topic: files, partitions: [{ partition: 0, offset: '1' }] })
    } finally {
      await kafkaAdmin.disconnect()
    }
    await warehouse.run(`DELETE FROM ${warehouse.schema}.kc_ledger_${table} WHERE first_offset = 0`)
    const { code, findings, differences } = await verify({}, ...everything())
    assert.deepEqual([code, differences], [0, []])
    const notes = findings.flatMap((finding) => finding.notes).join('; ')
    assert.match(
      notes,
      /50 rows are of no file that can be looked at.*50 rows are older than what the ledger remembers/,
    )
    await warehouse.run(`DELETE FROM ${warehouse.schema}.${table} WHERE id = 60`)
    await warehouse.run(`INSERT INTO ${warehouse.schema}.${table} (id, __partition, __offset) VALUES (61, 0, 61)`)
    const later = await verify({}, ...everything())
    assert.deepEqual(later.differences.slice(0, 2), ['1 rows are missing: 0-60', '1 rows are too many: 0-61 (2 times)'])
  })

  test('every record is in a file, or named; markers and aborted records are none', async () => {
    // Offsets 120–129 are committed, 130 is the marker; 131–133 are aborted, 134 their marker; then 135–136.
    await using producer = clients.producer({ 'bootstrap.servers': brokers(), 'transactional.id': `${table}-tx` })
    await producer.partitionsOf(events)
    await producer.initTransactions()
    for (const [count, ends] of [
      [10, 'commit'],
      [3, 'abort'],
    ] as const) {
      producer.beginTransaction()
      for (let i = 0; i < count; i++) producer.append(record(events, { value: bytes(String(i)) }), new Outcomes())
      await producer.flush()
      await (ends === 'commit' ? producer.commitTransaction() : producer.abortTransaction())
    }
    await produce(events, ['a', 'b'])
    await using task = await warehouse.startTask()
    await load(task, await announce(0, 49), await announce(52, 129), await announce(135, 136))
    const noted = await verify({}, '--bootstrap-servers', brokers())
    assert.equal(noted.code, 0)
    assert.match(noted.findings[0]?.notes.join() ?? '', /^7 offsets lie between files .*: 0-50\.\.51, 0-130\.\.134$/)
    const { code, differences } = await verify({}, '--bootstrap-servers', brokers(), '--records')
    assert.deepEqual([code, differences], [1, ['2 records are in no file: 0-50, 0-51']])
  })

  test('a file that is gone is named, and its rows are not taken for planted ones', async () => {
    await using task = await warehouse.startTask()
    const first = await announce(0, 9)
    await load(task, first, await announce(10, 19))
    for (const file of first.files) await warehouse.store.remove(file)
    const { code, differences } = await verify({}, ...everything())
    assert.deepEqual([code, differences], [1, [`1 announced files are gone: ${first.files[0]?.key}`]])
  })

  test('where there is nothing to compare there is no verdict', async () => {
    for (const [config, options, reason] of [
      [{ 'ledger.table.format': 'other_${table}' }, [], /no table with a ledger \(other_\$\{table\}\)/],
      [{ topics: `${files}-typo` }, everything(), /the metadata topic events_.*-files-typo does not exist/],
      [{}, ['--against', 'nowhere', '--key', 'id'], /table nowhere\.events_\w+ does not exist/],
      [{}, ['--against', warehouse.schema, '--key', 'ids'], /has no column ids/],
      [{}, ['--against', warehouse.schema, '--key', 'id', '--time', 'note'], /milliseconds since 1970, note is/],
    ] as const) {
      await warehouse.run(`CREATE TABLE IF NOT EXISTS ${warehouse.schema}.${table} (id INT, note VARCHAR(9))`)
      const ledger = `${warehouse.schema}.kc_ledger_${table}`
      await warehouse.run(
        `CREATE TABLE IF NOT EXISTS ${ledger} (file_id VARCHAR(64), src_directory VARCHAR(9), src_topic VARCHAR(9), src_partition INT, first_offset BIGINT, last_offset BIGINT, record_count BIGINT)`,
      )
      const tables = Object.hasOwn(config, 'ledger.table.format') ? [] : ['--tables', table]
      const { code, stdout, stderr } = await command(config, ...tables, ...options)
      assert.deepEqual([code, stdout], [2, ''], stderr)
      assert.match(stderr, reason)
    }
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

  describe('two tables', () => {
    let legacy: string
    let target: string
    /** Differences between the two, and nothing of the ledger: the tables are made by hand. */
    const against = async (...options: readonly string[]) => {
      const { findings } = await verify({}, '--against', legacy, '--key', 'id', ...options)
      const finding = findings.at(-1)
      assert.ok(finding)
      return finding
    }

    beforeEach(async () => {
      await using task = await warehouse.startTask()
      await load(task, await announce(0, 4))
      legacy = `legacy_${table}`
      await warehouse.run(`CREATE SCHEMA ${legacy}`)
      target = `${warehouse.schema}.${table}`
      await warehouse.run(`DROP TABLE ${target}`)
    })

    afterEach(() => warehouse.run(`DROP SCHEMA ${legacy} CASCADE`))

    test('of equal values in types of other widths and scales do not differ', async () => {
      const row = (id: number) => `(${id}, TRUE, 1.50, 12, 'x', '2024-06-03 16:34:21.01', '{"a": 1}', 'AB')`
      const values = `${range(1, 6).map(row).join(', ')}, (7, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (8, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`
      const create = (name: string, [decimal, integer, text, zone]: readonly string[]) =>
        `CREATE TABLE ${name} (id INT, flag BOOLEAN, price ${decimal}, n ${integer}, note ${text}, at ${zone}, doc SUPER, raw VARBYTE(9))`
      await warehouse.run(create(target, ['DECIMAL(10,2)', 'SMALLINT', 'VARCHAR(9)', 'TIMESTAMPTZ']))
      await warehouse.run(create(`${legacy}.${table}`, ['DECIMAL(20,6)', 'BIGINT', 'VARCHAR(200)', 'TIMESTAMP']))
      for (const name of [target, `${legacy}.${table}`]) await warehouse.run(`INSERT INTO ${name} VALUES ${values}`)
      assert.deepEqual((await against()).differences, [])
      for (const [change, id] of [
        ['flag = FALSE', 1],
        ['price = 1.51', 2],
        [`at = '2024-06-03 17:34:21.01'`, 3],
        [`doc = JSON_PARSE('{"a": 2}')`, 4],
        [`raw = 'AC'`, 5],
        ['flag = FALSE', 7],
        [`note = ''`, 8],
      ] as const) {
        await warehouse.run(`UPDATE ${target} SET ${change} WHERE id = ${id}`)
      }
      assert.deepEqual((await against()).differences, ['7 rows differ: 1, 2, 3, 4, 5, 7, 8'])
    })

    test('of texts that read alike when they are put together differ', async () => {
      const create = (name: string) =>
        warehouse.run(`CREATE TABLE ${name} (id INT, a VARCHAR(9), b VARCHAR(9), at BIGINT)`)
      for (const name of [target, `${legacy}.${table}`]) await create(name)
      const [glue, none] = ["'x\u001fy'", "'\\\\0'"]
      await warehouse.run(
        `INSERT INTO ${target} VALUES (1, ${glue}, 'z', 0), (2, NULL, 'b', 0), (3, 'a', 'b', NULL), (4, 'a', 'b', 0)`,
      )
      await warehouse.run(
        `INSERT INTO ${legacy}.${table} VALUES (1, 'x', 'y\u001fz', 0), (2, ${none}, 'b', 0), (3, 'a', 'c', NULL), (4, 'a', 'b', 0), (4, 'a', 'b', 0)`,
      )
      for (const options of [[], ['--time', 'at']]) {
        const { differences } = await against(...options)
        assert.deepEqual(differences, [
          `1 rows of ${legacy}.${table} are not in ${target}: 4`,
          '3 rows differ: 1, 2, 3',
        ])
      }
    })

    test('of many rows are compared to the last one, and columns of one side are told of', async () => {
      const rows = 'SELECT i AS id, i * 2 AS n FROM generate_series(1, 5000) AS i'
      await warehouse.run(`CREATE TABLE ${target} AS ${rows}`)
      await warehouse.run(`CREATE TABLE ${legacy}.${table} AS SELECT id, n, 1 AS more FROM (${rows}) AS r`)
      await warehouse.run(`UPDATE ${target} SET n = 0 WHERE id = 4999`)
      const { differences, notes } = await against()
      assert.deepEqual(differences, ['1 rows differ: 4999'])
      assert.deepEqual(notes, [`only ${legacy}.${table} has more: not compared`])
    })
  })
})
