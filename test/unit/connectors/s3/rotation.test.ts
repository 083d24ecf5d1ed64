import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeSchema, type Schema, Schemas } from '../../../../worker/api/data.ts'
import { RetriableError } from '../../../../worker/api/errors.ts'
import { SinkRecord } from '../../../../worker/api/record.ts'
import { MemoryStore } from '../../../conformance/s3/memory-store.ts'
import { ManualClock, SinkHarness, TickingClock } from '../../../conformance/s3/sink-harness.ts'

const tp = { topic: 'orders', partition: 0 }
const partitioner = (name: string) => ({
  'partitioner.class': `io.confluent.connect.storage.partitioner.${name}Partitioner`,
})
const byTime = { locale: 'en-US', timezone: 'UTC', 'timestamp.extractor': 'Record' }
const noon = Date.UTC(2024, 0, 1, 12)

interface Given {
  readonly offset: number
  readonly partition?: number
  readonly minute?: number
  readonly kind?: string
  readonly schema?: Schema
  readonly key?: string | null
  readonly tombstone?: boolean
}

function record({ offset, partition = 0, minute = 0, kind = 'a', schema, key = 'k', tombstone = false }: Given) {
  return new SinkRecord({
    topic: 'orders',
    partition,
    offset: BigInt(offset),
    keySchema: Schemas.optionalString,
    key,
    valueSchema: tombstone ? null : (schema ?? null),
    value: tombstone ? null : { kind, id: offset },
    timestamp: noon + minute * 60_000,
  })
}

const run = (count: number, from = 0) => Array.from({ length: count }, (_, i) => record({ offset: from + i }))

async function open(
  config: Readonly<Record<string, string>>,
  store = new MemoryStore(),
  clock = new ManualClock(noon),
) {
  const harness = await SinkHarness.start({ config: { 'retry.backoff.ms': '1000', ...config }, store, clock })
  await harness.assign(tp)
  return { harness, store, clock }
}

/** Start offsets of the objects, in the order of their keys. */
const starts = (store: MemoryStore) =>
  [...store.objects.keys()].map((key) => Number(/\+(\d+)\./.exec(key)?.[1])).sort((a, b) => a - b)
const linesOf = (store: MemoryStore) =>
  Object.fromEntries(
    [...store.objects].map(([key, body]) => [
      Number(/\+(\d+)\./.exec(key)?.[1]),
      body.toString().split('\n').length - 1,
    ]),
  )

test('seven records by three: two objects, offset six, the seventh is not visible (S33, S48)', async () => {
  const { harness, store } = await open({ 'flush.size': '3' })
  harness.append(run(2))
  await harness.poll()
  assert.equal(store.objects.size, 0)
  harness.append(run(5, 2))
  await harness.settle()
  assert.deepEqual(linesOf(store), { 0: 3, 3: 3 })
  assert.equal(harness.offset(), 6n)
})

test('two partitions in turn: both offsets, none, both offsets; one may start late (S34, S53)', async () => {
  const { harness } = await open({ 'flush.size': '3' })
  await harness.assign({ topic: 'orders', partition: 1 })
  const both = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => [
      record({ offset: from + i }),
      record({ offset: 100 + from + i, partition: 1 }),
    ]).flat()
  const offsets = async () => {
    await harness.settle()
    return [harness.offset(), harness.offset('orders', 1)]
  }
  harness.append(both(0, 3))
  assert.deepEqual(await offsets(), [3n, 103n])
  harness.append(both(3, 2))
  assert.deepEqual(await offsets(), [3n, 103n])
  harness.append(both(5, 1))
  assert.deepEqual(await offsets(), [6n, 106n])
})

test('flush.size counts all open objects of the partition together (S35)', async () => {
  const { harness, store } = await open({ ...partitioner('Field'), 'partition.field.name': 'kind', 'flush.size': '9' })
  harness.append(Array.from({ length: 18 }, (_, offset) => record({ offset, kind: `k${offset % 3}` })))
  await harness.settle()
  assert.deepEqual(linesOf(store), { 0: 3, 1: 3, 2: 3, 9: 3, 10: 3, 11: 3 })
})

