/** How single values look in Connect's JSON, and what it refuses of them. */
import type { ByteWriter } from './converter.ts'
import { Decimal, Float64, type Value } from './data.ts'
import { DataError } from './errors.ts'
import { stringifyJson } from './json.ts'
import type { Write } from './json-plan.ts'
import { isStruct, javaClass } from './values.ts'

export const trueBytes = Buffer.from('true')
export const falseBytes = Buffer.from('false')
const dayMs = 86_400_000

/** JSON of a value without a schema, as `stringifyJson`. @throws DataError for what Connect has no schemaless form of */
export function writeSchemaless(value: Value, out: ByteWriter): void {
  refuseLogical(value)
  out.utf8(stringifyJson(value))
}

/** Without a schema nobody could tell a date or a decimal from a number when reading it. */
function refuseLogical(value: Value): void {
  if (value === null || typeof value !== 'object') return
  if (value instanceof Decimal || value instanceof Date) {
    const message = `Java class ${javaClass(value)} does not have corresponding schema type.`
    throw new DataError('CONNECT_DATA_TYPE', message)
  }
  if (Array.isArray(value)) for (const item of value as readonly Value[]) refuseLogical(item)
  else if (value instanceof Map) {
    for (const [key, item] of value as ReadonlyMap<Value, Value>) {
      refuseLogical(key)
      refuseLogical(item)
    }
  } else if (isStruct(value)) for (const key in value) refuseLogical(value[key] ?? null)
}

const integerBounds = { INT8: 0x7f, INT16: 0x7fff, INT32: 0x7fffffff } as const

export function integerWriter(type: keyof typeof integerBounds): Write {
  const max = integerBounds[type]
  return (value, out) => {
    if (typeof value !== 'number' || !Number.isInteger(value)) throw invalidType(type, value)
    if (value > max || value < -max - 1) {
      throw new DataError('CONNECT_DATA_RANGE', `Value is out of range for ${type}`)
    }
    out.ascii(String(value))
  }
}

export const writeInt64: Write = (value, out) => {
  if (typeof value !== 'bigint' && !(typeof value === 'number' && Number.isSafeInteger(value))) {
    throw invalidType('INT64', value)
  }
  if (typeof value === 'bigint' && BigInt.asIntN(64, value) !== value) {
    throw new DataError('CONNECT_DATA_RANGE', 'Value is out of range for INT64')
  }
  out.ascii(value.toString())
}

export const writeBoolean: Write = (value, out) => {
  if (typeof value !== 'boolean') throw invalidType('BOOLEAN', value)
  out.bytes(value ? trueBytes : falseBytes)
}

export const writeDate: Write = (value, out) => {
  // Days that no `Date` reaches; see the table of worker/api/data.ts.
  const isFar = typeof value === 'bigint' && BigInt.asIntN(32, value) === value
  out.ascii(isFar ? value.toString() : String(dateOf(value) / dayMs))
}

export const writeIsoDate: Write = (value, out) => {
  const [day = ''] = new Date(dateOf(value)).toISOString().split('T')
  out.ascii(`"${day}"`)
}

/** In ms since 1970. */
function dateOf(value: Value): number {
  const ms = dateMs(value, 'Date')
  if (ms % dayMs === 0) return ms
  throw new DataError(
    'CONNECT_DATA_TYPE',
    'Kafka Connect Date type should not have any time fields set to non-zero values.',
  )
}

export const writeTime: Write = (value, out) => {
  const ms = dateMs(value, 'Time')
  // Connect admits 24:00:00, the end of the day.
  if (ms < 0 || ms > dayMs) {
    throw new DataError(
      'CONNECT_DATA_TYPE',
      'Kafka Connect Time type should not have any date fields set to non-zero values.',
    )
  }
  out.ascii(String(ms))
}

export function dateMs(value: Value, type: string): number {
  if (!(value instanceof Date) || Number.isNaN(value.getTime())) {
    throw new DataError('CONNECT_DATA_TYPE', `Invalid type for ${type}, expected Date but was ${javaClass(value)}`)
  }
  return value.getTime()
}

export function asDouble(value: Value, type: string): number {
  if (typeof value === 'number') return value
  if (value instanceof Float64) return value.value
  throw invalidType(type, value)
}

export function asMap(value: Value): ReadonlyMap<Value, Value> {
  if (value instanceof Map) return value as ReadonlyMap<Value, Value>
  throw invalidType('MAP', value)
}

export function stringKey(key: Value): string {
  if (typeof key !== 'string') throw invalidType('STRING', key)
  return key
}

export function writeMembers(
  map: ReadonlyMap<Value, Value>,
  open: string,
  close: string,
  out: ByteWriter,
  write: (key: Value, item: Value) => void,
): void {
  out.ascii(open)
  let first = true
  for (const [key, item] of map) {
    if (!first) out.byte(0x2c)
    first = false
    write(key, item)
  }
  out.ascii(close)
}

export function invalidType(type: string, value: Value): DataError {
  return new DataError('CONNECT_DATA_TYPE', `Invalid type for ${type}: ${javaClass(value)}`)
}
