import { createHash, type Hash } from 'node:crypto'
import type { MemoryBudget } from './memory-budget.ts'

/** Largest block: what is wasted per open object, and what a socket is given at a time. */
const maxBlockBytes = 65_536

/** Blocks that are packed together: what unpacking takes, and the cost of a call spread over more bytes. */
const blocksPerPack = 4

/** What was in blocks, in a smaller form; the first is dropped first. */
export interface BlockPack {
  /** Bytes as they were. */
  readonly length: number
  /** Memory that they take. */
  readonly capacity: number
  /** Of the first of `pieces`; 0 when there is none. */
  readonly firstLength: number
  /** @returns false for bytes that do not become much smaller: they are not taken */
  add(bytes: Buffer): boolean
  /**
   * What was added, in turn, each unpacked when it is asked for: as it was when the first was, unless its memory has been
   * handed out again.
   */
  pieces(): Iterable<Buffer>
  /** Of all bytes, made while they were added; null when it is not known. The caller's own. */
  sha256(): Hash | null
  removeFirst(): void
  /** As that of the buffer. */
  keepFromReuse(): void
  /** Idempotent. */
  release(): void
}

/**
 * Bytes in blocks of a task's budget. Blocks double the capacity up to `maxBlockBytes` each; nothing is moved when it
 * grows, so what is held is at most one block more than what was written, and a part is sent from where it was written.
 * What is held may be packed meanwhile.
 */
export class BlockBuffer {
  readonly #budget: MemoryBudget
  readonly #firstBytes: number
  /** Of blocks that come before `#blocks`; null while there are none. */
  #packed: BlockPack | null = null
  /** Null: blocks stay as they are. */
  #openPack: (() => BlockPack) | null
  /** All full but the last. */
  readonly #blocks: Buffer[] = []
  #last: Buffer
  /** Of the last block. */
  #filled = 0
  /** Bytes of all blocks but the last, packed ones included. */
  #before = 0
  /** Bytes at the start that are dropped. */
  #dropped = 0
  #reusable = true

  /** `initialBytes`: size of the first block. `openPack`: for `pack`. */
  constructor(budget: MemoryBudget, initialBytes: number, openPack: (() => BlockPack) | null = null) {
    this.#budget = budget
    this.#openPack = openPack
    this.#firstBytes = Math.min(initialBytes, maxBlockBytes)
    this.#last = budget.take(this.#firstBytes)
    this.#blocks.push(this.#last)
  }

  get length(): number {
    return this.#before + this.#filled - this.#dropped
  }

  /** Memory that it holds. */
  get capacity(): number {
    return this.#before + this.#last.length - this.#packedBytes + (this.#packed?.capacity ?? 0)
  }

