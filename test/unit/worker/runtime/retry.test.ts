import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DataError, RetriableError } from '../../../../worker/api/errors.ts'
import {
  ErrorOperator,
  type ErrorReporter,
  type RecordFailure,
  retryDelayMs,
} from '../../../../worker/runtime/retry.ts'
import { SteppingClock } from '../../../support/contexts.ts'

class Counts {
  readonly seen: Record<string, number> = {}
  #add(name: string): void {
    this.seen[name] = (this.seen[name] ?? 0) + 1
  }
  failure = (): void => this.#add('failure')
  error = (): void => this.#add('error')
  skipped = (): void => this.#add('skipped')
  retry = (): void => this.#add('retry')
  logged = (): void => this.#add('logged')
  deadLetterRequest = (): void => this.#add('deadLetterRequest')
  deadLetterFailure = (): void => this.#add('deadLetterFailure')
}

function open(options: { timeoutMs: number; maxDelayMs?: number; tolerance?: 'none' | 'all' }) {
  const clock = new SteppingClock()
  const counters = new Counts()
  const reports: RecordFailure[] = []
  const reporter: ErrorReporter = {
    report: async (failure) => {
      reports.push(failure)
    },
    close: async () => undefined,
  }
  const operator = new ErrorOperator({
    retry: { timeoutMs: options.timeoutMs, maxDelayMs: options.maxDelayMs ?? 60_000 },
    tolerance: options.tolerance ?? 'none',
    reporters: [reporter],
    counters,
    clock,
    random: () => 0.5,
  })
  return { operator, clock, counters: counters.seen, reports }
}

const place = () => ({ stage: 'TRANSFORMATION' as const, className: 'X', consumed: null, source: null })
const retriable = new RetriableError('CONNECT_TEST', 'later')
const bad = new DataError('CONNECT_TEST', 'bad')
const never = new AbortController().signal

test('statement 170: retries double from 300 ms, then are random below the maximum', () => {
  const policy = { timeoutMs: -1, maxDelayMs: 1000 }
  assert.deepEqual(
    [1, 2, 3, 60].map((n) => retryDelayMs(n, policy, Infinity, () => 0.25)),
    [300, 600, 250, 250],
  )
})

test('property: no delay is negative, above the maximum, beyond the deadline or infinite', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5000 }),
      fc.nat(1_000_000),
      fc.nat(1_000_000),
      fc.double({ min: 0, max: 0.999999, noNaN: true }),
      (retry, maxDelayMs, remaining, random) => {
        const delay = retryDelayMs(retry, { timeoutMs: 1, maxDelayMs }, remaining, () => random)
        assert.ok(Number.isFinite(delay) && delay >= 0 && delay <= remaining && delay <= Math.max(maxDelayMs, 0))
      },
    ),
    { verbose: 1 },
  )
})

test('statement 131: a retriable error is tried again within errors.retry.timeout', async () => {
  const { operator, clock, counters, reports } = open({ timeoutMs: 10_000 })
  let left = 3
  const attempt = () => {
    if (--left > 0) throw retriable
    return 'done'
  }
  assert.deepEqual(await operator.recover(retriable, attempt, place, never), { kind: 'value', value: 'done' })
  assert.deepEqual(clock.sleeps, [300, 600, 1200])
  assert.deepEqual(counters, { failure: 3, retry: 3 })
  assert.equal(reports.length, 0)
})

test('6.6: errors.retry.timeout=0 means no retry; tolerance all reports once and skips', async () => {
  const { operator, clock, counters, reports } = open({ timeoutMs: 0, tolerance: 'all' })
  assert.deepEqual(await operator.recover(retriable, () => 1, place, never), { kind: 'failed' })
  assert.deepEqual(clock.sleeps, [])
  assert.deepEqual(counters, { failure: 1, error: 1, skipped: 1 })
  assert.equal(reports.length, 1)
})

test('6.6: without tolerance the report is made, then the task fails', async () => {
  const { operator, counters, reports } = open({ timeoutMs: 0 })
  await assert.rejects(
    operator.recover(bad, () => 1, place, never),
    {
      message: 'Tolerance exceeded in error handler',
      cause: bad,
    },
  )
  assert.equal(reports[0]?.error, bad)
  assert.deepEqual(counters, { failure: 1, error: 1 })
})

test('I3: retries used up without tolerance fail the task instead of losing the record', async () => {
  const { operator } = open({ timeoutMs: 500 })
  const attempt = (): number => {
    throw retriable
  }
  await assert.rejects(operator.recover(retriable, attempt, place, never), { code: 'CONNECT_TOLERANCE_EXCEEDED' })
})

test('statement 170, I3: a stop during the back-off leaves the record undecided, unreported', async () => {
  const { operator, counters, reports } = open({ timeoutMs: -1, tolerance: 'all' })
  const stop = new AbortController()
  stop.abort()
  assert.deepEqual(await operator.recover(retriable, () => 1, place, stop.signal), { kind: 'stopped' })
  assert.deepEqual(counters, { failure: 1 })
  assert.equal(reports.length, 0)
})

test('6.6: an error of another kind ends the retries', async () => {
  const { operator, reports } = open({ timeoutMs: -1, tolerance: 'all' })
  const attempt = (): number => {
    throw bad
  }
  assert.deepEqual(await operator.recover(retriable, attempt, place, never), { kind: 'failed' })
  assert.equal(reports[0]?.error, bad)
})
