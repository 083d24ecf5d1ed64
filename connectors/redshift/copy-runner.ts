import { createHash, randomUUID } from 'node:crypto'
import type { Clock, Logger } from '../../worker/api/context.ts'
import { ConnectError, toError } from '../../worker/api/errors.ts'
import type { DataApi, ResultRow, StatementState } from './data-api.ts'
import { classifyStatement, isThrottled, isTransientCall } from './errors.ts'

/**
 * How a transaction ended. `unknown`: nobody can say whether it took effect (it was aborted, cancelled, or could
 * not be observed); only the ledger knows.
 */
export type Outcome =
  | { readonly kind: 'finished'; readonly id: string }
  | { readonly kind: 'failed'; readonly id: string; readonly queryId: string | null; readonly error: string }
  | { readonly kind: 'unknown'; readonly error: string }

export interface RunnerOptions {
  readonly pollInitialMs: number
  readonly pollMaxMs: number
  /** How long a look at a statement may wait in the service for its end; 0: not at all. */
  readonly waitSeconds: number
  readonly statementTimeoutMs: number
  /** Repeats of one call that fails for reasons that may pass. */
  readonly maxRetries: number
  readonly retryBackoffMs: number
}

const maxBackoffMs = 300_000
/** Rates are limited by the second: whoever waits longer only falls behind. */
const maxBusyBackoffMs = 10_000
const forgotten: StatementState = {
  status: 'ABORTED',
  error: 'the service does not know the statement any more',
  hasResult: false,
  failedQueryId: null,
}

/** Submits statements and watches them to their end. */
export class CopyRunner {
  readonly #api: DataApi
  readonly #options: RunnerOptions
  readonly #clock: Clock
  readonly #logger: Logger
  /** Attempts count from 1 again after a restart, while the service remembers tokens for hours. */
  readonly #nonce = randomUUID()
  readonly #onThrottled: () => void
  /** 0 as soon as the service refuses to wait. */
  #waitSeconds: number

  constructor(
    api: DataApi,
    options: RunnerOptions,
    services: { readonly clock: Clock; readonly logger: Logger; readonly onThrottled?: () => void },
  ) {
    this.#api = api
    this.#onThrottled = services.onThrottled ?? (() => {})
    this.#options = options
    this.#waitSeconds = options.waitSeconds
    this.#clock = services.clock
    this.#logger = services.logger
  }

  /**
   * Runs one transaction. `name` and `attempt` make its token: a repeated submission within this call can never
   * start a second COPY, and a new attempt is never answered with the outcome of the old one.
   * @throws ConnectError when the Data API refuses the call
   */
  async run(sqls: readonly string[], name: string, attempt: number, signal: AbortSignal): Promise<Outcome> {
    const token = createHash('sha256').update(`${this.#nonce}|${name}|${attempt}`).digest('hex')
    const deadline = this.#clock.monotonicMs() + this.#options.statementTimeoutMs
    let id: string
    try {
      id = await this.#repeat('submit', signal, () => this.#api.submit(sqls, token, signal))
    } catch (error) {
      // The service may have taken the statement although no answer came.
      if (isTransientCall(toError(error).cause)) return { kind: 'unknown', error: toError(error).message }
      throw error
    }
    return this.#watch(id, deadline, signal)
  }

