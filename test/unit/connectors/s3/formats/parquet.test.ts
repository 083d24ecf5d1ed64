import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import fc from 'fast-check'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { uncompressSync as uncompressLz4 } from 'lz4-napi'
import { avroEnumParameter } from '../../../../../worker/api/avro-schema.ts'
import { avroUnionName } from '../../../../../worker/api/avro-unions.ts'
import {
  Decimal,
  decimalSchema,
  LogicalName,
  makeSchema,
  type Schema,
  Schemas,
  type Value,
} from '../../../../../worker/api/data.ts'
import { ConfigError, DataError } from '../../../../../worker/api/errors.ts'
import { schemas, values } from '../../../../conformance/java/arbitraries.ts'
import { encodeRows, type TypedRow, valueFormat } from '../../../../conformance/s3/format-harness.ts'
import { withThreeLevelLists } from '../../../../support/parquet-lists.ts'
import { testSeed } from '../../../../support/seed.ts'

const parquet = 'io.confluent.connect.s3.format.parquet.ParquetFormat'
const open = (config: Readonly<Record<string, string>> = {}) => valueFormat({ 'format.class': parquet, ...config })

/** lz4 block as it stands in a page, without the length that the package wants in front. */
function rawLz4(block: Uint8Array, length: number): Uint8Array {
  const framed = Buffer.alloc(4 + block.length)
  framed.writeUInt32LE(length)
  framed.set(block, 4)
  return uncompressLz4(framed)
}

const decompress = {
  GZIP: (page: Uint8Array) => gunzipSync(page),
  ZSTD: (page: Uint8Array) => zstdDecompressSync(page),
  BROTLI: (page: Uint8Array) => brotliDecompressSync(page),
  LZ4_RAW: (page: Uint8Array, length: number) => rawLz4(page, length),
  LZ4: (page: Uint8Array, length: number) => rawLz4(page.subarray(8), length),
}

const arrayBuffer = (file: Buffer) => file.buffer.slice(file.byteOffset, file.byteOffset + file.length) as ArrayBuffer

function read(file: Buffer) {
  const buffer = arrayBuffer(file)
  return parquetReadObjects({
    file: buffer,
    metadata: withThreeLevelLists(parquetMetadata(buffer)),
    compressors: decompress,
    utf8: false,
    parsers: {
      timestampFromMilliseconds: (ms) => ms,
      dateFromDays: (days) => days,
    },
  })
}

/** The reader makes an object of a map, with an order of its own. */
const sorted = (entries: (readonly [unknown, unknown])[]) =>
  entries.sort(([a], [b]) => (String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0))

/** What a reader of the file sees of a value. */
function seen(schema: Schema, given: Value): unknown {
  const value = given ?? schema.defaultValue
  if (value === null) return null
  // The reader makes doubles of decimals.
  if (value instanceof Decimal) return Number(value.unscaled) * 10 ** -value.scale
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (value instanceof Date) {
    if (schema.name === LogicalName.date) return Math.floor(value.getTime() / 86_400_000)
    return schema.name === LogicalName.time ? value.getTime() : BigInt(value.getTime())
  }
  const { valueSchema, keySchema } = schema
  if (Array.isArray(value)) return (value as readonly Value[]).map((item) => seen(valueSchema as Schema, item))
  if (value instanceof Map) {
    const entries = [...(value as ReadonlyMap<Value, Value>)]
    return sorted(entries.map(([k, v]) => [seen(keySchema as Schema, k), seen(valueSchema as Schema, v)] as const))
  }
  if (schema.type === 'STRUCT') {
    const struct = value as { readonly [name: string]: Value }
    return schema.fields.map((f) => [f.name, seen(f.schema, struct[f.name] ?? null)])
  }
  if (schema.type === 'FLOAT32') return Math.fround(value as number)
  // The file has UTF-8: half of a surrogate pair becomes the replacement character there.
  return typeof value === 'string' ? Buffer.from(value).toString() : value
}

