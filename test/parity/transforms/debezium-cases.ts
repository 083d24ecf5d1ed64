/** Random change events, and configs of Debezium's transforms for them. */
import fc from 'fast-check'
import {
  copySchema,
  decimalSchema,
  LogicalName,
  makeSchema,
  type Schema,
  Schemas,
  type Struct,
  type Value,
} from '../../../worker/api/data.ts'
import type { ConnectRecord } from '../../../worker/api/record.ts'
import { isStruct } from '../../../worker/api/values.ts'
import { type ConnectData, type DataOptions, structOf, values } from '../../conformance/java/arbitraries.ts'
import { compact, joined, maybe, type Subject } from './connect-cases.ts'
import { oneNameOf, type RecordKind, recordsOf, someNamesOf } from './records.ts'

const sourceSchema = makeSchema({
  type: 'STRUCT',
  name: 'io.debezium.connector.postgresql.Source',
  fields: [
    { name: 'version', schema: Schemas.string },
    { name: 'ts_ms', schema: Schemas.int64 },
    { name: 'snapshot', schema: makeSchema({ type: 'STRING', optional: true, defaultValue: 'false' }) },
    { name: 'db', schema: Schemas.string },
    { name: 'ts_us', schema: Schemas.optionalInt64 },
    { name: 'schema', schema: Schemas.string },
    { name: 'table', schema: Schemas.string },
    { name: 'lsn', schema: Schemas.optionalInt64 },
  ],
})
const transactionSchema = makeSchema({
  type: 'STRUCT',
  name: 'event.block',
  version: 1,
  optional: true,
  fields: [
    { name: 'id', schema: Schemas.string },
    { name: 'total_order', schema: Schemas.int64 },
  ],
})

const named = (type: 'INT32' | 'INT64' | 'STRING', name: string): Schema => makeSchema({ type, name, version: 1 })
const times = {
  date: named('INT32', 'io.debezium.time.Date'),
  milli: named('INT64', 'io.debezium.time.Timestamp'),
  micro: named('INT64', 'io.debezium.time.MicroTimestamp'),
  nano: named('INT64', 'io.debezium.time.NanoTimestamp'),
  zoned: named('STRING', 'io.debezium.time.ZonedTimestamp'),
  connect: named('INT64', LogicalName.timestamp),
}

const columnTypes: readonly Schema[] = [
  Schemas.string,
  Schemas.int16,
  Schemas.int32,
  Schemas.int64,
  Schemas.boolean,
  Schemas.float64,
  Schemas.bytes,
  decimalSchema(2),
  makeSchema({ type: 'ARRAY', valueSchema: Schemas.optionalString }),
  ...Object.values(times),
]
const columnNames = fc.constantFrom('id', 'name', 'a', 'b_c', 'created', 'op', 'payload', 'Ä')

/** Columns with names, types, defaults and what the source would say of them. */
function rowSchemas(options: DataOptions): fc.Arbitrary<Schema> {
  const column = fc
    .tuple(columnNames, fc.constantFrom(...columnTypes), fc.boolean(), fc.boolean(), fc.boolean())
    .chain(([name, type, optional, hasDefault, hasParameters]) =>
      columnValues(type, options).map((defaultValue) => ({
        name,
        schema: copySchema(type, {
          optional,
          ...(hasDefault ? { defaultValue } : {}),
          ...(hasParameters ? { parameters: columnParameters(name, type) } : {}),
        }),
      })),
    )
  return fc
    .uniqueArray(column, { minLength: 1, maxLength: 5, selector: ({ name }) => name })
    .map((fields) => makeSchema({ type: 'STRUCT', name: 's.public.t.Value', optional: true, fields }))
}

function columnParameters(name: string, type: Schema): Readonly<Record<string, string>> {
  const prefix = '__debezium.source.column.'
  return {
    ...Object.fromEntries(type.parameters ?? []),
    [`${prefix}name`]: name,
    [`${prefix}type`]: 'VARCHAR',
    ...(name.length > 2 ? { [`${prefix}length`]: '20', [`${prefix}comment`]: 'a "comment"' } : {}),
  }
}