test('hourly, a minute per commit, a jump of two hours (S36)', async () => {
  const config = { ...partitioner('Hourly'), ...byTime, 'rotate.interval.ms': '60000', 'flush.size': '1000' }
  const { harness, store } = await open(config)
  harness.append(Array.from({ length: 18 }, (_, i) => record({ offset: i, minute: i / 3 + (i < 9 ? 0 : 120) })))
  await harness.settle()
  assert.deepEqual(starts(store), [0, 3, 6, 9, 12])
  assert.equal(harness.offset(), 15n)
})

for (const [rotates, expected] of [
  ['false', { 0: 2, 1: 2 }],
  ['true', { 0: 1, 1: 1, 2: 1, 3: 1 }],
] as const) {
  test(`late records with rotation on a change of directory ${rotates} (S37, S44)`, async () => {
    const { harness, store } = await open({
      ...partitioner('Hourly'),
      ...byTime,
      'rotate.interval.ms': '600000',
      'rotate.file.on.partition.change': rotates,
      'flush.size': '1000',
    })
    harness.append([0, -2, 9, -5, 10].map((minute, offset) => record({ offset, minute })))
    await harness.settle()
    assert.deepEqual(linesOf(store), expected)
  })
}

test('one later record commits the four hours of a day, one record each (S38)', async () => {
  const config = {
    ...partitioner('Hourly'),
    ...byTime,
    'rotate.interval.ms': '86400000',
    'rotate.file.on.partition.change': 'false',
    'flush.size': '1000',
  }
  const { harness, store } = await open(config)
  harness.append([0, 60, 120, 180, 1440].map((minute, offset) => record({ offset, minute })))
  await harness.settle()
  assert.deepEqual(linesOf(store), { 0: 1, 1: 1, 2: 1, 3: 1 })
})

test('record time is ignored by partitioners without time (S39), and needs a next record (S40)', async () => {
  for (const [config, before, after] of [
    [{}, undefined, undefined],
    [{ ...partitioner('Field'), 'partition.field.name': 'kind' }, undefined, undefined],
    [{ ...partitioner('Hourly'), ...byTime, 'rotate.file.on.partition.change': 'false' }, undefined, 3n],
  ] as const) {
    const { harness, clock } = await open({ ...config, 'rotate.interval.ms': '60000', 'flush.size': '1000' })
    harness.append([0, 0, 0].map((minute, offset) => record({ offset, minute })))
    await harness.settle()
    clock.advance(7_200_000)
    await harness.settle()
    assert.equal(harness.offset() ?? 0n, before ?? 0n)
    harness.append([record({ offset: 3, minute: 120 })])
    await harness.settle()
    assert.equal(harness.offset() ?? 0n, after ?? 0n)
  }
})

const schedule = { 'rotate.schedule.interval.ms': '10000', timezone: 'UTC', 'flush.size': '1000' }

test('a schedule commits without a new record (S41) and without data shifts nothing (S42)', async () => {
  const { harness, store, clock } = await open(schedule)
  harness.append(run(3))
  await harness.settle(10_000)
  assert.equal(harness.offset(), 3n)
  clock.advance(35_000)
  await harness.poll()
  harness.append(run(2, 3))
  await harness.poll()
  harness.append(run(2, 5))
  await harness.settle(10_000)
  assert.deepEqual(linesOf(store), { 0: 3, 3: 4 })
})

test('a scheduled commit that fails is repeated, the task lives on (S43)', async () => {
  const { harness, store } = await open(schedule)
  store.plan({ operation: 'put', times: 3, error: new RetriableError('CONNECT_TEST', 'later') })
  harness.append(run(3))
  await harness.settle(30_000)
  assert.deepEqual(linesOf(store), { 0: 3 })
  assert.equal(harness.offset(), 3n)
})

