/** Column types and defaults as Debezium 3.7 was seen to map them, over random tables (`npm run parity postgres-live`). */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import {
  columnCodec,
  type PgType,
  type ResolvedType,
  type TypeContext,
} from '../../../../connectors/postgres-cdc/types.ts'
import type { ReadFrom, ValueCodec, ValueOptions } from '../../../../connectors/postgres-cdc/values/codec.ts'
import { schemaDefault } from '../../../../connectors/postgres-cdc/values/defaults.ts'
import { numericModifier } from '../../../../connectors/postgres-cdc/values/number-codecs.ts'
import type { Value } from '../../../../worker/api/data.ts'
import { defaultValueOptions } from '../../../support/postgres-values.ts'

const defaults: ValueOptions = defaultValueOptions('gone')

const scalar = (name: string, kind = 'b', labels: readonly string[] = []): PgType => ({
  oid: 1,
  name,
  kind,
  category: 'U',
  elementOid: 0,
  delimiter: ',',
  baseOid: 0,
  typmod: -1,
  labels,
})

const array = (name: string): PgType => ({ ...scalar(`_${name}`), oid: 2, category: 'A', elementOid: 1 })

interface Column {
  readonly typmod?: number
  readonly from?: ReadFrom
  readonly options?: Partial<ValueOptions>
  readonly kind?: string
  readonly isDomain?: boolean
  readonly delimiter?: string
  /** Of the element, or of the type itself. */
  readonly category?: string
}

const resolved = (base: PgType, typmod = -1, isDomain = false): ResolvedType => ({ base, typmod, isDomain })

/** Codec of a column of the type, or of its array when the name ends in `[]`. */
function codecOf(
  name: string,
  { typmod, from = 'stream', options, kind, isDomain, delimiter = ',', category = 'U' }: Column = {},
): ValueCodec | null {
  const isArray = name.endsWith('[]')
  const element = { ...scalar(isArray ? name.slice(0, -2) : name, kind, ['one']), delimiter, category }
  const lookup = (oid: number) => (oid === 1 ? element : undefined)
  const context: TypeContext = { options: { ...defaults, ...options }, lookup, lookupElement: lookup, from }
  return columnCodec(resolved(isArray ? array(element.name) : element, typmod, isDomain), context)
}

function read(codec: ValueCodec | null, text: string): Value {
  assert.ok(codec !== null)
  const bytes = Buffer.from(text)
  return codec.read(bytes, 0, bytes.length)
}

