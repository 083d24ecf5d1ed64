/**
 * Memory of the open objects of one task, in bytes; a soft limit, checked after each record. What was handed out counts
 * until it is given back, uploads on their way included. Blocks that come back are handed out again: the memory of the
 * process stays at the most that was open at a time, and neither the allocator nor the garbage collector see the
 * traffic.
 */
export class MemoryBudget {
  readonly limitBytes: number
  #usedBytes = 0
  /** By size. */
  readonly #free = new Map<number, Buffer[]>()
  /** By size: the fewest that were free at a time since the last `trim`. */
  readonly #surplus = new Map<number, number>()

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  get exceeded(): boolean {
    return this.#usedBytes > this.limitBytes
  }

  /** Memory that is not a block of this budget; negative to give back. */
  add(bytes: number): void {
    this.#usedBytes += bytes
  }

  /** A block with any content. */
  take(bytes: number): Buffer {
    this.#usedBytes += bytes
    const free = this.#free.get(bytes)
    const block = free?.pop()
    if (free === undefined || block === undefined) return Buffer.allocUnsafeSlow(bytes)
    if (free.length < (this.#surplus.get(bytes) ?? 0)) this.#surplus.set(bytes, free.length)
    return block
  }

  /** `reusable`: nobody reads it any more. */
  giveBack(block: Buffer, reusable: boolean): void {
    this.#usedBytes -= block.length
    if (!reusable) return
    const free = this.#free.get(block.length)
    if (free === undefined) this.#free.set(block.length, [block])
    else free.push(block)
  }

  /** Lets go of the blocks that nobody needed since the last call. */
  trim(): void {
    for (const [bytes, free] of this.#free) {
      // Those that have been free for longest.
      free.splice(0, this.#surplus.get(bytes) ?? 0)
      if (free.length === 0) this.#free.delete(bytes)
      this.#surplus.set(bytes, free.length)
    }
  }
}
