import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { BatchError, DataError, RetriableError } from '../../../../worker/api/errors.ts'
import type { SinkRecord } from '../../../../worker/api/record.ts'
import type { SinkTask, SinkTaskContext } from '../../../../worker/api/task.ts'
import { type Offsets, type TopicPartition, TopicPartitionMap } from '../../../../worker/api/topic-partition.ts'
import { FakeKafka } from '../../../support/kafka/fake-kafka.ts'
import { eventually } from '../../../support/runtime/eventually.ts'
import { type RunnerHarness, runSink } from '../../../support/runtime/runner-harness.ts'

/** Keeps what it is given; a test overrides what it looks at. */
class ListSink implements SinkTask<object> {
  readonly calls: string[] = []
  readonly received: string[] = []
  puts = 0
  context: SinkTaskContext | null = null

  async start(_config: object, context: SinkTaskContext): Promise<void> {
    this.context = context
    this.calls.push('start')
  }

  async open(partitions: readonly TopicPartition[]): Promise<void> {
    this.calls.push(`open ${partitions.map(({ topic, partition }) => `${topic}-${partition}`).join()}`)
  }

  async put(records: readonly SinkRecord[]): Promise<void> {
    this.puts++
    for (const { value } of records) this.received.push(String(value))
  }

  async preCommit(current: Offsets): Promise<Offsets> {
    this.calls.push('preCommit')
    return current
  }

  async close(): Promise<void> {
    this.calls.push('close')
  }

  async stop(): Promise<void> {
    this.calls.push('stop')
  }
}

async function produce(kafka: FakeKafka, values: readonly (string | null)[], topic = 't'): Promise<void> {
  await using producer = kafka.clients.producer({})
  await producer.partitionsOf(topic)
  for (const value of values) {
    const bytes = value === null ? null : Buffer.from(value)
    const delivery = { delivered: () => undefined, failed: () => undefined }
    producer.append({ topic, partition: 0, key: Buffer.from('k'), value: bytes, headers: [], timestamp: 5 }, delivery)
  }
  await producer.flush()
}

async function kafkaWith(values: readonly (string | null)[], topics: readonly string[] = ['t']): Promise<FakeKafka> {
  const kafka = new FakeKafka()
  for (const topic of topics) kafka.topics.create(topic, 1, {})
  await produce(kafka, values)
  return kafka
}

async function committed(run: RunnerHarness): Promise<bigint | undefined> {
  await using admin = run.kafka.clients.admin({})
  return (await admin.listGroupOffsets('connect-c')).get('t', 0)
}

test('6.2, 6.3: records are put in order, then their offsets committed; stop closes in Connect’s order', async () => {
  const sink = new ListSink()
  await using run = runSink(sink, { kafka: await kafkaWith(['a', 'b', 'c']) })
  await eventually(async () => assert.equal(await committed(run), 3n))
  assert.deepEqual(sink.received, ['a', 'b', 'c'])
  await run.stop()
  assert.deepEqual(sink.calls.slice(0, 2), ['start', 'open t-0'])
  assert.deepEqual(sink.calls.slice(-3), ['preCommit', 'close', 'stop'])
  assert.deepEqual(run.states, ['RUNNING'])
  assert.deepEqual(run.topics, ['t'])
  assert.equal(run.metric('sink-record-read-total'), 3)
  assert.equal(run.metric('sink-record-send-total'), 3)
})

test('6.2: put is called with nothing too', async () => {
  const sink = new ListSink()
  await using _run = runSink(sink, { kafka: await kafkaWith([]) })
  await eventually(() => assert.ok(sink.puts >= 2))
})

