/** Column types of random tables: every kind that the type mapping names, with ordinary, odd and large values. */
import type { Random } from '../../../support/random.ts'

export interface ColumnType {
  /** As `CREATE TABLE` has it. */
  readonly sql: string
  /** Values as the server reads them, that every handling mode represents. */
  readonly values: readonly string[]
  /** Values that some mode cannot represent or gives as null: for nullable columns only. */
  readonly odd: readonly string[]
  /** May stand in a primary key and in a column that is NOT NULL. */
  readonly isPlain: boolean
  /** SQL expression of a value that is stored out of line; absent where the type has none. */
  readonly large?: string
  /** Default expressions beside the literals. */
  readonly expressions?: readonly string[]
  /** Not for arrays, domains: already one. */
  readonly isCompound?: boolean
}

interface Sample {
  readonly values: readonly string[]
  readonly odd?: readonly string[]
  readonly isPlain?: boolean
  readonly large?: string
  readonly expressions?: readonly string[]
}

const type = (sql: string, { values, odd = [], isPlain = false, large, expressions }: Sample): ColumnType => ({
  sql,
  values,
  odd,
  isPlain,
  ...(large === undefined ? {} : { large }),
  ...(expressions === undefined ? {} : { expressions }),
})

export const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`

const largeText = `(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) i)`

const texts = [
  '',
  'a',
  "it's",
  'x"y',
  'back\\slash',
  'tab\tline\nend',
  'Zürich 東京',
  '😀😀',
  ' both ',
  'NULL',
  '{a,b}',
  '0',
]

const digits = (random: Random, count: number): string => {
  let text = ''
  for (let i = 0; i < count; i++) text += random.integer(i === 0 ? 1 : 0, 9)
  return text
}

function numeric(random: Random): ColumnType {
  const precision = random.integer(1, random.next() < 0.2 ? 100 : 20)
  const scale = random.integer(0, precision)
  const whole = precision - scale
  const fraction = scale === 0 ? '' : `.${digits(random, scale)}`
  const some = `${whole === 0 ? '0' : digits(random, whole)}${fraction}`
  const half = scale < 2 ? '0' : `0.${digits(random, scale - 1)}`
  return type(`numeric(${precision},${scale})`, {
    values: ['0', some, `-${some}`, half, scale === 0 ? '1' : '0.1'],
    odd: ['NaN'],
    isPlain: true,
    expressions: ['0', '1 - 1'],
  })
}

const wideNumeric = type('numeric', {
  values: ['0', '1.10', '-0.001', '100', '1e20', '1e-30', '123456789012345678901234567890.12345', '-5e100', '0.000'],
  odd: ['NaN', 'Infinity', '-Infinity'],
  expressions: ['0', '1.50', '-3'],
})

function scaledNumeric(random: Random): ColumnType {
  // A scale below zero or above the precision: PostgreSQL 15 and later.
  return random.next() < 0.5
    ? type('numeric(5,-2)', { values: ['0', '100', '-1200', '49', '9999900'] })
    : type('numeric(3,5)', { values: ['0', '0.00123', '-0.00999'] })
}

const integers: readonly ColumnType[] = [
  type('smallint', { values: ['0', '1', '-1', '32767', '-32768'], isPlain: true, expressions: ['7', '(-3)', '2 + 2'] }),
  type('integer', { values: ['0', '1', '-1', '2147483647', '-2147483648'], isPlain: true, expressions: ['7', '-3'] }),
  type('bigint', {
    values: ['0', '1', '-1', '9223372036854775807', '-9223372036854775808', '9007199254740993'],
    isPlain: true,
    expressions: ['7', '-3', '9007199254740993'],
  }),
  type('oid', { values: ['0', '1', '2147483648', '4294967295'] }),
  type('real', {
    values: ['0', '1.5', '-0', '1e-45', '3.4028235e38', '0.1', '16777217', '1e10'],
    odd: ['NaN', 'Infinity', '-Infinity'],
    expressions: ['1.5', '0'],
  }),
  type('double precision', {
    values: [
      '0',
      '1.5',
      '-0',
      '5e-324',
      '1.7976931348623157e308',
      '0.1',
      '1e21',
      '123456789.125',
      '1e7',
      '0.001',
      '0.0001',
    ],
    odd: ['NaN', 'Infinity', '-Infinity'],
    expressions: ['1.5', '-2.25', '1e3'],
  }),
  type('boolean', { values: ['t', 'f'], isPlain: true, expressions: ['true', 'false', '(NOT true)'] }),
]

function text(random: Random): ColumnType {
  const short = texts.filter((t) => Array.from(t).length <= 5)
  const n = random.integer(5, 40)
  return random.pick([
    type('text', {
      values: texts,
      isPlain: true,
      large: largeText,
      expressions: ["'x'", "upper('x')", 'CURRENT_USER', "'a'::text || 'b'"],
    }),
    type('character varying', { values: texts, isPlain: true, large: largeText, expressions: ["'it''s'"] }),
    type(`varchar(${n})`, { values: short, isPlain: true, expressions: ["'v'"] }),
    type(`char(${n})`, { values: short, isPlain: true, expressions: ["'c '"] }),
    type('char', { values: ['a', ' ', 'é'], isPlain: true }),
    type('bpchar', { values: ['a', 'a  ', ''] }),
    type('"char"', { values: ['a', '', 'z'] }),
    type('name', { values: ['a', 'Long Name', ''] }),
    type('json', {
      values: ['{"b":1, "a": [null, 1.0]}', '1', '"x"', 'null', '[]'],
      large: `to_json(${largeText})`,
      expressions: ["'{}'"],
    }),
    type('jsonb', {
      values: ['{"b":1, "a": [null, 1.0]}', '1e2', '"x"', 'null'],
      large: `to_jsonb(${largeText})`,
      expressions: [`'{"a":1}'`],
    }),
    type('xml', {
      values: ['<a>1</a>', 'text', '<?xml version="1.0"?><a/>'],
      large: `('<a>' || ${largeText} || '</a>')::xml`,
    }),
    type('uuid', {
      values: ['00000000-0000-0000-0000-000000000000', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'],
      isPlain: true,
      expressions: ['gen_random_uuid()'],
    }),
    type('bytea', {
      values: ['\\x', '\\x00ff', '\\xdeadbeef'],
      large: `decode(${largeText}, 'hex')`,
      expressions: ["'\\x01'"],
    }),
    type('tsvector', {
      values: ["'a':1 'b':2A", ''],
      large: `to_tsvector('simple', (SELECT string_agg(md5(i::text), ' ') FROM generate_series(1, 300) i))`,
    }),
    type('tsquery', { values: ["'fat' & 'rat'", ''] }),
  ])
}

function bits(random: Random): ColumnType {
  const n = random.integer(2, 70)
  const some = Array.from({ length: n }, () => random.integer(0, 1)).join('')
  return random.pick([
    type('bit(1)', { values: ['0', '1'], expressions: ["B'1'"] }),
    type(`bit(${n})`, { values: [some, '0'.repeat(n), '1'.repeat(n)], expressions: [`B'${some}'`] }),
    type('bit varying(1)', { values: ['0', '1', ''] }),
    type(`bit varying(${n})`, { values: [some, '', '1', '01'], expressions: ["B'101'"] }),
    type('bit varying', { values: [some, '', '1'] }),
  ])
}

const fraction = (p: number): string => (p === 0 ? '' : `.${'123456'.slice(0, p)}`)

function temporal(random: Random): ColumnType {
  const p = random.integer(0, 6)
  const name = (base: string, zone = ''): string => (random.next() < 0.25 ? `${base}${zone}` : `${base}(${p})${zone}`)
  const f = fraction(p)
  return random.pick([
    // Years before our era come out of Debezium's snapshots as years of it: left out.
    type('date', {
      values: ['2024-02-29', '1970-01-01', '1969-12-31', '2262-04-11', 'infinity', '-infinity'],
      odd: ['0001-01-01', '5874897-12-31', '9999-12-31', '1600-02-29'],
      isPlain: true,
      expressions: ["'2020-01-02'", 'CURRENT_DATE', "'infinity'"],
    }),
    type(name('time'), {
      values: ['00:00:00', `13:51:30${f}`, '23:59:59'],
      odd: ['24:00:00'],
      isPlain: true,
      expressions: ["'10:11:12'", 'LOCALTIME', "'24:00:00'"],
    }),
    type(name('time', ' with time zone'), {
      values: [`13:51:30${f}+02`, '00:00:00-11:30', '23:59:59+00'],
      odd: ['24:00:00+00', '10:00:00+15:59', '10:00:00+00:19:32', '01:00:00-15:59'],
      expressions: ["'10:11:12+01'"],
    }),
    type(name('timestamp'), {
      values: [
        '1970-01-01 00:00:00',
        `2024-02-29 13:51:30${f}`,
        '1969-12-31 23:59:59',
        '2200-01-01 00:00:00',
        'infinity',
      ],
      odd: [
        '-infinity',
        '4713-01-01 00:00:00 BC',
        // Behind 294247-01-10 microseconds leave 64 bits: Debezium writes others, even those of infinity; ours null.
        '294246-12-31 23:59:59',
        '0001-01-31 00:00:00',
        '10000-01-01 00:00:00',
        '1600-01-01 00:00:00',
      ],
      isPlain: true,
      expressions: ['now()', "'2020-01-02 03:04:05'", 'LOCALTIMESTAMP'],
    }),
    type(name('timestamp', ' with time zone'), {
      values: ['1970-01-01 00:00:00+00', `2024-02-29 13:51:30${f}+05:30`, '1969-12-31 23:59:59-08', '-infinity'],
      odd: [
        'infinity',
        '4713-01-01 00:00:00+00 BC',
        '294276-12-31 23:59:59+00',
        '0001-01-31 00:00:00+00',
        '10000-01-01 00:00:00+00',
      ],
      isPlain: true,
      expressions: ['now()', 'CURRENT_TIMESTAMP', "'2020-01-02 03:04:05+00'"],
    }),
    type(
      random.pick([
        'interval',
        `interval(${p})`,
        'interval year to month',
        'interval day to second(2)',
        'interval hour',
      ]),
      {
        values: [
          '0',
          '1 year 2 mons',
          '3 days 04:05:06.78',
          '-1 year -2 mons +3 days -04:05:06',
          '00:00:00.000001',
          '178000 years',
          '-00:00:01',
        ],
        expressions: ["'1 day'", "'01:02:03'"],
      },
    ),
  ])
}

/** Not among them: refcursor, of which Debezium's snapshot opens the cursors, and int2vector, which it reads as empty. */
const others: readonly ColumnType[] = [
  type('money', {
    values: ['0', '-1234.5', '92233720368547758.07', '-92233720368547758.08', '12.34'],
    expressions: ['0', "'1.50'::money"],
  }),
  type('inet', { values: ['10.1.2.3', '10.1.2.3/24', '::1', '2001:db8::1/64'], expressions: ["'127.0.0.1'"] }),
  type('cidr', { values: ['10.0.0.0/8', '2001:db8::/32'] }),
  type('macaddr', { values: ['08:00:2b:01:02:03'] }),
  type('macaddr8', { values: ['08:00:2b:01:02:03:04:05'] }),
  type('point', { values: ['(0,0)', '(1.5,-2)', '(1e300,0.1)'], odd: ['(NaN,Infinity)'], expressions: ['point(1,2)'] }),
  type('line', { values: ['{1,2,3}', '{0,1,0}'] }),
  type('lseg', { values: ['[(0,0),(1,2)]'] }),
  type('box', { values: ['(2,3),(0,1)', '(0,0),(0,0)'] }),
  type('path', { values: ['[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))'] }),
  type('polygon', { values: ['((0,0),(1,1),(2,0))'] }),
  type('circle', { values: ['<(1,2),3>', '<(0,0),0>'] }),
  type('int4range', { values: ['[1,10)', 'empty', '(,)', '[5,]'], expressions: ["'[1,2)'"] }),
  type('int8range', { values: ['[1,10)', 'empty', '(,5)'] }),
  type('numrange', { values: ['[1.5,2.5]', '(,)', 'empty'] }),
  type('tsrange', {
    values: ['["2019-03-31 15:30:00",infinity)', 'empty', '["0044-03-15 12:00:00 BC","0001-01-01 00:00:00")'],
  }),
  type('tstzrange', { values: ['["2019-03-31 15:30:00+00","2020-03-31 15:30:00+00"]', 'empty'] }),
  type('daterange', { values: ['[2019-03-31,2019-04-30)', '(,)', '["0044-03-15 BC",infinity)'] }),
  type('int4multirange', { values: ['{[1,3),[5,7)}', '{}'] }),
  type('tstzmultirange', { values: ['{}', '{[-infinity,"0044-03-15 00:00:00+00 BC"],[infinity,)}'] }),
  type('pg_lsn', { values: ['0/0', '16/B374D848'] }),
  type('txid_snapshot', { values: ['10:20:10,14,15'] }),
  type('jsonpath', { values: ['$."a"'] }),
  type('xid', { values: ['1'] }),
  type('tid', { values: ['(0,1)'] }),
  type('regclass', { values: ['pg_class'] }),
  type('regtype', { values: ['integer', '"char"'] }),
  type('int8multirange', { values: ['{[1,3)}', '{}'] }),
  type('nummultirange', { values: ['{[1.5,3)}', '{}'] }),
  type('datemultirange', { values: ['{[2020-01-01,2020-02-01)}', '{}'] }),
  type('xid8', { values: ['1', '18446744073709551615'] }),
  type('pg_snapshot', { values: ['10:20:10,14,15'] }),
]

const extensions: readonly ColumnType[] = [
  type('hstore', {
    values: ['a=>1, b=>NULL', '', '"x y"=>"q\\"u", "é"=>"\\\\"'],
    large: `hstore('k', ${largeText})`,
    expressions: ["'a=>1'"],
  }),
  type('citext', { values: ['Abc', '', "it's"], large: `${largeText}::citext`, expressions: ["'X'"] }),
  type('ltree', { values: ['Top.Science', 'a', ''] }),
  type('lquery', { values: ['Top.*'] }),
  type('isbn', { values: ['0-393-04002-X'] }),
  type('ean13', { values: ['4006381333931'] }),
  type('cube', { values: ['(1, 2)'] }),
  type('seg', { values: ['1 .. 2', '<4'] }),
  type('query_int', { values: ['1&(2|3)'] }),
  type('lo', { values: ['0', '42'] }),
]

/** Names of extensions that random databases have where the server ships them. */
export const extensionNames = ['hstore', 'citext', 'ltree', 'isn', 'cube', 'seg', 'intarray', 'lo'] as const
const extensionOf: Readonly<Record<string, string>> = {
  lquery: 'ltree',
  isbn: 'isn',
  ean13: 'isn',
  query_int: 'intarray',
}

/**
 * Values that Debezium loses inside of arrays, and ours keeps. It reads dates and times through Java's older classes:
 * times lose their microseconds, days before 1582 are shifted to the Julian calendar, infinite days and moments with a
 * zone come out as some year. An array of numerics with one that is not finite is null, and so is any array of shapes that is not empty.
 */
function inArrays(element: ColumnType): ColumnType {
  if (/^(?:box|path|polygon|lseg|line|circle)$/.test(element.sql)) return { ...element, values: [], odd: [] }
  if (element.sql.startsWith('numeric')) return { ...element, odd: [] }
  if (!/^(?:date|time)/.test(element.sql)) return element
  const lost = /^date|zone$/.test(element.sql) ? /\.\d{4}|^(?:0001|1600|4713)|infinity/ : /\.\d{4}|^(?:0001|1600|4713)/
  return {
    ...element,
    values: element.values.filter((value) => !lost.test(value)),
    odd: element.odd.filter((value) => !lost.test(value)),
  }
}

/** An array type with empty, nested and shifted values. */
export function arrayOf(scalar: ColumnType): ColumnType {
  const element = inArrays(scalar)
  const item = (value: string): string => `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
  if (element.values.length === 0) return { ...type(`${element.sql}[]`, { values: ['{}'] }), isCompound: true }
  const [first = '', second = first] = element.values.map(item)
  const all = element.values.map(item).join(',')
  const values = [[first], [second, first]].map((items) => `{${items.join(',')}}`)
  // An element that is null, or an array, makes the whole a null in Debezium: ours keeps the others.
  if (element.sql === 'ltree') {
    return { ...type('ltree[]', { values: ['{}', ...values, `{${all}}`] }), isCompound: true }
  }
  return {
    ...type(`${element.sql}[]`, {
      values: ['{}', ...values, `{${all}}`],
      odd: [
        '{NULL}',
        `{${first},NULL}`,
        `{{${first},${second}},{${second},${first}}}`,
        `[2:3]={${first},${second}}`,
        `{{{${first}}}}`,
        ...element.odd.map((value) => `{${item(value)},${first}}`),
      ],
    }),
    isCompound: true,
    ...(element.large === undefined ? {} : { large: `ARRAY[${element.large}]::${element.sql}[]` }),
  }
}

