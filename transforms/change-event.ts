/** What the Debezium transforms share: the shape of a change event. */
import type { Schema, Struct, Value } from '../worker/api/data.ts'

/** Version of Debezium whose transforms these are. */
export const debeziumVersion = '3.7.0'

/** Debezium's test for a change event: heartbeats, transaction metadata and messages have other names. */
export function isEnvelope(schema: Schema | null): schema is Schema {
  return schema !== null && schema.type === 'STRUCT' && schema.name !== null && schema.name.endsWith('.Envelope')
}

/** A field as it is, without the schema's default; null when it is absent. */
export function rawMember(struct: Struct, name: string): Value {
  return Object.hasOwn(struct, name) ? (struct[name] ?? null) : null
}
