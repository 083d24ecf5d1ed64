import { deepEqual, equal, match } from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import { type Value } from '../../../../worker/api/data.ts'
import { SinkRecord } from '../../../../worker/api/record.ts'
import { MemoryStore } from '../../../conformance/s3/memory-store.ts'
import { SinkHarness } from '../../../conformance/s3/sink-harness.ts'
import { seededRandom } from '../../../support/random.ts'
import { testSeed } from '../../../support/seed.ts'

const record = (offset: number, key: string, value: Value, partition = 0) =>
  new SinkRecord({ topic: 'Leads', partition, offset: BigInt(offset), key, value })

async function open(store = new MemoryStore(), options: Readonly<Record<string, string>> = {}) {
  const harness = await SinkHarness.start({
    store,
    config: {
      'file.name.template': '{{key}}',
      'behavior.on.null.values': 'delete',
      'compact.merge': 'true',
      'compact.merge.increment.fields': 'clicks,deep.n',
      'errors.tolerance': 'all',
      'retry.backoff.ms': '1',
      ...options,
    },
  })
  await harness.assign({ topic: 'Leads', partition: 0 }, { topic: 'Leads', partition: 1 })
  return { harness, store }
}

const contentOf = (store: MemoryStore, key: string) => store.objects.get(`topics/${key}.json`)?.toString()

test('members merge into the object of the key, numbers are added, the metadata tell how far (statement S78)', async () => {
  const { harness, store } = await open()
  harness.append([
    record(5, 'r', { id: 'r', clicks: 1, geo: { c: 'US' } }),
    record(6, 'r', { clicks: 9007199254740993n, deep: { n: 0.5 } }),
  ])
  await harness.settle()
  harness.append([record(7, 'r', { geo: { s: 'NJ' }, list: [1], deep: { n: 1.5 } }), record(3, 'r', { list: [2] }, 1)])
  await harness.settle()
  const merged = contentOf(store, 'r')
  deepEqual(JSON.parse(merged ?? ''), {
    id: 'r',
    clicks: 9007199254740994,
    geo: { c: 'US', s: 'NJ' },
    deep: { n: 2 },
    list: [2],
  })
  match(merged ?? '', /"clicks":9007199254740994,/)
  const { 'kc-md5': sum, ...fences } = store.metadata.get('topics/r.json') ?? {}
  equal(sum, hash('md5', merged ?? ''))
  deepEqual(fences, { 'kc-fence-%4ceads-0': '7', 'kc-fence-%4ceads-1': '3' })
  equal(harness.offset('Leads'), 8n)
})

test('what an object holds already is left out when it comes again, also in other batches (statement S78)', async () => {
  const store = new MemoryStore()
  const steps = Array.from({ length: 12 }, (_, i) => record(i, 'r', { clicks: 1, last: i }))
  for (const [from, to] of [
    [0, 5],
    [2, 8],
    [0, 12],
    [11, 12],
  ] as const) {
    const { harness } = await open(store)
    harness.append(steps.slice(from, to))
    await harness.settle()
  }
  equal(contentOf(store, 'r'), '{"last":11,"clicks":12}\n')
})

test('content that is older than the metadata is read again, not built on', async () => {
  const { harness, store } = await open()
  harness.append([record(0, 'r', { clicks: 1 })])
  await harness.settle()
  const old = store.objects.get('topics/r.json') ?? Buffer.alloc(0)
  harness.append([record(1, 'r', { clicks: 1 })])
  await harness.settle()
  const read = store.read.bind(store)
  let torn = 1
  store.read = async (at) => {
    const found = await read(at)
    return found !== null && torn-- > 0 ? { ...found, body: old } : found
  }
  harness.append([record(2, 'r', { clicks: 1 })])
  await harness.settle()
  equal(contentOf(store, 'r'), '{"clicks":3}\n')
})

test('a tombstone removes the object, what follows begins anew, and an old one removes nothing', async () => {
  const { harness, store } = await open()
  harness.append([record(0, 'r', { clicks: 1 }), record(1, 'r', null), record(2, 'r', { clicks: 2 })])
  await harness.settle()
  equal(contentOf(store, 'r'), '{"clicks":2}\n')
  const again = await open(store)
  again.harness.append([record(1, 'r', null)])
  await again.harness.settle()
  equal(contentOf(store, 'r'), '{"clicks":2}\n')
  harness.append([record(3, 'r', null)])
  await harness.settle()
  equal(contentOf(store, 'r'), undefined)
})

test('a value that cannot be merged is reported, and the rest goes on', async () => {
  const { harness, store } = await open()
  harness.append([record(0, 'r', 'text'), record(1, 'r', { clicks: 'many' }), record(2, 'r', { clicks: 2 })])
  await harness.settle()
  deepEqual(
    harness.reported.map((r) => [r.record.offset, (r.error as { code?: string }).code]),
    [
      [0n, 'CONNECT_S3_VALUE_NOT_OBJECT'],
      [1n, 'CONNECT_S3_VALUE_MISMATCH'],
    ],
  )
  equal(contentOf(store, 'r'), '{"clicks":2}\n')
})

const random = seededRandom(testSeed)

test(`three owners of two partitions with lost answers: every step counts once, seed ${random.seed} (statement S78)`, async () => {
  for (let round = 0; round < 20; round++) {
    const store = new MemoryStore()
    const writers = await Promise.all([open(store), open(store), open(store)])
    const steps = Array.from({ length: 40 }, (_, i) => record(i >> 1, random.pick(['a', 'b']), { clicks: 1 }, i & 1))
    for (let i = random.integer(0, 6); i > 0; i--) {
      store.plan({
        operation: random.pick(['put', 'read']),
        after: random.integer(0, 10),
        applied: random.next() < 0.5,
      })
    }
    await Promise.all(
      writers.map(async ({ harness }) => {
        // All believe to own both partitions, and each cuts batches in its own way.
        for (let at = 0; at < steps.length; ) {
          const to = at + random.integer(1, 15)
          harness.append(steps.slice(at, to))
          await harness.settle(5)
          at = to
        }
        await harness.settle(100)
      }),
    )
    const clicks = ['a', 'b'].map(
      (key) => (JSON.parse(contentOf(store, key) ?? '{"clicks":0}') as { clicks: number }).clicks,
    )
    equal(clicks[0], steps.filter(({ key }) => key === 'a').length, `round ${round}`)
    equal(clicks[1], steps.filter(({ key }) => key === 'b').length, `round ${round}`)
  }
})
