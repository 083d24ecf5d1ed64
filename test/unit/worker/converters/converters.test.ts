import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  Decimal,
  decimalSchema,
  LogicalName,
  makeSchema,
  type Schema,
  Schemas,
  type Value,
} from '../../../../worker/api/data.ts'
import { noHeaders } from '../../../../worker/api/record.ts'
import { builtinConverters } from '../../../../worker/converters/manifests.ts'
import {
  BooleanConverter,
  ByteArrayConverter,
  NumberConverter,
  numberFormats,
} from '../../../../worker/converters/primitives.ts'
import { SimpleHeaderConverter } from '../../../../worker/converters/simple-header.ts'
import { StringConverter } from '../../../../worker/converters/string.ts'
import { converterConformance } from '../../../conformance/converter.ts'

const string = (encoding = 'UTF-8'): StringConverter => {
  const converter = new StringConverter()
  converter.configure({ 'converter.encoding': encoding, 'converter.type': 'value' }, 'value')
  return converter
}

for (const encoding of ['UTF-8', 'UTF8', 'ISO-8859-1', 'UTF-16LE', 'UTF-16BE']) {
  converterConformance(`StringConverter ${encoding}`, {
    open: async () => string(encoding),
    samples: [
      { schema: Schemas.optionalString, value: 'äbc' },
      { schema: Schemas.string, value: '', readSchema: Schemas.optionalString },
      { schema: Schemas.int64, value: 5n, readSchema: Schemas.optionalString, readValue: '5' },
    ],
    malformed: encoding.startsWith('UTF-16')
      ? [Uint8Array.of(1)]
      : encoding.startsWith('UTF')
        ? [Uint8Array.of(0xff)]
        : [],
  })
}

converterConformance('ByteArrayConverter', {
  open: async () => new ByteArrayConverter(),
  samples: [{ schema: Schemas.optionalBytes, value: Uint8Array.of(1, 2) }],
  malformed: [],
})
converterConformance('BooleanConverter', {
  open: async () => new BooleanConverter(),
  samples: [
    { schema: Schemas.optionalBoolean, value: true },
    { schema: Schemas.optionalBoolean, value: false },
  ],
  malformed: [Uint8Array.of(), Uint8Array.of(2), Uint8Array.of(0, 0)],
})
const extremes = {
  short: -32768,
  integer: 2147483647,
  long: -9223372036854775808n,
  float: 1.5,
  double: Number.MIN_VALUE,
}
for (const format of Object.values(numberFormats)) {
  converterConformance(`number converter ${format.name}`, {
    open: async () => new NumberConverter(format),
    samples: [{ schema: format.schema, value: extremes[format.name] }],
    malformed: [Uint8Array.of(), Uint8Array.of(1, 2, 3)],
  })
}

describe('StringConverter', () => {
  const text = (schema: Schema | null, value: Value) =>
    Buffer.from(string().fromConnectData('t', noHeaders, schema, value) ?? []).toString()

  it('prints structs, maps and lists as Java does (statement 156)', () => {
    const schema = makeSchema({
      type: 'STRUCT',
      fields: [
        { name: 'a', schema: Schemas.int32 },
        { name: 'n', schema: Schemas.optionalString },
        { name: 'f', schema: Schemas.float32 },
        { name: 'l', schema: makeSchema({ type: 'ARRAY', valueSchema: Schemas.float64 }) },
      ],
    })
    assert.equal(text(schema, { a: 1, n: null, f: 0.10000000149011612, l: [1, 2.5] }), 'Struct{a=1,f=0.1,l=[1.0, 2.5]}')
    assert.equal(
      text(
        null,
        new Map([
          ['a', 1],
          ['b', null],
        ]),
      ),
      '{a=1, b=null}',
    )
    assert.equal(text(null, { a: { b: [1, 'x'] } }), '{a={b=[1, x]}}')
    assert.equal(text(null, new Date('2022-01-08T00:00:00Z')), 'Sat Jan 08 00:00:00 UTC 2022')
    assert.equal(text(null, new Date('1582-10-15T00:00:00Z')), 'Fri Oct 15 00:00:00 UTC 1582')
    assert.equal(text(null, new Date(Date.UTC(1582, 9, 15) - 1)), 'Thu Oct 04 23:59:59 UTC 1582')
    assert.equal(text(null, new Date(-253301977421933)), 'Mon Apr 24 03:36:18 UTC 6058')
  })

  it('refuses what has no text, and unknown encodings', () => {
    assert.throws(() => text(null, Uint8Array.of(1)), { kind: 'record' })
    assert.throws(() => string('ISO-8859-1').fromConnectData('t', noHeaders, null, '€'), { kind: 'record' })
    assert.throws(() => string('EBCDIC'), { kind: 'config' })
  })
})

describe('primitive converters', () => {
  it('have the error texts of Connect', () => {
    assert.throws(() => new NumberConverter(numberFormats.integer).fromConnectData('t', noHeaders, null, 'x'), {
      message: 'Failed to serialize to integer (was class java.lang.String): ',
    })
    assert.throws(() => new NumberConverter(numberFormats.integer).fromConnectData('t', noHeaders, null, 2147483648), {
      kind: 'record',
    })
    assert.throws(() => new ByteArrayConverter().fromConnectData('t', noHeaders, Schemas.string, 'x'), {
      message: 'Invalid schema type for ByteArrayConverter: STRING',
    })
    assert.throws(() => new BooleanConverter().fromConnectData('t', noHeaders, Schemas.string, 'x'), {
      message: 'Invalid schema type for BooleanConverter: STRING',
    })
  })
})

