import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { GrowingByteWriter } from '../../../../worker/api/byte-writer.ts'
import {
  Decimal,
  decimalSchema,
  Float64,
  LogicalName,
  makeSchema,
  type Schema,
  Schemas,
  type Struct,
  schemaEquals,
  type Value,
  valueEquals,
} from '../../../../worker/api/data.ts'
import { noHeaders } from '../../../../worker/api/record.ts'
import { JsonConverter, type JsonConverterConfig } from '../../../../worker/converters/json.ts'
import { converterConformance, deepFreeze, primitiveSamples, TestStructView } from '../../../conformance/converter.ts'

function open(overrides: Partial<JsonConverterConfig> = {}): JsonConverter {
  const converter = new JsonConverter()
  converter.configure(
    {
      'schemas.enable': true,
      'schemas.cache.size': 1000,
      'decimal.format': 'BASE64',
      'replace.null.with.default': true,
      'schema.content': null,
      'converter.type': 'value',
      ...overrides,
    },
    'value',
  )
  return converter
}

const plain = (overrides: Partial<JsonConverterConfig> = {}) => open({ 'schemas.enable': false, ...overrides })
const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString())
const write = (c: JsonConverter, schema: Schema | null, value: Value) =>
  text(c.fromConnectData('t', noHeaders, schema, value))
const read = (c: JsonConverter, json: string) => c.toConnectData('t', noHeaders, Buffer.from(json))

const date = makeSchema({ type: 'INT32', name: LogicalName.date, version: 1 })
const time = makeSchema({ type: 'INT32', name: LogicalName.time, version: 1 })
const timestamp = makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1, optional: true })
const struct = (fields: Readonly<Record<string, Schema>>, spec: { name?: string; optional?: boolean } = {}) =>
  makeSchema({ type: 'STRUCT', fields: Object.entries(fields).map(([name, schema]) => ({ name, schema })), ...spec })
const array = (valueSchema: Schema) => makeSchema({ type: 'ARRAY', valueSchema })
const map = (keySchema: Schema, valueSchema: Schema) => makeSchema({ type: 'MAP', keySchema, valueSchema })

converterConformance('JsonConverter with schemas', {
  open: async () => open(),
  samples: [
    ...primitiveSamples,
    { schema: decimalSchema(2), value: new Decimal(-1020n, 2) },
    { schema: date, value: new Date(86_400_000 * 365) },
    { schema: time, value: new Date(1) },
    { schema: timestamp, value: new Date(1_700_000_000_000) },
    { schema: array(Schemas.int64), value: [1n, 2n] },
    {
      schema: map(Schemas.string, Schemas.optionalInt32),
      value: new Map([
        ['a', 1],
        ['b', null],
      ]),
    },
    { schema: map(Schemas.int32, Schemas.string), value: new Map([[1, 'x']]) },
    {
      schema: struct({ a: Schemas.int32, __proto__x: Schemas.string, constructor: Schemas.optionalString }),
      value: { a: 1, __proto__x: 'y', constructor: null },
    },
    { schema: null, value: { a: [1, 2.5, new Float64(3), 12345678901234567890n, null, 'x', true] } },
  ],
  malformed: [
    '',
    '{',
    '{"schema":null}',
    '{"a":1}',
    '[]',
    '1',
    '{"schema":{"type":"int32"},"payload":"x"}',
    '{"schema":{"type":"int32","optional":false},"payload":1,"x":2}',
    '\xff',
  ].map((s) => Buffer.from(s, 'latin1')),
})

converterConformance('JsonConverter without schemas', {
  open: async () => plain(),
  samples: [
    { schema: null, value: { a: 1, b: { c: [] } } },
    { schema: null, value: 'x' },
    { schema: Schemas.int64, value: 9007199254740993n, readSchema: null },
    { schema: Schemas.float64, value: 1, readSchema: null, readValue: new Float64(1) },
  ],
  malformed: ['{', 'x', '1 2'].map((s) => Buffer.from(s)),
})