test('6.2, I1: a retriable put gets the same batch again, nothing is committed meanwhile', async () => {
  let failures = 3
  const seen: string[][] = []
  class Busy extends ListSink {
    override async put(records: readonly SinkRecord[]): Promise<void> {
      if (records.length > 0) seen.push(records.map(({ value }) => String(value)))
      if (records.length > 0 && failures-- > 0) throw new RetriableError('CONNECT_TEST', 'busy', { retryAfterMs: 30 })
      await super.put(records)
    }
  }
  const sink = new Busy()
  const kafka = await kafkaWith(['a', 'b'])
  await using run = runSink(sink, { kafka })
  await eventually(() => assert.ok(seen.length >= 1))
  await produce(kafka, ['c'])
  await eventually(async () => assert.equal(await committed(run), 3n))
  assert.deepEqual(seen.slice(0, 4), [
    ['a', 'b'],
    ['a', 'b'],
    ['a', 'b'],
    ['a', 'b'],
  ])
  assert.deepEqual(sink.received, ['a', 'b', 'c'])
})

for (const copiesRecords of [true, false]) {
  const what = copiesRecords ? 'given back once put has returned' : 'kept for a task that may look at them later'
  test(`6.2: bytes of records are ${what}, not before`, async () => {
    const kept: Uint8Array[] = []
    const seen: string[] = []
    let failures = 2
    class Bytes extends ListSink {
      readonly copiesRecords = copiesRecords
      override async put(records: readonly SinkRecord[]): Promise<void> {
        if (records.length > 0 && failures-- > 0) throw new RetriableError('CONNECT_TEST', 'busy', { retryAfterMs: 20 })
        await setImmediate()
        for (const { value } of records) {
          assert.ok(value instanceof Uint8Array)
          seen.push(Buffer.from(value).toString())
          kept.push(value)
        }
      }
    }
    const config = { 'value.converter': 'org.apache.kafka.connect.converters.ByteArrayConverter' }
    await using run = runSink(new Bytes(), { kafka: await kafkaWith(['a', 'b']), config })
    await eventually(async () => assert.equal(await committed(run), 2n))
    await produce(run.kafka, ['c'])
    await eventually(async () => assert.equal(await committed(run), 3n))
    assert.deepEqual(seen, ['a', 'b', 'c'])
    assert.deepEqual(
      kept.map(([byte]) => byte),
      copiesRecords ? [0xee, 0xee, 0xee] : [0x61, 0x62, 0x63],
    )
  })
}

test('6.2: any other error of put fails the task; its offsets are not committed', async () => {
  class Broken extends ListSink {
    override async put(records: readonly SinkRecord[]): Promise<void> {
      if (records.length > 0) throw new Error('disk on fire')
    }
  }
  const sink = new Broken()
  await using run = runSink(sink, { kafka: await kafkaWith(['a']) })
  await assert.rejects(run.done, {
    message: 'Exiting WorkerSinkTask due to unrecoverable exception.',
    cause: new Error('disk on fire'),
  })
  assert.notEqual(await committed(run), 1n)
  assert.deepEqual(sink.calls.slice(-2), ['close', 'stop'])
})

test('statement 133: bad records go to the dead letter queue in order, good ones to the sink', async () => {
  const kafka = await kafkaWith(['1', 'x', '2', 'y'])
  const config = {
    'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
    'value.converter.schemas.enable': 'false',
    'errors.tolerance': 'all',
    'errors.deadletterqueue.topic.name': 'dlq',
    'errors.deadletterqueue.topic.replication.factor': '1',
    'errors.deadletterqueue.context.headers.enable': 'true',
  }
  const sink = new ListSink()
  await using run = runSink(sink, { kafka, config })
  await eventually(async () => assert.equal(await committed(run), 4n))
  assert.deepEqual(sink.received, ['1', '2'])
  assert.deepEqual(run.values('dlq'), ['x', 'y'])
  const letter = kafka.topics.get('dlq')?.partitions[0]?.read(0n, 1, false).records[0]
  const headers = Object.fromEntries((letter?.headers ?? []).map((h) => [h.key, Buffer.from(h.value ?? []).toString()]))
  assert.equal(headers['__connect.errors.topic'], 't')
  assert.equal(headers['__connect.errors.offset'], '1')
  assert.equal(headers['__connect.errors.task.id'], '0')
  assert.equal(headers['__connect.errors.stage'], 'VALUE_CONVERTER')
  assert.equal(headers['__connect.errors.class.name'], 'org.apache.kafka.connect.json.JsonConverter')
  assert.equal(headers['__connect.errors.exception.class.name'], 'org.apache.kafka.connect.errors.DataException')
  assert.equal(letter?.timestamp, 5)
  assert.equal(run.metric('deadletterqueue-produce-requests'), 2)
})

