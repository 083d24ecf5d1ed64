import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  BatchError,
  ConfigError,
  ConnectError,
  DataError,
  FencedError,
  RetriableError,
} from '../../../../worker/api/errors.ts'
import { failureOf } from '../../../../worker/runtime/task-failure.ts'

const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
const put = (cause: unknown) => new ConnectError('fatal', 'CONNECT_PUT_FAILED', 'put failed', { cause })

const cases: readonly (readonly [what: string, error: unknown, code: string, isTransient: boolean])[] = [
  ['a plain error is nobody’s promise that it passes', new TypeError('x is undefined'), 'CONNECT_TASK_ERROR', false],
  ['something thrown that is no error', 'text', 'CONNECT_TASK_ERROR', false],
  ['a refused connection', refused, 'CONNECT_TASK_ERROR', true],
  ['a refused connection, wrapped', put(refused), 'CONNECT_PUT_FAILED', true],
  ['a retriable error, wrapped', put(new RetriableError('CONNECT_KAFKA_TIMEOUT', 'slow')), 'CONNECT_PUT_FAILED', true],
  ['a fatal error without a known cause', put(new Error('no')), 'CONNECT_PUT_FAILED', false],
  ['a record', new DataError('CONNECT_DATA_SERIALIZATION', 'no JSON'), 'CONNECT_DATA_SERIALIZATION', false],
  [
    'a record whose cause may pass',
    new DataError('CONNECT_DATA_SERIALIZATION', 'x', { cause: refused }),
    'CONNECT_DATA_SERIALIZATION',
    false,
  ],
  ['a batch', put(new BatchError('CONNECT_PUT_FAILED', 'some', new Map())), 'CONNECT_PUT_FAILED', false],
  ['a config', new ConfigError([{ option: 'a', message: 'is wrong' }]), 'CONNECT_CONFIG_INVALID', false],
  ['another owner', put(new FencedError('CONNECT_KAFKA_FENCED', 'fenced')), 'CONNECT_PUT_FAILED', false],
  ['a thread that ended', new ConnectError('fatal', 'CONNECT_HOST_UNCAUGHT', 'ended'), 'CONNECT_HOST_UNCAUGHT', true],
  [
    'a transaction that expired: the fencing in its cause is the broker’s, not another owner’s',
    new ConnectError('fatal', 'CONNECT_TRANSACTION_EXPIRED', 'late', {
      cause: new FencedError('CONNECT_KAFKA_FENCED', 'f'),
    }),
    'CONNECT_TRANSACTION_EXPIRED',
    true,
  ],
]

for (const [what, error, code, isTransient] of cases) {
  test(`${what}: ${isTransient ? 'worth a restart' : 'stays failed'}`, () => {
    const failure = failureOf(error)
    assert.deepEqual([failure.code, failure.isTransient], [code, isTransient])
  })
}

test('the reason holds the messages of all causes; a circle of causes ends', () => {
  assert.equal(failureOf(put(refused)).reason, 'put failed: connect ECONNREFUSED')
  const circle = new Error('round')
  circle.cause = circle
  assert.match(failureOf(circle).reason, /^round(: round)+$/)
})
