import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogicalName, makeSchema, type Schema, Schemas, type Value } from '../../../../worker/api/data.ts'
import { type Headers, SinkRecord } from '../../../../worker/api/record.ts'
import { MemoryStore } from '../../../conformance/s3/memory-store.ts'
import { ManualClock, SinkHarness, TickingClock } from '../../../conformance/s3/sink-harness.ts'

const partitioner = (name: string) => ({
  'partitioner.class': `io.confluent.connect.storage.partitioner.${name}Partitioner`,
})
const format = (name: string) => `io.confluent.connect.s3.format.${name.toLowerCase()}.${name}Format`

interface Given {
  readonly topic?: string
  readonly partition?: number
  readonly offset?: number
  readonly schema?: Schema | null
  readonly value?: Value
  readonly key?: Value
  readonly keySchema?: Schema
  readonly timestamp?: number | null
  readonly headers?: Headers
}

function record({ topic = 'orders', partition = 3, offset = 120, schema = null, value = { id: 1 }, ...rest }: Given) {
  const { key = null, keySchema = null, timestamp = Date.UTC(2024, 4, 7, 9, 30), headers = [] } = rest
  return new SinkRecord({
    topic,
    partition,
    offset: BigInt(offset),
    valueSchema: schema,
    value,
    key,
    keySchema,
    timestamp,
    headers,
  })
}

interface Outcome {
  readonly keys: readonly string[]
  readonly reported: readonly string[]
}

const textOf = ({ message, cause }: Error): string =>
  cause instanceof Error ? `${message} <- ${textOf(cause)}` : message

/** Keys of the objects that records become, one commit per record. */
async function write(config: Readonly<Record<string, string>>, records: readonly SinkRecord[]): Promise<Outcome> {
  const store = new MemoryStore()
  const clock = new ManualClock(Date.UTC(2024, 4, 7, 9, 30))
  const all = { 'flush.size': '1', 'errors.tolerance': 'all', ...config }
  const harness = await SinkHarness.start({ config: all, store, clock })
  for (const { topic, partition } of records) await harness.assign({ topic, partition: partition ?? 0 })
  harness.append(records)
  await harness.settle()
  await harness.stop()
  return { keys: [...store.objects.keys()], reported: harness.reported.map(({ error }) => textOf(error)) }
}

const order = makeSchema({ type: 'STRUCT', name: 'com.acme.Order', fields: [{ name: 'id', schema: Schemas.int32 }] })
const hourly = { ...partitioner('Hourly'), locale: 'en-US', timezone: 'UTC', 'timestamp.extractor': 'Record' }