test('statement 133: without tolerance only the first bad record is in the queue and the task is failed', async () => {
  const config = {
    'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
    'value.converter.schemas.enable': 'false',
    'errors.deadletterqueue.topic.name': 'dlq',
    'errors.deadletterqueue.topic.replication.factor': '1',
  }
  await using run = runSink(new ListSink(), { kafka: await kafkaWith(['x', 'y']), config })
  await assert.rejects(run.done, { message: 'Tolerance exceeded in error handler' })
  assert.deepEqual(run.values('dlq'), ['x'])
})

test('statement 134: offsets of records that a transform drops are committed', async () => {
  const transform = (r: { value: unknown }) => (r.value === null ? null : (r as never))
  const sink = new ListSink()
  await using run = runSink(sink, { kafka: await kafkaWith(['a', null]), transform })
  await eventually(async () => assert.equal(await committed(run), 2n))
  assert.deepEqual(sink.received, ['a'])
})

test('statement 132: reported records are in the queue before their offsets are committed; the task goes on', async () => {
  class Picky extends ListSink {
    override async put(records: readonly SinkRecord[]): Promise<void> {
      const good = records.filter(({ value }) => value !== 'bad')
      for (const record of records) {
        if (!good.includes(record))
          void this.context?.report(record, new DataError('CONNECT_TEST', 'no')).catch(() => 0)
      }
      await super.put(good)
    }
  }
  const sink = new Picky()
  const config = {
    'errors.tolerance': 'all',
    'errors.deadletterqueue.topic.name': 'dlq',
    'errors.deadletterqueue.topic.replication.factor': '1',
  }
  await using run = runSink(sink, { kafka: await kafkaWith(['a', 'bad', 'b']), config })
  await eventually(async () => assert.equal(await committed(run), 3n))
  assert.deepEqual(run.values('dlq'), ['bad'])
  assert.deepEqual(sink.received, ['a', 'b'])
})

test('6.7: a report without tolerance fails the task even when the task swallows it', async () => {
  class Swallowing extends ListSink {
    override async put(records: readonly SinkRecord[]): Promise<void> {
      for (const record of records) await this.context?.report(record, new Error('no')).catch(() => undefined)
    }
  }
  await using run = runSink(new Swallowing(), { kafka: await kafkaWith(['a']) })
  await assert.rejects(run.done, { message: 'Tolerance exceeded in error handler' })
  assert.notEqual(await committed(run), 1n)
})

test('BatchError: failed members are reported or tried again, the others count as written', async () => {
  let tries = 0
  class Partial extends ListSink {
    override async put(records: readonly SinkRecord[]): Promise<void> {
      const failures = new Map<number, Error>()
      for (const [i, record] of records.entries()) {
        if (record.value === 'bad') failures.set(i, new DataError('CONNECT_TEST', 'no'))
        else if (record.value === 'busy' && tries++ === 0) {
          failures.set(i, new RetriableError('CONNECT_TEST', 'later', { retryAfterMs: 1 }))
        } else this.received.push(String(record.value))
      }
      if (failures.size > 0) throw new BatchError('CONNECT_TEST', 'some failed', failures)
    }
  }
  const sink = new Partial()
  const config = {
    'errors.tolerance': 'all',
    'errors.deadletterqueue.topic.name': 'dlq',
    'errors.deadletterqueue.topic.replication.factor': '1',
  }
  await using run = runSink(sink, { kafka: await kafkaWith(['a', 'bad', 'busy', 'b']), config })
  await eventually(async () => assert.equal(await committed(run), 4n))
  assert.deepEqual(sink.received, ['a', 'b', 'busy'])
  assert.deepEqual(run.values('dlq'), ['bad'])
})

