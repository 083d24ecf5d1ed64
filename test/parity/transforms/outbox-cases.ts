/** Random rows of an outbox table, logical decoding messages and schema changes, and configs of their transforms. */
import fc from 'fast-check'
import { copySchema, LogicalName, makeSchema, type Schema, Schemas, type Value } from '../../../worker/api/data.ts'
import type { ConnectRecord } from '../../../worker/api/record.ts'
import { type ConnectData, type DataOptions, structOf } from '../../conformance/java/arbitraries.ts'
import { compact, joined, maybe, type Subject } from './connect-cases.ts'
import { recordsOf } from './records.ts'

const jsonNames = fc.constantFrom('a', 'b', 'id', 'a.b', '__proto__', 'ä', '', 'constructor')

const jsonScalars = fc.oneof(
  fc.constantFrom('null', 'true', 'false', '0', '-1', '1.5', '1e3', '1E400', '2147483648', '-0', '-0.0', '1.0'),
  fc.constantFrom('9223372036854775807', '9223372036854775808', '12345678901234567890123', '0.1', '1e-7'),
  fc.constantFrom('"x"', '""', '"\\u00e4\\n"', '"2024-01-01"', '"\\ud83d\\ude00"'),
  fc.integer().map(String),
)

/** JSON texts of objects, arrays and scalars, mostly with arrays of one type. */
const jsonTexts: fc.Arbitrary<string> = fc.letrec<{ any: string; object: string }>((tie) => {
  const limits = { maxLength: 3, depthIdentifier: 'json' }
  const member = fc.tuple(jsonNames, tie('any')).map(([name, value]) => `${JSON.stringify(name)}:${value}`)
  const object = fc.array(member, limits).map((members) => `{${members.join()}}`)
  const alike = fc.constantFrom('1', '"s"', 'true', '1.5', '[]', '{}', '{"a":1}', '{"b":null}', '[1]', '["s"]', 'null')
  return {
    object,
    any: fc.oneof(
      { maxDepth: 3, depthIdentifier: 'json', withCrossShrink: true },
      { weight: 3, arbitrary: jsonScalars },
      { weight: 2, arbitrary: object },
      { weight: 1, arbitrary: fc.array(tie('any'), limits).map((items) => `[${items.join(', ')}]`) },
      { weight: 1, arbitrary: alike.chain((item) => fc.array(fc.constant(item), limits)).map((all) => `[${all}]`) },
      { weight: 1, arbitrary: fc.array(tie('object'), limits).map((items) => `[${items.join()}]`) },
    ),
  }
}).any

const payloadTexts = fc.oneof(
  { weight: 8, arbitrary: jsonTexts },
  fc.constantFrom('', ' ', 'text', '{', '[', '{"a":1} x', ' {"a":1}', '{"a":1,"a":2}', '{"a":1}\n', "{'a':1}", '[1,]'),
  fc.constantFrom('{"a":NaN}', '{"a":01}', '{"a":+1}', '{"a":.5}', '{/**/"a":1}', '\ufeff{"a":1}', '[{"a":1},{"b":2}]'),
)

const payloadSchemas: readonly Schema[] = [
  Schemas.string,
  Schemas.optionalString,
  makeSchema({ type: 'STRING', optional: true, name: 'io.debezium.data.Json', version: 1 }),
  Schemas.optionalBytes,
  makeSchema({ type: 'STRING', optional: true, defaultValue: '{"a":1}' }),
]

const named = (type: 'INT32' | 'INT64' | 'STRING', name: string): Schema =>
  makeSchema({ type, name, version: 1, optional: true })

/** Types of a column that could be asked for as the event's time, version or partition. */
const otherSchemas: readonly Schema[] = [
  Schemas.int32,
  Schemas.optionalInt32,
  makeSchema({ type: 'INT32', optional: true, defaultValue: 3 }),
  Schemas.int64,
  Schemas.optionalString,
  Schemas.boolean,
  named('INT64', 'io.debezium.time.Timestamp'),
  named('INT64', 'io.debezium.time.MicroTimestamp'),
  named('INT64', 'io.debezium.time.NanoTimestamp'),
  named('INT64', LogicalName.timestamp),
  named('STRING', 'io.debezium.time.ZonedTimestamp'),
  named('INT64', 'other.Name'),
]

