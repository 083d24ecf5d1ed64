/** Defaults of Connect schemas in the JSON of Avro schemas. */
import { isAvroUnion } from './avro-unions.ts'
import { Decimal, Float64, LogicalName, type Schema, type Value } from './data.ts'
import { inHashOrder } from './java-hash.ts'
import { javaFloat } from './json.ts'
import { twosComplement } from './values.ts'

/** Days of a Date, milliseconds of a Time. */
export function epochOf(schema: Schema, date: Date): number {
  return schema.name === LogicalName.date ? Math.floor(date.getTime() / 86_400_000) : date.getTime()
}

/**
 * Whether a map is one in Avro, too; else it is an array of entries.
 * @param optionalMapKeys `allow.optional.map.keys`
 */
export function isAvroMap({ keySchema }: Schema, optionalMapKeys: boolean): boolean {
  return keySchema?.type === 'STRING' && (!keySchema.optional || optionalMapKeys)
}

/** Whether Avro's JSON can express a default: numbers are finite, members of unions are of their first branch. */
export function isAvroDefault(schema: Schema, value: Value, optionalMapKeys: boolean): boolean {
  const { valueSchema } = schema
  const isMember = (part: Schema, item: Value) => isAvroMember(part, item, optionalMapKeys)
  switch (schema.type) {
    case 'FLOAT32':
    case 'FLOAT64':
      return Number.isFinite(value)
    case 'ARRAY':
      return (value as readonly Value[]).every((item) => valueSchema !== null && isMember(valueSchema, item))
    case 'MAP': {
      const items = [...(value as ReadonlyMap<Value, Value>).values()]
      // `AvroData` writes entries as pairs, which are no defaults of the records that entries are.
      if (!isAvroMap(schema, optionalMapKeys)) return items.length === 0
      return items.every((item) => valueSchema !== null && isMember(valueSchema, item))
    }
    case 'STRUCT': {
      const struct = value as { readonly [name: string]: Value }
      return !isAvroUnion(schema) && schema.fields.every((f) => isMember(f.schema, struct[f.name] ?? null))
    }
    default:
      return true
  }
}

function isAvroMember(schema: Schema, value: Value, optionalMapKeys: boolean): boolean {
  const isDefault = value !== null && isAvroDefault(schema, value, optionalMapKeys)
  if (!schema.optional) return isDefault
  const nullFirst = schema.defaultValue === null || schema.type === 'STRUCT'
  return nullFirst ? value === null : isDefault
}

/** The value of `connect.default`: as `defaultJson`, with floats in the digits of their type. */
export function connectDefaultJson(schema: Schema, value: Value, optionalMapKeys: boolean): Value {
  const { type } = schema
  if (type === 'FLOAT32' && typeof value === 'number' && Number.isFinite(value)) {
    return new Float64(Number(javaFloat(value)))
  }
  return type === 'FLOAT64' && typeof value === 'number'
    ? new Float64(value)
    : toJson(schema, value, { partOf: connectDefaultJson, optionalMapKeys })
}

/** A default as Avro's JSON: bytes as text of one character per byte. */
export function defaultJson(schema: Schema, value: Value, optionalMapKeys: boolean): Value {
  const isFloat = schema.type === 'FLOAT32' || schema.type === 'FLOAT64'
  if (isFloat && typeof value === 'number') return new Float64(value)
  return toJson(schema, value, { partOf: defaultJson, optionalMapKeys })
}

interface DefaultText {
  readonly partOf: typeof defaultJson
  readonly optionalMapKeys: boolean
}

function toJson(schema: Schema, value: Value, text: DefaultText): Value {
  const partOf = (part: Schema, item: Value) => text.partOf(part, item, text.optionalMapKeys)
  if (value === null) return null
  if (value instanceof Decimal) return Buffer.from(twosComplement(value.unscaled)).toString('latin1')
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1')
  if (value instanceof Date) return schema.type === 'INT32' ? epochOf(schema, value) : value.getTime()
  const { valueSchema, keySchema } = schema
  if (Array.isArray(value) && valueSchema !== null) {
    return (value as readonly Value[]).map((item) => partOf(valueSchema, item))
  }
  if (value instanceof Map && valueSchema !== null && keySchema !== null) {
    const entries = [...(value as ReadonlyMap<Value, Value>)]
    return isAvroMap(schema, text.optionalMapKeys)
      ? Object.fromEntries(inHashOrder(entries).map(([k, v]) => [String(k), partOf(valueSchema, v)]))
      : inHashOrder(entries).map(([k, v]) => [partOf(keySchema, k), partOf(valueSchema, v)])
  }
  if (schema.type !== 'STRUCT' || typeof value !== 'object') return value
  const struct = value as { readonly [name: string]: Value }
  return Object.fromEntries(schema.fields.map((f) => [f.name, partOf(f.schema, struct[f.name] ?? null)]))
}
