import type { TimeFormat } from './copy-command.ts'
import type { JsonMember } from './copy-rows.ts'

/** A column of the target as COPY needs it. */
export interface TargetColumn {
  readonly name: string
  /** PostgreSQL type with its modifiers, for casts: `character varying(64)`. */
  readonly castType: string
  /** PostgreSQL type name without modifiers. */
  readonly baseType: string
  /** Bytes of VARCHAR, characters of CHAR, null where there is no limit. */
  readonly maxLength: number | null
  readonly isNotNull: boolean
  /** SQL of the column's default, null when it has none. */
  readonly defaultSql: string | null
}

/** How values of one file are read. */
export interface ValueContext {
  readonly timeFormat: TimeFormat
  readonly truncateColumns: boolean
  readonly acceptInvalidCharacters: string | null
  /** The file has bytes that are not UTF-8; decoding turned them into U+FFFD. */
  readonly hasInvalidUtf8: boolean
}

/** A value that does not fit its column: error code and text of STL_LOAD_ERRORS. */
export class ValueError extends Error {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

const integerRanges: Readonly<Record<string, readonly [bigint, bigint]>> = {
  smallint: [-32_768n, 32_767n],
  integer: [-2_147_483_648n, 2_147_483_647n],
  bigint: [-(2n ** 63n), 2n ** 63n - 1n],
}

const booleanTexts: Readonly<Record<string, string>> = {
  '1': 'true',
  t: 'true',
  true: 'true',
  y: 'true',
  yes: 'true',
  '0': 'false',
  f: 'false',
  false: 'false',
  n: 'false',
  no: 'false',
}

function integer(text: string, type: string): string {
  const digits = text.trim()
  const wrong = /^[+-]?\d*/.exec(digits)?.[0].length ?? 0
  if (!/^[+-]?\d+$/.test(digits)) {
    throw new ValueError(1207, `Invalid digit, Value '${digits[wrong] ?? ''}', Pos ${wrong}, Type: ${typeLabel(type)}`)
  }
  const [low, high] = integerRanges[type] ?? [0n, 0n]
  const value = BigInt(digits.replace(/^\+/, ''))
  if (value < low || value > high) throw new ValueError(1207, `Overflow, Column type: ${typeLabel(type)}`)
  return String(value)
}

function typeLabel(type: string): string {
  return { smallint: 'Short', integer: 'Integer', bigint: 'Long' }[type] ?? type
}

function isRealDate(year: number, month: number, day: number): boolean {
  return month >= 1 && month <= 12 && day >= 1 && day <= new Date(Date.UTC(year, month, 0)).getUTCDate()
}

const datePattern = /^(\d{4})-(\d{2})-(\d{2})$/
const strictTimestamp = /^(\d{4})-(\d{2})-(\d{2})(?: (\d{2}):(\d{2}):(\d{2})(?:\.\d{1,6})?)?(?:[+-]\d{2}(?::?\d{2})?)?$/
const lenientTimestamp =
  /^(\d{4})-(\d{2})-(\d{2})(?:[ T](\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?\s*(?:Z|UTC|[+-]\d{2}(?::?\d{2})?)?$/i

function date(text: string): string {
  const match = datePattern.exec(text.trim().slice(0, 10))
  if (match === null || !isRealDate(Number(match[1]), Number(match[2]), Number(match[3]))) {
    throw new ValueError(1205, 'Invalid Date Format - length must be 10 or more')
  }
  return match[0]
}

function timestamp(text: string, format: TimeFormat): string {
  if (format === 'epochsecs' || format === 'epochmillisecs') {
    const match = /^(-?\d{1,16})(?:\.(\d+))?$/.exec(text.trim())
    if (match === null) throw new ValueError(1206, `Invalid timestamp format or value [${format}]`)
    const ms = format === 'epochsecs' ? Number(text) * 1000 : Number(text)
    return new Date(ms).toISOString()
  }
  const match = (format === 'auto' ? lenientTimestamp : strictTimestamp).exec(text.trim())
  if (
    match === null ||
    !isRealDate(Number(match[1]), Number(match[2]), Number(match[3])) ||
    Number(match[4] ?? 0) > 23 ||
    Number(match[5] ?? 0) > 59 ||
    Number(match[6] ?? 0) > 59
  ) {
    throw new ValueError(1206, 'Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]')
  }
  return match[0]
}

function limitBytes(text: string, column: TargetColumn, truncate: boolean): string {
  const limit = column.maxLength
  if (limit === null || text.length * 3 <= limit || Buffer.byteLength(text) <= limit) return text
  if (!truncate) throw new ValueError(1204, 'String length exceeds DDL length')
  let cut = Buffer.from(text).subarray(0, limit).toString('utf8')
  while (Buffer.byteLength(cut) > limit || cut.endsWith('\ufffd')) cut = cut.slice(0, -1)
  return cut
}

function text(value: string, column: TargetColumn, context: ValueContext): string {
  let result = value
  if (result.includes('\u0000') || (context.hasInvalidUtf8 && result.includes('\ufffd'))) {
    if (context.acceptInvalidCharacters === null)
      throw new ValueError(1220, 'String contains invalid or unsupported UTF8 codepoints. Bad UTF8 hex sequence')
    result = result.replaceAll('\u0000', context.acceptInvalidCharacters)
    if (context.hasInvalidUtf8) result = result.replaceAll('\ufffd', context.acceptInvalidCharacters)
  }
  return limitBytes(result, column, context.truncateColumns)
}

function superValue(member: JsonMember): string {
  // A string is a SUPER string; everything else is already JSON text.
  return member.source
}

/** A bare text (CSV) in the shape of a JSON member. */
export function textMember(value: string | null): JsonMember {
  return value === null
    ? { text: null, source: 'null', type: 'null' }
    : { text: value, source: JSON.stringify(value), type: 'string' }
}

/**
 * Checks a value against its column and gives the text that PostgreSQL casts without error, or null for NULL.
 * @throws ValueError with the code that the error views show
 */
export function convertValue(member: JsonMember, column: TargetColumn, context: ValueContext): string | null {
  if (member.text === null) {
    if (column.isNotNull) throw new ValueError(1213, 'Missing data for not-null field')
    return null
  }
  const value = member.text
  switch (column.baseType) {
    case 'smallint':
    case 'integer':
    case 'bigint':
      return integer(value, column.baseType)
    case 'numeric':
      if (!/^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/.test(value))
        throw new ValueError(1209, `Invalid DECIMAL format or value: ${value.slice(0, 50)}`)
      return value.trim()
    case 'real':
    case 'double precision':
      if (!Number.isFinite(Number(value)) && !/^[+-]?(nan|inf|infinity)$/i.test(value.trim()))
        throw new ValueError(1208, 'Invalid FLOAT format or value')
      if (value.trim() === '') throw new ValueError(1208, 'Invalid FLOAT format or value')
      return value.trim()
    case 'boolean': {
      const known = booleanTexts[value.trim().toLowerCase()]
      if (known === undefined) throw new ValueError(1210, 'Unknown boolean format')
      return known
    }
    case 'date':
      return date(value)
    case 'timestamp without time zone':
    case 'timestamp with time zone':
      return timestamp(value, context.timeFormat)
    case 'jsonb':
      return superValue(member)
    default:
      return text(value, column, context)
  }
}