for (const [statement, config, given, expected] of [
  ['S20', {}, {}, ['topics/orders/partition=3/orders+3+0000000120.json']],
  ['S20', { 's3.compression.type': 'gzip' }, {}, ['topics/orders/partition=3/orders+3+0000000120.json.gz']],
  [
    'S20',
    {
      ...partitioner('Field'),
      'partition.field.name': 'country,user.tier',
      'format.class': 'CsvFormat',
      'csv.columns': 'country',
    },
    { value: { country: 'US', user: { tier: 'gold' } } },
    ['topics/orders/country=US/user.tier=gold/orders+3+0000000120.csv'],
  ],
  [
    'S20',
    { ...hourly, 'format.class': format('Parquet') },
    { schema: order },
    ['topics/orders/year=2024/month=05/day=07/hour=09/orders+3+0000000120.snappy.parquet'],
  ],
  [
    'S20',
    { 'format.class': format('Avro'), 'store.kafka.keys': 'true' },
    { schema: order, key: 'k', keySchema: Schemas.string },
    ['topics/orders/partition=3/orders+3+0000000120.keys.avro', 'topics/orders/partition=3/orders+3+0000000120.avro'],
  ],
  [
    'S20',
    { 'behavior.on.null.values': 'write', 'store.kafka.keys': 'true' },
    { value: null, key: 'k', keySchema: Schemas.string },
    ['topics/orders/tombstone/orders+3+0000000120.keys.avro'],
  ],
  ['S21', { 'filename.offset.zero.pad.width': '0' }, {}, ['topics/orders/partition=3/orders+3+120.json']],
  ['S21', { 'filename.offset.zero.pad.width': '15' }, {}, ['topics/orders/partition=3/orders+3+000000000000120.json']],
  ['S22', { 'topics.dir': '' }, {}, ['orders/partition=3/orders+3+0000000120.json']],
  ['S23', { 'file.delim': '#', 'directory.delim': '_' }, {}, ['topics_orders_partition=3_orders#3#0000000120.json']],
  ['S24', {}, { topic: 'orders.avro' }, ['topics/orders.avro/partition=3/orders.avro+3+0000000120.json']],
  [
    'S25, S26',
    { ...partitioner('Field'), 'partition.field.name': 'b.c,a' },
    { value: { a: null, b: { c: 'NYC/1' } } },
    ['topics/orders/b.c=NYC/1/a=null/orders+3+0000000120.json'],
  ],
  [
    'S32',
    { 's3.schema.partition.affix.type': 'PREFIX' },
    { schema: order },
    ['topics/orders/schema_name=com.acme.Order/partition=3/orders+3+0000000120.json'],
  ],
  [
    'S32',
    { 's3.schema.partition.affix.type': 'SUFFIX', ...hourly },
    { schema: order },
    ['topics/orders/year=2024/month=05/day=07/hour=09/schema_name=com.acme.Order/orders+3+0000000120.json'],
  ],
  [
    '',
    { 'partitioner.class': 'KeyPartitioner' },
    { key: 'a/b é' },
    ['topics/orders/key=a%2Fb%20%C3%A9/orders+3+0000000120.json'],
  ],
  [
    '',
    { 'partitioner.class': 'HeaderPartitioner', 'partition.field.name': 'tenant,none' },
    { headers: [{ key: 'tenant', schema: Schemas.string, value: 'a/b' }] },
    ['topics/orders/tenant=a%2Fb/none=null/orders+3+0000000120.json'],
  ],
  [
    'section 3.9',
    {
      'file.name.template': '{{topic}}-{{partition}}-{{start_offset}}',
      'topics.dir': '',
      's3.compression.type': 'gzip',
    },
    {},
    ['orders-3-120.json.gz'],
  ],
  [
    'section 3.9',
    {
      'file.name.template':
        '{{timestamp:unit=yyyy}}/{{timestamp:unit=MM}}/{{timestamp:unit=dd}}/{{timestamp:unit=HH}}/{{ topic }}-{{partition:padding=true}}-{{start_offset:padding=true}}',
      'file.name.timestamp.source': 'event',
      'file.name.timestamp.timezone': 'Europe/Berlin',
    },
    {},
    ['topics/2024/05/07/11/orders-0000000003-00000000000000000120.json'],
  ],
  [
    'section 3.9',
    { 'file.name.template': '{{topic}}/{{partition}}/{{key}}/{{field:b.c}}/{{header:h}}/{{start_offset}}' },
    { key: null, value: { b: { c: 'x y' } } },
    ['topics/orders/3/null/x%20y/null/120.json'],
  ],
] as const) {
  test(`${JSON.stringify(config)} names ${expected.at(-1)} (${statement})`, async () => {
    assert.deepEqual(await write(config, [record(given)]), { keys: expected, reported: [] })
  })
}

// Statements S20, S21, S22, S23, S24, S25, S26, S32 are the rows above.

test('a missing field and a float are reported in the words of the Java connector, with what is wrong (S25)', async () => {
  const config = { ...partitioner('Field'), 'partition.field.name': 'a' }
  const schema = makeSchema({ type: 'STRUCT', fields: [{ name: 'b', schema: Schemas.int32 }] })
  const outcome = await write(config, [
    record({ value: { b: 1 } }),
    record({ offset: 121, value: { a: 1.5 } }),
    record({ offset: 122, value: { b: 1 }, schema }),
  ])
  assert.deepEqual(outcome.keys, [])
  assert.deepEqual(outcome.reported, [
    "Error encoding partition. <- Field 'a' is not present in the object.",
    'Error encoding partition. <- a number cannot name a directory',
    "Field 'a' is not present in the schema.",
  ])
})

