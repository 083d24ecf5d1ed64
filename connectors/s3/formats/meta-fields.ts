import { type Schema, Schemas, type Value } from '../../../worker/api/data.ts'
import type { SinkRecord } from '../../../worker/api/record.ts'
import { type MetaField, metaFieldNames } from '../config-rules.ts'
import { type JsonEncoder, jsonHeaders } from './json-encoder.ts'

/** A column that `format.output.meta.fields` adds to the rows of a table format. */
export interface MetaColumn {
  readonly name: string
  readonly schema: Schema
  read(record: SinkRecord): Value
}

/**
 * Columns of the fields, in their order. Positions are those of the consumed record, whatever transforms did to topic
 * and partition (KIP-793, I5). Keys and headers are JSON text.
 */
export function metaColumns(fields: readonly MetaField[], encoder: JsonEncoder): readonly MetaColumn[] {
  return fields.map((field) => ({ name: metaFieldNames[field], ...metaColumn(field, encoder) }))
}

function metaColumn(field: MetaField, encoder: JsonEncoder): Omit<MetaColumn, 'name'> {
  switch (field) {
    case 'offset':
      return { schema: Schemas.int64, read: (record) => record.offset }
    case 'partition':
      return { schema: Schemas.int32, read: (record) => record.originalPartition }
    case 'topic':
      return { schema: Schemas.string, read: (record) => record.originalTopic }
    case 'timestamp':
      return {
        schema: Schemas.optionalInt64,
        read: ({ timestamp }) => (timestamp === null ? null : BigInt(timestamp)),
      }
    case 'key':
      return {
        schema: Schemas.optionalString,
        read: ({ keySchema, key }) => (key === null ? null : encoder.encode(keySchema, key)),
      }
    case 'op':
      return { schema: Schemas.string, read: (record) => operationOf(record) }
    case 'headers':
      return { schema: Schemas.string, read: (record) => jsonHeaders(record) }
  }
}

/** `d` for a record without a value, `u` for any other. */
export function operationOf(record: SinkRecord): 'd' | 'u' {
  return record.rawValue === null ? 'd' : 'u'
}
