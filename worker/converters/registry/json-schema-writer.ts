import { GrowingByteWriter } from '../../api/byte-writer.ts'
import { LogicalName, type Schema, type Struct, type Value } from '../../api/data.ts'
import { DataError } from '../../api/errors.ts'
import { parseJsonBytes, stringifyJson } from '../../api/json.ts'
import type { JsonWriter } from '../../api/json-writer.ts'

/** Struct of which one field is set, for what JSON Schema calls oneOf. */
export const jsonUnionName = 'io.confluent.connect.json.OneOf'
export const jsonUnionField = `${jsonUnionName}.field.`

export interface JsonSchemaOptions {
  readonly additionalProperties: boolean
  /** `use.optional.for.nonrequired` */
  readonly required: boolean
  /** Writes defaults as they stand in messages. */
  readonly writer: JsonWriter
}

const types: Readonly<Record<Schema['type'], readonly [type: string, connectType: string | null]>> = {
  INT8: ['integer', 'int8'],
  INT16: ['integer', 'int16'],
  INT32: ['integer', 'int32'],
  INT64: ['integer', 'int64'],
  FLOAT32: ['number', 'float32'],
  FLOAT64: ['number', 'float64'],
  BOOLEAN: ['boolean', null],
  STRING: ['string', null],
  BYTES: ['string', 'bytes'],
  ARRAY: ['array', null],
  MAP: ['object', 'map'],
  STRUCT: ['object', null],
}

/** The JSON Schema (draft 7) of a Connect schema, with the mapping of Confluent's JsonSchemaData. */
export function jsonSchemaText(schema: Schema, options: JsonSchemaOptions): string {
  return stringifyJson(jsonSchemaOf(schema, null, options))
}

/** @param index of the field in its struct, which keeps the order of fields */
function jsonSchemaOf(schema: Schema, index: number | null, options: JsonSchemaOptions): Struct {
  if (schema.name === jsonUnionName) {
    throw new DataError('CONNECT_REGISTRY_SCHEMA', `Structs of ${jsonUnionName} are read, but not written`)
  }
  const place: Struct = index === null ? {} : { 'connect.index': index }
  const [type, connectType] = schema.name === LogicalName.decimal ? (['number', 'bytes'] as const) : types[schema.type]
  const base: Struct = {
    ...(schema.name === null ? {} : { title: schema.name }),
    ...(schema.doc === null ? {} : { description: schema.doc }),
    type,
    ...(connectType === null ? {} : { 'connect.type': connectType }),
    ...partsOf(schema, options),
    ...(schema.version === null ? {} : { 'connect.version': schema.version }),
    ...(schema.parameters === null ? {} : { 'connect.parameters': Object.fromEntries(schema.parameters) }),
    ...(schema.defaultValue === null ? {} : { default: defaultJson(schema, options) }),
  }
  return schema.optional ? { oneOf: [{ type: 'null' }, base], ...place } : { ...base, ...place }
}

function partsOf(schema: Schema, options: JsonSchemaOptions): Struct {
  switch (schema.type) {
    case 'ARRAY':
      return { items: jsonSchemaOf(part(schema.valueSchema), null, options) }
    case 'MAP':
      return mapParts(schema, options)
    case 'STRUCT':
      return structParts(schema, options)
    default:
      return {}
  }
}

/** A map whose keys are no text is a list of entries. */
function mapParts({ keySchema, valueSchema }: Schema, options: JsonSchemaOptions): Struct {
  const key = part(keySchema)
  const value = part(valueSchema)
  if (key.type === 'STRING') return { additionalProperties: jsonSchemaOf(value, null, options) }
  const properties = { key: jsonSchemaOf(key, 0, options), value: jsonSchemaOf(value, 1, options) }
  return { type: 'array', items: { type: 'object', properties } }
}

function structParts({ fields }: Schema, options: JsonSchemaOptions): Struct {
  const required = options.required ? fields.filter((field) => !field.schema.optional).map((field) => field.name) : []
  return {
    properties: Object.fromEntries(fields.map((f) => [f.name, jsonSchemaOf(f.schema, f.index, options)])),
    ...(required.length === 0 ? {} : { required }),
    ...(options.additionalProperties ? {} : { additionalProperties: false }),
  }
}

function defaultJson(schema: Schema, { writer }: JsonSchemaOptions): Value {
  const out = new GrowingByteWriter(64)
  writer.write(schema, schema.defaultValue, out)
  return parseJsonBytes(out.since(0), { fractions: 'decimal' })
}

function part(schema: Schema | null): Schema {
  if (schema !== null) return schema
  throw new DataError('CONNECT_DATA_SCHEMA', 'A list or map has no schema of its elements')
}
