import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RetriableError } from '../../../../worker/api/errors.ts'
import { readConnectionConfig } from '../../../../worker/kafka/client-config.ts'
import { Cluster } from '../../../../worker/kafka/cluster.ts'
import { PropertyReader } from '../../../../worker/kafka/property-reader.ts'
import { RecordingLogger, SteppingClock } from '../../../support/contexts.ts'

const reason = 'Unable to replicate the partition 3 time(s): only 1 broker(s) are registered.'

function setUp(failures: number) {
  const clock = new SteppingClock()
  const logger = new RecordingLogger()
  const reader = new PropertyReader({ 'bootstrap.servers': '127.0.0.1:1' })
  const cluster = new Cluster(readConnectionConfig(reader, { apiTimeoutMs: 60_000 }), clock, logger)
  let tries = 0
  const outcome = cluster.retry('create topic t', 60_000, undefined, async () => {
    if (tries++ < failures) throw new RetriableError('CONNECT_KAFKA_UNAVAILABLE', reason)
    return 'created'
  })
  return { outcome, warnings: () => logger.lines.filter(({ level }) => level === 'warn') }
}

test('an operation that goes on failing says so once after some seconds, and at its end says why', async () => {
  const { outcome, warnings } = setUp(Number.POSITIVE_INFINITY)
  await assert.rejects(outcome, {
    code: 'CONNECT_KAFKA_TIMEOUT',
    message: `Could not create topic t within 60000 ms: ${reason}`,
  })
  assert.equal(warnings().length, 1)
  assert.match(JSON.stringify(warnings()[0]), /Could not create topic t yet, trying again/)
  assert.match(JSON.stringify(warnings()[0]), /only 1 broker/)
})

test('one that succeeds at the third try is not worth a warning', async () => {
  const { outcome, warnings } = setUp(2)
  assert.equal(await outcome, 'created')
  assert.deepEqual(warnings(), [])
})