function columnValues(schema: Schema): fc.Arbitrary<Value> {
  const present = ((): fc.Arbitrary<Value> => {
    switch (schema.type) {
      case 'INT32':
        return fc.integer({ min: -3, max: 9 })
      case 'INT64':
        if (schema.name === LogicalName.timestamp) return fc.integer({ min: -9, max: 2e12 }).map((ms) => new Date(ms))
        return fc.bigInt({ min: -8_640_000_000_000_000n, max: 8_640_000_000_000_000n })
      case 'BOOLEAN':
        return fc.boolean()
      case 'BYTES':
        return fc.oneof(
          fc.uint8Array({ maxLength: 9 }),
          payloadTexts.map((text) => Buffer.from(text)),
        )
      default:
        return schema.name === 'io.debezium.time.ZonedTimestamp'
          ? fc.constantFrom('2024-01-02T03:04:05Z', 'x')
          : fc.constantFrom('Order', 'User', 'a b', '', 'a.b', 'x-1', '$1')
    }
  })()
  return schema.optional ? fc.option(present, { freq: 4 }) : present
}

interface Column {
  readonly name: string
  readonly schema: Schema
  readonly value: Value
}

/** A column, or now and then none. */
const column = (
  name: string,
  schemas: readonly Schema[],
  values: (schema: Schema) => fc.Arbitrary<Value> = columnValues,
): fc.Arbitrary<Column | null> =>
  fc.option(
    fc.constantFrom(...schemas).chain((schema) => values(schema).map((value) => ({ name, schema, value }))),
    { freq: 12 },
  )

const payloadValues = (schema: Schema): fc.Arbitrary<Value> => {
  if (schema.type === 'BYTES') return columnValues(schema)
  return schema.optional ? fc.option(payloadTexts, { freq: 6 }) : payloadTexts
}

const outboxRows: fc.Arbitrary<readonly Column[]> = fc
  .tuple(
    column('id', [
      Schemas.string,
      Schemas.int32,
      Schemas.optionalString,
      makeSchema({ type: 'STRING', name: 'io.debezium.data.Uuid', version: 1 }),
    ]),
    column('aggregatetype', [Schemas.string, Schemas.string, Schemas.optionalString, Schemas.int32]),
    column('aggregateid', [
      Schemas.string,
      Schemas.optionalString,
      Schemas.int64,
      makeSchema({ type: 'STRING', optional: true, defaultValue: 'k' }),
    ]),
    column('type', [Schemas.string, Schemas.optionalString]),
    column('payload', payloadSchemas, payloadValues),
    column('extra', otherSchemas),
    column('at', otherSchemas),
  )
  .map((columns) => columns.filter((each) => each !== null))

function envelope(row: Schema, op: string, after: Value): ConnectData {
  const schema = makeSchema({
    type: 'STRUCT',
    name: 's.public.outbox.Envelope',
    version: 1,
    fields: [
      { name: 'before', schema: row },
      { name: 'after', schema: row },
      { name: 'op', schema: Schemas.string },
      { name: 'ts_ms', schema: Schemas.optionalInt64 },
    ],
  })
  const isOld = op === 'd' || op === 'u'
  return {
    schema,
    value: {
      before: isOld ? after : null,
      after: op === 'd' || op === 't' ? null : after,
      op,
      ts_ms: 1_700_000_000_123n,
    },
  }
}

const keyOf = (text: string): ConnectData => ({
  schema: makeSchema({ type: 'STRUCT', name: 's.public.outbox.Key', fields: [{ name: 'id', schema: Schemas.string }] }),
  value: { id: text },
})

const nothing: ConnectData = { schema: null, value: null }

