import type { ByteWriter } from './converter.ts'
import { Decimal, Float64, type Schema, type Struct, type Value } from './data.ts'
import { DataError } from './errors.ts'
import { bigDecimalText, javaDouble, javaFloat } from './json.ts'
import { isStruct } from './values.ts'

/** Text of bytes within a value. */
export type BytesText = (bytes: Uint8Array) => string

function refuseBytes(): never {
  throw new DataError(
    'CONNECT_DATA_SERIALIZATION',
    'Bytes have no text form: use ByteArrayConverter, or a transform that decodes them',
  )
}

/**
 * What Java's `toString` gives for a value: `Struct{a=1,b=x}` (nulls left out), `{a=1, b=null}`, `[1, 2]`, `1.0`.
 * @param bytesText what stands for bytes, whose Java text is an object id; by default they are refused
 * @throws DataError for bytes, unless `bytesText` takes them
 */
export function javaText(schema: Schema | null, value: Value, bytesText: BytesText = refuseBytes): string {
  switch (typeof value) {
    case 'string':
      return value
    case 'boolean':
    case 'bigint':
      return String(value)
    case 'number':
      return numberText(schema, value)
    default:
  }
  if (value === null) return 'null'
  if (value instanceof Float64) return javaDouble(value.value)
  if (value instanceof Decimal) return bigDecimalText(value)
  if (value instanceof Date) return javaDate(value)
  if (value instanceof Uint8Array) return bytesText(value)
  if (Array.isArray(value)) {
    return `[${(value as readonly Value[]).map((v) => javaText(schema?.valueSchema ?? null, v, bytesText)).join(', ')}]`
  }
  if (value instanceof Map) {
    const entries = [...(value as ReadonlyMap<Value, Value>)].map(
      ([k, v]) =>
        `${javaText(schema?.keySchema ?? null, k, bytesText)}=${javaText(schema?.valueSchema ?? null, v, bytesText)}`,
    )
    return `{${entries.join(', ')}}`
  }
  return structText(schema, value as Struct, bytesText)
}

function numberText(schema: Schema | null, value: number): string {
  if (schema?.type === 'FLOAT32') return javaFloat(value)
  if (schema?.type === 'FLOAT64' || !Number.isInteger(value)) return javaDouble(value)
  return String(value)
}

// Text is appended piece by piece: arrays of pieces cost a sink of text more than all else.
function structText(schema: Schema | null, struct: Struct, bytesText: BytesText): string {
  let text = ''
  if (schema === null) {
    for (const key of Object.keys(struct)) {
      text += text === '' ? `${key}=` : `, ${key}=`
      text += javaText(null, struct[key] ?? null, bytesText)
    }
    return `{${text}}`
  }
  for (const { name, schema: fieldSchema } of schema.fields) {
    const value = struct[name] ?? null
    if (value === null) continue
    text += text === '' ? `${name}=` : `,${name}=`
    text += javaText(fieldSchema, value, bytesText)
  }
  return `Struct{${text}}`
}

/**
 * Writes what `javaText` gives as UTF-8: for sinks of text, which would otherwise make a string of each record, out of
 * one for each of its parts, to write that. Half a surrogate pair, for which UTF-8 has no form, becomes U+FFFD.
 * @throws DataError as `javaText`, with a part of the text written
 */
export function writeJavaText(
  schema: Schema | null,
  value: Value,
  out: ByteWriter,
  bytesText: BytesText = refuseBytes,
): void {
  if (typeof value === 'string') out.utf8(value)
  else if (typeof value === 'number' && Number.isInteger(value) && !isFloat(schema)) out.decimal(value)
  else if (typeof value !== 'object' || value === null) out.ascii(javaText(schema, value))
  else if (Array.isArray(value)) writeArray(schema, value as readonly Value[], out, bytesText)
  else if (value instanceof Map) writeMap(schema, value as ReadonlyMap<Value, Value>, out, bytesText)
  else if (isStruct(value)) writeStruct(schema, value, out, bytesText)
  else out.utf8(javaText(schema, value, bytesText))
}

