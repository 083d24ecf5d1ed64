import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { GrowingByteWriter } from '../../../../../worker/api/byte-writer.ts'
import {
  Decimal,
  decimalSchema,
  LogicalName,
  makeSchema,
  type Schema,
  Schemas,
  schemaEquals,
  type Value,
  valueEquals,
} from '../../../../../worker/api/data.ts'
import { parseConfig } from '../../../../../worker/config/config-def.ts'
import { jsonSchemaConverterConfig } from '../../../../../worker/converters/registry/json-config.ts'
import { JsonSchemaFormat } from '../../../../../worker/converters/registry/json-format.ts'
import { TestStructView } from '../../../../conformance/converter.ts'
import { schemas, values } from '../../../../conformance/java/arbitraries.ts'
import { testSeed } from '../../../../support/seed.ts'
import { isWellFormed, present, ValidNames } from '../../../../support/valid-names.ts'

type Options = Readonly<Record<string, string>>

async function format(options: Options = {}): Promise<JsonSchemaFormat> {
  const raw = { 'schema.registry.url': 'http://r', 'converter.type': 'value', ...options }
  const made = new JsonSchemaFormat(parseConfig(jsonSchemaConverterConfig, raw))
  await made.load()
  return made
}

function encode(made: JsonSchemaFormat, schema: Schema, value: Value): { text: string; bytes: Buffer } {
  const encoding = made.encoding(schema)
  const out = new GrowingByteWriter(16)
  encoding.write(value, out)
  return { text: encoding.text, bytes: Buffer.from(out.since(0)) }
}

const struct = (fields: Readonly<Record<string, Schema>>) =>
  makeSchema({ type: 'STRUCT', fields: Object.entries(fields).map(([name, schema]) => ({ name, schema })) })

