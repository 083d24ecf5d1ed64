import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { makeSchema, Schemas } from '../../../worker/api/data.ts'
import { record, shape, struct, transform } from './support.ts'

const header = { key: 'h', schema: Schemas.string, value: 'old' }

describe('HeaderFrom (statement 167)', () => {
  const schema = struct({ a: Schemas.int32, b: makeSchema({ type: 'STRING', optional: true, defaultValue: 'd' }) })

  it('copies fields with their schemas, also twice under one name', async () => {
    const copy = await transform('HeaderFrom$Value', { fields: 'a,b', headers: 'h,h', operation: 'copy' })
    const input = record({ valueSchema: schema, value: { a: 1, b: null }, headers: [header] })
    const out = copy.apply(input)
    assert.deepEqual(out?.headers, [
      header,
      { key: 'h', schema: Schemas.int32, value: 1 },
      { key: 'h', schema: schema.fieldsByName.get('b')?.schema, value: 'd' },
    ])
    assert.equal(out?.value, input.value)
    assert.equal(out?.valueSchema, schema)
  })

  it('moves fields out of the key', async () => {
    const move = await transform('HeaderFrom$Key', { fields: 'a', headers: 'x', operation: 'move' })
    const out = move.apply(record({ keySchema: schema, key: { a: 1, b: 'y' } }))
    assert.deepEqual(out?.key, { b: 'y' })
    assert.deepEqual(shape(out?.keySchema ?? null), { b: 'STRING?' })
    assert.deepEqual(out?.headers, [{ key: 'x', schema: Schemas.int32, value: 1 }])
    const plain = move.apply(record({ key: { a: 1, ['__proto__']: 2 } }))
    assert.deepEqual([Object.keys(plain?.key as object), plain?.headers[0]?.schema], [['__proto__'], null])
  })

  it('gives null for a missing member, fails for a missing field and a null value', async () => {
    const copy = await transform('HeaderFrom$Value', { fields: 'z', headers: 'x', operation: 'copy' })
    assert.deepEqual(copy.apply(record({ value: {} }))?.headers, [{ key: 'x', schema: null, value: null }])
    assert.throws(() => copy.apply(record({ valueSchema: schema, value: { a: 1, b: null } })), {
      kind: 'record',
      message: 'Field does not exist: z',
    })
    assert.throws(() => copy.apply(record()), /Only Map objects supported in absence of schema for \[header copy\]/)
  })

  it('refuses lists of different lengths and other operations', async () => {
    const options = { fields: 'a,b', headers: 'x', operation: 'move' }
    await assert.rejects(() => transform('HeaderFrom$Value', options), /same number of elements as 'headers' config/)
    await assert.rejects(
      () => transform('HeaderFrom$Value', { ...options, headers: 'x,y', operation: 'drop' }),
      /String must be one of: move, copy/,
    )
  })
})

describe('InsertHeader and DropHeaders', () => {
  it('adds a header of the type that its text has', async () => {
    const insert = await transform('InsertHeader', { header: 'h', 'value.literal': '42' })
    assert.deepEqual(insert.apply(record({ headers: [header] }))?.headers, [
      header,
      { key: 'h', schema: Schemas.int8, value: 42 },
    ])
  })

  it('drops every header with a name', async () => {
    const drop = await transform('DropHeaders', { headers: 'h,i' })
    const kept = { key: 'k', schema: null, value: null }
    assert.deepEqual(drop.apply(record({ headers: [header, kept, header] }))?.headers, [kept])
    const untouched = record({ headers: [kept] })
    assert.equal(drop.apply(untouched), untouched)
  })
})

describe('SetSchemaMetadata (statement 168)', () => {
  it('changes name and version, nothing else', async () => {
    const set = await transform('SetSchemaMetadata$Value', { 'schema.name': 'N', 'schema.version': '3' })
    const schema = makeSchema({
      type: 'STRUCT',
      optional: true,
      doc: 'd',
      parameters: { p: 'q' },
      fields: [{ name: 'a', schema: makeSchema({ type: 'INT32', optional: true, defaultValue: 4 }) }],
    })
    const out = set.apply(record({ valueSchema: schema, value: { a: null } }))
    assert.deepEqual(out?.valueSchema, { ...schema, name: 'N', version: 3 })
    assert.deepEqual(out?.value, { a: 4 })
    const asItIs = await transform('SetSchemaMetadata$Value', {
      'schema.name': 'N',
      'replace.null.with.default': 'false',
    })
    assert.deepEqual(asItIs.apply(record({ valueSchema: schema, value: { a: null } }))?.value, { a: null })
  })

  it('passes a record without schema and value, and needs a schema otherwise', async () => {
    const set = await transform('SetSchemaMetadata$Key', { 'schema.version': '1' })
    const empty = record()
    assert.equal(set.apply(empty), empty)
    assert.throws(() => set.apply(record({ key: 1 })), { message: 'Schema required for [updating schema metadata]' })
    await assert.rejects(() => transform('SetSchemaMetadata$Key'), /Neither schema name nor version configured/)
  })
})
