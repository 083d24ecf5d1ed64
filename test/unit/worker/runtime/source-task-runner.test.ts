import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Schemas } from '../../../../worker/api/data.ts'
import { ConnectError, DataError, RetriableError } from '../../../../worker/api/errors.ts'
import { SourceRecord } from '../../../../worker/api/record.ts'
import type { CommittedOffset, SourceTask, SourceTaskContext } from '../../../../worker/api/task.ts'
import { FakeKafka } from '../../../support/kafka/fake-kafka.ts'
import { eventually } from '../../../support/runtime/eventually.ts'
import { offsetKey, runSource } from '../../../support/runtime/runner-harness.ts'

const partition = { file: 'a' }
const key = offsetKey(partition)

function record(at: number, topic = 't', value = `v${at}`): SourceRecord {
  return new SourceRecord({
    sourcePartition: partition,
    sourceOffset: { at },
    topic,
    valueSchema: Schemas.string,
    value,
  })
}

/** Gives the batches one after the other, then waits as a source without data does. */
class ListTask implements SourceTask<object> {
  readonly calls: string[] = []
  readonly commits: (readonly CommittedOffset[])[] = []
  context: SourceTaskContext | null = null
  #batches: (readonly SourceRecord[] | Error)[]

  constructor(batches: readonly (readonly SourceRecord[] | Error)[]) {
    this.#batches = [...batches]
  }

  async start(_config: object, context: SourceTaskContext): Promise<void> {
    this.context = context
    this.calls.push('start')
  }

  async poll(signal: AbortSignal): Promise<readonly SourceRecord[]> {
    const next = this.#batches.shift()
    if (next instanceof Error) throw next
    if (next !== undefined) return next
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    return []
  }

  async commit(offsets: readonly CommittedOffset[]): Promise<void> {
    this.calls.push('commit')
    this.commits.push(offsets)
  }

  async stop(): Promise<void> {
    this.calls.push('stop')
  }

  get committed(): readonly unknown[] {
    return this.commits.flat().map(({ offset }) => offset['at'])
  }
}

function kafkaWith(topic: string, partitions = 1): FakeKafka {
  const kafka = new FakeKafka()
  kafka.topics.create(topic, partitions, {})
  return kafka
}

test('5.1, 5.3: records reach Kafka in order, their offset the topic, then commit is called', async () => {
  const task = new ListTask([[record(1), record(2)], [record(3)]])
  await using run = runSource(task, { kafka: kafkaWith('t') })
  await eventually(() => assert.deepEqual(task.committed.at(-1), 3))
  assert.deepEqual(run.values('t'), ['v1', 'v2', 'v3'])
  assert.equal(run.committedSource().get(key), '{"at":3}')
  await run.stop()
  assert.deepEqual(task.calls.slice(-2), ['commit', 'stop'], 'stop comes after the last commit')
  assert.deepEqual(run.states, ['RUNNING'])
  assert.deepEqual(run.topics, ['t'])
  assert.equal(run.metric('source-record-poll-total'), 3)
  assert.equal(run.metric('source-record-write-total'), 3)
  assert.equal(run.metric('source-record-active-count'), 0)
})

test('I1: no offset is committed while its record is not acknowledged', async () => {
  const kafka = kafkaWith('t')
  const release = kafka.hold('produce')
  const task = new ListTask([[record(1)]])
  await using run = runSource(task, { kafka })
  // Commits with nothing to write still call the task (5.3, step 2).
  await eventually(() => assert.ok(task.commits.length >= 2))
  assert.deepEqual(task.committed, [])
  release()
  await eventually(() => assert.deepEqual(task.committed, [1]))
  await run.stop()
})