suite('column types', () => {
  test('of the numbers of books only isbn is known', () => {
    assert.equal(codecOf('isbn')?.spec.type, 'STRING')
    for (const name of ['ean13', 'isbn13', 'upc']) {
      assert.equal(codecOf(name), null)
      assert.equal(codecOf(name, { options: { includeUnknown: true } })?.spec.type, 'BYTES')
    }
  })

  test('a single bit that is missing is no boolean', () => {
    const codec = codecOf('varbit', { typmod: 1 })
    assert.deepEqual([read(codec, '1'), read(codec, '0')], [true, false])
    assert.throws(() => read(codec, ''), { code: 'CONNECT_POSTGRES_VALUE' })
  })

  test('a name has a value in the stream when unknown types are included', () => {
    const options = { includeUnknown: true }
    assert.equal(read(codecOf('name'), 'a'), null)
    assert.equal(read(codecOf('name', { options }), 'a'), 'a')
    assert.equal(read(codecOf('name', { from: 'snapshot' }), 'a'), 'a')
  })

  test('arrays of some types that Debezium does not name have elements that are required', () => {
    const optional = (name: string) => codecOf(`${name}[]`)?.spec.valueSchema?.optional
    for (const name of ['tsvector', 'isbn']) assert.equal(optional(name), false, name)
    const shapes = ['box', 'lseg', 'path', 'polygon', 'line', 'circle']
    for (const name of [...shapes, 'text']) assert.equal(optional(name), true, name)
    assert.throws(() => read(codecOf('isbn[]'), '{NULL}'), { code: 'CONNECT_POSTGRES_VALUE' })
  })

  test('the elements of an array stand between the delimiters of their type, known or not', () => {
    const text = '{(2,3),(0,1);(1,1),(0,0)}'
    const boxes = read(codecOf('box[]', { delimiter: ';' }), text) as readonly Value[]
    assert.equal(boxes.length, 2)
    // A domain over boxes has their delimiter.
    const options = { includeUnknown: true }
    assert.deepEqual(read(codecOf('own[]', { delimiter: ';', kind: 'd', options }), text), [
      new Uint8Array(Buffer.from('(2,3),(0,1)')),
      new Uint8Array(Buffer.from('(1,1),(0,0)')),
    ])
  })

  test('arrays of domains are left out, but for those over enums, which have no labels then', () => {
    assert.equal(codecOf('own[]', { kind: 'd' }), null)
    const enums = codecOf('own[]', { kind: 'd', category: 'E' })
    const { valueSchema } = enums?.spec ?? {}
    assert.deepEqual(
      [valueSchema?.name, valueSchema?.optional, valueSchema?.parameters?.get('allowed')],
      ['io.debezium.data.Enum', false, ''],
    )
    assert.deepEqual(read(enums, '{one,two}'), ['one', 'two'])
    assert.throws(() => read(enums, '{NULL}'), { code: 'CONNECT_POSTGRES_VALUE' })
  })

  test('times with a zone have no value in nested arrays', () => {
    assert.deepEqual(read(codecOf('timetz[]'), '{10:00:00+01,NULL}'), ['09:00:00Z', null])
    // Nor has an array with an offset that has seconds, which Debezium's pattern of a time does not.
    assert.throws(() => read(codecOf('timetz'), '10:00:00+00:19:32'), { code: 'CONNECT_POSTGRES_VALUE' })
    for (const text of ['{{10:00:00+01}}', '{{NULL},{NULL}}', '{10:00:00+00:19:32,10:00:00+01}']) {
      assert.throws(() => read(codecOf('timetz[]'), text), { code: 'CONNECT_POSTGRES_VALUE' })
    }
    assert.deepEqual(read(codecOf('time[]'), '{{10:00:00}}'), [null])
    // As structures they are elements like others.
    const structured: Column = { options: { timePrecision: 'structured' } }
    assert.deepEqual(read(codecOf('timetz[]', structured), '{{10:00:00+01},{NULL}}'), [null, null])
  })

  test('a NOT NULL shape that an old row does not have is of size 1, as in Debezium', () => {
    const shape = (name: string) => {
      const fallback = codecOf(name)?.fallback ?? {}
      const { wkb, extensions } = fallback as { wkb: Uint8Array; extensions: ReadonlyMap<string, string> }
      const view = Buffer.from(wkb)
      const from = view.readUInt32LE(1) === 3 ? 13 : 9
      const numbers = Array.from({ length: (view.length - from) / 8 }, (_, i) => view.readDoubleLE(from + 8 * i))
      return [view.readUInt32LE(1), view.readUInt32LE(from - 4), numbers.join(' '), Object.fromEntries(extensions)]
    }
    assert.deepEqual(shape('box'), [3, 5, '0 0 0 1 1 1 1 0 0 0', { type: 'box' }])
    assert.deepEqual(shape('lseg'), [2, 2, '0 0 1 0', { type: 'lseg' }])
    assert.deepEqual(shape('path'), [2, 2, '0 0 1 0', { type: 'path' }])
    assert.deepEqual(shape('polygon'), [3, 4, '0 0 1 0 0 1 0 0', { type: 'polygon' }])
  })

  test('structured: a required column without a value has midnight of the first day', () => {
    const fallback = (name: string) => codecOf(name, { typmod: 3, options: { timePrecision: 'structured' } })?.fallback
    const day = { year: 1970, month: 1, day: 1 }
    const time = { hour: 0, minute: 0, second: 0, nanos: 0 }
    assert.deepEqual(fallback('date'), { ...day, specialValue: null })
    assert.deepEqual(fallback('time'), { ...time, precision: 3 })
    assert.deepEqual(fallback('timetz'), { ...time, offsetSeconds: 0, precision: 3 })
    const timestamp = { ...day, ...time, specialValue: null, precision: 3 }
    assert.deepEqual(fallback('timestamp'), timestamp)
    assert.deepEqual(fallback('timestamptz'), { ...timestamp, offsetSeconds: 0, zoneId: null })
  })

  test('shapes but points are optional whatever their column is', () => {
    for (const name of ['box', 'lseg', 'path', 'polygon', 'line', 'circle']) {
      assert.equal(codecOf(name)?.spec.optional, true, name)
    }
    assert.equal(codecOf('point')?.spec.optional ?? false, false)
  })

  test('a numeric of a negative scale has the digits of the scale that its modifier shows', () => {
    const typmod = ((5 << 16) | (-2 & 0x7ff)) + 4
    assert.equal(
      read(codecOf('numeric', { typmod, options: { decimals: 'string' } }), '1200'),
      `1200.${'0'.repeat(2046)}`,
    )
    assert.equal(read(codecOf('numeric', { typmod, options: { decimals: 'string' } }), 'NaN'), 'NAN')
    assert.equal(read(codecOf('numeric', { typmod, options: { decimals: 'double' } }), '1200'), 1200)
  })

  test('arrays of unknown types hold the bytes of each element, some types stay out all the same', () => {
    const options = { includeUnknown: true }
    const codec = codecOf('pg_lsn[]', { options })
    assert.deepEqual([codec?.spec.valueSchema?.type, codec?.spec.valueSchema?.optional], ['BYTES', false])
    assert.deepEqual(read(codec, '{0/0}'), [new Uint8Array(Buffer.from('0/0'))])
    for (const text of ['{NULL}', '{{0/0}}']) assert.throws(() => read(codec, text), { code: 'CONNECT_POSTGRES_VALUE' })
    assert.equal(codecOf('pg_lsn[]'), null)
    for (const name of ['money', 'name', 'interval', 'varbit', 'xml', 'point', 'refcursor']) {
      assert.equal(codecOf(`${name}[]`, { options }), null, name)
    }
  })

  test('an array of single bits has the schema of a boolean', () => {
    assert.equal(codecOf('bit[]', { typmod: 1 })?.spec.type, 'BOOLEAN')
    assert.equal(codecOf('bit[]', { typmod: 7 })?.spec.name, 'io.debezium.data.Bits')
  })

  test('behind a domain the placeholder is the text, or none where a text does not fit', () => {
    const placeholder = (name: string, isDomain: boolean, hstore: ValueOptions['hstore'] = 'json') =>
      codecOf(name, { isDomain, options: { hstore } })?.unavailable
    assert.deepEqual([placeholder('hstore', false), placeholder('hstore', true)], ['{"gone":"gone"}', 'gone'])
    assert.deepEqual(placeholder('hstore', false, 'map'), new Map([['gone', 'gone']]))
    assert.equal(placeholder('hstore', true, 'map'), undefined)
    assert.deepEqual([placeholder('text[]', false), placeholder('text[]', true)], [['gone'], undefined])
    assert.deepEqual([placeholder('text', false), placeholder('text', true)], ['gone', 'gone'])
  })

  test('the members of an hstore come in the order of a Java hash map', () => {
    const text = '"é"=>"\\\\", "10"=>"2", "9"=>NULL, "x y"=>"q\\"u\u0001f"'
    assert.equal(read(codecOf('hstore'), text), '{"x y":"q\\"u\\u0001f","é":"\\\\","9":null,"10":"2"}')
    const map = read(codecOf('hstore', { options: { hstore: 'map' } }), text)
    assert.ok(map instanceof Map)
    assert.deepEqual([...map.keys()], ['x y', 'é', '9', '10'])
  })

  test('a Connect Date beyond that of JavaScript is the bare days', () => {
    const codec = codecOf('date', { options: { timePrecision: 'connect' } })
    assert.deepEqual(read(codec, '1970-01-02'), new Date(86_400_000))
    assert.equal(read(codec, '5874897-12-31'), 2_145_042_905n)
    assert.equal(read(codec, 'infinity'), 2_146_033_979n)
    assert.equal(read(codec, '-infinity'), -2_147_472_691n)
  })
})

