/**
 * The order in which Java's `HashMap` and `HashSet` iterate: by bucket, and by insertion within one. Connect's answers,
 * keys of the offset topic and what sinks write show it where they print a map; equal content must give equal bytes.
 */
import { Decimal, Float64, type SchemaType, type Value } from './data.ts'

const defaultBuckets = 16

/** `String.hashCode` over UTF-16 units. */
function stringHash(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return hash
}

/** Of `Long`, and of whatever hashes as one does. */
function longHash(value: bigint): number {
  const bits = BigInt.asUintN(64, value)
  return Number(BigInt.asIntN(32, bits ^ (bits >> 32n)))
}

const scratch = new DataView(new ArrayBuffer(8))

function doubleHash(value: number): number {
  scratch.setFloat64(0, value)
  return longHash(scratch.getBigInt64(0))
}

function floatHash(value: number): number {
  scratch.setFloat32(0, value)
  return scratch.getInt32(0)
}

/** Of `BigInteger`: its magnitude in units of 32 bits, and the sign. */
function bigIntegerHash(value: bigint): number {
  let hash = 0
  const size = value < 0n ? -value : value
  const units = Math.ceil(size.toString(16).length / 8)
  for (let unit = units - 1; unit >= 0; unit--) {
    hash = (Math.imul(hash, 31) + Number(BigInt.asIntN(32, size >> BigInt(32 * unit)))) | 0
  }
  return value < 0n ? -hash | 0 : hash
}

/**
 * `hashCode` of the types that occur as map keys; types without a stable one keep insertion order (hash 0).
 * @param type where it is known: a number alone does not say whether it is a double
 */
function javaHash(key: Value, type: SchemaType | null): number {
  switch (typeof key) {
    case 'string':
      return stringHash(key)
    case 'boolean':
      return key ? 1231 : 1237
    case 'bigint':
      return longHash(key)
    case 'number':
      if (type === 'FLOAT32') return floatHash(key)
      return type === 'FLOAT64' || !Number.isInteger(key) ? doubleHash(key) : key | 0
    default:
  }
  if (key instanceof Float64) return doubleHash(key.value)
  if (key instanceof Decimal) return (Math.imul(bigIntegerHash(key.unscaled), 31) + key.scale) | 0
  return key instanceof Date ? longHash(BigInt(key.getTime())) : 0
}

/** Bucket of each key; the table doubles when more than three quarters are taken. */
function bucketsOf(keys: readonly Value[], buckets: number, type: SchemaType | null): readonly number[] {
  let size = buckets
  while (keys.length > size * 0.75) size *= 2
  return keys.map((key) => {
    const hash = javaHash(key, type)
    return (hash ^ (hash >>> 16)) & (size - 1)
  })
}

/**
 * Names in the order of a table into which they were put in the given order.
 * @param buckets of a table that is made for its content; it grows as Java's does
 */
export function hashOrder(names: readonly string[], buckets = defaultBuckets): readonly string[] {
  if (names.length < 2) return names
  const entries = names.map((name) => [name, null] as const)
  return inHashOrder(entries, buckets).map(([name]) => name)
}

/**
 * Entries in the order of a table into which they were put in the given order.
 * @param type of the keys, where it is known: integral doubles are in another order than integers
 */
export function inHashOrder<K extends Value, V>(
  entries: readonly (readonly [K, V])[],
  buckets = defaultBuckets,
  type: SchemaType | null = null,
): readonly (readonly [K, V])[] {
  if (entries.length < 2) return entries
  const at = bucketsOf(
    entries.map(([key]) => key),
    buckets,
    type,
  )
  // Array sort is stable: within a bucket the order of insertion stays.
  return entries
    .map((entry, i) => ({ entry, bucket: at[i] ?? 0 }))
    .sort((a, b) => a.bucket - b.bucket)
    .map(({ entry }) => entry)
}

/** Buckets of a `HashMap` that is made as a copy of one with `entries`. */
export function bucketsOfCopy(entries: number): number {
  return 2 ** Math.ceil(Math.log2(entries / 0.75 + 1))
}
