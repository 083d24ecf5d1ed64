/**
 * CRC-32C (Castagnoli), the checksum of record batches since Kafka 0.11; `zlib.crc32` is another polynomial. Sixteen
 * tables consume sixteen bytes a step, read as four words where the machine stores them in the table's order.
 */
import { endianness } from 'node:os'

const TABLE_COUNT = 16
/** Table k at `k * 256`: the checksum of a byte that k zero bytes follow. One array, so that one bound is checked. */
const TABLES = makeTables()
const LITTLE_ENDIAN = endianness() === 'LE'

/** @returns the checksum of `bytes[start, end)` as an unsigned 32-bit number */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length): number {
  if (!LITTLE_ENDIAN) return ~byBytes(-1, bytes, start, end) >>> 0
  const misaligned = (bytes.byteOffset + start) & 3
  const aligned = misaligned === 0 ? start : Math.min(end, start + 4 - misaligned)
  const steps = (end - aligned) >>> 4
  let crc = byBytes(-1, bytes, start, aligned)
  if (steps > 0) crc = byWords(crc, new Int32Array(bytes.buffer, bytes.byteOffset + aligned, steps * 4))
  return ~byBytes(crc, bytes, aligned + steps * 16, end) >>> 0
}

function byBytes(initial: number, bytes: Uint8Array, start: number, end: number): number {
  let crc = initial
  for (let at = start; at < end; at++) crc = (crc >>> 8) ^ at32(TABLES, (crc ^ (bytes[at] as number)) & 255)
  return crc
}

/** @param words a multiple of four of them */
function byWords(initial: number, words: Int32Array): number {
  const t = TABLES
  let crc = initial
  for (let i = 0; i < words.length; i += 4) {
    const a = crc ^ at32(words, i)
    const b = at32(words, i + 1)
    const c = at32(words, i + 2)
    const d = at32(words, i + 3)
    crc =
      at32(t, 0xf00 | (a & 255)) ^
      at32(t, 0xe00 | ((a >>> 8) & 255)) ^
      at32(t, 0xd00 | ((a >>> 16) & 255)) ^
      at32(t, 0xc00 | (a >>> 24)) ^
      at32(t, 0xb00 | (b & 255)) ^
      at32(t, 0xa00 | ((b >>> 8) & 255)) ^
      at32(t, 0x900 | ((b >>> 16) & 255)) ^
      at32(t, 0x800 | (b >>> 24)) ^
      at32(t, 0x700 | (c & 255)) ^
      at32(t, 0x600 | ((c >>> 8) & 255)) ^
      at32(t, 0x500 | ((c >>> 16) & 255)) ^
      at32(t, 0x400 | (c >>> 24)) ^
      at32(t, 0x300 | (d & 255)) ^
      at32(t, 0x200 | ((d >>> 8) & 255)) ^
      at32(t, 0x100 | ((d >>> 16) & 255)) ^
      at32(t, d >>> 24)
  }
  return crc
}

// In bounds by construction of the loops; the cast keeps the inner loop free of checks.
function at32(array: Int32Array, index: number): number {
  return array[index] as number
}

function makeTables(): Int32Array {
  const tables = new Int32Array(TABLE_COUNT * 256)
  for (let i = 0; i < 256; i++) {
    let crc = i
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    tables[i] = crc
  }
  for (let i = 256; i < tables.length; i++) {
    const shorter = at32(tables, i - 256)
    tables[i] = (shorter >>> 8) ^ at32(tables, shorter & 255)
  }
  return tables
}