function outboxEvents(options: DataOptions): fc.Arbitrary<ConnectRecord> {
  const parts = fc
    .tuple(outboxRows, fc.constantFrom('c', 'c', 'c', 'c', 'c', 'r', 'u', 'd', 't'), fc.integer({ min: 0, max: 15 }))
    .map(([columns, op, oddity]) => {
      const row = makeSchema({
        type: 'STRUCT',
        name: oddity === 3 ? null : 's.public.outbox.Value',
        optional: true,
        fields: columns,
      })
      const after = structOf(columns.map(({ name, value }) => [name, value]))
      if (oddity === 0) return { key: keyOf('1'), value: nothing }
      if (oddity === 1) return { key: nothing, value: { schema: row, value: after } }
      return { key: oddity === 2 ? nothing : keyOf('1'), value: envelope(row, op, after) }
    })
  const data = { ...options, maxDepth: 1 }
  return fc.oneof(
    { weight: 7, arbitrary: recordsOf(parts, data, 'source') },
    { weight: 1, arbitrary: recordsOf(parts, data, 'sink') },
  )
}

const someColumn = fc.constantFrom('id', 'aggregatetype', 'aggregateid', 'type', 'payload', 'extra', 'at', 'none')
const seldom = (texts: fc.Arbitrary<string>): fc.Arbitrary<string | null> =>
  fc.oneof({ weight: 5, arbitrary: fc.constant(null) }, texts)
const placement = fc
  .tuple(
    someColumn,
    fc.constantFrom('header', 'envelope', 'envelope', 'partition', 'HEADER', 'other'),
    fc.constantFrom('', ':alias', ':x y', ':'),
  )
  .map(([name, where, alias]) => `${name}:${where}${alias}`)

const outboxConfigs: Subject['configs'] = () =>
  compact({
    'table.field.event.id': seldom(someColumn),
    'table.field.event.key': seldom(someColumn),
    'table.field.event.type': seldom(someColumn),
    'table.field.event.payload': seldom(someColumn),
    'table.field.event.timestamp': fc.constantFrom(null, null, 'at', 'extra', 'none'),
    'table.field.event.schema.version': fc.constantFrom(null, null, 'extra', 'at', 'none'),
    'table.fields.additional.placement': maybe(
      fc.oneof(
        joined(fc.array(placement, { minLength: 1, maxLength: 3 })),
        fc.constantFrom(
          '',
          'extra',
          'extra:header,',
          'type:header:eventType',
          'type:envelope , extra:partition',
          'a:b:c:d',
        ),
      ),
    ),
    'table.field.additional.missing': fc.constantFrom(null, 'error', 'ignore', 'IGNORE'),
    'route.by.field': seldom(someColumn),
    'route.topic.regex': seldom(fc.constantFrom('(.*)der', '(?<routedByValue>[A-Z].*)', '(?<other>.*)', 'Order')),
    'route.topic.replacement': seldom(fc.constantFrom('$1', 'x.${routedByValue}', 'fixed', 'y-$0')),
    'route.tombstone.on.empty.payload': fc.constantFrom(null, 'true', 'false'),
    'table.op.invalid.behavior': fc.constantFrom(null, 'warn', 'error', 'fatal', 'FATAL'),
    'table.expand.json.payload': fc.constantFrom(null, 'true', 'true', 'false'),
    'table.json.payload.null.behavior': fc.constantFrom(null, 'ignore', 'optional_bytes', 'OPTIONAL_BYTES'),
    'table.json.payload.empty.array.behavior': fc.constantFrom(null, 'ignore', 'optional_string'),
    'tracing.span.context.field': seldom(fc.constant('extra')),
    'tracing.operation.name': seldom(fc.constant('op')),
    'tracing.with.context.field.only': seldom(fc.constant('true')),
  })

const messageBlock = (content: Schema): Schema =>
  makeSchema({
    type: 'STRUCT',
    name: 'io.debezium.connector.postgresql.Message',
    fields: [
      { name: 'prefix', schema: Schemas.string },
      { name: 'content', schema: content },
    ],
  })

