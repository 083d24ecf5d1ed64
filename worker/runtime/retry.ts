/**
 * Retries and tolerance of converters and transforms (Connect's `RetryWithToleranceOperator`, KIP-298). The hot path
 * calls a converter directly; only what was thrown comes here.
 */
import type { Clock } from '../api/context.ts'
import { ConnectError, kindOf, RetriableError, toError } from '../api/errors.ts'
import type { SourceRecord } from '../api/record.ts'
import type { ConsumerRecord } from '../kafka/types.ts'

/** Connect's names of the places where a record can fail; they stand in logs and DLQ headers. */
export type Stage =
  | 'TASK_PUT'
  | 'TRANSFORMATION'
  | 'KEY_CONVERTER'
  | 'VALUE_CONVERTER'
  | 'HEADER_CONVERTER'
  | 'KAFKA_PRODUCE'

/** A consumed record with its coordinates: those of the original, before transforms (KIP-793). */
export interface ConsumedRecord {
  readonly topic: string
  readonly partition: number
  readonly record: ConsumerRecord
}

/** One record that could not be processed. */
export interface RecordFailure {
  readonly stage: Stage
  /** Java class name of the converter or transform. */
  readonly className: string
  readonly error: Error
  /** Exactly one of the two is set. */
  readonly consumed: ConsumedRecord | null
  readonly source: SourceRecord | null
}

/** Log, or dead letter queue. Never rejects: a report that fails is logged and counted, the task goes on. */
export interface ErrorReporter {
  report(failure: RecordFailure): Promise<void>
  close(): Promise<void>
}

/** Counters of `task-error-metrics`. */
export interface ErrorCounters {
  failure(): void
  error(): void
  skipped(): void
  retry(): void
  logged(): void
  deadLetterRequest(): void
  deadLetterFailure(): void
}

export interface RetryPolicy {
  /** `errors.retry.timeout`: 0 no retries, -1 for ever. */
  readonly timeoutMs: number
  /** `errors.retry.delay.max.ms` */
  readonly maxDelayMs: number
}

const initialDelayMs = 300

/**
 * Delay before attempt `retry` + 1: 300 ms · 2ⁿ⁻¹; when that exceeds the maximum a random delay below it, so that
 * tasks do not retry in step. Never beyond `remainingMs`.
 * @param retry from 1
 */
export function retryDelayMs(retry: number, policy: RetryPolicy, remainingMs: number, random: () => number): number {
  // The exponent is capped: 2^1023 would be the last finite power.
  let delay = initialDelayMs * 2 ** Math.min(retry - 1, 52)
  if (delay > policy.maxDelayMs) delay = Math.floor(random() * policy.maxDelayMs)
  return Math.max(0, Math.min(delay, remainingMs))
}

/** What became of an operation. `stopped`: the task is stopping and the record is undecided, so it is not passed. */
export type Recovery<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'failed' }
  | { readonly kind: 'stopped' }

export interface ErrorOperatorOptions {
  readonly retry: RetryPolicy
  readonly tolerance: 'none' | 'all'
  readonly reporters: readonly ErrorReporter[]
  readonly counters: ErrorCounters
  readonly clock: Clock
  readonly random?: () => number
}

/** Connect's text when an error is not tolerated. */
export function toleranceExceeded(cause: Error): ConnectError {
  return new ConnectError('fatal', 'CONNECT_TOLERANCE_EXCEEDED', 'Tolerance exceeded in error handler', { cause })
}

export class ErrorOperator {
  readonly #options: ErrorOperatorOptions
  readonly #random: () => number

  constructor(options: ErrorOperatorOptions) {
    this.#options = options
    this.#random = options.random ?? Math.random
  }

  get tolerant(): boolean {
    return this.#options.tolerance === 'all'
  }

  get counters(): ErrorCounters {
    return this.#options.counters
  }

  /**
   * Goes on after `attempt` threw `thrown`: repeats a retriable one until `errors.retry.timeout`, then reports and
   * either skips the record or fails the task.
   *
   * Connect skips a record whose retries are used up even under `errors.tolerance=none`, and one whose retries were
   * cut short by a stop; both would lose it, so here the first fails the task and the second stays undecided (I3).
   * @param place called after each failure: where it happened (an attempt may get further than the one before)
   * @throws ConnectError `Tolerance exceeded in error handler`, after the report
   */
  async recover<T>(
    thrown: unknown,
    attempt: () => T | Promise<T>,
    place: () => Omit<RecordFailure, 'error'>,
    signal: AbortSignal,
  ): Promise<Recovery<T>> {
    const { retry, clock, counters } = this.#options
    const startedAt = clock.monotonicMs()
    let error = toError(thrown)
    counters.failure()
    for (let retries = 1; kindOf(error) === 'retriable'; retries++) {
      const remaining = retry.timeoutMs < 0 ? Infinity : startedAt + retry.timeoutMs - clock.monotonicMs()
      if (remaining <= 0) break
      const wanted = error instanceof RetriableError ? (error.retryAfterMs ?? 0) : 0
      const delay = retryDelayMs(retries, retry, remaining, this.#random)
      await clock.sleep(Math.min(Math.max(delay, wanted), remaining), signal)
      if (signal.aborted) return { kind: 'stopped' }
      counters.retry()
      try {
        return { kind: 'value', value: await attempt() }
      } catch (again) {
        error = toError(again)
        counters.failure()
      }
    }
    await this.fail({ ...place(), error })
    return { kind: 'failed' }
  }

  /**
   * A record that failed for good: reports it, then counts it as skipped or fails the task.
   * @throws ConnectError when `errors.tolerance` is `none`
   */
  async fail(failure: RecordFailure): Promise<void> {
    const { counters, tolerance } = this.#options
    counters.error()
    await this.report(failure)
    if (tolerance === 'none') throw toleranceExceeded(failure.error)
    counters.skipped()
  }

  /** Resolves when every reporter is done (the dead letter is durable, or its failure is logged). */
  async report(failure: RecordFailure): Promise<void> {
    const { reporters } = this.#options
    if (reporters.length === 0) return
    await Promise.all(reporters.map((reporter) => reporter.report(failure)))
  }

  async close(): Promise<void> {
    for (const reporter of this.#options.reporters) await reporter.close()
  }
}
