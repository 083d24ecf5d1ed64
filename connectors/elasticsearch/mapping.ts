import { LogicalName, type Schema, type Value } from '../../worker/api/data.ts'
import { ConnectError, DataError } from '../../worker/api/errors.ts'

/** A mapping of a field, as Elasticsearch takes it. */
export type FieldMapping = { readonly [member: string]: string | number | boolean | FieldMapping }

const textMapping: FieldMapping = { type: 'text', fields: { keyword: { type: 'keyword', ignore_above: 256 } } }

const primitiveTypes = {
  BOOLEAN: 'boolean',
  INT8: 'byte',
  INT16: 'short',
  INT32: 'integer',
  INT64: 'long',
  FLOAT32: 'float',
  FLOAT64: 'double',
  BYTES: 'binary',
} as const

const logicalTypes: ReadonlyMap<string, string> = new Map([
  [LogicalName.date, 'date'],
  [LogicalName.time, 'date'],
  [LogicalName.timestamp, 'date'],
  [LogicalName.decimal, 'double'],
])

/**
 * The mapping that suits a schema; a default becomes `null_value`, except of text and binary.
 * @throws ConnectError without a schema
 */
export function mappingOf(schema: Schema | null): FieldMapping {
  if (schema === null) {
    // The next record meets the same index: the task fails whatever errors.tolerance says.
    const cause = new DataError('CONNECT_ES_RECORD', 'Cannot infer mapping without schema.')
    const message = 'A value without a schema needs schema.ignore=true, or its topic in topic.schema.ignore'
    throw new ConnectError('fatal', 'CONNECT_ES_RECORD', message, { cause })
  }
  const logical = schema.name === null ? undefined : logicalTypes.get(schema.name)
  if (logical !== undefined) return withDefault({ type: logical }, schema.defaultValue)
  switch (schema.type) {
    case 'STRING':
      return textMapping
    case 'BYTES':
      return { type: 'binary' }
    case 'ARRAY':
      return mappingOf(schema.valueSchema)
    case 'MAP':
      return { properties: { key: mappingOf(schema.keySchema), value: mappingOf(schema.valueSchema) } }
    case 'STRUCT':
      return { properties: Object.fromEntries(schema.fields.map((f) => [f.name, mappingOf(f.schema)])) }
    default:
      return withDefault({ type: primitiveTypes[schema.type] }, schema.defaultValue)
  }
}

function withDefault(mapping: FieldMapping, value: Value): FieldMapping {
  if (value === null) return mapping
  if (value instanceof Date) return { ...mapping, null_value: value.getTime() }
  if (typeof value === 'number' || typeof value === 'boolean') return { ...mapping, null_value: value }
  // A long or a decimal as text: the server reads it exactly, JSON numbers it would have to round.
  return { ...mapping, null_value: String(value) }
}
