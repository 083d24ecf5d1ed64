import type { Value } from '../../api/data.ts'
import { DataError } from '../../api/errors.ts'
import type { AvroInput } from './avro-input.ts'

/** Reads one value. @throws DataError */
export type Read = (input: AvroInput) => Value

const dayMs = 86_400_000

export const readDate: Read = (input) => new Date(reachable(input.int() * dayMs))

export const readTimestamp: Read = (input) => new Date(reachable(Number(input.long())))

/** Beyond it a Date would silently be none (I6). */
function reachable(ms: number): number {
  if (Math.abs(ms) <= 8.64e15) return ms
  throw new DataError('CONNECT_DATA_DATE', 'A date is further from 1970 than a JavaScript Date reaches: ±8.64e15 ms')
}

/** An int of fewer bits. */
export function narrow(bits: 8 | 16): Read {
  const limit = 2 ** (bits - 1)
  return (input) => {
    const value = input.int()
    if (value >= -limit && value < limit) return value
    throw new DataError('CONNECT_DATA_RANGE', `Value is out of range for INT${bits}`)
  }
}
