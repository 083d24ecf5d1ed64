import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConnectError } from '../../../../worker/api/errors.ts'
import { encodeOffsetKey, encodeOffsetValue } from '../../../../worker/cluster/offset-format.ts'
import { KafkaOffsetStore } from '../../../../worker/cluster/offset-store.ts'
import type { OffsetRecord, OffsetSink } from '../../../../worker/cluster/offset-writer.ts'
import { createTopicLog } from '../../../../worker/kafka/topic-log.ts'
import { ConnectorOffsetReader } from '../../../../worker/runtime/connector-offsets.ts'
import { BackedUpOffsets, offsetLayout } from '../../../../worker/runtime/offset-layout.ts'
import { systemClock } from '../../../../worker/util/clock.ts'
import { RecordingLogger } from '../../../support/contexts.ts'
import { FakeKafka } from '../../../support/kafka/fake-kafka.ts'
import { eventually } from '../../../support/runtime/eventually.ts'
import { defaultSettings } from '../../../support/runtime/runner-harness.ts'

const worker = { 'bootstrap.servers': 'a:1,b:2', 'group.id': 'g', 'offset.storage.partitions': '2' }
const id = { connector: 'c', task: 0 }
const scopeOf = (connector: Readonly<Record<string, string>>) => ({ worker, connector, clusterId: 'x' })
const settings = { ...defaultSettings, offsetTopic: 'worker-offsets' }

test('2.5: where offsets stand, by options and mode', () => {
  const plain = scopeOf({})
  const own = scopeOf({ 'offsets.storage.topic': ' mine ' })
  const same = scopeOf({ 'offsets.storage.topic': 'worker-offsets' })
  const elsewhere = scopeOf({ 'producer.override.bootstrap.servers': 'far:9' })
  const exactly = { ...settings, exactlyOnceSource: true }
  assert.deepEqual(offsetLayout(plain, id, settings), { topic: null, isWorkers: true })
  assert.deepEqual(offsetLayout(own, id, settings), { topic: 'mine', isWorkers: false })
  assert.deepEqual(offsetLayout(same, id, settings), { topic: 'worker-offsets', isWorkers: true })
  assert.deepEqual(offsetLayout(plain, id, exactly), { topic: 'worker-offsets', isWorkers: true })
  // Another cluster: a transaction cannot span two, so the offsets follow the records (statement 124).
  assert.deepEqual(offsetLayout(elsewhere, id, exactly), { topic: 'worker-offsets', isWorkers: false })
  assert.deepEqual(offsetLayout(own, id, { ...settings, offsetTopic: null }), { topic: 'mine', isWorkers: false })
})

const offset = (partition: string, at: number | null): OffsetRecord => ({
  key: encodeOffsetKey('c', { p: partition }),
  value: at === null ? null : encodeOffsetValue({ at }),
})

/** Notes every write in one list; `fail` makes the next ones reject. */
class NotingSink implements OffsetSink {
  readonly #name: string
  readonly #notes: string[]
  fail: Error | null = null

  constructor(name: string, notes: string[]) {
    this.#name = name
    this.#notes = notes
  }

  async write(records: readonly OffsetRecord[]): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    if (this.fail !== null) throw this.fail
    for (const { key, value } of records) {
      this.#notes.push(`${this.#name} ${Buffer.from(key)} ${value === null ? 'null' : Buffer.from(value)}`)
    }
  }
}

function openBackedUp(transactional: boolean) {
  const notes: string[] = []
  const logger = new RecordingLogger()
  const primary = new NotingSink('own', notes)
  const backup = new NotingSink('worker', notes)
  return { notes, logger, primary, backup, sink: new BackedUpOffsets({ primary, backup, logger, transactional }) }
}

test('2.5: tombstones go to the worker first, offsets to the connector first', async () => {
  const { sink, notes } = openBackedUp(false)
  await sink.write([offset('a', 1), offset('b', null)])
  await sink.close(AbortSignal.timeout(1000))
  assert.deepEqual(notes, [
    'worker ["c",{"p":"b"}] null',
    'own ["c",{"p":"a"}] {"at":1}',
    'own ["c",{"p":"b"}] null',
    'worker ["c",{"p":"a"}] {"at":1}',
  ])
})

test('2.5: a failed backup is logged only; a failed tombstone or primary fails the write', async () => {
  const down = new ConnectError('fatal', 'CONNECT_KAFKA_CONFIG', 'down')
  const backup = openBackedUp(false)
  backup.backup.fail = down
  await backup.sink.write([offset('a', 1)])
  await backup.sink.close(AbortSignal.timeout(1000))
  assert.deepEqual(backup.notes, ['own ["c",{"p":"a"}] {"at":1}'])
  assert.equal(backup.logger.lines.filter(({ level }) => level === 'warn').length, 1)
  await assert.rejects(backup.sink.write([offset('a', null)]), down)
  assert.equal(backup.notes.length, 1, 'the primary keeps the offset when the reset is not backed up')
  const primary = openBackedUp(false)
  primary.primary.fail = down
  await assert.rejects(primary.sink.write([offset('a', 1)]), down)
  await primary.sink.close(AbortSignal.timeout(1000))
  assert.deepEqual(primary.notes, [])
})