describe('SimpleHeaderConverter', () => {
  const converter = new SimpleHeaderConverter()
  const read = (text: string) => converter.toConnectHeader('t', 'h', Buffer.from(text))
  const write = (schema: Schema | null, value: Value) =>
    converter.fromConnectHeader('t', 'h', schema, value)?.toString()

  const texts: readonly (readonly [string, Schema['type'] | null, Value])[] = [
    ['', 'STRING', ''],
    ['null', null, null],
    [' true ', 'BOOLEAN', true],
    ['true}', 'STRING', 'true}'],
    ['127', 'INT8', 127],
    ['-129', 'INT16', -129],
    ['70000', 'INT32', 70000],
    ['9007199254740993', 'INT64', 9007199254740993n],
    ['1.0', 'INT8', 1],
    ['1.5', 'FLOAT32', 1.5],
    ['1.5e200', 'FLOAT64', 1.5e200],
    ['99999999999999999999', 'BYTES', new Decimal(99999999999999999999n, 0)],
    ['2019-08-23', 'INT32', new Date('2019-08-23')],
    ['14:34:54.346Z', 'INT32', new Date('1970-01-01T14:34:54.346Z')],
    ['2019-08-23T14:34:54.346Z', 'INT64', new Date('2019-08-23T14:34:54.346Z')],
    ['[1, 2, 300]', 'ARRAY', [1, 2, 300]],
    ['["a","b\\"c"]', 'ARRAY', ['a', 'b"c']],
    ['[1,"a",1.0,2.5]', 'ARRAY', [1, 'a', 1, 2.5]],
    ['[1,null]', 'STRING', '[1,null]'],
    ['[2019-08-23,5]', 'STRING', '[2019-08-23,5]'],
    ['["a\\"b\\\\c\\d"]', 'ARRAY', ['a"b\\c\\d']],
    ['-006057-03-08', 'INT32', new Date('-006057-03-08')],
    ['2019-02-30', 'STRING', '2019-02-30'],
    ['1,2', 'STRING', '1,2'],
    ['1e20', 'FLOAT32', Math.fround(1e20)],
    ['[1,,2]', 'STRING', '[1,,2]'],
    ['[1', 'STRING', '[1'],
    ['[a]', 'STRING', '[a]'],
    [
      '{"a":1,"b":2}',
      'MAP',
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
    ],
    ['{"a":null}', 'MAP', new Map([['a', null]])],
    ['  text with blanks ', 'STRING', '  text with blanks '],
    ['1.2.3', 'STRING', '1.2.3'],
  ]
  for (const [text, type, value] of texts) {
    it(`reads ${JSON.stringify(text)} (statement 157)`, () => {
      const parsed = read(text)
      assert.equal(parsed.schema?.type ?? null, type)
      assert.deepEqual(parsed.value, value)
    })
  }

  it('widens elements to one type', () => {
    const { schema, value } = read('[1, 9007199254740993]')
    assert.equal(schema?.valueSchema?.type, 'INT64')
    assert.deepEqual(value, [1n, 9007199254740993n])
  })

  it('writes values as Connect does', () => {
    assert.equal(write(null, 'a "b"'), 'a "b"')
    assert.equal(write(null, ['a "b"', 1, null]), '["a \\"b\\"",1,null]')
    assert.equal(write(null, new Map([['k', 1]])), '{"k":1}')
    assert.equal(write(null, Uint8Array.of(1)), 'AQ==')
    assert.equal(write(decimalSchema(2), new Decimal(1020n, 2)), '10.20')
    const date = makeSchema({ type: 'INT32', name: LogicalName.date })
    assert.equal(write(date, new Date('2022-01-08')), '2022-01-08')
    // Connect would write 00:00:00.000Z.
    assert.equal(write(date, new Date('1857-08-13')), '1857-08-13')
    assert.equal(write(date, new Date(8.64e15)), '275760-09-13')
    const struct = makeSchema({
      type: 'STRUCT',
      fields: [{ name: 'a"', schema: makeSchema({ type: 'INT32', defaultValue: 7 }) }],
    })
    assert.equal(write(struct, { 'a"': null }), '{"a\\"":7}')
    assert.throws(() => write(null, 'x\ud83d'), { kind: 'record' })
    assert.equal(write(null, null), undefined)
  })

  it('keeps bytes that are no text', () => {
    const { schema, value } = converter.toConnectHeader('t', 'h', Uint8Array.of(0xff))
    assert.equal(schema, Schemas.bytes)
    assert.deepEqual(value, Uint8Array.of(0xff))
  })
})

describe('manifests of the converters', () => {
  it('create every plugin under a name of its own per type', async () => {
    const names = builtinConverters.map((p) => `${p.type} ${p.name}`)
    assert.equal(new Set(names).size, names.length)
    for (const plugin of builtinConverters) assert.ok(await plugin.create())
  })
})