describe('JsonConverter', () => {
  it('writes the envelope in the order of Connect (statement 154)', () => {
    const schema = struct(
      {
        id: Schemas.int64,
        s: makeSchema({ type: 'STRING', optional: true, defaultValue: 'x' }),
        a: makeSchema({ type: 'ARRAY', optional: true, valueSchema: Schemas.float32 }),
        m: map(Schemas.string, Schemas.optionalFloat64),
        d: decimalSchema(2),
      },
      { name: 'R' },
    )
    assert.equal(
      write(open(), schema, { id: 1n, s: 'v', a: [1], m: new Map([['k', 2.5]]), d: new Decimal(200n, 2) }),
      '{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"},{"type":"string","optional":true,"default":"x","field":"s"},{"type":"array","items":{"type":"float","optional":false},"optional":true,"field":"a"},{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"double","optional":true},"optional":false,"field":"m"},{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"field":"d"}],"optional":false,"name":"R"},"payload":{"id":1,"s":"v","a":[1.0],"m":{"k":2.5},"d":"AMg="}}',
    )
  })

  it('writes tombstones, typed nulls and schemaless values', () => {
    assert.equal(write(open(), null, null), null)
    assert.equal(
      write(open(), Schemas.optionalString, null),
      '{"schema":{"type":"string","optional":true},"payload":null}',
    )
    assert.equal(write(open(), null, { a: 1 }), '{"schema":null,"payload":{"a":1}}')
    assert.equal(write(plain(), Schemas.optionalString, null), 'null')
    assert.equal(write(plain(), null, null), null)
    assert.equal(write(plain(), null, new Map<Value, Value>([[1, 'a']])), '[[1,"a"]]')
    assert.equal(write(plain(), null, new Map([['k', new Float64(10)]])), '{"k":10.0}')
  })

  it('applies defaults to nulls, or not', () => {
    const schema = struct({
      a: makeSchema({ type: 'INT32', defaultValue: 7 }),
      b: makeSchema({ type: 'STRING', optional: true, defaultValue: 'd' }),
    })
    assert.equal(write(plain(), schema, { a: null, b: null }), '{"a":7,"b":"d"}')
    const literal = plain({ 'replace.null.with.default': false })
    assert.equal(write(literal, schema, { a: 1, b: null }), '{"a":1,"b":null}')
    const message = /^Conversion error: null value for field that is required and has no default value$/
    assert.throws(() => write(literal, schema, { a: null, b: null }), { message })
    assert.throws(() => write(plain(), Schemas.string, null), { message })
  })

  it('writes decimals in both formats and reads either in both', () => {
    const schema = decimalSchema(2)
    const value = new Decimal(1020n, 2)
    const numeric = plain({ 'decimal.format': 'numeric' })
    assert.equal(write(numeric, schema, value), '10.20')
    assert.equal(write(plain(), schema, value), '"A/w="')
    assert.throws(() => write(plain(), schema, new Decimal(1n, 3)), {
      message: 'Decimal value has mismatching scale for given Decimal schema. Schema has scale 2, value has scale 3.',
    })
    const head =
      '{"schema":{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"}},"payload":'
    for (const converter of [open(), open({ 'decimal.format': 'NUMERIC' })]) {
      for (let round = 0; round < 2; round++) {
        assert.deepEqual(read(converter, `${head}10.20}`).value, value)
        assert.deepEqual(read(converter, `${head}"A/w="}`).value, value)
        assert.deepEqual(
          read(converter, `${head}12345678901234567890.123456789012345678901}`).value,
          new Decimal(12345678901234567890123456789012345678901n, 21),
        )
      }
    }
  })

  it('reads a text without a token as Connect does: null, or no envelope', () => {
    for (const text of ['', ' ', '\n', '\t\r\n ']) {
      assert.deepEqual(read(plain(), text), { schema: null, value: null })
      assert.throws(() => read(open({ 'schemas.enable': true }), text), {
        message: /^JsonConverter with schemas\.enable requires "schema"/,
      })
    }
    // What only looks empty is no JSON.
    for (const text of ['\0', '\v', '\u00a0'])
      assert.throws(() => read(plain(), text), { message: /serialization error/ })
  })

  it('has the error texts of Connect; a tombstone stays one (statement 155)', () => {
    const cases: readonly (readonly [() => unknown, string])[] = [
      [() => write(plain(), Schemas.int32, 'x'), 'Invalid type for INT32: class java.lang.String'],
      [
        () => write(plain(), date, new Date(1)),
        'Kafka Connect Date type should not have any time fields set to non-zero values.',
      ],
      [() => read(plain(), '{'), 'Converting byte[] to Kafka Connect data failed due to serialization error: '],
      [() => read(open(), '{"schema":{},"payload":1}'), "Schema must contain 'type' field"],
      [() => read(open(), '{"schema":{"type":"x"},"payload":1}'), 'Unknown schema type: x'],
      [() => read(open(), '{"schema":{"type":"array"},"payload":1}'), 'Array schema did not specify the element type'],
      [() => read(open(), '{"schema":{"type":"map"},"payload":1}'), 'Map schema did not specify the key type'],
      [
        () => read(open(), '{"schema":{"type":"struct"},"payload":1}'),
        'Struct schema\'s "fields" argument is not an array.',
      ],
      [
        () => read(open(), '{"schema":{"type":"struct","fields":[{"type":"int8"}]},"payload":1}'),
        "Struct schema's field name not specified properly",
      ],
      [
        () => read(open(), '{"schema":{"type":"int32","parameters":{"a":1}},"payload":1}'),
        'Schema parameters must have string values.',
      ],
      [() => read(open(), '{"schema":{"type":"int32"},"payload":null}'), 'Invalid null value for required INT32 field'],
      [
        () =>
          read(
            open(),
            '{"schema":{"type":"int32","name":"org.apache.kafka.connect.data.Date","version":1},"payload":"x"}',
          ),
        'Invalid type for Date, underlying representation should be integer but was STRING',
      ],
      [
        () => read(open(), '{"schema":null,"payload":1,"more":1}'),
        'JsonConverter with schemas.enable requires "schema" and "payload" fields and may not contain additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration.',
      ],
    ]
    for (const [call, message] of cases) assert.throws(call, { message, kind: 'record' })
    assert.deepEqual(open().toConnectData('t', [], null), { schema: null, value: null })
    assert.equal(open().fromConnectData('t', [], null, null), null)
  })

  it('reads numbers exactly and accepts leading zeros', () => {
    assert.deepEqual(read(plain(), '{"a":007,"b":9007199254740993,"c":1.0}').value, {
      a: 7,
      b: 9007199254740993n,
      c: new Float64(1),
    })
    assert.equal(read(open(), '{"schema":{"type":"int64"},"payload":9223372036854775807}').value, 9223372036854775807n)
    assert.throws(() => read(open(), '{"schema":{"type":"int64"},"payload":9223372036854775808}'), /range/)
    assert.throws(() => read(open(), '{"schema":{"type":"int8"},"payload":128}'), /range/)
    const day =
      '{"schema":{"type":"int32","name":"org.apache.kafka.connect.data.Date","version":1},"payload":2100000000}'
    assert.throws(() => read(open(), day), { code: 'CONNECT_DATA_DATE' })
    assert.throws(() => read(open(), '{"schema":{"type":"int32"},"payload":1.0}'), /Invalid type/)
    assert.throws(() => read(open(), '{"schema":{"type":"bytes"},"payload":"a-b="}'), /base64/)
  })

  it('gives one schema instance per head of the envelope, and none of another message', () => {
    const converter = open()
    const one = (n: number) =>
      `{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"a"}],"optional":false},"payload":{"a":${n}}}`
    const first = read(converter, one(1))
    const second = read(converter, one(2))
    assert.equal(first.schema, second.schema)
    assert.deepEqual(second.value, { a: 2 })
    assert.deepEqual(read(converter, one(3).replace('int32', 'int64')).value, { a: 3n })
    // The same members in another order, with blanks, or with a repeated member, take the slow path.
    assert.deepEqual(
      read(converter, '{ "payload":{"a":4}, "schema":{"type":"struct","fields":[{"type":"int32","field":"a"}]} }')
        .value,
      { a: 4 },
    )
    assert.throws(() => read(converter, `${one(5).slice(0, -1)},"x":1}`), /additional fields/)
  })

  it('reads every message by schema.content', () => {
    const converter = open({ 'schema.content': '{"type":"struct","fields":[{"field":"a","type":"int64"}]}' })
    const { schema, value } = read(converter, '{"a":5,"b":1}')
    assert.equal(schema?.type, 'STRUCT')
    assert.deepEqual(value, { a: 5n })
    assert.throws(() => open({ 'schema.content': '{"type":"no"}' }), { kind: 'config' })
  })
})

