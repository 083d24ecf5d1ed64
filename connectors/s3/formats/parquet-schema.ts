import type { SchemaElement } from 'hyparquet-writer'
import { Decimal, Float64, LogicalName, type Schema, type Struct, type Value } from '../../../worker/api/data.ts'
import { isStruct } from '../../../worker/api/values.ts'
import { mismatch } from './mismatch.ts'

/** A value as hyparquet-writer takes it. */
export type ParquetValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly ParquetValue[]
  | { readonly [name: string]: ParquetValue }

/** What a converter tells about the values that it has converted. */
export interface Cost {
  /** Memory, an estimate. */
  bytes: number
  /** Whether -0 was among them, which a dictionary takes for 0. */
  negativeZero: boolean
}

/** Checks a value against its schema and converts it. @throws DataError CONNECT_S3_VALUE_MISMATCH */
type Convert = (value: Value, cost: Cost) => ParquetValue

/** A field of the file: its part of the schema tree in depth-first order, and how its values are converted. */
export interface ParquetColumn {
  readonly name: string
  readonly elements: readonly SchemaElement[]
  readonly convert: Convert
}

/**
 * The columns of a STRUCT. Types are those that the Java connector arrives at by way of Avro: 8 and 16 bit integers
 * widen to INT32, decimals are BYTE_ARRAY, times are in ms. Lists have the three levels of the Parquet specification,
 * which hold null elements, too; maps keep the type of their keys.
 * @throws DataError for a struct without fields, which Parquet cannot hold
 */
export function parquetColumns(schema: Schema): readonly ParquetColumn[] {
  if (schema.fields.length === 0) throw mismatch(schema, 'no fields: Parquet has no empty structs')
  return schema.fields.map((field) => parquetColumn(field.name, field.schema))
}

/** @throws DataError as `parquetColumns` */
export function parquetColumn(name: string, schema: Schema): ParquetColumn {
  const { elements, convert } = typeOf(name, schema)
  const [root, ...rest] = elements
  const repetition_type = schema.optional ? 'OPTIONAL' : 'REQUIRED'
  return { name, elements: [{ ...root, name, repetition_type }, ...rest], convert: orNull(schema, convert) }
}

/** Null takes the default; a field without one must be optional. */
function orNull(schema: Schema, convert: Convert): Convert {
  const { optional, defaultValue } = schema
  return (value, cost) => {
    if (value !== null) return convert(value, cost)
    if (defaultValue !== null) return convert(defaultValue, cost)
    if (!optional) throw mismatch(schema, 'null for a required field without a default')
    cost.bytes += 8
    return null
  }
}

type ParquetType = Omit<ParquetColumn, 'name'>

function typeOf(name: string, schema: Schema): ParquetType {
  switch (schema.type) {
    case 'INT8':
      return leaf({ name, type: 'INT32' }, integer(schema, 8))
    case 'INT16':
      return leaf({ name, type: 'INT32' }, integer(schema, 16))
    case 'INT32':
      return int32(name, schema)
    case 'INT64':
      return int64(name, schema)
    case 'FLOAT32':
      return leaf({ name, type: 'FLOAT' }, float(schema))
    case 'FLOAT64':
      return leaf({ name, type: 'DOUBLE' }, float(schema))
    case 'BOOLEAN':
      return leaf({ name, type: 'BOOLEAN' }, (value, cost) => {
        if (typeof value !== 'boolean') throw mismatch(schema, typeof value)
        cost.bytes += 8
        return value
      })
    case 'STRING':
      return leaf(
        { name, type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } },
        (value, cost) => {
          if (typeof value !== 'string') throw mismatch(schema, typeof value)
          cost.bytes += 24 + value.length
          return value
        },
      )
    case 'BYTES':
      return schema.name === LogicalName.decimal ? decimal(name, schema) : bytes(name, schema)
    case 'ARRAY':
      return list(name, schema)
    case 'MAP':
      return map(name, schema)
    case 'STRUCT':
      return group(name, schema)
  }
}

const leaf = (element: SchemaElement, convert: Convert): ParquetType => ({ elements: [element], convert })

function integer(schema: Schema, bits: number): Convert {
  const limit = 2 ** (bits - 1)
  return (value, cost) => {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < -limit || value >= limit) {
      throw mismatch(schema, typeof value === 'number' ? 'a number out of its range' : typeof value)
    }
    cost.bytes += 8
    return value
  }
}

const dayMs = 86_400_000

function int32(name: string, schema: Schema): ParquetType {
  const plain = integer(schema, 32)
  switch (schema.name) {
    case LogicalName.date:
      return leaf({ name, type: 'INT32', converted_type: 'DATE', logical_type: { type: 'DATE' } }, (value, cost) =>
        plain(value instanceof Date ? Math.floor(value.getTime() / dayMs) : value, cost),
      )
    case LogicalName.time: {
      const logical_type = { type: 'TIME', isAdjustedToUTC: true, unit: 'MILLIS' } as const
      return leaf({ name, type: 'INT32', converted_type: 'TIME_MILLIS', logical_type }, (value, cost) =>
        plain(value instanceof Date ? value.getTime() : value, cost),
      )
    }
    default:
      return leaf({ name, type: 'INT32' }, plain)
  }
}

