import type { PlainJson } from '../../worker/api/plain-json.ts'

/** Members of one text, and nesting, that are looked at; a text with more is read into objects. */
const maxNames = 256
const maxDepth = 16
/** Above this a native search finds the end of a string sooner than a loop. */
const shortString = 32

/**
 * Whether a plain text may be sent as it is. Read into objects and printed again, of names that occur twice in one
 * object the last value would be left, where Elasticsearch refuses the document; and names that are numbers would come
 * first. One per writer: it keeps its storage.
 */
export class DistinctNames {
  /** Hashes of the names of all open objects, the innermost last. */
  readonly #hashes = new Int32Array(maxNames)
  /** Where the names of each open object or array begin in `#hashes`. */
  readonly #starts = new Int32Array(maxDepth)

  /** @returns false also for what cannot be told without a closer look */
  holdFor({ bytes }: PlainJson): boolean {
    const { length } = bytes
    const starts = this.#starts
    let depth = -1
    let count = 0
    for (let at = 0; at < length; ) {
      const byte = bytes[at] as number
      if (byte === 0x22) {
        const end = stringEnd(bytes, at + 1)
        // Of strings in an object, those before a colon are names. There are no blanks.
        if (bytes[end] === 0x3a) {
          const start = starts[depth] as number
          if (count === maxNames || !this.#isNew(bytes, at + 1, end - 1, start, count)) return false
          count++
        }
        at = end
        continue
      }
      at++
      if (byte === 0x7b || byte === 0x5b) {
        if (++depth === maxDepth) return false
        starts[depth] = count
      } else if (byte === 0x7d || byte === 0x5d) count = starts[depth--] as number
    }
    return true
  }

  /** Adds a name to those of its object. Names of which only the hashes are equal are taken for the same. */
  #isNew(bytes: Buffer, from: number, to: number, start: number, count: number): boolean {
    const hashes = this.#hashes
    let hash = 0
    let isNumber = true
    for (let at = from; at < to; at++) {
      const byte = bytes[at] as number
      hash = (Math.imul(hash, 31) + byte) | 0
      if (byte < 0x30 || byte > 0x39) isNumber = false
    }
    if (isNumber) return false
    for (let i = start; i < count; i++) if (hashes[i] === hash) return false
    hashes[count] = hash
    return true
  }
}

/** Position behind the closing quote: there are no escapes. */
function stringEnd(bytes: Buffer, start: number): number {
  const limit = start + shortString
  for (let at = start; at < limit; at++) if (bytes[at] === 0x22) return at + 1
  return bytes.indexOf(0x22, limit) + 1
}