test('I1, KIP-618: the backup waits for the transaction, and never gets an aborted one', async () => {
  const { sink, notes } = openBackedUp(true)
  await sink.write([offset('a', 1)])
  sink.discard()
  await sink.write([offset('a', 2)])
  assert.deepEqual(notes, ['own ["c",{"p":"a"}] {"at":1}', 'own ["c",{"p":"a"}] {"at":2}'])
  sink.confirm()
  await sink.close(AbortSignal.timeout(1000))
  assert.equal(notes[2], 'worker ["c",{"p":"a"}] {"at":2}')
})

test('property: both stores end with the newest offset of every partition (I2)', async () => {
  const change = fc.record({ partition: fc.constantFrom('a', 'b', 'c'), at: fc.option(fc.nat(99)) })
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(change, { maxLength: 3 }), { maxLength: 8 }), async (writes) => {
      const { sink, notes } = openBackedUp(false)
      for (const changes of writes) {
        // As the offset writer: one record per partition.
        const newest = new Map(changes.map(({ partition, at }) => [partition, offset(partition, at)]))
        await sink.write([...newest.values()])
      }
      await sink.close(AbortSignal.timeout(1000))
      const last = (store: string): ReadonlyMap<string, string> => {
        const seen = new Map<string, string>()
        for (const note of notes) {
          const [name, key, value] = note.split(' ')
          if (name === store) seen.set(key ?? '', value ?? '')
        }
        return new Map([...seen].sort())
      }
      assert.deepEqual(last('worker'), last('own'))
    }),
    { verbose: 1 },
  )
})

async function openReader(exactlyOnce = false) {
  const kafka = new FakeKafka()
  kafka.topics.create('worker-offsets', 1, {})
  const logger = new RecordingLogger()
  const clients = { topic: 'worker-offsets', consumer: {}, producer: {}, admin: {} }
  const createLog: ConstructorParameters<typeof KafkaOffsetStore>[0]['createLog'] = (options) =>
    createTopicLog(kafka.clients, options)
  const store = new KafkaOffsetStore({ createLog, clients, logger })
  await store.start()
  const options = {
    worker: store,
    kafka: kafka.clients,
    settings: { ...settings, exactlyOnceSource: exactlyOnce },
    clock: systemClock,
    logger,
  }
  const open = () => new ConnectorOffsetReader('c', scopeOf({ 'offsets.storage.topic': 'mine' }), options)
  return { kafka, store, open, [Symbol.asyncDispose]: () => store.close() }
}

test('2.5, statement 98: the union of both stores, the own one first; its topic is created', async () => {
  await using context = await openReader()
  const { kafka, store, open } = context
  await store.write([offset('a', 1), offset('b', 1), offset('c', 1)])
  await using reader = open()
  assert.deepEqual(
    (await reader.read([{ p: 'a' }])).map((read) => read.offset),
    [{ at: 1 }],
  )
  assert.equal(kafka.topics.get('mine')?.partitions.length, 2)
  await reader.write([offset('a', 5), offset('b', null)])
  const read = await reader.read([{ p: 'a' }, { p: 'b' }, { p: 'c' }, { p: 'd' }])
  assert.deepEqual(
    read.map((answer) => answer.offset),
    [{ at: 5 }, null, { at: 1 }, null],
  )
  await using second = open()
  const known = (await second.partitions()).filter(({ offset: stored }) => stored !== null)
  assert.deepEqual(
    known.map((entry) => [entry.partition['p'], entry.offset?.['at']]),
    [
      ['a', 5],
      ['c', 1],
    ],
  )
  // The worker's store is the backup.
  await eventually(async () => assert.deepEqual(await store.read('c', [{ p: 'a' }, { p: 'b' }]), [{ at: 5 }, null]))
})

test('4.9, KIP-618: with exactly-once a change is one transaction under the id of task 0', async () => {
  await using context = await openReader(true)
  const { kafka, open } = context
  const before = kafka.transactionalId('g-c-0').epoch
  await using reader = open()
  await reader.write([offset('a', 3)])
  const owner = kafka.transactionalId('g-c-0')
  assert.ok(owner.epoch > before)
  assert.equal(owner.open, null)
  assert.deepEqual((await reader.read([{ p: 'a' }]))[0]?.offset, { at: 3 })
})

test('a topic of the connector that is not compacted is refused', async () => {
  await using context = await openReader()
  context.kafka.topics.create('mine', 1, { 'cleanup.policy': 'delete' })
  await using reader = context.open()
  await assert.rejects(reader.read([{ p: 'a' }]), { code: 'CONNECT_INTERNAL_TOPIC_CLEANUP' })
})
