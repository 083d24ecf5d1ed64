import type { PlainJson } from '../../../worker/api/plain-json.ts'
import { skipNested, skipScalar, skipString } from '../plain-member.ts'
import type { ByteTarget } from './format.ts'

/** Members of one object, and nesting, up to which texts are copied; others take the ordinary way. */
const maxMembers = 64
const maxDepth = 8

/**
 * JSON objects copied from the bytes that came to the bytes of the file, their members in the order of Java's
 * `HashMap`, as `JsonEncoder` would print what they parse to. One per file: it keeps its storage.
 */
export class PlainLines {
  readonly #levels: Members[] = Array.from({ length: maxDepth }, () => new Members())
  #bytes: Buffer = Buffer.alloc(0)
  /** What is to be copied next, as long as it is one piece. */
  #from = 0
  #to = 0

  /**
   * Writes the object without a line feed.
   * @returns false when it must be read into objects first; a part may have been written
   */
  write({ bytes }: PlainJson, out: ByteTarget): boolean {
    this.#bytes = bytes
    this.#from = 0
    this.#to = 0
    if (!this.#object(0, 0, out)) return false
    this.#copied(out)
    return true
  }

  #copied(out: ByteTarget): void {
    if (this.#to > this.#from) out.slice(this.#bytes, this.#from, this.#to)
  }

  /** Pieces that follow each other are copied together: an object whose members are in order is one piece. */
  #copy(from: number, to: number, out: ByteTarget): void {
    if (from !== this.#to) {
      this.#copied(out)
      this.#from = from
    }
    this.#to = to
  }

  #object(start: number, depth: number, out: ByteTarget): boolean {
    const members = this.#levels[depth]
    if (members === undefined) return false
    const end = this.#members(start, members)
    if (end < 0 || !members.sort()) return false
    if (members.count === 0) {
      this.#copy(start, end, out)
      return true
    }
    for (let i = 0; i < members.count; i++) {
      const at = members.order[i] as number
      const from = members.starts[at] as number
      const to = members.ends[at] as number
      if (i === 0) this.#copy(start, start + 1, out)
      else this.#comma(from, members, out)
      const nested = members.nested[at] as number
      if (nested === 0) this.#copy(from, to, out)
      else {
        this.#copy(from, nested, out)
        if (!this.#nested(nested, to, depth, out)) return false
      }
    }
    this.#copy(end - 1, end, out)
    return true
  }

  /** The comma before a member where there is one, so that pieces stay together; else any other. */
  #comma(memberStart: number, { comma }: Members, out: ByteTarget): void {
    const before = this.#bytes[memberStart - 1] === 0x2c ? memberStart - 1 : comma
    this.#copy(before, before + 1, out)
  }

  /** An object, or an array that may hold objects. */
  #nested(start: number, end: number, depth: number, out: ByteTarget): boolean {
    const bytes = this.#bytes
    if (bytes[start] === 0x7b) return this.#object(start, depth + 1, out)
    for (let at = start; at < end; ) {
      const byte = bytes[at]
      if (byte === 0x7b) {
        const after = skipNested(bytes, at)
        if (!this.#object(at, depth + 1, out)) return false
        at = after
      } else {
        const after = byte === 0x22 ? skipString(bytes, at) : at + 1
        this.#copy(at, after, out)
        at = after
      }
    }
    return true
  }

  /** @returns the position behind the object, or -1 when it has too many members */
  #members(start: number, members: Members): number {
    const bytes = this.#bytes
    members.count = 0
    let at = start + 1
    if (bytes[at] === 0x7d) return at + 1
    for (;;) {
      if (members.count === maxMembers) return -1
      const nameStart = at
      let hash = 0
      // Of the text that Java hashes; names beyond ASCII would have to be decoded first.
      for (at++; bytes[at] !== 0x22; at++) {
        const byte = bytes[at] as number
        if (byte >= 0x80) return -1
        hash = (Math.imul(hash, 31) + byte) | 0
      }
      const valueStart = at + 2
      const first = bytes[valueStart]
      const isNested = first === 0x7b || first === 0x5b
      at = isNested ? skipNested(bytes, valueStart) : skipScalar(bytes, valueStart)
      members.add({ hash, start: nameStart, end: at, nested: isNested ? valueStart : 0 })
      if (bytes[at] === 0x7d) return at + 1
      members.comma = at++
    }
  }
}

interface Member {
  readonly hash: number
  /** Of its name's quote. */
  readonly start: number
  /** Behind its value. */
  readonly end: number
  /** Where its value begins when that is an object or array, else 0. */
  readonly nested: number
}

/** Where the members of one object stand. */
class Members {
  readonly starts = new Int32Array(maxMembers)
  readonly ends = new Int32Array(maxMembers)
  readonly nested = new Int32Array(maxMembers)
  readonly order = new Uint8Array(maxMembers)
  readonly #hashes = new Int32Array(maxMembers)
  readonly #buckets = new Int32Array(maxMembers)
  count = 0
  /** Position of some comma between two members. */
  comma = 0

  add({ hash, start, end, nested }: Member): void {
    const at = this.count++
    this.#hashes[at] = hash
    this.starts[at] = start
    this.ends[at] = end
    this.nested[at] = nested
  }

  /** Fills `order`, stable within a bucket. @returns false when two names may be the same: the last one counts then */
  sort(): boolean {
    const { count, order } = this
    const hashes = this.#hashes
    const buckets = this.#buckets
    let capacity = 16
    while (count > capacity * 0.75) capacity *= 2
    for (let i = 0; i < count; i++) {
      const hash = hashes[i] as number
      const bucket = (hash ^ (hash >>> 16)) & (capacity - 1)
      buckets[i] = bucket
      let at = i
      for (; at > 0 && (buckets[order[at - 1] as number] as number) > bucket; at--) order[at] = order[at - 1] as number
      order[at] = i
      for (at--; at >= 0 && buckets[order[at] as number] === bucket; at--) {
        if (hashes[order[at] as number] === hash) return false
      }
    }
    return true
  }
}
