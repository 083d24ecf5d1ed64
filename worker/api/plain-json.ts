import { isUtf8 } from 'node:buffer'
import type { Value } from './data.ts'
import { parseJsonBytes } from './json.ts'

/** Deepest nesting of a text that counts as plain; deeper ones take the ordinary way. */
const maxDepth = 64
/** Digits that are an INT64, and a double's shortest text, whatever they are. */
const maxIntegerDigits = 18
const maxFractionDigits = 15

/**
 * A JSON object that is still in its bytes, of which is known that it can be parsed, and that nothing in it is written
 * in more than one way: no blanks, no escapes, nothing beyond the basic plane, numbers as Jackson prints them. Only
 * the order of members, and names that occur twice, are as the producer had them.
 *
 * The fast lane of sinks that write JSON: most producers write such text, and copying it is a fraction of reading it
 * into objects and writing those.
 */
export class PlainJson {
  /** A view of what was read from Kafka: who keeps it for long keeps the whole batch alive. */
  readonly bytes: Buffer

  private constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  /** @returns null for any other text, valid or not */
  static of(bytes: Uint8Array): PlainJson | null {
    const buffer = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return new Scanner(buffer).isPlainObject() ? new PlainJson(buffer) : null
  }

  parse(): Value {
    return parseJsonBytes(this.bytes)
  }
}

/** What a byte of a string is: the end, plain ASCII, part of a longer character, or a reason to stop. */
const kinds = { plain: 0, end: 1, wide: 2, stop: 3 } as const
const stringBytes = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte === 0x22) return kinds.end
  if (byte < 0x20 || byte === 0x5c || byte >= 0xf0) return kinds.stop
  return byte < 0x80 ? kinds.plain : kinds.wide
})

/** Positions are those behind what was read; -1: not plain. */
class Scanner {
  readonly #bytes: Buffer
  #isAscii = true

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  isPlainObject(): boolean {
    const bytes = this.#bytes
    if (bytes[0] !== 0x7b || this.#object(0, 0) !== bytes.length) return false
    return this.#isAscii || isUtf8(bytes)
  }

  #object(start: number, depth: number): number {
    const bytes = this.#bytes
    let at = start + 1
    if (depth === maxDepth) return -1
    if (bytes[at] === 0x7d) return at + 1
    for (;;) {
      if (bytes[at] !== 0x22) return -1
      at = this.#string(at + 1)
      if (at < 0 || bytes[at] !== 0x3a) return -1
      at = this.#value(at + 1, depth)
      if (at < 0) return -1
      const next = bytes[at++]
      if (next === 0x7d) return at
      if (next !== 0x2c) return -1
    }
  }

  #array(start: number, depth: number): number {
    const bytes = this.#bytes
    let at = start + 1
    if (depth === maxDepth) return -1
    if (bytes[at] === 0x5d) return at + 1
    for (;;) {
      at = this.#value(at, depth)
      if (at < 0) return -1
      const next = bytes[at++]
      if (next === 0x5d) return at
      if (next !== 0x2c) return -1
    }
  }

  #value(at: number, depth: number): number {
    switch (this.#bytes[at]) {
      case 0x22:
        return this.#string(at + 1)
      case 0x7b:
        return this.#object(at, depth + 1)
      case 0x5b:
        return this.#array(at, depth + 1)
      case 0x74:
        return this.#word(at, 'true')
      case 0x66:
        return this.#word(at, 'false')
      case 0x6e:
        return this.#word(at, 'null')
      default:
        return this.#number(at)
    }
  }

  #word(start: number, word: string): number {
    for (let i = 0; i < word.length; i++) if (this.#bytes[start + i] !== word.charCodeAt(i)) return -1
    return start + word.length
  }

  #string(start: number): number {
    const bytes = this.#bytes
    const { length } = bytes
    for (let at = start; at < length; at++) {
      const kind = stringBytes[bytes[at] as number]
      if (kind === kinds.plain) continue
      if (kind === kinds.end) return at + 1
      if (kind === kinds.stop) return -1
      this.#isAscii = false
    }
    return -1
  }

  /** An INT64 of at most 18 digits, or a fraction that Java prints as it stands: below 10^7, not below 0.001. */
  #number(start: number): number {
    const bytes = this.#bytes
    const negative = bytes[start] === 0x2d
    const first = negative ? start + 1 : start
    const dot = this.#digits(first)
    const whole = dot - first
    const startsWithZero = bytes[first] === 0x30
    if (whole === 0 || (startsWithZero && whole > 1)) return -1
    if (bytes[dot] !== 0x2e) {
      const isMinusZero = negative && startsWithZero
      return whole > maxIntegerDigits || isMinusZero || isExponent(bytes[dot]) ? -1 : dot
    }
    const end = this.#digits(dot + 1)
    const fraction = end - dot - 1
    if (fraction === 0 || whole > 7 || whole + fraction > maxFractionDigits || isExponent(bytes[end])) return -1
    if (bytes[end - 1] === 0x30 && (fraction > 1 || startsWithZero)) return -1
    const isSmall = startsWithZero && bytes[dot + 1] === 0x30 && bytes[dot + 2] === 0x30 && bytes[dot + 3] === 0x30
    return isSmall ? -1 : end
  }

  #digits(start: number): number {
    const bytes = this.#bytes
    let at = start
    for (let byte = bytes[at] ?? 0; byte >= 0x30 && byte <= 0x39; byte = bytes[++at] ?? 0);
    return at
  }
}

function isExponent(byte: number | undefined): boolean {
  return byte === 0x65 || byte === 0x45
}
