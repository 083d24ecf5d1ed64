import type { Schema, Value } from '../../worker/api/data.ts'
import { DataError } from '../../worker/api/errors.ts'
import { PlainJson } from '../../worker/api/plain-json.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import { plainMember } from './plain-member.ts'

export interface TypedValue {
  readonly schema: Schema | null
  readonly value: Value
}

/** A dotted path to a field of records' values. */
export class FieldPath {
  readonly #names: readonly string[]
  readonly #encoded: readonly Buffer[]

  constructor(dotted: string) {
    this.#names = dotted.split('.')
    this.#encoded = this.#names.map((name) => Buffer.from(name))
  }

  /** As `valueAt`; a value that is still in its bytes is not read for it. @throws DataError CONNECT_S3_PARTITION */
  read(record: SinkRecord): TypedValue {
    const { rawValue } = record
    const found = rawValue instanceof PlainJson ? plainMember(rawValue.bytes, this.#encoded) : undefined
    if (found !== undefined) return { schema: null, value: found }
    return valueAt(record.valueSchema, record.value, this.#names)
  }
}

/**
 * Follows a path into structs, maps and JSON objects. A null on the way gives null.
 * @throws DataError CONNECT_S3_PARTITION when a member does not exist, or something on the way has none
 */
export function valueAt(schema: Schema | null, value: Value, path: readonly string[]): TypedValue {
  let at: TypedValue = { schema, value }
  for (const name of path) {
    if (at.value === null) return { schema: null, value: null }
    at = member(at, name)
  }
  return at
}

function member({ schema, value }: TypedValue, name: string): TypedValue {
  if (schema?.type === 'STRUCT') {
    const field = schema.fieldsByName.get(name)
    if (field === undefined) throw missing(`Field '${name}' is not present in the schema.`)
    const found = (value as Readonly<Record<string, Value>>)[name] ?? null
    return { schema: field.schema, value: found === null ? field.schema.defaultValue : found }
  }
  if (value instanceof Map) {
    const map: ReadonlyMap<Value, Value> = value
    if (!map.has(name)) throw missing(`Field '${name}' is not present in the map.`)
    return { schema: schema?.valueSchema ?? null, value: map.get(name) ?? null }
  }
  if (schema === null && isJsonObject(value)) {
    if (!Object.hasOwn(value, name)) throw missing(`Field '${name}' is not present in the object.`)
    return { schema: null, value: value[name] ?? null }
  }
  throw missing(`Field '${name}' is looked for in a value that has no fields.`)
}

/** A JSON object of a record without a schema. */
export function isJsonObject(value: Value): value is Readonly<Record<string, Value>> {
  if (value === null || typeof value !== 'object') return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function missing(message: string): DataError {
  return new DataError('CONNECT_S3_PARTITION', message)
}
