import { Decimal } from '../../api/data.ts'
import { DataError } from '../../api/errors.ts'
import { fromTwosComplement, twosComplement } from '../../api/values.ts'
import { type ProtoInput, type ProtoOutput, WireType } from './protobuf-wire.ts'

/** Fields of a message of numbers; what is absent is zero. */
function numbersOf(input: ProtoInput): Map<number, bigint> {
  const numbers = new Map<number, bigint>()
  while (!input.done) {
    const tag = input.uint32()
    if ((tag & 7) === WireType.varint) numbers.set(tag >>> 3, BigInt.asIntN(64, input.varint()))
    else input.skip(tag & 7)
  }
  return numbers
}

export function readDecimal(input: ProtoInput): Decimal {
  let unscaled = 0n
  let scale = 0
  while (!input.done) {
    const tag = input.uint32()
    if (tag === 0x0a) unscaled = fromTwosComplement(input.bytes())
    else if (tag === 0x18) scale = Number(BigInt.asIntN(32, input.varint()))
    else input.skip(tag & 7)
  }
  return new Decimal(unscaled, scale)
}

export function writeDecimal(value: Decimal, precision: number, out: ProtoOutput): void {
  out.tag(1, WireType.bytes)
  out.bytes(twosComplement(value.unscaled))
  number(out, 2, precision)
  number(out, 3, value.scale)
}

export function readDate(input: ProtoInput): Date {
  const numbers = numbersOf(input)
  const [year, month, day] = [1, 2, 3].map((field) => Number(numbers.get(field) ?? 0n))
  return valid(utcDate(year ?? 0, (month ?? 0) - 1, day ?? 0))
}

/** Years below 100 stand for themselves. */
function utcDate(year: number, month: number, day: number): Date {
  const date = new Date(0)
  date.setUTCFullYear(year, month, day)
  return date
}

export function writeDate(value: Date, out: ProtoOutput): void {
  if (value.getTime() % 86_400_000 !== 0) {
    const message = 'Kafka Connect Date type should not have any time fields set to non-zero values.'
    throw new DataError('CONNECT_DATA_TYPE', message)
  }
  number(out, 1, value.getUTCFullYear())
  number(out, 2, value.getUTCMonth() + 1)
  number(out, 3, value.getUTCDate())
}

export function readTime(input: ProtoInput): Date {
  const numbers = numbersOf(input)
  const [hours = 0, minutes = 0, seconds = 0, nanos = 0] = [1, 2, 3, 4].map((field) => Number(numbers.get(field) ?? 0n))
  return valid(new Date(((hours * 60 + minutes) * 60 + seconds) * 1000 + Math.floor(nanos / 1e6)))
}

export function writeTime(value: Date, out: ProtoOutput): void {
  const ms = value.getTime()
  number(out, 1, Math.floor(ms / 3_600_000))
  number(out, 2, Math.floor(ms / 60_000) % 60)
  number(out, 3, Math.floor(ms / 1000) % 60)
  number(out, 4, (ms % 1000) * 1e6)
}

export function readTimestamp(input: ProtoInput): Date {
  const numbers = numbersOf(input)
  return valid(new Date(Number(numbers.get(1) ?? 0n) * 1000 + Math.floor(Number(numbers.get(2) ?? 0n) / 1e6)))
}

export function writeTimestamp(value: Date, out: ProtoOutput): void {
  const ms = value.getTime()
  const seconds = Math.floor(ms / 1000)
  if (seconds !== 0) {
    out.tag(1, WireType.varint)
    out.varint(BigInt(seconds))
  }
  number(out, 2, (ms - seconds * 1000) * 1e6)
}

/** A zero is not written, as proto3 has it. */
function number(out: ProtoOutput, field: number, value: number): void {
  if (value === 0) return
  out.tag(field, WireType.varint)
  out.varint(BigInt(value))
}

/** Beyond its range a Date would silently be none (I6). */
function valid(date: Date): Date {
  if (!Number.isNaN(date.getTime())) return date
  throw new DataError('CONNECT_DATA_DATE', 'A date is further from 1970 than a JavaScript Date reaches: ±8.64e15 ms')
}
