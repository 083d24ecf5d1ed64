import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Schema, Value } from '../../../worker/api/data.ts'
import { Decimal, decimalSchema, Float64, LogicalName, makeSchema, Schemas } from '../../../worker/api/data.ts'
import { record, shape, struct, transform } from './support.ts'

const dateSchema = makeSchema({ type: 'INT32', name: LogicalName.date, version: 1 })
const timeSchema = makeSchema({ type: 'INT32', name: LogicalName.time, version: 1 })
const timestampSchema = makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1 })

async function whole(type: string, schema: Schema | null, value: Value): Promise<Value> {
  const cast = await transform('Cast$Value', { spec: type })
  return cast.apply(record({ valueSchema: schema, value }))?.value ?? null
}

describe('Cast of values (statement 158)', () => {
  const day = new Date('2020-02-29T00:00:00.000Z')
  const cases: readonly (readonly [string, Schema | null, Value, Value])[] = [
    ['int8', Schemas.int32, 300, 44],
    ['int8', Schemas.int64, -129n, 127],
    ['int16', Schemas.int32, 70_000, 4464],
    ['int32', Schemas.int64, 2n ** 40n + 7n, 7],
    ['int64', Schemas.int8, -1, -1n],
    ['int32', Schemas.float64, 1e20, 2_147_483_647],
    ['int8', Schemas.float64, 1e20, -1],
    ['int64', Schemas.float64, -1e30, -(2n ** 63n)],
    ['int32', Schemas.float64, -1.9, -1],
    ['int32', Schemas.float64, Number.NaN, 0],
    ['float32', Schemas.float64, 0.1, Math.fround(0.1)],
    ['float64', Schemas.int64, 9_007_199_254_740_993n, 9_007_199_254_740_992],
    ['boolean', Schemas.int32, 2, true],
    ['boolean', Schemas.float64, 0.5, false],
    ['boolean', Schemas.string, 'TRUE', true],
    ['boolean', Schemas.string, 'yes', false],
    ['int8', Schemas.boolean, true, 1],
    ['float64', Schemas.boolean, false, 0],
    ['int64', Schemas.string, '+9007199254740993', 9_007_199_254_740_993n],
    ['float64', Schemas.string, ' 1.5e3d ', 1500],
    ['float64', Schemas.string, '-Infinity', Number.NEGATIVE_INFINITY],
    ['string', Schemas.float32, Math.fround(0.1), '0.1'],
    ['string', Schemas.float64, 100, '100.0'],
    ['string', Schemas.int64, 5n, '5'],
    ['string', Schemas.boolean, false, 'false'],
    ['string', Schemas.bytes, Uint8Array.of(1, 2, 255), 'AQL/'],
    ['string', decimalSchema(2), new Decimal(1234n, 2), '12.34'],
    ['int32', decimalSchema(2), new Decimal(1299n, 2), 12],
    ['string', dateSchema, day, '2020-02-29'],
    ['string', timeSchema, new Date(1), '00:00:00.001Z'],
    ['string', timestampSchema, new Date(day.getTime() + 1), '2020-02-29T00:00:00.001Z'],
    ['int32', dateSchema, day, 18_321],
    ['int64', timeSchema, new Date(1500), 1500n],
    ['int64', timestampSchema, day, BigInt(day.getTime())],
    ['float64', null, 3, new Float64(3)],
    ['int64', null, 1.9, 1n],
    ['string', null, new Float64(1), '1.0'],
  ]
  for (const [type, schema, value, expected] of cases) {
    const from = schema === null ? 'no schema' : (schema.name ?? schema.type)
    it(`${from} ${String(value)} to ${type}`, async () => {
      assert.deepEqual(await whole(type, schema, value), expected)
    })
  }

  it('refuses text that is no such number, and types that cannot be cast', async () => {
    await assert.rejects(() => whole('int8', Schemas.string, '128'), {
      kind: 'record',
      message: 'Value (128) was out of range for requested data type',
    })
    for (const text of ['', ' 1', '1.0', '0x1'])
      await assert.rejects(() => whole('int32', Schemas.string, text), /range/)
    await assert.rejects(() => whole('int8', makeSchema({ type: 'MAP' }), new Map()), {
      message:
        'Cast transformation does not support casting from MAP; supported types are [INT8, INT16, INT32, INT64, FLOAT32, FLOAT64, BOOLEAN, STRING, BYTES]',
    })
    await assert.rejects(() => whole('int8', Schemas.bytes, Uint8Array.of(1)), /Unexpected type in Cast transformation/)
  })
})

describe('Cast of schemas (statement 158)', () => {
  it('casts fields, keeps optional ones, and casts defaults', async () => {
    const cast = await transform('Cast$Value', { spec: 'a:string, n:int64' })
    const schema = struct(
      {
        a: makeSchema({ type: 'INT32', optional: true, defaultValue: 5 }),
        n: Schemas.optionalString,
        rest: Schemas.boolean,
      },
      { name: 'S', optional: true },
    )
    const out = cast.apply(record({ valueSchema: schema, value: { a: null, n: null, rest: true } }))
    assert.deepEqual(out?.value, { a: '5', n: null, rest: true })
    assert.deepEqual(shape(out?.valueSchema ?? null), { a: 'STRING?', n: 'INT64?', rest: 'BOOLEAN' })
    assert.equal(out?.valueSchema?.fieldsByName.get('a')?.schema.defaultValue, '5')
    assert.equal(out?.valueSchema?.optional, true)
    assert.equal(out?.valueSchema?.name, 'S')
    const again = cast.apply(record({ valueSchema: schema, value: { a: 1, n: '2', rest: true } }))
    assert.equal(again?.valueSchema, out?.valueSchema)
  })

  it('leaves nulls of fields null when told to', async () => {
    const cast = await transform('Cast$Value', { spec: 'a:string', 'replace.null.with.default': 'false' })
    const schema = struct({ a: makeSchema({ type: 'INT32', optional: true, defaultValue: 5 }) })
    assert.deepEqual(cast.apply(record({ valueSchema: schema, value: { a: null } }))?.value, { a: null })
  })

  it('casts members of objects, adds the missing ones as null, passes tombstones', async () => {
    const cast = await transform('Cast$Value', { spec: 'a:boolean,b:int8' })
    assert.deepEqual(cast.apply(record({ value: { a: 'true', c: 1 } }))?.value, { a: true, c: 1, b: null })
    const tombstone = record()
    assert.equal(cast.apply(tombstone), tombstone)
  })

  it('does not leave the name of a logical type on a plain value', async () => {
    const cast = await transform('Cast$Key', { spec: 'string' })
    const out = cast.apply(record({ keySchema: timestampSchema, key: new Date(0) }))
    assert.deepEqual([out?.keySchema?.type, out?.keySchema?.name], ['STRING', null])
  })

  const bad: readonly (readonly [string, RegExp])[] = [
    ['', /Must specify at least one field to cast/],
    ['a:bytes', /does not support casting to BYTES; supported types are \[INT8/],
    ['a:b:c', /Invalid rename mapping: a:b:c/],
    ['int8,int16', /may ony specify a single cast/],
    ['a:nonsense', /No enum constant .*NONSENSE for configuration Invalid type found in casting spec: nonsense/],
  ]
  for (const [spec, message] of bad) {
    it(`refuses the spec "${spec}"`, async () => {
      await assert.rejects(() => transform('Cast$Value', { spec }), message)
    })
  }
})