test('6.3: preCommit that fails rewinds to the last committed offsets', async () => {
  let failures = 1
  class Forgetful extends ListSink {
    override async preCommit(current: Offsets): Promise<Offsets> {
      if ((current.get('t', 0) ?? 0n) > 0n && failures-- > 0) throw new Error('lost the buffer')
      return current
    }
  }
  const sink = new Forgetful()
  await using run = runSink(sink, { kafka: await kafkaWith(['a', 'b']) })
  await eventually(async () => assert.equal(await committed(run), 2n))
  assert.deepEqual(sink.received, ['a', 'b', 'a', 'b'])
})

test('6.3: offsets beyond what was delivered, or of foreign partitions, are ignored', async () => {
  class Liar extends ListSink {
    override async preCommit(): Promise<Offsets> {
      return new TopicPartitionMap<bigint>().set('t', 0, 99n).set('other', 0, 1n)
    }
  }
  await using run = runSink(new Liar(), { kafka: await kafkaWith(['a']) })
  await eventually(() => assert.ok(run.logger.lines.some(({ message }) => message.includes('Ignoring an offset'))))
  await run.stop()
  assert.notEqual(await committed(run), 99n)
})

test('6.3: a partition that preCommit leaves out is not committed', async () => {
  class Holding extends ListSink {
    override async preCommit(): Promise<Offsets> {
      this.calls.push('preCommit')
      return new TopicPartitionMap()
    }
  }
  const sink = new Holding()
  await using run = runSink(sink, { kafka: await kafkaWith(['a']) })
  await eventually(() => assert.ok(sink.calls.filter((call) => call === 'preCommit').length > 1))
  await run.stop()
  assert.notEqual(await committed(run), 1n)
})

test('statement 48: a paused sink keeps its partitions and gets put([]), no records; resume delivers them', async () => {
  const sink = new ListSink()
  const kafka = await kafkaWith([])
  await using run = runSink(sink, { kafka })
  await eventually(() => assert.ok(sink.calls.includes('open t-0')))
  run.pause()
  await eventually(() => assert.deepEqual(run.states, ['RUNNING', 'PAUSED']))
  await produce(kafka, ['a'])
  const puts = sink.puts
  await eventually(() => assert.ok(sink.puts > puts + 2))
  assert.deepEqual(sink.received, [])
  assert.ok(!sink.calls.includes('close'))
  run.resume()
  await eventually(() => assert.deepEqual(sink.received, ['a']))
})

