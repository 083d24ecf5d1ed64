import { DataError } from '../../api/errors.ts'

/** Reads Avro's binary encoding; every method checks that the bytes are there. @throws DataError */
export class AvroInput {
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0

  /** This input over other bytes, from `start` on. */
  over(bytes: Uint8Array, start: number): this {
    this.#bytes = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#at = start
    return this
  }

  get remaining(): number {
    return this.#bytes.length - this.#at
  }

  boolean(): boolean {
    const byte = this.#byte()
    if (byte > 1) throw broken('a boolean is neither 0 nor 1')
    return byte === 1
  }

  #byte(): number {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) throw broken('the data end too early')
    this.#at++
    return byte
  }

  /** An int: 32 bits. */
  int(): number {
    const first = this.#byte()
    // Most numbers, lengths and branches take one byte.
    if (first < 0x80) return (first >>> 1) ^ -(first & 1)
    let bits = first & 0x7f
    for (let shift = 7; shift < 35; shift += 7) {
      const byte = this.#byte()
      if (shift === 28 && byte > 0x0f) break
      bits |= (byte & 0x7f) << shift
      if (byte < 0x80) return (bits >>> 1) ^ -(bits & 1)
    }
    throw broken('an integer has more than 32 bits')
  }

  long(): bigint {
    const bytes = this.#bytes
    let at = this.#at
    // Up to four bytes fit a small integer, which becomes a bigint faster.
    let bits = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = bytes[at++]
      if (byte === undefined) throw broken('the data end too early')
      bits |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        this.#at = at
        return BigInt((bits >>> 1) ^ -(bits & 1))
      }
    }
    return this.#longer(bits, at)
  }

  #longer(low: number, from: number): bigint {
    let at = from
    let bits = BigInt(low)
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[at++]
      if (byte === undefined) throw broken('the data end too early')
      if (shift === 63n && byte > 1) break
      bits |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) {
        this.#at = at
        return (bits >> 1n) ^ -(bits & 1n)
      }
    }
    throw broken('an integer has more than 64 bits')
  }

  float(): number {
    return this.#bytes.readFloatLE(this.#skip(4))
  }

  double(): number {
    return this.#bytes.readDoubleLE(this.#skip(8))
  }

  string(): string {
    const length = this.length()
    const start = this.#skip(length)
    // One byte per character is the usual text, and short texts decode faster by hand.
    if (length < 16) {
      const bytes = this.#bytes
      let text = ''
      for (let i = start; i < start + length; i++) {
        const byte = bytes[i] as number
        if (byte > 0x7f) return this.#utf8(start, length)
        text += String.fromCharCode(byte)
      }
      return text
    }
    return this.#utf8(start, length)
  }

  #utf8(start: number, length: number): string {
    try {
      return decoder.decode(this.#bytes.subarray(start, start + length))
    } catch (error) {
      // Replacement characters would be other data (I6).
      throw new DataError('CONNECT_DATA_SERIALIZATION', 'Invalid Avro data: text that is no UTF-8', { cause: error })
    }
  }

  /** A copy: the message's bytes may be reused. */
  bytes(): Uint8Array {
    return this.raw(this.length())
  }

  /** So many bytes without a length before them, copied. */
  raw(length: number): Uint8Array {
    const start = this.#skip(length)
    return new Uint8Array(this.#bytes.subarray(start, start + length))
  }

  length(): number {
    const length = this.int()
    if (length < 0) throw broken('a negative length')
    return length
  }

  /** Number of items in the next block of an array or map; 0 ends it. */
  blockCount(): number {
    const count = this.long()
    if (count >= 0n) return this.#count(count)
    // The length of the block in bytes, for those who skip it.
    this.long()
    return this.#count(-count)
  }

  #count(count: bigint): number {
    if (count > 0x7fff_ffffn) throw broken('a block of more than 2^31 items')
    return Number(count)
  }

  #skip(count: number): number {
    const start = this.#at
    if (count > this.#bytes.length - start) throw broken('the data end too early')
    this.#at = start + count
    return start
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function broken(reason: string): DataError {
  return new DataError('CONNECT_DATA_SERIALIZATION', `Invalid Avro data: ${reason}`)
}
