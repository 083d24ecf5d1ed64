/** Column defaults of the catalog (`pg_get_expr`) as schema defaults. */
import type { Value } from '../../../worker/api/data.ts'
import type { ResolvedType } from '../types.ts'
import type { ValueCodec } from './codec.ts'
import { numericModifier } from './number-codecs.ts'
import { parseDecimal, rescale, stripZeros } from './text-formats.ts'

interface Parser {
  /** Stands for the result of a function call. */
  readonly ofFunction: string
  /** The literal as the server would write the value; null for one that Java refuses. */
  readonly parse: (literal: string) => string | null
}

const asIs = (literal: string): string => literal
const matching = (pattern: RegExp) => (literal: string) => (pattern.test(literal) ? literal : null)
const integer: Parser = { ofFunction: '0', parse: matching(/^[+-]?\d+$/) }
const float: Parser = {
  ofFunction: '0',
  parse: (literal) => matching(/^[+-]?(?:NaN|Infinity|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)$/i)(literal.trim()),
}
const text: Parser = { ofFunction: '', parse: asIs }
const json: Parser = { ofFunction: '{}', parse: asIs }
/**
 * Infinite defaults by the name of their schema: Debezium takes Java's last and first moment for them and lets its
 * arithmetic overflow. Schemas that are not named here have none.
 */
const infiniteDefaults: Readonly<Record<string, { readonly last: Value; readonly first: Value }>> = {
  'io.debezium.time.Date': { last: 169_560_311, first: -170_999_002 },
  'org.apache.kafka.connect.data.Date': { last: 169_560_311n, first: -170_999_002n },
  'io.debezium.time.IsoDate': { last: '+999999999-12-31Z', first: '-999999999-01-01Z' },
  'io.debezium.time.MicroTimestamp': { last: -9_223_372_036_853_775_810n, first: -(2n ** 63n) },
  'io.debezium.time.IsoTimestamp': {
    last: '+999999999-12-31T23:59:59.999999999Z',
    first: '-999999999-01-01T00:00:00Z',
  },
}
/** A default of 24:00:00 by the name of its schema: the driver has the last moment of the day for it, unlike for values. */
const endOfDay: Readonly<Record<string, Value>> = {
  'io.debezium.time.Time': 86_399_999,
  'io.debezium.time.MicroTime': 86_399_999_999n,
  'io.debezium.time.NanoTime': 86_399_999_999_999n,
  'org.apache.kafka.connect.data.Time': new Date(86_399_999),
  'io.debezium.time.IsoTime': '23:59:59.999999999Z',
}
const moments = new Set(['date', 'timestamp', 'timestamptz'])
const infinite = /^-?infinity$/

/** Types whose literals Debezium parses. */
const parsers: Readonly<Record<string, Parser>> = {
  bit: { ofFunction: '00', parse: asIs },
  varbit: { ofFunction: '0', parse: asIs },
  bool: { ofFunction: 'f', parse: (literal) => (literal.toLowerCase() === 'true' ? 't' : 'f') },
  bpchar: text,
  varchar: text,
  text,
  xml: text,
  json,
  jsonb: json,
  numeric: { ofFunction: '0', parse: matching(/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i) },
  float4: float,
  float8: float,
  int2: integer,
  int4: integer,
  int8: integer,
  uuid: { ofFunction: '00000000-0000-0000-0000-000000000000', parse: asIs },
  date: { ofFunction: '1970-01-01', parse: asIs },
  time: { ofFunction: '00:00:00', parse: asIs },
  timestamp: { ofFunction: '1970-01-01 00:00:00', parse: asIs },
  timestamptz: { ofFunction: '1970-01-01 00:00:00+00', parse: asIs },
  interval: { ofFunction: '00:00:00', parse: asIs },
}

const functionCall = /^\(?[A-Za-z0-9_.]+\(.*\)/
const currentTime = /^(?:current_timestamp|current_time|current_date|localtime|localtimestamp)$/i

/**
 * Schema default of a column, or null. Quirks kept: the first string literal of an expression stands for the whole,
 * with the backslashes of `E'…'` doubled; quotes inside enum labels stay doubled; `CURRENT_USER` is a text; a column of
 * a domain has none, as parsers are found by the name of the column's own type.
 */
export function schemaDefault(expression: string, { base, isDomain, typmod }: ResolvedType, codec: ValueCodec): Value {
  if (isDomain || codec.spec.type === 'STRUCT' || expression.startsWith('NULL::')) return null
  const literal = base.kind === 'e' ? enumLabel(expression, base.name) : literalText(expression, parsers[base.name])
  const fitted = literal !== null && base.name === 'numeric' ? atScale(literal, numericModifier(typmod)) : literal
  if (fitted === null) return null
  if (moments.has(base.name) && infinite.test(fitted)) {
    const ends = infiniteDefaults[codec.spec.name ?? '']
    return (fitted.startsWith('-') ? ends?.first : ends?.last) ?? null
  }
  if (base.name === 'time' && fitted === '24:00:00') return endOfDay[codec.spec.name ?? ''] ?? null
  const bytes = Buffer.from(fitted, 'utf8')
  try {
    return codec.read(bytes, 0, bytes.length)
  } catch {
    // Not a literal after all: such an expression has no schema default.
    return null
  }
}

function literalText(expression: string, parser: Parser | undefined): string | null {
  if (parser === undefined) return null
  if (functionCall.test(expression) || currentTime.test(expression)) return parser.ofFunction
  const quoted = /'([^']*(?:''[^']*)*)'/.exec(expression)?.[1]
  // A lone quote, as in the name of a column that the expression reads, is no literal and ends the search.
  if (quoted === undefined && expression.includes("'")) return null
  return parser.parse(quoted === undefined ? expression : quoted.replaceAll("''", "'"))
}

/** `'label'::schema."Name"`, of this very type. */
function enumLabel(expression: string, typeName: string): string | null {
  const cast = expression.lastIndexOf('::')
  if (cast < 0) return null
  const name = /(?:^|\.)("(?:[^"]|"")*"|[^".]+)$/.exec(expression.slice(cast + 2))?.[1] ?? ''
  const unquoted = name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name
  const label = expression.slice(0, cast)
  return unquoted === typeName && /^'.*'$/s.test(label) ? label.slice(1, -1) : null
}

/** The literal with the digits of its column; null where digits would be lost: no default rather than another one. */
function atScale(literal: string, modifier: ReturnType<typeof numericModifier>): string | null {
  const value = parseDecimal(literal)
  // A negative scale shows as a large one and leaves a whole number as it is.
  if (value === null || modifier === null || modifier.scale >= 1024) return literal
  const exact = stripZeros(value)
  return exact.scale > modifier.scale ? null : rescale(exact, modifier.scale).toString()
}
