import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConnectError, RetriableError } from '../../../../worker/api/errors.ts'
import type { Status } from '../../../../worker/cluster/status-format.ts'
import { KafkaStatusStore } from '../../../../worker/cluster/status-store.ts'
import type { ReportedState } from '../../../../worker/runtime/worker-types.ts'
import { RecordingLogger, SteppingClock } from '../../../support/contexts.ts'
import { FakeTopic } from './fakes.ts'

const id = { connector: 'c', task: 0 }

function status(state: ReportedState, workerId: string, generation: number): Status {
  return { state, workerId, generation, trace: null, version: null }
}

/** A store on a topic; `failures` are thrown by the next writes. */
async function open(topic = new FakeTopic()) {
  const failures: Error[] = []
  const logger = new RecordingLogger()
  const clock = new SteppingClock()
  const store = new KafkaStatusStore({
    createLog: (options) => {
      const log = topic.log(options)
      return {
        ...log,
        send: async (records) => {
          const failure = failures.shift()
          if (failure !== undefined) throw failure
          await log.send(records)
        },
      }
    },
    clients: { topic: 'statuses', consumer: {}, producer: {}, admin: {} },
    clock,
    logger,
    retryBackoffMs: 300,
  })
  await store.start()
  /** Until what was written has come back. */
  const settle = async (): Promise<void> => {
    await store.flush()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { store, topic, failures, logger, clock, settle }
}

async function raw(topic: FakeTopic, key: string, value: string | null): Promise<void> {
  const log = topic.log({
    topic: 't',
    consumer: {},
    producer: {},
    admin: {},
    onRecord: () => undefined,
    onError: () => undefined,
  })
  await log.send([{ key: Buffer.from(key), value: value === null ? null : Buffer.from(value) }])
  await new Promise((resolve) => setImmediate(resolve))
}

test('keys and values are those of Connect; DESTROYED is a tombstone (2.6)', async () => {
  const { store, topic, settle } = await open()
  store.putConnector('c', { ...status('RUNNING', 'h:1', 7), version: '1.2' }, false)
  store.putTask(id, { ...status('FAILED', 'h:1', 7), trace: 'E: x\n\tat y' }, false)
  store.putTopic({ topic: 't', connector: 'c', task: 0, discoveredMs: 9 })
  await settle()
  assert.deepEqual(
    store.topics('c').map(({ topic: name }) => name),
    ['t'],
  )
  store.deleteTopic({ topic: 't', connector: 'c', task: 0, discoveredMs: 9 })
  store.putTask(id, status('DESTROYED', '', 0), false)
  await settle()
  assert.deepEqual(topic.texts(), [
    ['status-connector-c', '{"state":"RUNNING","trace":null,"worker_id":"h:1","generation":7,"version":"1.2"}'],
    ['status-task-c-0', '{"state":"FAILED","trace":"E: x\\n\\tat y","worker_id":"h:1","generation":7,"version":null}'],
    ['status-topic-t:connector-c', '{"topic":{"name":"t","connector":"c","task":0,"discoverTimestamp":9}}'],
    ['status-topic-t:connector-c', null],
    ['status-task-c-0', null],
  ])
  assert.deepEqual([store.task(id), store.topics('c'), store.connectors()], [null, [], ['c']])
})

test('a topic that any worker removes is told once, when reads know it (statement 79)', async () => {
  const { store, topic, settle } = await open()
  const told: string[] = []
  store.onTopicRemoved((connector, name) =>
    told.push(`${name} of ${connector}: ${store.topics(connector).length} left`),
  )
  store.putTopic({ topic: 't', connector: 'c', task: 0, discoveredMs: 9 })
  store.putTopic({ topic: 'u', connector: 'c', task: 0, discoveredMs: 9 })
  await settle()
  assert.deepEqual(told, [])
  const other = (await open(topic)).store
  other.deleteTopic({ topic: 't', connector: 'c', task: 0, discoveredMs: 9 })
  other.deleteTopic({ topic: 'never', connector: 'c', task: 0, discoveredMs: 9 })
  await other.flush()
  await settle()
  assert.deepEqual(told, ['t of c: 1 left'])
})

test('a safe write gives way to another worker of a later generation (statement 94)', async () => {
  const { store, topic, settle } = await open()
  await raw(topic, 'status-task-c-0', '{"state":"RUNNING","trace":null,"worker_id":"other","generation":5}')
  store.putTask(id, status('UNASSIGNED', 'me', 4), true)
  await settle()
  assert.equal(store.task(id)?.state, 'RUNNING')
  assert.equal(topic.records.length, 1)
  store.putTask(id, status('FAILED', 'me', 5), true)
  await settle()
  assert.deepEqual([store.task(id)?.state, store.task(id)?.workerId], ['FAILED', 'me'])
  // Its own status it may always replace; a plain write always goes out.
  store.putTask(id, status('UNASSIGNED', 'me', 1), true)
  await settle()
  assert.equal(store.task(id)?.state, 'UNASSIGNED')
  store.putTask(id, status('RUNNING', 'third', 0), false)
  await settle()
  assert.equal(store.task(id)?.workerId, 'third')
})

test('a late UNASSIGNED of the old owner does not hide the new RUNNING (statement 94)', async () => {
  const { store, topic } = await open()
  const write = (state: string, worker: string, generation: number) =>
    raw(topic, 'status-task-c-0', JSON.stringify({ state, trace: null, worker_id: worker, generation }))
  await write('RUNNING', 'new', 5)
  await write('UNASSIGNED', 'old', 4)
  await write('UNASSIGNED', 'old', 5)
  assert.equal(store.task(id)?.state, 'RUNNING')
  await write('UNASSIGNED', 'old', 6)
  assert.equal(store.task(id)?.state, 'UNASSIGNED')
})

test('records that are no statuses are logged and passed over', async () => {
  const { store, topic, logger } = await open()
  const good = '{"state":"RUNNING","worker_id":"w","generation":1}'
  for (const [key, value] of [
    ['status-connector-c', '{'],
    ['status-connector-c', '{"state":"DANCING","worker_id":"w","generation":1}'],
    ['status-connector-c', '{"state":"RUNNING","generation":1}'],
    ['status-task-c', good],
    ['status-task-c-x', good],
    ['status-topic-:connector-c', '{}'],
    ['status-topic-t', '{}'],
    ['status-topic-t:connector-', '{}'],
    ['status-topic-t:connector-c', '{"topic":{}}'],
    ['other', good],
  ] as const) {
    await raw(topic, key, value)
    assert.equal(logger.lines.length, 1, key)
    logger.lines.length = 0
  }
  assert.deepEqual([store.connectors(), store.topics('c')], [[], []])
  await raw(topic, 'status-topic-a:connector-b:connector-c', '{"topic":{"name":"a","connector":"x","task":0}}')
  assert.deepEqual(
    store.topics('b:connector-c').map(({ topic: name }) => name),
    ['a'],
  )
})

test('a write that fails for a moment is repeated, unless a newer one has come (2.6)', async () => {
  const { store, topic, failures, clock, settle } = await open()
  const passing = () => new RetriableError('CONNECT_TEST', 'not now')
  failures.push(passing(), passing())
  store.putTask(id, status('RUNNING', 'me', 1), false)
  await settle()
  assert.deepEqual(clock.sleeps, [300, 300])
  assert.equal(topic.records.length, 1)
  failures.push(passing())
  store.putTask(id, status('PAUSED', 'me', 1), false)
  store.putTask({ connector: 'c', task: 1 }, status('RUNNING', 'me', 1), false)
  await Promise.resolve()
  // During the back-off: the first write is history, the one of another task is not.
  await new Promise((resolve) => setImmediate(resolve))
  store.putTask(id, status('RUNNING', 'me', 2), false)
  await settle()
  const states = topic.texts().map(([key, value]) => [key.slice(-1), /"state":"(\w+)"/.exec(value ?? '')?.[1]])
  assert.deepEqual(states.at(-1), ['0', 'RUNNING'])
  assert.ok(states.some(([task]) => task === '1'))
  assert.equal(store.task(id)?.generation, 2)
})

test('a safe write that waits for a repeat is dropped when another worker has reported meanwhile', async () => {
  const { store, topic, failures, settle } = await open()
  failures.push(new RetriableError('CONNECT_TEST', 'not now'))
  store.putTask(id, status('UNASSIGNED', 'me', 3), true)
  await Promise.resolve()
  await raw(topic, 'status-task-c-0', '{"state":"RUNNING","trace":null,"worker_id":"other","generation":4}')
  await settle()
  assert.deepEqual([store.task(id)?.state, topic.records.length], ['RUNNING', 1])
})

test('a write that can never succeed is logged, and does not hold up the next', async () => {
  const { store, topic, failures, logger, settle } = await open()
  failures.push(new ConnectError('fatal', 'CONNECT_TEST', 'not allowed'))
  store.putTask(id, status('RUNNING', 'me', 1), false)
  await settle()
  assert.equal(logger.lines[0]?.level, 'error')
  store.putTask(id, status('PAUSED', 'me', 1), false)
  await settle()
  assert.equal(topic.records.length, 1)
})
