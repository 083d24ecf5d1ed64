/** Records as text that is equal where Java's record and ours are. */
import { type ConnectRecord, SinkRecord } from '../../../worker/api/record.ts'
import type { WireRecord } from '../../conformance/java/harness.ts'
import { canonical, schemaToWire, valueToWire, type WireSchema, type WireValue } from '../../conformance/java/wire.ts'

export function recordToWire(record: ConnectRecord): WireRecord {
  return {
    topic: record.topic,
    partition: record.partition,
    keySchema: schemaToWire(record.keySchema),
    key: valueToWire(record.keySchema, record.key),
    valueSchema: schemaToWire(record.valueSchema),
    value: valueToWire(record.valueSchema, record.value),
    timestamp: record.timestamp === null ? null : String(record.timestamp),
    offset: record instanceof SinkRecord ? String(record.offset) : null,
    headers: record.headers.map(({ key, schema, value }) => ({
      key,
      schema: schemaToWire(schema),
      value: valueToWire(schema, value),
    })),
  }
}

export function recordText(record: WireRecord | null): string {
  if (record === null) return 'dropped'
  const { keySchema, key, valueSchema, value, headers, ...rest } = record
  return JSON.stringify({
    topic: rest.topic,
    partition: rest.partition,
    timestamp: rest.timestamp,
    offset: rest.offset,
    key: dataText(keySchema, key),
    value: dataText(valueSchema, value),
    headers: headers.map((h) => [h.key, dataText(h.schema, h.value)]),
  })
}

/** Without a schema, or where it leaves elements open, the width of a number is not part of our data model. */
export function dataText(schema: WireSchema | null, value: WireValue): readonly unknown[] {
  const isOpen = schema === null || ((schema.type === 'ARRAY' || schema.type === 'MAP') && schema.values === null)
  return [schema === null ? null : canonicalSchema(schema), canonical(value, isOpen ? 'ignore' : 'count')]
}

/** Parameters are a map: their order counts for nothing. */
function canonicalSchema(schema: WireSchema): unknown {
  return {
    ...schema,
    parameters: [...schema.parameters].sort(([a], [b]) => (a < b ? -1 : 1)),
    default: canonical(schema.default),
    keys: schema.keys === null ? null : canonicalSchema(schema.keys),
    values: schema.values === null ? null : canonicalSchema(schema.values),
    fields: schema.fields.map(([name, field]) => [name, canonicalSchema(field)]),
  }
}
