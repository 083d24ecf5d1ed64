import assert from 'node:assert/strict'
import { test } from 'node:test'
import { timestampExtractor } from '../../../../connectors/s3/timestamp-extractor.ts'
import { Decimal, Float64, makeSchema, type Schema, Schemas, type Value } from '../../../../worker/api/data.ts'
import { DataError } from '../../../../worker/api/errors.ts'
import { SinkRecord } from '../../../../worker/api/record.ts'

const extract = timestampExtractor('RecordField', 't')

function timeOf(value: Value, valueSchema: Schema | null): number {
  const place = { topic: 'orders', partition: 0, offset: 0n, timestamp: 0, headers: [] }
  return extract(new SinkRecord({ ...place, key: null, keySchema: null, value, valueSchema }), 0)
}

const ofText = (text: string) => timeOf({ t: text }, null)
const ofField = (schema: Schema, value: Value) =>
  timeOf({ t: value }, makeSchema({ type: 'STRUCT', fields: [{ name: 't', schema }] }))

// What Joda-Time's dateTimeParser makes of them, with UTC as the zone of the process (S30).
for (const [text, expected] of [
  ['2024-05-07', 1715040000000],
  ['2024-5-7T1:2:3', 1715043723000],
  ['2024', 2024],
  ['2024T', 1704067200000],
  ['2024-128', 1715040000000],
  ['2024-366T10.5+0100', 1735637400000],
  ['2024-W05-2', 1706572800000],
  ['2024-W16', 1713139200000],
  ['2024-W5-3T10:20:30.123+05:30', 1706676630123],
  ['T10:20', 37200000],
  ['2024-05-07T10', 1715076000000],
  ['2024-05-07T10.5', 1715077800000],
  ['2024-02-15T10:20.25', 1707992415000],
  ['2024-06-18T10:20:30,5z', 1718706030500],
  ['2024-08-17t10:20z', 1723890000000],
  ['2024-02-15T10:20+01:00:30.5', 1707988769500],
  ['1999-W5-3T-08', 918028800000],
  ['0000-06-17T10:20:30.123456789', -62152666769877],
  ['99-06-16T10:20-08', -59028586800000],
  ['-06-10', -62332934400000],
  ['+2024-W24-1T10:20:30.123+01:00:30', 1718011200123],
  ['-1717430', -1717430],
  ['00012', 12],
] as const) {
  test(`the text ${text} is the time ${expected} (S30)`, () => {
    assert.equal(ofText(text), expected)
  })
}

for (const text of [
  '2024-05-07 10:00',
  '2024-05-07Z',
  '2024-05-07T24:00:00',
  '2024-09-16T10:60+05:30',
  '2024-02-30',
  '2023-366',
  '2024-45',
  '2023-W53',
  '2024-W01-8',
  '2024-05-07T10:20+01:60',
  '2024-05-07T10:20+24:00',
  '2024-05-07T10:20+1',
  '9999999999999999999',
  '1e3',
  '1.5',
  '',
]) {
  test(`the text '${text}' is no time (S30)`, () => {
    assert.throws(() => ofText(text), DataError)
  })
}

test('any number of a JSON object or a map is a time in ms, without what is behind its point (S30)', () => {
  assert.equal(timeOf({ t: 1717430000123.9 }, null), 1717430000123)
  assert.equal(timeOf({ t: new Float64(1717430000123) }, null), 1717430000123)
  assert.equal(timeOf({ t: -0.5 }, null), -0)
  assert.equal(timeOf(new Map([['t', new Decimal(1717430000123_99n, 2)]]), null), 1717430000123)
})

test('a field of a struct is a time as its schema says: no short integers, floats or decimals (S30)', () => {
  assert.equal(ofField(Schemas.int32, 5), 5)
  for (const schema of [Schemas.int8, Schemas.int16, Schemas.float64])
    assert.throws(() => ofField(schema, 5), DataError)
  assert.throws(() => ofField(Schemas.float64, new Float64(5)), DataError)
  assert.throws(() => ofField(Schemas.bytes, new Decimal(5n, 0)), DataError)
})
