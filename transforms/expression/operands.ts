/** Connect data as an expression sees it: only what was put there, nothing of JavaScript's own objects. */
import { Decimal, Float64, type Schema, type Struct, type Value } from '../../worker/api/data.ts'
import { DataError } from '../../worker/api/errors.ts'
import { type ConnectRecord, lastHeader } from '../../worker/api/record.ts'

/** Something with members by name: a struct, a map, a schema, the headers. */
export interface Members {
  /** Undefined where there is none of that name. */
  member(name: string): Operand
}

export class ListOperand {
  readonly #items: readonly Value[] | Uint8Array
  readonly #schema: Schema | null

  constructor(items: readonly Value[] | Uint8Array, schema: Schema | null) {
    this.#items = items
    this.#schema = schema
  }

  get length(): number {
    return this.#items.length
  }

  at(index: number): Operand {
    const item = this.#items[index]
    return item === undefined ? undefined : operandOf(this.#schema, item)
  }
}

export type Operand = undefined | null | boolean | number | bigint | string | RegExp | Members | ListOperand

export function failure(message: string): DataError {
  return new DataError('CONNECT_TRANSFORM_EXPRESSION', message)
}

/** A bigint that a number holds exactly becomes one, so that there is one form per integer. */
export function normalized(value: bigint): number | bigint {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value
}

/**
 * A value of `schema` (null: none). INT64 is a number as far as that is exact, else a bigint; a Decimal is a number up
 * to 15 digits, else its text, which compares as a number; dates and times are milliseconds.
 */
export function operandOf(schema: Schema | null, value: Value): Operand {
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number')
    return value
  if (typeof value === 'bigint') return normalized(value)
  if (value instanceof Date) return value.getTime()
  if (value instanceof Float64) return value.value
  if (value instanceof Decimal) {
    const text = value.toString()
    return text.replace(/^[-0.]+/, '').replace('.', '').length <= 15 ? Number(text) : text
  }
  if (value instanceof Uint8Array) return new ListOperand(value, null)
  if (Array.isArray(value)) return new ListOperand(value as readonly Value[], schema?.valueSchema ?? null)
  if (value instanceof Map) return mapOperand(value as ReadonlyMap<Value, Value>, schema)
  return structOperand(value as Struct, schema)
}

function mapOperand(map: ReadonlyMap<Value, Value>, schema: Schema | null): Members {
  return {
    member: (name) => {
      if (name === 'size' && !map.has(name)) return map.size
      const value = map.get(name)
      return value === undefined ? undefined : operandOf(schema?.valueSchema ?? null, value)
    },
  }
}

/** Defaults stand in for nulls, as in Connect's `Struct.get`. */
function structOperand(struct: Struct, schema: Schema | null): Members {
  return {
    member: (name) => {
      const field = schema?.fieldsByName.get(name)
      if (field === undefined && !Object.hasOwn(struct, name)) return undefined
      const value = Object.hasOwn(struct, name) ? (struct[name] ?? null) : null
      return operandOf(field?.schema ?? null, value ?? field?.schema.defaultValue ?? null)
    },
  }
}

function schemaOperand(schema: Schema | null): Operand {
  if (schema === null) return null
  return {
    member: (name) => {
      switch (name) {
        case 'name':
        case 'version':
        case 'type':
        case 'optional':
        case 'doc':
          return schema[name]
        case 'fields':
          return new ListOperand(
            schema.fields.map((field) => field.name),
            null,
          )
        default:
          return undefined
      }
    },
  }
}

/** Names that an expression may use. */
export const recordNames = [
  'key',
  'value',
  'keySchema',
  'valueSchema',
  'topic',
  'header',
  'headers',
  'timestamp',
  'partition',
] as const

/** What a name stands for; undefined for others than `recordNames`. */
export function recordOperand(record: ConnectRecord, name: string): Operand {
  switch (name) {
    case 'key':
      return operandOf(record.keySchema, record.key)
    case 'value':
      return operandOf(record.valueSchema, record.value)
    case 'keySchema':
      return schemaOperand(record.keySchema)
    case 'valueSchema':
      return schemaOperand(record.valueSchema)
    case 'topic':
      return record.topic
    case 'timestamp':
      return record.timestamp
    case 'partition':
      return record.partition
    case 'header':
    case 'headers':
      return { member: (key) => headerOperand(record, key) }
    default:
      return undefined
  }
}

/** The last header of a name, with `value` and `schema`, as Debezium binds it. */
function headerOperand(record: ConnectRecord, key: string): Operand {
  const header = lastHeader(record.headers, key)
  if (header === null) return undefined
  return {
    member: (name) => {
      if (name === 'value') return operandOf(header.schema, header.value)
      return name === 'schema' ? schemaOperand(header.schema) : undefined
    },
  }
}