test('five open directories are committed before the sixth is opened (S45)', async () => {
  const config = {
    ...partitioner('Field'),
    'partition.field.name': 'kind',
    'flush.size': '1000',
    'partitioner.max.open.files': '5',
  }
  const { harness, store } = await open(config)
  harness.append(Array.from({ length: 6 }, (_, offset) => record({ offset, kind: `k${offset}` })))
  await harness.settle()
  assert.deepEqual(starts(store), [0, 1, 2, 3, 4])
  assert.equal(harness.offset(), 5n)
})

const versioned = (version: number | null) =>
  makeSchema({
    type: 'STRUCT',
    name: 'R',
    version,
    fields: [
      { name: 'kind', schema: Schemas.string },
      { name: 'id', schema: Schemas.int32 },
      ...(version === 2 ? [{ name: 'extra', schema: Schemas.optionalString }] : []),
    ],
  })

for (const [mode, first, expected] of [
  ['NONE', 1, [0, 1, 2, 3, 4, 5]],
  ['BACKWARD', 1, [0, 1, 3, 5]],
  ['FULL', 1, [0, 1, 3, 5]],
  ['FORWARD', 2, [0, 1, 3, 5]],
] as const) {
  test(`schemas in turn with ${mode} (S46)`, async () => {
    const { harness, store } = await open({ 'schema.compatibility': mode, 'flush.size': '2' })
    const schemas = [versioned(first), versioned(first === 1 ? 2 : 1)] as const
    harness.append(
      Array.from({ length: 7 }, (_, offset) => record({ offset, schema: schemas[offset % 2 === 0 ? 0 : 1] })),
    )
    await harness.settle()
    assert.deepEqual(starts(store), expected)
  })
}

test('the schema of a commit says nothing of the next, so a task that starts there makes the same objects (S46, S49)', async () => {
  const records = [2, 2, 1, 2, 2, 1].map((version, offset) => record({ offset, schema: versioned(version) }))
  const written = async (from: number) => {
    const { harness, store } = await open({ 'schema.compatibility': 'BACKWARD', 'flush.size': '2' })
    harness.append(records.slice(from))
    await harness.settle()
    return new Map([...store.objects].map(([key, body]) => [key, body.toString()]))
  }
  const whole = await written(0)
  assert.deepEqual(
    [...whole.keys()].map((key) => Number(/\+(\d+)\./.exec(key)?.[1])),
    [0, 2, 3],
  )
  for (const from of [2, 3]) for (const [key, body] of await written(from)) assert.equal(whole.get(key), body)
})

test('a tombstone is written whatever the time is taken from, and has its own in rotation (S47, S61)', async () => {
  const minutes = [0, 0, 11, 12]
  for (const extractor of ['RecordField', 'Wallclock', 'Record']) {
    const { harness, store } = await open({
      ...partitioner('Hourly'),
      ...byTime,
      'timestamp.extractor': extractor,
      'timestamp.field': 'at',
      'behavior.on.null.values': 'write',
      'store.kafka.keys': 'true',
      'keys.format.class': 'io.confluent.connect.s3.format.json.JsonFormat',
      'rotate.interval.ms': '600000',
      'errors.tolerance': 'all',
    })
    harness.append(minutes.map((minute, offset) => record({ offset, minute, tombstone: true })))
    await harness.settle()
    assert.deepEqual([...store.objects.keys()], ['topics/orders/tombstone/orders+0+0000000000.keys.json'], extractor)
    assert.deepEqual(harness.reported, [])
  }
})

test('a mode that needs versions reports a schema without one, nothing of it is written (S46)', async () => {
  const { harness, store } = await open({
    'schema.compatibility': 'BACKWARD',
    'flush.size': '2',
    'errors.tolerance': 'all',
  })
  harness.append([
    record({ offset: 0, schema: versioned(1) }),
    record({ offset: 1, schema: versioned(null) }),
    record({ offset: 2, schema: versioned(1) }),
  ])
  await harness.settle()
  assert.deepEqual(
    harness.reported.map(({ error }) => error.message),
    ['Schema version required for BACKWARD compatibility'],
  )
  assert.deepEqual(linesOf(store), { 0: 2 })
})

