import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32, inflateRawSync, zstdDecompressSync } from 'node:zlib'
import avsc from 'avsc'
import fc from 'fast-check'
import { uncompressSync } from 'snappy'
import { avroEnumParameter, compileAvro } from '../../../../../worker/api/avro-schema.ts'
import { avroUnionName } from '../../../../../worker/api/avro-unions.ts'
import { GrowingByteWriter } from '../../../../../worker/api/byte-writer.ts'
import {
  Decimal,
  decimalSchema,
  Float64,
  LogicalName,
  makeSchema,
  type Schema,
  Schemas,
  type Value,
} from '../../../../../worker/api/data.ts'
import { ConfigError, DataError } from '../../../../../worker/api/errors.ts'
import { inHashOrder } from '../../../../../worker/api/java-hash.ts'
import { fromTwosComplement } from '../../../../../worker/api/values.ts'
import { schemas, values } from '../../../../conformance/java/arbitraries.ts'
import { encodeRows, type TypedRow, valueFormat } from '../../../../conformance/s3/format-harness.ts'
import { testSeed } from '../../../../support/seed.ts'

const avro = 'io.confluent.connect.s3.format.avro.AvroFormat'
const open = (config: Readonly<Record<string, string>> = {}) => valueFormat({ 'format.class': avro, ...config })

/** int64 without loss. */
const longs = avsc.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const bytes = Buffer.alloc(8)
    // Defaults in the schema went through a double here.
    bytes.writeBigInt64LE(BigInt.asIntN(64, value))
    return bytes
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0),
})

const exactLongs = (schema: unknown) =>
  schema === 'long' || (schema as { type?: unknown }).type === 'long' ? longs : undefined

interface Container {
  readonly schema: unknown
  readonly codec: string
  readonly counts: readonly number[]
  readonly rows: readonly unknown[]
}

const decompress: Readonly<Record<string, (block: Buffer) => Buffer>> = {
  null: (block) => block,
  deflate: (block) => inflateRawSync(block),
  zstandard: (block) => zstdDecompressSync(block),
  snappy: (block) => {
    const plain = uncompressSync(block.subarray(0, -4), { asBuffer: true }) as Buffer
    assert.equal(block.readUInt32BE(block.length - 4), crc32(plain))
    return plain
  },
}

/** An object container file, read by the rules of Avro's specification and values by avsc. */
function read(file: Buffer): Container {
  let at = 0
  const long = () => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = file[at++] ?? 0
      value += (byte & 127) * 2 ** shift
      if (byte < 128) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
  }
  const bytes = (length: number) => file.subarray(at, (at += length))
  assert.equal(bytes(4).toString('latin1'), 'Obj\u0001')
  const meta = new Map<string, string>()
  for (let count = long(); count !== 0; count = long()) {
    for (let i = 0; i < count; i++) {
      const key = bytes(long()).toString()
      meta.set(key, bytes(long()).toString())
    }
  }
  const sync = bytes(16)
  const schema: unknown = JSON.parse(meta.get('avro.schema') ?? 'null')
  const type = avsc.Type.forSchema(schema as avsc.Schema, { typeHook: exactLongs, wrapUnions: true })
  const counts: number[] = []
  const rows: unknown[] = []
  while (at < file.length) {
    const count = long()
    const block = decompress[meta.get('avro.codec') ?? '']?.(bytes(long())) ?? Buffer.alloc(0)
    let offset = 0
    for (let i = 0; i < count; i++) {
      const decoded = type.decode(block, offset)
      rows.push(decoded.value)
      offset = decoded.offset
    }
    assert.equal(offset, block.length)
    assert.deepEqual(bytes(16), sync)
    counts.push(count)
  }
  return { schema, codec: meta.get('avro.codec') ?? '', counts, rows }
}

/** What avsc gives for a Connect value. */
function seen(schema: Schema, given: Value): unknown {
  const value = given ?? schema.defaultValue
  if (value === null) return null
  const present = seenPresent(schema, value)
  return schema.optional ? { [branchName(schema)]: present } : present
}