/** Times as databases have them: of the last centuries, at ends of days, around changes of clocks. */
const instants = fc.oneof(
  fc.integer({ min: -4_000_000_000, max: 8_000_000_000 }),
  fc.constantFrom(0, -1, 1_711_846_800, 1_730_001_600, 1_710_054_000, 951_782_399, -2_208_988_800, 253_402_300_799),
)
const zones = fc.constantFrom('Z', '+00:00', '+02:00', '-03:30', '+14:00', '-18:00', '+05:45:30')

function columnValues(schema: Schema, options: DataOptions): fc.Arbitrary<Value> {
  const sub = fc.integer({ min: 0, max: 999_999_999 })
  switch (schema.name) {
    case 'io.debezium.time.Timestamp':
      return instants.map((s) => BigInt(s) * 1000n + 7n)
    case 'io.debezium.time.MicroTimestamp':
      return fc.tuple(instants, sub).map(([s, n]) => BigInt(s) * 1_000_000n + BigInt(n % 1_000_000))
    case 'io.debezium.time.NanoTimestamp':
      return fc.tuple(instants, sub).map(([s, n]) => BigInt(Math.min(s, 9_000_000_000)) * 1_000_000_000n + BigInt(n))
    case LogicalName.timestamp:
      return instants.map((s) => new Date(s * 1000 + 3))
    case 'io.debezium.time.ZonedTimestamp':
      return fc.oneof(
        { weight: 8, arbitrary: fc.tuple(instants, sub, zones).map(([s, n, zone]) => zonedText(s, n, zone)) },
        fc.constantFrom(
          '2024-02-30T00:00:00Z',
          'x',
          '+12024-01-01T00:00:00Z',
          '2024-01-01T00:00Z',
          '2024-01-01 00:00:00Z',
        ),
      )
    default:
      return values(schema, options)
  }
}

function zonedText(seconds: number, nanos: number, zone: string): string {
  const fraction =
    nanos % 3 === 0
      ? ''
      : `.${String(nanos)
          .padStart(9, '0')
          .slice(0, (nanos % 9) + 1)}`
  const iso = new Date(seconds * 1000).toISOString().slice(0, 19)
  return `${iso.startsWith('-') || iso.startsWith('+') ? '2024-01-01T00:00:00' : iso}${fraction}${zone}`
}

function rows(schema: Schema, options: DataOptions): fc.Arbitrary<Value> {
  return fc
    .tuple(
      ...schema.fields.map((field) => {
        const present = columnValues(field.schema, options)
        return field.schema.optional ? fc.option(present, { freq: 4 }) : present
      }),
    )
    .map((items) => structOf(schema.fields.map((field, i) => [field.name, items[i] ?? null])))
}

/** Envelopes of all operations, now and then something else. */
function events(
  options: DataOptions,
  rowSchema: fc.Arbitrary<Schema>,
  kind: RecordKind = 'any',
): fc.Arbitrary<ConnectRecord> {
  const parts = rowSchema.chain((row) => {
    const withTransaction = fc.boolean()
    return fc
      .tuple(
        fc.constantFrom('c', 'u', 'd', 'r', 't', 'c', 'u'),
        rows(row, options),
        rows(row, options),
        withTransaction,
        fc.integer({ min: 0, max: 9 }),
      )
      .map(([op, before, after, inTransaction, oddity]) => {
        const value = envelopeOf(row, { op, before, after, inTransaction })
        const key = keyOf(row, op === 'd' ? before : after)
        const listed = { key: 'h', schema: null, value: ['id', 'a', 'name'] }
        const headers = oddity > 6 ? { headers: [listed] } : {}
        if (oddity === 0) return { key, value: { schema: null, value: null } }
        if (oddity === 1) return { key, value: { schema: row, value: after } }
        return { key, value, ...headers }
      })
  })
  return recordsOf(parts, { ...options, maxDepth: 1 }, kind)
}

