import assert from 'node:assert/strict'
import { test } from 'node:test'
import { needsNewObject, projectRecord } from '../../../../connectors/s3/schema-compatibility.ts'
import { LogicalName, makeSchema, type Schema, type SchemaType, type Value } from '../../../../worker/api/data.ts'
import { SinkRecord } from '../../../../worker/api/record.ts'

/** A version of an event with one field. */
const event = (schema: Schema) =>
  makeSchema({ type: 'STRUCT', name: 'Event', version: 1, fields: [{ name: 'v', schema }] })
const decimal = (scale: string) => makeSchema({ type: 'BYTES', name: LogicalName.decimal, parameters: { scale } })
const text = (parameters: Readonly<Record<string, string>> = {}) => makeSchema({ type: 'STRING', parameters })
const symbols = (...names: readonly string[]) =>
  text(Object.fromEntries(['', ...names].map((name) => [`io.confluent.connect.avro.Enum${name && `.${name}`}`, name])))
const array = (valueSchema: Schema) => makeSchema({ type: 'ARRAY', valueSchema })

for (const [what, schema, current, isNew] of [
  ['another scale of a decimal', decimal('3'), decimal('2'), true],
  ['the same scale of a decimal', decimal('2'), decimal('2'), false],
  ['another scale within an array', array(decimal('3')), array(decimal('2')), true],
  ['another meaning of a text', text({ unit: 'm' }), text(), true],
  ['less meaning of a text', text(), text({ unit: 'm' }), true],
  [
    'other documentation',
    text({ 'connect.record.doc': 'a', 'io.confluent.connect.avro.field.doc.v': 'b' }),
    text(),
    false,
  ],
  ['fewer symbols of an enumeration', symbols('A'), symbols('A', 'B'), false],
  ['more symbols of an enumeration', symbols('A', 'B'), symbols('A'), true],
] as const) {
  test(`${what}: ${isNew ? 'a new object' : 'the same object'} in each mode with projection (S46)`, () => {
    for (const mode of ['BACKWARD', 'FORWARD', 'FULL'] as const) {
      assert.equal(needsNewObject(mode, event(schema), event(current)), isNew, mode)
    }
  })
}

const number = (type: SchemaType) => makeSchema({ type })

for (const [source, given, target, expected] of [
  ['INT32', 16_777_217, 'FLOAT32', 16_777_216],
  ['INT32', 16_777_217, 'FLOAT64', 16_777_217],
  ['INT16', 7, 'INT64', 7n],
  ['INT64', 9_007_199_254_740_993n, 'FLOAT64', 9_007_199_254_740_992],
] as const) {
  test(`${String(given)} of ${source} is ${String(expected)} as ${target} (S46)`, () => {
    const place = { topic: 'orders', partition: 0, offset: 0n, timestamp: 0, headers: [], key: null, keySchema: null }
    const record = new SinkRecord({ ...place, valueSchema: event(number(source)), value: { v: given } })
    const { value } = projectRecord('BACKWARD', record, event(number(target)))
    assert.equal((value as Readonly<Record<string, Value>>)['v'], expected)
  })
}
