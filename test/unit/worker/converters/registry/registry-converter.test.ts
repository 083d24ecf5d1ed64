import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Converter } from '../../../../../worker/api/converter.ts'
import { makeSchema, type Schema, Schemas } from '../../../../../worker/api/data.ts'
import { noHeaders } from '../../../../../worker/api/record.ts'
import { parseConfig } from '../../../../../worker/config/config-def.ts'
import { type AvroConverterConfig, avroConverterConfig } from '../../../../../worker/converters/registry/avro-config.ts'
import { AvroFormat } from '../../../../../worker/converters/registry/avro-format.ts'
import { RegistryConverter } from '../../../../../worker/converters/registry/registry-converter.ts'
import { converterConformance } from '../../../../conformance/converter.ts'
import { FakeRegistry } from '../../../../support/fake-registry.ts'

type Options = Readonly<Record<string, string>>
const never = new AbortController().signal
const record = (name: string, field: Schema = Schemas.int32): Schema =>
  makeSchema({ type: 'STRUCT', name, fields: [{ name: 'a', schema: field }] })

function open(registry: FakeRegistry | string, options: Options = {}, role: 'key' | 'value' = 'value') {
  const converter = new RegistryConverter((config: AvroConverterConfig) => new AvroFormat(config))
  const url = typeof registry === 'string' ? registry : registry.url
  const raw = { 'schema.registry.url': url, 'converter.type': role, 'retries.wait.ms': '1', ...options }
  converter.configure(parseConfig(avroConverterConfig, raw), role)
  return converter
}

async function write(converter: Converter<AvroConverterConfig>, topic: string, schema: Schema, value: { a: number }) {
  if (converter.needsPrepare?.(topic, schema)) await converter.prepare?.(topic, schema, never)
  return Buffer.from(converter.fromConnectData(topic, noHeaders, schema, value) ?? [])
}

async function read(converter: Converter<AvroConverterConfig>, topic: string, bytes: Uint8Array) {
  if (converter.needsPrepare?.(topic, bytes)) await converter.prepare?.(topic, bytes, never)
  return converter.toConnectData(topic, noHeaders, bytes)
}

/** Prepared for the samples, as the pipelines do it. */
const sampleSchemas = [record('S1'), record('S2', Schemas.optionalInt32)]
let shared: FakeRegistry | null = null

converterConformance('AvroConverter', {
  open: async () => {
    shared ??= await FakeRegistry.open()
    const converter = open(shared)
    for (const schema of sampleSchemas) {
      const bytes = await write(converter, 't', schema, { a: 1 })
      await read(converter, 't', bytes)
    }
    return converter
  },
  samples: sampleSchemas.map((schema) => ({ schema, value: { a: 5 }, ...readAs(schema) })),
  malformed: ['', '\x01\0\0\0\x01\x02', '\0\0\0', '\0\0\0\0\x01', '\0\0\0\0\x01\x80'].map((s) =>
    Buffer.from(s, 'latin1'),
  ),
})

/** The version of the subject becomes that of the schema. */
function readAs(schema: Schema) {
  return { readSchema: makeSchema({ ...schema, version: sampleSchemas.indexOf(schema) + 1 }) }
}