function envelopeOf(
  row: Schema,
  { op, before, after, inTransaction }: { op: string; before: Value; after: Value; inTransaction: boolean },
): ConnectData {
  const schema = makeSchema({
    type: 'STRUCT',
    name: 's.public.t.Envelope',
    version: 2,
    fields: [
      { name: 'before', schema: row },
      { name: 'after', schema: row },
      { name: 'source', schema: sourceSchema },
      { name: 'transaction', schema: transactionSchema },
      { name: 'op', schema: Schemas.string },
      { name: 'ts_ms', schema: Schemas.optionalInt64 },
    ],
  })
  const source: Struct = {
    version: '3.7.0.Final',
    ts_ms: 1_700_000_000_000n,
    snapshot: op === 'r' ? 'true' : null,
    db: 'db',
    ts_us: 1_700_000_000_000_001n,
    schema: 'public',
    table: 't',
    lsn: 7n,
  }
  const value = {
    before: op === 'u' || op === 'd' ? before : null,
    after: op === 'd' || op === 't' ? null : after,
    source,
    transaction: inTransaction ? { id: '5', total_order: 1n } : null,
    op,
    ts_ms: 1_700_000_000_123n,
  }
  return { schema, value }
}

function keyOf(row: Schema, value: Value): ConnectData {
  const [first] = row.fields
  if (first === undefined || !isStruct(value)) return { schema: null, value: null }
  const schema = makeSchema({ type: 'STRUCT', name: 's.public.t.Key', fields: [first] })
  return { schema, value: structOf([[first.name, value[first.name] ?? null]]) }
}

function columnsOf(record: ConnectRecord): readonly string[] {
  return (record.valueSchema?.fieldsByName.get('after')?.schema.fields ?? []).map((field) => field.name)
}

type Configs = Subject['configs']

const metadata = fc.constantFrom(
  'op',
  'table',
  'source.lsn',
  'ts_ms',
  'lsn',
  'source.ts_ms',
  'transaction.id',
  'db:database',
  'snapshot',
  'none',
)
const addable = joined(fc.uniqueArray(metadata, { maxLength: 3 }))

const unwrap: Configs = (record) =>
  compact({
    'delete.tombstone.handling.mode': fc.constantFrom(
      null,
      'drop',
      'tombstone',
      'rewrite',
      'rewrite-with-tombstone',
      'delete-to-tombstone',
    ),
    'add.fields': maybe(addable),
    'add.fields.prefix': fc.constantFrom(null, '', 'm_'),
    'add.headers': maybe(addable),
    'add.headers.prefix': fc.constantFrom(null, '', 'h_'),
    'route.by.field': fc.oneof({ weight: 5, arbitrary: fc.constant(null) }, oneNameOf(columnsOf(record))),
    'drop.fields.header.name': fc.constantFrom(null, null, 'h'),
    'drop.fields.from.key': fc.constantFrom(null, 'true'),
    'drop.fields.keep.schema.compatible': fc.constantFrom(null, 'false'),
    'replace.null.with.default': fc.constantFrom(null, 'false'),
  })

const timezone: Configs = (record) => {
  const fields = oneNameOf([...columnsOf(record), 'before.created', 'after.a', 'source.ts_ms'])
  const rule = fc.oneof(
    fc.constantFrom('source:t', 'source:other', `topic:${record.topic}`, 'topic:none'),
    fields.map((field) => `source:t:${field}`),
    fields.map((field) => `t:${field}`),
  )
  const list = fc.option(rule, { freq: 2 })
  return fc.oneof(
    compact({ 'converted.timezone': timezones, 'include.list': list }),
    compact({ 'converted.timezone': timezones, 'exclude.list': list }),
  )
}
const timezones = fc.constantFrom(
  'UTC',
  'Europe/Prague',
  'America/New_York',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'America/Sao_Paulo',
  '+08:00',
  '-03:30',
  '+00:00',
  'Mars/Base',
)

