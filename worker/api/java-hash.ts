/**
 * The order in which Java's `HashMap` and `HashSet` iterate: by bucket, and by insertion within one. Connect's answers,
 * keys of the offset topic and what sinks write show it where they print a map; equal content must give equal bytes.
 */
import type { Value } from './data.ts'

const defaultBuckets = 16

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

/** Bucket of each key; the table doubles when more than three quarters are taken. */
function bucketsOf(keys: readonly Value[], buckets: number): readonly number[] {
  let size = buckets
  while (keys.length > size * 0.75) size *= 2
  return keys.map((key) => {
    const hash = javaHash(key)
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

/** Entries in the order of a table into which they were put in the given order. */
export function inHashOrder<K extends Value, V>(
  entries: readonly (readonly [K, V])[],
  buckets = defaultBuckets,
): readonly (readonly [K, V])[] {
  if (entries.length < 2) return entries
  const at = bucketsOf(
    entries.map(([key]) => key),
    buckets,
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