suite('column defaults', () => {
  const typmodOf = (precision: number, scale: number) => ((precision << 16) | scale) + 4
  function defaultOf(name: string, expression: string, column: Column & { readonly isDomain?: boolean } = {}): Value {
    const codec = codecOf(name, column)
    assert.ok(codec !== null)
    const type = resolved(scalar(name, column.kind, ['one']), column.typmod, column.isDomain)
    return schemaDefault(expression, type, codec)
  }

  test('a column of a domain has none', () => {
    assert.equal(defaultOf('int4', '7'), 7)
    assert.equal(defaultOf('int4', '7', { isDomain: true }), null)
  })

  test('days and moments without end are those of Java, as far as the mode can tell them', () => {
    const inMode = (timePrecision: ValueOptions['timePrecision']): Column => ({ options: { timePrecision } })
    assert.equal(defaultOf('date', "'2020-01-02'::date"), 18_263)
    const date = "'infinity'::date"
    assert.equal(defaultOf('date', date), 169_560_311)
    assert.equal(defaultOf('date', "'-infinity'::date"), -170_999_002)
    assert.equal(defaultOf('date', date, inMode('connect')), 169_560_311n)
    assert.equal(defaultOf('date', date, inMode('isostring')), '+999999999-12-31Z')
    assert.equal(defaultOf('date', date, inMode('structured')), null)
    const timestamp = "'infinity'::timestamp without time zone"
    assert.equal(defaultOf('timestamp', timestamp), -9_223_372_036_853_775_810n)
    assert.equal(defaultOf('timestamp', "'-infinity'::timestamp without time zone"), -(2n ** 63n))
    assert.equal(defaultOf('timestamp', timestamp, inMode('isostring')), '+999999999-12-31T23:59:59.999999999Z')
    for (const mode of ['connect', 'nanoseconds', 'structured'] as const) {
      assert.equal(defaultOf('timestamp', timestamp, inMode(mode)), null, mode)
    }
    assert.equal(defaultOf('timestamp', timestamp, { typmod: 3 }), null)
    assert.equal(defaultOf('timestamptz', "'-infinity'::timestamp with time zone"), null)
  })

  test('a default of 24:00:00 is the last moment of the day, in the units of the mode', () => {
    const time = "'24:00:00'::time without time zone"
    const inMode = (timePrecision: ValueOptions['timePrecision'], typmod = -1): Value =>
      defaultOf('time', time, { options: { timePrecision }, typmod })
    assert.equal(inMode('adaptive', 3), 86_399_999)
    assert.equal(inMode('adaptive'), 86_399_999_999n)
    assert.equal(inMode('nanoseconds'), 86_399_999_999_999n)
    assert.deepEqual(inMode('connect'), new Date(86_399_999))
    assert.equal(inMode('isostring'), '23:59:59.999999999Z')
    assert.equal(inMode('structured'), null)
  })

  test('the first literal of an expression stands for the whole; a function call for a value of its type', () => {
    assert.equal(defaultOf('text', "('a'::text || 'b'::text)"), 'a')
    assert.equal(defaultOf('text', "CASE WHEN true THEN 'it''s'::text ELSE NULL::text END"), "it's")
    assert.equal(defaultOf('text', "upper('x'::text)"), '')
    assert.equal(defaultOf('text', 'NULL::text'), null)
    assert.equal(defaultOf('text', "E'a\\\\b'::text"), 'a\\\\b')
    assert.equal(defaultOf('bpchar', "'c '::bpchar"), 'c ')
    assert.equal(defaultOf('int4', '(2 + 2)'), null)
    assert.equal(defaultOf('int4', "'-3'::integer"), -3)
    assert.equal(defaultOf('bool', 'true'), true)
    assert.equal(defaultOf('bool', '(other IS NULL)'), false)
    assert.equal(defaultOf('bool', '("it\'s" IS NULL)'), null)
    assert.equal(defaultOf('bytea', "'\\x01'::bytea"), null)
  })

  test('a number has the digits of its column, or is no default', () => {
    const column = { typmod: typmodOf(11, 8), options: { decimals: 'string' } } as const
    assert.equal(numericModifier(column.typmod)?.scale, 8)
    assert.equal(defaultOf('numeric', '0', column), '0.00000000')
    assert.equal(defaultOf('numeric', "'-1.50'::numeric", column), '-1.50000000')
    const rounded = { typmod: typmodOf(5, 2), options: { decimals: 'string' } } as const
    assert.equal(defaultOf('numeric', '1.005', rounded), null)
    assert.equal(defaultOf('numeric', '1.100', rounded), '1.10')
    assert.equal(defaultOf('numeric', "'NaN'::numeric", rounded), null)
  })

  test('labels of enums are taken with a cast to their own type', () => {
    assert.equal(defaultOf('own', "'one'::own", { kind: 'e' }), 'one')
    assert.equal(defaultOf('Own Type', `'one'::other."Own Type"`, { kind: 'e' }), 'one')
    assert.equal(defaultOf('own', "'one'::text", { kind: 'e' }), null)
    assert.equal(defaultOf('own', 'pick_one()', { kind: 'e' }), null)
  })
})
