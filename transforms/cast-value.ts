import { Decimal, Float64, LogicalName, type Schema, type SchemaType, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { temporalText } from '../worker/api/header-text.ts'
import { bigDecimalText, javaDouble, javaFloat } from '../worker/api/json.ts'
import { javaClass } from '../worker/api/values.ts'

/** Types that values can be cast to. */
export const castTypes = ['INT8', 'INT16', 'INT32', 'INT64', 'FLOAT32', 'FLOAT64', 'BOOLEAN', 'STRING'] as const
export type CastType = (typeof castTypes)[number]

const inputTypes: readonly SchemaType[] = [...castTypes, 'BYTES']
const integerBits: Readonly<Partial<Record<CastType, number>>> = { INT8: 8, INT16: 16, INT32: 32, INT64: 64 }
const dayMs = 86_400_000

/**
 * A value of `schema` (null: none) as another type, by the rules of Java: integers wrap, fractions are cut off and
 * saturate, text is parsed as a whole.
 * @throws DataError for a type that cannot be cast, or text that is no such number
 */
export function castValue(schema: Schema | null, value: Value, type: CastType): Value {
  if (value === null) return null
  const inferred = schema?.type ?? inferredType(value)
  if (inferred === null) {
    throw new DataError(
      'CONNECT_TRANSFORM_TYPE',
      `Cast transformation was passed a value of type ${javaClass(value)} which is not supported by Connect's data API`,
    )
  }
  if (!inputTypes.includes(inferred)) {
    throw new DataError(
      'CONNECT_TRANSFORM_TYPE',
      `Cast transformation does not support casting from ${inferred}; supported types are [${inputTypes.join(', ')}]`,
    )
  }
  if (type === 'STRING') return toText(schema, value)
  const source = value instanceof Date ? encoded(schema, value) : value
  if (type === 'BOOLEAN') return toBoolean(schema, source)
  if (type === 'FLOAT32' || type === 'FLOAT64') return boxed(schema, toFloat(source, type))
  const integer = toInteger(schema, source, integerBits[type] ?? 64)
  return type === 'INT64' ? integer : Number(integer)
}

function inferredType(value: Exclude<Value, null>): SchemaType | null {
  switch (typeof value) {
    case 'string':
      return 'STRING'
    case 'boolean':
      return 'BOOLEAN'
    case 'bigint':
      return 'INT64'
    case 'number':
      return Number.isInteger(value) ? 'INT64' : 'FLOAT64'
    default:
  }
  if (value instanceof Float64) return 'FLOAT64'
  if (value instanceof Uint8Array) return 'BYTES'
  if (Array.isArray(value)) return 'ARRAY'
  // A date or decimal without its schema could be several things.
  if (value instanceof Date || value instanceof Decimal) return null
  return 'MAP'
}

/** The number that stands for a Date (days), Time or Timestamp (ms). */
function encoded(schema: Schema | null, value: Date): number {
  return schema?.name === LogicalName.date ? Math.floor(value.getTime() / dayMs) : value.getTime()
}

function toText(schema: Schema | null, value: Exclude<Value, null>): string {
  if (value instanceof Date) return temporalText(value)
  if (value instanceof Uint8Array) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
  }
  if (value instanceof Decimal) return bigDecimalText(value)
  if (value instanceof Float64) return javaDouble(value.value)
  if (typeof value !== 'number') return String(value)
  if (schema?.type === 'FLOAT32') return javaFloat(value)
  return schema?.type === 'FLOAT64' || !Number.isInteger(value) ? javaDouble(value) : String(value)
}

function toBoolean(schema: Schema | null, value: Exclude<Value, null>): boolean {
  if (typeof value === 'boolean') return value
  if (typeof value === 'string') return value.toLowerCase() === 'true'
  return toInteger(schema, value, 64) !== 0n
}

function toInteger(schema: Schema | null, value: Exclude<Value, null>, bits: number): bigint {
  switch (typeof value) {
    case 'bigint':
      return BigInt.asIntN(bits, value)
    case 'number':
      // A float saturates also where it happens to be integral.
      return Number.isSafeInteger(value) && schema?.type !== 'FLOAT32' && schema?.type !== 'FLOAT64'
        ? BigInt.asIntN(bits, BigInt(value))
        : truncated(value, bits)
    case 'boolean':
      return value ? 1n : 0n
    case 'string':
      return parseInteger(value, bits)
    default:
  }
  if (value instanceof Float64) return truncated(value.value, bits)
  if (value instanceof Decimal) {
    const { unscaled, scale } = value
    return BigInt.asIntN(bits, scale >= 0 ? unscaled / 10n ** BigInt(scale) : unscaled * 10n ** BigInt(-scale))
  }
  throw unexpected(value)
}

/** A fraction is cut off and saturates at int (int64 for an int64), only then it is narrowed. */
function truncated(value: number, bits: number): bigint {
  if (Number.isNaN(value)) return 0n
  const limit = 2n ** BigInt((bits === 64 ? 64 : 32) - 1)
  if (value >= Number(limit)) return BigInt.asIntN(bits, limit - 1n)
  if (value <= -Number(limit)) return BigInt.asIntN(bits, -limit)
  return BigInt.asIntN(bits, BigInt(Math.trunc(value)))
}

function parseInteger(text: string, bits: number): bigint {
  if (/^[+-]?\d+$/u.test(text)) {
    const value = BigInt(text.replace('+', ''))
    if (BigInt.asIntN(bits, value) === value) return value
  }
  throw outOfRange(text)
}

const floatText = /^([+-]?)(?:(NaN)|(Infinity)|((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[fFdD]?)$/u

function toFloat(value: Exclude<Value, null>, type: 'FLOAT32' | 'FLOAT64'): number {
  const double = toDouble(value)
  return type === 'FLOAT32' ? Math.fround(double) : double
}

function toDouble(value: Exclude<Value, null>): number {
  switch (typeof value) {
    case 'number':
      return value
    case 'bigint':
      return Number(value)
    case 'boolean':
      return value ? 1 : 0
    case 'string': {
      const parts = floatText.exec(value.trim())
      if (parts === null) throw outOfRange(value)
      return Number(`${parts[1]}${parts[2] ?? parts[3] ?? parts[4]}`)
    }
    default:
  }
  if (value instanceof Float64) return value.value
  if (value instanceof Decimal) return Number(bigDecimalText(value))
  throw unexpected(value)
}

/** Without a schema an integral float is boxed, or it would become an integer (I6). */
function boxed(schema: Schema | null, value: number): Value {
  return schema === null && Number.isInteger(value) ? new Float64(value) : value
}

function outOfRange(text: string): DataError {
  return new DataError('CONNECT_TRANSFORM_TYPE', `Value (${text}) was out of range for requested data type`)
}

function unexpected(value: Value): DataError {
  return new DataError('CONNECT_TRANSFORM_TYPE', `Unexpected type in Cast transformation: ${javaClass(value)}`)
}