describe('JSON Schema converter', () => {
  it('reads back schema and value as they were written, valid by the schema (I6)', async () => {
    const checking = await format({ 'json.fail.invalid.schema': 'true', 'decimal.format': 'NUMERIC' })
    const plain = await format()
    const options = { javaVersion: 25 }
    const data = schemas(options).chain((schema) => values(schema, options).map((value) => [schema, value] as const))
    const seed = testSeed
    let validated = 0
    fc.assert(
      fc.property(data, ([from, original]) => {
        const schema = new ValidNames().schema(from)
        const value = ValidNames.value(from, original)
        if (!isWellFormed(value) || value === null || !isComparable(schema)) return
        for (const made of [plain, checking]) {
          // NaN is text in JSON, which its schema calls a number.
          if (made === checking && (holdsFloat(schema) || holdsBytes(schema))) continue
          if (made === checking) validated++
          const { text, bytes } = encode(made, schema, value)
          const read = made.decoding(text, [], null).read(bytes, 0)
          assert.ok(valueEquals(read.value, present(schema, value)), `seed ${seed}: ${text} ${bytes}`)
          assert.ok(schemaEquals(read.schema, schema), `seed ${seed}: ${text}`)
          if (schema.type !== 'STRUCT') continue
          const out = new GrowingByteWriter(16)
          made.encoding(schema).write(new TestStructView(schema, value as { readonly [f: string]: Value }), out)
          assert.deepEqual(Buffer.from(out.since(0)), bytes)
        }
      }),
      { numRuns: 400, seed },
    )
    assert.ok(validated > 20)
  })

  it('describes each type as Confluent does', async () => {
    const schema = makeSchema({
      type: 'STRUCT',
      name: 'com.example.Order',
      version: 2,
      doc: 'an order',
      fields: [
        { name: 'b', schema: Schemas.int8 },
        { name: 'a', schema: makeSchema({ type: 'STRING', optional: true, defaultValue: 'x' }) },
        { name: 'd', schema: decimalSchema(2) },
        { name: 't', schema: makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1 }) },
        { name: 'm', schema: makeSchema({ type: 'MAP', keySchema: Schemas.string, valueSchema: Schemas.float32 }) },
        { name: 'e', schema: makeSchema({ type: 'MAP', keySchema: Schemas.int32, valueSchema: Schemas.boolean }) },
      ],
    })
    const made = await format({ 'object.additional.properties': 'false' })
    const { text, bytes } = encode(made, schema, {
      b: 1,
      a: null,
      d: new Decimal(1020n, 2),
      t: new Date(5),
      m: new Map([['k', 1.5]]),
      e: new Map([[7, true]]),
    })
    assert.deepEqual(JSON.parse(text), {
      title: 'com.example.Order',
      description: 'an order',
      type: 'object',
      properties: {
        b: { type: 'integer', 'connect.type': 'int8', 'connect.index': 0 },
        a: { oneOf: [{ type: 'null' }, { type: 'string', default: 'x' }], 'connect.index': 1 },
        d: {
          title: LogicalName.decimal,
          type: 'number',
          'connect.type': 'bytes',
          'connect.version': 1,
          'connect.parameters': { scale: '2' },
          'connect.index': 2,
        },
        t: {
          title: LogicalName.timestamp,
          type: 'integer',
          'connect.type': 'int64',
          'connect.version': 1,
          'connect.index': 3,
        },
        m: {
          type: 'object',
          'connect.type': 'map',
          additionalProperties: { type: 'number', 'connect.type': 'float32' },
          'connect.index': 4,
        },
        e: {
          type: 'array',
          'connect.type': 'map',
          items: {
            type: 'object',
            properties: {
              key: { type: 'integer', 'connect.type': 'int32', 'connect.index': 0 },
              value: { type: 'boolean', 'connect.index': 1 },
            },
          },
          'connect.index': 5,
        },
      },
      additionalProperties: false,
      'connect.version': 2,
    })
    assert.equal(bytes.toString(), '{"b":1,"a":"x","d":"A/w=","t":5,"m":{"k":1.5},"e":[{"key":7,"value":true}]}')
  })

  it('reads schemas that Connect never wrote: references, lists of types, unions, allOf, maps', async () => {
    const text = JSON.stringify({
      type: 'object',
      definitions: { money: { type: 'object', properties: { cents: { type: 'integer' } } } },
      properties: {
        price: { $ref: '#/definitions/money' },
        note: { type: ['null', 'string'] },
        code: { oneOf: [{ type: 'integer' }, { type: 'string' }] },
        tags: { additionalProperties: { type: 'boolean' } },
        both: { allOf: [{ $ref: 'other.json' }, { properties: { y: { type: 'number' } } }] },
        kind: { enum: ['a', 'b'] },
      },
      required: ['price'],
    })
    const other = { name: 'other.json', text: '{"type":"object","properties":{"x":{"type":"boolean"}}}' }
    const decoding = (await format()).decoding(text, [other], 3)
    const json =
      '{"price":{"cents":9007199254740993},"note":null,"code":"c","tags":{"t":true},"both":{"x":true,"y":0.5},"kind":"a"}'
    const { schema, value } = decoding.read(Buffer.from(json), 0)
    assert.deepEqual(value, {
      price: { cents: 9007199254740993n },
      note: null,
      code: { 'io.confluent.connect.json.OneOf.field.0': null, 'io.confluent.connect.json.OneOf.field.1': 'c' },
      tags: new Map([['t', true]]),
      both: { x: true, y: 0.5 },
      kind: 'a',
    })
    assert.equal(schema?.version, 3)
    const optional = (await format({ 'use.optional.for.nonrequired': 'true' })).decoding(text, [other], null)
    const part = optional.read(Buffer.from('{"price":{}}'), 0)
    assert.deepEqual(part.value, { price: { cents: null }, note: null, code: null, tags: null, both: null, kind: null })
    assert.equal(part.schema?.fieldsByName.get('price')?.schema.optional, false)
    const cycle = '{"type":"object","properties":{"next":{"$ref":"#"}}}'
    assert.throws(() => optionalDecoding(cycle), { kind: 'record', message: /contains itself/ })
    function optionalDecoding(cyclic: string): unknown {
      return new JsonSchemaFormat(
        parseConfig(jsonSchemaConverterConfig, { 'schema.registry.url': 'http://r', 'converter.type': 'value' }),
      ).decoding(cyclic, [], null)
    }
  })

  it('refuses what the schema forbids, on request', async () => {
    const made = await format({ 'json.fail.invalid.schema': 'true' })
    const text = '{"type":"object","properties":{"n":{"type":"integer","minimum":3}}}'
    const decoding = made.decoding(text, [], null)
    assert.deepEqual(decoding.read(Buffer.from('{"n":3}'), 0).value, { n: 3n })
    assert.throws(() => decoding.read(Buffer.from('{"n":2}'), 0), {
      kind: 'record',
      message: 'The message does not match its schema: /n must be >= 3',
    })
    const plain = (await format()).decoding(text, [], null)
    assert.deepEqual(plain.read(Buffer.from('{"n":2}'), 0).value, { n: 2n })
    assert.throws(() => plain.read(Buffer.from('{"n":'), 0), { code: 'CONNECT_DATA_SERIALIZATION' })
  })

  it('takes another schema for its data only where they say the same', async () => {
    const made = await format()
    const encoding = made.encoding(struct({ a: Schemas.int32 }))
    const reordered = '{"properties":{"a":{"connect.index":0,"connect.type":"int32","type":"integer"}},"type":"object"}'
    assert.equal(encoding.isReadableBy(reordered), true)
    assert.equal(encoding.isReadableBy(reordered.replace('int32', 'int64')), false)
  })
})

function holds(schema: Schema, wanted: (schema: Schema) => boolean): boolean {
  if (wanted(schema)) return true
  const parts = [...schema.fields.map((field) => field.schema), schema.keySchema, schema.valueSchema]
  return parts.some((part) => part !== null && holds(part, wanted))
}

const holdsFloat = (schema: Schema): boolean => holds(schema, ({ type }) => type.startsWith('FLOAT'))
const holdsBytes = (schema: Schema): boolean => holds(schema, ({ name, type }) => type === 'BYTES' && name === null)

/** Keys that are objects are the same only by identity; optional text as a key is read as required. */
function isComparable(schema: Schema): boolean {
  return !holds(schema, ({ type, keySchema, defaultValue }) => {
    // Nulls in a default are replaced by the defaults of its elements.
    if (defaultValue !== null && (type === 'ARRAY' || type === 'MAP')) return true
    if (keySchema !== null && (keySchema.type === 'BYTES' || keySchema.optional)) return true
    return !isWellFormed(defaultValue)
  })
}
