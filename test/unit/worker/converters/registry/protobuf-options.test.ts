import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import protobuf from 'protobufjs'
import { copySchema, makeSchema, type Schema, Schemas, type Value } from '../../../../../worker/api/data.ts'
import { encode, format, type Options } from './protobuf-support.ts'

const struct = (fields: Readonly<Record<string, Schema>>): Schema =>
  makeSchema({
    type: 'STRUCT',
    name: 'p.M',
    fields: Object.entries(fields).map(([name, schema]) => ({ name, schema })),
  })

const emptyMessage = Buffer.of(0)
const fieldsOf = (schema: Schema | null) => schema?.fields.map((f) => [f.name, f.schema.type, f.schema.optional])

describe('options of the Protobuf converter', () => {
  it('wrapper.for.nullables writes optional primitives as messages, so that null and zero differ', async () => {
    const schema = struct({
      a: Schemas.optionalInt32,
      b: Schemas.optionalString,
      plain: Schemas.int32,
      list: makeSchema({ type: 'ARRAY', valueSchema: Schemas.optionalBoolean }),
    })
    const made = await format({ 'wrapper.for.nullables': 'true' })
    const { text, bytes } = encode(made, schema, { a: 0, b: null, plain: 0, list: [true, false] })
    assert.match(text, /import "google\/protobuf\/wrappers\.proto";/)
    assert.match(text, /\n {2}google\.protobuf\.Int32Value a = 1;\n {2}google\.protobuf\.StringValue b = 2;\n/)
    assert.match(text, /\n {2}int32 plain = 3;\n {2}repeated google\.protobuf\.BoolValue list = 4;\n/)
    assert.deepEqual([...bytes], [0, 0x0a, 0, 0x22, 2, 8, 1, 0x22, 0])
    const { schema: read, value } = made.decoding(text, [], null).read(bytes, 0)
    assert.deepEqual(value, { a: 0, b: null, plain: 0, list: [true, false] })
    assert.deepEqual(fieldsOf(read), [
      ['a', 'INT32', true],
      ['b', 'STRING', true],
      ['plain', 'INT32', false],
      ['list', 'ARRAY', true],
    ])
    // Without the option they are plain, and a null is read as zero.
    const without = await format()
    const plain = encode(without, schema, { a: null, b: null, plain: 0, list: [] })
    assert.match(plain.text, /\n {2}int32 a = 1;\n {2}string b = 2;\n/)
    const again = without.decoding(plain.text, [], null).read(plain.bytes, 0).value
    assert.deepEqual(again, { a: 0, b: '', plain: 0, list: [] })
  })

  it('wrapper.for.nullables gives every type its message, as an independent library reads it', async () => {
    const types = {
      i: [Schemas.optionalInt64, -(2n ** 40n), 'Int64Value'],
      u: [
        makeSchema({ ...Schemas.optionalInt64, parameters: { 'io.confluent.connect.protobuf.Type': 'uint32' } }),
        7n,
        'UInt32Value',
      ],
      f: [makeSchema({ type: 'FLOAT32', optional: true }), 0.5, 'FloatValue'],
      d: [makeSchema({ type: 'FLOAT64', optional: true }), -0.25, 'DoubleValue'],
      y: [makeSchema({ type: 'BYTES', optional: true }), Uint8Array.of(1, 2), 'BytesValue'],
    } as const
    const schema = struct(Object.fromEntries(Object.entries(types).map(([name, [type]]) => [name, type])))
    const value = Object.fromEntries(Object.entries(types).map(([name, [, item]]) => [name, item as Value]))
    const made = await format({ 'wrapper.for.nullables': 'true' })
    const { text, bytes } = encode(made, schema, value)
    for (const [name, [, , wrapper]] of Object.entries(types)) {
      assert.match(text, new RegExp(`google\\.protobuf\\.${wrapper} ${name} = `))
    }
    const root = new protobuf.Root()
    root.addJSON(protobuf.common.get('google/protobuf/wrappers.proto')?.nested ?? {})
    const message = protobuf.parse(text, root, { keepCase: true }).root.lookupType('p.M').decode(bytes.subarray(1))
    assert.deepEqual(JSON.parse(JSON.stringify(message)), {
      i: { value: String(-(2n ** 40n)) },
      u: { value: 7 },
      f: { value: 0.5 },
      d: { value: -0.25 },
      y: { value: 'AQI=' },
    })
    const read = made.decoding(text, [], null).read(bytes, 0).value as Readonly<Record<string, Value>>
    assert.deepEqual({ ...read, y: [...(read['y'] as Uint8Array)] }, { ...value, y: [1, 2] })
  })

  it('wrapper.for.nullables leaves members of a oneof as they were read', async () => {
    const text = `syntax = "proto3"; package p; import "google/protobuf/wrappers.proto";
      message M { oneof pick { int32 plain = 1; google.protobuf.Int32Value wrapped = 2; } }`
    const made = await format({ 'wrapper.for.nullables': 'true', 'enhanced.protobuf.schema.support': 'true' })
    const bytes = Buffer.from([0, 0x12, 2, 8, 5])
    const { schema, value } = made.decoding(text, [], null).read(bytes, 0)
    assert.ok(schema !== null)
    assert.deepEqual(value, { pick_0: { plain: null, wrapped: 5 } })
    const again = encode(made, schema, value)
    assert.match(again.text, /int32 plain = 1;\s+google\.protobuf\.Int32Value wrapped = 2;/)
    assert.deepEqual(again.bytes, bytes)
  })

  it('wrapper.for.raw.primitives says whether a wrapper is a primitive or a struct', async () => {
    const text = `syntax = "proto3"; import "google/protobuf/wrappers.proto";
      message M { google.protobuf.StringValue s = 1; }`
    const bytes = Buffer.from([0, 0x0a, 3, 0x0a, 1, 0x78])
    const read = async (options: Options, data: Buffer = bytes) =>
      (await format(options)).decoding(text, [], null).read(data, 0)
    assert.deepEqual((await read({})).value, { s: 'x' })
    assert.deepEqual((await read({}, emptyMessage)).value, { s: null })
    const asStruct = await read({ 'wrapper.for.raw.primitives': 'false' })
    assert.deepEqual(asStruct.value, { s: { value: 'x' } })
    assert.equal(asStruct.schema?.fields[0]?.schema.name, 'StringValue')
    const nested = await read({ 'wrapper.for.raw.primitives': 'false', 'wrapper.for.nullables': 'true' })
    assert.deepEqual(nested.value, { s: 'x' })
    // The message of a whole record.
    const made = await format({ 'wrapper.for.raw.primitives': 'false', 'wrapper.for.nullables': 'true' })
    const alone = encode(made, Schemas.optionalInt64, 5n)
    assert.match(alone.text, /message Int64Value \{\n {2}int64 value = 1;/)
    assert.deepEqual(made.decoding(alone.text, [], null).read(alone.bytes, 0).value, { value: 5n })
  })

  it('generate.struct.for.nulls reads an absent message as an empty one', async () => {
    const text = `syntax = "proto3"; import "google/protobuf/timestamp.proto";
      message M { N n = 1; optional int32 o = 2; google.protobuf.Timestamp t = 3; oneof p { N m = 4; }
        message N { string s = 1; Z z = 2; } message Z { bool b = 1; } }`
    const read = async (options: Options) =>
      (await format(options)).decoding(text, [], null).read(emptyMessage, 0).value
    assert.deepEqual(await read({}), { p_0: null, n: null, o: null, t: null })
    const generated = { p_0: null, n: { s: '', z: { b: false } }, o: 0, t: new Date(0) }
    assert.deepEqual(await read({ 'generate.struct.for.nulls': 'true' }), generated)
  })

  it('ignore.default.for.nullables keeps the null of an optional field with a default', async () => {
    const schema = struct({
      a: copySchema(Schemas.optionalInt32, { defaultValue: 7 }),
      b: makeSchema({ type: 'INT32', defaultValue: 8 }),
    })
    const write = async (options: Options) => [
      ...encode(await format({ 'optional.for.nullables': 'true', ...options }), schema, { a: null, b: null }).bytes,
    ]
    assert.deepEqual(await write({}), [0, 8, 7, 16, 8])
    assert.deepEqual(await write({ 'ignore.default.for.nullables': 'true' }), [0, 16, 8])
  })

  it('generalized.sum.type.support gives unions and enumerations the names of all formats', async () => {
    const text = `syntax = "proto3"; package p;
      message M { oneof pick { int32 n = 1; string s = 2; } E e = 3; enum E { A = 0; B = 5; } }`
    const made = await format({ 'generalized.sum.type.support': 'true', 'enhanced.protobuf.schema.support': 'true' })
    const bytes = Buffer.from([0, 0x12, 1, 0x78, 0x18, 5])
    const { schema, value } = made.decoding(text, [], null).read(bytes, 0)
    assert.ok(schema !== null)
    const [pick, e] = schema.fields.map((field) => field.schema)
    assert.equal(pick?.name, 'pick')
    assert.deepEqual([...(pick?.parameters ?? [])], [['org.apache.kafka.connect.data.Union', 'pick']])
    assert.deepEqual(Object.fromEntries(e?.parameters ?? []), {
      'org.apache.kafka.connect.data.Enum': 'E',
      'org.apache.kafka.connect.data.Enum.A': '0',
      'org.apache.kafka.connect.data.Enum.B': '5',
      'io.confluent.connect.protobuf.Tag': '3',
    })
    const again = encode(made, schema, value)
    assert.match(again.text, /oneof pick \{/)
    assert.match(again.text, /enum E \{\n\s+A = 0;\n\s+B = 5;/)
    assert.deepEqual(again.bytes, bytes)
    const own = (await format()).decoding(text, [], null).read(bytes, 0).schema
    assert.equal(own?.fields[0]?.schema.name, 'io.confluent.connect.protobuf.Union.pick')
    assert.equal(own?.fields[1]?.schema.parameters?.get('io.confluent.connect.protobuf.Enum.B'), '5')
  })
})
