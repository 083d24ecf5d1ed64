import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Schemas, type Value } from '../../../../worker/api/data.ts'
import { SinkRecord } from '../../../../worker/api/record.ts'
import { MemoryStore } from '../../../conformance/s3/memory-store.ts'
import { SinkHarness } from '../../../conformance/s3/sink-harness.ts'
import { testSeed } from '../../../support/seed.ts'

const record = (offset: number, key: string | null, value: Value, partition = 0) =>
  new SinkRecord({ topic: 'leads', partition, offset: BigInt(offset), keySchema: Schemas.optionalString, key, value })

async function open(config: Readonly<Record<string, string>> = {}, store = new MemoryStore()) {
  const harness = await SinkHarness.start({
    store,
    config: {
      'file.name.template': '{{key}}',
      'behavior.on.null.values': 'delete',
      'retry.backoff.ms': '1000',
      'errors.tolerance': 'all',
      ...config,
    },
  })
  await harness.assign({ topic: 'leads', partition: 0 }, { topic: 'leads', partition: 1 })
  return { harness, store }
}

const contents = (store: MemoryStore) =>
  Object.fromEntries([...store.objects].map(([key, body]) => [key, body.toString()]).sort())

test('one object per key: the last of a batch wins, a tombstone removes, a null key is called null (S77)', async () => {
  const { harness, store } = await open()
  harness.append([
    record(0, 'a', { n: 0 }),
    record(1, 'b/c', { n: 1 }),
    record(2, 'a', { n: 2 }),
    record(3, null, { n: 3 }),
    record(4, 'gone', { n: 4 }),
  ])
  await harness.settle()
  assert.deepEqual(store.calls.filter((call) => call.startsWith('put')).sort(), [
    'put topics/a.json',
    'put topics/b%2Fc.json',
    'put topics/gone.json',
    'put topics/null.json',
  ])
  harness.append([record(5, 'gone', null), record(6, 'a', { n: 6 })])
  await harness.settle()
  assert.deepEqual(contents(store), {
    'topics/a.json': '{"n":6}\n',
    'topics/b%2Fc.json': '{"n":1}\n',
    'topics/null.json': '{"n":3}\n',
  })
  assert.equal(harness.offset('leads'), 7n)
})

test('names with topic and partition; formats and compression as ever', async () => {
  const { harness, store } = await open({
    'file.name.template': 'by/{{ topic }}-{{partition}}/{{key}}',
    's3.compression.type': 'gzip',
    'topics.dir': '',
  })
  harness.append([record(0, 'k', { n: 0 }), record(0, 'k', { n: 1 }, 1)])
  await harness.settle()
  assert.deepEqual([...store.objects.keys()].sort(), ['by/leads-0/k.json.gz', 'by/leads-1/k.json.gz'])
})

test('a record that cannot be written is reported and leaves what the key had', async () => {
  const { harness, store } = await open({ 'format.class': 'io.confluent.connect.s3.format.bytearray.ByteArrayFormat' })
  harness.append([record(0, 'a', Buffer.from('x')), record(1, 'a', 'no bytes')])
  await harness.settle()
  assert.deepEqual(contents(store), { 'topics/a.bin': 'x\n' })
  assert.deepEqual(
    harness.reported.map(({ record: r }) => r.offset),
    [1n],
  )
  assert.equal(harness.offset('leads'), 2n)
})

const seed = testSeed
test(`whatever fails on the way: every key holds its latest value, offsets never pass what is durable (S77) (seed ${seed})`, async () => {
  const change = fc.record({ key: fc.constantFrom('a', 'b', 'c'), deleted: fc.boolean() })
  const fault = fc.record({
    operation: fc.constantFrom('put', 'remove' as const),
    after: fc.nat(5),
    times: fc.integer({ min: 1, max: 3 }),
    applied: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(change), { maxLength: 5 }),
      fc.array(fault, { maxLength: 4 }),
      async (batches, faults) => {
        const { harness, store } = await open()
        for (const planned of faults) store.plan(planned)
        const latest = new Map<string, number>()
        let offset = 0
        for (const batch of batches) {
          for (const { key, deleted } of batch) {
            harness.append([record(offset, key, deleted ? null : { n: offset })])
            if (deleted) latest.delete(key)
            else latest.set(key, offset)
            offset++
          }
          await harness.poll()
          await harness.commit()
        }
        await harness.settle(60_000)
        const expected = [...latest].map(([key, n]) => [`topics/${key}.json`, `{"n":${n}}\n`])
        assert.deepEqual(contents(store), Object.fromEntries(expected.sort()))
        assert.equal(harness.offset('leads') ?? 0n, BigInt(offset))
      },
    ),
    { seed, numRuns: 100 },
  )
})
