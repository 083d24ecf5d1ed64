import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  BatchError,
  ConfigError,
  ConnectError,
  DataError,
  FencedError,
  kindOf,
  NotFoundError,
  NotLeaderError,
  RequestError,
  RetriableError,
} from '../../../../worker/api/errors.ts'
import { decodeError, encodeError, traceOf } from '../../../../worker/util/error-codec.ts'

/** As between threads. */
const sent = (error: unknown): Error => decodeError(structuredClone(encodeError(error)))

test('every kind keeps class, code, message, context, stack and cause between threads', () => {
  const cause = new TypeError('why')
  const options = { cause, context: { topic: 't', offset: 3n } }
  const errors = [
    new RetriableError('CONNECT_A', 'm', { ...options, retryAfterMs: 7 }),
    new DataError('CONNECT_A', 'm', options),
    new FencedError('CONNECT_A', 'm', options),
    new ConnectError('fatal', 'CONNECT_A', 'm', options),
    new ConfigError([{ option: 'o', message: 'm' }], options),
    new RequestError(418, 'CONNECT_A', 'm', options),
    new NotFoundError('m', options),
    new NotLeaderError('m', 'http://leader/', options),
    new BatchError('CONNECT_A', 'm', new Map([[2, new DataError('CONNECT_B', 'bad')]]), options),
  ]
  for (const error of errors) {
    const copy = sent(error)
    assert.ok(copy instanceof error.constructor, error.name)
    assert.ok(copy instanceof ConnectError)
    assert.deepEqual(
      [copy.name, copy.message, copy.code, copy.kind],
      [error.name, error.message, error.code, error.kind],
    )
    assert.equal(copy.stack, error.stack)
    assert.deepEqual({ ...copy.context }, { ...error.context })
    assert.ok(copy.cause instanceof Error)
    assert.deepEqual([copy.cause.name, copy.cause.message], ['TypeError', 'why'])
    assert.equal(traceOf(copy), traceOf(error))
  }
})

test('what only one class has survives too', () => {
  const retriable = sent(new RetriableError('CONNECT_A', 'm', { retryAfterMs: 7 }))
  assert.equal(retriable instanceof RetriableError && retriable.retryAfterMs, 7)
  const request = sent(new RequestError(418, 'CONNECT_A', 'm'))
  assert.equal(request instanceof RequestError && request.status, 418)
  const leader = sent(new NotLeaderError('m', 'http://leader/'))
  assert.equal(leader instanceof NotLeaderError && leader.url, 'http://leader/')
  const config = sent(new ConfigError([{ option: 'o', message: 'm' }]))
  assert.deepEqual(config instanceof ConfigError && config.problems, [{ option: 'o', message: 'm' }])
  const batch = sent(new BatchError('CONNECT_A', 'm', new Map([[2, new DataError('CONNECT_B', 'bad')]])))
  assert.ok(batch instanceof BatchError)
  assert.equal(kindOf(batch.failures.get(2)), 'record')
})

test('other errors, other values and cycles are carried as far as they go', () => {
  assert.deepEqual([sent(new RangeError('r')).name, sent('text').message], ['RangeError', 'text'])
  const loop = new Error('loop')
  loop.cause = loop
  let depth = 0
  for (let error: unknown = sent(loop); error instanceof Error; error = error.cause) depth++
  assert.ok(depth < 40)
  assert.ok(traceOf(loop).split('Caused by:').length < 40)
})

test('a trace leaves out a wrapper that says the same as its cause', () => {
  const cause = new DataError('CONNECT_B', 'no key')
  const trace = traceOf(new ConnectError('fatal', 'CONNECT_A', 'no key', { cause }))
  assert.match(trace, /^org\.apache\.kafka\.connect\.errors\.DataException: no key\n/)
  assert.doesNotMatch(trace, /Caused by/)
})

test('a trace begins with class and message, one part per cause', () => {
  const trace = traceOf(new ConnectError('fatal', 'CONNECT_A', 'outer', { cause: new Error('inner') }))
  assert.match(
    trace,
    /^org\.apache\.kafka\.connect\.errors\.ConnectException: outer\n\tat [\s\S]*\nCaused by: Error: inner\n\tat /,
  )
})

test('an error without a message is its class alone in a trace, as in Java', () => {
  const cause = new Error('')
  cause.name = 'Refusal[reason]'
  const trace = traceOf(decodeError(encodeError(new ConnectError('fatal', 'CONNECT_A', 'outer', { cause }))))
  assert.match(trace, /\nCaused by: Refusal\[reason\]\n\tat /)
})
