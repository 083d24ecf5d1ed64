/** Values without a schema in Avro: the record by which Confluent's `AvroData` tells the type of each. */
import { AvroOutput } from './avro-output.ts'
import type { AvroType } from './avro-schema.ts'
import { Float64, type Value } from './data.ts'
import type { DataError } from './errors.ts'
import { inHashOrder } from './java-hash.ts'
import { stringifyJson } from './json.ts'

/** Fields of the record, of which one is set, or none for null. */
const scalars = ['boolean', 'bytes', 'double', 'float', 'int', 'long', 'string'] as const
const kinds = [...scalars, 'array', 'map'] as const
type Kind = (typeof kinds)[number]

const optional = (name: string, type: Value) => ({ name, type: ['null', type], default: null })
const entry = {
  type: 'record',
  name: 'MapEntry',
  fields: [
    { name: 'key', type: 'Anything' },
    { name: 'value', type: 'Anything' },
  ],
}
const anything = {
  type: 'record',
  name: 'Anything',
  namespace: 'io.confluent.connect.avro',
  fields: [
    ...scalars.map((name) => optional(name, name)),
    optional('array', { type: 'array', items: 'Anything' }),
    optional('map', { type: 'array', items: entry }),
  ],
}

/**
 * How values without a schema are written. Integers of JSON are longs, fractions doubles.
 * @param mismatch the error for a value that the record has no field for, such as an integer beyond 64 bits
 */
export function anythingType(mismatch: (found: string) => DataError): AvroType {
  const output = new AvroOutput()
  const write = (value: Value): void => {
    const kind = value === null ? null : kindOf(value)
    if (kind === undefined) throw mismatch(value instanceof Date ? 'a date' : typeof value)
    for (const name of kinds) {
      output.integer(name === kind ? 1 : 0)
      if (name === kind) writeKind(kind, value)
    }
  }
  const writeKind = (kind: Kind, value: Value): void => {
    if (kind === 'array') {
      const items = value as readonly Value[]
      if (items.length > 0) output.integer(items.length)
      for (const item of items) write(item)
      output.integer(0)
    } else if (kind === 'map') {
      const entries = entriesOf(value)
      if (entries.length > 0) output.integer(entries.length)
      for (const [key, item] of entries) {
        write(key)
        write(item)
      }
      output.integer(0)
    } else writeScalar(value)
  }
  const writeScalar = (value: Value): void => {
    if (typeof value === 'boolean') output.boolean(value)
    else if (typeof value === 'string') output.string(value)
    else if (typeof value === 'bigint') output.long(value)
    else if (value instanceof Uint8Array) output.bytes(value)
    else if (value instanceof Float64) output.double(value.value)
    else if (typeof value === 'number' && Number.isInteger(value)) output.integer(value)
    else output.double(Number(value))
  }
  return {
    text: stringifyJson(anything),
    write(value, out) {
      output.to(out)
      write(value)
    },
  }
}

/** Undefined for what the record has no field for. */
function kindOf(value: NonNullable<Value>): Kind | undefined {
  switch (typeof value) {
    case 'boolean':
    case 'string':
      return typeof value as 'boolean' | 'string'
    case 'bigint':
      return BigInt.asIntN(64, value) === value ? 'long' : undefined
    case 'number':
      return Number.isInteger(value) ? 'long' : 'double'
    default:
  }
  if (value instanceof Uint8Array) return 'bytes'
  if (value instanceof Float64) return 'double'
  if (Array.isArray(value)) return 'array'
  if (value instanceof Map || Object.getPrototypeOf(value) === Object.prototype) return 'map'
  return undefined
}

function entriesOf(value: Value): readonly (readonly [Value, Value])[] {
  return inHashOrder(
    value instanceof Map ? [...(value as ReadonlyMap<Value, Value>)] : Object.entries(value as Record<string, Value>),
  )
}
