import type { Clock } from '../api/context.ts'

export interface PollWatchdogOptions {
  readonly clock: Clock
  /** `rebalance.timeout.ms`: how long the loop may do without the group. */
  readonly timeoutMs: number
  /** Once per time that it is busy. Never rejects. */
  expired(): Promise<void>
}

/**
 * Notices a herder's loop that does not come back to its group within `rebalance.timeout.ms`, because a plugin does
 * not stop or a topic cannot be read (Connect's poll timeout, statement 63). Heartbeats go on beside the loop, so the
 * group itself would never miss such a worker, and rebalances would wait for it.
 */
export class PollWatchdog {
  readonly #options: PollWatchdogOptions
  #timer: AbortController | null = null
  #watching: Promise<void> = Promise.resolve()
  #eviction: Promise<void> | null = null

  constructor(options: PollWatchdogOptions) {
    this.#options = options
  }

  /** The loop works on something; the time runs from now. */
  busy(): void {
    this.polling()
    const timer = new AbortController()
    this.#timer = timer
    this.#watching = this.#watch(timer.signal)
  }

  /** The loop waits for the group, or for news: the time stands still. */
  polling(): void {
    this.#timer?.abort()
    this.#timer = null
  }

  /** Waits for an `expired` that is under way: it leaves the group, which must not meet the next join. */
  async settled(): Promise<void> {
    await this.#eviction
  }

  /** Ends the watch; waits for what it began. */
  async close(): Promise<void> {
    this.polling()
    await this.#watching
  }

  async #watch(signal: AbortSignal): Promise<void> {
    await this.#options.clock.sleep(this.#options.timeoutMs, signal)
    if (signal.aborted) return
    this.#eviction = this.#options.expired().finally(() => {
      this.#eviction = null
    })
    await this.#eviction
  }
}
