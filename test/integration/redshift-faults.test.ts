import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { MessageColumn, MetadataMessage } from '../../connectors/common/metadata-message.ts'
import { seededRandom } from '../support/random.ts'
import { messageColumn, mostAtOnce, WarehouseTest } from '../support/redshift-sink.ts'
import { testSeed } from '../support/seed.ts'
import { requireService, skipUnless } from '../support/services.ts'

const s3 = requireService('s3')
const skip = skipUnless(requireService('redshift'), s3)

let warehouse: WarehouseTest
let table: string

const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

interface RowsOptions {
  readonly table?: string
  readonly line?: (offset: number) => string
  readonly name?: string
  readonly columns?: readonly MessageColumn[]
  readonly compression?: 'gzip' | 'none'
}

/** The file of an offset range, one row per offset, and its message. */
function writeRows(first: number, last: number, options: RowsOptions = {}): Promise<MetadataMessage> {
  const { table: into = table, name = `events+0+${first}`, compression = 'none' } = options
  const line = options.line ?? ((offset: number) => `{"id":${offset},"__partition":0,"__offset":${offset}}`)
  const offsets = range(first, last)
  const range_ = { first, last: Math.max(first, last), records: offsets.length }
  return warehouse.write(Buffer.from(offsets.map((offset) => `${line(offset)}\n`).join('')), range_, {
    key: `topics/events/kind=${into}/${name}.json${compression === 'gzip' ? '.gz' : ''}`,
    table: into,
    compression,
    columns: options.columns ?? [messageColumn('id', 'int64')],
    metaFields: ['__partition', '__offset'],
  })
}

const ids = (of = table) => warehouse.ids(of)

async function ledgerRows(): Promise<number> {
  const [row] = await warehouse.query(`SELECT COUNT(*) FROM ${warehouse.schema}.kc_ledger_${table}`)
  return Number(row?.[0])
}

