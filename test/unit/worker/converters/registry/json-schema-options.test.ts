import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { GrowingByteWriter } from '../../../../../worker/api/byte-writer.ts'
import { makeSchema, type Schema, Schemas, type Struct, type Value } from '../../../../../worker/api/data.ts'
import { parseConfig } from '../../../../../worker/config/config-def.ts'
import { jsonSchemaConverterConfig } from '../../../../../worker/converters/registry/json-config.ts'
import { JsonSchemaFormat } from '../../../../../worker/converters/registry/json-format.ts'
import { TestStructView } from '../../../../conformance/converter.ts'

type Options = Readonly<Record<string, string>>

async function format(options: Options = {}): Promise<JsonSchemaFormat> {
  const raw = { 'schema.registry.url': 'http://r', 'converter.type': 'value', ...options }
  const made = new JsonSchemaFormat(parseConfig(jsonSchemaConverterConfig, raw))
  await made.load()
  return made
}

async function encode(schema: Schema, value: Value, options?: Options): Promise<{ text: string; data: string }> {
  const { text, write } = (await format(options)).encoding(schema)
  const out = new GrowingByteWriter(16)
  write(value, out)
  const data = Buffer.from(out.since(0)).toString()
  if (schema.type === 'STRUCT' && value !== null) {
    const again = new GrowingByteWriter(16)
    write(new TestStructView(schema, value as Struct), again)
    assert.equal(Buffer.from(again.since(0)).toString(), data, 'a view gives other bytes')
  }
  return { text, data }
}

async function decode(json: unknown, data: unknown, options?: Options) {
  const text = typeof json === 'string' ? json : JSON.stringify(json)
  return (await format(options)).decoding(text, [], null).read(Buffer.from(JSON.stringify(data)), 0)
}

const object = (properties: object) => ({ type: 'object', properties })