/** What hyparquet gives, in the same terms. */
function found(schema: Schema, value: unknown): unknown {
  if (value === null || value === undefined) return null
  if (schema.name === LogicalName.decimal) return value
  if (schema.type === 'BYTES') return Buffer.from(value as Uint8Array).toString('hex')
  const { valueSchema, keySchema } = schema
  if (schema.type === 'ARRAY') return (value as unknown[]).map((item) => found(valueSchema as Schema, item))
  if (schema.type === 'MAP') {
    const entries = Array.isArray(value)
      ? (value as { key: unknown; value: unknown }[]).map(({ key, value: v }) => [key, v] as const)
      : Object.entries(value)
    return sorted(entries.map(([k, v]) => [found(keySchema as Schema, k), found(valueSchema as Schema, v)] as const))
  }
  if (schema.type !== 'STRUCT') return value
  const struct = value as Record<string, unknown>
  return schema.fields.map((f) => [f.name, found(f.schema, struct[f.name])])
}

const shopSchema = makeSchema({
  type: 'STRUCT',
  name: 'com.acme.Order',
  fields: [
    { name: 'id', schema: Schemas.int64 },
    { name: 'small', schema: Schemas.optionalInt8 },
    { name: 'name', schema: Schemas.optionalString },
    { name: 'price', schema: decimalSchema(2) },
    { name: 'day', schema: makeSchema({ type: 'INT32', name: LogicalName.date, version: 1 }) },
    { name: 'at', schema: makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1, optional: true }) },
    { name: 'tags', schema: makeSchema({ type: 'ARRAY', valueSchema: Schemas.optionalString }) },
    {
      name: 'matrix',
      schema: makeSchema({
        type: 'ARRAY',
        optional: true,
        valueSchema: makeSchema({ type: 'ARRAY', valueSchema: Schemas.int32 }),
      }),
    },
    {
      name: 'attributes',
      schema: makeSchema({ type: 'MAP', keySchema: Schemas.string, valueSchema: Schemas.optionalFloat64 }),
    },
    {
      name: 'buyer',
      schema: makeSchema({
        type: 'STRUCT',
        optional: true,
        fields: [
          { name: 'city', schema: Schemas.optionalString },
          { name: 'level', schema: makeSchema({ type: 'INT32', defaultValue: 7 }) },
        ],
      }),
    },
  ],
})

const order = (id: number): Value => ({
  id: 2n ** 60n + BigInt(id),
  small: id % 3 === 0 ? null : id % 100,
  name: id % 4 === 0 ? null : `name ${id % 10} 😀`,
  price: new Decimal(BigInt(id) * 7n - 100n, 2),
  day: new Date(id * 86_400_000),
  at: id % 5 === 0 ? null : new Date(1_700_000_000_000 + id),
  tags: id % 2 === 0 ? [] : ['x', null, `t${id}`],
  matrix: id % 7 === 0 ? null : [[id], [], [1, 2]],
  attributes: new Map<Value, Value>([
    ['a', id / 2],
    ['b', null],
  ]),
  buyer: id % 3 === 1 ? null : { city: id % 2 === 0 ? null : 'Rome', level: null },
})

const orders = (count: number): TypedRow[] =>
  Array.from({ length: count }, (_, id) => ({ schema: shopSchema, value: order(id) }))

for (const [codec, extension] of [
  ['none', '.parquet'],
  ['snappy', '.snappy.parquet'],
  ['gzip', '.gz.parquet'],
  ['zstd', '.zstd.parquet'],
  ['brotli', '.br.parquet'],
  ['lz4_raw', '.lz4raw.parquet'],
  ['lz4', '.lz4hadoop.parquet'],
] as const) {
  test(`Parquet with ${codec}: nested lists, optional elements, maps, logical types over several row groups (S6, S57)`, async () => {
    const format = await open({ 'parquet.codec': codec })
    assert.equal(format.extension, extension)
    const rows = orders(250)
    const file = await encodeRows(format, rows, 100)
    const metadata = parquetMetadata(arrayBuffer(file))
    assert.deepEqual(
      metadata.row_groups.map((group) => Number(group.num_rows)),
      [100, 100, 50],
    )
    const actual = await read(file)
    assert.deepEqual(
      actual.map((row) => found(shopSchema, row)),
      rows.map(({ schema, value }) => seen(schema as Schema, value)),
    )
  })
}

test('lzo is refused with the codecs that there are', async () => {
  await assert.rejects(open({ 'parquet.codec': 'lzo' }), (error: unknown) => {
    assert.ok(error instanceof ConfigError)
    assert.match(error.message, /parquet.codec.*none, gzip, snappy/)
    return true
  })
})

