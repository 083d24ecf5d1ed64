/**
 * Text forms of Java values. Files that this sink writes are read next to files of the Java connector, so numbers and
 * the order of members in maps follow `Double.toString`, `BigDecimal.toString` and `java.util.HashMap`.
 */
import { Decimal, type Value } from '../../../worker/api/data.ts'

/** `Double.toString` (shortest digits, as since JDK 19); NaN and infinities quoted, as Jackson does. */
export function javaDouble(value: number): string {
  if (!Number.isFinite(value)) return `"${value}"`
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0'
  const magnitude = Math.abs(value)
  if (magnitude >= 1e-3 && magnitude < 1e7) {
    const text = String(value)
    return text.includes('.') ? text : `${text}.0`
  }
  return scientific(value.toExponential())
}

/** `Float.toString`: the shortest digits that give back the same 32-bit float. */
export function javaFloat(value: number): string {
  if (!Number.isFinite(value) || value === 0) return javaDouble(value)
  const single = Math.fround(value)
  if (!Number.isFinite(single)) return `"${single}"`
  for (let digits = 1; digits <= 9; digits++) {
    const text = single.toExponential(digits - 1)
    if (Math.fround(Number(text)) === single) return javaDouble(Number(text))
  }
  return javaDouble(single)
}

/** `1.5e+21` or `1e-7` as `1.5E21`, `1.0E-7`. */
function scientific(text: string): string {
  const at = text.indexOf('e')
  const digits = text.slice(0, at)
  const exponent = text[at + 1] === '+' ? text.slice(at + 2) : text.slice(at + 1)
  return `${digits.includes('.') ? digits : `${digits}.0`}E${exponent}`
}

/** `BigDecimal.toString`: plain down to an exponent of -6, scientific beyond and for negative scales. */
export function javaBigDecimal({ unscaled, scale }: Decimal): string {
  if (scale === 0) return unscaled.toString()
  const negative = unscaled < 0n
  const digits = (negative ? -unscaled : unscaled).toString()
  const adjusted = -scale + (digits.length - 1)
  if (scale > 0 && adjusted >= -6) return new Decimal(unscaled, scale).toString()
  const fraction = digits.length > 1 ? `.${digits.slice(1)}` : ''
  const exponent = adjusted === 0 ? '' : `E${adjusted > 0 ? '+' : ''}${adjusted}`
  return `${negative ? '-' : ''}${digits[0]}${fraction}${exponent}`
}

/** `BigInteger.toByteArray`: two's complement, big-endian, as few bytes as hold the sign. */
export function twosComplement(value: bigint): Uint8Array {
  let bits = 8
  while (BigInt.asIntN(bits, value) !== value) bits += 8
  const bytes = Buffer.alloc(bits / 8)
  let rest = BigInt.asUintN(bits, value)
  for (let i = bytes.length - 1; i >= 0; i--) {
    bytes[i] = Number(rest & 0xffn)
    rest >>= 8n
  }
  return bytes
}

/** `String.hashCode` over UTF-16 units. */
function stringHash(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return hash
}

/** `hashCode` of the types that occur as map keys; types without a stable one keep insertion order (hash 0). */
function javaHash(key: Value): number {
  switch (typeof key) {
    case 'string':
      return stringHash(key)
    case 'boolean':
      return key ? 1231 : 1237
    case 'bigint': {
      const bits = BigInt.asUintN(64, key)
      return Number(BigInt.asIntN(32, bits ^ (bits >> 32n)))
    }
    case 'number':
      return Number.isInteger(key) ? key | 0 : 0
    default:
      return 0
  }
}

/** Positions of `keys` in the iteration order of a `HashMap` into which they were put in the given order. */
function hashMapOrder(keys: readonly Value[]): readonly number[] {
  let capacity = 16
  while (keys.length > capacity * 0.75) capacity *= 2
  const buckets = keys.map((key) => {
    const hash = javaHash(key)
    return (hash ^ (hash >>> 16)) & (capacity - 1)
  })
  // Array sort is stable: within a bucket the order of insertion stays.
  return keys.map((_, i) => i).sort((a, b) => (buckets[a] ?? 0) - (buckets[b] ?? 0))
}

export function inHashMapOrder<V>(entries: readonly (readonly [Value, V])[]): readonly (readonly [Value, V])[] {
  const ordered: (readonly [Value, V])[] = []
  for (const at of hashMapOrder(entries.map(([key]) => key))) {
    const entry = entries[at]
    if (entry !== undefined) ordered.push(entry)
  }
  return ordered
}

interface ShapeNode {
  readonly next: Map<string, ShapeNode>
  order: readonly string[] | null
}

/** Shapes kept before the cache starts anew: members named after ids must not fill the memory. */
const maxShapes = 4096

/**
 * HashMap order of the member names of JSON objects. Records of one topic share few shapes, so each is sorted once
 * and found again by walking its names.
 */
export class MemberOrder {
  #root: ShapeNode = { next: new Map(), order: null }
  #nodes = 0

  of(names: readonly string[]): readonly string[] {
    let node = this.#root
    for (const name of names) {
      let child = node.next.get(name)
      if (child === undefined) {
        if (++this.#nodes > maxShapes) return this.#startAnew(names)
        child = { next: new Map(), order: null }
        node.next.set(name, child)
      }
      node = child
    }
    node.order ??= sortedNames(names)
    return node.order
  }

  #startAnew(names: readonly string[]): readonly string[] {
    this.#root = { next: new Map(), order: null }
    this.#nodes = 0
    return sortedNames(names)
  }
}

function sortedNames(names: readonly string[]): readonly string[] {
  return inHashMapOrder(names.map((name) => [name, null] as const)).map(([name]) => String(name))
}
