import type { Schema, Value } from '../../api/data.ts'
import { DataError } from '../../api/errors.ts'
import { protobufType } from './protobuf-builtin.ts'
import { type ProtoOutput, WireType } from './protobuf-wire.ts'

export type Write = (value: Value, out: ProtoOutput) => void

/** How one value without its tag is written. */
export interface Scalar {
  /** As it stands in the .proto file. */
  readonly name: string
  readonly wireType: number
  readonly write: Write
  /** Not written where a field has no presence; null for messages, which always have. */
  readonly isZero: ((value: Value) => boolean) | null
  /** Options of the field, as in the file. */
  readonly params: readonly (readonly [string, string])[]
}

function integer(schema: Schema, bits: number): (value: Value) => bigint {
  return (value) => {
    const number = typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value
    if (typeof number !== 'bigint') throw wrongType(schema, value)
    if (BigInt.asIntN(bits, number) !== number) {
      throw new DataError('CONNECT_DATA_RANGE', `Value is out of range for ${schema.type}`)
    }
    return number
  }
}

const zigzag = (value: bigint): bigint => (value << 1n) ^ (value >> 63n)

/** How each of Protobuf's integers is written. */
const integers: Readonly<
  Record<string, readonly [wireType: number, write: (value: bigint, out: ProtoOutput) => void]>
> = {
  int32: [WireType.varint, (value, out) => out.varint(value)],
  int64: [WireType.varint, (value, out) => out.varint(value)],
  uint32: [WireType.varint, (value, out) => out.varint(BigInt.asUintN(32, value))],
  uint64: [WireType.varint, (value, out) => out.varint(value)],
  sint32: [WireType.varint, (value, out) => out.varint(zigzag(value))],
  sint64: [WireType.varint, (value, out) => out.varint(zigzag(value))],
  fixed32: [WireType.fixed32, (value, out) => out.fixed32(Number(BigInt.asUintN(32, value)))],
  sfixed32: [WireType.fixed32, (value, out) => out.fixed32(Number(BigInt.asUintN(32, value)))],
  fixed64: [WireType.fixed64, (value, out) => out.fixed64(value)],
  sfixed64: [WireType.fixed64, (value, out) => out.fixed64(value)],
}

const bitsOf: Partial<Record<Schema['type'], number>> = { INT8: 8, INT16: 16, INT32: 32, INT64: 64 }

/** How a primitive is written; `protobufType` among its parameters chooses the integer. @throws DataError */
export function primitive(schema: Schema): Scalar {
  const bits = bitsOf[schema.type]
  if (bits !== undefined) {
    const name = schema.parameters?.get(protobufType) ?? (bits === 64 ? 'int64' : 'int32')
    const found = integers[name]
    if (found === undefined) throw invalid(`${name} is no integer type`)
    const [wireType, write] = found
    const checked = integer(schema, bits)
    const params = bits < 32 ? [['connect.type', `int${bits}`] as const] : []
    return {
      name,
      wireType,
      write: (value, out) => write(checked(value), out),
      isZero: (value) => Number(value) === 0,
      params,
    }
  }
  const typed = <T extends Value>(
    is: (value: Value) => value is T,
    write: (value: T, out: ProtoOutput) => void,
  ): Write => {
    return (value, out) => {
      if (!is(value)) throw wrongType(schema, value)
      write(value, out)
    }
  }
  const isNumber = (value: Value): value is number => typeof value === 'number'
  // A negative zero is no zero to proto3.
  const isZero = (value: Value): boolean => Object.is(value, 0)
  switch (schema.type) {
    case 'FLOAT32':
      return {
        name: 'float',
        wireType: WireType.fixed32,
        write: typed(isNumber, (v, out) => out.float(v)),
        isZero,
        params: [],
      }
    case 'FLOAT64':
      return {
        name: 'double',
        wireType: WireType.fixed64,
        write: typed(isNumber, (v, out) => out.double(v)),
        isZero,
        params: [],
      }
    case 'BOOLEAN': {
      const write = typed(
        (v): v is boolean => typeof v === 'boolean',
        (v, out) => out.uint32(v ? 1 : 0),
      )
      return { name: 'bool', wireType: WireType.varint, write, isZero: (v) => v === false, params: [] }
    }
    case 'STRING': {
      const write = typed(
        (v): v is string => typeof v === 'string',
        (v, out) => out.string(v),
      )
      return { name: 'string', wireType: WireType.bytes, write, isZero: (v) => v === '', params: [] }
    }
    default: {
      const write = typed(
        (v): v is Uint8Array => v instanceof Uint8Array,
        (v, out) => out.bytes(v),
      )
      return {
        name: 'bytes',
        wireType: WireType.bytes,
        write,
        isZero: (v) => v instanceof Uint8Array && v.length === 0,
        params: [],
      }
    }
  }
}

export function wrongType(schema: Schema, value: Value): DataError {
  const found = value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value
  return new DataError('CONNECT_DATA_TYPE', `Invalid value for ${schema.type}: ${found}`)
}

export function invalid(reason: string): DataError {
  return new DataError('CONNECT_REGISTRY_SCHEMA', `A schema has no form in Protobuf: ${reason}`)
}