test('the schema of a file: types, logical types, lists of three levels', async () => {
  const file = await encodeRows(await open(), orders(1))
  const { schema, created_by } = parquetMetadata(arrayBuffer(file))
  assert.match(String(created_by), /Sluice/)
  const tree = schema.map((e) => [e.name, e.type ?? e.num_children, e.repetition_type, e.converted_type])
  assert.deepEqual(tree.slice(0, 9), [
    ['com.acme.Order', 10, undefined, undefined],
    ['id', 'INT64', 'REQUIRED', undefined],
    ['small', 'INT32', 'OPTIONAL', undefined],
    ['name', 'BYTE_ARRAY', 'OPTIONAL', 'UTF8'],
    ['price', 'BYTE_ARRAY', 'REQUIRED', 'DECIMAL'],
    ['day', 'INT32', 'REQUIRED', 'DATE'],
    ['at', 'INT64', 'OPTIONAL', 'TIMESTAMP_MILLIS'],
    ['tags', 1, 'REQUIRED', 'LIST'],
    ['list', 1, 'REPEATED', undefined],
  ])
})

/** One struct of what Connect's types become in Parquet, and what Confluent's ParquetFormat made of the same schema. */
const kindsSchema = makeSchema({
  type: 'STRUCT',
  name: 'com.acme.E',
  fields: [
    { name: 'a', schema: makeSchema({ type: 'ARRAY', valueSchema: Schemas.int32 }) },
    {
      name: 'aa',
      schema: makeSchema({
        type: 'ARRAY',
        optional: true,
        valueSchema: makeSchema({ type: 'ARRAY', valueSchema: Schemas.string }),
      }),
    },
    { name: 'm', schema: makeSchema({ type: 'MAP', keySchema: Schemas.string, valueSchema: Schemas.optionalInt32 }) },
    { name: 'mi', schema: makeSchema({ type: 'MAP', keySchema: Schemas.int32, valueSchema: Schemas.string }) },
    {
      name: 'e',
      schema: makeSchema({ type: 'STRING', parameters: new Map([[avroEnumParameter, 'com.acme.Colour']]) }),
    },
    {
      name: 'fx',
      schema: makeSchema({ type: 'BYTES', name: 'com.acme.Fx', parameters: new Map([['connect.fixed.size', '2']]) }),
    },
    {
      name: 'u',
      schema: makeSchema({
        type: 'STRUCT',
        name: avroUnionName,
        optional: true,
        fields: [
          { name: 'int', schema: Schemas.optionalInt32 },
          { name: 'string', schema: Schemas.optionalString },
        ],
      }),
    },
    { name: 'd', schema: decimalSchema(2) },
    { name: 'dn', schema: decimalSchema(-2) },
  ],
})
const kindsOfReference = [
  'com.acme.E 9',
  'a REQUIRED LIST 1',
  'array REPEATED INT32',
  'aa OPTIONAL LIST 1',
  'array REPEATED LIST 1',
  'array REPEATED UTF8 BYTE_ARRAY',
  'm REQUIRED MAP 1',
  'key_value REPEATED MAP_KEY_VALUE 2',
  'key REQUIRED UTF8 BYTE_ARRAY',
  'value OPTIONAL INT32',
  'mi REQUIRED LIST 1',
  'array REPEATED 2',
  'key REQUIRED INT32',
  'value REQUIRED UTF8 BYTE_ARRAY',
  'e REQUIRED ENUM BYTE_ARRAY',
  'fx REQUIRED FIXED_LEN_BYTE_ARRAY(2)',
  'u OPTIONAL 2',
  'member0 OPTIONAL INT32',
  'member1 OPTIONAL UTF8 BYTE_ARRAY',
  'd REQUIRED DECIMAL(64,2) BYTE_ARRAY',
  'dn REQUIRED BYTE_ARRAY',
]