test('an offset that is to be there first is committed at once, whatever the interval', async () => {
  const kafka = kafkaWith('t')
  const seen: unknown[] = []
  const task = new ListTask([[record(1)]])
  const poll = task.poll.bind(task)
  task.poll = async (signal) => {
    if (seen.length > 0) return await poll(signal)
    await task.context?.persist(partition, { at: 0 })
    seen.push(run.committedSource().get(key))
    return await poll(signal)
  }
  await using run = runSource(task, { kafka, settings: { offsetFlushIntervalMs: 60_000 } })
  await eventually(() => assert.deepEqual(run.values('t'), ['v1']))
  assert.deepEqual(seen, ['{"at":0}'])
  assert.deepEqual(task.committed, [0])
  await run.stop()
})

test('5.1: a poll that fails with a retriable error is called again; the task keeps running', async () => {
  const task = new ListTask([new RetriableError('CONNECT_TEST', 'later', { retryAfterMs: 1 }), [record(1)]])
  await using run = runSource(task, { kafka: kafkaWith('t') })
  await eventually(() => assert.deepEqual(run.values('t'), ['v1']))
})

test('5.1: any other error of poll fails the task; what was acknowledged is committed, stop is called', async () => {
  const task = new ListTask([[record(1)], new Error('broken')])
  await using run = runSource(task, { kafka: kafkaWith('t'), settings: { offsetFlushIntervalMs: 60_000 } })
  await assert.rejects(run.done, /broken/)
  assert.equal(run.committedSource().get(key), '{"at":1}')
  assert.equal(task.calls.at(-1), 'stop')
})

test('5.1: a task that begins paused is not started before its resume', async () => {
  const task = new ListTask([[record(1)]])
  await using run = runSource(task, { kafka: kafkaWith('t'), target: 'PAUSED' })
  await eventually(() => assert.deepEqual(run.states, ['PAUSED']))
  assert.deepEqual(task.calls, [])
  run.resume()
  await eventually(() => assert.deepEqual(run.values('t'), ['v1']))
  assert.deepEqual(run.states, ['PAUSED', 'RUNNING'])
})

test('statement 47: a paused source produces nothing and goes on after its resume', async () => {
  const task = new ListTask([[record(1)]])
  await using run = runSource(task, { kafka: kafkaWith('t') })
  await eventually(() => assert.deepEqual(run.values('t'), ['v1']))
  run.pause()
  await eventually(() => assert.deepEqual(run.states, ['RUNNING', 'PAUSED']))
  run.resume()
  await eventually(() => assert.deepEqual(run.states, ['RUNNING', 'PAUSED', 'RUNNING']))
})

test('5.1: a batch that is filtered completely does not move the offset', async () => {
  const task = new ListTask([[record(1)], [record(2), record(3)]])
  const transform = (r: { value: unknown }) => (r.value === 'v1' ? (r as never) : null)
  await using run = runSource(task, { kafka: kafkaWith('t'), transform })
  await eventually(() => assert.deepEqual(task.committed, [1]))
  await run.stop()
  assert.equal(run.committedSource().get(key), '{"at":1}')
  assert.equal(run.metric('source-record-active-count'), 0)
})

test('I5: a transform does not change what is committed', async () => {
  const task = new ListTask([[record(7)]])
  const transform = (r: { with(changes: object): unknown }) => r.with({ topic: 'other' }) as never
  await using run = runSource(task, { kafka: kafkaWith('other'), transform })
  await eventually(() => assert.deepEqual(task.committed, [7]))
  assert.deepEqual(run.topics, ['other'])
})

test('statement 131: errors.tolerance=all skips a record that a transform cannot take', async () => {
  const task = new ListTask([[record(1), record(2), record(3)]])
  const transform = (r: { value: unknown }) => {
    if (r.value === 'v2') throw new DataError('CONNECT_TEST', 'bad')
    return r as never
  }
  await using run = runSource(task, { kafka: kafkaWith('t'), transform, config: { 'errors.tolerance': 'all' } })
  await eventually(() => assert.deepEqual(task.committed.at(-1), 3))
  assert.deepEqual(run.values('t'), ['v1', 'v3'])
  assert.equal(run.metric('total-records-skipped'), 1)
})

