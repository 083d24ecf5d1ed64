import { GrowingByteWriter } from '../../api/byte-writer.ts'
import type { ByteWriter } from '../../api/converter.ts'
import { DataError } from '../../api/errors.ts'

export const WireType = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const

/** Reads Protobuf's wire format. @throws DataError */
export class ProtoInput {
  readonly #bytes: Buffer
  #at: number
  readonly #end: number

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#at = start
    this.#end = end
  }

  get done(): boolean {
    return this.#at >= this.#end
  }

  get position(): number {
    return this.#at
  }

  /** A number of up to 64 bits, unsigned. */
  varint(): bigint {
    let low = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte()
      low |= (byte & 0x7f) << shift
      if (byte < 0x80) return BigInt(low)
    }
    let bits = BigInt(low)
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.#byte()
      bits |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, bits)
    }
    throw broken('a number has more than 64 bits')
  }

  /** A tag or a length. */
  uint32(): number {
    const value = this.varint()
    if (value > 0xffff_ffffn) throw broken('a number has more than 32 bits')
    return Number(value)
  }

  #byte(): number {
    if (this.#at >= this.#end) throw broken('the data end too early')
    return this.#bytes[this.#at++] as number
  }

  #take(count: number): number {
    const start = this.#at
    if (count > this.#end - start) throw broken('the data end too early')
    this.#at = start + count
    return start
  }

  fixed32(): number {
    return this.#bytes.readUInt32LE(this.#take(4))
  }

  fixed64(): bigint {
    return this.#bytes.readBigUInt64LE(this.#take(8))
  }

  float(): number {
    return this.#bytes.readFloatLE(this.#take(4))
  }

  double(): number {
    return this.#bytes.readDoubleLE(this.#take(8))
  }

  string(): string {
    const length = this.uint32()
    const start = this.#take(length)
    try {
      return decoder.decode(this.#bytes.subarray(start, start + length))
    } catch (error) {
      // Replacement characters would be other data (I6).
      throw new DataError('CONNECT_DATA_SERIALIZATION', 'Invalid Protobuf data: text that is no UTF-8', {
        cause: error,
      })
    }
  }

  /** A copy: the message's bytes may be reused. */
  bytes(): Uint8Array {
    const length = this.uint32()
    const start = this.#take(length)
    return new Uint8Array(this.#bytes.subarray(start, start + length))
  }

  /** The next field of bytes as an input of its own. */
  nested(): ProtoInput {
    const length = this.uint32()
    const start = this.#take(length)
    return new ProtoInput(this.#bytes, start, start + length)
  }

  skip(wireType: number): void {
    if (wireType === WireType.varint) this.varint()
    else if (wireType === WireType.fixed64) this.#take(8)
    else if (wireType === WireType.bytes) this.#take(this.uint32())
    else if (wireType === WireType.fixed32) this.#take(4)
    else throw broken(`wire type ${wireType}`)
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function broken(reason: string): DataError {
  return new DataError('CONNECT_DATA_SERIALIZATION', `Invalid Protobuf data: ${reason}`)
}

/** Writes Protobuf's wire format into any `ByteWriter`. */
export class ProtoOutput {
  readonly #out: ByteWriter
  readonly #scratch = Buffer.alloc(8)

  constructor(out: ByteWriter) {
    this.#out = out
  }

  tag(number: number, wireType: number): void {
    this.uint32(((number << 3) | wireType) >>> 0)
  }

  uint32(value: number): void {
    let rest = value
    while (rest > 0x7f) {
      this.#out.byte((rest & 0x7f) | 0x80)
      rest >>>= 7
    }
    this.#out.byte(rest)
  }

  /** Up to 64 bits; negative numbers take ten bytes. */
  varint(value: bigint): void {
    let rest = BigInt.asUintN(64, value)
    while (rest > 0x7fn) {
      this.#out.byte(Number(rest & 0x7fn) | 0x80)
      rest >>= 7n
    }
    this.#out.byte(Number(rest))
  }

  fixed32(value: number): void {
    this.#scratch.writeUInt32LE(value >>> 0)
    this.#out.bytes(this.#scratch, 0, 4)
  }

  fixed64(value: bigint): void {
    this.#scratch.writeBigUInt64LE(BigInt.asUintN(64, value))
    this.#out.bytes(this.#scratch, 0, 8)
  }

  float(value: number): void {
    this.#scratch.writeFloatLE(value)
    this.#out.bytes(this.#scratch, 0, 4)
  }

  double(value: number): void {
    this.#scratch.writeDoubleLE(value)
    this.#out.bytes(this.#scratch, 0, 8)
  }

  /** @throws DataError for half a character, which UTF-8 does not have (I6) */
  string(value: string): void {
    if (!value.isWellFormed()) {
      throw new DataError('CONNECT_DATA_SERIALIZATION', 'Text has an unpaired surrogate, which UTF-8 cannot encode')
    }
    this.uint32(Buffer.byteLength(value, 'utf8'))
    this.#out.utf8(value)
  }

  bytes(value: Uint8Array): void {
    this.uint32(value.length)
    this.#out.bytes(value)
  }

  /** A message within the message: its length comes first, so it is written aside. */
  nested(write: (out: ProtoOutput) => void): void {
    const aside = new GrowingByteWriter(256)
    write(new ProtoOutput(aside))
    this.bytes(aside.since(0))
  }
}
