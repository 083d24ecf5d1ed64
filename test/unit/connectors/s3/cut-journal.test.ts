import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConnectError } from '../../../../worker/api/errors.ts'
import { SinkRecord } from '../../../../worker/api/record.ts'
import { TopicPartitionMap } from '../../../../worker/api/topic-partition.ts'
import { MemoryStore } from '../../../conformance/s3/memory-store.ts'
import { SinkHarness } from '../../../conformance/s3/sink-harness.ts'
import { testSeed } from '../../../support/seed.ts'

const tp = { topic: 'orders', partition: 0 }
const journalKey = '_journal/orders/0.json'
const record = (id: number, kinds: number) =>
  new SinkRecord({ ...tp, offset: BigInt(id), value: { kind: `k${id % kinds}`, id } })
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

const config = {
  'partitioner.class': 'io.confluent.connect.storage.partitioner.FieldPartitioner',
  'partition.field.name': 'kind',
  'flush.size': '1000',
  'rotate.schedule.interval.ms': '10000',
  timezone: 'UTC',
  'commit.journal.prefix': '_journal/',
  'notify.topic': 'files',
  'retry.backoff.ms': '1000',
}

/** Ids in all visible objects, sorted: loss and duplicates show. */
const visible = (store: MemoryStore) =>
  [...store.objects]
    .filter(([key]) => key.startsWith('topics/'))
    .flatMap(([, body]) =>
      body
        .toString()
        .split('\n')
        .filter((line) => line !== ''),
    )
    .map((line) => (JSON.parse(line) as { id: number }).id)
    .sort((a, b) => a - b)

async function open(store: MemoryStore, committed = new TopicPartitionMap<bigint>()) {
  const harness = await SinkHarness.start({ config, store, committed })
  await harness.assign(tp)
  return harness
}

test('a commit by wall clock is made again by the next owner, although more records are there by then', async () => {
  const store = new MemoryStore()
  const first = await open(store)
  first.append(range(0, 5).map((id) => record(id, 2)))
  await first.settle(10_000)
  assert.equal(store.objects.get(journalKey)?.toString(), '{"v":1,"commits":[["0","4"]]}')
  const before = new Map(store.objects)
  // Killed before its offsets were committed: the next owner reads all ten records at once.
  const next = await open(store)
  next.append(range(0, 10).map((id) => record(id, 2)))
  await next.poll()
  assert.deepEqual(store.objects, before)
  await next.commit()
  assert.equal(next.offset(), 5n)
  await next.settle(20_000)
  assert.deepEqual(visible(store), range(0, 10))
  const firstIds = first.messages.map(({ id }) => id)
  assert.deepEqual(
    next.messages.slice(0, 2).map(({ id }) => id),
    firstIds,
  )
})

test('a known commit whose last records are gone is ended after a quiet minute, and by what lies behind it', async () => {
  for (const behind of [[], [8]]) {
    const store = new MemoryStore()
    store.objects.set(journalKey, Buffer.from('{"v":1,"commits":[["0","6"]]}'))
    const harness = await open(store)
    harness.append([...range(0, 5), ...behind].map((id) => record(id, 1)))
    await harness.settle(30_000)
    assert.equal(harness.offset(), behind.length === 0 ? 0n : 9n)
    await harness.settle(60_000)
    assert.deepEqual(visible(store), [...range(0, 5), ...behind])
  }
})

test('an owner that another one has overtaken reads the journal again before it goes on', async () => {
  const store = new MemoryStore()
  const stale = await open(store)
  stale.append(range(0, 3).map((id) => record(id, 1)))
  await stale.poll()
  const owner = await open(store)
  owner.append(range(0, 6).map((id) => record(id, 1)))
  await owner.settle(10_000)
  await stale.settle(10_000)
  // Its three records were not written: they belong to the other's commit of six.
  assert.deepEqual(visible(store), range(0, 6))
  assert.equal(stale.offset(), 0n)
  stale.append(range(3, 6).map((id) => record(id, 1)))
  await stale.settle(10_000)
  assert.deepEqual(visible(store), range(0, 6))
  assert.equal(stale.offset(), 6n)
})

test('an object that is no journal stops the task with its name and the remedy', async () => {
  const store = new MemoryStore()
  store.objects.set(journalKey, Buffer.from('hello'))
  const harness = await open(store)
  harness.append([record(0, 1)])
  await assert.rejects(harness.poll(), (error: unknown) => {
    assert.ok(error instanceof ConnectError)
    assert.equal(error.code, 'CONNECT_S3_JOURNAL_INVALID')
    assert.match(error.message, /_journal\/orders\/0\.json.*commit\.journal\.prefix/)
    return true
  })
})

const seed = testSeed
test(`killed at any request, cut at any time: each record is visible once, ranges of messages never overlap (seed ${seed})`, async () => {
  const life = fc.record({
    records: fc.integer({ min: 1, max: 12 }),
    waitMs: fc.constantFrom(0, 4_000, 10_000),
    killAfter: fc.option(fc.nat(8)),
    applied: fc.boolean(),
    commits: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(life, { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 3 }),
      async (lives, kinds) => {
        const store = new MemoryStore()
        const committed = new TopicPartitionMap<bigint>()
        const messages = new Map<string, { group: string; first: bigint; last: bigint }>()
        let produced = 0
        for (const { records, waitMs, killAfter, applied, commits } of [...lives, lastLife]) {
          produced += records
          const harness = await open(store, committed)
          if (killAfter !== null) {
            store.plan({
              operation: 'put',
              after: killAfter,
              times: 1,
              applied,
              error: new ConnectError('fatal', 'CONNECT_TEST', 'killed'),
            })
          }
          try {
            harness.append(range(0, produced).map((id) => record(id, kinds)))
            await harness.poll()
            harness.clock.advance(waitMs)
            await harness.poll()
            if (commits) await harness.commit()
          } catch (error) {
            assert.ok(error instanceof ConnectError && error.code === 'CONNECT_TEST')
          }
          store.unplan()
          for (const { id, eventKey, source } of harness.messages) {
            messages.set(id, { group: eventKey ?? '', first: source.firstOffset, last: source.lastOffset })
          }
        }
        assert.deepEqual(visible(store), range(0, produced))
        const ranges = [...messages.values()].sort((a, b) => Number(a.first - b.first))
        for (const a of ranges) {
          for (const b of ranges) {
            assert.ok(a === b || a.group !== b.group || a.last < b.first || b.last < a.first)
          }
        }
      },
    ),
    { seed, numRuns: 150 },
  )
})

const lastLife = { records: 1, waitMs: 10_000, killAfter: null, applied: false, commits: true }
