import { Decimal, Float64, type Struct, type Value } from './data.ts'
import { isDigit } from './json-numbers.ts'
import { JsonTextReader } from './json-text-reader.ts'
import { decodeUtf8 } from './utf8.ts'

export { parseDecimal } from './json-numbers.ts'
export { maxJsonDepth } from './json-text-reader.ts'

/**
 * JSON without loss (I6). JavaScript's own `JSON` rounds integers beyond 2^53 and forgets that `1.0` was written with
 * a fraction; this module keeps both, in the schemaless part of the data model (`Value`).
 */

export interface JsonReadOptions {
  /**
   * What a number with a fraction or an exponent becomes: a double (a `Float64` box when it is integral), or an exact
   * `Decimal` with the scale as written. Default `double`.
   */
  readonly fractions?: 'double' | 'decimal'
  /** Whether `-0.0` keeps its sign as a double. Default true. */
  readonly negativeZero?: boolean
}

/**
 * A number, in value position, that `JSON.parse` would not keep: an integer that may exceed 2^53, or an integral
 * double (`1.0`, `1e3`, a fraction so long that it rounds to an integer). Digits inside strings seldom stand behind
 * one of these characters; where they do, the exact path is only slower, not different. A number that is the whole
 * text is looked for apart (`isBareNumber`): an alternative for the start of the text halves the speed of the search.
 * So would one class of all that may stand before a number: every blank in prose would be looked at.
 */
