import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import {
  encodeMetadataMessage,
  type MessageColumn,
  type MetadataMessage,
  messageId,
} from '../../connectors/common/metadata-message.ts'
import { messageColumn, WarehouseTest } from '../support/redshift-sink.ts'
import { requireService, skipUnless } from '../support/services.ts'

const skip = skipUnless(requireService('redshift'), requireService('s3'))

let warehouse: WarehouseTest
let table: string

const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)
const ids = (of = table) => warehouse.ids(of)
const idColumn = messageColumn('id', 'int64')

interface RowsOptions {
  readonly directory?: string
  readonly line?: (offset: number) => string
  readonly columns?: readonly MessageColumn[]
  readonly format?: string
  readonly metaFields?: readonly string[]
}

/** The file of an offset range, one row per offset, and its message. */
function writeRows(first: number, last: number, options: RowsOptions = {}): Promise<MetadataMessage> {
  const { directory = `topics/events/kind=${table}`, columns = [idColumn], format = 'json' } = options
  const line = options.line ?? ((offset: number) => `{"id":${offset},"__partition":0,"__offset":${offset}}`)
  const offsets = range(first, last)
  return warehouse.write(
    Buffer.from(offsets.map((offset) => `${line(offset)}\n`).join('')),
    { first, last, records: offsets.length },
    {
      key: `${directory}/events+0+${first}.${format}`,
      table,
      columns,
      format,
      metaFields: options.metaFields ?? ['__partition', '__offset'],
    },
  )
}

/** One message for the files of several, as `notify.granularity=commit` makes it. */
function together(messages: readonly MetadataMessage[]): MetadataMessage {
  const [first] = messages
  assert.ok(first)
  const files = messages.flatMap((message) => message.files)
  const lasts = messages.map(({ source }) => source.lastOffset)
  const source = { ...first.source, lastOffset: lasts.reduce((a, b) => (a > b ? a : b)) }
  return { ...first, files, source, id: messageId(files, source, first.role) }
}

