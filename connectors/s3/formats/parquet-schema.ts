import type { SchemaElement } from 'hyparquet-writer'
import { avroEnumParameter } from '../../../worker/api/avro-schema.ts'
import { isAvroUnion } from '../../../worker/api/avro-unions.ts'
import {
  copySchema,
  Decimal,
  Float64,
  LogicalName,
  type Schema,
  type Struct,
  type Value,
} from '../../../worker/api/data.ts'
import { inHashOrder } from '../../../worker/api/java-hash.ts'
import { enumerationOf } from '../../../worker/api/sum-types.ts'
import { isStruct, twosComplement } from '../../../worker/api/values.ts'
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
  /** As values are cut into levels: lists have the three levels of the Parquet specification. */
  readonly elements: readonly SchemaElement[]
  /** As the file tells it. A list of two levels has the levels of repetition and definition of one of three. */
  readonly stored: readonly SchemaElement[]
  readonly convert: Convert
}

/** How Connect's types become those of Parquet, by way of Avro. */
export interface ParquetTypeOptions {
  /** `enhanced.avro.schema.support`: enumerations are such in the file. */
  readonly enhanced: boolean
  /** `allow.optional.map.keys`: maps with optional text as keys are maps, not lists of entries. */
  readonly optionalMapKeys: boolean
  /** Lists are `repeated <element> array`, without a level for elements that may be null. */
  readonly twoLevelLists: boolean
}

/**
 * Whether a list in the schema may hold nulls: then all lists of the file have three levels, else two, as in the Java
 * connector (`parquet.avro.write-old-list-structure`).
 */
export function holdsOptionalItems({ type, fields, valueSchema }: Schema): boolean {
  if (type === 'STRUCT') return fields.some((field) => holdsOptionalItems(field.schema))
  if (valueSchema === null) return false
  return (type === 'ARRAY' && valueSchema.optional) || holdsOptionalItems(valueSchema)
}

/**
 * Compiles fields to columns. Types are those that the Java connector arrives at by way of Avro: 8 and 16 bit integers
 * widen to INT32, decimals are BYTE_ARRAY, times are in ms, maps whose keys are not text are lists of entries.
 */
export class ParquetTypes {
  readonly #options: ParquetTypeOptions

  constructor(options: ParquetTypeOptions) {
    this.#options = options
  }

  /** The columns of a STRUCT. @throws DataError for a struct without fields, which Parquet cannot hold */
  columns(schema: Schema): readonly ParquetColumn[] {
    if (schema.fields.length === 0) throw mismatch(schema, 'no fields: Parquet has no empty structs')
    return schema.fields.map((field) => this.column(field.name, field.schema))
  }

  /** @throws DataError as `columns` */
  column(name: string, schema: Schema): ParquetColumn {
    const { elements, stored, convert } = this.#typeOf(name, schema)
    const repetition = schema.optional ? 'OPTIONAL' : 'REQUIRED'
    return {
      name,
      elements: renamed(elements, name, repetition),
      stored: renamed(stored, name, repetition),
      convert: orNull(schema, convert),
    }
  }

  #typeOf(name: string, schema: Schema): ParquetType {
    switch (schema.type) {
      case 'STRING':
        return this.#text(name, schema)
      case 'ARRAY':
        return this.#list(name, this.column('element', partOf(schema, schema.valueSchema)), {
          cost: 8,
          items: (value) => {
            if (!Array.isArray(value)) throw mismatch(schema, typeof value)
            return value as readonly Value[]
          },
        })
      case 'MAP':
        return this.#map(name, schema)
      case 'STRUCT':
        return isAvroUnion(schema) ? this.#union(name, schema) : group(name, schema, this.columns(schema))
      default:
        return primitive(name, schema)
    }
  }

  #text(name: string, schema: Schema): ParquetType {
    const isEnum = this.#options.enhanced && enumerationOf(schema, avroEnumParameter) !== null
    const element: SchemaElement = isEnum
      ? { name, type: 'BYTE_ARRAY', converted_type: 'ENUM', logical_type: { type: 'ENUM' } }
      : { name, type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } }
    return leaf(element, (value, cost) => {
      if (typeof value !== 'string') throw mismatch(schema, typeof value)
      cost.bytes += 24 + value.length
      return value
    })
  }

  #list(name: string, element: ParquetColumn, { cost: itemCost, items }: ListSource): ParquetType {
    const wrapper: SchemaElement = { name, num_children: 1, converted_type: 'LIST', logical_type: { type: 'LIST' } }
    const list: SchemaElement = { name: 'list', repetition_type: 'REPEATED', num_children: 1 }
    return {
      elements: [wrapper, list, ...element.elements],
      stored: this.#options.twoLevelLists
        ? [wrapper, ...renamed(element.stored, 'array', 'REPEATED')]
        : [wrapper, list, ...element.stored],
      convert(value, cost) {
        const found = items(value)
        cost.bytes += 32 + found.length * itemCost
        return found.map((item) => element.convert(item, cost))
      },
    }
  }

  #map(name: string, schema: Schema): ParquetType {
    const keySchema = partOf(schema, schema.keySchema)
    const valueSchema = partOf(schema, schema.valueSchema)
    const entriesOf = (value: Value) => {
      if (!(value instanceof Map)) throw mismatch(schema, typeof value)
      return inHashOrder([...(value as ReadonlyMap<Value, Value>)])
    }
    const isText = keySchema.type === 'STRING' && (!keySchema.optional || this.#options.optionalMapKeys)
    if (!isText) {
      const entry = group('element', schema, [this.column('key', keySchema), this.column('value', valueSchema)])
      const element = { ...entry, name: 'element', ...required(entry) }
      return this.#list(name, element, {
        cost: 64,
        items: (value) => entriesOf(value).map(([key, item]) => ({ key, value: item })),
      })
    }
    const key = this.column('key', copySchema(keySchema, { optional: false }))
    const item = this.column('value', valueSchema)
    const head: readonly SchemaElement[] = [
      { name, num_children: 1, converted_type: 'MAP', logical_type: { type: 'MAP' } },
      { name: 'key_value', repetition_type: 'REPEATED', num_children: 2, converted_type: 'MAP_KEY_VALUE' },
    ]
    return {
      elements: [...head, ...key.elements, ...item.elements],
      stored: [...head, ...key.stored, ...item.stored],
      convert(value, cost) {
        const entries = entriesOf(value)
        cost.bytes += 32 + entries.length * 64
        return entries.map(([k, v]) => ({ key: key.convert(k, cost), value: item.convert(v, cost) }))
      },
    }
  }

  /** A group of which one member is set; a single branch that may be null needs no group. */
  #union(name: string, schema: Schema): ParquetType {
    const branches = schema.fields.map((field, i) => ({
      field: field.name,
      column: this.column(`member${i}`, copySchema(field.schema, { optional: true, defaultValue: null })),
    }))
    const [only] = branches
    if (only === undefined) throw mismatch(schema, 'no branches')
    const { elements, stored } = group(
      name,
      schema,
      branches.map(({ column }) => column),
    )
    const isPlain = schema.optional && branches.length === 1
    return {
      elements: isPlain ? only.column.elements : elements,
      stored: isPlain ? only.column.stored : stored,
      convert(value, cost) {
        if (!isStruct(value)) throw mismatch(schema, typeof value)
        cost.bytes += 56
        const set = branches.find(({ field }) => (value[field] ?? null) !== null)
        if (set === undefined) throw mismatch(schema, 'no branch that is set')
        if (isPlain) return only.column.convert(value[only.field] ?? null, cost)
        const members = branches.map(({ field, column }) => {
          return [column.name, column === set.column ? column.convert(value[field] ?? null, cost) : null] as const
        })
        return Object.fromEntries(members)
      },
    }
  }
}

