import { Schemas, type Value } from '../../../worker/api/data.ts'
import type { SinkRecord } from '../../../worker/api/record.ts'
import { record, struct } from './support.ts'

const source = struct({ table: Schemas.string, lsn: Schemas.optionalInt64 }, { name: 'Source' })

/** A change event of a table with these columns, named as Debezium names it. */
export function changeEvent(
  columns: Parameters<typeof struct>[0],
  event: { readonly op: string; readonly before?: Value; readonly after?: Value },
  init: Parameters<typeof record>[0] = {},
): SinkRecord {
  const row = struct(columns, { name: 'shop.public.t.Value', optional: true })
  const envelope = struct(
    { before: row, after: row, source, op: Schemas.string, ts_ms: Schemas.optionalInt64 },
    { name: 'shop.public.t.Envelope' },
  )
  const value = {
    before: event.before ?? null,
    after: event.after ?? null,
    source: { table: 't', lsn: 5n },
    op: event.op,
    ts_ms: 9n,
  }
  return record({
    topic: 'shop.public.t',
    keySchema: struct({ id: Schemas.int32 }, { name: 'shop.public.t.Key' }),
    key: { id: 1 },
    valueSchema: envelope,
    value,
    ...init,
  })
}
