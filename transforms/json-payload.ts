/** JSON text → schema and value, by Debezium's rules for outbox payloads. */
import { Float64, makeSchema, type Schema, Schemas, type Struct, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { parseJson } from '../worker/api/json.ts'
import { isStruct } from '../worker/api/values.ts'
import { rawMember } from './change-event.ts'
import { setMember } from './record-part.ts'

export interface JsonPayloadRules {
  /** A null member is left out, or an optional BYTES field. */
  readonly nulls: 'ignore' | 'optional_bytes'
  /** An empty array is left out, or an optional array of strings. */
  readonly emptyArrays: 'ignore' | 'optional_string'
  /** Name of the outermost struct, before the dotted path of each inner one; null for none. */
  readonly root: string | null
}

const int32Max = 2 ** 31

/**
 * Schema and value of a JSON object or array. Every field is optional; structs carry their dotted path as name.
 * @throws DataError or SyntaxError for what is no JSON object or array, or has arrays of mixed types
 */
export function expandJson(text: string, rules: JsonPayloadRules): { readonly schema: Schema; readonly value: Value } {
  const json = /^\s*[[{]/.test(text) ? parseJson(text) : null
  const schema = json === null ? null : schemaOf([json], rules.root, rules)
  if (json === null || schema === null) {
    throw new DataError('CONNECT_DATA_TYPE', 'The payload is no JSON object or array that a schema can describe')
  }
  return { schema, value: valueOf(json, schema) }
}

/** One schema for all samples, null members apart; null when nothing is known about the type. */
function schemaOf(samples: readonly Value[], path: string | null, rules: JsonPayloadRules): Schema | null {
  const known = samples.filter((sample) => sample !== null)
  const [first] = known
  if (first === undefined) return rules.nulls === 'optional_bytes' ? Schemas.optionalBytes : null
  if (known.every((sample) => Array.isArray(sample))) return arraySchema(known as readonly Value[][], path, rules)
  if (known.every(isStruct)) return structSchema(known, path, rules)
  const types = new Set(known.map(scalarSchema))
  if (types.has(Schemas.optionalInt64)) types.delete(Schemas.optionalInt32)
  const [schema] = types
  if (types.size === 1 && schema !== undefined && schema !== null) return schema
  throw new DataError('CONNECT_DATA_TYPE', `The elements of ${path ?? 'the array'} have different types`)
}

function scalarSchema(value: Value): Schema | null {
  if (typeof value === 'string') return Schemas.optionalString
  if (typeof value === 'boolean') return Schemas.optionalBoolean
  if (typeof value === 'bigint') return Schemas.optionalInt64
  if (value instanceof Float64) return Schemas.optionalFloat64
  if (typeof value !== 'number') return null
  if (!Number.isInteger(value)) return Schemas.optionalFloat64
  return value >= -int32Max && value < int32Max ? Schemas.optionalInt32 : Schemas.optionalInt64
}

function arraySchema(
  arrays: readonly (readonly Value[])[],
  path: string | null,
  rules: JsonPayloadRules,
): Schema | null {
  const elements = arrays.flat()
  if (elements.length === 0) {
    if (rules.emptyArrays === 'ignore') return null
    return makeSchema({ type: 'ARRAY', optional: true, valueSchema: Schemas.optionalString })
  }
  const element = schemaOf(elements, path, rules)
  return element === null ? null : makeSchema({ type: 'ARRAY', optional: true, valueSchema: element })
}

function structSchema(structs: readonly Struct[], path: string | null, rules: JsonPayloadRules): Schema {
  const names = new Set(structs.flatMap((struct) => Object.keys(struct)))
  const fields = [...names].flatMap((name) => {
    const samples = structs.map((struct) => rawMember(struct, name))
    const schema = schemaOf(samples, path === null ? name : `${path}.${name}`, rules)
    return schema === null ? [] : [{ name, schema }]
  })
  return makeSchema({ type: 'STRUCT', name: path, optional: true, fields })
}

function valueOf(value: Value, schema: Schema): Value {
  if (value === null) return null
  const { valueSchema } = schema
  if (Array.isArray(value)) {
    return valueSchema === null ? [] : (value as readonly Value[]).map((element) => valueOf(element, valueSchema))
  }
  if (isStruct(value)) {
    const result: Record<string, Value> = {}
    for (const field of schema.fields)
      setMember(result, field.name, valueOf(rawMember(value, field.name), field.schema))
    return result
  }
  if (value instanceof Float64) return value.value
  return schema.type === 'INT64' && typeof value === 'number' ? BigInt(value) : value
}
