/** JSON text → schema and value, by Debezium's rules for outbox payloads. */
import { Float64, makeSchema, type Schema, Schemas, type Struct, schemaEquals, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { parseJson } from '../worker/api/json.ts'
import { isStruct } from '../worker/api/values.ts'
import { rawMember } from './change-event.ts'
import { setMember } from './record-part.ts'
import { misfit } from './value-fits.ts'

export interface JsonPayloadRules {
  /** A null member is left out, or an optional BYTES field. */
  readonly nulls: 'ignore' | 'optional_bytes'
  /** An empty array is left out, or an optional array of strings. */
  readonly emptyArrays: 'ignore' | 'optional_string'
  /** Name of the outermost struct, before the dotted path of each inner one; null for none. */
  readonly root: string | null
}

const int32Max = 2 ** 31

/** A number that may begin with a zero too many. */
const leadingZero = /[:,[\s]-?0\d/

/**
 * Schema and value of a JSON object or array. Every field is optional; structs carry their dotted path as name. As in
 * Debezium, the text has to begin with it, and the elements of an array have one type: int32, int64 and double are not
 * widened to each other. Where the objects of an array differ, its element schema has the fields of all.
 * @throws DataError or SyntaxError for what is no such JSON
 */
export function expandJson(text: string, rules: JsonPayloadRules): { readonly schema: Schema; readonly value: Value } {
  // `parseJson` takes leading zeros for the sake of JsonConverter.
  if (leadingZero.test(text)) JSON.parse(text)
  const json = text.startsWith('{') || text.startsWith('[') ? parseJson(text) : null
  const schema = json === null ? null : schemaOf(json, rules.root, rules)
  if (json === null || schema === null) {
    throw new DataError('CONNECT_DATA_TYPE', 'The payload is no JSON object or array that a schema can describe')
  }
  const value = valueOf(json, schema)
  const wrong = misfit(schema, value, 'payload')
  if (wrong !== null) throw new DataError('CONNECT_DATA_TYPE', `The payload fits no schema: ${wrong}`)
  return { schema, value }
}

/** Null for what gets no field: nulls and empty arrays, as the rules say. */
function schemaOf(value: Value, path: string | null, rules: JsonPayloadRules): Schema | null {
  if (value === null) return rules.nulls === 'optional_bytes' ? Schemas.optionalBytes : null
  if (typeof value === 'string') return Schemas.optionalString
  if (typeof value === 'boolean') return Schemas.optionalBoolean
  if (Array.isArray(value)) return arraySchema(value as readonly Value[], path, rules)
  return isStruct(value) ? structSchema(value, path, rules) : numberSchema(value)
}

function numberSchema(value: Value): Schema {
  if (typeof value === 'bigint') return Schemas.optionalInt64
  if (typeof value !== 'number' || !Number.isInteger(value)) return Schemas.optionalFloat64
  return value >= -int32Max && value < int32Max ? Schemas.optionalInt32 : Schemas.optionalInt64
}

function arraySchema(elements: readonly Value[], path: string | null, rules: JsonPayloadRules): Schema | null {
  if (elements.length === 0) {
    if (rules.emptyArrays === 'ignore') return null
    return makeSchema({ type: 'ARRAY', optional: true, valueSchema: Schemas.optionalString })
  }
  const known = elements.filter((element) => element !== null)
  const [first = null] = known
  const kind = kindOf(first)
  if (known.some((element) => kindOf(element) !== kind)) {
    throw new DataError('CONNECT_DATA_TYPE', `The elements of the array ${path ?? ''} have different types`)
  }
  // Of elements that are no objects the first one speaks for all; whether they fit it is seen from the value.
  const element =
    kind === 'object' ? mergedSchema(known as readonly Struct[], path, rules) : schemaOf(first, null, rules)
  if (element === null) {
    throw new DataError('CONNECT_DATA_TYPE', `The elements of the array ${path ?? ''} have no type`)
  }
  return makeSchema({ type: 'ARRAY', optional: true, valueSchema: element })
}

function kindOf(value: Value): string | Schema {
  if (value === null) return 'null'
  if (typeof value === 'string' || typeof value === 'boolean') return typeof value
  if (Array.isArray(value)) return 'array'
  return isStruct(value) ? 'object' : numberSchema(value)
}

function mergedSchema(structs: readonly Struct[], path: string | null, rules: JsonPayloadRules): Schema {
  return structs.map((struct) => structSchema(struct, path, rules)).reduce(merge)
}

/** The fields of both; null and empty values give way to others. Structs that differ are required, as in Debezium. */
function merge(a: Schema, b: Schema): Schema {
  if (schemaEquals(a, b)) return a
  if (a.type === 'ARRAY' && b.type === 'ARRAY' && a.valueSchema !== null && b.valueSchema !== null) {
    return makeSchema({ type: 'ARRAY', optional: true, valueSchema: merge(a.valueSchema, b.valueSchema) })
  }
  if (a.type !== 'STRUCT' || b.type !== 'STRUCT') return a.type === 'BYTES' ? b : a
  const fields = new Map<string, Schema>(a.fields.map(({ name, schema }) => [name, schema]))
  for (const { name, schema } of b.fields) {
    const known = fields.get(name)
    fields.set(name, known === undefined ? schema : merge(known, schema))
  }
  return makeSchema({ type: 'STRUCT', name: a.name, fields: [...fields].map(([name, schema]) => ({ name, schema })) })
}

function structSchema(struct: Struct, path: string | null, rules: JsonPayloadRules): Schema {
  const fields = Object.keys(struct).flatMap((name) => {
    const inner = path === null || path.trim() === '' ? name : `${path}.${name}`
    const schema = schemaOf(rawMember(struct, name), inner, rules)
    if (schema === null) return []
    if (name === '') throw new DataError('CONNECT_DATA_SCHEMA', 'A member of the payload has an empty name')
    return [{ name, schema }]
  })
  return makeSchema({ type: 'STRUCT', name: path, optional: true, fields })
}

/** What does not fit stays as it is, for `misfit` to tell. */
function valueOf(value: Value, schema: Schema): Value {
  if (value instanceof Float64) return value.value
  if (typeof value === 'number') return schema.type === 'INT64' ? BigInt(value) : value
  const { valueSchema } = schema
  if (Array.isArray(value) && valueSchema !== null) {
    return (value as readonly Value[]).map((element) => valueOf(element, valueSchema))
  }
  if (!isStruct(value) || schema.type !== 'STRUCT') return value
  const result: Record<string, Value> = {}
  for (const field of schema.fields) setMember(result, field.name, valueOf(rawMember(value, field.name), field.schema))
  return result
}