function seenPresent(schema: Schema, value: Value): unknown {
  if (value instanceof Decimal) return `decimal ${value.unscaled}`
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (value instanceof Date) {
    if (schema.name === LogicalName.date) return Math.floor(value.getTime() / 86_400_000)
    return schema.name === LogicalName.time ? value.getTime() : BigInt(value.getTime())
  }
  const { valueSchema, keySchema } = schema
  if (Array.isArray(value)) return (value as readonly Value[]).map((item) => seen(valueSchema as Schema, item))
  if (value instanceof Map) {
    const entries = inHashOrder([...(value as ReadonlyMap<Value, Value>)])
    return entries.map(([k, v]) => [seen(keySchema as Schema, k), seen(valueSchema as Schema, v)])
  }
  if (schema.type === 'STRUCT') {
    const struct = value as { readonly [name: string]: Value }
    return schema.fields.map((f) => [f.name, seen(f.schema, struct[f.name] ?? null)])
  }
  if (schema.type === 'FLOAT32') return Math.fround(value as number)
  return typeof value === 'string' ? Buffer.from(value).toString() : value
}

const branchNames = {
  INT8: 'int',
  INT16: 'int',
  INT32: 'int',
  INT64: 'long',
  FLOAT32: 'float',
  FLOAT64: 'double',
  BOOLEAN: 'boolean',
  STRING: 'string',
  BYTES: 'bytes',
  ARRAY: 'array',
  MAP: 'map',
} as const

function branchName(schema: Schema): string {
  if (schema.type === 'STRUCT') return 'struct'
  return schema.type === 'MAP' && isListMap(schema) ? 'array' : branchNames[schema.type]
}

const isListMap = ({ keySchema }: Schema) => keySchema?.type !== 'STRING' || keySchema.optional

/** What avsc gave, in the same terms. */
function found(schema: Schema, value: unknown): unknown {
  if (value === null) return null
  if (!schema.optional) return foundPresent(schema, value)
  const [branch, present] = Object.entries(value as Record<string, unknown>)[0] ?? []
  const name = schema.type === 'STRUCT' ? 'struct' : branch
  return { [name ?? '']: foundPresent(schema, present) }
}

function foundPresent(schema: Schema, value: unknown): unknown {
  if (schema.name === LogicalName.decimal) return `decimal ${fromTwosComplement(value as Buffer)}`
  if (schema.type === 'BYTES') return Buffer.from(value as Uint8Array).toString('hex')
  const { valueSchema, keySchema } = schema
  if (schema.type === 'ARRAY') return (value as unknown[]).map((item) => found(valueSchema as Schema, item))
  if (schema.type === 'MAP') {
    if (isListMap(schema)) {
      const list = value as { key: unknown; value: unknown }[]
      return list.map(({ key, value: v }) => [found(keySchema as Schema, key), found(valueSchema as Schema, v)])
    }
    return Object.entries(value as Record<string, unknown>).map(([k, v]) => [k, found(valueSchema as Schema, v)])
  }
  if (schema.type !== 'STRUCT') return value
  const struct = value as Record<string, unknown>
  return schema.fields.map((f) => [f.name, found(f.schema, struct[f.name])])
}