/** Where the items of a list come from, and about what memory each takes beside its own. */
interface ListSource {
  readonly cost: number
  /** @throws DataError */
  items(value: Value): readonly Value[]
}

/** The tree with another name and repetition at its root. */
function renamed(
  [root, ...rest]: readonly SchemaElement[],
  name: string,
  repetition: 'OPTIONAL' | 'REPEATED' | 'REQUIRED',
): readonly SchemaElement[] {
  return [{ ...root, name, repetition_type: repetition }, ...rest]
}

const required = ({ elements, stored }: ParquetType) => ({
  elements: renamed(elements, 'element', 'REQUIRED'),
  stored: renamed(stored, 'element', 'REQUIRED'),
})

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

function primitive(name: string, schema: Schema): ParquetType {
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
    default:
      return schema.name === LogicalName.decimal ? decimal(name, schema) : bytes(name, schema)
  }
}

const leaf = (element: SchemaElement, convert: Convert): ParquetType => ({
  elements: [element],
  stored: [element],
  convert,
})

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
  const fixed = schema.name === null ? undefined : schema.parameters?.get('connect.fixed.size')
  const element: SchemaElement =
    fixed === undefined
      ? { name, type: 'BYTE_ARRAY' }
      : { name, type: 'FIXED_LEN_BYTE_ARRAY', type_length: Number(fixed) }
  return leaf(element, (value, cost) => {
    if (!(value instanceof Uint8Array)) throw mismatch(schema, typeof value)
    if (fixed !== undefined && value.length !== Number(fixed)) throw mismatch(schema, `not ${fixed} bytes`)
    cost.bytes += 100 + value.length
    // The record's bytes may be a view of a much larger fetch.
    return Uint8Array.from(value)
  })
}

/** Digits where the schema does not tell, as in `AvroData`. Redshift, Athena and Spark read no more than 38. */
const defaultPrecision = 64
const precisionParameter = 'connect.decimal.precision'

function decimal(name: string, schema: Schema): ParquetType {
  const scale = Number(schema.parameters?.get('scale') ?? 0)
  const precision = Number(schema.parameters?.get(precisionParameter) ?? Math.max(defaultPrecision, scale))
  const unscaledOf = (value: Value): bigint => {
    if (!(value instanceof Decimal) || value.scale !== scale) throw mismatch(schema, 'no decimal of its scale')
    return value.unscaled
  }
  // Avro has no decimals of a scale below 0: the Java connector leaves their bytes without a type.
  if (scale < 0) {
    return leaf({ name, type: 'BYTE_ARRAY' }, (value, cost) => {
      cost.bytes += 100
      return twosComplement(unscaledOf(value))
    })
  }
  const limit = 10n ** BigInt(precision)
  const logical_type = { type: 'DECIMAL', precision, scale } as const
  return leaf(
    { name, type: 'BYTE_ARRAY', converted_type: 'DECIMAL', precision, scale, logical_type },
    (value, cost) => {
      const unscaled = unscaledOf(value)
      if (unscaled >= limit || unscaled <= -limit) {
        throw mismatch(schema, `a decimal of more than ${precision} digits (raise the parameter ${precisionParameter})`)
      }
      cost.bytes += 32
      return unscaled
    },
  )
}

function group(name: string, schema: Schema, columns: readonly ParquetColumn[]): ParquetType {
  const root: SchemaElement = { name, num_children: columns.length }
  return {
    elements: [root, ...columns.flatMap(({ elements }) => elements)],
    stored: [root, ...columns.flatMap(({ stored }) => stored)],
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
