import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { SourceRecord } from '../../worker/api/record.ts'
import { parseConfig } from '../../worker/config/config-def.ts'
import { JsonConverter, jsonConverterConfig } from '../../worker/converters/json.ts'
import { GrowingByteWriter } from '../../worker/util/byte-writer.ts'
import { PostgresFixture } from '../support/postgres-fixture.ts'
import { requireService } from '../support/services.ts'

const postgres = requireService('postgres')

/** Types with values at their limits, as SQL. */
const values: Readonly<Record<string, readonly string[]>> = {
  bool: ["'t'"],
  int2: ['-32768'],
  int4: ['2147483647'],
  int8: ['-9223372036854775808'],
  oid: ['4294967295'],
  float4: ["'NaN'", '3.4e38', '0.1'],
  float8: ["'-Infinity'", '1.7976931348623157e308', '5e-324'],
  numeric: ['1e100', '-0.000', '123456789012345678901234567890.123456789', "'NaN'"],
  'numeric(38,10)': ['9999999999999999999999999999.9999999999', '0'],
  'numeric(3,5)': ['0.00123'],
  money: ["'-$1,234.56'"],
  'char(5)': ["'a'", "''"],
  'varchar(10)': ["'žluť'"],
  text: ["''", "E'a\\nb\\t\"\\\\'", "'𝄞'"],
  '"char"': ["'x'"],
  citext: ["'AbC'"],
  isbn: ["'978-0-393-04002-9'"],
  bytea: ["'\\x'", "'\\x00ff'"],
  date: ["'0001-01-01'", "'4713-01-01 BC'", "'infinity'", "'2024-02-29'", "'5874897-12-31'"],
  time: ["'24:00:00'", "'23:59:59.999999'"],
  'time(3)': ["'12:00:00.123'"],
  timetz: ["'24:00:00+00'", "'00:00:00-15:59'"],
  timestamp: ["'infinity'", "'4713-01-01 00:00:00 BC'", "'1969-12-31 23:59:59.999999'", "'294276-12-31'"],
  'timestamp(0)': ["'2020-01-01'"],
  'timestamp(3)': ["'1500-01-01 00:00:00.5'"],
  timestamptz: ["'-infinity'", "'0044-03-15 00:00:00+00 BC'", "'12020-01-01 00:00:00+05:30'"],
  'timestamptz(0)': ["'2020-06-01 12:00:00+02'"],
  interval: ["'1 year 2 mons -3 days 04:05:06.789'", "'178000000 years'"],
  json: ['\'{"a": 1 }\''],
  jsonb: ['\'{"a":[1,null]}\''],
  uuid: ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"],
  xml: ["'<a/>'"],
  inet: ["'10.0.0.1/8'"],
  cidr: ["'10.0.0.0/8'"],
  macaddr: ["'08:00:2b:01:02:03'"],
  macaddr8: ["'08:00:2b:01:02:03:04:05'"],
  'bit(1)': ["B'1'"],
  'bit(9)': ["B'100000001'"],
  'bit varying': ["B'0000000100000000'"],
  point: ["'(1.5,-2)'"],
  line: ["'{1,2,3}'"],
  lseg: ["'((0,0),(1,1))'"],
  box: ["'((0,0),(1,1))'"],
  path: ["'[(0,0),(1,1)]'"],
  polygon: ["'((0,0),(1,1),(2,0))'"],
  circle: ["'<(0,0),5>'"],
  int4range: ["'[1,5)'", "'empty'"],
  tstzrange: ["'[2020-01-01 00:00+00,infinity)'"],
  int4multirange: ["'{[1,2)}'"],
  tsvector: ["'a:1 b:2'"],
  tsquery: ["'a & b'"],
  pg_lsn: ["'16/B374D848'"],
  jsonpath: ["'$.a'"],
  hstore: ['\'a=>1, "b c"=>NULL\''],
  ltree: ["'a.b.c'"],
  mood: ["'sad'", '\'very happy, "q"\''],
  posint: ['5'],
  nested: ['7'],
  short: ["'abc'"],
  pair: ["'(1,x)'"],
}

const setup = `CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION citext; CREATE EXTENSION isn;
  CREATE TYPE mood AS ENUM ('sad', 'very happy, "q"'); CREATE TYPE pair AS (a int, b text);
  CREATE DOMAIN posint AS int CHECK (VALUE > 0); CREATE DOMAIN nested AS posint; CREATE DOMAIN short AS varchar(7);`

interface Column {
  readonly type: string
  readonly sql: string
}

/** Each value by itself, and the first of each type in an array with a NULL, in an empty array and in two dimensions. */
const columns: readonly Column[] = Object.entries(values).flatMap(([type, list]) => {
  const first = `CAST(${list[0]} AS ${type})`
  const arrays = [`ARRAY[${first}, NULL]`, 'ARRAY[]', `ARRAY[ARRAY[${first}], ARRAY[${first}]]`]
  return [
    ...list.map((value) => ({ type, sql: `CAST(${value} AS ${type})` })),
    ...arrays.map((array) => ({ type: `${type}[]`, sql: `${array}::${type}[]` })),
  ]
})

