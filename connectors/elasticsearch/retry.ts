import type { Clock, Logger } from '../../worker/api/context.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import { classify, reasonOf, requestError } from './errors.ts'

/** Java's shift has 32 useful steps; beyond them the bound holds anyway. */
const maxDoublings = 32

/**
 * Waits before repeats: full jitter under a bound that doubles.
 */
export class Backoff {
  readonly #baseMs: number
  readonly #maxMs: number
  readonly #random: () => number

  constructor(config: ElasticsearchSinkConfig, random: () => number = Math.random) {
    this.#baseMs = config['retry.backoff.ms']
    this.#maxMs = config['retry.backoff.max.ms']
    this.#random = random
  }

  /** Upper bound in ms of the wait before repeat `n` (1, 2, …). */
  boundMs(n: number): number {
    return Math.min(this.#maxMs, this.#baseMs * 2 ** Math.min(n - 1, maxDoublings))
  }

  waitMs(n: number): number {
    return this.#random() * this.boundMs(n)
  }
}

export interface RetryContext {
  readonly backoff: Backoff
  readonly maxRetries: number
  readonly clock: Clock
  readonly logger: Logger
  /** Aborts waits. */
  readonly signal: AbortSignal
}

/**
 * Repeats a request while its failure is transient. Safe only for requests that may be repeated.
 * @throws ConnectError when retries are exhausted or the failure is final; AbortError of the signal
 */
export async function withRetries<T>(what: string, context: RetryContext, call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    context.signal.throwIfAborted()
    try {
      return await call()
    } catch (error) {
      if (classify(error) !== 'retry' || attempt > context.maxRetries) {
        throw requestError({ what, error, attempts: attempt })
      }
      context.logger.warn({ what, attempt, error: reasonOf(error) }, 'Elasticsearch request failed, will be repeated')
      await context.clock.sleep(context.backoff.waitMs(attempt), context.signal)
    }
  }
}
