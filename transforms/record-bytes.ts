/** Size of Connect data as compact JSON without schemas: what JsonConverter with schemas.enable=false writes. */
import { Decimal, Float64, type Struct, type Value } from '../worker/api/data.ts'
import { bigDecimalText, quoteJson } from '../worker/api/json.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import { isStruct, twosComplement } from '../worker/api/values.ts'

/** Bytes of key, value and headers together. */
export function recordBytes(record: ConnectRecord): number {
  let bytes = valueBytes(record.key) + valueBytes(record.value)
  for (const header of record.headers) bytes += textBytes(header.key) + valueBytes(header.value)
  return bytes
}

/** At least `recordBytes`, without looking at every character: most records are small and need no more. */
export function recordBytesAtMost(record: ConnectRecord): number {
  let bytes = atMost(record.key) + atMost(record.value)
  for (const header of record.headers) bytes += 6 * header.key.length + 2 + atMost(header.value)
  return bytes
}

/** Bytes of a text as a JSON string. */
export function textBytes(text: string): number {
  return Buffer.byteLength(quoteJson(text))
}

/** Bytes as base64, in quotes. */
function base64Bytes(length: number): number {
  return 4 * Math.ceil(length / 3) + 2
}

export function valueBytes(value: Value): number {
  switch (typeof value) {
    case 'string':
      return textBytes(value)
    case 'boolean':
      return value ? 4 : 5
    case 'bigint':
    case 'number':
      return String(value).length
    default:
  }
  if (value === null) return 4
  if (value instanceof Uint8Array) return base64Bytes(value.length)
  if (value instanceof Date) return String(value.getTime()).length
  if (value instanceof Decimal) {
    return Math.max(base64Bytes(twosComplement(value.unscaled).length), bigDecimalText(value).length)
  }
  if (value instanceof Float64) return String(value.value).length + 2
  return isStruct(value) ? structBytes(value) : listBytes(value as readonly Value[] | ReadonlyMap<Value, Value>)
}

/** Brackets, and a comma or colon behind every member but the last. */
function listBytes(list: readonly Value[] | ReadonlyMap<Value, Value>): number {
  let bytes = 1
  if (list instanceof Map) {
    for (const [key, item] of list as ReadonlyMap<Value, Value>) bytes += valueBytes(key) + valueBytes(item) + 4
  } else for (const item of list as readonly Value[]) bytes += valueBytes(item) + 1
  return Math.max(2, bytes)
}

function structBytes(struct: Struct): number {
  let bytes = 1
  for (const name in struct) bytes += textBytes(name) + 1 + valueBytes(struct[name] ?? null) + 1
  return Math.max(2, bytes)
}

function atMost(value: Value): number {
  if (typeof value === 'string') return 6 * value.length + 2
  if (value === null || typeof value !== 'object') return typeof value === 'bigint' ? valueBytes(value) : 26
  if (value instanceof Uint8Array) return base64Bytes(value.length)
  if (value instanceof Map) {
    let bytes = 2
    for (const [key, item] of value as ReadonlyMap<Value, Value>) bytes += atMost(key) + atMost(item) + 4
    return bytes
  }
  if (Array.isArray(value)) {
    let bytes = 2
    for (const item of value as readonly Value[]) bytes += atMost(item) + 1
    return bytes
  }
  if (!isStruct(value)) return valueBytes(value) + 2
  let bytes = 2
  for (const name in value) bytes += 6 * name.length + 4 + atMost(value[name] ?? null)
  return bytes
}