const json = 'io.confluent.connect.s3.format.json.JsonFormat'
const tombstones = { 'behavior.on.null.values': 'write', 'store.kafka.keys': 'true', 'keys.format.class': json }

test('tombstones become key objects beside open values, without a commit of their own (S47, S61)', async () => {
  const config = {
    ...tombstones,
    ...partitioner('Hourly'),
    ...byTime,
    'rotate.interval.ms': '600000',
    'flush.size': '4',
  }
  const { harness, store } = await open(config)
  harness.append([
    record({ offset: 0 }),
    record({ offset: 1, tombstone: true, key: 'gone' }),
    record({ offset: 2, tombstone: true }),
    record({ offset: 3 }),
  ])
  await harness.settle()
  assert.deepEqual([...store.objects.keys()].sort(), [
    'topics/orders/tombstone/orders+0+0000000001.keys.json',
    'topics/orders/year=2024/month=01/day=01/hour=12/orders+0+0000000000.json',
    'topics/orders/year=2024/month=01/day=01/hour=12/orders+0+0000000000.keys.json',
  ])
  assert.equal(store.objects.get('topics/orders/tombstone/orders+0+0000000001.keys.json')?.toString(), '"gone"\n"k"\n')
})

test('an object that a crash left short is replaced by the whole one (S49)', async () => {
  const store = new MemoryStore()
  const key = 'topics/orders/partition=0/orders+0+0000000000.json'
  store.objects.set(key, Buffer.from('{"id":0}\n'))
  const { harness } = await open({ 'flush.size': '3' }, store)
  harness.append(run(3))
  await harness.settle()
  assert.equal(store.objects.get(key)?.toString().split('\n').length, 4)
})

test('a rebalance drops what is open; the next owner writes it under the same names (S50)', async () => {
  const first = await open({ 'flush.size': '3' })
  first.harness.append(run(8))
  await first.harness.settle()
  await first.harness.revoke()
  const next = await SinkHarness.start({
    config: { 'flush.size': '3' },
    store: first.store,
    committed: first.harness.committed,
  })
  await next.assign(tp)
  next.append(run(15))
  await next.settle()
  assert.deepEqual(linesOf(first.store), { 0: 3, 3: 3, 6: 3, 9: 3, 12: 3 })
})

test('skipped and reported records at the end move the offset (S51, S62)', async () => {
  const config = { 'behavior.on.null.values': 'ignore', 'errors.tolerance': 'all', 'flush.size': '2' }
  for (const reports of ['true', 'false']) {
    const { harness, store } = await open({ ...config, 'report.null.values.to.dlq': reports })
    harness.append([...run(2), record({ offset: 2, tombstone: true }), record({ offset: 3, tombstone: true })])
    await harness.settle()
    assert.equal(harness.offset(), 4n)
    assert.deepEqual(linesOf(store), { 0: 2 })
    assert.equal(harness.reported.length, reports === 'true' ? 2 : 0)
  }
})

test('nulls fail by default, in the words of the Java connector (S62)', async () => {
  const { harness } = await open({ 'flush.size': '2' })
  harness.append([record({ offset: 0, tombstone: true })])
  await assert.rejects(harness.poll(), /Null valued records are not writeable/)
})

test('what the write deadline leaves waits in the buffer; above flush.size the partition is paused (S52)', async () => {
  const clock = new TickingClock(noon)
  const { harness, store } = await open({ 'flush.size': '3', 'max.write.duration.ms': '8' }, new MemoryStore(), clock)
  harness.append(run(12))
  await harness.poll()
  assert.ok(store.objects.size < 4)
  assert.equal(harness.paused.has('orders', 0), true)
  for (let i = 0; i < 10; i++) await harness.poll()
  await harness.commit()
  assert.equal(harness.paused.has('orders', 0), false)
  assert.equal(harness.offset(), 12n)
})

const sides = {
  'store.kafka.keys': 'true',
  'store.kafka.headers': 'true',
  'errors.tolerance': 'all',
  'flush.size': '3',
}

