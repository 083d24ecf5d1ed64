import { Decimal, Float64, type Struct, type Value } from './data.ts'

/** Whether a value is a STRUCT (or a schemaless object), i.e. a plain object. */
export function isStruct(value: Value): value is Struct {
  if (value === null || typeof value !== 'object') return false
  return !(
    Array.isArray(value) ||
    value instanceof Map ||
    value instanceof Uint8Array ||
    value instanceof Date ||
    value instanceof Decimal ||
    value instanceof Float64
  )
}

/** Bytes of a big integer as Java's `BigInteger.toByteArray`: big-endian two's complement, as short as possible. */
export function twosComplement(value: bigint): Uint8Array {
  let length = 1
  while (BigInt.asIntN(length * 8, value) !== value) length *= 2
  while (length > 1 && BigInt.asIntN((length - 1) * 8, value) === value) length--
  const hex = BigInt.asUintN(length * 8, value)
    .toString(16)
    .padStart(length * 2, '0')
  return Buffer.from(hex, 'hex')
}

/** The integer of `twosComplement`; no bytes mean 0. */
export function fromTwosComplement(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${hex}`))
}

/** `class java.lang.Long` and the like: what Connect would call the type of a value in an error. */
export function javaClass(value: Value): string {
  switch (typeof value) {
    case 'string':
      return 'class java.lang.String'
    case 'boolean':
      return 'class java.lang.Boolean'
    case 'bigint':
      return 'class java.lang.Long'
    case 'number':
      return Number.isInteger(value) ? 'class java.lang.Long' : 'class java.lang.Double'
    default:
  }
  if (value === null) return 'null'
  if (value instanceof Uint8Array) return 'class [B'
  if (value instanceof Date) return 'class java.util.Date'
  if (value instanceof Decimal) return 'class java.math.BigDecimal'
  if (value instanceof Float64) return 'class java.lang.Double'
  if (Array.isArray(value)) return 'class java.util.ArrayList'
  return value instanceof Map ? 'class java.util.HashMap' : 'class org.apache.kafka.connect.data.Struct'
}