test('6.6: without tolerance the task fails, the records before are on their way', async () => {
  const task = new ListTask([[record(1), record(2), record(3)]])
  const transform = (r: { value: unknown }) => {
    if (r.value === 'v2') throw new DataError('CONNECT_TEST', 'bad')
    return r as never
  }
  await using run = runSource(task, { kafka: kafkaWith('t'), transform })
  await assert.rejects(run.done, { message: 'Tolerance exceeded in error handler' })
  assert.deepEqual(run.values('t'), ['v1'])
  assert.equal(run.committedSource().get(key), '{"at":1}')
})

test('statement 131: a retriable transform error is retried within errors.retry.timeout, in order', async () => {
  let failures = 1
  const task = new ListTask([[record(1), record(2)]])
  const transform = (r: { value: unknown }) => {
    if (r.value === 'v1' && failures-- > 0) throw new RetriableError('CONNECT_TEST', 'later')
    return r as never
  }
  const config = { 'errors.retry.timeout': '10000', 'errors.retry.delay.max.ms': '1' }
  await using run = runSource(task, { kafka: kafkaWith('t'), transform, config })
  await eventually(() => assert.deepEqual(run.values('t'), ['v1', 'v2']))
  assert.equal(run.metric('total-retries'), 1)
})

test('5.1: a record that the broker refuses fails the task at the next poll; its offset is not committed', async () => {
  const kafka = kafkaWith('t')
  kafka.failNext('produce', new ConnectError('fatal', 'CONNECT_TEST', 'not authorised'))
  const task = new ListTask([[record(1)]])
  await using run = runSource(task, { kafka })
  await assert.rejects(run.done, { message: 'Unrecoverable exception from producer send callback' })
  assert.equal(run.committedSource().get(key), undefined)
})

test('5.1: without tolerance a record that alone is too large fails the task by its name; those before it count', async () => {
  const task = new ListTask([[record(1)], [record(2, 't', 'x'.repeat(3000)), record(3)]])
  const config = { 'producer.override.max.request.size': '2000' }
  await using run = runSource(task, { kafka: kafkaWith('t'), config })
  await assert.rejects(run.done, (error) => {
    const cause = error instanceof ConnectError ? error.cause : null
    assert.ok(cause instanceof DataError)
    assert.equal(cause.code, 'CONNECT_KAFKA_RECORD_TOO_LARGE')
    assert.match(cause.message, /^A record for topic t takes \d+ bytes/)
    return true
  })
  assert.equal(run.committedSource().get(key), '{"at":1}')
})

test('5.1: with tolerance a record that alone is too large is skipped, and its offset passes', async () => {
  const task = new ListTask([[record(1, 't', 'x'.repeat(3000)), record(2)]])
  const config = { 'errors.tolerance': 'all', 'producer.override.max.request.size': '2000' }
  await using run = runSource(task, { kafka: kafkaWith('t'), config })
  await eventually(() => assert.deepEqual(task.committed.at(-1), 2))
  assert.deepEqual(run.values('t'), ['v2'])
})

test('statement 51: a task that waits for a topic that does not exist stops when told to', async () => {
  const task = new ListTask([[record(1, 'nowhere')]])
  await using run = runSource(task)
  await eventually(() => assert.ok(run.logger.lines.some(({ message }) => message.includes('sent again'))))
  await run.stop()
  assert.deepEqual(task.committed, [])
})

test('statement 113: topic creation works on the topic after transforms', async () => {
  const task = new ListTask([[record(1)]])
  const transform = (r: { with(changes: object): unknown }) => r.with({ topic: 'made' }) as never
  const config = {
    'topic.creation.groups': 'own',
    'topic.creation.own.include': 'ma.*',
    'topic.creation.own.partitions': '3',
    'topic.creation.default.partitions': '1',
    'topic.creation.default.replication.factor': '-1',
  }
  await using run = runSource(task, { config, transform })
  await eventually(() => assert.deepEqual(run.values('made'), ['v1']))
  assert.equal(run.kafka.topics.get('made')?.partitions.length, 3)
})

