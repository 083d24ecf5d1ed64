import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { builtinTransforms } from '../../../transforms/index.ts'
import { makeSchema, Schemas } from '../../../worker/api/data.ts'
import type { TransformationPlugin } from '../../../worker/api/plugin.ts'
import { type Headers, lastHeader, SourceRecord } from '../../../worker/api/record.ts'
import { parseConfig } from '../../../worker/config/config-def.ts'
import { record, shape, struct } from './support.ts'

const now = 1_700_000_005_000
const observed: number[] = []
const context = {
  clock: { now: () => now, monotonicMs: () => 0, sleep: async () => undefined },
  pluginPath: [],
  metrics: {
    counter: () => ({ add: () => undefined }),
    gauge: () => ({ set: () => undefined }),
    histogram: (name: string) => ({
      observe: (value: number) => void observed.push(name === 'envelope-lag-ms' ? value : NaN),
    }),
  },
}

async function envelope(options: Record<string, string> = {}) {
  const plugin = builtinTransforms.find((p): p is TransformationPlugin => p.name === 'sluice.transforms.Envelope')
  assert.ok(plugin)
  const instance = await plugin.create(context)
  instance.configure(parseConfig(plugin.config, options))
  return instance
}

const header = (headers: Headers | undefined, name: string) => lastHeader(headers ?? [], `envelope.${name}`)?.value

const valueSchema = struct(
  { id: Schemas.int64, kind: Schemas.string, at: Schemas.optionalInt64 },
  { name: 'shop.Order' },
)
const order = record({ topic: 'orders', valueSchema, value: { id: 7n, kind: 'paid', at: 1_700_000_004_000n } })

describe('Envelope', () => {
  it('adds id, time of acceptance, routing and lag as headers and as fields', async () => {
    observed.length = 0
    const options = { source: 'shop', type: 'order.${value.kind}', version: '2', 'event.time.field': 'at' }
    const result = (await envelope(options)).apply(order)
    assert.ok(result)
    const fields = { accepted: new Date(now), source: 'shop', type: 'order.paid', version: '2', lag_ms: 1000n }
    const id = header(result.headers, 'id')
    assert.deepEqual(result.value, { id, ...fields, payload: order.value })
    assert.deepEqual(
      Object.keys(result.value as object),
      result.valueSchema?.fields.map((f) => f.name),
    )
    assert.equal(shape(result.valueSchema)?.['payload'], 'STRUCT')
    assert.equal(result.valueSchema?.fieldsByName.get('payload')?.schema, valueSchema)
    assert.deepEqual(
      ['accepted', 'source', 'type', 'version', 'lag.ms'].map((name) => header(result.headers, name)),
      [fields.accepted, 'shop', 'order.paid', '2', 1000n],
    )
    assert.deepEqual(observed, [1000])
  })

  it('gives one id per position, however often the record comes and whatever ran before', async () => {
    const transformation = await envelope()
    const id = header(transformation.apply(order)?.headers, 'id')
    assert.match(String(id), /^[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
    assert.equal(header(transformation.apply(order.with({ topic: 'renamed' }))?.headers, 'id'), id)
    const next = record({ topic: order.topic, valueSchema, value: order.value, offset: order.offset + 1n })
    assert.notEqual(header(transformation.apply(next)?.headers, 'id'), id)
  })

  it('tells records of one source offset apart by key, and a delete from its tombstone', async () => {
    const transformation = await envelope()
    const source = (key: string, value: string | null, lsn = 5n) =>
      new SourceRecord({
        sourcePartition: { server: 'a' },
        sourceOffset: { lsn },
        topic: 't',
        keySchema: Schemas.string,
        key,
        value,
        valueSchema: Schemas.optionalString,
      })
    const id = (r: SourceRecord): unknown => header(transformation.apply(r)?.headers, 'id')
    const ids = [source('a', 'x'), source('b', 'x'), source('a', null), source('a', 'x', 6n)].map(id)
    assert.equal(new Set(ids).size, 4)
    assert.equal(id(source('a', 'read at another time')), ids[0])
  })

  it('keeps tombstones, and records without a schema', async () => {
    const transformation = await envelope()
    const tombstone = transformation.apply(record({ key: 'k', value: null }))
    assert.equal(tombstone?.value, null)
    assert.equal(tombstone?.valueSchema, null)
    assert.equal(header(tombstone?.headers, 'source'), 'topic')
    const plain = transformation.apply(record({ value: { a: 1n } }))
    const wrapped = plain?.value as { payload: unknown; accepted: unknown } | undefined
    assert.deepEqual(wrapped?.payload, { a: 1n })
    assert.equal(wrapped?.accepted, BigInt(now))
    const onlyHeaders = (await envelope({ wrap: 'false' })).apply(order)
    assert.equal(onlyHeaders?.value, order.value)
  })

  it('has one schema per schema of the payload', async () => {
    const transformation = await envelope()
    assert.equal(transformation.apply(order)?.valueSchema, transformation.apply(order)?.valueSchema)
  })

  it('fails where a placeholder has nothing, and refuses unknown ones', async () => {
    const transformation = await envelope({ type: '${header.type}' })
    assert.throws(() => transformation.apply(order), /finds nothing for \$\{header\.type\}/)
    await assert.rejects(envelope({ source: '${env.HOME}' }), /is unknown/)
    const timed = await envelope({ 'event.time.field': 'kind' })
    assert.throws(() => timed.apply(order), /neither a Timestamp nor milliseconds/)
  })

  it('takes key, header and id templates', async () => {
    const transformation = await envelope({
      source: '${key.tenant}/${header.h}',
      'id.from': 'template',
      'id.template': 'o-${value.id}',
    })
    const keySchema = makeSchema({ type: 'STRUCT', fields: [{ name: 'tenant', schema: Schemas.string }] })
    const headers = [{ key: 'h', schema: Schemas.int32, value: 3 }]
    const result = transformation.apply(
      record({ valueSchema, value: order.value, keySchema, key: { tenant: 'x' }, headers }),
    )
    assert.equal(header(result?.headers, 'source'), 'x/3')
    assert.equal(header(result?.headers, 'id'), 'o-7')
  })
})