test('6.5: seek delivers again from the offset; a partition that is not assigned cannot be paused', async () => {
  class Rewinding extends ListSink {
    #done = false
    override async put(records: readonly SinkRecord[]): Promise<void> {
      await super.put(records)
      if (this.#done || records.length === 0) return
      this.#done = true
      this.context?.seek({ topic: 't', partition: 0 }, 1n)
    }
  }
  const sink = new Rewinding()
  await using run = runSink(sink, { kafka: await kafkaWith(['a', 'b']) })
  await eventually(() => assert.deepEqual(sink.received, ['a', 'b', 'b']))
  assert.throws(() => sink.context?.pause([{ topic: 'x', partition: 9 }]), {
    message: 'SinkTasks may not pause partitions that are not currently assigned to them.',
  })
  await run.stop()
})

test('I2: what a task seeks again does not count as delivered in the commit right after', async () => {
  const asked: (bigint | undefined)[] = []
  class Seeking extends ListSink {
    override async put(records: readonly SinkRecord[]): Promise<void> {
      await super.put(records)
      if (asked.length > 0 || records.length === 0) return
      this.context?.seek({ topic: 't', partition: 0 }, 1n)
      this.context?.requestCommit()
    }

    override async preCommit(current: Offsets): Promise<Offsets> {
      if (this.received.length > 0) asked.push(current.get('t', 0))
      return current
    }
  }
  const sink = new Seeking()
  await using run = runSink(sink, {
    kafka: await kafkaWith(['a', 'b', 'c']),
    settings: { offsetFlushIntervalMs: 60_000 },
  })
  await eventually(() => assert.deepEqual(sink.received, ['a', 'b', 'c', 'b', 'c']))
  assert.equal(asked[0], 1n)
  await run.stop()
  assert.equal(await committed(run), 3n)
})

test('6.5: requestCommit commits before the interval is over; timeout shortens the wait for records, once', async () => {
  const commits: (bigint | undefined)[] = []
  const putAt: number[] = []
  class Asking extends ListSink {
    override async put(records: readonly SinkRecord[]): Promise<void> {
      await super.put(records)
      putAt.push(performance.now())
      if (this.puts <= 5) this.context?.timeout(20)
      if (records.length > 0) this.context?.requestCommit()
    }

    override async preCommit(current: Offsets): Promise<Offsets> {
      commits.push(current.get('t', 0))
      return current
    }
  }
  const sink = new Asking()
  // Without either nothing would happen for a minute.
  await using run = runSink(sink, { kafka: await kafkaWith(['a', 'b']), settings: { offsetFlushIntervalMs: 60_000 } })
  await eventually(() => assert.ok(sink.puts >= 6))
  assert.ok((putAt[5] ?? 0) - (putAt[0] ?? 0) >= 5 * 15, 'the task is waited for as long as it asked')
  assert.equal(commits.at(-1), 2n)
  assert.equal(await committed(run), 2n)
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.equal(sink.puts, 6, 'the wait is as long as ever again')
})

test('statement 130: a task without partitions runs', async () => {
  const sink = new ListSink()
  await using run = runSink(sink, { config: { topics: '', 'topics.regex': 'none-.*' } })
  await eventually(() => assert.deepEqual(run.states, ['RUNNING']))
  await eventually(() => assert.ok(sink.puts > 0))
  await run.stop()
})

test('statement 129: a second member takes a partition over without a record delivered twice', async () => {
  const kafka = new FakeKafka()
  kafka.topics.create('t', 2, {})
  const [one, two] = [new ListSink(), new ListSink()]
  await using first = runSink(one, { kafka })
  await produce(kafka, ['a', 'b'])
  await eventually(() => assert.deepEqual(one.received, ['a', 'b']))
  await using second = runSink(two, { kafka, task: 1 })
  await eventually(() => assert.ok(two.calls.some((call) => call.startsWith('open'))))
  await produce(kafka, ['c'])
  await eventually(() => assert.deepEqual([...one.received, ...two.received].sort(), ['a', 'b', 'c']))
  await first.stop()
  await second.stop()
  assert.deepEqual([...one.received, ...two.received].sort(), ['a', 'b', 'c'])
})

test('I9, I7: a hard stop commits nothing', async () => {
  class Slow extends ListSink {
    override async put(records: readonly SinkRecord[], signal?: AbortSignal): Promise<void> {
      if (records.length === 0) return
      this.received.push('began')
      await new Promise((resolve) => signal?.addEventListener('abort', resolve, { once: true }))
    }
  }
  const sink = new Slow()
  await using run = runSink(sink, { kafka: await kafkaWith(['a']) })
  await eventually(() => assert.deepEqual(sink.received, ['began']))
  await run.cancel()
  assert.notEqual(await committed(run), 1n)
})

test('a producer with options of its own writes beside the task’s, and is closed with it', async () => {
  const sink = new ListSink()
  const kafka = await kafkaWith([])
  await using run = runSink(sink, { kafka, config: { 'b.linger.ms': '1', 'c.acks': 'seven' } })
  await eventually(() => assert.ok(sink.calls.includes('start')))
  assert.ok(sink.context)
  const producer = sink.context.producerWith('b.')
  await producer.ensureTopic('files', { partitions: 1, replicationFactor: 1 })
  await producer.send([{ topic: 'files', key: null, value: Buffer.from('m') }])
  const { records } = kafka.topics.partition('files', 0).read(0n, 10, true)
  assert.deepEqual(
    records.map(({ value }) => value && Buffer.from(value).toString()),
    ['m'],
  )
  const wrong = sink.context.producerWith('c.')
  await assert.rejects(wrong.send([{ topic: 'files', key: null, value: null }]), /acks/)
  await run.stop()
})
