/**
 * The order in which Java's `HashMap` gives its entries back. Files that this sink writes are read next to files of
 * the Java connector, and equal records must give equal bytes.
 */
import type { Value } from '../../../worker/api/data.ts'

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