const colour = makeSchema({
  type: 'STRING',
  optional: true,
  parameters: {
    [avroEnumParameter]: 'com.acme.Colour',
    [`${avroEnumParameter}.RED`]: 'RED',
    [`${avroEnumParameter}.BLUE`]: 'BLUE',
  },
})
const union = makeSchema({
  type: 'STRUCT',
  name: avroUnionName,
  optional: true,
  fields: [
    { name: 'int', schema: Schemas.optionalInt32 },
    { name: 'string', schema: Schemas.optionalString },
  ],
})
const shopSchema = makeSchema({
  type: 'STRUCT',
  name: 'com.acme.Order',
  version: 3,
  fields: [
    { name: 'id', schema: Schemas.int64 },
    { name: 'small', schema: Schemas.int8 },
    { name: 'colour', schema: colour },
    { name: 'either', schema: union },
    { name: 'price', schema: decimalSchema(2, { optional: true }) },
    { name: 'level', schema: makeSchema({ type: 'INT32', defaultValue: 7 }) },
    { name: 'note', schema: makeSchema({ type: 'STRING', optional: true, defaultValue: 'none' }) },
  ],
})
const order = (id: number) => ({
  id: 2n ** 62n - BigInt(id),
  small: id % 100,
  colour: ['RED', 'BLUE', null][id % 3] ?? null,
  either: id % 3 === 0 ? null : id % 3 === 1 ? { int: id, string: null } : { int: null, string: `s${id}` },
  price: id % 2 === 0 ? null : new Decimal(-1n, 2),
  level: id % 2 === 0 ? null : id,
  note: null,
})
const orders = (count: number): TypedRow[] =>
  Array.from({ length: count }, (_, id) => ({ schema: shopSchema, value: order(id) }))

/** Without the reader's classes. */
function plain(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Buffer.isBuffer(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]))
}

const wrapped = (name: string, value: unknown) => (value === null ? null : { [name]: value })

for (const codec of ['null', 'deflate', 'snappy', 'zstandard']) {
  test(`Avro with ${codec}: enumerations, unions, defaults, blocks (S56)`, async () => {
    const {
      codec: stored,
      counts,
      rows,
    } = read(await encodeRows(await open({ 'avro.codec': codec }), orders(250), 100))
    assert.equal(stored, codec)
    assert.deepEqual(counts, [100, 100, 50])
    const expected = orders(250).map(({ value }) => {
      const { id, small, colour: c, either, price, level } = value as ReturnType<typeof order>
      const branch =
        either === null ? null : either.int === null ? wrapped('string', either.string) : wrapped('int', either.int)
      return {
        id,
        small,
        colour: wrapped('com.acme.Colour', c),
        either: branch,
        price: price === null ? null : { bytes: Buffer.from([0xff]) },
        level: level ?? 7,
        note: { string: 'none' },
      }
    })
    assert.deepEqual(rows.map(plain), expected)
  })
}

test('bzip2 is refused with the codecs that there are', async () => {
  await assert.rejects(open({ 'avro.codec': 'bzip2' }), (error: unknown) => {
    assert.ok(error instanceof ConfigError)
    assert.match(error.message, /avro.codec.*null, deflate, snappy or zstandard/)
    return true
  })
})

test('the schema has names, logical types, defaults and, if wanted, what Connect knows beyond Avro', async () => {
  const full = read(await encodeRows(await open(), orders(1))).schema
  assert.deepEqual(full, {
    type: 'record',
    name: 'Order',
    namespace: 'com.acme',
    fields: [
      { name: 'id', type: 'long' },
      { name: 'small', type: { type: 'int', 'connect.type': 'int8' } },
      {
        name: 'colour',
        type: [
          'null',
          {
            type: 'enum',
            name: 'Colour',
            symbols: ['RED', 'BLUE'],
            'connect.parameters': {
              'io.confluent.connect.avro.Enum': 'com.acme.Colour',
              'io.confluent.connect.avro.Enum.RED': 'RED',
              'io.confluent.connect.avro.Enum.BLUE': 'BLUE',
            },
          },
        ],
        default: null,
      },
      { name: 'either', type: ['null', 'int', 'string'], default: null },
      {
        name: 'price',
        type: [
          'null',
          {
            type: 'bytes',
            scale: 2,
            precision: 64,
            logicalType: 'decimal',
            'connect.version': 1,
            'connect.parameters': { scale: '2' },
            'connect.name': 'org.apache.kafka.connect.data.Decimal',
          },
        ],
        default: null,
      },
      { name: 'level', type: { type: 'int', 'connect.default': 7 }, default: 7 },
      { name: 'note', type: [{ type: 'string', 'connect.default': 'none' }, 'null'], default: 'none' },
    ],
    'connect.version': 3,
    'connect.name': 'com.acme.Order',
  })
  const bare = read(
    await encodeRows(await open({ 'connect.meta.data': 'false', 'enhanced.avro.schema.support': 'false' }), orders(1)),
  ).schema as { fields: { name: string; type: unknown }[] }
  assert.deepEqual(
    bare.fields.slice(1, 3).map(({ type }) => type),
    ['int', ['null', 'string']],
  )
})

