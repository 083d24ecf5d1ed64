import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConnectError, RetriableError } from '../../../../worker/api/errors.ts'
import { TopicCreator, topicCreationGroups } from '../../../../worker/runtime/topic-creation.ts'
import { FakeKafka } from '../../../support/kafka/fake-kafka.ts'

const defaults = { 'topic.creation.default.partitions': '3', 'topic.creation.default.replication.factor': '-1' }

function groups(options: Readonly<Record<string, string>> = {}) {
  return topicCreationGroups({ ...defaults, ...options }) ?? assert.fail('no groups')
}

test('statement 110: without an option of topic creation there is none', () => {
  assert.equal(topicCreationGroups({ name: 'c' }), null)
})

test('statement 111: the first group that includes and does not exclude the topic; default last', () => {
  const all = groups({
    'topic.creation.groups': 'compacted,logs,default',
    'topic.creation.compacted.include': 'state\\..*, users',
    'topic.creation.compacted.exclude': 'state\\.tmp',
    'topic.creation.compacted.cleanup.policy': 'compact',
    'topic.creation.logs.include': '.*logs|state.*',
    'topic.creation.logs.partitions': '9',
    'topic.creation.default.compression.type': 'zstd',
  })
  const chosen = (topic: string) => all.find((group) => group.matches(topic))
  assert.deepEqual(
    all.map(({ name }) => name),
    ['compacted', 'logs', 'default'],
  )
  assert.equal(chosen('state.a')?.name, 'compacted')
  assert.equal(chosen('users')?.name, 'compacted')
  assert.equal(chosen('users2')?.name, 'default', 'a pattern has to match the whole name')
  assert.equal(chosen('state.tmp')?.name, 'logs')
  // Partitions and replication come from the default group; its other options do not.
  assert.deepEqual([chosen('users')?.partitions, chosen('users')?.replicationFactor], [3, -1])
  assert.deepEqual(chosen('users')?.configs, { 'cleanup.policy': 'compact' })
  assert.deepEqual(chosen('other')?.configs, { 'compression.type': 'zstd' })
  assert.equal(chosen('my-logs')?.partitions, 9)
})

test('5.4: bad numbers and patterns are refused by option', () => {
  for (const text of ['0', '-2', '1.5', 'x']) {
    assert.throws(() => groups({ 'topic.creation.default.partitions': text }), /topic\.creation\.default\.partitions/)
  }
  assert.throws(() => topicCreationGroups({ 'topic.creation.groups': 'a' }), /Missing required configuration/)
  const broken = { 'topic.creation.groups': 'a', 'topic.creation.a.include': '(' }
  assert.throws(() => groups(broken), /Syntax error in regular expression/)
})

test('5.4: a topic is created once, and left as it is when it exists', async () => {
  const kafka = new FakeKafka()
  kafka.topics.create('old', 1, {})
  await using admin = kafka.clients.admin({})
  const creator = new TopicCreator(groups(), admin)
  const { signal } = new AbortController()
  for (const topic of ['old', 'new', 'new']) await creator.ensure(topic, signal)
  assert.equal(kafka.topics.get('old')?.partitions.length, 1)
  assert.equal(kafka.topics.get('new')?.partitions.length, 3)
})

test('5.4: what may pass is tried again by the caller; the rest fails with Connect’s text', async () => {
  const kafka = new FakeKafka()
  await using admin = kafka.clients.admin({})
  const creator = new TopicCreator(groups(), admin)
  const { signal } = new AbortController()
  kafka.failNext('create-topic', new RetriableError('CONNECT_KAFKA_TIMEOUT', 'later'))
  await assert.rejects(creator.ensure('t', signal), { kind: 'retriable' })
  kafka.failNext('create-topic', new ConnectError('fatal', 'CONNECT_KAFKA_AUTHORIZATION', 'not you'))
  await assert.rejects(creator.ensure('t', signal), {
    code: 'CONNECT_TOPIC_CREATION',
    message: /^Task failed to create new topic t\. Ensure that the task is authorized/,
  })
  await creator.ensure('t', signal)
  assert.equal(kafka.topics.get('t')?.partitions.length, 3)
})
