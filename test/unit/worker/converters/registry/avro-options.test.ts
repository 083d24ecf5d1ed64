import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import avsc from 'avsc'
import { GrowingByteWriter } from '../../../../../worker/api/byte-writer.ts'
import { makeSchema, type Schema, Schemas, type Struct, type Value } from '../../../../../worker/api/data.ts'
import { parseConfig } from '../../../../../worker/config/config-def.ts'
import { avroConverterConfig } from '../../../../../worker/converters/registry/avro-config.ts'
import { AvroFormat } from '../../../../../worker/converters/registry/avro-format.ts'
import { TestStructView } from '../../../../conformance/converter.ts'

type Options = Readonly<Record<string, string>>

function format(options: Options = {}): AvroFormat {
  const raw = { 'schema.registry.url': 'http://r', 'converter.type': 'value', ...options }
  return new AvroFormat(parseConfig(avroConverterConfig, raw))
}

function encode(schema: Schema, value: Value, options?: Options): { json: unknown; text: string; bytes: Buffer } {
  const { text, write } = format(options).encoding(schema)
  const out = new GrowingByteWriter(16)
  write(value, out)
  const bytes = Buffer.from(out.since(0))
  if (schema.type === 'STRUCT' && value !== null) {
    const again = new GrowingByteWriter(16)
    write(new TestStructView(schema, value as Struct), again)
    assert.deepEqual(Buffer.from(again.since(0)), bytes, 'a view gives other bytes')
  }
  return { json: JSON.parse(text) as unknown, text, bytes }
}

const decode = (avro: unknown, bytes: Uint8Array, options?: Options) =>
  format(options)
    .decoding(typeof avro === 'string' ? avro : JSON.stringify(avro), [], null)
    .read(bytes, 0)

/** Data written by an independent library. */
const written = (avro: unknown, value: unknown): Buffer =>
  avsc.Type.forSchema(avro as avsc.Schema, { wrapUnions: true }).toBuffer(value)

const record = (fields: readonly unknown[], more: object = {}) => ({ type: 'record', name: 'n.R', ...more, fields })