/** Schemas with a value of each. */
const typed: fc.Arbitrary<readonly [Schema, Value]> = fc.letrec<{ any: readonly [Schema, Value] }>((tie) => {
  const of = (schema: Schema, values: fc.Arbitrary<Value>) => values.map((v) => [schema, v] as const)
  const leaf = fc.oneof(
    of(Schemas.int8, fc.integer({ min: -128, max: 127 })),
    of(Schemas.int32, fc.integer()),
    of(Schemas.int64, fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
    of(Schemas.float32, fc.float({ noNaN: true })),
    of(Schemas.float64, fc.double()),
    of(Schemas.boolean, fc.boolean()),
    of(Schemas.string, fc.string({ unit: 'binary', maxLength: 60 })),
    of(Schemas.optionalString, fc.constant(null)),
    of(Schemas.bytes, fc.uint8Array({ maxLength: 20 })),
    of(
      decimalSchema(3),
      fc.bigInt({ min: -(2n ** 90n), max: 2n ** 90n }).map((n) => new Decimal(n, 3)),
    ),
    of(
      timestamp,
      fc.integer({ min: 0, max: 2 ** 41 }).map((n) => new Date(n)),
    ),
  )
  return {
    any: fc.oneof(
      { maxDepth: 3 },
      leaf,
      leaf.map(([s, v]) => [array(s), [v, v]] as const),
      leaf.map(([s, v]) => [map(Schemas.string, s), new Map([['k"', v]])] as const),
      fc
        .dictionary(
          fc.string({ minLength: 1, maxLength: 8 }).filter((k) => k !== '__proto__'),
          tie('any'),
          { maxKeys: 6 },
        )
        .map((members) => {
          const entries = Object.entries(members)
          const schema = struct(Object.fromEntries(entries.map(([name, [s]]) => [name, s])))
          return [schema, Object.fromEntries(entries.map(([name, [, v]]) => [name, v]))] as const
        }),
    ),
  }
}).any

describe('JsonConverter, both lanes', () => {
  it('gives the same bytes for a struct, its view and independent JSON text, and reads them back', () => {
    fc.assert(
      fc.property(typed, fc.boolean(), ([schema, value], numeric) => {
        const converter = open({ 'decimal.format': numeric ? 'NUMERIC' : 'BASE64' })
        const slow = converter.fromConnectData('t', noHeaders, schema, deepFreeze(value))
        const out = new GrowingByteWriter(8)
        out.ascii('x')
        const mark = out.mark()
        const view = schema.type === 'STRUCT' ? new TestStructView(schema, value as Struct) : value
        assert.ok(converter.write('t', noHeaders, schema, view, out))
        assert.equal(text(out.since(mark)), text(slow))
        assert.equal(text(plainNumeric.fromConnectData('t', noHeaders, schema, value)), expectedJson(schema, value))
        const back = converter.toConnectData('t', noHeaders, slow)
        assert.ok(schemaEquals(back.schema, schema))
        assert.ok(valueEquals(back.value, value))
        assert.ok(valueEquals(converter.toConnectData('t', noHeaders, slow).value, value), 'by the known head')
      }),
      { numRuns: 400 },
    )
  })
})

const plainNumeric = plain({ 'decimal.format': 'NUMERIC' })

/** The payload by other means: JSON.stringify for structure and strings, plain rules for the rest. */
function expectedJson(schema: Schema, value: Value): string {
  if (value === null) return 'null'
  if (value instanceof Decimal) {
    const s = value.toString()
    const small = value.unscaled !== 0n ? false : value.scale > 6
    return small ? `0E-${value.scale}` : s
  }
  if (value instanceof Date) return String(value.getTime())
  if (value instanceof Uint8Array) return JSON.stringify(Buffer.from(value).toString('base64'))
  if (typeof value === 'string') {
    let quoted = ''
    for (const unit of JSON.stringify(value).split('')) {
      quoted += unit >= '\ud800' && unit <= '\udfff' ? `\\u${unit.charCodeAt(0).toString(16)}` : unit
    }
    return quoted.replace(/(\\\\)|\\u([0-9a-f]{4})/g, (m, _, hex: string | undefined) =>
      hex ? `\\u${hex.toUpperCase()}` : m,
    )
  }
  if (typeof value === 'number' && schema.type.startsWith('FLOAT')) {
    if (!Number.isFinite(value)) return JSON.stringify(String(value))
    const out = new GrowingByteWriter()
    plainNumeric.write('t', noHeaders, schema, value, out)
    const printed = Buffer.from(out.since(0)).toString()
    // The form of Java's text is checked in the tests of exact JSON; here that it is a double and the same one.
    assert.match(printed, /^-?\d+\.\d+(E-?\d+)?$/)
    const parsed = Number(printed)
    assert.ok(Object.is(schema.type === 'FLOAT32' ? Math.fround(parsed) : parsed, value))
    return printed
  }
  if (Array.isArray(value))
    return `[${(value as Value[]).map((v) => expectedJson(schema.valueSchema as Schema, v)).join(',')}]`
  if (value instanceof Map) {
    const entries = [...(value as Map<string, Value>)]
    return `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${expectedJson(schema.valueSchema as Schema, v)}`).join(',')}}`
  }
  if (typeof value === 'object') {
    const members = schema.fields.map(
      (f) => `${JSON.stringify(f.name)}:${expectedJson(f.schema, (value as Struct)[f.name] as Value)}`,
    )
    return `{${members.join(',')}}`
  }
  return String(value)
}
