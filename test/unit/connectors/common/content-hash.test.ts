import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ContentHash, canonicalJson } from '../../../../connectors/common/content-hash.ts'
import { Decimal, Float64, LogicalName, makeSchema, Schemas, type Value } from '../../../../worker/api/data.ts'
import { testSeed } from '../../../support/seed.ts'

const seed = testSeed

function hashOf(rows: readonly Value[]): string {
  const hash = new ContentHash()
  for (const row of rows) hash.add(null, row)
  return hash.digits
}

test('canonical JSON: members by name, numbers short, logical types as they are stored', () => {
  const day = makeSchema({ type: 'INT32', name: LogicalName.date, version: 1 })
  assert.equal(
    canonicalJson(null, { b: [1, new Float64(1), 1.5, -0], a: null, 10: true }),
    '{"10":true,"a":null,"b":[1,1,1.5,0]}',
  )
  assert.equal(canonicalJson(Schemas.int64, 2n ** 62n), '4611686018427387904')
  assert.equal(canonicalJson(null, new Decimal(-150n, 2)), '-1.50')
  assert.equal(canonicalJson(day, new Date(3 * 86_400_000)), '3')
  assert.equal(canonicalJson(null, new Date(5)), '5')
  assert.equal(canonicalJson(null, Buffer.from([255])), '"/w=="')
  assert.equal(
    canonicalJson(
      null,
      new Map<Value, Value>([
        ['z', 1],
        ['a', 'x'],
      ]),
    ),
    '{"a":"x","z":1}',
  )
  assert.equal(canonicalJson(null, Number.NaN), '"NaN"')
})

test('a struct and the JSON object of the same row have the same hash', () => {
  const schema = makeSchema({
    type: 'STRUCT',
    fields: [
      { name: 'name', schema: Schemas.string },
      { name: 'id', schema: Schemas.int64 },
    ],
  })
  const typed = new ContentHash()
  typed.add(schema, { name: 'a', id: 7n })
  assert.equal(typed.digits, hashOf([{ id: 7, name: 'a' }]))
  // Told by md5sum: the first 15 hex digits of md5('{"id":7,"name":"a"}').
  assert.equal(typed.digits, BigInt('0x0a0c49eb3c07bad').toString())
})

test(`the order of rows does not matter, their number and content do (seed ${seed})`, () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue(), { minLength: 1, maxLength: 20 }), (values) => {
      const rows = values as Value[]
      const whole = hashOf(rows)
      assert.equal(hashOf([...rows].reverse()), whole)
      assert.notEqual(hashOf([...rows, rows[0] as Value]), whole)
      assert.notEqual(hashOf([...rows.slice(1), { changed: rows[0] as Value }]), whole)
      // Files add up.
      assert.equal((BigInt(hashOf(rows.slice(0, 3))) + BigInt(hashOf(rows.slice(3)))).toString(), whole)
    }),
    { seed },
  )
})
