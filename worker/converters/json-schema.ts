import {
  LogicalName,
  makeSchema,
  type Schema,
  type SchemaSpec,
  Schemas,
  type SchemaType,
  type Struct,
  type Value,
} from '../api/data.ts'
import { DataError } from '../api/errors.ts'
import { quoteJson } from '../api/json.ts'
import { isStruct } from '../api/values.ts'

const typeNames: Readonly<Record<SchemaType, string>> = {
  BOOLEAN: 'boolean',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FLOAT32: 'float',
  FLOAT64: 'double',
  BYTES: 'bytes',
  STRING: 'string',
  ARRAY: 'array',
  MAP: 'map',
  STRUCT: 'struct',
}

const typesByName: ReadonlyMap<string, SchemaType> = new Map(
  Object.entries(typeNames).map(([type, name]) => [name, type as SchemaType]),
)

/**
 * The `schema` node of JsonConverter's envelope, members in Connect's order.
 * @param defaultJson JSON text of a schema's default value
 * @param field name of the struct field that has this schema
 */
export function schemaToJson(schema: Schema, defaultJson: (schema: Schema) => string, field?: string): string {
  const parts: string[] = [`"type":"${typeNames[schema.type]}"`]
  const nested = (s: Schema | null): string => (s === null ? 'null' : schemaToJson(s, defaultJson))
  if (schema.type === 'ARRAY') parts.push(`"items":${nested(schema.valueSchema)}`)
  if (schema.type === 'MAP') parts.push(`"keys":${nested(schema.keySchema)}`, `"values":${nested(schema.valueSchema)}`)
  if (schema.type === 'STRUCT') {
    parts.push(`"fields":[${schema.fields.map((f) => schemaToJson(f.schema, defaultJson, f.name)).join(',')}]`)
  }
  parts.push(`"optional":${schema.optional}`)
  if (schema.name !== null) parts.push(`"name":${quoteJson(schema.name)}`)
  if (schema.version !== null) parts.push(`"version":${schema.version}`)
  if (schema.doc !== null) parts.push(`"doc":${quoteJson(schema.doc)}`)
  if (schema.parameters !== null) {
    const entries = [...schema.parameters].map(([key, value]) => `${quoteJson(key)}:${quoteJson(value)}`)
    parts.push(`"parameters":{${entries.join(',')}}`)
  }
  if (schema.defaultValue !== null) parts.push(`"default":${defaultJson(schema)}`)
  if (field !== undefined) parts.push(`"field":${quoteJson(field)}`)
  return `{${parts.join(',')}}`
}

const invalid = (message: string): DataError => new DataError('CONNECT_DATA_SCHEMA', message)

/**
 * The schema of a parsed `schema` node; null for JSON null.
 * @param convertDefault turns the JSON of a default into a value of the schema
 * @throws DataError with Connect's texts
 */
export function schemaFromJson(node: Value, convertDefault: (schema: Schema, json: Value) => Value): Schema | null {
  if (node === null) return null
  if (!isStruct(node)) throw invalid('Schema must be a JSON object')
  const type = schemaType(node)
  const optional = node['optional'] === true
  const spec: SchemaSpec = { ...nestedSchemas(type, node, convertDefault), ...annotations(node), type, optional }
  const json = node['default']
  if (json === undefined || (json === null && optional)) return internPrimitive(makeSchema(spec))
  return makeSchema({ ...spec, defaultValue: convertDefault(makeSchema(spec), json) })
}

function schemaType(node: Struct): SchemaType {
  const name = node['type']
  if (typeof name !== 'string') throw invalid("Schema must contain 'type' field")
  const type = typesByName.get(name)
  if (type === undefined) throw invalid(`Unknown schema type: ${name}`)
  return type
}

type ConvertDefault = (schema: Schema, json: Value) => Value

function nestedSchemas(type: SchemaType, node: Struct, convertDefault: ConvertDefault): Partial<SchemaSpec> {
  const nested = (json: Value | undefined, message: string): Schema => {
    const schema = json === undefined ? null : schemaFromJson(json, convertDefault)
    if (schema === null) throw invalid(message)
    return schema
  }
  if (type === 'ARRAY') {
    return { valueSchema: nested(node['items'], 'Array schema did not specify the element type') }
  }
  if (type === 'MAP') {
    return {
      keySchema: nested(node['keys'], 'Map schema did not specify the key type'),
      valueSchema: nested(node['values'], 'Map schema did not specify the value type'),
    }
  }
  if (type !== 'STRUCT') return {}
  const fields = node['fields']
  if (!Array.isArray(fields)) throw invalid('Struct schema\'s "fields" argument is not an array.')
  return {
    fields: (fields as readonly Value[]).map((field) => {
      const name = isStruct(field) ? field['field'] : null
      if (typeof name !== 'string') throw invalid("Struct schema's field name not specified properly")
      return { name, schema: nested(field, "Struct schema's field has no schema") }
    }),
  }
}

function annotations(node: Struct): Partial<SchemaSpec> {
  const { name, version, doc, parameters } = node
  // Connect wraps what does not fit 32 bits.
  if (version != null && !(typeof version === 'number' && (version | 0) === version)) {
    throw invalid('Invalid schema version: must be an integer of 32 bits')
  }
  return {
    name: typeof name === 'string' ? name : null,
    version: typeof version === 'number' ? version : null,
    doc: typeof doc === 'string' ? doc : null,
    parameters: parameters == null ? null : parameterMap(parameters),
  }
}

function parameterMap(node: Value): ReadonlyMap<string, string> {
  if (!isStruct(node)) throw invalid('Schema parameters must be a JSON object')
  const map = new Map<string, string>()
  for (const [key, value] of Object.entries(node)) {
    if (typeof value !== 'string') throw invalid('Schema parameters must have string values.')
    map.set(key, value)
  }
  return map
}

const primitives: ReadonlyMap<string, Schema> = new Map(
  Object.values(Schemas).map((s) => [`${s.type} ${s.optional}`, s]),
)

/** The shared instance of a bare primitive schema, so that schemas are equal by identity where that is cheap. */
function internPrimitive(schema: Schema): Schema {
  const bare = schema.name === null && schema.version === null && schema.doc === null && schema.parameters === null
  return (bare ? primitives.get(`${schema.type} ${schema.optional}`) : undefined) ?? schema
}

/** Whether a schema holds a Decimal anywhere: then the payload's numbers are read with their scale. */
export function hasDecimal(schema: Schema): boolean {
  return (
    schema.name === LogicalName.decimal ||
    (schema.keySchema !== null && hasDecimal(schema.keySchema)) ||
    (schema.valueSchema !== null && hasDecimal(schema.valueSchema)) ||
    schema.fields.some((f) => hasDecimal(f.schema))
  )
}