function int64(name: string, schema: Schema): ParquetType {
  const plain: Convert = (value, cost) => {
    cost.bytes += 24
    if (typeof value === 'bigint' && BigInt.asIntN(64, value) === value) return value
    if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value)
    throw mismatch(schema, typeof value === 'bigint' ? 'an integer beyond 64 bits' : typeof value)
  }
  if (schema.name !== LogicalName.timestamp) return leaf({ name, type: 'INT64' }, plain)
  const logical_type = { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' } as const
  return leaf({ name, type: 'INT64', converted_type: 'TIMESTAMP_MILLIS', logical_type }, (value, cost) =>
    plain(value instanceof Date ? BigInt(value.getTime()) : value, cost),
  )
}

function float(schema: Schema): Convert {
  return (value, cost) => {
    cost.bytes += 16
    const number = value instanceof Float64 ? value.value : value
    if (typeof number !== 'number') throw mismatch(schema, typeof value)
    if (Object.is(number, -0)) cost.negativeZero = true
    return number
  }
}

function bytes(name: string, schema: Schema): ParquetType {
  return leaf({ name, type: 'BYTE_ARRAY' }, (value, cost) => {
    if (!(value instanceof Uint8Array)) throw mismatch(schema, typeof value)
    cost.bytes += 100 + value.length
    // The record's bytes may be a view of a much larger fetch.
    return Uint8Array.from(value)
  })
}

/** Digits where the schema does not tell: what Redshift, Athena and Spark read. */
const defaultPrecision = 38
const precisionParameter = 'connect.decimal.precision'

function decimal(name: string, schema: Schema): ParquetType {
  const scale = Number(schema.parameters?.get('scale') ?? 0)
  const precision = Number(schema.parameters?.get(precisionParameter) ?? Math.max(defaultPrecision, scale))
  if (scale < 0) throw mismatch(schema, `scale ${scale}: Parquet has none below 0`)
  const limit = 10n ** BigInt(precision)
  const logical_type = { type: 'DECIMAL', precision, scale } as const
  return leaf(
    { name, type: 'BYTE_ARRAY', converted_type: 'DECIMAL', precision, scale, logical_type },
    (value, cost) => {
      if (!(value instanceof Decimal) || value.scale !== scale) throw mismatch(schema, 'no decimal of its scale')
      const { unscaled } = value
      if (unscaled >= limit || unscaled <= -limit) {
        throw mismatch(schema, `a decimal of more than ${precision} digits (raise the parameter ${precisionParameter})`)
      }
      cost.bytes += 32
      return unscaled
    },
  )
}

function list(name: string, schema: Schema): ParquetType {
  const element = parquetColumn('element', partOf(schema, schema.valueSchema))
  return {
    elements: [
      { name, num_children: 1, converted_type: 'LIST', logical_type: { type: 'LIST' } },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      ...element.elements,
    ],
    convert(value, cost) {
      if (!Array.isArray(value)) throw mismatch(schema, typeof value)
      const items = value as readonly Value[]
      cost.bytes += 32 + items.length * 8
      return items.map((item) => element.convert(item, cost))
    },
  }
}

function map(name: string, schema: Schema): ParquetType {
  const key = parquetColumn('key', partOf(schema, schema.keySchema))
  const item = parquetColumn('value', partOf(schema, schema.valueSchema))
  if (schema.keySchema?.optional === true) throw mismatch(schema, 'optional keys: Parquet needs keys that are not null')
  return {
    elements: [
      { name, num_children: 1, converted_type: 'MAP', logical_type: { type: 'MAP' } },
      { name: 'key_value', repetition_type: 'REPEATED', num_children: 2 },
      ...key.elements,
      ...item.elements,
    ],
    convert(value, cost) {
      if (!(value instanceof Map)) throw mismatch(schema, typeof value)
      const entries = value as ReadonlyMap<Value, Value>
      cost.bytes += 32 + entries.size * 64
      return Array.from(entries, ([k, v]) => ({ key: key.convert(k, cost), value: item.convert(v, cost) }))
    },
  }
}

function group(name: string, schema: Schema): ParquetType {
  const columns = parquetColumns(schema)
  return {
    elements: [{ name, num_children: columns.length }, ...columns.flatMap((column) => column.elements)],
    convert(value, cost) {
      if (!isStruct(value)) throw mismatch(schema, typeof value)
      cost.bytes += 56
      return convertStruct(columns, value, cost)
    },
  }
}

function convertStruct(columns: readonly ParquetColumn[], struct: Struct, cost: Cost) {
  const converted: Record<string, ParquetValue> = {}
  for (const { name, convert } of columns) {
    const value = convert(struct[name] ?? null, cost)
    if (name === '__proto__') Object.defineProperty(converted, name, { value, enumerable: true })
    else converted[name] = value
  }
  return converted
}

function partOf(schema: Schema, part: Schema | null): Schema {
  if (part === null) throw mismatch(schema, 'no schema of its elements')
  return part
}
