import { endianness } from 'node:os'

declare const lsnBrand: unique symbol

/** Position in the write-ahead log, 0…2^64−1. Text form (`16/B374D848`) only at an edge. */
export type Lsn = bigint & { readonly [lsnBrand]: true }

export const noLsn = 0n as Lsn

export function lsn(value: bigint | number): Lsn {
  return BigInt(value) as Lsn
}

const digits = new Uint8Array(8)
const number = new BigUint64Array(digits.buffer)
const lastDigit = endianness() === 'LE' ? 7 : 0

/**
 * A position as messages carry it, eight bytes from the most significant on. `readBigUInt64BE` makes five integers on
 * the way to it, this one: there is a position in every message.
 */
export function readLsn(bytes: Uint8Array, at: number): Lsn {
  for (let i = 0; i < 8; i++) digits[lastDigit ^ i] = bytes[at + i] as number
  return number[0] as Lsn
}

/** Parses `X/X`, upper or lower case. @throws RangeError for any other text */
export function parseLsn(text: string): Lsn {
  const match = /^([0-9a-f]{1,8})\/([0-9a-f]{1,8})$/i.exec(text)
  if (match === null) throw new RangeError(`Not a log sequence number: ${text}`)
  return ((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)) as Lsn
}

/** As PostgreSQL writes it: two upper-case hexadecimal halves without padding. */
export function formatLsn(value: Lsn): string {
  return `${(value >> 32n).toString(16).toUpperCase()}/${(value & 0xffff_ffffn).toString(16).toUpperCase()}`
}

export function maxLsn(a: Lsn, b: Lsn): Lsn {
  return a > b ? a : b
}