describe('converters with a schema registry', () => {
  it('release the registry', async () => {
    await shared?.[Symbol.asyncDispose]()
  })

  it('refuse a message whose schema id stands in a header, unless told to pass over it (I6)', async () => {
    await using registry = await FakeRegistry.open()
    const converter = open(registry)
    const bytes = await write(converter, 'orders', record('R'), { a: 1 })
    await read(converter, 'orders', bytes)
    const guid = { schema: Schemas.bytes, value: Uint8Array.of(1) }
    const inHeader = [{ key: '__value_schema_id', ...guid }]
    assert.throws(() => converter.toConnectData('orders', inHeader, bytes), {
      code: 'CONNECT_REGISTRY_FRAME',
      kind: 'record',
      message: /__value_schema_id.*PrefixSchemaIdSerializer/,
    })
    assert.equal(converter.toConnectData('orders', inHeader, null).value, null)
    const ofKey = [{ key: '__key_schema_id', ...guid }]
    assert.deepEqual(converter.toConnectData('orders', ofKey, bytes).value, { a: 1 })
    const prefix = 'io.confluent.kafka.serializers.schema.id.PrefixSchemaIdDeserializer'
    const passing = open(registry, { 'value.schema.id.deserializer': prefix })
    await read(passing, 'orders', bytes)
    assert.deepEqual(passing.toConnectData('orders', inHeader, bytes).value, { a: 1 })
    for (const option of ['key.schema.id.serializer', 'value.schema.id.deserializer']) {
      const given = `io.confluent.kafka.serializers.schema.id.HeaderSchemaId${option.endsWith('deserializer') ? 'Des' : 'S'}erializer`
      assert.throws(() => open(registry, { [option]: given }), { kind: 'config', message: /ids of schemas in headers/ })
    }
  })

  it('ask the registry once per schema and subject, and not again for an equal schema', async () => {
    await using registry = await FakeRegistry.open()
    const converter = open(registry)
    const first = await write(converter, 'orders', record('R'), { a: 1 })
    assert.deepEqual([...first], [0, 0, 0, 0, 1, 2])
    await write(converter, 'orders', record('R'), { a: 2 })
    await write(converter, 'orders', record('R'), { a: 3 })
    assert.deepEqual(
      registry.requests.map((r) => `${r.method} ${r.path}`),
      ['POST /subjects/orders-value/versions'],
    )
    await write(converter, 'bills', record('R'), { a: 3 })
    assert.equal(registry.requests.at(-1)?.path, '/subjects/bills-value/versions')
    await converter.close()
  })

  it('name subjects by topic, record or both', async () => {
    await using registry = await FakeRegistry.open()
    const strategies: readonly (readonly [string, string])[] = [
      ['io.confluent.kafka.serializers.subject.RecordNameStrategy', 'com.x.R'],
      ['io.confluent.kafka.serializers.subject.TopicRecordNameStrategy', 't-com.x.R'],
      ['TopicNameStrategy', 't-value'],
    ]
    for (const [strategy, subject] of strategies) {
      const converter = open(registry, { 'value.subject.name.strategy': strategy })
      await write(converter, 't', record('com.x.R'), { a: 1 })
      assert.equal(registry.requests.at(-1)?.path, `/subjects/${subject}/versions`)
      await converter.close()
    }
    const key = open(registry, {}, 'key')
    await write(key, 't', record('com.x.R'), { a: 1 })
    assert.equal(registry.requests.at(-1)?.path, '/subjects/t-key/versions')
    await key.close()
    assert.throws(() => open(registry, { 'value.subject.name.strategy': 'Mine' }), { kind: 'config' })
  })

  it('use the next address when one does not answer, and repeat when none does', async () => {
    await using registry = await FakeRegistry.open()
    const converter = open(`http://127.0.0.1:1,${registry.url}`)
    await write(converter, 't', record('R'), { a: 1 })
    let failures = 2
    registry.intercept = () => (failures-- > 0 ? { status: 503, body: { error_code: 50301, message: 'busy' } } : null)
    await write(converter, 't', record('R2'), { a: 1 })
    registry.intercept = () => ({ status: 500, body: {} })
    await assert.rejects(write(converter, 't', record('R3'), { a: 1 }), {
      kind: 'retriable',
      code: 'CONNECT_REGISTRY_UNAVAILABLE',
    })
    registry.intercept = () => null
    // A registry that was away is asked again at once.
    await write(converter, 't', record('R3'), { a: 1 })
    await converter.close()
  })

  it('tell a refusal by its kind, and do not ask again for every record', async () => {
    await using registry = await FakeRegistry.open()
    const answers: readonly (readonly [number, string, string])[] = [
      [409, 'record', 'CONNECT_REGISTRY_INCOMPATIBLE'],
      [422, 'record', 'CONNECT_REGISTRY_REFUSED'],
      [404, 'record', 'CONNECT_REGISTRY_NOT_FOUND'],
      [401, 'fatal', 'CONNECT_REGISTRY_ACCESS'],
    ]
    for (const [status, kind, code] of answers) {
      const converter = open(registry)
      const message = `reason ${status}`
      registry.intercept = () => ({ status, body: { error_code: status, message } })
      const expected = { kind, code, message: new RegExp(message) }
      await assert.rejects(write(converter, 't', record('R'), { a: 1 }), expected)
      const asked = registry.requests.length
      await assert.rejects(write(converter, 't', record('R'), { a: 1 }), expected)
      assert.equal(registry.requests.length - asked, kind === 'record' ? 0 : 1)
      await converter.close()
    }
  })

  it('send credentials from the address, from options, and as a token', async () => {
    await using registry = await FakeRegistry.open()
    const cases: readonly (readonly [string, Options, string])[] = [
      [registry.url.replace('http://', 'http://me:p%40ss@'), {}, `Basic ${btoa('me:p@ss')}`],
      [
        registry.url,
        { 'basic.auth.credentials.source': 'USER_INFO', 'basic.auth.user.info': 'me:secret' },
        `Basic ${btoa('me:secret')}`,
      ],
      [registry.url, { 'bearer.auth.credentials.source': 'STATIC_TOKEN', 'bearer.auth.token': 'abc' }, 'Bearer abc'],
    ]
    for (const [url, options, authorization] of cases) {
      const converter = open(url, options)
      await write(converter, 't', record('R'), { a: 1 })
      assert.equal(registry.requests.at(-1)?.authorization, authorization)
      await converter.close()
    }
    assert.throws(() => open(registry, { 'basic.auth.credentials.source': 'USER_INFO' }), { kind: 'config' })
    assert.throws(() => open('nonsense'), { kind: 'config' })
  })

  it('look schemas up instead of registering them', async () => {
    await using registry = await FakeRegistry.open()
    const converter = open(registry, { 'auto.register.schemas': 'false' })
    await assert.rejects(write(converter, 't', record('R'), { a: 1 }), { code: 'CONNECT_REGISTRY_NOT_FOUND' })
    await converter.close()
    registry.add('t-value', new AvroFormat(configOf(registry)).encoding(record('R')).text)
    const again = open(registry, { 'auto.register.schemas': 'false' })
    assert.deepEqual([...(await write(again, 't', record('R'), { a: 1 }))], [0, 0, 0, 0, 1, 2])
    await again.close()
  })

  it('write under the latest schema only what it reads as the same data', async () => {
    await using registry = await FakeRegistry.open()
    const options = { 'auto.register.schemas': 'false', 'use.latest.version': 'true' }
    registry.add(
      't-value',
      '{"type":"record","name":"R","doc":"other","fields":[{"name":"a","type":"int","default":0}]}',
    )
    const converter = open(registry, options)
    assert.deepEqual([...(await write(converter, 't', record('R'), { a: 1 }))], [0, 0, 0, 0, 1, 2])
    await assert.rejects(write(converter, 't', record('R', Schemas.int64), { a: 1 }), {
      code: 'CONNECT_REGISTRY_SCHEMA',
      message: /use\.latest\.version/,
    })
    await converter.close()
    const byId = open(registry, { 'use.schema.id': '1' })
    assert.deepEqual([...(await write(byId, 'other', record('R'), { a: 1 }))], [0, 0, 0, 0, 1, 2])
    await byId.close()
    // Where schemas are registered, the latest one counts for nothing.
    const registering = open(registry, { 'use.latest.version': 'true' })
    assert.equal((await write(registering, 't', record('R', Schemas.int64), { a: 1 }))[4], 2)
    await registering.close()
  })

  it('follow references to the schemas that they need themselves', async () => {
    await using registry = await FakeRegistry.open()
    registry.add('a', '{"type":"record","name":"x.A","fields":[{"name":"n","type":"int"}]}')
    const toA = [{ name: 'x.A', subject: 'a', version: 1 }]
    registry.add('b', '{"type":"record","name":"x.B","fields":[{"name":"a","type":"x.A"}]}', 'AVRO', toA)
    const toB = [{ name: 'x.B', subject: 'b', version: 1 }]
    const id = registry.add(
      't-value',
      '{"type":"record","name":"x.C","fields":[{"name":"b","type":"x.B"}]}',
      'AVRO',
      toB,
    )
    const converter = open(registry)
    const { value } = await read(converter, 't', Buffer.from([0, 0, 0, 0, id, 8]))
    assert.deepEqual(value, { b: { a: { n: 4 } } })
    await converter.close()
  })

  it('write a null as a tombstone, and a default in its place', async () => {
    await using registry = await FakeRegistry.open()
    const converter = open(registry)
    const optional = makeSchema({ type: 'STRING', optional: true })
    assert.equal(converter.fromConnectData('t', noHeaders, optional, null), null)
    const withDefault = makeSchema({ type: 'STRING', optional: true, defaultValue: 'x' })
    await converter.prepare('t', withDefault, never)
    const bytes = converter.fromConnectData('t', noHeaders, withDefault, null)
    assert.equal((await read(converter, 't', bytes as Uint8Array)).value, 'x')
    assert.throws(() => converter.fromConnectData('t', noHeaders, null, 'x'), { kind: 'record' })
    await converter.close()
  })
})

function configOf(registry: FakeRegistry): AvroConverterConfig {
  return parseConfig(avroConverterConfig, { 'schema.registry.url': registry.url, 'converter.type': 'value' })
}