describe('options of the JSON Schema converter', () => {
  it('flatten.singleton.unions says whether a union of one type is that type', async () => {
    const json = object({ a: { oneOf: [{ type: 'string' }] } })
    assert.deepEqual((await decode(json, { a: 'x' })).value, { a: 'x' })
    const kept = await decode(json, { a: 'x' }, { 'flatten.singleton.unions': 'false' })
    assert.deepEqual(kept.value, { a: { 'io.confluent.connect.json.OneOf.field.0': 'x' } })
    // One type beside null is no union of one.
    const nullable = object({ a: { oneOf: [{ type: 'null' }, { type: 'string' }] } })
    const read = await decode(nullable, { a: null }, { 'flatten.singleton.unions': 'false' })
    assert.deepEqual(read.value, { a: null })
    assert.equal(read.schema?.fields[0]?.schema.type, 'STRING')
  })

  it('ignore.default.for.nullables keeps the null of an optional field with a default', async () => {
    const fields = [
      { name: 'a', schema: makeSchema({ type: 'INT32', optional: true, defaultValue: 7 }) },
      { name: 'b', schema: makeSchema({ type: 'INT32', defaultValue: 8 }) },
    ]
    const schema = makeSchema({ type: 'STRUCT', fields })
    assert.equal((await encode(schema, { a: null, b: null })).data, '{"a":7,"b":8}')
    const options = { 'ignore.default.for.nullables': 'true' }
    assert.equal((await encode(schema, { a: null, b: null }, options)).data, '{"a":null,"b":8}')
  })

  it('writes a oneOf as it was read, with names of its own or of all formats', async () => {
    const json = object({
      u: { oneOf: [{ type: 'null' }, { type: 'integer' }, { type: 'string' }], title: 'choice' },
      e: { enum: ['A', 'B'] },
    })
    const data = { u: 'x', e: 'B' }
    const own = await decode(json, data)
    assert.deepEqual(own.value, {
      u: { 'io.confluent.connect.json.OneOf.field.0': null, 'io.confluent.connect.json.OneOf.field.1': 'x' },
      e: 'B',
    })
    const options = { 'generalized.sum.type.support': 'true' }
    const general = await decode(json, data, options)
    assert.deepEqual(general.value, { u: { connect_union_field_0: null, connect_union_field_1: 'x' }, e: 'B' })
    const [u, e] = general.schema?.fields.map((field) => field.schema) ?? []
    assert.equal(u?.parameters?.get('org.apache.kafka.connect.data.Union'), 'connect_union_0')
    assert.deepEqual(Object.fromEntries(e?.parameters ?? []), {
      'org.apache.kafka.connect.data.Enum': '',
      'org.apache.kafka.connect.data.Enum.A': '0',
      'org.apache.kafka.connect.data.Enum.B': '1',
    })
    for (const [{ schema, value }, used] of [
      [own, {}],
      [general, options],
    ] as const) {
      assert.ok(schema !== null)
      const again = await encode(schema, value, used)
      assert.equal(again.data, '{"u":"x","e":"B"}')
      const properties = (JSON.parse(again.text) as { properties: Record<string, Record<string, unknown>> }).properties
      assert.deepEqual(properties['u']?.['oneOf'], [
        { type: 'null' },
        { type: 'integer', 'connect.type': 'int64', 'connect.index': 0 },
        { type: 'string', 'connect.index': 1 },
      ])
      assert.deepEqual(properties['e']?.['enum'], ['A', 'B'])
      assert.deepEqual((await decode(again.text, data, used)).value, value)
      assert.equal((await encode(schema, { u: null, e: 'A' }, used)).data, '{"u":null,"e":"A"}')
      const nothing = Object.fromEntries((schema.fields[0]?.schema.fields ?? []).map((field) => [field.name, null]))
      await assert.rejects(encode(schema, { u: nothing, e: 'A' }, used), { kind: 'record', message: /none of its/ })
    }
    assert.equal(own.schema?.fields[1]?.schema.parameters?.get('io.confluent.connect.json.Enum.A'), 'A')
  })

  it('reads an object as the branch that names most of its members', async () => {
    const optional = (name: string) => ({ [name]: { oneOf: [{ type: 'null' }, { type: 'integer' }] } })
    const json = object({
      u: { oneOf: [object(optional('a')), object({ ...optional('a'), ...optional('b') }), { type: 'string' }] },
    })
    const field = (i: number) => `io.confluent.connect.json.OneOf.field.${i}`
    const read = await decode(json, { u: { a: 1, b: 2 } })
    assert.deepEqual(read.value, { u: { [field(0)]: null, [field(1)]: { a: 1n, b: 2n }, [field(2)]: null } })
    const first = await decode(json, { u: { a: 1 } })
    assert.deepEqual(first.value, { u: { [field(0)]: { a: 1n }, [field(1)]: null, [field(2)]: null } })
    await assert.rejects(decode(json, { u: true }), { kind: 'record', message: /No branch of a union fits/ })
  })

  it('writes an enumeration that came from Avro', async () => {
    const parameters = {
      'org.apache.kafka.connect.data.Enum': 'n.E',
      'org.apache.kafka.connect.data.Enum.A': '0',
    }
    const schema = makeSchema({
      type: 'STRUCT',
      fields: [{ name: 'e', schema: makeSchema({ ...Schemas.string, parameters }) }],
    })
    const { text, data } = await encode(schema, { e: 'A' })
    assert.equal(data, '{"e":"A"}')
    assert.deepEqual((JSON.parse(text) as { properties: object }).properties, {
      e: { enum: ['A'], 'connect.parameters': parameters, 'connect.index': 0 },
    })
  })

  it('refuses an option that cannot be done, with the reason', async () => {
    await assert.rejects(format({ 'preserve.additional.properties': 'true' }), {
      kind: 'config',
      message: /preserve\.additional\.properties.*Only false is supported/s,
    })
  })
})
