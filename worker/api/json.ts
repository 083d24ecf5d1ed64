import { Decimal, Float64, type Struct, type Value } from './data.ts'
import { decodeUtf8 } from './utf8.ts'

/**
 * JSON without loss (I6). JavaScript's own `JSON` rounds integers beyond 2^53 and forgets that `1.0` was written with
 * a fraction; this module keeps both, in the schemaless part of the data model (`Value`).
 */

/** Deepest nesting that is read, as Jackson's default; deeper text is an attack, not data. */
export const maxJsonDepth = 1000
/** Longest text of one number, as Jackson's default: a longer one costs quadratic time to convert. */
const maxNumberLength = 1000
/** Largest exponent of an exact decimal; a few bytes of text must not become gigabytes of digits. */
const maxDecimalExponent = 10_000

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
export function parseJson(text: string, options: JsonReadOptions = {}): Value {
  const exactDecimals = options.fractions === 'decimal'
  if (!isBareNumber(text) && !(exactDecimals ? inexactOrFraction : inexact).test(text)) {
    try {
      return JSON.parse(text) as Value
    } catch {
      // Not JSON, or JSON with leading zeros: the exact reader accepts the latter and words the error of the former.
    }
  }
  return new JsonReader(text, exactDecimals, options.negativeZero ?? true).read()
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
 * A key and what followed it in texts read before. Messages of a topic resemble each other: where the next key is the
 * one that came last time, it need not be cut out of the text nor looked up among the engine's names, which is most of
 * what a member costs.
 */
class KeyNode {
  readonly key: string
  /** The key and its closing quote. */
  readonly #quoted: string
  #next: KeyNode | null = null
  #others: Map<string, KeyNode> | null = null

  constructor(key: string) {
    this.key = key
    this.#quoted = `${key}"`
  }

  /** The key that stands at `at`, behind its quote, when it is the one expected; null otherwise. */
  expected(text: string, at: number): KeyNode | null {
    const next = this.#next
    return next !== null && text.startsWith(next.#quoted, at) ? next : null
  }

  /** Remembers what followed; undefined where it was not known and `mayGrow` is false. */
  followedBy(key: string, mayGrow: boolean): KeyNode | undefined {
    let node = this.#others?.get(key)
    if (node === undefined && mayGrow) {
      node = new KeyNode(key)
      this.#others ??= new Map()
      this.#others.set(key, node)
    }
    if (node !== undefined) this.#next = node
    return node
  }
}

/** Integers of so many digits are within ±2^53; of two more, without zeros in front, beyond. */
const safeDigits = 15

/** Keys that are remembered, over all texts; then it begins anew. */
const maxKeyNodes = 4096
const maxKeyLength = 64
const keys = { first: new KeyNode(''), count: 0 }

function keyAfter(node: KeyNode, key: string): KeyNode | undefined {
  // Only keys that have no need of escapes are written as they are.
  // oxlint-disable-next-line no-control-regex -- these are the characters to look for
  if (key.length > maxKeyLength || /["\\\u0000-\u001f]/.test(key)) return undefined
  const known = node.followedBy(key, false)
  if (known !== undefined) return known
  if (++keys.count > maxKeyNodes) {
    keys.first = new KeyNode('')
    keys.count = 0
    return undefined
  }
  return node.followedBy(key, true)
}

class JsonReader {
  readonly #text: string
  #lastKey = keys.first
  readonly #exactDecimals: boolean
  readonly #negativeZero: boolean
  #at = 0
  #depth = 0

  constructor(text: string, exactDecimals: boolean, negativeZero: boolean) {
    this.#text = text
    this.#exactDecimals = exactDecimals
    this.#negativeZero = negativeZero
  }

  read(): Value {
    const value = this.#value()
    this.#blanks()
    if (this.#at < this.#text.length) throw this.#unexpected()
    return value
  }

  #blanks(): number {
    const text = this.#text
    let at = this.#at
    let code = text.charCodeAt(at)
    if (code > 0x20) return code
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) code = text.charCodeAt(++at)
    this.#at = at
    return code
  }

  #value(): Value {
    const code = this.#blanks()
    if (code === 0x22) return this.#string()
    if (code === 0x7b) return this.#object()
    if (code === 0x5b) return this.#array()
    if (code === 0x2d || (code >= 0x30 && code <= 0x39)) return this.#number()
    if (this.#take('true')) return true
    if (this.#take('false')) return false
    if (this.#take('null')) return null
    throw this.#unexpected()
  }

  #take(word: string): boolean {
    if (!this.#text.startsWith(word, this.#at)) return false
    this.#at += word.length
    return true
  }

  #object(): Struct {
    this.#enter()
    const object: Record<string, Value> = {}
    let code = this.#blanks()
    if (code === 0x7d) return this.#leave(object)
    for (;;) {
      if (code !== 0x22) throw this.#unexpected()
      const key = this.#key()
      if (this.#blanks() !== 0x3a) throw this.#unexpected()
      this.#at++
      const value = this.#value()
      // An assignment to `__proto__` would set the prototype instead of a key.
      if (key === '__proto__')
        Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
      else object[key] = value
      code = this.#blanks()
      if (code === 0x7d) return this.#leave(object)
      if (code !== 0x2c) throw this.#unexpected()
      this.#at++
      code = this.#blanks()
    }
  }

  #key(): string {
    const expected = this.#lastKey.expected(this.#text, this.#at + 1)
    if (expected !== null) {
      this.#lastKey = expected
      this.#at += expected.key.length + 2
      return expected.key
    }
    const key = this.#string()
    this.#lastKey = keyAfter(this.#lastKey, key) ?? this.#lastKey
    return key
  }

  #array(): Value[] {
    this.#enter()
    const array: Value[] = []
    if (this.#blanks() === 0x5d) return this.#leave(array)
    for (;;) {
      array.push(this.#value())
      const code = this.#blanks()
      if (code === 0x5d) return this.#leave(array)
      if (code !== 0x2c) throw this.#unexpected()
      this.#at++
    }
  }

  #enter(): void {
    this.#at++
    if (++this.#depth > maxJsonDepth) throw new SyntaxError(`JSON is nested deeper than ${maxJsonDepth} levels`)
  }

  #leave<T>(value: T): T {
    this.#at++
    this.#depth--
    return value
  }

  #string(): string {
    const text = this.#text
    const start = this.#at
    let at = start + 1
    let escaped = false
    for (;;) {
      const code = text.charCodeAt(at)
      if (code === 0x22) break
      if (code === 0x5c) {
        escaped = true
        at++
      } else if (code < 0x20 || Number.isNaN(code)) {
        this.#at = at
        throw this.#unexpected()
      }
      at++
    }
    this.#at = at + 1
    if (!escaped) return text.slice(start + 1, at)
    try {
      return JSON.parse(text.slice(start, at + 1)) as string
    } catch {
      this.#at = start
      throw new SyntaxError(`Bad escape in the JSON string at position ${start}`)
    }
  }

  #number(): Value {
    const text = this.#text
    const start = this.#at
    let at = start
    if (text.charCodeAt(at) === 0x2d) at++
    const integerStart = at
    let magnitude = 0
    for (let code = text.charCodeAt(at); isDigit(code); code = text.charCodeAt(++at)) {
      magnitude = magnitude * 10 + (code - 0x30)
    }
    if (at === integerStart) throw this.#unexpected()
    let fractional = false
    if (text.charCodeAt(at) === 0x2e) {
      fractional = true
      const fractionStart = ++at
      while (isDigit(text.charCodeAt(at))) at++
      if (at === fractionStart) throw this.#unexpected()
    }
    const exponent = text.charCodeAt(at)
    if (exponent === 0x65 || exponent === 0x45) {
      fractional = true
      const sign = text.charCodeAt(++at)
      if (sign === 0x2b || sign === 0x2d) at++
      const exponentStart = at
      while (isDigit(text.charCodeAt(at))) at++
      if (at === exponentStart) throw this.#unexpected()
    }
    this.#at = at
    if (at - start > maxNumberLength) throw new SyntaxError(`Number longer than ${maxNumberLength} digits at ${start}`)
    if (!fractional && at - integerStart <= safeDigits) return integerStart > start ? -magnitude : magnitude
    const digits = text.slice(start, at)
    if (!fractional) {
      const isLong = at - integerStart > safeDigits + 1 && text.charCodeAt(integerStart) !== 0x30
      const value = isLong ? Number.POSITIVE_INFINITY : Number(digits)
      return Number.isSafeInteger(value) ? value : BigInt(digits)
    }
    if (this.#exactDecimals) return parseDecimal(digits)
    // What is only too small for a double keeps its sign in any case.
    const value = !this.#negativeZero && negativeZero.test(digits) ? 0 : Number(digits)
    return Number.isInteger(value) ? new Float64(value) : value
  }

  #unexpected(): SyntaxError {
    // The position only: the character may be part of somebody's data (I8).
    return this.#at >= this.#text.length
      ? new SyntaxError('Unexpected end of JSON text')
      : new SyntaxError(`Unexpected character in JSON at position ${this.#at}`)
  }
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

const negativeZero = /^-[0.]+(?:[eE]|$)/

const decimalText = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/

/**
 * Exact decimal from text, with the scale as written (`10.20` has scale 2, `1e3` has scale -3), as Java's
 * `new BigDecimal(text)`.
 * @throws SyntaxError
 */
export function parseDecimal(text: string): Decimal {
  const match = decimalText.exec(text)
  const whole = match?.[2] ?? ''
  const fraction = match?.[3] ?? ''
  if (match === null || whole.length + fraction.length === 0) throw new SyntaxError('Not a decimal number')
  const exponent = Number(match[4] ?? '0')
  if (Math.abs(exponent) > maxDecimalExponent) {
    throw new SyntaxError(`Decimal exponent beyond ±${maxDecimalExponent}`)
  }
  const unscaled = BigInt(whole + fraction)
  return new Decimal(match[1] === '-' ? -unscaled : unscaled, fraction.length - exponent)
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
