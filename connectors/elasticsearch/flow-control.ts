import type { Clock } from '../../worker/api/context.ts'
import { ConnectError } from '../../worker/api/errors.ts'

/**
 * Counts of what a writer has taken and not finished, its first failure, and waits for both. One per task; the
 * writers decide what is sent, this decides whether more may be taken and when something may end.
 */
export class FlowControl {
  readonly #clock: Clock
  readonly #maxRecords: number
  readonly #timeoutMs: number
  readonly #maxRequests: number
  readonly #halt = new AbortController()
  readonly #cut = new AbortController()
  readonly #waiters = new Set<() => void>()
  #count = 0
  #inFlight = 0
  /** Requests that may wait for an answer at one time now; a fraction is on its way to the next whole one. */
  #allowed: number
  #outstanding = 0
  #failure: Error | null = null

  constructor(options: {
    readonly clock: Clock
    /** `max.buffered.records`: records that are buffered, waiting or in flight. */
    readonly maxRecords: number
    /** `flush.timeout.ms`. */
    readonly timeoutMs: number
    /** `max.in.flight.requests`. */
    readonly maxRequests: number
  }) {
    this.#clock = options.clock
    this.#maxRecords = options.maxRecords
    this.#timeoutMs = options.timeoutMs
    this.#maxRequests = options.maxRequests
    this.#allowed = options.maxRequests
  }

  /** Ends waits between retries, once the writer has failed or is closed. */
  get halted(): AbortSignal {
    return this.#halt.signal
  }

  /** Cuts requests off, after the deadline of closing. */
  get cut(): AbortSignal {
    return this.#cut.signal
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** @throws the first failure, once there is one: nothing more is sent after it */
  throwIfFailed(): void {
    if (this.#failure !== null) throw this.#failure
  }

  /** Counts one record in. @returns false when the buffer is full */
  take(): boolean {
    this.throwIfFailed()
    if (this.#count >= this.#maxRecords) return false
    this.#count++
    return true
  }

  /** Counts records out: their effect is durable, or they were reported. */
  finish(count: number): void {
    this.#count -= count
  }

  requestStarts(): void {
    this.#inFlight++
  }

  requestEnds(): void {
    this.#inFlight--
    this.wake()
  }

  /**
   * Makes a request when it may be made. A server that is busy, or slower than `read.timeout.ms`, still works off what
   * it was sent before: more of the same would only make its queue longer, so every such failure halves the requests
   * that may wait for an answer, and answers let them grow again by one per round.
   * @param isOverload whether a failure says that the server has too much to do
   * @throws the request's failure, or what ended the wait
   */
  async request<T>(send: () => Promise<T>, isOverload: (error: unknown) => boolean): Promise<T> {
    while (this.#outstanding >= Math.floor(this.#allowed)) {
      if (this.#halt.signal.aborted) throw this.#failure ?? taskClosed()
      await new Promise<void>((resolve) => this.#waiters.add(resolve))
    }
    this.#outstanding++
    try {
      const answer = await send()
      this.#allowed = Math.min(this.#maxRequests, this.#allowed + 1 / this.#allowed)
      return answer
    } catch (error) {
      if (isOverload(error)) this.#allowed = Math.max(1, this.#allowed / 2)
      throw error
    } finally {
      this.#outstanding--
      this.wake()
    }
  }

  /** Keeps the first failure; nothing is sent any more. */
  fail(error: Error): void {
    if (this.#halt.signal.aborted && this.#failure === null) return
    this.#failure ??= error
    this.#halt.abort()
    this.wake()
  }

  /** Sleeps between attempts. @throws the failure, or the closing, that ended the wait */
  async pause(ms: number): Promise<void> {
    await this.#clock.sleep(ms, this.#halt.signal)
    if (this.#halt.signal.aborted) throw this.#failure ?? taskClosed()
  }

  /**
   * Waits for room in the buffer.
   * @param hasRoom what must be true besides; looked at after each answer
   * @returns false when `signal` aborted the wait
   * @throws ConnectError after `flush.timeout.ms`, or the failure
   */
  async room(signal: AbortSignal, hasRoom: () => boolean = () => true): Promise<boolean> {
    const isRoom = await this.#until(() => this.#count < this.#maxRecords && hasRoom(), this.#timeoutMs, signal)
    this.throwIfFailed()
    if (isRoom || signal.aborted) return isRoom
    throw new ConnectError(
      'fatal',
      'CONNECT_ES_BUFFER_FULL',
      'Could not make space in the internal buffer fast enough. Consider increasing flush.timeout.ms or max.buffered.records.',
    )
  }

  /** Waits until nothing is buffered, waiting or in flight. @returns false after `timeoutMs` or a failure */
  async drained(timeoutMs: number): Promise<boolean> {
    return await this.#until(() => this.#count === 0, timeoutMs, this.#halt.signal)
  }

  /** Ends everything that is under way and waits for its end; what was not acknowledged is not done. */
  async close(): Promise<void> {
    this.#halt.abort()
    this.#cut.abort()
    this.wake()
    // Requests that were cut off end at once; without this they would outlive the task.
    while (this.#inFlight > 0) await new Promise<void>((resolve) => this.#waiters.add(resolve))
  }

  /** Lets every wait look at its condition again. */
  wake(): void {
    const waiters = [...this.#waiters]
    this.#waiters.clear()
    for (const resolve of waiters) resolve()
  }

  /** Waits for a condition, looked at after each answer. */
  async #until(isMet: () => boolean, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    if (isMet()) return true
    const timer = new AbortController()
    const either = AbortSignal.any([timer.signal, signal, this.#halt.signal])
    let timedOut = false
    const expiry = this.#clock.sleep(timeoutMs, either).then(() => {
      timedOut = true
      this.wake()
    })
    try {
      while (!isMet() && !timedOut && !either.aborted) {
        await new Promise<void>((resolve) => this.#waiters.add(resolve))
      }
      return isMet()
    } finally {
      timer.abort()
      await expiry
    }
  }
}

/** What requests end with that were cut off. */
export function taskClosed(): ConnectError {
  return new ConnectError('fatal', 'CONNECT_ES_REQUEST', 'The task was closed before the server answered')
}