/** Messages as `pg_logical_emit_message` sends them, with content as bytes or, by other handling of bytes, as text. */
function messages(options: DataOptions): fc.Arbitrary<ConnectRecord> {
  const parts = fc
    .tuple(
      payloadTexts,
      fc.constantFrom(Schemas.optionalBytes, Schemas.bytes, Schemas.optionalString),
      fc.integer({ min: 0, max: 11 }),
    )
    .map(([text, content, oddity]) => {
      const schema = makeSchema({
        type: 'STRUCT',
        name: oddity === 0 ? 'other.Value' : 'io.debezium.connector.postgresql.MessageValue',
        version: 1,
        fields: [
          { name: 'op', schema: Schemas.string },
          { name: 'ts_ms', schema: Schemas.optionalInt64 },
          {
            name: 'source',
            schema: makeSchema({
              type: 'STRUCT',
              fields: [{ name: 'db', schema: copySchema(Schemas.optionalString, { defaultValue: 'd' }) }],
            }),
          },
          { name: 'message', schema: messageBlock(content) },
        ],
      })
      const bytes = content.type === 'BYTES' ? Buffer.from(text) : text
      const message = { prefix: 'p', content: oddity === 1 && content.optional ? null : bytes }
      const value: ConnectData = {
        schema,
        value: { op: 'm', ts_ms: oddity === 2 ? null : 5n, source: { db: null }, message },
      }
      const key: ConnectData = {
        schema: makeSchema({
          type: 'STRUCT',
          name: 'io.debezium.connector.postgresql.MessageKey',
          fields: [{ name: 'prefix', schema: Schemas.optionalString }],
        }),
        value: { prefix: 'p' },
      }
      return { key, value: oddity === 3 ? nothing : value }
    })
  return recordsOf(parts, { ...options, maxDepth: 1 })
}

const changeSchema = makeSchema({
  type: 'STRUCT',
  name: 'io.debezium.connector.schema.Change',
  fields: [
    { name: 'type', schema: Schemas.optionalString },
    { name: 'id', schema: Schemas.string },
  ],
})

/** Schema changes as the MySQL connector sends them. */
function schemaChanges(options: DataOptions): fc.Arbitrary<ConnectRecord> {
  const types = fc.constantFrom('CREATE', 'ALTER', 'DROP', 'TRUNCATE', 'create', 'OTHER', null)
  const names = fc.constantFrom(
    'io.debezium.connector.mysql.SchemaChangeValue',
    'io.debezium.connector.mysql.SchemaChangeKey',
    'SchemaChangeValue',
    'x.Value',
    null,
  )
  const parts = fc
    .tuple(names, fc.option(fc.array(types, { maxLength: 2 }), { freq: 6 }), fc.integer({ min: 0, max: 9 }))
    .map(([name, changes, oddity]) => {
      const schema = makeSchema({
        type: 'STRUCT',
        name,
        fields: [
          { name: 'ddl', schema: Schemas.optionalString },
          ...(oddity === 0
            ? []
            : [
                {
                  name: 'tableChanges',
                  schema: makeSchema({ type: 'ARRAY', optional: true, valueSchema: changeSchema }),
                },
              ]),
        ],
      })
      const tableChanges = changes?.map((type) => ({ type, id: 't' })) ?? null
      const value: ConnectData = { schema, value: oddity === 0 ? { ddl: 'x' } : { ddl: 'x', tableChanges } }
      return { key: nothing, value: oddity === 1 ? nothing : value }
    })
  return recordsOf(parts, { ...options, maxDepth: 1 })
}

/** Debezium's transforms of events other than plain changes of rows. */
export function outboxSubjects(options: DataOptions): readonly Subject[] {
  const kind = 'transformation'
  return [
    {
      class: 'io.debezium.transforms.outbox.EventRouter',
      kind,
      configs: outboxConfigs,
      records: outboxEvents(options),
    },
    {
      class: 'io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent',
      kind,
      configs: () => compact({ 'fields.null.include': fc.constantFrom(null, 'true', 'false') }),
      records: messages(options),
    },
    {
      class: 'io.debezium.transforms.SchemaChangeEventFilter',
      kind,
      configs: () =>
        compact({
          'schema.change.event.exclude.list': fc.constantFrom(
            'CREATE',
            'DROP,ALTER',
            'DATABASE',
            'TRUNCATE',
            'drop',
            'x',
            '',
            'CREATE, DROP',
            null,
          ),
        }),
      records: schemaChanges(options),
    },
  ]
}