/** A type of the database's own, made before its first table. */
export interface OwnType {
  readonly create: string
  readonly type: ColumnType
}

/** An enum, composite or range type, or a domain over any other type, those of `types` too. */
export function ownType(
  random: Random,
  name: string,
  {
    extensions: extensionsThere,
    types,
  }: { readonly extensions: ReadonlySet<string>; readonly types: readonly ColumnType[] },
): OwnType {
  const kind = random.integer(0, 6)
  if (kind <= 1) {
    const labels = ['one', 'Two', "it's", 'with space', 'ünï', 'x"y', 'back\\slash'].slice(0, random.integer(1, 7))
    return {
      create: `CREATE TYPE ${name} AS ENUM (${labels.map(quoted).join(', ')})`,
      type: type(name, { values: labels, isPlain: true, expressions: [`'one'::${name}`] }),
    }
  }
  if (kind === 2) {
    return {
      create: `CREATE TYPE ${name} AS (a integer, b text)`,
      type: type(name, { values: ['(1,x)', '(,)', '(-1,"a b")'] }),
    }
  }
  if (kind === 3) {
    return {
      create: `CREATE TYPE ${name} AS RANGE (subtype = float8)`,
      type: type(name, { values: ['[1.5,2)', 'empty'] }),
    }
  }
  // Also a domain over a domain.
  const own = types.length > 0 && random.next() < 0.35
  const some = own ? pickFrom(random, types) : scalarType(random, extensionsThere)
  const base = some.isCompound !== true && random.next() < 0.15 ? arrayOf(some) : some
  const modifier = random.next() < 0.3 ? ` DEFAULT ${quoted(base.values[0] ?? '')}` : ''
  return {
    create: `CREATE DOMAIN ${name} AS ${base.sql}${modifier}`,
    type: { ...base, sql: name },
  }
}

/** Any type that every server has, or one of the extensions that are there. */
export function scalarType(random: Random, extensionsThere: ReadonlySet<string>): ColumnType {
  const chance = random.next()
  if (chance < 0.2) return pickFrom(random, integers)
  if (chance < 0.32) return random.pick([numeric(random), numeric(random), wideNumeric, scaledNumeric(random)])
  if (chance < 0.52) return text(random)
  if (chance < 0.6) return bits(random)
  if (chance < 0.78) return temporal(random)
  const there = extensions.filter(({ sql }) => extensionsThere.has(extensionOf[sql] ?? sql))
  return chance < 0.88 && there.length > 0 ? pickFrom(random, there) : pickFrom(random, others)
}

export function pickFrom<T>(random: Random, items: readonly T[]): T {
  const item = items[random.integer(0, items.length - 1)]
  if (item === undefined) throw new Error('nothing to pick from')
  return item
}