  /** Rows of one query; repeats what may pass. @throws ConnectError */
  async query(sql: string, signal: AbortSignal): Promise<readonly ResultRow[]> {
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.run([sql], randomUUID(), attempt, signal)
      if (outcome.kind === 'finished') return this.#repeat('result', signal, () => this.#api.rows(outcome.id, signal))
      const mayPass = outcome.kind === 'unknown' || classifyStatement(outcome.error) === 'transient'
      if (!mayPass || attempt > this.#options.maxRetries || signal.aborted) {
        throw new ConnectError('fatal', 'CONNECT_REDSHIFT_STATEMENT', `Query failed: ${outcome.error}`)
      }
      await this.backOff(attempt, signal)
    }
  }

  /** Full jitter under a doubling cap. */
  async backOff(attempt: number, signal: AbortSignal, maxMs = maxBackoffMs): Promise<void> {
    const capMs = Math.min(this.#options.retryBackoffMs * 2 ** Math.min(attempt - 1, 20), maxMs)
    await this.#clock.sleep(Math.random() * capMs, signal)
  }

  async #watch(id: string, deadline: number, signal: AbortSignal): Promise<Outcome> {
    let pauseMs = this.#options.pollInitialMs
    while (!signal.aborted) {
      const askedAt = this.#clock.monotonicMs()
      const state = await this.#describe(id, deadline - askedAt, signal)
      if (state?.status === 'FINISHED') return { kind: 'finished', id }
      if (state?.status === 'FAILED') return { kind: 'failed', id, queryId: state.failedQueryId, error: state.error }
      // Not a proof of rollback: the service has been seen to run an aborted COPY again, with success.
      if (state?.status === 'ABORTED') return { kind: 'unknown', error: state.error || 'the statement was aborted' }
      if (this.#clock.monotonicMs() >= deadline) return this.#cancel(id)
      // What the service has waited already needs no pause.
      const waitedMs = this.#clock.monotonicMs() - askedAt
      await this.#clock.sleep(Math.max(0, pauseMs * (0.75 + Math.random() / 4) - waitedMs), signal)
      pauseMs = Math.min(pauseMs * 2, this.#options.pollMaxMs)
    }
    return { kind: 'unknown', error: 'the task is stopping' }
  }

  /** Null when the call failed for a reason that may pass: a running statement is never given up for that. */
  async #describe(id: string, leftMs: number, signal: AbortSignal): Promise<StatementState | null> {
    const waitSeconds = Math.max(0, Math.min(this.#waitSeconds, Math.ceil(leftMs / 1000)))
    try {
      return await this.#api.describe(id, waitSeconds, signal)
    } catch (error) {
      if (signal.aborted) return null
      if (waitSeconds > 0 && toError(error).name === 'ValidationException') {
        this.#logger.info(
          { error: toError(error).message },
          'the Data API does not wait for statements: it is asked again',
        )
        this.#waitSeconds = 0
        return null
      }
      // Forgotten, so nobody can say how it ended: the ledger can.
      if (toError(error).name === 'ResourceNotFoundException') return forgotten
      if (!isTransientCall(error)) throw refused('describe', error)
      this.#logger.debug({ id, error: toError(error).message }, 'describing a statement failed and will be repeated')
      return null
    }
  }

  async #cancel(id: string): Promise<Outcome> {
    const error = `statement ${id} ran longer than statement.timeout.ms=${this.#options.statementTimeoutMs} and was cancelled`
    try {
      await this.#api.cancel(id)
    } catch (cause) {
      // A statement that ended meanwhile cannot be cancelled; the ledger tells what it did.
      this.#logger.warn({ id, error: toError(cause).message }, 'a statement could not be cancelled')
    }
    return { kind: 'unknown', error }
  }

  /** A service that is too busy is waited for, however long; other failures that may pass count. */
  async #repeat<T>(what: string, signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    let failures = 0
    for (let attempt = 1; ; attempt++) {
      try {
        return await call()
      } catch (error) {
        if (!isTransientCall(error)) throw refused(what, error)
        const isBusy = isThrottled(error)
        if (isBusy) this.#onThrottled()
        else failures++
        if (failures > this.#options.maxRetries || signal.aborted) throw unavailable(what, attempt, error)
        await this.backOff(attempt, signal, isBusy ? maxBusyBackoffMs : maxBackoffMs)
      }
    }
  }
}

function refused(what: string, cause: unknown): ConnectError {
  const { name, message } = toError(cause)
  return new ConnectError('fatal', 'CONNECT_REDSHIFT_REJECTED', `Data API refuses ${what}: ${name}: ${message}`, {
    cause,
  })
}

function unavailable(what: string, attempts: number, cause: unknown): ConnectError {
  const { name, message } = toError(cause)
  const text = `Data API ${what} failed ${attempts} times: ${name}: ${message}`
  return new ConnectError('fatal', 'CONNECT_REDSHIFT_UNAVAILABLE', text, { cause })
}