test('5.1: an invalid timestamp is an error of the record', async () => {
  const bad = new SourceRecord({ sourcePartition: partition, sourceOffset: { at: 1 }, topic: 't', timestamp: -5 })
  await using run = runSource(new ListTask([[bad]]), { kafka: kafkaWith('t') })
  await assert.rejects(run.done, (error: Error) => String(error.cause).includes('Invalid record timestamp -5'))
})

test('5.1: start that fails with a retriable error is tried again with a new start', async () => {
  let starts = 0
  class Late extends ListTask {
    override async start(config: object, context: SourceTaskContext): Promise<void> {
      if (++starts === 1) throw new RetriableError('CONNECT_TEST', 'not yet')
      await super.start(config, context)
    }
  }
  await using run = runSource(new Late([[record(1)]]), { kafka: kafkaWith('t') })
  await eventually(() => assert.deepEqual(run.values('t'), ['v1']))
  assert.equal(starts, 2)
})

test('I9: a hard stop ends a task whose broker does not answer, without a commit', async () => {
  const kafka = kafkaWith('t')
  const release = kafka.hold('produce')
  const task = new ListTask([[record(1)]])
  await using run = runSource(task, { kafka })
  await eventually(() => assert.ok(task.commits.length > 0))
  await run.cancel()
  assert.deepEqual(task.committed, [])
  release()
})

test('I3: after an error of the offset topic the offsets are kept and committed later', async () => {
  const kafka = kafkaWith('t')
  const task = new ListTask([[record(1)]])
  await using run = runSource(task, { kafka, settings: { offsetFlushIntervalMs: 50 } })
  await eventually(() => assert.deepEqual(run.values('t'), ['v1']))
  kafka.failNext('produce', new RetriableError('CONNECT_TEST', 'no leader'))
  await eventually(() => assert.deepEqual(task.committed, [1]))
})

for (const boundary of ['poll', 'interval'] as const) {
  test(`statements 118, 119: exactly once, boundary ${boundary}: records and offset in one transaction`, async () => {
    const fenced: string[] = []
    const task = new ListTask([[record(1), record(2)], [record(3)]])
    const config = { 'transaction.boundary': boundary, 'transaction.boundary.interval.ms': '1' }
    await using run = runSource(task, {
      kafka: kafkaWith('t'),
      config,
      settings: { exactlyOnceSource: true },
      services: {
        fence: async () => {
          fenced.push('fence')
        },
        verify: async () => {
          fenced.push('verify')
        },
      },
    })
    await eventually(() => assert.deepEqual(run.values('t').slice(0, 2), ['v1', 'v2']))
    await run.stop()
    assert.deepEqual(fenced, ['fence', 'verify'])
    assert.deepEqual(run.values('t'), ['v1', 'v2', 'v3'])
    assert.equal(run.committedSource().get(key), '{"at":3}')
    assert.equal(task.committed.at(-1), 3)
  })
}

test('statement 120: exactly once, boundary connector: aborted records are invisible, their offsets advance', async () => {
  const first = [record(1), record(2)]
  const second = [record(3), record(4)]
  class Bounded extends ListTask {
    override async start(config: object, context: SourceTaskContext): Promise<void> {
      await super.start(config, context)
      context.transaction?.abort(first[1])
      context.transaction?.commit(second[1])
    }
  }
  const task = new Bounded([first, second])
  await using run = runSource(task, {
    kafka: kafkaWith('t'),
    config: { 'transaction.boundary': 'connector' },
    settings: { exactlyOnceSource: true },
  })
  await eventually(() => assert.equal(task.committed.at(-1), 4))
  await run.stop()
  assert.deepEqual(run.values('t'), ['v3', 'v4'])
  assert.ok(task.committed.includes(2))
})

test('statement 125: exactly once refuses records for its own offset topic', async () => {
  const task = new ListTask([[record(1, 'offsets')]])
  await using run = runSource(task, { settings: { exactlyOnceSource: true } })
  await assert.rejects(run.done, { code: 'CONNECT_OWN_OFFSET_TOPIC' })
})