/** As Confluent's AvroFormat wrote it, of the same Connect schema. */
const schemaOfReference =
  '{"type":"record","name":"Event","namespace":"com.acme-x","fields":[{"name":"at","type":{"type":"long",' +
  '"connect.version":1,"connect.name":"org.apache.kafka.connect.data.Timestamp","logicalType":"timestamp-millis"}},' +
  '{"name":"price","type":{"type":"bytes","scale":2,"precision":64,"connect.version":1,' +
  '"connect.parameters":{"scale":"2"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}},' +
  '{"name":"counts","type":{"type":"array","items":{"type":"record","name":"MapEntry",' +
  '"namespace":"io.confluent.connect.avro","fields":[{"name":"key","type":"long"},{"name":"value","type":{"type":"int",' +
  '"connect.default":7},"default":7}]}}},{"name":"inner","type":{"type":"record","name":"Inner","fields":[{"name":"a",' +
  '"type":"string"}],"connect.name":"com.acme-x.Inner"}},{"name":"again","type":"Inner"},{"name":"bare","type":{"type":' +
  '"record","name":"ConnectDefault","namespace":"io.confluent.connect.avro","fields":[]}}],"connect.name":"com.acme-x.Event"}'

test('the text of a schema is that of AvroData: order of properties, namespaces, defaults of map entries', async () => {
  const inner = makeSchema({
    type: 'STRUCT',
    name: 'com.acme-x.Inner',
    fields: [{ name: 'a', schema: Schemas.string }],
  })
  const counts = makeSchema({
    type: 'MAP',
    keySchema: Schemas.int64,
    valueSchema: makeSchema({ type: 'INT32', defaultValue: 7 }),
  })
  const schema = makeSchema({
    type: 'STRUCT',
    // A namespace that no Avro name allows; the Java library looks at the last part only.
    name: 'com.acme-x.Event',
    fields: [
      { name: 'at', schema: makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1 }) },
      { name: 'price', schema: decimalSchema(2) },
      { name: 'counts', schema: counts },
      { name: 'inner', schema: inner },
      { name: 'again', schema: inner },
      { name: 'bare', schema: makeSchema({ type: 'STRUCT', fields: [] }) },
    ],
  })
  const { text, write } = compileAvro(schema, {
    enhanced: true,
    connectMetaData: true,
    optionalMapKeys: false,
    mismatch: (_, found) => new DataError('CONNECT_S3_VALUE_MISMATCH', found),
  })
  assert.equal(text, schemaOfReference)
  const bytes = new GrowingByteWriter(64)
  const value = {
    at: 0n,
    price: new Decimal(1n, 2),
    counts: new Map([
      [1_704_196_800_000n, 1],
      [-1n, 2],
      [17n, 3],
    ]),
    inner: { a: '' },
    again: { a: '' },
    bare: {},
  }
  write(value, bytes)
  const entries = avsc.Type.forSchema({
    type: 'array',
    items: {
      type: 'record',
      name: 'Entry',
      fields: [
        { name: 'key', type: 'long' },
        { name: 'value', type: 'int' },
      ],
    },
  })
  const { value: found } = entries.decode(Buffer.from(bytes.since(0)), 3)
  // Of a Java HashMap: -1 hashes to 0.
  assert.deepEqual(
    found.map((entry: { key: number }) => entry.key),
    [-1, 17, 1_704_196_800_000],
  )
})

test('equal rows give equal bytes: the sync marker comes from the key', async () => {
  const format = await open()
  assert.deepEqual(await encodeRows(format, orders(10)), await encodeRows(await open(), orders(10)))
})