describe('Redshift sink: what can go wrong', { skip }, () => {
  before(async () => {
    warehouse = await WarehouseTest.open()
  })

  beforeEach(() => {
    table = warehouse.tableName()
  })

  after(() => warehouse[Symbol.asyncDispose]())

  test('statement R10: an object whose name begins like that of another is not loaded with it', async () => {
    await using task = await warehouse.startTask()
    await writeRows(120, 129, { name: 'events+0+12' })
    const shorter = await writeRows(10, 11, { name: 'events+0+1' })
    await task.deliver(shorter)
    await task.settle()
    assert.deepEqual(await ids(), [10, 11])
  })

  test('statement R12: files of other formats and compressions are loaded by other COPYs', async () => {
    await using task = await warehouse.startTask({ 'batch.linger.ms': '50' })
    await task.deliver(
      await writeRows(0, 4),
      await writeRows(5, 9, { compression: 'gzip' }),
      await writeRows(10, 14),
      await writeRows(15, 19, { compression: 'gzip' }),
    )
    await task.settle()
    assert.deepEqual(await ids(), range(0, 19))
    assert.deepEqual(task.reports, [])
  })

  test('statement R19: data and ledger are both there or both not, however often the loader dies', async () => {
    const random = seededRandom(testSeed)
    const messages = await Promise.all(range(0, 11).map((i) => writeRows(i * 5, i * 5 + 4)))
    await using first = await warehouse.startTask()
    await first.deliver(...messages.slice(0, 1))
    await first.settle()
    for (let life = 0; life < 8; life++) {
      const task = await warehouse.startTask({ 'batch.max.files': '3' })
      await task.deliver(...messages)
      const deadline = Date.now() + random.integer(0, 150)
      while (Date.now() < deadline) await task.idle()
      await task[Symbol.asyncDispose]()
      const loaded = await ids()
      assert.equal(loaded.length, new Set(loaded).size, `seed ${random.seed}`)
      // A transaction of the dead may end after it: the ledger is read first, so it never has more than the data.
      assert.ok((await ledgerRows()) * 5 >= loaded.length, `seed ${random.seed}`)
    }
    await using last = await warehouse.startTask()
    await last.deliver(...messages)
    await last.settle()
    assert.deepEqual(await ids(), range(0, 59), `seed ${random.seed}`)
    assert.equal(await ledgerRows(), 12)
  })

  test('statement R24: a statement that ends after the sink gave it up counts once', async () => {
    await using task = await warehouse.startTask({ 'statement.timeout.ms': '150' })
    await task.deliver(await writeRows(0, 4))
    await task.settle()
    await warehouse.arm({ kind: 'late-response', operation: 'BatchExecuteStatement', delayMs: 400 })
    await task.deliver(await writeRows(5, 9))
    await task.settle()
    assert.deepEqual(await ids(), range(0, 9))
  })

  test('statement R43: a statement that is too slow is cancelled, looked up in the ledger, and run again', async () => {
    await using task = await warehouse.startTask({ 'statement.timeout.ms': '200' })
    await task.deliver(await writeRows(0, 4))
    await task.settle()
    await warehouse.arm({ kind: 'slow-start', sqlContains: 'COPY', delayMs: 1500 })
    await task.deliver(await writeRows(5, 9))
    await task.settle()
    assert.deepEqual(await ids(), range(0, 9))
    const states = async () =>
      (await warehouse.loads()).filter(({ sql }) => sql.includes(`"${table}" FROM`)).map(({ status }) => status)
    // What is cancelled before it starts is aborted when its turn comes.
    for (let waits = 0; waits < 60 && (await states()).includes('PICKED'); waits++) await delay(50)
    assert.deepEqual(await states(), ['FINISHED', 'ABORTED', 'FINISHED'])
  })

  test('statement R40: questions that are throttled do not give up a running statement', async () => {
    await using task = await warehouse.startTask({ 'max.retries': '0' })
    await warehouse.arm({ kind: 'throttle', operation: 'DescribeStatement', count: 6 })
    await task.deliver(await writeRows(0, 4))
    await task.settle()
    assert.deepEqual(await ids(), range(0, 4))
  })

  test('statement R41: too many active statements slow the sink down, however long, and fail nothing', async () => {
    await using task = await warehouse.startTask({ 'max.retries': '1' })
    await warehouse.arm({ kind: 'active-statements', operation: 'BatchExecuteStatement', count: 6 })
    await task.deliver(await writeRows(0, 4))
    await task.settle()
    assert.deepEqual(await ids(), range(0, 4))
  })

  test('statements R26, R42: a failed load is repeated with a new token, also by a restarted task', async () => {
    await using task = await warehouse.startTask({ 'max.retries': '1' })
    await task.deliver(await writeRows(0, 4))
    await task.settle()
    await warehouse.arm({ kind: 'serializable-violation', sqlContains: 'COPY', count: 2 })
    const message = await writeRows(5, 9)
    await task.deliver(message)
    await assert.rejects(task.settle(), { code: 'CONNECT_REDSHIFT_LOAD_FAILED', message: /1023/ })
    assert.equal(await task.committable(), 1n)
    await using restarted = await warehouse.startTask({ 'max.retries': '1' })
    await restarted.deliver(message)
    await restarted.settle()
    assert.deepEqual(await ids(), range(0, 9))
  })

  test('statements R27, R28: a table that fails does not hold another, the offset waits for it', async () => {
    const other = warehouse.tableName()
    await warehouse.run(`CREATE TABLE ${warehouse.schema}.${other} (wrong BIGINT NOT NULL, id BIGINT)`)
    await using task = await warehouse.startTask({ 'max.retries': '1000', 'retry.backoff.ms': '0' })
    await warehouse.arm({ kind: 'serializable-violation', sqlContains: `"${other}" FROM`, count: 40 })
    const bad = await writeRows(0, 0, { table: other, line: () => '{"wrong":1,"id":0}' })
    await warehouse.run(`CREATE TABLE ${warehouse.schema}.${table} (id BIGINT)`)
    await task.deliver(bad, await writeRows(1, 3), await writeRows(4, 6))
    while ((await ids()).length < 6) await task.idle()
    assert.equal(await task.committable(), 0n)
    await task.settle()
    assert.deepEqual(await ids(), range(1, 6))
    assert.deepEqual(await ids(other), [0])
  })

  test('statement R29: one table is loaded by one COPY at a time', async () => {
    await using task = await warehouse.startTask({ 'batch.max.files': '1', 'max.concurrent.loads': '4' })
    await warehouse.arm({ kind: 'slow-start', sqlContains: 'COPY', delayMs: 50, count: 6 })
    await task.deliver(...(await Promise.all(range(0, 5).map((i) => writeRows(i, i)))))
    await task.settle()
    const batches = await warehouse.query(
      `SELECT batch_id, first_offset::VARCHAR FROM ${warehouse.schema}.kc_ledger_${table} ORDER BY loaded_at, first_offset`,
    )
    assert.equal(new Set(batches.map(([batch]) => batch)).size, 6)
    assert.deepEqual(
      batches.map(([, first]) => Number(first)),
      range(0, 5),
    )
    const loads = (await warehouse.loads()).filter(({ sql }) => sql.includes(`"${table}" FROM`))
    assert.deepEqual([loads.length, mostAtOnce(loads)], [6, 1])
  })

  test('statement R29: several tables are loaded at a time, as many as max.concurrent.loads', async () => {
    const tables = range(0, 4).map(() => warehouse.tableName())
    await using task = await warehouse.startTask({ 'max.concurrent.loads': '2' })
    await warehouse.arm({ kind: 'slow-start', sqlContains: 'COPY', delayMs: 200, count: tables.length })
    await task.deliver(...(await Promise.all(tables.map((into, i) => writeRows(i, i, { table: into })))))
    await task.settle()
    for (const [i, into] of tables.entries()) assert.deepEqual(await ids(into), [i])
    const loads = (await warehouse.loads()).filter(({ sql }) => tables.some((into) => sql.includes(`"${into}" FROM`)))
    assert.deepEqual([loads.length, mostAtOnce(loads)], [5, 2])
  })

  test('statement R30: number, bytes and waiting time close a batch', async () => {
    const files = await Promise.all(range(0, 5).map((i) => writeRows(i, i)))
    const batchesOf = async (config: Readonly<Record<string, string>>) => {
      table = warehouse.tableName()
      await using task = await warehouse.startTask({ 'batch.linger.ms': '100', ...config })
      await task.deliver(...files.map((message) => ({ ...message, eventKey: table })))
      await task.settle()
      const rows = await warehouse.query(
        `SELECT COUNT(*) FROM ${warehouse.schema}.kc_ledger_${table} GROUP BY batch_id ORDER BY 1 DESC`,
      )
      return rows.map(([count]) => Number(count))
    }
    const bytes = files[0]?.files[0]?.bytes ?? 0
    assert.deepEqual(await batchesOf({}), [6])
    assert.deepEqual(await batchesOf({ 'batch.max.files': '4' }), [4, 2])
    assert.deepEqual(await batchesOf({ 'batch.max.bytes': String(bytes * 3) }), [3, 3])
  })

  test('statement R36: an empty file is loaded', async () => {
    await using task = await warehouse.startTask()
    await task.deliver(await writeRows(0, -1), await writeRows(5, 6))
    await task.settle()
    assert.deepEqual(await ids(), [5, 6])
    assert.equal(await ledgerRows(), 2)
  })

  test('statement R37: the one bad file of a hundred is reported with file, line, column and reason', async () => {
    await using task = await warehouse.startTask()
    const broken = (offset: number) => (offset === 1503 ? '{"id":"none"}' : `{"id":${offset}}`)
    const files = range(0, 99).map((i) => writeRows(i * 30, i * 30 + 29, { line: broken }))
    await task.deliver(...(await Promise.all(files)))
    await task.settle()
    const expected = range(0, 2999).filter((id) => id < 1500 || id > 1529)
    assert.deepEqual(await ids(), expected)
    const [report, ...others] = task.reports
    assert.deepEqual(others, [])
    assert.equal(report?.offset, 50n)
    assert.match(report.message, /events\+0\+1500\.json line 4, column id cannot be loaded into/)
    const { 'kc.redshift.line': line, 'kc.redshift.column': column, 'kc.redshift.file': file } = report.context
    assert.deepEqual([line, column], ['4', 'id'])
    assert.equal(file, `s3://${warehouse.bucket}/topics/events/kind=${table}/events+0+1500.json`)
    assert.match(String(report.context['kc.redshift.error']), /\S/)
    for (const name of ['table', 'statement.id', 'query.id']) assert.ok(report.context[`kc.redshift.${name}`], name)
  })

  test('behavior.on.load.error=fail stops the task and names the bad file', async () => {
    await using task = await warehouse.startTask({ 'behavior.on.load.error': 'fail' })
    await task.deliver(await writeRows(0, 4), await writeRows(5, 9, { line: () => '{"id":"none"}' }))
    await assert.rejects(task.settle(), { code: 'CONNECT_REDSHIFT_BAD_DATA', message: /events\+0\+5\.json line 1/ })
    assert.equal(await task.committable(), 0n)
  })

  test('statement R38: a file that is gone, by its policy', async () => {
    const gone = await writeRows(0, 4)
    for (const file of gone.files) await warehouse.store.remove(file)
    await using failing = await warehouse.startTask({ 'behavior.on.missing.file': 'fail' })
    await failing.deliver(gone)
    await assert.rejects(failing.settle(), { code: 'CONNECT_REDSHIFT_FILE_MISSING', message: /events\+0\+0\.json/ })
    await using ignoring = await warehouse.startTask({ 'behavior.on.missing.file': 'ignore' })
    await ignoring.deliver(gone, await writeRows(5, 6))
    await ignoring.settle()
    assert.deepEqual([await ids(), ignoring.reports], [[5, 6], []])
    await using reporting = await warehouse.startTask({ 'behavior.on.missing.file': 'dlq' })
    await reporting.deliver(gone)
    await reporting.settle()
    assert.deepEqual(reporting.reported, [0n])
    assert.ok(String(reporting.reports[0]?.context['kc.redshift.file']).endsWith('events+0+0.json'))
  })

  test('statement R44: a role that may not be assumed stops the task and is named', async () => {
    const role = 'arn:aws:iam::123456789012:role/not-authorized'
    await using task = await warehouse.startTask({ 'copy.iam.role': role })
    await task.deliver(await writeRows(0, 4))
    await assert.rejects(task.settle(), { kind: 'fatal', message: /role\/not-authorized/ })
    assert.equal(await task.committable(), 0n)
  })

  test('statements R22, R45: two loaders make the table at the same time, rows come once', async () => {
    await using one = await warehouse.startTask()
    await using two = await warehouse.startTask()
    const files = await Promise.all([writeRows(0, 4), writeRows(5, 9)])
    await Promise.all([one.deliver(...files), two.deliver(...files)])
    await Promise.all([one.settle(), two.settle()])
    assert.deepEqual(await ids(), range(0, 9))
  })

  test('statements R46, R47: columns are added one by one, before the load, and may be there already', async () => {
    await using task = await warehouse.startTask({ 'auto.evolve': 'true' })
    await using other = await warehouse.startTask({ 'auto.evolve': 'true' })
    await task.deliver(await writeRows(0, 1))
    await task.settle()
    await other.deliver(await writeRows(2, 2))
    await other.settle()
    const columns = [messageColumn('id', 'int64'), messageColumn('Name', 'string'), messageColumn('price', 'float64')]
    const line = (offset: number) => `{"id":${offset},"Name":"n${offset}","price":${offset}.5}`
    const wider = await writeRows(3, 4, { columns, line })
    // The load fails, the columns stay: they were not part of it.
    await warehouse.arm({ kind: 'fail-commit', sqlContains: 'COPY' })
    await task.deliver(wider)
    await other.deliver(await writeRows(5, 5, { columns, line }))
    await Promise.all([task.settle(), other.settle()])
    const rows = await warehouse.query(`SELECT id, name, price FROM ${warehouse.schema}.${table} ORDER BY id`)
    assert.deepEqual(
      rows.map(([id, name, price]) => `${id} ${name} ${price}`),
      ['0 null null', '1 null null', '2 null null', '3 n3 3.5', '4 n4 4.5', '5 n5 5.5'],
    )
    const strict = [...columns, messageColumn('must', 'int32', { nullable: false })]
    await task.deliver(await writeRows(6, 6, { columns: strict, line }))
    await assert.rejects(task.settle(), { code: 'CONNECT_REDSHIFT_EVOLUTION', message: /Column must/ })
  })

  test('auto.create makes a table again that somebody dropped in between (section 4.9)', async () => {
    await using task = await warehouse.startTask({ 'auto.create': 'true' })
    await task.deliver(await writeRows(0, 2))
    await task.settle()
    await warehouse.runner.run([`DROP TABLE ${warehouse.schema}.${table}`], 'drop', 1, new AbortController().signal)
    await task.deliver(await writeRows(3, 5))
    await task.settle()
    assert.deepEqual(await ids(), range(3, 5))
  })

  test('auto.evolve makes a VARCHAR as long as a message says, by itself before the load (statement R47)', async () => {
    await using task = await warehouse.startTask({ 'auto.evolve': 'true' })
    const columns = (length: number) => [messageColumn('id', 'int64'), messageColumn('note', 'string', { length })]
    const line = (offset: number) => `{"id":${offset},"note":"${'é'.repeat(offset)}"}`
    await task.deliver(await writeRows(0, 2, { columns: columns(4), line }))
    await task.settle()
    // Ten characters of two bytes each.
    await task.deliver(await writeRows(3, 10, { columns: columns(20), line }))
    await task.settle()
    // A shorter text later takes nothing away.
    await task.deliver(await writeRows(11, 11, { columns: columns(4), line: () => '{"id":11,"note":"x"}' }))
    await task.settle()
    assert.deepEqual(await ids(), range(0, 11))
    const [definition] = await warehouse.query(
      `SELECT character_maximum_length FROM svv_columns WHERE table_schema = '${warehouse.schema}' AND table_name = '${table}' AND column_name = 'note'`,
    )
    assert.equal(String(definition?.[0]), '20')
  })

  test('statement R48: overlap.policy skip, filter and load', async () => {
    const loadTwice = async (policy: string, messages: readonly MetadataMessage[]) => {
      table = warehouse.tableName()
      await using task = await warehouse.startTask({ 'overlap.policy': policy })
      for (const message of [await writeRows(0, 4, { table: 'shared' }), ...messages]) {
        await task.deliver({ ...message, eventKey: table })
        await task.settle()
      }
      return ids()
    }
    const shared = await Promise.all([
      writeRows(3, 6, { table: 'shared', name: 'again' }),
      writeRows(1, 2, { table: 'shared', name: 'within' }),
    ])
    assert.deepEqual(await loadTwice('filter', shared), range(0, 6))
    assert.deepEqual(await loadTwice('load', shared), [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6])
    assert.deepEqual(await loadTwice('skip', shared.slice(1)), range(0, 4))
    await assert.rejects(loadTwice('skip', shared.slice(0, 1)), { code: 'CONNECT_REDSHIFT_OVERLAP' })
  })

  test('statement R49: the purge forgets what is older than the retention, and only that', async () => {
    await using task = await warehouse.startTask()
    await task.deliver(await writeRows(0, 1), await writeRows(2, 3))
    await task.settle()
    const ledger = `${warehouse.schema}.kc_ledger_${table}`
    await warehouse.run(`UPDATE ${ledger} SET loaded_at = SYSDATE - INTERVAL '3 days' WHERE first_offset = 0`)
    await using next = await warehouse.startTask({ 'ledger.retention.ms': String(2 * 86_400_000) })
    await next.deliver(await writeRows(4, 5))
    await next.settle()
    const rows = await warehouse.query(`SELECT first_offset::VARCHAR FROM ${ledger} ORDER BY first_offset`)
    assert.deepEqual(
      rows.map(([first]) => first),
      ['2', '4'],
    )
  })

  test('statement R5: no secret is in the SQL of a load', async () => {
    await using task = await warehouse.startTask()
    await task.deliver(await writeRows(0, 1))
    await task.settle()
    const statements = await warehouse.statements()
    assert.ok(statements.some((sql) => sql.includes('COPY')))
    for (const sql of statements) {
      assert.ok(!sql.includes(s3.settings.secretKey), sql)
      assert.doesNotMatch(sql, /CREDENTIALS|ACCESS_KEY/i)
    }
  })

  test('session.keepalive.seconds: loads share sessions, and an expired one is replaced', async () => {
    await using task = await warehouse.startTask({ 'session.keepalive.seconds': '1' })
    for (const first of [0, 5, 10]) {
      await task.deliver(await writeRows(first, first + 4))
      await task.settle()
    }
    await delay(1_500)
    await task.deliver(await writeRows(15, 19), await writeRows(20, 24, { line: () => '{"id":"none"}' }))
    await task.settle()
    assert.deepEqual(await ids(), range(0, 19))
    assert.deepEqual(task.reported, [4n])
  })

  test('events of S3 load each object once per content', async () => {
    await using task = await warehouse.startTask({ 'message.format': 's3-event', 'table.name.format': table })
    await warehouse.run(`CREATE TABLE ${warehouse.schema}.${table} (id BIGINT)`)
    const event = ({ files: [file] }: MetadataMessage) => {
      const key = encodeURIComponent(file?.key ?? '').replaceAll('%20', '+')
      const object = { key, size: file?.bytes, eTag: file?.etag }
      return JSON.stringify({
        Records: [{ eventName: 'ObjectCreated:Put', s3: { bucket: { name: warehouse.bucket }, object } }],
      })
    }
    const first = event(await writeRows(0, 4, { name: 'a b' }))
    await task.deliverValues(first, first, '{"Event":"s3:TestEvent"}')
    await task.settle()
    await task.deliverValues(first)
    await task.settle()
    await task.deliverValues(event(await writeRows(7, 8, { name: 'a b' })))
    await task.settle()
    assert.deepEqual(await ids(), [...range(0, 4), 7, 8])
    assert.deepEqual(task.reports, [])
  })
})
