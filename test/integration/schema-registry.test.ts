import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { findJava } from '../../compose/stack/java.ts'
import { down, environment, up, withFreePorts } from '../../compose/stack/lifecycle.ts'
import { loadSettings } from '../../compose/stack/state.ts'
import type { ConfigDef } from '../../worker/api/config.ts'
import type { Converter } from '../../worker/api/converter.ts'
import { Decimal, decimalSchema, makeSchema, type Schema, Schemas, type Value } from '../../worker/api/data.ts'
import { noHeaders } from '../../worker/api/record.ts'
import { parseConfig } from '../../worker/config/config-def.ts'
import { builtinConverters } from '../../worker/converters/manifests.ts'

/** The registry of the local stack; it needs a newer Java than the rest, and is started here where it is not running. */
const hasJava = findJava().some(({ version }) => version >= 21)
const isGiven = (process.env['TEST_REGISTRY_URL'] ?? '') !== ''
const skip =
  !isGiven && !hasJava
    ? 'schema registry: no Java 21 or later, which Apicurio needs; all its routes are skipped'
    : false

const never = new AbortController().signal
const order = (amount: Schema): Schema =>
  makeSchema({
    type: 'STRUCT',
    name: 'com.example.Order',
    fields: [
      { name: 'id', schema: Schemas.int64 },
      { name: 'note', schema: Schemas.optionalString },
      { name: 'amount', schema: amount },
    ],
  })

describe('converters with a real schema registry', { skip }, () => {
  let url = process.env['TEST_REGISTRY_URL'] ?? ''
  let stop = async (): Promise<void> => {}

  before(async () => {
    if (isGiven) return
    const settings = withFreePorts(loadSettings())
    const started = await up(settings, ['registry'])
    url = environment(settings)['TEST_REGISTRY_URL'] ?? ''
    stop = async () => {
      if (started.length > 0) await down(settings, started)
    }
  })
  after(async () => stop())

  async function open(name: string, options: Readonly<Record<string, string>> = {}): Promise<Converter<unknown>> {
    for (const plugin of builtinConverters) {
      if (plugin.type !== 'converter' || plugin.name !== name) continue
      const raw = { 'schema.registry.url': url, 'converter.type': 'value', ...options }
      const converter = await plugin.create()
      converter.configure(parseConfig(plugin.config as ConfigDef, raw), 'value')
      return converter
    }
    throw new Error(`no converter ${name}`)
  }

  async function write(
    converter: Converter<unknown>,
    topic: string,
    schema: Schema,
    value: Value,
  ): Promise<Uint8Array> {
    if (converter.needsPrepare?.(topic, schema)) await converter.prepare?.(topic, schema, never)
    return converter.fromConnectData(topic, noHeaders, schema, value) ?? new Uint8Array(0)
  }

  const names = [
    'io.confluent.connect.avro.AvroConverter',
    'io.confluent.connect.protobuf.ProtobufConverter',
    'io.confluent.connect.json.JsonSchemaConverter',
  ]
  for (const name of names) {
    it(`${name} registers, and another instance reads by the id alone`, async () => {
      const topic = `t-${randomUUID()}`
      const schema = order(decimalSchema(2))
      const value = { id: 9007199254740993n, note: 'é', amount: new Decimal(1020n, 2) }
      const writer = await open(name)
      const bytes = await write(writer, topic, schema, value)
      assert.equal(bytes[0], 0)
      // Again by a converter that has not seen the schema: the registry gives the same id.
      const again = await open(name)
      assert.deepEqual(await write(again, topic, schema, value), bytes)
      const reader = await open(name)
      await reader.prepare?.(topic, bytes, never)
      assert.deepEqual(reader.toConnectData(topic, noHeaders, bytes).value, value)
      const known = await open(name, { 'auto.register.schemas': 'false' })
      assert.deepEqual(await write(known, topic, schema, value), bytes)
      const latest = await open(name, { 'auto.register.schemas': 'false', 'use.latest.version': 'true' })
      assert.deepEqual(await write(latest, topic, schema, value), bytes)
      for (const converter of [writer, again, reader, known, latest]) await converter.close?.()
    })
  }

  it('tells of a schema that is missing, and of one that is incompatible', async () => {
    const name = names[0] ?? ''
    const topic = `t-${randomUUID()}`
    const strict = await open(name, { 'auto.register.schemas': 'false' })
    await assert.rejects(write(strict, topic, order(Schemas.int32), { id: 1n, note: null, amount: 1 }), {
      kind: 'record',
      code: 'CONNECT_REGISTRY_NOT_FOUND',
    })
    await strict.close?.()
    const converter = await open(name)
    await write(converter, topic, order(Schemas.int32), { id: 1n, note: null, amount: 1 })
    const answer = await fetch(`${url}/config/${topic}-value`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: '{"compatibility":"BACKWARD"}',
    })
    assert.ok(answer.ok)
    await assert.rejects(write(converter, topic, order(Schemas.string), { id: 1n, note: null, amount: 'x' }), {
      kind: 'record',
      code: 'CONNECT_REGISTRY_INCOMPATIBLE',
    })
    await converter.close?.()
  })

  it('reads a schema that refers to another one', async () => {
    const register = async (subject: string, body: unknown): Promise<number> => {
      const response = await fetch(`${url}/subjects/${subject}/versions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      const answer = (await response.json()) as { id: number }
      assert.ok(response.ok, JSON.stringify(answer))
      return answer.id
    }
    const part = `part-${randomUUID()}`
    const topic = `t-${randomUUID()}`
    const unique = `N${randomUUID().replaceAll('-', '')}`
    await register(part, { schema: `{"type":"record","name":"${unique}","fields":[{"name":"n","type":"int"}]}` })
    const id = await register(`${topic}-value`, {
      schema: `{"type":"record","name":"Outer","fields":[{"name":"p","type":"${unique}"}]}`,
      references: [{ name: unique, subject: part, version: 1 }],
    })
    const bytes = Buffer.alloc(6)
    bytes.writeInt32BE(id, 1)
    bytes[5] = 8
    const reader = await open(names[0] ?? '')
    await reader.prepare?.(topic, bytes, never)
    const { schema, value } = reader.toConnectData(topic, noHeaders, bytes)
    assert.deepEqual(value, { p: { n: 4 } })
    assert.equal(schema?.version, 1)
    await reader.close?.()
  })
})
