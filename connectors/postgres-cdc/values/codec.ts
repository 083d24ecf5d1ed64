import type { SchemaSpec, Value, ValueWriter } from '../../../worker/api/data.ts'
import { DataError } from '../../../worker/api/errors.ts'

/** How column values become Connect values (spec of the options: Debezium's names and meanings). */
export interface ValueOptions {
  readonly timePrecision:
    | 'adaptive'
    | 'adaptive_time_microseconds'
    | 'microseconds'
    | 'nanoseconds'
    | 'connect'
    | 'isostring'
    | 'structured'
  readonly decimals: 'precise' | 'string' | 'double'
  readonly hstore: 'json' | 'map'
  readonly intervals: 'numeric' | 'string'
  readonly binary: BinaryMode
  /** Scale of `money` as a Decimal. */
  readonly moneyFractionDigits: number
  readonly includeUnknown: boolean
  /** Bytes that stand for a value the server did not send (unchanged TOAST). */
  readonly placeholder: Uint8Array
}

export type BinaryMode = 'bytes' | 'base64' | 'base64-url-safe' | 'hex'

/**
 * Where a value was read. Debezium reads snapshots through JDBC and the stream as text; recorded events differ in a
 * few places, and so do ours (`name` columns, days that the Gregorian reform left out).
 */
export type ReadFrom = 'snapshot' | 'stream'

/** Translates the text of one column. Both lanes give the same value: `write` is `read` without the object. */
export interface ValueCodec {
  /** Type, name, version and parameters of the field; not whether it is optional, nor its default. */
  readonly spec: SchemaSpec
  /** Value of the text in `bytes[start, end)`; null where the type has no such value. @throws DataError */
  read(bytes: Buffer, start: number, end: number): Value
  /** The same value to `out`; throws before it writes, or not at all. */
  write(bytes: Buffer, start: number, end: number, out: ValueWriter): void
  /** Stands for a value that the source did not give, in a column that is NOT NULL. */
  readonly fallback: Value
  /** Stands for an unchanged TOAST value; undefined where no placeholder fits the schema. */
  readonly unavailable: Value | undefined
  /** Values are passed over, as if each were null: a type that Debezium does not decode where this was read. */
  readonly isUnread?: boolean
}

export function conversionError(type: string): DataError {
  return new DataError(
    'CONNECT_POSTGRES_VALUE',
    `A value of type ${type} cannot be represented in the column's schema. Choose another handling mode for the type ` +
      'or set event.converting.failure.handling.mode.',
  )
}

interface CodecParts {
  readonly spec: SchemaSpec
  readonly fallback: Value
  readonly unavailable?: Value | undefined
}

/** A codec that goes through the value: for types that are neither digits nor plain text. */
export function valueCodec(parts: CodecParts, read: ValueCodec['read']): ValueCodec {
  return {
    spec: parts.spec,
    fallback: parts.fallback,
    unavailable: parts.unavailable,
    read,
    write: (bytes, start, end, out) => {
      const value = read(bytes, start, end)
      if (value === null) out.null()
      else out.value(value)
    },
  }
}

/** A codec over the decoded text. */
export function textCodec(parts: CodecParts, parse: (text: string) => Value): ValueCodec {
  return valueCodec(parts, (bytes, start, end) => parse(bytes.toString('utf8', start, end)))
}

/** UTF-8 text as it is. */
export function stringCodec(spec: Partial<SchemaSpec>, placeholder: Uint8Array): ValueCodec {
  return {
    spec: { ...spec, type: 'STRING' },
    fallback: '',
    unavailable: Buffer.from(placeholder).toString('utf8'),
    read: (bytes, start, end) => bytes.toString('utf8', start, end),
    write: (bytes, start, end, out) => out.utf8(bytes, start, end),
  }
}

/** Bytes in the form that `binary.handling.mode` asks for. */
export function encodeBinary(bytes: Uint8Array, mode: BinaryMode): Value {
  if (mode === 'bytes') return bytes
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (mode === 'hex') return buffer.toString('hex')
  const text = buffer.toString('base64')
  return mode === 'base64' ? text : text.replaceAll('+', '-').replaceAll('/', '_')
}

export function binarySpec(mode: BinaryMode): SchemaSpec {
  return { type: mode === 'bytes' ? 'BYTES' : 'STRING' }
}
