import type { SchemaType, Value } from '../../api/data.ts'
import { type ProtoInput, WireType } from './protobuf-wire.ts'

const signed = (bits: 32 | 64) => (value: bigint) => BigInt.asIntN(bits, value)
const zigzagged = (value: bigint): bigint => (value >> 1n) ^ -(value & 1n)

/** Wire type and reader of each integer; 64 bits and unsigned 32 become INT64, as Java's long has them. */
export const protobufIntegers: Readonly<
  Record<string, readonly [type: 'INT32' | 'INT64', read: (input: ProtoInput) => bigint]>
> = {
  int32: ['INT32', (input) => signed(32)(input.varint())],
  sint32: ['INT32', (input) => zigzagged(BigInt.asUintN(32, input.varint()))],
  sfixed32: ['INT32', (input) => signed(32)(BigInt(input.fixed32()))],
  uint32: ['INT64', (input) => BigInt.asUintN(32, input.varint())],
  fixed32: ['INT64', (input) => BigInt(input.fixed32())],
  int64: ['INT64', (input) => signed(64)(input.varint())],
  uint64: ['INT64', (input) => signed(64)(input.varint())],
  sint64: ['INT64', (input) => zigzagged(input.varint())],
  fixed64: ['INT64', (input) => signed(64)(input.fixed64())],
  sfixed64: ['INT64', (input) => signed(64)(input.fixed64())],
}

/** Wire type of a field that is neither enumeration nor list. */
export function wireTypeOf(type: string): number {
  if (type === 'fixed64' || type === 'sfixed64' || type === 'double') return WireType.fixed64
  if (type === 'fixed32' || type === 'sfixed32' || type === 'float') return WireType.fixed32
  return protobufIntegers[type] !== undefined || type === 'bool' ? WireType.varint : WireType.bytes
}

/** What stands for an absent field without presence. */
export function zeroOf(type: SchemaType): Value {
  switch (type) {
    case 'INT64':
      return 0n
    case 'BOOLEAN':
      return false
    case 'STRING':
      return ''
    case 'BYTES':
      return new Uint8Array(0)
    default:
      return 0
  }
}