describe('options of the Avro converter', () => {
  it('flatten.singleton.unions says whether a union of one type is that type', () => {
    const avro = record([{ name: 'a', type: ['int'] }])
    const bytes = written(avro, { a: { int: 7 } })
    const flat = decode(avro, bytes)
    assert.deepEqual(flat.value, { a: 7 })
    assert.equal(flat.schema?.fields[0]?.schema.type, 'INT32')
    const kept = decode(avro, bytes, { 'flatten.singleton.unions': 'false' })
    assert.deepEqual(kept.value, { a: { int: 7 } })
    assert.equal(kept.schema?.fields[0]?.schema.name, 'io.confluent.connect.avro.Union')
    assert.ok(kept.schema !== null)
    assert.deepEqual(encode(kept.schema, kept.value).bytes, bytes)
    assert.throws(() => decode(avro, Buffer.of(2, 14)), { kind: 'record', message: /no such branch/ })
  })

  it('ignore.default.for.nullables keeps the null of an optional field with a default', () => {
    const fields = [
      { name: 'a', schema: makeSchema({ type: 'INT32', optional: true, defaultValue: 7 }) },
      { name: 'b', schema: makeSchema({ type: 'INT32', defaultValue: 8 }) },
    ]
    const schema = makeSchema({ type: 'STRUCT', name: 'n.R', fields })
    const plain = encode(schema, { a: null, b: null })
    assert.deepEqual([...plain.bytes], [0, 14, 16])
    const options = { 'ignore.default.for.nullables': 'true' }
    const kept = encode(schema, { a: null, b: null }, options)
    assert.deepEqual([...kept.bytes], [2, 16])
    assert.equal(kept.text, plain.text)
    assert.deepEqual(decode(kept.text, kept.bytes, options).value, { a: null, b: 8 })
  })

  it('discard.type.doc.default takes docs and defaults of fields for those of their types', () => {
    const symbols = { type: 'enum', name: 'E', symbols: ['A', 'B'], default: 'B', doc: 'of E' }
    const fields = [
      { name: 'a', type: 'int', default: 3, doc: 'of a' },
      { name: 'e', type: symbols },
      { name: 'o', type: ['null', 'string'], doc: 'of o' },
    ]
    const avro = record(fields, { doc: 'of R' })
    const bytes = written(avro, { a: 1, e: 'A', o: null })
    const options = { 'discard.type.doc.default': 'true', 'enhanced.avro.schema.support': 'true' }
    const { schema } = decode(avro, bytes, options)
    assert.ok(schema !== null)
    const docs = schema.fields.map((field) => [field.schema.doc, field.schema.defaultValue])
    assert.deepEqual(docs, [
      ['of a', 3],
      ['of E', null],
      ['of o', null],
    ])
    assert.equal(schema.doc, 'of R')
    assert.deepEqual([...(schema.parameters ?? [])], [['connect.record.doc', 'of R']])
    assert.equal(schema.fields[0]?.schema.parameters, null)
    const e = Object.fromEntries(schema.fields[1]?.schema.parameters ?? [])
    assert.equal(e['connect.enum.doc'], 'of E')
    assert.equal(e['io.confluent.connect.avro.enum.default.E'], undefined)
    const { json } = encode(schema, { a: 1, e: 'A', o: null }, options)
    const again = json as { readonly doc: string; readonly fields: readonly Readonly<Record<string, unknown>>[] }
    assert.equal(again.doc, 'of R')
    assert.deepEqual(
      again.fields.map((field) => field['doc']),
      ['of a', 'of E', 'of o'],
    )
    assert.deepEqual(again.fields[0]?.['type'], { type: 'int', 'connect.doc': 'of a', 'connect.default': 3 })
    // Otherwise they stay with the types, and with the record.
    const kept = decode(avro, bytes, { 'enhanced.avro.schema.support': 'true' }).schema
    assert.ok(kept !== null)
    assert.deepEqual(Object.fromEntries(kept.parameters ?? []), {
      'io.confluent.connect.avro.record.doc': 'of R',
      'io.confluent.connect.avro.field.doc.a': 'of a',
      'io.confluent.connect.avro.field.doc.o': 'of o',
    })
    assert.equal(kept.fields[0]?.schema.doc, null)
    const own = encode(kept, { a: 1, e: 'A', o: null }, { 'enhanced.avro.schema.support': 'true' }).json as typeof again
    const enumeration = own.fields[1]?.['type'] as Readonly<Record<string, unknown>>
    assert.deepEqual([enumeration['doc'], enumeration['default']], ['of E', 'B'])
  })

  it('generalized.sum.type.support gives unions and enumerations the names of all formats', () => {
    const avro = record([
      { name: 'u', type: ['int', 'null', 'string'] },
      { name: 'e', type: { type: 'enum', name: 'E', symbols: ['A', 'B'] } },
    ])
    const bytes = written(avro, { u: { string: 'x' }, e: 'B' })
    const options = { 'generalized.sum.type.support': 'true' }
    const { schema, value } = decode(avro, bytes, options)
    assert.ok(schema !== null)
    // Places in the union count, with that of null.
    assert.deepEqual(value, { u: { connect_union_field_0: null, connect_union_field_2: 'x' }, e: 'B' })
    const [u, e] = schema.fields.map((field) => field.schema)
    assert.equal(u?.name, 'connect_union_0')
    assert.equal(u?.optional, true)
    assert.deepEqual([...(u?.parameters ?? [])], [['org.apache.kafka.connect.data.Union', 'connect_union_0']])
    assert.deepEqual(
      [...(e?.parameters ?? [])],
      [
        ['org.apache.kafka.connect.data.Enum', 'n.E'],
        ['org.apache.kafka.connect.data.Enum.A', '0'],
        ['org.apache.kafka.connect.data.Enum.B', '1'],
      ],
    )
    const again = encode(schema, value, options)
    const { fields } = again.json as { readonly fields: readonly { readonly type: unknown }[] }
    assert.deepEqual(fields[0]?.type, ['null', 'int', 'string'])
    assert.deepEqual(decode(again.text, again.bytes).value, { u: { int: null, string: 'x' }, e: 'B' })
    const own = decode(avro, bytes).schema?.fields.map((field) => field.schema)
    assert.equal(own?.[0]?.name, 'io.confluent.connect.avro.Union')
    assert.equal(own?.[1]?.parameters?.get('io.confluent.connect.avro.Enum.B'), 'B')
    // Without the option an enumeration is text.
    assert.equal(JSON.stringify(encode(schema, value).json).includes('"enum"'), false)
  })

  it('writes unions and enumerations that came from Protobuf, and keeps nullable ones apart', () => {
    const schema: Schema = makeSchema({
      type: 'STRUCT',
      name: 'n.R',
      fields: [
        {
          name: 'pick_0',
          schema: makeSchema({
            type: 'STRUCT',
            name: 'pick',
            optional: true,
            parameters: { 'org.apache.kafka.connect.data.Union': 'pick' },
            fields: [
              { name: 'n', schema: Schemas.optionalInt32 },
              { name: 's', schema: Schemas.optionalString },
            ],
          }),
        },
      ],
    })
    const options = { 'generalized.sum.type.support': 'true' }
    assert.deepEqual([...encode(schema, { pick_0: { n: null, s: 'x' } }, options).bytes], [4, 2, 0x78])
    assert.deepEqual([...encode(schema, { pick_0: null }, options).bytes], [0])
  })
})
