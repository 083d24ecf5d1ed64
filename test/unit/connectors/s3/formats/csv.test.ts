import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Decimal, decimalSchema, Float64, LogicalName, makeSchema, Schemas } from '../../../../../worker/api/data.ts'
import { encodeRows, valueFormat } from '../../../../conformance/s3/format-harness.ts'

const open = (config: Readonly<Record<string, string>> = {}) => valueFormat({ 'format.class': 'CsvFormat', ...config })

const schema = makeSchema({
  type: 'STRUCT',
  fields: [
    { name: 'id', schema: Schemas.int64 },
    { name: 'name', schema: Schemas.optionalString },
    { name: 'ratio', schema: Schemas.optionalFloat32 },
    { name: 'price', schema: decimalSchema(2, { optional: true }) },
    { name: 'day', schema: makeSchema({ type: 'INT32', name: LogicalName.date, version: 1, optional: true }) },
    { name: 'at', schema: makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1, optional: true }) },
    { name: 'raw', schema: Schemas.optionalBytes },
    { name: 'list', schema: makeSchema({ type: 'ARRAY', optional: true, valueSchema: Schemas.string }) },
  ],
})
const empty = { name: null, ratio: null, price: null, day: null, at: null, raw: null, list: null }

test('CSV: quotes, nulls, empty text, logical types, JSON inside', async () => {
  const format = await open({ 'csv.header': 'true', 'format.output.meta.fields': 'offset,op,timestamp' })
  assert.equal(format.extension, '.csv')
  const file = await encodeRows(format, [
    { schema, value: { id: 2n ** 63n - 1n, ...empty } },
    { schema, value: { ...empty, id: 1n, name: '' } },
    { schema, value: { ...empty, id: 2n, name: 'a "b", c\nd' } },
    {
      schema,
      value: {
        id: -3n,
        name: 'é',
        ratio: Math.fround(0.1),
        price: new Decimal(-5n, 2),
        day: new Date(86_400_000),
        at: new Date(1),
        raw: Buffer.from([255]),
        list: ['x', 'y"'],
      },
    },
  ])
  assert.equal(
    file.toString(),
    [
      'id,name,ratio,price,day,at,raw,list,__offset,__op,__ts',
      '9223372036854775807,,,,,,,,0,u,',
      '1,"",,,,,,,1,u,',
      '2,"a ""b"", c\nd",,,,,,,2,u,',
      '-3,é,0.1,-0.05,1970-01-02,1970-01-01T00:00:00.001Z,/w==,"[""x"",""y\\""""]",3,u,',
      '',
    ].join('\n'),
  )
})

test('CSV without a schema needs csv.columns, which also choose and order', async () => {
  const rows = [{ schema: null, value: { b: new Float64(1), a: 2n ** 60n, c: { d: [true, null] }, hidden: 1 } }]
  await assert.rejects(encodeRows(await open(), rows), { code: 'CONNECT_S3_SCHEMA_MISSING' })
  const file = await encodeRows(await open({ 'csv.columns': 'a,toString,b,c' }), rows)
  assert.equal(file.toString(), '1152921504606846976,,1,"{""d"":[true,null]}"\n')
  await assert.rejects(encodeRows(await open({ 'csv.columns': 'a' }), [{ schema: null, value: 'text' }]), {
    code: 'CONNECT_S3_VALUE_NOT_OBJECT',
  })
})

test('a column that the sink would add and the record has, too, is refused', async () => {
  const taken = makeSchema({ type: 'STRUCT', fields: [{ name: '__offset', schema: Schemas.int64 }] })
  const rows = [{ schema: taken, value: { __offset: 1n } }]
  for (const format of ['CsvFormat', 'ParquetFormat']) {
    const added = await valueFormat({ 'format.class': format, 'format.output.meta.fields': 'offset' })
    await assert.rejects(encodeRows(added, rows), { code: 'CONNECT_S3_META_FIELD_TAKEN' })
  }
})