test('hours and days across the end of summer time, quoted literals (S27)', async () => {
  const zone = { locale: 'en-US', timezone: 'America/Los_Angeles', 'timestamp.extractor': 'Record' }
  const hours = [7, 8, 9, 10].map((hour, i) => record({ offset: i, timestamp: Date.UTC(2024, 10, 3, hour, 30) }))
  const directories = async (config: Readonly<Record<string, string>>) =>
    (await write({ ...zone, ...config }, hours)).keys.map((key) => key.split('/').slice(2, -1).join('/'))
  assert.deepEqual(await directories(partitioner('Hourly')), [
    'year=2024/month=11/day=03/hour=00',
    'year=2024/month=11/day=03/hour=01',
    'year=2024/month=11/day=03/hour=01',
    'year=2024/month=11/day=03/hour=02',
  ])
  assert.deepEqual(new Set(await directories(partitioner('Daily'))), new Set(['year=2024/month=11/day=03']))
  const quoted = { ...partitioner('TimeBased'), 'partition.duration.ms': '3600000', 'path.format': "'o''clock'=HH/" }
  assert.equal((await directories(quoted))[0], "o'clock=00")
})

test('buckets begin at multiples of their width in local time (S28)', async () => {
  const config = {
    ...partitioner('TimeBased'),
    locale: 'en-US',
    timezone: 'Asia/Kolkata',
    'timestamp.extractor': 'Record',
    'partition.duration.ms': '3600000',
    'path.format': 'HH-mm',
  }
  // 10:20 and 10:40 in UTC are 15:50 and 16:10 there.
  const records = [20, 40].map((minute, i) => record({ offset: i, timestamp: Date.UTC(2024, 4, 7, 10, minute) }))
  const { keys } = await write(config, records)
  assert.deepEqual(
    keys.map((key) => key.split('/')[2]),
    ['15-00', '16-00'],
  )
})

test('a record without a timestamp is reported (S29)', async () => {
  const { keys, reported } = await write(hourly, [record({ timestamp: null })])
  assert.deepEqual(keys, [])
  assert.match(reported[0] ?? '', /^Unable to determine timestamp using timestamp\.extractor/)
})

test('a time in nanoseconds is reported, as no calendar knows the year (S29)', async () => {
  const { keys, reported } = await write(hourly, [record({ timestamp: 1_717_430_000_123_456_768 })])
  assert.deepEqual(keys, [])
  assert.match(reported[0] ?? '', /^1717430000123456800 is no time in ms/)
})

const timestampSchema = makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1 })
const struct = (schema: Schema) => makeSchema({ type: 'STRUCT', fields: [{ name: 't', schema }] })

test('times from a field: Timestamp, int64, digits, ISO texts, nested, maps; a boolean is reported (S30)', async () => {
  const at = Date.UTC(2024, 0, 2, 3, 4)
  const config = { ...hourly, 'timestamp.extractor': 'RecordField', 'timestamp.field': 't' }
  const given: readonly Given[] = [
    { schema: struct(timestampSchema), value: { t: new Date(at) } },
    { schema: struct(Schemas.int64), value: { t: BigInt(at) } },
    { schema: struct(Schemas.string), value: { t: String(at) } },
    { schema: struct(Schemas.string), value: { t: '2024-01-02T05:04+02:00' } },
    { value: { t: '2024-01-02T03:04:00.5Z' } },
    { value: new Map<Value, Value>([['t', at]]) },
    { value: { t: true } },
  ]
  const records = given.map((item, offset) => record({ ...item, offset }))
  const { keys, reported } = await write(config, records)
  const directories = new Set(keys.map((key) => key.split('/').slice(2, -1).join('/')))
  assert.deepEqual(directories, new Set(['year=2024/month=01/day=02/hour=03']))
  assert.equal(keys.length, 6)
  assert.deepEqual(reported, ['Error extracting timestamp from record field: t'])
  const nested = { ...config, 'timestamp.field': 'a.t' }
  assert.equal((await write(nested, [record({ value: { a: { t: at } } })])).keys.length, 1)
})

