import { Decimal, LogicalName, type Schema, type Struct, type Value } from '../worker/api/data.ts'
import { isStruct, javaClass } from '../worker/api/values.ts'

const integerBits: Readonly<Partial<Record<Schema['type'], number>>> = { INT8: 8, INT16: 16, INT32: 32 }

/**
 * What is wrong with a value as one of this schema, with the path of the member it is about; null when it fits.
 * @param path shown in the answer, e.g. `value`
 */
export function misfit(schema: Schema, value: Value | undefined, path: string): string | null {
  if (value === undefined) return `${path} is undefined; use null`
  if (value === null) {
    if (schema.optional || schema.defaultValue !== null) return null
    return `${path} is null, but its schema is not optional`
  }
  if (schema.name === LogicalName.decimal) return value instanceof Decimal ? null : wrong(path, value, 'Decimal')
  if (schema.name === LogicalName.date || schema.name === LogicalName.time || schema.name === LogicalName.timestamp) {
    return value instanceof Date && !Number.isNaN(value.getTime()) ? null : wrong(path, value, 'Date')
  }
  switch (schema.type) {
    case 'STRUCT':
      return isStruct(value) ? structMisfit(schema, value, path) : wrong(path, value, 'struct')
    case 'ARRAY':
      return Array.isArray(value) ? listMisfit(schema, value as readonly Value[], path) : wrong(path, value, 'array')
    case 'MAP':
      return value instanceof Map
        ? mapMisfit(schema, value as ReadonlyMap<Value, Value>, path)
        : wrong(path, value, 'Map')
    default:
      return isPrimitive(schema.type, value) ? null : wrong(path, value, expected[schema.type] ?? schema.type)
  }
}

const expected: Readonly<Partial<Record<Schema['type'], string>>> = {
  INT64: 'INT64 (a bigint such as 1n)',
  BYTES: 'BYTES (a Uint8Array)',
}

function wrong(path: string, value: Value, type: string): string {
  return `${path} is a value of ${javaClass(value)}, where the schema has ${type}`
}

function isPrimitive(type: Schema['type'], value: Exclude<Value, null>): boolean {
  switch (type) {
    case 'INT64':
      return typeof value === 'bigint' && BigInt.asIntN(64, value) === value
    case 'FLOAT32':
    case 'FLOAT64':
      return typeof value === 'number'
    case 'BOOLEAN':
      return typeof value === 'boolean'
    case 'STRING':
      return typeof value === 'string'
    case 'BYTES':
      return value instanceof Uint8Array
    default: {
      const limit = 2 ** ((integerBits[type] ?? 32) - 1)
      return typeof value === 'number' && Number.isInteger(value) && value >= -limit && value < limit
    }
  }
}

function structMisfit(schema: Schema, struct: Struct, path: string): string | null {
  for (const { name, schema: field } of schema.fields) {
    const found = misfit(field, Object.hasOwn(struct, name) ? struct[name] : null, `${path}.${name}`)
    if (found !== null) return found
  }
  // What the schema does not know would be lost in silence (I6).
  const extra = Object.keys(struct).find((name) => !schema.fieldsByName.has(name))
  return extra === undefined ? null : `${path}.${extra} is not in the schema; return a new schema with it`
}

function listMisfit(schema: Schema, list: readonly Value[], path: string): string | null {
  if (schema.valueSchema === null) return null
  for (let i = 0; i < list.length; i++) {
    const found = misfit(schema.valueSchema, list[i], `${path}[${i}]`)
    if (found !== null) return found
  }
  return null
}

function mapMisfit(schema: Schema, map: ReadonlyMap<Value, Value>, path: string): string | null {
  for (const [key, value] of map) {
    const found =
      (schema.keySchema === null ? null : misfit(schema.keySchema, key, `key of ${path}`)) ??
      (schema.valueSchema === null ? null : misfit(schema.valueSchema, value, `${path}[…]`))
    if (found !== null) return found
  }
  return null
}
