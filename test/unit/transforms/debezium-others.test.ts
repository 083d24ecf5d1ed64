import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LogicalName, makeSchema, type Schema, Schemas } from '../../../worker/api/data.ts'
import { record, shape, struct, transform } from './support.ts'

const logical = (type: 'INT64' | 'STRING', name: string): Schema =>
  makeSchema({ type, name, version: 1, optional: true })
const row = makeSchema({
  ...struct({
    id: Schemas.int32,
    zoned: logical('STRING', 'io.debezium.time.ZonedTimestamp'),
    micro: logical('INT64', 'io.debezium.time.MicroTimestamp'),
    nano: logical('INT64', 'io.debezium.time.NanoTimestamp'),
    milli: logical('INT64', 'io.debezium.time.Timestamp'),
    connect: logical('INT64', LogicalName.timestamp),
  }),
  optional: true,
})
const source = struct({ table: Schemas.string, ts_ms: Schemas.int64 })
const envelope = struct({ before: row, after: row, source, op: Schemas.string }, { name: 's.customers.Envelope' })
// 2026-07-01T12:00:00Z; summer in New York is four hours behind.
const noon = 1_782_907_200_000n
const after = {
  id: 1,
  zoned: '2026-07-01T12:00:00.120Z',
  micro: noon * 1000n + 5n,
  nano: noon * 1_000_000n + 7n,
  milli: noon,
  connect: new Date(Number(noon)),
}
const event = record({
  topic: 's.customers',
  valueSchema: envelope,
  value: { before: null, after, source: { table: 'customers', ts_ms: noon }, op: 'c' },
})
const summerMs = 4n * 3_600_000n
type Event = { after: typeof after; source: { ts_ms: bigint } }

describe('TimezoneConverter', () => {
  const name = 'io.debezium.transforms.TimezoneConverter'
  const convert = async (options: Record<string, string>): Promise<Event> => {
    const converter = await transform(name, { 'converted.timezone': 'America/New_York', ...options })
    return converter.apply(event)?.value as unknown as Event
  }

  it('shows texts on the clock of the zone, and takes numbers for wall clock times of it', async () => {
    const { after: moved, source: metadata } = await convert({})
    assert.equal(moved.zoned, '2026-07-01T08:00:00.12-04:00')
    assert.equal(moved.milli, noon + summerMs)
    assert.equal(moved.micro, (noon + summerMs) * 1000n + 5n)
    assert.equal(moved.nano, (noon + summerMs) * 1_000_000n + 7n)
    assert.deepEqual(moved.connect, new Date(Number(noon + summerMs)))
    assert.equal(metadata.ts_ms, noon)
  })

  it('converts what the include list names, and only that', async () => {
    const { after: moved } = await convert({ 'include.list': 'source:customers:milli' })
    assert.deepEqual(moved, { ...after, milli: noon + summerMs })
    assert.deepEqual((await convert({ 'include.list': 'topic:other' })).after, after)
    assert.equal((await convert({ 'include.list': 'customers:source.ts_ms' })).source.ts_ms, noon - summerMs)
  })

  it('leaves what the exclude list names', async () => {
    assert.deepEqual((await convert({ 'exclude.list': 'source:customers' })).after, after)
    const { after: moved } = await convert({ 'exclude.list': 'topic:s.customers:zoned' })
    assert.equal(moved.zoned, after.zoned)
    assert.equal(moved.milli, noon + summerMs)
  })

  it('refuses zones that do not exist, malformed rules and two lists', async () => {
    await assert.rejects(convert({ 'converted.timezone': 'Mars/Base' }), /Invalid timezone format/)
    await assert.rejects(convert({ 'include.list': 'a:b:c:d' }), /no rule of the form/)
    await assert.rejects(
      convert({ 'include.list': 'source:a', 'exclude.list': 'source:b' }),
      /Both include and exclude/,
    )
  })
})

