/** Kafka's primitive types on the wire; big-endian, bounds checked. */
import { corrupt } from './errors.ts'

/** Grows as needed; one per request. */
export class WireWriter {
  #buffer: Buffer
  #length = 0

  constructor(initialBytes = 256) {
    this.#buffer = Buffer.allocUnsafe(initialBytes)
  }

  get length(): number {
    return this.#length
  }

  int8(value: number): this {
    this.#reserve(1)
    this.#length = this.#buffer.writeInt8(value, this.#length)
    return this
  }

  bool(value: boolean): this {
    return this.int8(value ? 1 : 0)
  }

  int16(value: number): this {
    this.#reserve(2)
    this.#length = this.#buffer.writeInt16BE(value, this.#length)
    return this
  }

  int32(value: number): this {
    this.#reserve(4)
    this.#length = this.#buffer.writeInt32BE(value, this.#length)
    return this
  }

  int64(value: bigint): this {
    this.#reserve(8)
    this.#length = this.#buffer.writeBigInt64BE(value, this.#length)
    return this
  }

  uvarint(value: number): this {
    this.#reserve(5)
    let rest = value >>> 0
    while (rest > 127) {
      this.#buffer[this.#length++] = (rest & 127) | 128
      rest >>>= 7
    }
    this.#buffer[this.#length++] = rest
    return this
  }

  string(value: string | null): this {
    if (value === null) return this.int16(-1)
    const bytes = Buffer.byteLength(value)
    this.int16(bytes).#reserve(bytes)
    this.#length += this.#buffer.write(value, this.#length, 'utf8')
    return this
  }

  /** String of flexible message versions. */
  compactString(value: string | null): this {
    if (value === null) return this.uvarint(0)
    const bytes = Buffer.byteLength(value)
    this.uvarint(bytes + 1).#reserve(bytes)
    this.#length += this.#buffer.write(value, this.#length, 'utf8')
    return this
  }

  bytes(value: Uint8Array | null): this {
    if (value === null) return this.int32(-1)
    return this.int32(value.length).raw(value)
  }

  raw(value: Uint8Array): this {
    this.#reserve(value.length)
    this.#buffer.set(value, this.#length)
    this.#length += value.length
    return this
  }

  array<T>(items: readonly T[], write: (item: T, writer: this) => void): this {
    this.int32(items.length)
    for (const item of items) write(item, this)
    return this
  }

  /** End of a structure in flexible message versions: no tagged fields. */
  noTags(): this {
    return this.int8(0)
  }

  /** What was written; the writer must not be used afterwards. */
  done(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }
}

/** Reads one answer; every read beyond its end is a `CONNECT_KAFKA_CORRUPT` that names the message. */
export class WireReader {
  readonly #buffer: Buffer
  readonly #what: string
  #at = 0
  /** Milliseconds for which the broker asks this connection to rest (KIP-219); set by the decoder of the message. */
  throttleMs = 0

  constructor(bytes: Uint8Array, what: string) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#what = what
  }

  get remaining(): number {
    return this.#buffer.length - this.#at
  }

  int8(): number {
    return this.#buffer.readInt8(this.#take(1))
  }

  bool(): boolean {
    return this.int8() !== 0
  }

  int16(): number {
    return this.#buffer.readInt16BE(this.#take(2))
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#take(4))
  }

  int64(): bigint {
    return this.#buffer.readBigInt64BE(this.#take(8))
  }

  uvarint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.int8()
      value |= (byte & 127) << shift
      if (byte >= 0) return value >>> 0
    }
    throw corrupt(`A variable-length number in ${this.#what} is too long`)
  }

  nullableString(): string | null {
    const length = this.int16()
    if (length < 0) return null
    const start = this.#take(length)
    return this.#buffer.toString('utf8', start, start + length)
  }

  string(): string {
    const value = this.nullableString()
    if (value === null) throw corrupt(`A string in ${this.#what} is null`)
    return value
  }

  /** A view of the answer, not a copy. */
  nullableBytes(): Buffer | null {
    const length = this.int32()
    if (length < 0) return null
    const start = this.#take(length)
    return this.#buffer.subarray(start, start + length)
  }

  bytes(): Buffer {
    return this.nullableBytes() ?? Buffer.alloc(0)
  }

  /** A null array reads as an empty one. */
  array<T>(read: (reader: this) => T): T[] {
    const count = this.int32()
    if (count > this.remaining) throw corrupt(`An array in ${this.#what} claims ${count} elements`)
    const items: T[] = []
    for (let i = 0; i < count; i++) items.push(read(this))
    return items
  }

  skipTags(): void {
    const count = this.uvarint()
    for (let i = 0; i < count; i++) {
      this.uvarint()
      this.#take(this.uvarint())
    }
  }

  #take(bytes: number): number {
    const start = this.#at
    if (bytes < 0 || start + bytes > this.#buffer.length) {
      throw corrupt(`${this.#what} ends at byte ${this.#buffer.length}, ${bytes} more were expected at ${start}`)
    }
    this.#at = start + bytes
    return start
  }
}
