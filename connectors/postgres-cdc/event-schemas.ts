/** Schemas of the parts that all events share, as Debezium 3.7 names and orders them. */
import { copySchema, makeSchema, type Schema, Schemas } from '../../worker/api/data.ts'

const struct = (
  name: string | null,
  version: number | null,
  fields: readonly (readonly [string, Schema])[],
  optional = false,
): Schema =>
  makeSchema({
    type: 'STRUCT',
    name,
    version,
    optional,
    fields: fields.map(([field, schema]) => ({ name: field, schema })),
  })

export const snapshotMarkers = [
  'true',
  'first',
  'first_in_data_collection',
  'last_in_data_collection',
  'last',
  'false',
  'incremental',
] as const
export type SnapshotMarker = Exclude<(typeof snapshotMarkers)[number], 'false'>

export const sourceSchema = struct('io.debezium.connector.postgresql.Source', 1, [
  ['version', Schemas.string],
  ['connector', Schemas.string],
  ['name', Schemas.string],
  ['ts_ms', Schemas.int64],
  [
    'snapshot',
    makeSchema({
      type: 'STRING',
      name: 'io.debezium.data.Enum',
      version: 1,
      parameters: { allowed: snapshotMarkers.join(',') },
      defaultValue: 'false',
      optional: true,
    }),
  ],
  ['db', Schemas.string],
  ['sequence', Schemas.optionalString],
  ['ts_us', Schemas.optionalInt64],
  ['ts_ns', Schemas.optionalInt64],
  ['schema', Schemas.string],
  ['table', Schemas.string],
  ['txId', Schemas.optionalInt64],
  ['lsn', Schemas.optionalInt64],
  ['xmin', Schemas.optionalInt64],
  ['origin', Schemas.optionalString],
  ['origin_lsn', Schemas.optionalInt64],
])

export const transactionBlockSchema = struct(
  'event.block',
  1,
  [
    ['id', Schemas.string],
    ['total_order', Schemas.int64],
    ['data_collection_order', Schemas.int64],
  ],
  true,
)

export function envelopeSchemaOf(name: string, value: Schema): Schema {
  return struct(name, 2, [
    ['before', value],
    ['after', value],
    ['source', sourceSchema],
    ['transaction', transactionBlockSchema],
    ['op', Schemas.string],
    ['ts_ms', Schemas.optionalInt64],
    ['ts_us', Schemas.optionalInt64],
    ['ts_ns', Schemas.optionalInt64],
  ])
}

const common = 'io.debezium.connector.common'

export const heartbeatKeySchema = struct(`${common}.ServerNameKey`, 1, [['serverName', Schemas.string]])
export const heartbeatSchema = struct(`${common}.Heartbeat`, 1, [['ts_ms', Schemas.int64]])

export const transactionKeySchema = struct(`${common}.TransactionMetadataKey`, 1, [['id', Schemas.string]])

const collectionSchema = struct(
  'event.collection',
  1,
  [
    ['data_collection', Schemas.string],
    ['event_count', Schemas.int64],
  ],
  true,
)

export const transactionSchema = struct(`${common}.TransactionMetadataValue`, 1, [
  ['status', Schemas.string],
  ['id', Schemas.string],
  ['event_count', Schemas.optionalInt64],
  ['data_collections', makeSchema({ type: 'ARRAY', valueSchema: collectionSchema, optional: true })],
  ['ts_ms', Schemas.int64],
])

const connector = 'io.debezium.connector.postgresql'

export const messageKeySchema = struct(`${connector}.MessageKey`, 1, [['prefix', Schemas.optionalString]])

/** @param content schema of the content in the binary mode, optional */
export function messageSchemaOf(content: Schema): Schema {
  const message = struct(`${connector}.Message`, 1, [
    ['prefix', Schemas.optionalString],
    ['content', copySchema(content, { optional: true })],
  ])
  return struct(`${connector}.MessageValue`, 1, [
    ['op', Schemas.string],
    ['ts_ms', Schemas.optionalInt64],
    ['source', sourceSchema],
    ['transaction', transactionBlockSchema],
    ['message', message],
  ])
}