const routing: Configs = (record) =>
  compact({
    'partition.payload.fields': joined(
      someNamesOf([...columnsOf(record).map((name) => `change.${name}`), 'source.table', 'source.lsn', 'op'], {
        minLength: 1,
        maxLength: 3,
      }),
    ),
    'partition.topic.num': fc.constantFrom('1', '3', '7', '100', '0'),
    'partition.hash.function': fc.constantFrom(null, 'java', 'murmur', 'MURMUR'),
  })

/** One header into a nested struct, or several into new fields: Java's goes astray with more. */
const headerToValue: Configs = () => {
  const operation = fc.constantFrom('move', 'copy')
  return fc.oneof(
    compact({
      headers: fc.constantFrom('h', 'id'),
      fields: fc.constantFrom('x', 'source.x', 'op', 'source.table'),
      operation,
    }),
    compact({ headers: fc.constant('h,id'), fields: fc.constant('x,y'), operation }),
  )
}

const logicalRouter: Configs = () =>
  compact({
    'topic.regex': fc.constantFrom('(.*)-(\\d)', 'orders.*', '(.*)', 'none'),
    'topic.replacement': fc.constantFrom('$1', 'all', 'x-$1', '1 b_ä.c', ''),
    'key.enforce.uniqueness': fc.constantFrom(null, null, 'true', 'false'),
    'key.field.name': fc.constantFrom(null, null, 'k', 'id'),
    'key.field.regex': fc.constantFrom(null, null, '(.*)', '([a-z]+).*', 'none'),
    'key.field.replacement': fc.constantFrom(null, null, '$1', 'one', '$1-x'),
    'schema.name.adjustment.mode': fc.constantFrom(null, null, 'none', 'avro', 'avro_unicode', 'other'),
    'logical.table.cache.size': fc.constantFrom(null, null, '1', '0', 'x'),
    'logical.destination.cache.size': fc.constantFrom(null, null, '1'),
  })

const prefix = 'io.debezium.transforms.'
const subject = (name: string, configs: Configs, records: fc.Arbitrary<ConnectRecord>): Subject => ({
  class: prefix + name,
  kind: 'transformation',
  configs,
  records,
})

/** Those that have a Java class in the connector's own distribution. */
export function debeziumSubjects(options: DataOptions): readonly Subject[] {
  const changes = events(options, rowSchemas(options))
  const described = rowSchemas(options).map((row) =>
    copySchema(row, {
      fields: row.fields.map((f) => ({
        name: f.name,
        schema: copySchema(f.schema, { parameters: columnParameters(f.name, f.schema) }),
      })),
    }),
  )
  return [
    subject('ExtractNewRecordState', unwrap, changes),
    subject(
      'ExtractChangedRecordState',
      () =>
        compact({
          'header.changed.name': maybe(fc.constant('Changed')),
          'header.unchanged.name': maybe(fc.constant('Unchanged')),
        }),
      // In a source its tombstones share the headers of another record.
      events(options, rowSchemas(options), 'sink'),
    ),
    subject('TimezoneConverter', timezone, changes),
    subject(
      'ExtractSchemaToNewRecord',
      () => fc.constant({}),
      events(options, fc.oneof(described, rowSchemas(options))),
    ),
    // Java's works in sources alone.
    subject('partitions.PartitionRouting', routing, events(options, rowSchemas(options), 'source')),
    subject(
      'HeaderToValue',
      headerToValue,
      changes.filter(({ headers }) => new Set(headers.map((h) => h.key)).size === headers.length),
    ),
    subject('ByLogicalTableRouter', logicalRouter, changes),
    subject('ToLogicalTopicRouter', logicalRouter, changes),
  ]
}
