import type { ByteWriter } from './converter.ts'
import { DataError } from './errors.ts'

/** Numbers up to this magnitude are doubled by zigzag coding without losing bits. */
const safeHalf = 2 ** 52

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
    // Beyond 32 bits only arithmetic keeps all bits.
    while (rest > 0x7fff_ffff) {
      out.byte((rest % 128) | 128)
      rest = Math.floor(rest / 128)
    }
    while (rest > 127) {
      out.byte((rest & 127) | 128)
      rest >>>= 7
    }
    out.byte(rest)
  }

  long(value: bigint): void {
    if (BigInt.asIntN(52, value) === value) return this.integer(Number(value))
    const out = this.#target
    const zigzag = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
    // Two halves of 32 bits: steps on a bigint cost a multiple.
    let low = Number(zigzag & 0xffff_ffffn)
    let high = Number(zigzag >> 32n)
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
