import { Float64, type Struct, type Value } from './data.ts'
import { isDigit, longInteger, parseDecimal, safeDigits } from './json-numbers.ts'

/** Deepest nesting that is read, as Jackson's default; deeper text is an attack, not data. */
export const maxJsonDepth = 1000
/** Longest text of one number, as Jackson's default: a longer one costs quadratic time to convert. */
const maxNumberLength = 1000

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

/** Reads any JSON text without loss, and words what is wrong with one that is none. */
export class JsonTextReader {
  readonly #text: string
  #lastKey = keys.first
  readonly #exactDecimals: boolean
  readonly #negativeZero: boolean
  #at = 0
  #depth = 0
  /** Whether a number was read that `JSON.parse` would not keep. */
  hasInexact = false

  constructor(text: string, exactDecimals: boolean, negativeZero: boolean) {
    this.#text = text
    this.#exactDecimals = exactDecimals
    this.#negativeZero = negativeZero
  }

  /** @throws SyntaxError, with the position */
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
    const value = fractional ? this.#fraction(text.slice(start, at)) : longInteger(text.slice(start, at))
    if (typeof value !== 'number') this.hasInexact = true
    return value
  }

  #fraction(digits: string): Value {
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

const negativeZero = /^-[0.]+(?:[eE]|$)/