for (const name of ['Json', 'Avro', 'Parquet']) {
  test(`keys and headers as ${name}: as many rows in the same order; a record without one, or with a null header, is reported (S58, S59)`, async () => {
    const formatName = `io.confluent.connect.s3.format.${name.toLowerCase()}.${name}Format`
    const { harness, store } = await open({
      ...sides,
      'keys.format.class': formatName,
      'headers.format.class': formatName,
    })
    const headers = [{ key: 'h', schema: Schemas.int32, value: 7 }]
    harness.append([
      record({ offset: 0 }).with({ headers }),
      record({ offset: 1, key: null }).with({ headers }),
      record({ offset: 2 }),
      record({ offset: 3, key: 'k3' }).with({ headers }),
      record({ offset: 4 }).with({ headers: [...headers, { key: 'none', schema: null, value: null }] }),
      record({ offset: 5 }).with({ headers }),
    ])
    await harness.settle()
    assert.deepEqual(
      harness.reported.map(({ record: r, error }) => [r.offset, error.message.slice(0, 40)]),
      [
        [1n, 'Key cannot be null for SinkRecord: SinkR'],
        [2n, 'Headers cannot be null for SinkRecord: S'],
        [4n, 'Invalid value: null used for required fi'],
      ],
    )
    assert.equal(store.objects.size, 3)
    assert.equal(linesOf(store)[0], 3)
    const keys = [...store.objects.keys()].filter((key) => key.includes('.keys.') || key.includes('.headers.'))
    assert.equal(keys.length, 2)
    if (name !== 'Json') return
    const text = (kind: string) =>
      store.objects.get(`topics/orders/partition=0/orders+0+0000000000.${kind}.json`)?.toString()
    assert.equal(text('keys'), '"k"\n"k3"\n"k"\n')
    assert.equal(text('headers'), '{"headers":[{"key":"h","value":"7"}]}\n'.repeat(3))
  })
}

test('a value that does not fit its schema is reported, the object goes on (S60)', async () => {
  const { harness, store } = await open({ 'flush.size': '2', 'errors.tolerance': 'all' })
  const wrong = record({ offset: 1, schema: versioned(1) }).with({ value: { kind: 5, id: 'x' } })
  harness.append([record({ offset: 0, schema: versioned(1) }), wrong, record({ offset: 2, schema: versioned(1) })])
  await harness.settle()
  assert.deepEqual(linesOf(store), { 0: 2 })
  assert.equal(harness.reported.length, 1)
})

test('bytes with a separator and an extension of one’s own (S55)', async () => {
  const config = {
    'format.class': 'io.confluent.connect.s3.format.bytearray.ByteArrayFormat',
    'format.bytearray.separator': 'SEPARATOR',
    'format.bytearray.extension': '.dat',
    'flush.size': '2',
  }
  const { harness, store } = await open(config)
  harness.append(run(2).map((r) => r.with({ valueSchema: Schemas.bytes, value: Buffer.from(`v${r.offset}`) })))
  await harness.settle()
  assert.equal(
    store.objects.get('topics/orders/partition=0/orders+0+0000000000.dat')?.toString(),
    'v0SEPARATORv1SEPARATOR',
  )
})

test('a refused tombstone without a schema does not cut those with one apart (S47)', async () => {
  const { harness, store } = await open({
    ...sides,
    'store.kafka.headers': 'false',
    'keys.format.class': 'io.confluent.connect.s3.format.json.JsonFormat',
    'behavior.on.null.values': 'write',
    'flush.size': '2',
  })
  const tombstone = (offset: number, valueSchema: Schema | null) =>
    record({ offset, key: offset === 0 ? null : 'k' }).with({ value: null, valueSchema })
  harness.append([tombstone(0, null), tombstone(1, Schemas.optionalString), tombstone(2, Schemas.optionalString)])
  await harness.settle()
  assert.deepEqual(
    harness.reported.map(({ record: r }) => r.offset),
    [0n],
  )
  assert.deepEqual([...store.objects.keys()], ['topics/orders/tombstone/orders+0+0000000001.keys.json'])
})
