/** Bytes that the open objects of one task hold; a soft limit, checked after each record. */
export class MemoryBudget {
  readonly limitBytes: number
  #usedBytes = 0

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  get exceeded(): boolean {
    return this.#usedBytes > this.limitBytes
  }

  /** Negative to give back. */
  add(bytes: number): void {
    this.#usedBytes += bytes
  }
}

/** A byte buffer that grows by doubling up to a size, then by what is needed; its capacity counts in the budget. */
export class GrowingBuffer {
  readonly #budget: MemoryBudget
  readonly #steadyBytes: number
  #buffer: Buffer
  #length = 0

  /** `steadyBytes`: where doubling ends. */
  constructor(budget: MemoryBudget, initialBytes: number, steadyBytes: number) {
    this.#budget = budget
    this.#steadyBytes = steadyBytes
    this.#buffer = Buffer.allocUnsafeSlow(initialBytes)
    budget.add(initialBytes)
  }

  get length(): number {
    return this.#length
  }

  text(text: string): void {
    // At most three bytes of UTF-8 per UTF-16 unit.
    this.#reserve(text.length * 3)
    this.#length += this.#buffer.write(text, this.#length, 'utf8')
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** The bytes of `[start, end)`. */
  slice(bytes: Buffer, start: number, end: number): void {
    this.#reserve(end - start)
    this.#length += bytes.copy(this.#buffer, this.#length, start, end)
  }

  /** A view of the first `count` bytes; valid until the next change. */
  view(count = this.#length): Buffer {
    return this.#buffer.subarray(0, count)
  }

  truncate(length: number): void {
    this.#length = length
  }

  /** Drops the first `count` bytes. */
  consume(count: number): void {
    this.#buffer.copyWithin(0, count, this.#length)
    this.#length -= count
  }

  /** Gives the memory back; the buffer must not be used afterwards. Idempotent. */
  release(): void {
    this.#budget.add(-this.#buffer.length)
    this.#buffer = Buffer.alloc(0)
    this.#length = 0
  }

  #reserve(count: number): void {
    const needed = this.#length + count
    if (needed <= this.#buffer.length) return
    const doubled = Math.min(this.#buffer.length * 2, this.#steadyBytes)
    const grown = Buffer.allocUnsafeSlow(Math.max(doubled, needed))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#budget.add(grown.length - this.#buffer.length)
    this.#buffer = grown
  }
}