const modes: readonly Readonly<Record<string, string>>[] = [
  {},
  {
    'time.precision.mode': 'connect',
    'decimal.handling.mode': 'string',
    'binary.handling.mode': 'hex',
    'interval.handling.mode': 'string',
    'hstore.handling.mode': 'map',
  },
  {
    'time.precision.mode': 'isostring',
    'decimal.handling.mode': 'double',
    'binary.handling.mode': 'base64',
    'include.unknown.datatypes': 'true',
  },
  { 'time.precision.mode': 'nanoseconds', 'binary.handling.mode': 'base64-url-safe', 'money.fraction.digits': '4' },
  { 'time.precision.mode': 'microseconds', 'include.unknown.datatypes': 'true', 'hstore.handling.mode': 'map' },
  { 'time.precision.mode': 'adaptive_time_microseconds', 'interval.handling.mode': 'string' },
  { 'time.precision.mode': 'structured', 'decimal.handling.mode': 'string' },
]

const converter = new JsonConverter()
converter.configure(parseConfig(jsonConverterConfig, { 'converter.type': 'value', 'schemas.enable': 'true' }), 'value')

/** Schema and row by field, as both lanes of the converter write them. */
function fieldsOf(record: SourceRecord): ReadonlyMap<string, string> {
  const slow = converter.fromConnectData(record.topic, [], record.valueSchema, record.value)
  const out = new GrowingByteWriter()
  const mark = out.mark()
  assert.equal(converter.write(record.topic, [], record.valueSchema, record.rawValue, out), true)
  const text = Buffer.from(slow ?? []).toString()
  assert.equal(Buffer.from(out.since(mark)).toString(), text)
  const { schema, payload } = JSON.parse(text) as {
    schema: { fields: readonly { field: string; fields: readonly { field: string }[] }[] }
    payload: { after: Record<string, unknown> }
  }
  const row = schema.fields.find(({ field }) => field === 'after')?.fields ?? []
  return new Map(row.map((field) => [field.field, JSON.stringify([field, payload.after[field.field]])]))
}

/** As in Debezium the items of these arrays are not optional: one with NULL, or of arrays, has no place. */
const lostArrays = (item: string, type: string): readonly string[] => [
  `ARRAY[${item}, NULL]::${type}[]`,
  `ARRAY[ARRAY[${item}], ARRAY[${item}]]::${type}[]`,
]

suite('types at their limits', { skip: postgres.skip }, () => {
  for (const mode of modes) {
    test(`snapshot, stream and both lanes agree (statement P109): ${Object.values(mode).join(' ') || 'defaults'}`, async () => {
      const names = columns.map(({ type }, i) => `c${i} ${type}`)
      await using fixture = await PostgresFixture.open(
        postgres.settings.url,
        `${setup} CREATE TABLE w (id int PRIMARY KEY, ${names.join(', ')})`,
      )
      const insert = async (id: number) =>
        await fixture.sql(`INSERT INTO w VALUES (${id}, ${columns.map(({ sql }) => sql).join(', ')})`)
      await insert(1)
      const task = await fixture.task(null, mode)
      const [read] = await task.take(1)
      await insert(2)
      const [streamed] = await task.take(1)
      assert.ok(read !== undefined && streamed !== undefined)
      const [before, after] = [fieldsOf(read), fieldsOf(streamed)]
      assert.deepEqual([...after.keys()], [...before.keys()])
      for (const [i, { type, sql }] of columns.entries()) {
        assert.equal(after.get(`c${i}`), before.get(`c${i}`), `${type} ${sql}`)
      }
    })
  }

  test('what does not fit its schema is null, and nothing else is', async () => {
    const names = columns.map(({ type }, i) => `c${i} ${type}`)
    await using fixture = await PostgresFixture.open(
      postgres.settings.url,
      `${setup} CREATE TABLE w (id int PRIMARY KEY, ${names.join(', ')});
       INSERT INTO w VALUES (1, ${columns.map(({ sql }) => sql).join(', ')})`,
    )
    const task = await fixture.task(null)
    const [record] = await task.take(1)
    const row = (record?.value as { after: Record<string, unknown> } | undefined)?.after ?? {}
    const isLost = ({ type }: Column, i: number) => row[`c${i}`] === null && !type.startsWith('bit(')
    assert.deepEqual(
      columns.filter(isLost).map(({ sql }) => sql),
      [
        "CAST('NaN' AS numeric)",
        ...lostArrays("CAST('978-0-393-04002-9' AS isbn)", 'isbn'),
        "ARRAY[ARRAY[CAST('24:00:00+00' AS timetz)], ARRAY[CAST('24:00:00+00' AS timetz)]]::timetz[]",
        "CAST('294276-12-31' AS timestamp)",
        ...lostArrays("CAST('a:1 b:2' AS tsvector)", 'tsvector'),
        "ARRAY[CAST('sad' AS mood), NULL]::mood[]",
        "ARRAY[ARRAY[CAST('sad' AS mood)], ARRAY[CAST('sad' AS mood)]]::mood[]",
      ],
    )
    const warnings = task.context.logger.lines.filter(({ message }) =>
      message.startsWith('A value could not be converted'),
    )
    assert.equal(warnings.length, 9)
  })
})
