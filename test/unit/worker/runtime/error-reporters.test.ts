import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataError, RetriableError } from '../../../../worker/api/errors.ts'
import { contextHeaders, errorLogMessage } from '../../../../worker/runtime/error-reporters.ts'
import type { RecordFailure } from '../../../../worker/runtime/retry.ts'
import { errorClassName } from '../../../../worker/util/error-codec.ts'

const id = { connector: 'c', task: 1 }
const error = new DataError('CONNECT_DATA_SERIALIZATION', 'not JSON')
const failure: RecordFailure = {
  stage: 'VALUE_CONVERTER',
  className: 'org.apache.kafka.connect.json.JsonConverter',
  error,
  consumed: {
    topic: 't',
    partition: 2,
    record: {
      offset: 2n ** 53n + 1n,
      timestamp: 5,
      timestampType: 'CreateTime',
      key: null,
      value: Buffer.from('secret'),
      headers: [],
    },
  },
  source: null,
}

test('statement 131, KIP-298: the headers of a dead letter, in order and as text', () => {
  const headers = contextHeaders(id, failure).map(({ key, value }) => [key, Buffer.from(value ?? []).toString()])
  assert.deepEqual(headers.slice(0, -1), [
    ['__connect.errors.topic', 't'],
    ['__connect.errors.partition', '2'],
    ['__connect.errors.offset', '9007199254740993'],
    ['__connect.errors.connector.name', 'c'],
    ['__connect.errors.task.id', '1'],
    ['__connect.errors.stage', 'VALUE_CONVERTER'],
    ['__connect.errors.class.name', 'org.apache.kafka.connect.json.JsonConverter'],
    ['__connect.errors.exception.class.name', 'org.apache.kafka.connect.errors.DataException'],
    ['__connect.errors.exception.message', 'not JSON'],
  ])
  const [name, trace] = headers.at(-1) ?? []
  assert.equal(name, '__connect.errors.exception.stacktrace')
  assert.match(trace ?? '', /^org\.apache\.kafka\.connect\.errors\.DataException: not JSON\n\tat /)
})

test('a dead letter names Java classes for our kinds, and the own name of any other error', () => {
  assert.equal(
    errorClassName(new RetriableError('CONNECT_X', 'x')),
    'org.apache.kafka.connect.errors.RetriableException',
  )
  assert.equal(errorClassName(new TypeError('x')), 'TypeError')
  const empty = contextHeaders(id, { ...failure, error: new Error('') })
  assert.equal(empty.find(({ key }) => key.endsWith('exception.message'))?.value, null)
})

test('6.6: log lines name the place; coordinates on request, content never (I8)', () => {
  const where =
    "Error encountered in task c-1. Executing stage 'VALUE_CONVERTER' with class 'org.apache.kafka.connect.json.JsonConverter'"
  assert.equal(errorLogMessage(id, failure, false), `${where}.`)
  assert.equal(
    errorLogMessage(id, failure, true),
    `${where}, where consumed record is {topic='t', partition=2, offset=9007199254740993, timestamp=5, timestampType=CreateTime}.`,
  )
})