function isFloat(schema: Schema | null): boolean {
  return schema !== null && (schema.type === 'FLOAT32' || schema.type === 'FLOAT64')
}

function writeArray(schema: Schema | null, array: readonly Value[], out: ByteWriter, bytesText: BytesText): void {
  out.byte(0x5b)
  for (let i = 0; i < array.length; i++) {
    if (i > 0) out.ascii(', ')
    writeJavaText(schema?.valueSchema ?? null, array[i] ?? null, out, bytesText)
  }
  out.byte(0x5d)
}

function writeMap(schema: Schema | null, map: ReadonlyMap<Value, Value>, out: ByteWriter, bytesText: BytesText): void {
  out.byte(0x7b)
  let isFirst = true
  for (const [key, item] of map) {
    if (!isFirst) out.ascii(', ')
    isFirst = false
    writeJavaText(schema?.keySchema ?? null, key, out, bytesText)
    out.byte(0x3d)
    writeJavaText(schema?.valueSchema ?? null, item, out, bytesText)
  }
  out.byte(0x7d)
}

function writeStruct(schema: Schema | null, struct: Struct, out: ByteWriter, bytesText: BytesText): void {
  if (schema !== null) {
    writeTypedStruct(schema, struct, out, bytesText)
    return
  }
  out.byte(0x7b)
  let isFirst = true
  for (const key of Object.keys(struct)) {
    if (!isFirst) out.ascii(', ')
    isFirst = false
    out.utf8(key)
    out.byte(0x3d)
    writeJavaText(null, struct[key] ?? null, out, bytesText)
  }
  out.byte(0x7d)
}

function writeTypedStruct({ fields }: Schema, struct: Struct, out: ByteWriter, bytesText: BytesText): void {
  out.ascii('Struct{')
  let isFirst = true
  for (const { name, schema } of fields) {
    const value = struct[name] ?? null
    if (value === null) continue
    if (!isFirst) out.byte(0x2c)
    isFirst = false
    out.utf8(name)
    out.byte(0x3d)
    writeJavaText(schema, value, out, bytesText)
  }
  out.byte(0x7d)
}

const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** Midnight of 15 October 1582, before which `java.util.Date` counts by the Julian calendar. */
const gregorianStartMs = -12_219_292_800_000

/**
 * `java.util.Date.toString` in UTC: `Sat Jan 08 00:00:00 UTC 2022`. Before 1582 its days are Julian ones, and years
 * before the first are counted backwards without a sign.
 */
export function javaDate(date: Date): string {
  const two = (n: number): string => String(n).padStart(2, '0')
  const { year, month, day } =
    date.getTime() < gregorianStartMs
      ? julianDay(Math.floor(date.getTime() / 86_400_000))
      : { year: date.getUTCFullYear(), month: date.getUTCMonth(), day: date.getUTCDate() }
  const time = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`
  return `${days[date.getUTCDay()]} ${months[month]} ${two(day)} ${time} UTC ${year > 0 ? year : 1 - year}`
}

/**
 * Date in the Julian calendar, month from 0.
 * @param epochDay days since 1970-01-01
 */
function julianDay(epochDay: number): { readonly year: number; readonly month: number; readonly day: number } {
  // Counted from 1 March of the year 0, so that the day of a leap year is the last one.
  const dayCount = epochDay + 719_470
  const year = Math.floor((4 * dayCount + 3) / 1461)
  const dayOfYear = dayCount - Math.floor((1461 * year) / 4)
  const month = Math.floor((5 * dayOfYear + 2) / 153)
  const day = dayOfYear - Math.floor((153 * month + 2) / 5) + 1
  return month < 10 ? { year, month: month + 2, day } : { year: year + 1, month: month - 10, day }
}
