import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConnectError, RetriableError } from '../../../../worker/api/errors.ts'
import { ensureInternalTopic } from '../../../../worker/cluster/internal-topics.ts'
import type { Admin } from '../../../../worker/kafka/types.ts'
import { RecordingLogger, SteppingClock } from '../../../support/contexts.ts'
import { FakeKafka } from '../../../support/kafka/fake-kafka.ts'

const topics = [
  { option: 'offset.storage.topic', content: 'source connector offsets' },
  { option: 'config.storage.topic', content: 'connector configurations' },
  { option: 'status.storage.topic', content: 'connector and task statuses' },
] as const

function setUp(kafka = new FakeKafka()) {
  const clock = new SteppingClock()
  const logger = new RecordingLogger()
  const admin = kafka.clients.admin({})
  const ensure = (part: (typeof topics)[number], changes: { readonly admin?: Admin } = {}) =>
    ensureInternalTopic(
      { ...part, topic: 'T', partitions: 3, replicationFactor: 1, configs: { 'min.insync.replicas': '1' } },
      { admin: changes.admin ?? admin, clock, logger, timeoutMs: 60_000, retryBackoffMs: 100 },
    )
  return { kafka, clock, logger, admin, ensure }
}

test('a topic that is missing is created compacted, with the settings asked for (statement 82)', async () => {
  for (const part of topics) {
    const { kafka, ensure } = setUp()
    await ensure(part)
    const topic = kafka.topics.get('T')
    assert.equal(topic?.partitions.length, 3)
    assert.deepEqual(Object.fromEntries(topic?.configs ?? []), {
      'cleanup.policy': 'compact',
      'min.insync.replicas': '1',
    })
    // It is kept at the next start.
    await ensure(part)
  }
})

test('a topic that is there must be compacted, and only that (statements 85, 86)', async () => {
  for (const { option, content } of topics) {
    for (const policy of ['delete', 'compact,delete']) {
      const { kafka, ensure } = setUp()
      kafka.topics.create('T', 1, { 'cleanup.policy': policy })
      await assert.rejects(ensure({ option, content } as (typeof topics)[number]), {
        code: 'CONNECT_INTERNAL_TOPIC_CLEANUP',
        message:
          `Topic 'T' supplied via the '${option}' property is required to have 'cleanup.policy=compact' to guarantee ` +
          `consistency and durability of ${content}, but found the topic currently has 'cleanup.policy=${policy}'. ` +
          `Continuing would likely result in eventually losing ${content} and problems restarting this Connect cluster ` +
          `in the future. Change the '${option}' property in the Connect worker configurations to use a topic with ` +
          `'cleanup.policy=compact'.`,
      })
    }
    const { kafka, ensure } = setUp()
    kafka.topics.create('T', 1, { 'cleanup.policy': 'compact' })
    await ensure({ option, content } as (typeof topics)[number])
  }
})

test('too few brokers for the replication factor: tried again until the time is over (statement 84)', async () => {
  const { kafka, clock, ensure } = setUp()
  const tooFew = new RetriableError(
    'CONNECT_KAFKA_REPLICATION',
    'Replication factor: 3 larger than available brokers: 1.',
  )
  kafka.failNext('create-topic', tooFew, 5)
  await ensure(topics[0])
  assert.deepEqual(clock.sleeps, [100, 100, 100, 100, 100])
  kafka.topics.delete('T')
  kafka.failNext('create-topic', tooFew, 10_000)
  await assert.rejects(ensure(topics[0]), (error) => {
    assert.ok(error instanceof ConnectError)
    assert.deepEqual([error.kind, error.code], ['fatal', 'CONNECT_INTERNAL_TOPIC'])
    assert.match(error.message, /'T' \(option 'offset\.storage\.topic'\).*larger than available brokers/)
    return true
  })
  assert.equal(kafka.topics.get('T'), undefined)
})

test('a worker that may not create topics, or not read their settings, relies on them', async () => {
  const { kafka, admin, logger, ensure } = setUp()
  kafka.failNext('create-topic', new ConnectError('fatal', 'CONNECT_KAFKA_AUTHORIZATION', 'denied'))
  kafka.topics.create('T', 1, { 'cleanup.policy': 'compact' })
  await ensure(topics[0])
  assert.ok(logger.lines.some(({ level }) => level === 'warn'))
  const blind: Admin = Object.assign(Object.create(admin) as Admin, {
    createTopic: async () => false,
    topicConfigs: async () => {
      throw new ConnectError('fatal', 'CONNECT_KAFKA_AUTHORIZATION', 'denied')
    },
  })
  await ensure(topics[0], { admin: blind })
})

test('anything else that the broker refuses ends the start at once', async () => {
  const { kafka, clock, ensure } = setUp()
  kafka.failNext('create-topic', new ConnectError('fatal', 'CONNECT_KAFKA_BROKER', 'invalid config'))
  await assert.rejects(ensure(topics[1]), /option 'config\.storage\.topic'\): invalid config/)
  assert.deepEqual(clock.sleeps, [])
})