const inexact =
  /[:,[](?:-?\d|\s+-?\d)(?:\d(?:\d{15}|(?<=9\d)\d{14}|(?=[\d.]{14})\d*\.|\d*(?:\.0+(?!\d)|(?:\.\d+)?[eE]))|\.(?:0+(?!\d)|\d{14}|\d+[eE])|[eE])/

/** The same where fractions become decimals: any of them is a hit. */
const inexactOrFraction = /[:,[](?:-?\d|\s+-?\d)(?:\d(?:\d{15}|(?<=9\d)\d{14}|\d*[.eE])|[.eE])/

/** Whether the text begins with a number, so that it can be nothing else. */
function isBareNumber(text: string): boolean {
  let at = 0
  while (text.charCodeAt(at) <= 0x20) at++
  const code = text.charCodeAt(at)
  return code === 0x2d || isDigit(code)
}

/**
 * Reads one JSON text. Integers within ±2^53 become `number`, others `bigint`; integral doubles become `Float64`.
 * Leading zeros in numbers are accepted, as Connect's JsonConverter does; of a repeated key the last value counts; a
 * key `__proto__` is an ordinary key.
 * @throws SyntaxError, with the position
 */
export function parseJson(text: string, { fractions, negativeZero = true }: JsonReadOptions = {}): Value {
  const exactDecimals = fractions === 'decimal'
  if (expectsInexact) {
    try {
      return readExactly(text, exactDecimals, negativeZero)
    } catch {
      // What the exact reader refuses is decided on in one way, whatever came before it.
    }
  }
  if (!isBareNumber(text) && !(exactDecimals ? inexactOrFraction : inexact).test(text)) {
    try {
      return JSON.parse(text) as Value
    } catch {
      // Not JSON, or JSON with leading zeros: the exact reader accepts the latter and words the error of the former.
    }
  }
  return readExactly(text, exactDecimals, negativeZero)
}

/**
 * Whether the last text read exactly had a number that `JSON.parse` would not keep. Messages of a topic resemble each
 * other: the next one is read exactly without a search, which would find such a number again, often near the end.
 */
let expectsInexact = false

function readExactly(text: string, exactDecimals: boolean, negativeZero: boolean): Value {
  expectsInexact = false
  const reader = new JsonTextReader(text, exactDecimals, negativeZero)
  const value = reader.read()
  expectsInexact = reader.hasInexact
  return value
}

/**
 * Reads UTF-8 bytes as `parseJson` does; a byte order mark is skipped.
 * @throws SyntaxError, also for bytes that are not UTF-8
 */
export function parseJsonBytes(bytes: Uint8Array, options: JsonReadOptions = {}): Value {
  const text = decodeUtf8(bytes)
  if (text === null) throw new SyntaxError('Invalid UTF-8 in JSON text')
  return parseJson(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text, options)
}

/**
 * JSON text of a schemaless value: `bigint` and integral `number` as integers, `Float64` and fractions as Java prints
 * doubles (`1.0`, `1.0E10`), `Decimal` as an exact number, `Date` as milliseconds since 1970, bytes as base64, a Map
 * as an object when all its keys are strings and as `[[key,value],…]` otherwise.
 * @throws TypeError for what is no value of the data model
 */
export function stringifyJson(value: Value): string {
  switch (typeof value) {
    case 'string':
      return quoteJson(value)
    case 'number':
      return Number.isInteger(value) ? integerText(value) : doubleJson(value)
    case 'bigint':
      return value.toString()
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      return value === null ? 'null' : stringifyObject(value)
    default:
      throw new TypeError(`A ${typeof value} is no value of the data model`)
  }
}

function stringifyObject(value: Exclude<Value, null | boolean | number | bigint | string>): string {
  if (Array.isArray(value)) return stringifyArray(value)
  if (value instanceof Uint8Array) return `"${base64(value)}"`
  if (value instanceof Float64) return doubleJson(value.value)
  if (value instanceof Decimal) return bigDecimalText(value)
  if (value instanceof Date) return integerText(value.getTime())
  if (value instanceof Map) return stringifyMap(value)
  let text = '{'
  const struct = value as Struct
  for (const key of Object.keys(struct)) {
    if (text.length > 1) text += ','
    text += `${quoteJson(key)}:${stringifyJson(struct[key] ?? null)}`
  }
  return `${text}}`
}

function stringifyArray(array: readonly Value[]): string {
  let text = '['
  for (let i = 0; i < array.length; i++) {
    if (i > 0) text += ','
    text += stringifyJson(array[i] ?? null)
  }
  return `${text}]`
}

function stringifyMap(map: ReadonlyMap<Value, Value>): string {
  const entries: string[] = []
  if (hasStringKeys(map)) {
    for (const [key, item] of map) entries.push(`${quoteJson(String(key))}:${stringifyJson(item)}`)
    return `{${entries.join(',')}}`
  }
  for (const [key, item] of map) entries.push(`[${stringifyJson(key)},${stringifyJson(item)}]`)
  return `[${entries.join(',')}]`
}

/** Whether a map is written as an object; the empty map is. */
export function hasStringKeys(map: ReadonlyMap<Value, Value>): boolean {
  for (const key of map.keys()) if (typeof key !== 'string') return false
  return true
}

/** Characters that are escaped: those that JSON demands, and surrogates. */
// oxlint-disable-next-line no-control-regex -- these are the characters to look for
const special = /["\\\u0000-\u001f\ud800-\udfff]/
const escapes = /\\\\|\\u[0-9a-f]{4}|[\ud800-\udfff]/g

/**
 * A JSON string literal, escaped as Jackson does on the way to UTF-8: `\u001F` in capitals, a character beyond the
 * basic plane as two `\uXXXX` escapes. So an unpaired surrogate survives too, for which UTF-8 has no form (I6).
 */
export function quoteJson(text: string): string {
  return special.test(text) ? JSON.stringify(text).replace(escapes, jacksonEscape) : `"${text}"`
}

function jacksonEscape(match: string): string {
  if (match === '\\\\') return match
  const hex = match.length === 1 ? match.charCodeAt(0).toString(16) : match.slice(2)
  return `\\u${hex.toUpperCase()}`
}

function integerText(value: number): string {
  // Number's own text turns to an exponent from 1e21 on.
  return Math.abs(value) < 1e21 ? String(value) : BigInt(value).toString()
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

/** A double as JSON, the way Jackson writes it: Java's text, and a string where JSON has no number. */
export function doubleJson(value: number): string {
  return Number.isFinite(value) ? javaDouble(value) : `"${value}"`
}

/** As `doubleJson`, for a FLOAT32: the shortest digits that name this single-precision number. */
export function floatJson(value: number): string {
  return Number.isFinite(value) ? javaFloat(value) : `"${value}"`
}

/** Text of Java's `Double.toString` (JDK 19 and later): `1.0`, `0.001`, `1.0E10`, `NaN`. */
export function javaDouble(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  const size = Math.abs(value)
  if (size >= 1e-3 && size < 1e7) return Number.isInteger(value) ? `${value}.0` : String(value)
  if (size === 0) return Object.is(value, -0) ? '-0.0' : '0.0'
  return scientific(value, (text) => Number(text) === value)
}

/** Text of Java's `Float.toString` of the single-precision number nearest to `value`. */
export function javaFloat(value: number): string {
  const float = Math.fround(value)
  if (!Number.isFinite(float)) return String(float)
  const size = Math.abs(float)
  if (size === 0) return Object.is(float, -0) ? '-0.0' : '0.0'
  if (size < 1e7 && Number.isInteger(float)) return `${float}.0`
  const isSame = (text: string): boolean => Math.fround(Number(text)) === float
  if (size < 1e-3 || size >= 1e7) return scientific(float, isSame)
  for (let digits = 1; ; digits++) {
    const text = float.toPrecision(digits)
    if (digits >= 9 || isSame(text)) return String(Number(evenOfTwo(text, float)))
  }
}

/** `toPrecision` takes the larger of two equally near numbers, Java the even one. */
function evenOfTwo(text: string, float: number): string {
  const exact = String(float)
  // Only a number that ends one digit later, in 5, lies in the middle.
  const isMiddle = exact.endsWith('5') && exact.length === text.length + 1
  const last = text.charCodeAt(text.length - 1)
  return isMiddle && last % 2 === 1 ? text.slice(0, -1) + String.fromCharCode(last - 1) : text
}

/**
 * Java takes the fewest digits that read back as the same number, but at least two, and of those the nearest; of two
 * equally near ones the even, as `toExponential` does without an argument.
 */
function scientific(value: number, isSame: (text: string) => boolean): string {
  let text = value.toExponential(1)
  for (let digits = 2; digits <= 16 && !isSame(text); digits++) text = value.toExponential(digits)
  const shortest = value.toExponential()
  return (shortest.length === text.length ? shortest : text).replace('e+', 'E').replace('e', 'E')
}

/** Text of Java's `BigDecimal.toString`: `10.20`, `1E+3`, `1E-7`. */
export function bigDecimalText(value: Decimal): string {
  const { unscaled, scale } = value
  if (scale === 0) return unscaled.toString()
  const sign = unscaled < 0n ? '-' : ''
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString()
  const exponent = digits.length - 1 - scale
  if (scale > 0 && exponent >= -6) return value.toString()
  const mantissa = digits.length === 1 ? digits : `${digits[0]}.${digits.slice(1)}`
  return `${sign}${mantissa}E${exponent < 0 ? '' : '+'}${exponent}`
}
