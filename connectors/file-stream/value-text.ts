import { Decimal, Float64, type Value } from '../../worker/api/data.ts'

/**
 * A value as Java's `toString` prints it, which is what Kafka's FileStreamSink writes: `null`, `Struct{a=1,b=x}` has
 * become `{a=1, b=x}` here, since a struct is a plain object. Bytes are written as UTF-8 text; Java would print the
 * identity of the array, which is of no use to anyone.
 */
export function textOf(value: Value): string {
  if (typeof value === 'string') return value
  if (value === null) return 'null'
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value)
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.length).toString('utf8')
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Decimal) return value.toString()
  if (value instanceof Float64) return Number.isInteger(value.value) ? value.value.toFixed(1) : String(value.value)
  if (Array.isArray(value)) return `[${value.map(textOf).join(', ')}]`
  const entries: Iterable<readonly [Value, Value]> = value instanceof Map ? value : Object.entries(value)
  return `{${Array.from(entries, ([key, item]) => `${textOf(key)}=${textOf(item)}`).join(', ')}}`
}
