/**
 * Bounded queue between one producer and one consumer, measured in bytes: a full queue stops the producer, nothing is
 * dropped to make room. An item larger than the bound is let in alone, so that it cannot block for ever.
 */
export class ByteQueue<T> {
  readonly #items: { readonly item: T; readonly bytes: number }[] = []
  readonly #maxBytes: number
  #head = 0
  #bytes = 0
  #closed = false
  #failure: Error | null = null
  #wakeTaker: (() => void) | null = null
  #wakePutter: (() => void) | null = null

  /** @param maxBytes at least 1; `put` waits while the queue holds this much or more */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  get length(): number {
    return this.#items.length - this.#head
  }

  /**
   * Adds an item; waits for room first. One `put` at a time.
   * @returns false when the queue was closed or `signal` aborted before there was room: the item was not added
   */
  async put(item: T, bytes: number, signal?: AbortSignal): Promise<boolean> {
    while (this.#bytes >= this.#maxBytes && !this.#closed && !signal?.aborted) {
      await waitFor((wake) => {
        this.#wakePutter = wake
      }, signal)
    }
    if (this.#closed || signal?.aborted) return false
    this.#items.push({ item, bytes })
    this.#bytes += bytes
    this.#wake('taker')
    return true
  }

  /**
   * Everything that is there, up to `maxCount`; waits for the first item. [] when the queue was closed and is empty,
   * or when `signal` aborted. @throws the error given to `fail`, after the items before it have been taken
   */
  async take(maxCount: number, signal?: AbortSignal): Promise<T[]> {
    while (this.length === 0 && !this.#closed && !signal?.aborted) {
      await waitFor((wake) => {
        this.#wakeTaker = wake
      }, signal)
    }
    if (this.length === 0) {
      if (this.#failure !== null && !signal?.aborted) throw this.#failure
      return []
    }
    return this.#takeNow(maxCount)
  }

  /** No more items; what is queued can still be taken. Idempotent. */
  close(): void {
    this.#closed = true
    this.#wake('taker')
    this.#wake('putter')
  }

  /** As `close`, and `take` throws `error` once the queue is empty. The first error wins. */
  fail(error: Error): void {
    if (!this.#closed) this.#failure = error
    this.close()
  }

  #takeNow(maxCount: number): T[] {
    const end = Math.min(this.#items.length, this.#head + maxCount)
    const taken: T[] = []
    for (let i = this.#head; i < end; i++) {
      const entry = this.#items[i]
      if (entry === undefined) break
      taken.push(entry.item)
      this.#bytes -= entry.bytes
    }
    if (end === this.#items.length) {
      this.#items.length = 0
      this.#head = 0
    } else {
      // Moves the rest only once in a while, so that taking stays linear over all.
      this.#head = end
      if (this.#head > 1024) {
        this.#items.splice(0, this.#head)
        this.#head = 0
      }
    }
    this.#wake('putter')
    return taken
  }

  #wake(side: 'taker' | 'putter'): void {
    if (side === 'taker') {
      const wake = this.#wakeTaker
      this.#wakeTaker = null
      wake?.()
    } else {
      const wake = this.#wakePutter
      this.#wakePutter = null
      wake?.()
    }
  }
}

/** Resolves when woken or when `signal` aborts; leaves no listener behind. */
function waitFor(register: (wake: () => void) => void, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      signal?.removeEventListener('abort', wake)
      resolve()
    }
    register(wake)
    signal?.addEventListener('abort', wake, { once: true })
  })
}
