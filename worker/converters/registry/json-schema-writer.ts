import { GrowingByteWriter } from '../../api/byte-writer.ts'
import { copySchema, LogicalName, type Schema, type Struct, type Value } from '../../api/data.ts'
import { DataError } from '../../api/errors.ts'
import { parseJsonBytes, stringifyJson } from '../../api/json.ts'
import type { JsonWriter } from '../../api/json-writer.ts'
import { enumerationOf, isGeneralizedUnion } from '../../api/sum-types.ts'

/** Struct of which one field is set, for what JSON Schema calls oneOf. */
export const jsonUnionName = 'io.confluent.connect.json.OneOf'
export const jsonUnionField = `${jsonUnionName}.field.`
/** Parameter of text of which some values only are allowed; one per value follows, behind a dot. */
export const jsonEnum = 'io.confluent.connect.json.Enum'

/** Whether a schema stands for `oneOf`. */
export const isJsonUnion = (schema: Schema): boolean => schema.name === jsonUnionName || isGeneralizedUnion(schema)

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
  const place: Struct = index === null ? {} : { 'connect.index': index }
  if (isJsonUnion(schema)) return { oneOf: unionBranches(schema, options), ...place }
  const enumeration = schema.type === 'STRING' ? enumerationOf(schema, jsonEnum) : null
  const [type, connectType] = schema.name === LogicalName.decimal ? (['number', 'bytes'] as const) : types[schema.type]
  const base: Struct = {
    ...(schema.name === null ? {} : { title: schema.name }),
    ...(schema.doc === null ? {} : { description: schema.doc }),
    ...(enumeration === null ? { type } : { enum: enumeration.symbols.map(([symbol]) => symbol) }),
    ...(connectType === null ? {} : { 'connect.type': connectType }),
    ...partsOf(schema, options),
    ...(schema.version === null ? {} : { 'connect.version': schema.version }),
    ...parametersOf(schema),
    ...(schema.defaultValue === null ? {} : { default: defaultJson(schema, options) }),
  }
  return schema.optional ? { oneOf: [{ type: 'null' }, base], ...place } : { ...base, ...place }
}

/** Without those that only repeat what JSON Schema says itself. */
function parametersOf({ parameters }: Schema): Struct {
  const own = [...(parameters ?? [])].filter(([key]) => key !== jsonEnum && !key.startsWith(`${jsonEnum}.`))
  return own.length === 0 ? {} : { 'connect.parameters': Object.fromEntries(own) }
}

function unionBranches({ fields, optional }: Schema, options: JsonSchemaOptions): readonly Value[] {
  const branches = fields.map((field) =>
    jsonSchemaOf(copySchema(field.schema, { optional: false }), field.index, options),
  )
  return optional ? [{ type: 'null' }, ...branches] : branches
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