test('the wall clock is read once per write: records of one batch share a directory (S31)', async () => {
  const clock = new TickingClock(Date.UTC(2024, 4, 7, 9, 59, 59, 990))
  const store = new MemoryStore()
  const config = { ...hourly, 'timestamp.extractor': 'Wallclock', 'flush.size': '5' }
  const harness = await SinkHarness.start({ config, store, clock })
  await harness.assign({ topic: 'orders', partition: 3 })
  harness.append(Array.from({ length: 5 }, (_, offset) => record({ offset })))
  await harness.settle()
  assert.ok(clock.now() > Date.UTC(2024, 4, 7, 9, 59, 59, 995))
  assert.equal(store.objects.size, 1)
})

test('a transform that renames the topic names objects, offsets go by the consumed one (S71)', async () => {
  const store = new MemoryStore()
  const harness = await SinkHarness.start({ store, config: { 'flush.size': '2' } })
  await harness.assign({ topic: 'orders', partition: 3 })
  harness.append([0, 1].map((offset) => record({ offset }).with({ topic: 'renamed', partition: 0 })))
  await harness.settle()
  assert.deepEqual([...store.objects.keys()], ['topics/renamed/partition=0/renamed+0+0000000000.json'])
  assert.equal(harness.offset('orders', 3), 2n)
})

test('a template with a key groups the records of a partition, each group with its own first offset (section 3.9)', async () => {
  const config = { 'file.name.template': '{{topic}}-{{partition}}-{{key}}-{{start_offset}}', 'flush.size': '5' }
  const keys = ['a', 'b', 'a', null, 'b']
  const store = new MemoryStore()
  const harness = await SinkHarness.start({ config, store })
  await harness.assign({ topic: 'orders', partition: 3 })
  harness.append(keys.map((key, offset) => record({ offset, key, value: { offset } })))
  await harness.settle()
  assert.deepEqual(Object.fromEntries([...store.objects].map(([key, body]) => [key, body.toString()])), {
    'topics/orders-3-a-0.json': '{"offset":0}\n{"offset":2}\n',
    'topics/orders-3-b-1.json': '{"offset":1}\n{"offset":4}\n',
    'topics/orders-3-null-3.json': '{"offset":3}\n',
  })
  assert.equal(harness.offset('orders', 3), 5n)
})

for (const [config, expected] of [
  [{ 'partitioner.class': 'KeyPartitioner', 'notify.group.from': 'key' }, 'ad/click'],
  [
    { 'partitioner.class': 'HeaderPartitioner', 'partition.field.name': 'x,kind', 'notify.group.from': 'header:kind' },
    'sign up',
  ],
  [{ 'partitioner.class': 'HeaderPartitioner', 'partition.field.name': 'kind' }, 'sign up'],
  [{ ...partitioner('Field'), 'partition.field.name': 'key' }, '%41'],
  [{ 'partitioner.class': 'KeyPartitioner', 's3.schema.partition.affix.type': 'PREFIX' }, 'ad/click'],
  [{ 'notify.group.from': 'topic' }, 'orders'],
  [{}, null],
] as const) {
  test(`the event key of ${JSON.stringify(config)} is ${expected}`, async () => {
    const harness = await SinkHarness.start({
      store: new MemoryStore(),
      config: { 'flush.size': '1', 'notify.topic': 'files', ...config },
    })
    await harness.assign({ topic: 'orders', partition: 3 })
    const headers = [{ key: 'kind', schema: Schemas.string, value: 'sign up' }]
    harness.append([record({ key: 'ad/click', value: { key: '%41' }, headers })])
    await harness.settle()
    assert.deepEqual(
      harness.messages.map(({ eventKey }) => eventKey),
      [expected],
    )
  })
}