describe('ExtractSchemaToNewRecord', () => {
  const name = 'io.debezium.transforms.ExtractSchemaToNewRecord'
  const column = (parameters: Record<string, string>): Schema =>
    makeSchema({
      type: 'STRING',
      parameters: Object.fromEntries(Object.entries(parameters).map(([k, v]) => [`__debezium.source.column.${k}`, v])),
    })

  it('tells of the columns what the source put into the schema', async () => {
    const typed = makeSchema({ ...struct({ a: column({ name: 'a', type: 'VARCHAR', length: '20' }) }), optional: true })
    const schema = struct({ before: typed, after: typed, source }, { name: 's.t.Envelope' })
    const input = record({
      valueSchema: schema,
      value: { before: null, after: { a: 'x' }, source: { table: 't', ts_ms: 1n } },
    })
    const result = (await transform(name)).apply(input)
    const columns = [{ name: 'a', typeName: 'VARCHAR', length: 20, scale: null, comment: null }]
    assert.deepEqual(result?.value, { ...(input.value as object), sourceSchema: { id: 't', table: { columns } } })
    assert.equal(shape(result?.valueSchema ?? null)?.['sourceSchema'], 'STRUCT')
  })

  it('says which option of the source is missing', async () => {
    const transformation = await transform(name)
    assert.throws(() => transformation.apply(event), /column\.propagate\.source\.type/)
  })
})

describe('SchemaChangeEventFilter', () => {
  it('drops the kinds it is told of', async () => {
    const change = struct({ type: Schemas.string })
    const valueSchema = struct(
      { tableChanges: makeSchema({ type: 'ARRAY', valueSchema: change, optional: true }) },
      { name: 'io.debezium.connector.mysql.SchemaChangeValue' },
    )
    const of = (tableChanges: { type: string }[] | null) => record({ valueSchema, value: { tableChanges } })
    const filter = await transform('io.debezium.transforms.SchemaChangeEventFilter', {
      'schema.change.event.exclude.list': 'ALTER,DATABASE',
    })
    assert.equal(filter.apply(of([{ type: 'ALTER' }])), null)
    assert.notEqual(filter.apply(of([{ type: 'CREATE' }])), null)
    assert.equal(filter.apply(of([])), null)
    assert.equal(filter.apply(event), event)
    const other = struct({ ddl: Schemas.string }, { name: 'io.debezium.connector.mysql.SchemaChangeValue' })
    assert.throws(() => filter.apply(record({ valueSchema: other, value: { ddl: 'x' } })), /no list of tableChanges/)
  })
})

describe('DecodeLogicalDecodingMessageContent', () => {
  const name = 'io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent'
  const message = struct({ prefix: Schemas.string, content: Schemas.bytes })
  const valueSchema = struct(
    { op: Schemas.string, ts_ms: Schemas.int64, message },
    { name: 'io.debezium.connector.postgresql.MessageValue' },
  )
  const of = (content: string) =>
    record({
      keySchema: struct({ prefix: Schemas.string }),
      key: { prefix: 'p' },
      valueSchema,
      value: { op: 'm', ts_ms: 5n, message: { prefix: 'p', content: Buffer.from(content) } },
    })

  it('makes an insert event of a JSON object', async () => {
    const decode = await transform(name)
    const result = decode.apply(of('{"id":"7","n":3,"gone":null}'))
    assert.deepEqual(result?.value, { op: 'c', ts_ms: 5n, after: { id: '7', n: 3 } })
    assert.equal(result?.valueSchema?.name, 'io.debezium.connector.postgresql.MessageValue.Envelope')
    assert.equal(result?.key, null)
    assert.equal(decode.apply(of('{"id":"8","n":4}'))?.valueSchema, result?.valueSchema, 'one schema per shape')
    const nulls = await transform(name, { 'fields.null.include': 'true' })
    assert.deepEqual(nulls.apply(of('{"gone":null}'))?.value, { op: 'c', ts_ms: 5n, after: { gone: null } })
  })

  it('fails for what is no JSON object, without quoting it (I8)', async () => {
    const decode = await transform(name)
    for (const content of ['secret text', '[1]', '{"secret":']) {
      assert.throws(
        () => decode.apply(of(content)),
        (error: Error) => /Unable to parse/.test(error.message) && !error.message.includes('secret'),
      )
    }
  })
})
