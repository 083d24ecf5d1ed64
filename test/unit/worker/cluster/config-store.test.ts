import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RetriableError } from '../../../../worker/api/errors.ts'
import type { ConfigEvent } from '../../../../worker/cluster/config-log.ts'
import { ConfigStore, PrivilegedWriteError } from '../../../../worker/cluster/config-store.ts'
import { createTopicLog } from '../../../../worker/kafka/topic-log.ts'
import { RecordingLogger } from '../../../support/contexts.ts'
import { FakeKafka } from '../../../support/kafka/fake-kafka.ts'
import { FakeTopic } from './fakes.ts'

const clients = { topic: 'configs', consumer: {}, producer: {}, admin: {} }

async function open(topic: FakeTopic) {
  const events: ConfigEvent[] = []
  const logger = new RecordingLogger()
  const store = new ConfigStore({
    createLog: (options) => topic.log(options),
    clients,
    leaderProducer: null,
    logger,
    onEvent: (event) => events.push(event),
  })
  await store.start()
  return { store, events, logger }
}

async function written(write: (store: ConfigStore) => Promise<void>) {
  const topic = new FakeTopic()
  const { store } = await open(topic)
  await write(store)
  return topic.texts()
}

test('records are written in Connect’s order and form (2.3)', async () => {
  assert.deepEqual(
    await written(async (store) => {
      await store.putConnectorConfig('c', { name: 'c' }, 'STOPPED')
      await store.putTaskConfigs('c', [{ n: '0' }, { n: '1' }])
      await store.putTaskCountRecord('c', 2)
      await store.putTargetState('c', 'STARTED')
      await store.putTaskConfigs('c', [])
      await store.putRestartRequest({ connector: 'c', includeTasks: true, onlyFailed: false })
      await store.putLoggerLevel('a.b', 'DEBUG')
      await store.putSessionKey({ key: Buffer.from('key'), algorithm: 'HmacSHA256', createdMs: 7 })
      await store.removeConnector('c')
    }),
    [
      ['target-state-c', '{"state":"PAUSED","state.v2":"STOPPED"}'],
      ['connector-c', '{"properties":{"name":"c"}}'],
      ['task-c-0', '{"properties":{"n":"0"}}'],
      ['task-c-1', '{"properties":{"n":"1"}}'],
      ['commit-c', '{"tasks":2}'],
      ['tasks-fencing-c', '{"task-count":2}'],
      ['target-state-c', '{"state":"STARTED","state.v2":"STARTED"}'],
      ['commit-c', '{"tasks":0}'],
      ['restart-connector-c', '{"include-tasks":true,"only-failed":false}'],
      ['logger-cluster-a.b', '{"level":"DEBUG"}'],
      ['session-key', '{"key":"a2V5","algorithm":"HmacSHA256","creation-timestamp":7}'],
      ['connector-c', null],
      ['target-state-c', null],
    ],
  )
})

test('what is older than the start tells nobody, but counts: restarts and loggers are past, the session key holds (statement 93)', async () => {
  const topic = new FakeTopic()
  const before = await open(topic)
  await before.store.putConnectorConfig('c', { name: 'c' }, null)
  await before.store.putRestartRequest({ connector: 'c', includeTasks: true, onlyFailed: false })
  await before.store.putLoggerLevel('a', 'DEBUG')
  await before.store.putSessionKey({ key: Buffer.from('key'), algorithm: 'HmacSHA256', createdMs: 7 })
  assert.deepEqual(
    before.events.map(({ kind }) => kind),
    ['connector-updated', 'restart', 'logger', 'session-key'],
  )
  const after = await open(topic)
  assert.deepEqual(after.events, [])
  assert.deepEqual(after.store.snapshot().connectors(), ['c'])
  assert.equal(Buffer.from(after.store.snapshot().sessionKey?.key ?? []).toString(), 'key')
  assert.equal(after.store.snapshot().offset, 4n)
})

test('a topic of several partitions is refused (statement 87)', async () => {
  const topic = new FakeTopic()
  topic.partitions = 3
  await assert.rejects(open(topic), {
    code: 'CONNECT_CONFIG_TOPIC_PARTITIONS',
    message:
      "Topic 'configs' supplied via the 'config.storage.topic' property is required to have a single partition in order " +
      'to guarantee consistency of connector configurations, but found 3 partitions.',
  })
})

test('an unreadable record is logged with its key and passed over', async () => {
  const topic = new FakeTopic()
  const log = topic.log({ ...clients, onRecord: () => undefined, onError: () => undefined })
  await log.send([
    { key: Buffer.from('connector-c'), value: Buffer.from('{') },
    { key: null, value: Buffer.from('{}') },
    { key: Buffer.from('connector-d'), value: Buffer.from('{"properties":{"name":"d"}}') },
  ])
  const { store, logger } = await open(topic)
  assert.deepEqual(store.snapshot().connectors(), ['d'])
  assert.deepEqual(
    logger.lines.map(({ level, fields }) => [level, fields['key']]),
    [
      ['error', 'connector-c'],
      ['error', ''],
    ],
  )
})

test('exactly-once: a leader that was fenced writes nothing, says so, and writes again after it claimed the topic (KIP-618)', async () => {
  const kafka = new FakeKafka()
  kafka.topics.create('configs', 1, {})
  const leader = () =>
    new ConfigStore({
      createLog: (options) => createTopicLog(kafka.clients, options),
      clients: { ...clients, consumer: { 'isolation.level': 'read_committed' } },
      leaderProducer: {
        create: (properties) => kafka.clients.producer(properties),
        properties: { 'transactional.id': 'connect-cluster-g' },
      },
      logger: new RecordingLogger(),
      onEvent: () => undefined,
    })
  await using old = leader()
  await using next = leader()
  await old.start()
  await next.start()
  const put = (store: ConfigStore, name: string) => store.putConnectorConfig(name, { name }, null)
  await assert.rejects(put(old, 'a'), PrivilegedWriteError, 'not before it has claimed the topic')
  await old.claimWritePrivileges()
  await put(old, 'a')
  await next.claimWritePrivileges()
  const refused = {
    status: 500,
    message:
      'Failed to write to config topic; this may be due to a transient error and the request can be safely retried',
  }
  await assert.rejects(put(old, 'b'), refused)
  await assert.rejects(put(old, 'b'), refused)
  await put(next, 'c')
  // Any worker may pause and resume, in no transaction.
  await old.putTargetState('a', 'PAUSED')
  await old.claimWritePrivileges()
  await put(old, 'd')
  kafka.failNext('end-transaction', new RetriableError('CONNECT_TEST', 'no answer'))
  await assert.rejects(put(old, 'e'), refused)
  await old.claimWritePrivileges()
  await put(old, 'f')
  await next.readToEnd()
  assert.deepEqual(next.snapshot().connectors(), ['a', 'c', 'd', 'f'])
  assert.equal(next.snapshot().targetState('a'), 'PAUSED')
})