test('types of a file without null elements: lists of two levels, entries, enums, unions, as in the reference', async () => {
  const value: Value = {
    a: [1, 2],
    aa: [['x'], ['y', 'z']],
    m: new Map([['k', null]]),
    mi: new Map([[1, 'a']]),
    e: 'RED',
    fx: Buffer.from([1, 2]),
    u: { int: null, string: 'x' },
    d: new Decimal(1n, 2),
    dn: new Decimal(1n, -2),
  }
  const file = await encodeRows(await open(), [{ schema: kindsSchema, value }])
  const { schema, row_groups, key_value_metadata = [] } = parquetMetadata(arrayBuffer(file))
  const lines = schema.map((e) => {
    const digits = e.converted_type === 'DECIMAL' ? `(${e.precision},${e.scale})` : ''
    const size = e.type === 'FIXED_LEN_BYTE_ARRAY' ? `(${e.type_length})` : ''
    const words = [e.repetition_type, e.converted_type && e.converted_type + digits, e.type && e.type + size]
    return [e.name, ...words, e.num_children].filter((word) => word !== undefined).join(' ')
  })
  assert.deepEqual(lines, kindsOfReference)
  const paths = row_groups.flatMap(({ columns }) => columns.map(({ meta_data }) => meta_data?.path_in_schema.join('.')))
  const leaves = ['a.array', 'aa.array.array', 'm.key_value.key', 'm.key_value.value', 'mi.array.key', 'mi.array.value']
  assert.deepEqual(paths, [...leaves, 'e', 'fx', 'u.member0', 'u.member1', 'd', 'dn'])
  const metadata = new Map(key_value_metadata.map(({ key, value: text }) => [key, text]))
  assert.equal(metadata.get('writer.model.name'), 'avro')
  assert.equal(JSON.parse(metadata.get('parquet.avro.schema') ?? '').name, 'E')
  const [row] = await read(file)
  assert.deepEqual(
    [row?.['a'], row?.['aa'], row?.['u']],
    [[1, 2], [['x'], ['y', 'z']], { member0: null, member1: 'x' }],
  )
})

test('rows that Avro has no names for are written, without a schema of Avro', async () => {
  const schema = makeSchema({ type: 'STRUCT', fields: [{ name: 'order-id', schema: Schemas.int32 }] })
  const file = await encodeRows(await open(), [{ schema, value: { 'order-id': 7 } }])
  assert.deepEqual(await read(file), [{ 'order-id': 7 }])
  assert.deepEqual(parquetMetadata(arrayBuffer(file)).key_value_metadata ?? [], [])
})

test('what does not fit is refused and leaves the rows before it (S60)', async () => {
  const format = await open()
  const narrow = makeSchema({ type: 'STRUCT', fields: [{ name: 'price', schema: decimalSchema(0) }] })
  const rows = [{ schema: narrow, value: { price: new Decimal(1n, 0) } }]
  for (const value of [{ price: new Decimal(10n ** 64n, 0) }, { price: null }, { price: 'x' }, null]) {
    await assert.rejects(encodeRows(format, [...rows, { schema: narrow, value }]), DataError)
  }
  await assert.rejects(encodeRows(format, [{ schema: null, value: { a: 1 } }]), { code: 'CONNECT_S3_SCHEMA_MISSING' })
  const empty = makeSchema({ type: 'STRUCT' })
  await assert.rejects(encodeRows(format, [{ schema: empty, value: {} }]), /no fields/)
})

test('a value that is no struct becomes the field of one', async () => {
  const file = await encodeRows(await open(), [
    { schema: Schemas.int32, value: 4 },
    { schema: Schemas.int32, value: 5 },
  ])
  assert.deepEqual(await read(file), [{ value: 4 }, { value: 5 }])
})

const seed = testSeed
/** Schemas that Parquet can hold and the reader gives back: no empty structs, no decimals beyond their digits, text as keys. */
function isStorable(schema: Schema): boolean {
  if (schema.name === LogicalName.decimal) return false
  if (schema.type === 'STRUCT')
    return schema.fields.length > 0 && schema.fields.every((f) => f.name !== '__proto__' && isStorable(f.schema))
  if (schema.keySchema !== null && (schema.keySchema.optional || schema.keySchema.type !== 'STRING')) return false
  return [schema.keySchema, schema.valueSchema].every((part) => part === null || isStorable(part))
}

test(`any struct reads back as it was (seed ${seed})`, async () => {
  const format = await open()
  const options = { javaVersion: 21, maxDepth: 2 }
  const structs = schemas(options).filter((s) => s.type === 'STRUCT' && !s.optional && isStorable(s))
  const rows = structs.chain((schema) =>
    fc.tuple(fc.constant(schema), fc.array(values(schema, options), { minLength: 1, maxLength: 5 })),
  )
  await fc.assert(
    fc.asyncProperty(rows, async ([schema, items]) => {
      const file = await encodeRows(
        format,
        items.map((value) => ({ schema, value })),
        3,
      )
      assert.deepEqual(
        (await read(file)).map((row) => found(schema, row)),
        items.map((value) => seen(schema, value)),
      )
    }),
    { seed, numRuns: 150 },
  )
})
