/**
 * Memory of the open objects of one task, in bytes. What was handed out counts until it is given back, uploads on their
 * way included. The limit is looked at before each record: it is passed by one record at most, and by what compressing
 * the objects of a commit takes. Blocks that come back are handed out again, so neither the allocator nor the garbage
 * collector see the traffic; together with those in use they stay below the limit, too.
 */
export class MemoryBudget {
  readonly limitBytes: number
  #usedBytes = 0
  /** By size. */
  readonly #free = new Map<number, Buffer[]>()
  #freeBytes = 0
  /** By size: the fewest that were free at a time since the last `trim`. */
  readonly #surplus = new Map<number, number>()

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  /** Memory of blocks that wait to be handed out again. */
  get freeBytes(): number {
    return this.#freeBytes
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
    if (free === undefined || block === undefined) {
      this.#makeRoom()
      return Buffer.allocUnsafeSlow(bytes)
    }
    this.#freeBytes -= bytes
    if (free.length < (this.#surplus.get(bytes) ?? 0)) this.#surplus.set(bytes, free.length)
    return block
  }

  /** `reusable`: nobody reads it any more. */
  giveBack(block: Buffer, reusable: boolean): void {
    this.#usedBytes -= block.length
    if (!reusable) return
    this.#freeBytes += block.length
    const free = this.#free.get(block.length)
    if (free === undefined) this.#free.set(block.length, [block])
    else free.push(block)
  }

  /** Lets go of the blocks that nobody needed since the last call. */
  trim(): void {
    for (const [bytes, free] of this.#free) {
      // Those that have been free for longest.
      this.#freeBytes -= bytes * free.splice(0, this.#surplus.get(bytes) ?? 0).length
      if (free.length === 0) this.#free.delete(bytes)
      this.#surplus.set(bytes, free.length)
    }
  }

  /** Lets go of free blocks of other sizes before one more is made. */
  #makeRoom(): void {
    for (const [bytes, free] of this.#free) {
      while (free.length > 0 && this.#usedBytes + this.#freeBytes > this.limitBytes) {
        free.pop()
        this.#freeBytes -= bytes
      }
      if (free.length < (this.#surplus.get(bytes) ?? 0)) this.#surplus.set(bytes, free.length)
    }
  }
}
