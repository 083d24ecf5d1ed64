import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { makeSchema, Schemas, type Value } from '../../../worker/api/data.ts'
import { changeEvent } from './change-events.ts'
import { record, shape, transform } from './support.ts'

const name = 'io.debezium.transforms.outbox.EventRouter'
const columns = {
  id: Schemas.string,
  aggregatetype: Schemas.string,
  aggregateid: Schemas.string,
  type: Schemas.string,
  payload: Schemas.optionalString,
  ver: Schemas.optionalInt32,
  at: makeSchema({ type: 'INT64', name: 'io.debezium.time.MicroTimestamp', version: 1, optional: true }),
}
const row = {
  id: 'e1',
  aggregatetype: 'Order',
  aggregateid: '7',
  type: 'Created',
  payload: '{"n": 1}',
  ver: 3,
  at: 1_500n,
}
const insert = (changes: Readonly<Record<string, Value>> = {}) =>
  changeEvent(columns, { op: 'c', after: { ...row, ...changes } })

describe('EventRouter', () => {
  it('routes the payload by aggregate type, keyed by aggregate id, with the id as header', async () => {
    const out = (await transform(name)).apply(insert())
    assert.equal(out?.topic, 'outbox.event.Order')
    assert.equal(out?.key, '7')
    assert.equal(out?.value, '{"n": 1}')
    assert.equal(out?.timestamp, 9)
    assert.deepEqual(
      out?.headers.map(({ key, value }) => [key, value]),
      [['id', 'e1']],
    )
  })

  it('drops updates, deletes and tombstones, or fails on updates; passes what is no change event', async () => {
    const smt = await transform(name)
    for (const op of ['u', 'd', 't']) assert.equal(smt.apply(changeEvent(columns, { op, after: row })), null)
    assert.equal(smt.apply(record()), null)
    const other = record({ valueSchema: Schemas.string, value: 'x' })
    assert.equal(smt.apply(other), other)
    const fatal = await transform(name, { 'table.op.invalid.behavior': 'fatal' })
    assert.throws(() => fatal.apply(changeEvent(columns, { op: 'u', after: row })), /Unexpected update/)
  })

  it('makes tombstones of empty payloads when asked', async () => {
    const smt = await transform(name, { 'route.tombstone.on.empty.payload': 'true' })
    assert.equal(smt.apply(insert({ payload: ' ' }))?.valueSchema, null)
    assert.equal((await transform(name)).apply(insert({ payload: null }))?.valueSchema, columns.payload)
  })

  it('places further columns in headers, envelope and partition; timestamp and version from columns', async () => {
    const smt = await transform(name, {
      'table.fields.additional.placement': 'type:header:kind,type:envelope,ver:partition',
      'table.field.event.timestamp': 'at',
      'table.field.event.schema.version': 'ver',
    })
    const out = smt.apply(insert())
    assert.deepEqual(out?.value, { payload: '{"n": 1}', type: 'Created' })
    assert.equal(out?.valueSchema?.name, 'shop.public.t.Order.Value')
    assert.equal(out?.valueSchema?.version, 3)
    assert.equal(out?.partition, 3)
    assert.equal(out?.timestamp, 1)
    assert.equal(out?.headers.at(-1)?.key, 'kind')
  })

  it('expands JSON payloads and leaves other text', async () => {
    const smt = await transform(name, { 'table.expand.json.payload': 'true' })
    const text = '{"i":1,"l":3000000000,"f":1.0,"b":true,"n":null,"e":[],"a":[1,null],"s":[{"p":1},{"q":"x"}]}'
    const out = smt.apply(insert({ payload: text }))
    assert.deepEqual(shape(out?.valueSchema ?? null), {
      i: 'INT32?',
      l: 'INT64?',
      f: 'FLOAT64?',
      b: 'BOOLEAN?',
      a: 'ARRAY?',
      s: 'ARRAY?',
    })
  })

  it('keeps payloads that are no JSON object or array as text', async () => {
    const smt = await transform(name, { 'table.expand.json.payload': 'true' })
    for (const payload of ['plain', '7', '{"a":', '{"a":[1,"x"]}']) {
      assert.equal(smt.apply(insert({ payload }))?.value, payload)
    }
  })

  it('fails records without a route and with missing columns, unless told otherwise', async () => {
    const missing = { 'table.fields.additional.placement': 'none:header' }
    const strict = await transform(name, missing)
    assert.throws(() => strict.apply(insert()), /Unable to find the column none/)
    const lenient = await transform(name, { ...missing, 'table.field.additional.missing': 'ignore' })
    assert.equal(lenient.apply(insert())?.headers.length, 1)
    assert.throws(() => lenient.apply(insert({ aggregatetype: null })), /route.by.field/)
    await assert.rejects(transform(name, { 'table.fields.additional.placement': 'a:nowhere' }), /Invalid placement/)
  })

  it('takes the time of the change where the column is null, and refuses columns that hold no time', async () => {
    const smt = await transform(name, { 'table.field.event.timestamp': 'at' })
    assert.equal(smt.apply(insert({ at: null }))?.timestamp, 9)
    const wrong = await transform(name, { 'table.field.event.timestamp': 'ver' })
    assert.throws(() => wrong.apply(insert()), /ver holds no timestamp/)
  })

  it('fails without the key column, and for two fields of one name in the envelope', async () => {
    const keyless = await transform(name, { 'table.field.event.key': 'none' })
    assert.throws(() => keyless.apply(insert()), /Unable to find the column none/)
    const twice = await transform(name, { 'table.fields.additional.placement': 'type:envelope:x,ver:envelope:x' })
    assert.throws(() => twice.apply(insert()), /duplication x/)
  })

  it('leaves JSON as text where numbers differ in width or a member has no type of its own', async () => {
    const smt = await transform(name, { 'table.expand.json.payload': 'true' })
    for (const payload of ['{"a":[1,3000000000]}', '{"a":12345678901234567890}', '{"a":01}', '{"a":[null]}', ' {}']) {
      assert.equal(smt.apply(insert({ payload }))?.value, payload)
    }
  })
})
