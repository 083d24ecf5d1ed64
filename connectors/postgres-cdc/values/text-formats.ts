/** Parsers of PostgreSQL's text output for composite literals: arrays, hstore, numbers, bit strings, bytea. */
import { Decimal } from '../../../worker/api/data.ts'
import { inHashOrder } from '../../../worker/api/java-hash.ts'

/** An element of an array literal: text, NULL, or a nested array in its own text form. */
export interface ArrayItem {
  readonly text: string | null
  readonly nested: boolean
}

/**
 * Items of `{a,NULL,"b,\"c"}` (also with explicit bounds, `[0:1]={…}`). Null for text that is not an array.
 * @param delimiter `;` for boxes, as `pg_type.typdelim` has it
 */
export function parseArray(text: string, delimiter = ','): readonly ArrayItem[] | null {
  const open = text.indexOf('{')
  if (open < 0 || !text.endsWith('}')) return null
  const items: ArrayItem[] = []
  let at = open + 1
  if (text.charAt(at) === '}') return items
  while (at < text.length) {
    const char = text.charAt(at)
    let end = at
    if (char === '{') {
      end = closingBrace(text, at)
      items.push({ text: text.slice(at, end), nested: true })
    } else if (char === '"') {
      let value = ''
      end = at + 1
      while (end < text.length && text.charAt(end) !== '"') {
        if (text.charAt(end) === '\\') end += 1
        value += text.charAt(end++)
      }
      end += 1
      items.push({ text: value, nested: false })
    } else {
      while (end < text.length && text.charAt(end) !== delimiter && text.charAt(end) !== '}') end += 1
      const value = text.slice(at, end)
      items.push({ text: value === 'NULL' ? null : value, nested: false })
    }
    if (text.charAt(end) === '}') return items
    at = end + 1
  }
  return null
}

function closingBrace(text: string, open: number): number {
  let depth = 0
  let quoted = false
  for (let i = open; i < text.length; i++) {
    const char = text.charAt(i)
    if (quoted) {
      if (char === '\\') i += 1
      else if (char === '"') quoted = false
    } else if (char === '"') quoted = true
    else if (char === '{') depth += 1
    else if (char === '}' && --depth === 0) return i + 1
  }
  return text.length
}

/** Pairs of `"a"=>"1", "b"=>NULL`, in the order of the hash map that Debezium's driver makes of them. */
export function parseHstore(text: string): ReadonlyMap<string, string | null> {
  const pairs: [string, string | null][] = []
  const pattern = /"((?:[^"\\]|\\.)*)"=>(?:"((?:[^"\\]|\\.)*)"|NULL)(?:, )?/gs
  const unescape = (s: string) => s.replace(/\\(.)/gs, '$1')
  for (const match of text.matchAll(pattern)) {
    pairs.push([unescape(match[1] as string), match[2] === undefined ? null : unescape(match[2])])
  }
  return new Map(inHashOrder(pairs))
}

/** A JSON object of texts; the order of the pairs is kept, and control characters are escaped as Jackson does. */
export function jsonObject(pairs: ReadonlyMap<string, string | null>): string {
  const members = Array.from(pairs, ([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`)
  const upper = (escape: string): string => (escape.startsWith('\\u') ? `\\u${escape.slice(2).toUpperCase()}` : escape)
  return `{${members.join(',')}}`.replace(/\\(?:u[0-9a-f]{4}|.)/g, upper)
}

/** Plain decimal notation. Null for NaN, infinities and anything else that is no number. */
export function parseDecimal(text: string): Decimal | null {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?$/.exec(text)
  if (match === null) return parseExponent(text)
  const digits = `${match[2] ?? ''}${match[3] ?? ''}`
  if (digits === '') return null
  const unscaled = BigInt(digits)
  return new Decimal(match[1] === '-' ? -unscaled : unscaled, match[3]?.length ?? 0)
}

/** `1.5e3` as an SQL literal may have it. */
function parseExponent(text: string): Decimal | null {
  const match = /^([+-]?\d*(?:\.\d*)?)[eE]([+-]?\d{1,4})$/.exec(text)
  const mantissa = match === null ? null : parseDecimal(match[1] as string)
  if (match === null || mantissa === null) return null
  const scale = mantissa.scale - Number(match[2])
  return scale >= 0 ? new Decimal(mantissa.unscaled, scale) : new Decimal(mantissa.unscaled * 10n ** BigInt(-scale), 0)
}

/** The same number with another scale; rounds half up where digits are lost. */
export function rescale(value: Decimal, scale: number): Decimal {
  const shift = scale - value.scale
  if (shift === 0) return value
  if (shift > 0) return new Decimal(value.unscaled * 10n ** BigInt(shift), scale)
  const divisor = 10n ** BigInt(-shift)
  const size = value.unscaled < 0n ? -value.unscaled : value.unscaled
  const rounded = (size + divisor / 2n) / divisor
  return new Decimal(value.unscaled < 0n ? -rounded : rounded, scale)
}

/** Without trailing zeros, scale at least 0, as VariableScaleDecimal carries it. */
export function stripZeros(value: Decimal): Decimal {
  let { unscaled, scale } = value
  while (scale > 0 && unscaled % 10n === 0n) {
    unscaled /= 10n
    scale -= 1
  }
  return new Decimal(unscaled, scale)
}

/** Two's complement, big-endian, shortest, as Java's `BigInteger.toByteArray`. */
export function twosComplement(value: bigint): Uint8Array {
  const size = value < 0n ? -value - 1n : value
  const length = Math.floor(size.toString(2).length / 8) + 1
  const hex = BigInt.asUintN(length * 8, value).toString(16)
  return bytesOfHex(hex.padStart(length * 2, '0'))
}

/** Amount of money in the C locale: `-$1,234.50`, `($1.00)`. Null when there is no number in it. */
export function parseMoney(text: string): Decimal | null {
  const negative = text.includes('-') || text.includes('(')
  const value = parseDecimal(text.replace(/[^0-9.]/g, ''))
  return value === null || !negative ? value : new Decimal(-value.unscaled, value.scale)
}

/** A bit string as a number, least significant byte first, without trailing zero bytes. */
export function bitsToBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(text.length / 8))
  let used = 0
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(text.length - 1 - i) !== 49) continue
    bytes[i >> 3] = (bytes[i >> 3] as number) | (1 << (i & 7))
    used = (i >> 3) + 1
  }
  return bytes.subarray(0, used)
}

/** An own copy, not a slice of Node's shared pool. */
export function bytesOfHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'))
}

/** Output of `bytea`: `\x…`, or the older escape format. */
export function parseBytea(text: string): Uint8Array {
  if (text.startsWith('\\x')) return bytesOfHex(text.slice(2))
  const bytes: number[] = []
  for (let i = 0; i < text.length; i++) {
    if (text.charAt(i) !== '\\') bytes.push(text.charCodeAt(i))
    else if (text.charAt(i + 1) === '\\') bytes.push(text.charCodeAt(++i))
    else {
      bytes.push(Number.parseInt(text.slice(i + 1, i + 4), 8))
      i += 3
    }
  }
  return Uint8Array.from(bytes)
}
