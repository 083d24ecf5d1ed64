import type { ByteWriter } from './converter.ts'

/**
 * A `ByteWriter` over one growing Buffer. Not shared between threads; one per task is enough, since a record is
 * copied out before the next one is written.
 */
export class GrowingByteWriter implements ByteWriter {
  #buffer: Buffer
  #length = 0

  constructor(initialBytes = 64 * 1024) {
    this.#buffer = Buffer.allocUnsafeSlow(initialBytes)
  }

  get length(): number {
    return this.#length
  }

  /** The bytes of `[start, end)`; a view that the next write may invalidate. */
  view(start: number, end: number): Uint8Array {
    return this.#buffer.subarray(start, end)
  }

  byte(value: number): void {
    if (this.#length === this.#buffer.length) this.#grow(1)
    this.#buffer[this.#length++] = value
  }

  bytes(source: Uint8Array, start = 0, end = source.length): void {
    const count = end - start
    if (this.#length + count > this.#buffer.length) this.#grow(count)
    if (count < 24) {
      const target = this.#buffer
      let at = this.#length
      for (let i = start; i < end; i++) target[at++] = source[i] as number
    } else {
      this.#buffer.set(start === 0 && end === source.length ? source : source.subarray(start, end), this.#length)
    }
    this.#length += count
  }

  ascii(text: string): void {
    const count = text.length
    if (this.#length + count > this.#buffer.length) this.#grow(count)
    if (count < 16) {
      const target = this.#buffer
      let at = this.#length
      for (let i = 0; i < count; i++) target[at++] = text.charCodeAt(i)
    } else {
      this.#buffer.write(text, this.#length, 'latin1')
    }
    this.#length += count
  }

  utf8(text: string): void {
    const count = text.length
    const most = count * 3
    if (this.#length + most > this.#buffer.length) this.#grow(most)
    if (count >= 24 || !this.#short(text, count)) this.#length += this.#buffer.write(text, this.#length, 'utf8')
  }

  /** @returns whether all of it was ASCII; otherwise it has not been written */
  #short(text: string, count: number): boolean {
    const target = this.#buffer
    let at = this.#length
    for (let i = 0; i < count; i++) {
      const code = text.charCodeAt(i)
      if (code > 0x7f) return false
      target[at++] = code
    }
    this.#length = at
    return true
  }

  decimal(value: number): void {
    if (value < 0 || !Number.isSafeInteger(value)) {
      this.ascii(String(value))
      return
    }
    if (this.#length + mostDigits > this.#buffer.length) this.#grow(mostDigits)
    if (value < billion) {
      this.#length = writeDigits(this.#buffer, this.#length, value, digitCount(value))
      return
    }
    const high = Math.floor(value / billion)
    const at = writeDigits(this.#buffer, this.#length, high, digitCount(high))
    this.#length = writeDigits(this.#buffer, at, value - high * billion, 9)
  }

  reserve(count: number): Uint8Array {
    if (this.#length + count > this.#buffer.length) this.#grow(count)
    return this.#buffer
  }

  advance(count: number): void {
    this.#length += count
  }

  mark(): number {
    return this.#length
  }

  rollback(mark: number): void {
    this.#length = mark
  }

  since(mark: number): Uint8Array {
    return this.#buffer.subarray(mark, this.#length)
  }

  reset(): void {
    this.#length = 0
  }

  #grow(needed: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#length + needed))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }
}

/** Digits of 2^53. */
const mostDigits = 16
const billion = 1_000_000_000

/** Of an integer below 10^9. */
function digitCount(value: number): number {
  if (value < 1000) return value < 10 ? 1 : value < 100 ? 2 : 3
  if (value < 1_000_000) return value < 10_000 ? 4 : value < 100_000 ? 5 : 6
  return value < 10_000_000 ? 7 : value < 100_000_000 ? 8 : 9
}

/** The last `count` digits of an integer below 10^9. @returns the position behind them */
function writeDigits(out: Uint8Array, start: number, value: number, count: number): number {
  let rest = value | 0
  for (let at = start + count - 1; at >= start; at--) {
    const tens = (rest / 10) | 0
    out[at] = 48 + rest - tens * 10
    rest = tens
  }
  return start + count
}
