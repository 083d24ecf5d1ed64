import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { Decimal, decimalSchema, LogicalName, makeSchema, type Schema, Schemas } from '../../worker/api/data.ts'
import { SinkRecord } from '../../worker/api/record.ts'
import { SinkHarness } from '../conformance/s3/sink-harness.ts'
import { WarehouseTest } from '../support/redshift-sink.ts'
import { requireService, skipUnless } from '../support/services.ts'

const skip = skipUnless(requireService('redshift'), requireService('s3'))

const optional = (type: Schema['type']) => makeSchema({ type, optional: true })
const row = makeSchema({
  type: 'STRUCT',
  name: 'row',
  fields: [
    { name: 'Id', schema: makeSchema({ type: 'INT64' }) },
    { name: 'name', schema: optional('STRING') },
    { name: 'price', schema: optional('FLOAT64') },
    { name: 'paid', schema: optional('BOOLEAN') },
    {
      name: 'tags',
      schema: makeSchema({ type: 'ARRAY', valueSchema: makeSchema({ type: 'STRING' }), optional: true }),
    },
  ],
})

const values = [
  { Id: 9007199254740993n, name: 'a "quoted", text', price: 1.25, paid: true, tags: ['x', 'y'] },
  { Id: 2n, name: null, price: null, paid: null, tags: null },
  { Id: -3n, name: 'ünïcode\nline', price: -0.5, paid: false, tags: [] },
]

let warehouse: WarehouseTest
let table: string

