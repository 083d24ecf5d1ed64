import type { MemoryBudget } from './memory-budget.ts'

/** Largest block: what is wasted per open object, and what a socket is given at a time. */
const maxBlockBytes = 65_536

/**
 * Bytes in blocks of a task's budget. Blocks double the capacity up to `maxBlockBytes` each; nothing is moved when it
 * grows, so what is held is at most one block more than what was written, and a part is sent from where it was written.
 */
export class BlockBuffer {
  readonly #budget: MemoryBudget
  readonly #firstBytes: number
  /** All full but the last. */
  readonly #blocks: Buffer[] = []
  #last: Buffer
  /** Of the last block. */
  #filled = 0
  /** Bytes of all blocks but the last. */
  #before = 0
  /** Bytes at the start that are dropped. */
  #dropped = 0
  #reusable = true

  /** `initialBytes`: size of the first block. */
  constructor(budget: MemoryBudget, initialBytes: number) {
    this.#budget = budget
    this.#firstBytes = Math.min(initialBytes, maxBlockBytes)
    this.#last = budget.take(this.#firstBytes)
    this.#blocks.push(this.#last)
  }

  get length(): number {
    return this.#before + this.#filled - this.#dropped
  }

  /** Memory that it holds. */
  get capacity(): number {
    return this.#before + this.#last.length
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

  /** The first `count` bytes where they are; valid until the next change. */
  pieces(count = this.length): readonly Buffer[] {
    const pieces: Buffer[] = []
    let skip = this.#dropped
    let left = count
    for (const block of this.#blocks) {
      if (left === 0) break
      const piece = block.subarray(skip, Math.min(block.length, skip + left))
      skip = 0
      left -= piece.length
      pieces.push(piece)
    }
    return pieces
  }

  /** All bytes in one piece, copied when they are in several; valid until the next change. */
  view(): Buffer {
    const pieces = this.pieces()
    const [first = Buffer.alloc(0)] = pieces
    return pieces.length <= 1 ? first : Buffer.concat(pieces)
  }

  /** Drops all but the first `length` bytes. */
  truncate(length: number): void {
    const end = this.#dropped + length
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
  }

  /** Gives the memory back; the buffer must not be used afterwards. Idempotent. */
  release(): void {
    for (const block of this.#blocks) this.#budget.giveBack(block, this.#reusable)
    this.#blocks.length = 0
    this.#last = Buffer.alloc(0)
    this.#filled = 0
    this.#before = 0
    this.#dropped = 0
  }

  #grow(): void {
    const next = this.#budget.take(Math.min(Math.max(this.capacity, this.#firstBytes), maxBlockBytes))
    this.#before += this.#last.length
    this.#last = next
    this.#filled = 0
    this.#blocks.push(next)
  }
}