describe('Redshift sink: messages and names of others', { skip }, () => {
  before(async () => {
    warehouse = await WarehouseTest.open()
  })

  beforeEach(() => {
    table = warehouse.tableName()
  })

  after(() => warehouse[Symbol.asyncDispose]())

  test('statement R7: messages that nobody can load are reported one by one, the others are loaded', async () => {
    const good = await writeRows(0, 4)
    const json = JSON.parse(encodeMetadataMessage(good)) as { source: object; files: object[] }
    const id = (digit: string) => digit.repeat(64)
    const bad = [
      '{"v":',
      { ...json, v: 2 },
      { ...json, id: id('1'), event_key: '' },
      { ...json, id: id('2'), event_key: `kc_ledger_${table}` },
      { ...json, id: id('3'), source: { ...json.source, last_offset: '9223372036854775808' } },
      { ...json, id: id('4'), source: { ...json.source, partition: 2 ** 31 } },
      { ...json, id: id('5'), files: [{ ...json.files[0], etag: 'x'.repeat(200) }] },
      { ...json, id: id('6'), files: [{ ...json.files[0], content_hash: 'none' }] },
      { ...json, id: id('7'), files: [{ ...json.files[0], key: 'a\u0000b' }] },
      {
        ...json,
        id: id('8'),
        columns: [
          { name: 'id', type: 'int64' },
          { name: 'ID', type: 'int64' },
        ],
      },
      { ...json, id: id('9'), columns: [{ name: 'x'.repeat(128), type: 'int64' }] },
    ]
    await using task = await warehouse.startTask()
    await task.deliverValues(...bad.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))))
    await task.deliver(good)
    await task.settle()
    assert.deepEqual(
      task.reported,
      bad.map((_, i) => BigInt(i)),
    )
    assert.deepEqual(await ids(), range(0, 4))
  })

  test('statement R38: a bucket that does not exist is a file that is gone, by its policy', async () => {
    const here = await writeRows(0, 4)
    const gone = await writeRows(5, 9)
    const elsewhere = { ...gone, files: gone.files.map((file) => ({ ...file, bucket: `${warehouse.bucket}-gone` })) }
    await using task = await warehouse.startTask({ 'behavior.on.missing.file': 'dlq', 'batch.linger.ms': '50' })
    await task.deliver(elsewhere, here)
    await task.settle()
    assert.deepEqual([await ids(), task.reported], [range(0, 4), [0n]])
    await using failing = await warehouse.startTask({ 'behavior.on.missing.file': 'fail' })
    await failing.deliver(elsewhere)
    await assert.rejects(failing.settle(), { code: 'CONNECT_REDSHIFT_FILE_MISSING', message: /events\+0\+5/ })
    // The bucket of manifests is the operator's affair, and no message is to blame.
    await using misled = await warehouse.startTask({ 'manifest.prefix': `s3://${warehouse.bucket}-gone/manifests` })
    await misled.deliver(gone)
    await assert.rejects(misled.settle(), { code: 'CONNECT_S3_NOT_FOUND', message: /bucket does not exist/ })
  })

  test('statement R48: a set of several directories is there only when each of them is', async () => {
    const [a, b] = [await writeRows(0, 4, { directory: 'a' }), await writeRows(0, 4, { directory: 'b' })]
    for (const policy of ['skip', 'filter']) {
      table = warehouse.tableName()
      const named = (message: MetadataMessage) => ({ ...message, eventKey: table })
      await using task = await warehouse.startTask({ 'overlap.policy': policy })
      await task.deliver(named(a))
      await task.settle()
      // It used to pass as loaded, and the rows of the other directory were lost.
      await task.deliver(named(together([a, b])))
      await assert.rejects(task.settle(), { code: 'CONNECT_REDSHIFT_OVERLAP' })
      await using next = await warehouse.startTask({ 'overlap.policy': policy })
      await next.deliver(named(b))
      await next.settle()
      await next.deliver(named(together([a, b])))
      await next.settle()
      assert.deepEqual(await ids(), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    }
  })

  test('statements R18, R48: a file over the offsets of thousands is filtered in one transaction', async () => {
    await using task = await warehouse.startTask()
    await task.deliver(await writeRows(0, 0))
    await task.settle()
    const ledger = `${warehouse.schema}.kc_ledger_${table}`
    await warehouse.run(
      `INSERT INTO ${ledger} (file_id, bucket, object_key, src_directory, src_topic, src_partition, first_offset, last_offset, record_count) ` +
        'SELECT MD5(i::VARCHAR), bucket, object_key, src_directory, src_topic, src_partition, i, i, 1 ' +
        `FROM ${ledger}, generate_series(1, 2000) AS i WHERE i <> 1500`,
    )
    await task.deliver(await writeRows(1, 2010))
    await task.settle()
    assert.deepEqual(await ids(), [0, 1500, ...range(2001, 2010)])
    assert.deepEqual(task.reports, [])
  })

  test('statement R18: batches of long names are halved, and a message that is too long by itself is reported', async () => {
    const directory = (i: number) => `${Array.from({ length: 3 }, () => '宛'.repeat(70)).join('/')}/${i}`
    await using task = await warehouse.startTask({ 'batch.linger.ms': '100' })
    const files = await Promise.all(range(0, 41).map((i) => writeRows(i, i, { directory: directory(i) })))
    await task.deliver(...files)
    await task.settle()
    assert.deepEqual(await ids(), range(0, 41))
    const long = await Promise.all(range(100, 150).map((i) => writeRows(i, i, { directory: directory(i) })))
    await task.deliver(together(long), await writeRows(200, 200))
    await task.settle()
    assert.deepEqual([await ids(), task.reported], [[...range(0, 41), 200], [42n]])
    assert.match(task.reports[0]?.message ?? '', /bytes of SQL, the Data API takes 102400.*notify\.granularity=file/)
  })

  test('statement R37: rows that COPY takes and the table refuses are those of one file, too', async () => {
    const columns = [idColumn, messageColumn('doc', 'struct')]
    const csv = (document: string) => (offset: number) => `${offset},${document}`
    const options = { columns, format: 'csv', metaFields: [] }
    await using task = await warehouse.startTask({ 'batch.linger.ms': '50' })
    await task.deliver(
      await writeRows(0, 1, { ...options, line: csv('{}') }),
      await writeRows(2, 3, { ...options, line: csv('"{bad"') }),
      await writeRows(4, 5, { ...options, line: csv('[1]') }),
    )
    await task.settle()
    assert.deepEqual([await ids(), task.reported], [[0, 1, 4, 5], [1n]])
  })

  test('statement R37: a row without its key is reported with its file, the upsert of the others goes on', async () => {
    const upsert = { 'insert.mode': 'upsert', 'pk.fields': 'id,part', 'batch.linger.ms': '50' }
    const columns = [idColumn, messageColumn('part', 'string')]
    const line = (part: string | null) => (offset: number) =>
      JSON.stringify({ id: offset % 2, part, __partition: 0, __offset: offset })
    await using task = await warehouse.startTask(upsert)
    await task.deliver(
      await writeRows(0, 3, { columns, line: line('a') }),
      await writeRows(4, 5, { columns, line: line(null) }),
      await writeRows(6, 7, { columns, line: line('b') }),
    )
    await task.settle()
    assert.deepEqual(task.reported, [1n])
    const rows = async () => {
      const found = await warehouse.query(
        `SELECT id, part, __offset FROM ${warehouse.schema}.${table} ORDER BY part, __offset`,
      )
      return found.map(([id, part, offset]) => `${id} ${part} ${offset}`)
    }
    assert.deepEqual(await rows(), ['0 a 2', '1 a 3', '0 b 6', '1 b 7'])
    // Where the table takes it, a row without a key is no version of another one.
    table = warehouse.tableName()
    await warehouse.run(
      `CREATE TABLE ${warehouse.schema}.${table} (id BIGINT, part VARCHAR(9), __partition INT, __offset BIGINT)`,
    )
    await task.deliver(
      await writeRows(8, 9, { columns, line: line('a') }),
      await writeRows(10, 13, { columns, line: line(null) }),
    )
    await task.settle()
    assert.deepEqual(await rows(), ['0 a 8', '1 a 9', '0 null 10', '1 null 11', '0 null 12', '1 null 13'])
  })

  test('statements R14, R15, R45, R46: names that need quotes stay names, in every statement', async () => {
    // Of the longest name the server behind the emulator knows.
    const names = ['User-Id', 'select', 'Größe', 'ÄRGER', `q"uo'te\\;--`, '日本', 'x'.repeat(63)]
    const columns = names.map((name) => messageColumn(name, 'int64'))
    const line = (offset: number) =>
      JSON.stringify({
        ...Object.fromEntries(names.map((name, i) => [name, offset * 10 + i])),
        __partition: 0,
        __offset: offset,
      })
    const upsert = {
      'insert.mode': 'upsert',
      'pk.fields': `User-Id`,
      'auto.evolve': 'true',
      'table.sortkey': 'Größe,select',
    }
    const eventKey = `${table}"; DROP SCHEMA ${warehouse.schema} CASCADE; --'\\`
    await using task = await warehouse.startTask(upsert)
    const first = await writeRows(0, 1, { columns: columns.slice(0, 3), line })
    await task.deliver({ ...first, eventKey })
    await task.settle()
    const second = await writeRows(2, 3, { columns, line })
    await task.deliver({ ...second, eventKey })
    await task.settle()
    assert.deepEqual(task.reports, [])
    const target = eventKey.toLowerCase().replaceAll(/[^a-z0-9_$]/g, '_')
    const quoted = ['user-id', 'select', 'größe', 'Ärger', `q""uo'te\\;--`, '日本', 'x'.repeat(63)].map(
      (name) => `"${name}"`,
    )
    const rows = await warehouse.query(`SELECT ${quoted.join(', ')} FROM ${warehouse.schema}.${target} ORDER BY 1`)
    const expected = range(0, 3).map((offset) =>
      names.map((_, i) => (offset > 1 || i < 3 ? String(offset * 10 + i) : null)),
    )
    assert.deepEqual(
      rows.map((row) => row.map((field) => (field === null ? null : String(field)))),
      expected,
    )
  })

  test('fields.whitelist: only its columns are created and loaded, beside what the S3 sink added', async () => {
    await using task = await warehouse.startTask({ 'fields.whitelist': 'ID,Name', 'auto.evolve': 'true' })
    const columns = [idColumn, messageColumn('Name', 'string'), messageColumn('secret', 'string', { nullable: false })]
    const line = (offset: number) => `{"id":${offset},"Name":"n","secret":"s","__partition":0,"__offset":${offset}}`
    await task.deliver(await writeRows(0, 1, { columns, line }))
    await task.settle()
    await task.deliver(await writeRows(1, 2, { columns, line, directory: `topics/events/kind=${table}` }))
    await task.settle()
    const rows = await warehouse.query(`SELECT * FROM ${warehouse.schema}.${table} ORDER BY id`)
    assert.deepEqual(
      rows.map((row) => row.map(String)),
      range(0, 2).map((id) => [String(id), 'n', '0', String(id)]),
    )
  })
})
