import type { ByteWriter } from './converter.ts'
import { DataError } from './errors.ts'

/** Numbers up to this magnitude are doubled by zigzag coding without losing bits. */
const safeHalf = 2 ** 52

/** Numbers of so many digits are doubled without losing bits. */
const safeDigits = 15

function parseDigits(bytes: Uint8Array, start: number, end: number): number {
  let value = 0
  for (let i = start; i < end; i++) value = value * 10 + ((bytes[i] as number) - 0x30)
  return value
}

/** Avro's binary encoding of primitive values, into any `ByteWriter`. */
export class AvroOutput {
  #out: ByteWriter | null = null
  readonly #scratch = Buffer.alloc(8)

  /** This output with its bytes going to `out`. */
  to(out: ByteWriter): this {
    this.#out = out
    return this
  }

  boolean(value: boolean): void {
    this.#target.byte(value ? 1 : 0)
  }

  /** An int or long within ±2^53. */
  integer(value: number): void {
    if (value >= safeHalf || value < -safeHalf) return this.long(BigInt(value))
    const out = this.#target
    let rest = value < 0 ? -2 * value - 1 : 2 * value
    if (rest > 0x7fff_ffff) {
      // Beyond 32 bits only arithmetic keeps all bits: once, for four groups of seven.
      const high = Math.floor(rest / 0x1000_0000)
      const low = rest - high * 0x1000_0000
      out.byte((low & 127) | 128)
      out.byte(((low >>> 7) & 127) | 128)
      out.byte(((low >>> 14) & 127) | 128)
      out.byte((low >>> 21) | 128)
      rest = high
    }
    while (rest > 127) {
      out.byte((rest & 127) | 128)
      rest >>>= 7
    }
    out.byte(rest)
  }

  long(value: bigint): void {
    if (BigInt.asIntN(52, value) === value) return this.integer(Number(value))
    const zigzag = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
    this.#halves(Number(zigzag >> 32n), Number(zigzag & 0xffff_ffffn))
  }

  /**
   * An int or long that stands as decimal text in `bytes[start, end)`, within 64 bits: ASCII digits, the first no zero,
   * with an optional minus.
   */
  integerText(bytes: Uint8Array, start: number, end: number): void {
    const negative = bytes[start] === 0x2d
    const first = negative ? start + 1 : start
    if (end - first <= safeDigits) {
      const magnitude = parseDigits(bytes, first, end)
      return this.integer(negative ? -magnitude : magnitude)
    }
    // Billions and the rest, each a double without loss; their sum in two halves of 32 bits.
    const billions = parseDigits(bytes, first, end - 9)
    const upper = Math.floor(billions / 0x2_0000)
    const least = (billions - upper * 0x2_0000) * 1e9 + parseDigits(bytes, end - 9, end)
    const most = upper * 1e9
    const low = (most % 0x8000) * 0x2_0000 + (least % 0x1_0000_0000)
    const high = Math.floor(most / 0x8000) + Math.floor(least / 0x1_0000_0000) + Math.floor(low / 0x1_0000_0000)
    const doubledLow = (low << 1) >>> 0
    const doubledHigh = ((high << 1) | ((low >>> 31) & 1)) >>> 0
    if (!negative) this.#halves(doubledHigh, doubledLow)
    else if (doubledLow > 0) this.#halves(doubledHigh, doubledLow - 1)
    else this.#halves((doubledHigh - 1) >>> 0, 0xffff_ffff)
  }

  /** A zigzag coded long in two halves of 32 bits: steps on a bigint cost a multiple. */
  #halves(upper: number, lower: number): void {
    const out = this.#target
    let low = lower
    let high = upper
    while (high > 0) {
      out.byte((low & 127) | 128)
      low = ((low >>> 7) | (high << 25)) >>> 0
      high >>>= 7
    }
    while (low > 127) {
      out.byte((low & 127) | 128)
      low >>>= 7
    }
    out.byte(low)
  }

  float(value: number): void {
    this.#scratch.writeFloatLE(value, 0)
    this.#target.bytes(this.#scratch, 0, 4)
  }

  double(value: number): void {
    this.#scratch.writeDoubleLE(value, 0)
    this.#target.bytes(this.#scratch, 0, 8)
  }

  /** @throws DataError for half a character, which UTF-8 does not have (I6) */
  string(value: string): void {
    if (!value.isWellFormed()) {
      throw new DataError('CONNECT_DATA_SERIALIZATION', 'Text has an unpaired surrogate, which UTF-8 cannot encode')
    }
    this.integer(Buffer.byteLength(value, 'utf8'))
    this.#target.utf8(value)
  }

  bytes(value: Uint8Array): void {
    this.integer(value.length)
    this.#target.bytes(value)
  }

  /** Bytes without their length. */
  raw(value: Uint8Array): void {
    this.#target.bytes(value)
  }

  get #target(): ByteWriter {
    if (this.#out === null) throw new TypeError('an AvroOutput writes after `to` was called')
    return this.#out
  }
}