  /** Bytes that `pack` may make smaller. */
  get packableBytes(): number {
    if (this.#openPack === null) return 0
    return this.#before - this.#packedBytes + (this.#isLastPackable ? this.#filled : 0)
  }

  text(text: string): void {
    const block = this.#last
    // At most three bytes of UTF-8 per UTF-16 unit: a text that may not fit is split between blocks.
    if (this.#filled + text.length * 3 <= block.length) this.#filled += block.write(text, this.#filled, 'utf8')
    else this.bytes(Buffer.from(text))
  }

  bytes(bytes: Uint8Array): void {
    const buffer = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.slice(buffer, 0, buffer.length)
  }

  /** The bytes of `[start, end)`. */
  slice(bytes: Buffer, start: number, end: number): void {
    for (let at = start; ; ) {
      // Copies as many as fit.
      const copied = bytes.copy(this.#last, this.#filled, at, end)
      this.#filled += copied
      at += copied
      if (at >= end) return
      this.#grow()
    }
  }

  /**
   * The first `count` bytes where they are, packed ones unpacked each time that their turn comes; valid until the next
   * change.
   */
  pieces(count = this.length): Iterable<Buffer> {
    if (this.#packed === null) return [...this.#pieces(count)]
    return { [Symbol.iterator]: () => this.#pieces(count) }
  }

  /** All bytes in one piece, copied when they are in several; valid until the next change. */
  view(): Buffer {
    return this.read(0, this.length)
  }

  /** `count` bytes from `start` on in one piece, copied when they are in several; valid until the next change. */
  read(start: number, count: number): Buffer {
    return joined(this.#pieces(start + count), start, count)
  }

  /** SHA-256 of the first `count` bytes; what is packed was hashed on its way there, where that is possible. */
  sha256(count = this.length): Hash {
    const isPackWhole = this.#dropped === 0 && count >= this.#packedBytes
    const begun = isPackWhole ? (this.#packed?.sha256() ?? null) : null
    const rest = begun === null ? this.#pieces(count) : cut(this.#blocks, 0, count - this.#packedBytes)
    const hash = begun ?? createHash('sha256')
    for (const piece of rest) hash.update(piece)
    return hash
  }

  *#pieces(count: number): Generator<Buffer> {
    yield* cut(this.#allBlocks(), this.#dropped, count)
  }

  /** Those of now, whatever becomes of the buffer meanwhile. */
  *#allBlocks(): Generator<Buffer> {
    const blocks = [...this.#blocks]
    if (this.#packed !== null) yield* this.#packed.pieces()
    yield* blocks
  }

  get #packedBytes(): number {
    return this.#packed?.length ?? 0
  }

  /**
   * Packs what is held and gives the memory back, but for a small block that writing goes on in. Not while a request is
   * reading from it.
   */
  pack(): void {
    while (this.packableBytes > 0) {
      const full = this.#blocks.slice(0, Math.min(blocksPerPack, this.#blocks.length - 1))
      const isWhole = full.length < blocksPerPack && full.length === this.#blocks.length - 1 && this.#isLastPackable
      if (!this.#addToPack(isWhole ? [...full, this.#last.subarray(0, this.#filled)] : full)) return
      this.#blocks.splice(0, full.length)
      for (const block of full) this.#budget.giveBack(block, this.#reusable)
      if (isWhole) this.#replaceLast()
    }
  }

  #replaceLast(): void {
    this.#budget.giveBack(this.#last, this.#reusable)
    this.#before += this.#filled
    this.#last = this.#budget.take(this.#firstBytes)
    this.#filled = 0
    this.#blocks[0] = this.#last
  }

  /** Else as much would be held as before. */
  get #isLastPackable(): boolean {
    return this.#filled > this.#firstBytes
  }

  /** @returns false when the bytes do not become much smaller; those that follow are taken to be of the same kind */
  #addToPack(pieces: readonly Buffer[]): boolean {
    if (this.#openPack === null) return false
    const packed = (this.#packed ??= this.#openPack())
    if (packed.add(Buffer.concat(pieces))) return true
    this.#openPack = null
    if (packed.length === 0) this.#dropPack()
    return false
  }

  #dropPack(): void {
    this.#packed?.release()
    this.#packed = null
  }

  /** Drops all but the first `length` bytes. @throws RangeError when that would cut into packed blocks */
  truncate(length: number): void {
    const end = this.#dropped + length
    if (end < this.#packedBytes) throw new RangeError(`${end} is before the end of ${this.#packedBytes} packed bytes`)
    while (this.#blocks.length > 1 && this.#before >= end) {
      this.#blocks.pop()
      this.#budget.giveBack(this.#last, this.#reusable)
      this.#last = this.#blocks.at(-1) ?? this.#last
      this.#before -= this.#last.length
    }
    this.#filled = end - this.#before
  }

  /** Drops the first `count` bytes. */
  consume(count: number): void {
    this.#dropped += count
    while (this.#packed !== null && this.#dropped >= this.#packed.firstLength) {
      const { firstLength } = this.#packed
      this.#dropped -= firstLength
      this.#before -= firstLength
      this.#packed.removeFirst()
      if (this.#packed.length === 0) this.#dropPack()
    }
    if (this.#packed !== null) return
    let blocks = 0
    for (const block of this.#blocks) {
      if (blocks === this.#blocks.length - 1 || this.#dropped < block.length) break
      this.#dropped -= block.length
      this.#before -= block.length
      this.#budget.giveBack(block, this.#reusable)
      blocks++
    }
    this.#blocks.splice(0, blocks)
    if (this.length === 0 && this.#reusable) {
      this.#dropped = 0
      this.#filled = 0
    }
  }

  /** From now on blocks are not handed out again: somebody may go on reading what was in them. */
  keepFromReuse(): void {
    this.#reusable = false
    this.#packed?.keepFromReuse()
  }

  /** Gives the memory back; the buffer must not be used afterwards. Idempotent. */
  release(): void {
    this.#dropPack()
    for (const block of this.#blocks) this.#budget.giveBack(block, this.#reusable)
    this.#blocks.length = 0
    this.#last = Buffer.alloc(0)
    this.#filled = 0
    this.#before = 0
    this.#dropped = 0
  }

  #grow(): void {
    const next = this.#budget.take(
      Math.min(Math.max(this.#before + this.#last.length, this.#firstBytes), maxBlockBytes),
    )
    this.#before += this.#last.length
    this.#last = next
    this.#filled = 0
    this.#blocks.push(next)
  }
}

/** `count` bytes behind the first `skip` of blocks that follow each other, where they are. */
function* cut(blocks: Iterable<Buffer>, skip: number, count: number): Generator<Buffer> {
  let start = skip
  let left = count
  for (const block of blocks) {
    if (left === 0) return
    const piece = block.subarray(start, Math.min(block.length, start + left))
    start = 0
    left -= piece.length
    yield piece
  }
}

/** `count` bytes from `start` on of pieces that follow each other, copied when they are in several. */
export function joined(pieces: Iterable<Buffer>, start: number, count: number): Buffer {
  const parts: Buffer[] = []
  let at = -start
  for (const piece of pieces) {
    if (at >= count) break
    if (at + piece.length > 0) parts.push(piece.subarray(Math.max(0, -at), Math.min(piece.length, count - at)))
    at += piece.length
  }
  const [first = Buffer.alloc(0)] = parts
  return parts.length <= 1 ? first : Buffer.concat(parts)
}
