import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { KafkaSignals } from '../../../../connectors/postgres-cdc/kafka-signals.ts'
import type { TopicReader, TopicReaderRecord } from '../../../../worker/api/context.ts'
import { RetriableError } from '../../../../worker/api/errors.ts'
import { systemClock } from '../../../../worker/util/clock.ts'
import { RecordingLogger } from '../../../support/contexts.ts'
import { until } from '../../../support/postgres-fixture.ts'

class FakeReader implements TopicReader {
  readonly records: TopicReaderRecord[]
  readonly commits: bigint[] = []
  readonly failures: Error[] = []
  at = 0n
  closed = false

  constructor(...records: readonly (readonly [key: string, value: string])[]) {
    this.records = records.map(([key, value], i) => ({
      offset: BigInt(i),
      key: Buffer.from(key),
      value: Buffer.from(value),
    }))
  }

  async poll(maxWaitMs: number, signal?: AbortSignal): Promise<readonly TopicReaderRecord[]> {
    const failure = this.failures.shift()
    if (failure !== undefined) throw failure
    const found = this.records.filter(({ offset }) => offset >= this.at)
    this.at = BigInt(this.records.length)
    if (found.length === 0) await systemClock.sleep(Math.min(maxWaitMs, 5), signal)
    return found
  }

  seek(offset: bigint): void {
    this.at = offset
  }

  async commit(nextOffset: bigint): Promise<void> {
    this.commits.push(nextOffset)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closed = true
  }
}

const open = (reader: FakeReader, start: bigint | null = null, logger = new RecordingLogger()) =>
  new KafkaSignals({ reader, topic: 's', key: 'shop', start, pollMs: 5, clock: systemClock, logger })

const log = (id: string) => JSON.stringify({ id, type: 'log', data: { message: id } })

async function ids(signals: KafkaSignals, count: number): Promise<readonly string[]> {
  const found: string[] = []
  await until(async () => {
    for await (const { id } of signals.poll()) found.push(id)
    return found.length >= count
  }, 'the signals')
  return found
}

suite('signals by Kafka', () => {
  test('records of other connectors and what is no signal are passed over', async () => {
    const reader = new FakeReader(['other', log('a')], ['shop', 'no json'], ['shop', log('b')], ['shop', '{"id":1}'])
    const logger = new RecordingLogger()
    await using signals = open(reader, null, logger)
    assert.deepEqual(await ids(signals, 1), ['b'])
    await until(() => logger.lines.length === 2, 'the warnings')
  })

  test('the position moves behind a signal when it has been answered, and is stored when an offset with it is durable', async () => {
    const reader = new FakeReader(['shop', log('a')], ['shop', log('b')])
    await using signals = open(reader)
    await until(() => signals.dueInMs === 0)
    const positions: (bigint | null)[] = []
    for await (const { id } of signals.poll()) {
      positions.push(signals.position)
      if (id === 'b') break
    }
    assert.deepEqual(positions, [null, 1n])
    for await (const _ of signals.poll()) assert.fail('nothing is left')
    assert.deepEqual(reader.commits, [])
    signals.confirm(1n)
    await until(() => reader.commits.length === 1, 'the commit')
    assert.deepEqual(reader.commits, [1n])
  })

  test('a stored source offset says where to go on', async () => {
    await using signals = open(new FakeReader(['shop', log('a')], ['shop', log('b')]), 1n)
    assert.deepEqual(await ids(signals, 1), ['b'])
    assert.equal(signals.position, 2n)
  })

  test('brokers that are away are waited for; what cannot work is reported', async () => {
    const reader = new FakeReader(['shop', log('a')])
    reader.failures.push(new RetriableError('CONNECT_KAFKA_UNAVAILABLE', 'away'))
    await using signals = open(reader)
    assert.deepEqual(await ids(signals, 1), ['a'])
    reader.failures.push(new TypeError('bootstrap.servers'))
    await assert.rejects(ids(signals, 9), /signal\.kafka\.bootstrap\.servers/)
  })
})
