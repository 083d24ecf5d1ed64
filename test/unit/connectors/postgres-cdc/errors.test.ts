import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { classify, postgresErrorCodes, sqlStateRules } from '../../../../connectors/postgres-cdc/errors.ts'
import { ConnectError, RetriableError } from '../../../../worker/api/errors.ts'

const serverError = (code: string) => Object.assign(new Error('said the server'), { code })

/** A SQLSTATE per rule that only this rule catches first. */
const examples: Readonly<Record<string, string>> = {
  '28': '28P01',
  '42': '42601',
  '08': '08006',
  '57P': '57P01',
  '40': '40P01',
  '53': '53200',
}

suite('classification of PostgreSQL errors', () => {
  for (const { state, outcome, code, reason } of sqlStateRules) {
    const example = examples[state] ?? state
    test(`${example}: ${reason}`, () => {
      const failure = classify(serverError(example), { what: 'test', slot: 's' })
      assert.equal(failure.kind, outcome)
      assert.equal(failure.code, code)
      assert.equal(failure.context['sqlState'], example)
      assert.ok(Object.hasOwn(postgresErrorCodes, code))
    })
  }

  test('other answers of the server are tried again, as in Debezium', () => {
    assert.equal(classify(serverError('XX000'), { what: 'test' }).kind, 'retriable')
  })

  test('lost connections are tried again after the configured wait', () => {
    const failure = classify(Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), { what: 'test', retryAfterMs: 7 })
    assert.ok(failure instanceof RetriableError)
    assert.equal(failure.retryAfterMs, 7)
    assert.equal(classify(new Error('Connection terminated unexpectedly'), { what: 'test' }).kind, 'retriable')
  })

  test('what nobody knows is fatal, and our own errors pass as they are', () => {
    assert.equal(classify(new TypeError('x'), { what: 'test' }).kind, 'fatal')
    const own = new ConnectError('fatal', 'CONNECT_POSTGRES_SLOT', 'x')
    assert.equal(classify(own, { what: 'test' }), own)
  })
})
