import { makeSchema, type Schema, Schemas, type Struct } from '../../worker/api/data.ts'

const optional = (type: Schema['type'], name?: string): Schema =>
  makeSchema({ type, optional: true, name: name ?? null })
const struct = (
  name: string,
  isOptional: boolean,
  fields: Readonly<Record<string, Schema>>,
  version?: number,
): Schema =>
  makeSchema({
    type: 'STRUCT',
    name,
    optional: isOptional,
    version: version ?? null,
    fields: Object.entries(fields).map(([field, schema]) => ({ name: field, schema })),
  })

const row = struct('srv.public.c.Value', true, {
  id: Schemas.int32,
  note: Schemas.optionalString,
  big: Schemas.optionalInt64,
  raw: Schemas.optionalBytes,
})

const source = struct(
  'io.debezium.connector.postgresql.Source',
  false,
  {
    version: Schemas.string,
    connector: Schemas.string,
    name: Schemas.string,
    ts_ms: Schemas.int64,
    snapshot: makeSchema({
      type: 'STRING',
      optional: true,
      name: 'io.debezium.data.Enum',
      version: 1,
      defaultValue: 'false',
      parameters: { allowed: 'true,first,first_in_data_collection,last_in_data_collection,last,false,incremental' },
    }),
    db: Schemas.string,
    sequence: Schemas.optionalString,
    ts_us: Schemas.optionalInt64,
    ts_ns: Schemas.optionalInt64,
    schema: Schemas.string,
    table: Schemas.string,
    txId: Schemas.optionalInt64,
    lsn: Schemas.optionalInt64,
    xmin: Schemas.optionalInt64,
  },
  1,
)

/** Schema of a change event of the Postgres source, with a table of four columns. */
export const changeEventSchema = struct(
  'srv.public.c.Envelope',
  false,
  {
    before: row,
    after: row,
    source,
    transaction: struct(
      'event.block',
      true,
      { id: Schemas.string, total_order: Schemas.int64, data_collection_order: Schemas.int64 },
      1,
    ),
    op: Schemas.string,
    ts_ms: Schemas.optionalInt64,
    ts_us: optional('INT64'),
    ts_ns: optional('INT64'),
  },
  2,
)

/** A change event; `changes` replaces its members. */
export function changeEvent(changes: Struct = {}, sourceChanges: Struct = {}): Struct {
  return {
    before: null,
    after: { id: 1, note: 'é"', big: 9007199254740993n, raw: Uint8Array.of(1, 2) },
    source: {
      version: '3.7.0.Final',
      connector: 'postgresql',
      name: 'srv',
      ts_ms: 1_700_000_000_123n,
      snapshot: 'false',
      db: 'shop',
      sequence: '["24023119","24023128"]',
      ts_us: 1_700_000_000_123_456n,
      ts_ns: 1_700_000_000_123_456_000n,
      schema: 'public',
      table: 'c',
      txId: 555n,
      lsn: 24023128n,
      xmin: null,
      ...sourceChanges,
    },
    transaction: null,
    op: 'c',
    ts_ms: 1_700_000_000_500n,
    ts_us: 1_700_000_000_500_001n,
    ts_ns: 1_700_000_000_500_001_002n,
    ...changes,
  }
}
