import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { makeSchema, Schemas } from '../../../worker/api/data.ts'
import { record, shape, struct, transform } from './support.ts'

const list = makeSchema({ type: 'ARRAY', valueSchema: Schemas.int32 })

describe('Flatten (statement 159)', () => {
  it('joins names; what is in an optional struct is optional', async () => {
    const flatten = await transform('Flatten$Value', { delimiter: '_' })
    const inner = struct({ x: Schemas.int32, deep: struct({ y: Schemas.string }) }, { optional: true })
    const schema = struct({ id: Schemas.int64, inner, list }, { name: 'S' })
    const value = { id: 1n, inner: { x: 2, deep: { y: 'z' } }, list: [1, 2] }
    const out = flatten.apply(record({ valueSchema: schema, value }))
    assert.deepEqual(out?.value, { id: 1n, inner_x: 2, inner_deep_y: 'z', list: [1, 2] })
    assert.deepEqual(shape(out?.valueSchema ?? null), {
      id: 'INT64',
      inner_x: 'INT32?',
      inner_deep_y: 'STRING?',
      list: 'ARRAY',
    })
    assert.deepEqual([out?.valueSchema?.name, out?.valueSchema?.optional], ['S', false])
    const absent = flatten.apply(record({ valueSchema: schema, value: { id: 1n, inner: null, list: [] } }))
    assert.deepEqual(absent?.value, { id: 1n, inner_x: null, inner_deep_y: null, list: [] })
    assert.equal(absent?.valueSchema, out?.valueSchema)
  })

  it('takes defaults of fields before those of the structs around them', async () => {
    const flatten = await transform('Flatten$Value')
    const own = makeSchema({ type: 'INT32', optional: true, defaultValue: 7 })
    const inner = makeSchema({
      type: 'STRUCT',
      optional: true,
      defaultValue: { a: 1, b: 2 },
      fields: [
        { name: 'a', schema: own },
        { name: 'b', schema: Schemas.optionalInt32 },
      ],
    })
    const out = flatten.apply(record({ valueSchema: struct({ s: inner }), value: { s: { a: null, b: null } } }))
    assert.deepEqual(out?.value, { 's.a': 7, 's.b': null })
    const fields = out?.valueSchema?.fieldsByName
    assert.deepEqual([fields?.get('s.a')?.schema.defaultValue, fields?.get('s.b')?.schema.defaultValue], [7, 2])
  })

  it('flattens objects, keeps arrays whole, drops empty objects, passes tombstones', async () => {
    const flatten = await transform('Flatten$Key')
    const key = { a: { b: { c: 1 }, n: null }, l: [{ x: 1 }], empty: {}, m: new Map([['k', 'v']]) }
    assert.deepEqual(flatten.apply(record({ key }))?.key, { 'a.b.c': 1, 'a.n': null, l: [{ x: 1 }], 'm.k': 'v' })
    const tombstone = record()
    assert.equal(flatten.apply(tombstone), tombstone)
  })

  it('refuses maps in structs, and what is neither struct nor map', async () => {
    const flatten = await transform('Flatten$Value')
    const map = makeSchema({ type: 'MAP', keySchema: Schemas.string, valueSchema: Schemas.string })
    const typed = record({ valueSchema: struct({ a: struct({ m: map }) }), value: { a: { m: new Map() } } })
    assert.throws(() => flatten.apply(typed), {
      kind: 'record',
      message: 'Flatten transformation does not support MAP for record with schemas (for field a.m).',
    })
    assert.throws(() => flatten.apply(record({ value: 'text' })), /Only Map objects supported .* for \[flattening\]/)
  })
})