test('what does not fit is refused and leaves the rows before it (S60)', async () => {
  const format = await open()
  const wrong = { ...order(1), small: 300 }
  await assert.rejects(encodeRows(format, [...orders(1), { schema: shopSchema, value: wrong }]), DataError)
  const spaced = makeSchema({ type: 'STRUCT', fields: [{ name: 'a b', schema: Schemas.int32 }] })
  await assert.rejects(encodeRows(format, [{ schema: spaced, value: { 'a b': 1 } }]), /the name 'a b'/)
})

const seed = testSeed
const avroName = /^[A-Za-z_][A-Za-z0-9_]*$/
/** Schemas whose names Avro allows and of which no two differ under one name. */
function isStorable(schema: Schema, names = new Set<string>()): boolean {
  if (schema.type === 'STRUCT') {
    if (schema.name !== null && (!avroName.test(schema.name) || names.has(schema.name))) return false
    names.add(schema.name ?? '')
    return schema.fields.every((f) => avroName.test(f.name) && f.name !== '__proto__' && isStorable(f.schema, names))
  }
  if (schema.type === 'MAP' && isListMap(schema)) {
    const name = schema.name ?? 'MapEntry'
    if (!avroName.test(name) || names.has(name)) return false
    names.add(name)
  }
  // The order of keys that look like numbers is the reader's own.
  if (schema.type === 'MAP' && !isListMap(schema)) return false
  return [schema.keySchema, schema.valueSchema].every((part) => part === null || isStorable(part, names))
}

test(`any struct reads back as it was (seed ${seed})`, async () => {
  const format = await open()
  const options = { javaVersion: 21, maxDepth: 2 }
  const structs = schemas(options).filter((s) => s.type === 'STRUCT' && isStorable(s))
  const drawn = structs.chain((schema) =>
    fc.tuple(fc.constant(schema), fc.array(values(schema, options), { minLength: 1, maxLength: 5 })),
  )
  await fc.assert(
    fc.asyncProperty(drawn, async ([schema, items]) => {
      // Halves of surrogate pairs have no UTF-8; such text is refused.
      const rows = items.map((value) => ({ schema, value }))
      const file = await encodeRows(format, rows, 3).catch((error: unknown) => {
        assert.ok(error instanceof DataError && error.code === 'CONNECT_DATA_SERIALIZATION')
        return null
      })
      if (file === null) return
      assert.deepEqual(
        read(file).rows.map((row) => found(schema, row)),
        items.map((value) => seen(schema, value)),
      )
    }),
    { seed, numRuns: 150 },
  )
})

test('values without a schema are the record Anything, as AvroData writes them', async () => {
  const value = new Map<string, Value>([
    ['a', 1],
    ['b', [true, null, 'x']],
    ['c', new Float64(2)],
    ['d', 2n ** 62n],
    ['e', Buffer.from([1])],
  ])
  const { rows, schema } = read(await encodeRows(await open(), [{ schema: null, value }]))
  assert.equal((schema as { name: string }).name, 'Anything')
  const only = (kind: string, member: unknown) => {
    const kinds = ['boolean', 'bytes', 'double', 'float', 'int', 'long', 'string', 'array', 'map']
    return Object.fromEntries(
      kinds.map((name) => [name, name === kind ? wrapped(kind === 'map' ? 'array' : kind, member) : null]),
    )
  }
  const entry = (key: string, member: unknown) => ({ key: only('string', key), value: member })
  assert.deepEqual(
    rows.map(plain),
    [
      only('map', [
        entry('a', only('long', 1n)),
        entry('b', only('array', [only('boolean', true), only('', null), only('string', 'x')])),
        entry('c', only('double', 2)),
        entry('d', only('long', 2n ** 62n)),
        entry('e', only('bytes', Buffer.from([1]))),
      ]),
    ].map(plain),
  )
  await assert.rejects(encodeRows(await open(), [{ schema: null, value: 2n ** 64n }]), DataError)
})