describe('S3 sink → COPY, by format', { skip }, () => {
  before(async () => {
    warehouse = await WarehouseTest.open()
  })

  beforeEach(() => {
    table = warehouse.tableName()
  })

  after(() => warehouse[Symbol.asyncDispose]())

  /** Files that the S3 sink writes from these values, as it announces them. */
  async function writeFiles(format: Readonly<Record<string, string>>, schema = row, rows: readonly object[] = values) {
    const config = {
      topics: table,
      's3.bucket.name': warehouse.bucket,
      'topics.dir': `formats-${table}`,
      'flush.size': String(rows.length),
      'notify.topic': 'files',
      'notify.include.schema': 'true',
      'format.output.meta.fields': 'partition,offset',
      ...format,
    }
    const sink = await SinkHarness.start({ store: warehouse.store, config })
    await sink.assign({ topic: table, partition: 0 })
    const records = rows.map((value, i) => {
      return new SinkRecord({ topic: table, partition: 0, offset: BigInt(i), valueSchema: schema, value: { ...value } })
    })
    sink.append(records)
    await sink.settle(1000)
    assert.deepEqual(sink.reported, [])
    return sink.messages
  }

  for (const [name, format] of [
    ['JSON', { 'format.class': 'io.confluent.connect.s3.format.json.JsonFormat', 's3.compression.type': 'gzip' }],
    ['JSON, zstd', { 'format.class': 'io.confluent.connect.s3.format.json.JsonFormat', 's3.compression.type': 'zstd' }],
    [
      'Avro',
      {
        'format.class': 'io.confluent.connect.s3.format.avro.AvroFormat',
        'avro.codec': 'deflate',
        'format.output.meta.fields': '',
      },
    ],
    ['Parquet', { 'format.class': 'io.confluent.connect.s3.format.parquet.ParquetFormat', 'parquet.codec': 'snappy' }],
    ['CSV', { 'format.class': 'CsvFormat', 's3.compression.type': 'gzip' }],
    ['CSV with a header', { 'format.class': 'CsvFormat', 'csv.header': 'true' }],
  ] as const) {
    test(`${name}: every value arrives as it was`, async () => {
      const messages = await writeFiles(format)
      assert.equal(messages.length, 1)
      await using task = await warehouse.startTask({
        'verify.counts': 'true',
        'copy.csv.header': String('csv.header' in format),
      })
      await task.deliver(...messages)
      await task.settle()
      assert.deepEqual(task.reports, [])
      const rows = await warehouse.query(
        `SELECT id::VARCHAR, name, price::VARCHAR, paid, tags FROM ${warehouse.schema}.${table} ORDER BY id`,
      )
      const tags = (text: unknown) => (text === null ? null : (JSON.parse(String(text)) as unknown))
      const sorted = values.toSorted((a, b) => (a.Id < b.Id ? -1 : 1))
      assert.deepEqual(
        rows.map(([id, text, price, paid, list]) => [id, text, price, paid, tags(list)]),
        sorted.map(({ Id, name: text, price, paid, tags: list }) => {
          return [String(Id), text, price === null ? null : String(price), paid, list]
        }),
      )
    })
  }

  test('Parquet: dates, times and decimals have types of their own', async () => {
    const schema = makeSchema({
      type: 'STRUCT',
      name: 'times',
      fields: [
        { name: 'day', schema: makeSchema({ type: 'INT32', name: LogicalName.date, version: 1, optional: true }) },
        { name: 'at', schema: makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1, optional: true }) },
        { name: 'sum', schema: decimalSchema(2, { optional: true }) },
      ],
    })
    const at = new Date(Date.UTC(2024, 4, 6, 7, 8, 9, 10))
    const rows = [{ day: new Date(Date.UTC(2024, 1, 29)), at, sum: new Decimal(12345n, 2) }]
    const format = { 'format.class': 'io.confluent.connect.s3.format.parquet.ParquetFormat' }
    const messages = await writeFiles(format, schema, rows)
    await using task = await warehouse.startTask()
    await task.deliver(...messages)
    await task.settle()
    assert.deepEqual(task.reports, [])
    const [loaded] = await warehouse.query(
      `SELECT day::VARCHAR, at::VARCHAR, sum::VARCHAR FROM ${warehouse.schema}.${table}`,
    )
    assert.deepEqual(loaded, ['2024-02-29', '2024-05-06 07:08:09.01', '123.45'])
  })

  test('statement R31: rows and tombstones of a keyed topic come out as the fold of the topic', async () => {
    const key = makeSchema({ type: 'STRUCT', name: 'key', fields: [{ name: 'id', schema: Schemas.int64 }] })
    const value = makeSchema({
      type: 'STRUCT',
      name: 'value',
      fields: [
        { name: 'id', schema: Schemas.int64 },
        { name: 'name', schema: Schemas.optionalString },
      ],
    })
    const changes: readonly (readonly [bigint, string | null])[] = [
      [1n, 'a'],
      [2n, 'b'],
      [1n, null],
      [3n, 'c'],
      [2n, 'd'],
      [3n, null],
      [1n, 'e'],
      [4n, null],
    ]
    const config = {
      topics: table,
      's3.bucket.name': warehouse.bucket,
      'topics.dir': `rows-${table}`,
      'format.class': 'io.confluent.connect.s3.format.json.JsonFormat',
      'flush.size': '3',
      'rotate.schedule.interval.ms': '1000',
      timezone: 'UTC',
      'behavior.on.null.values': 'row',
      'format.output.meta.fields': 'offset,partition,op',
      'notify.topic': 'files',
      'notify.include.schema': 'true',
    }
    const sink = await SinkHarness.start({ store: warehouse.store, config })
    await sink.assign({ topic: table, partition: 0 })
    sink.append(
      changes.map(([id, name], i) => {
        const value_ = name === null ? null : { id, name }
        const schemas = { keySchema: key, valueSchema: name === null ? null : value }
        return new SinkRecord({ topic: table, partition: 0, offset: BigInt(i), key: { id }, value: value_, ...schemas })
      }),
    )
    await sink.settle(3000)
    assert.deepEqual(sink.reported, [])
    assert.equal(sink.messages.length, 3)
    const upsert = { 'insert.mode': 'upsert', 'pk.fields': 'id', 'delete.enabled': 'true' }
    await using task = await warehouse.startTask(upsert)
    for (const message of sink.messages) {
      await task.deliver(message)
      await task.settle()
    }
    assert.deepEqual(task.reports, [])
    const rows = await warehouse.query(`SELECT id::VARCHAR, name FROM ${warehouse.schema}.${table} ORDER BY id`)
    assert.deepEqual(rows, [
      ['1', 'e'],
      ['2', 'd'],
    ])
  })

  test('statement R13: REGION and MAXERROR of the configuration do not reach a COPY of Parquet', async () => {
    const messages = await writeFiles({ 'format.class': 'io.confluent.connect.s3.format.parquet.ParquetFormat' })
    await using task = await warehouse.startTask({ 'copy.region': 'eu-west-1', 'copy.max.errors': '5' })
    await task.deliver(...messages)
    await task.settle()
    assert.deepEqual(task.reports, [])
  })
})
