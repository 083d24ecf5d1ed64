/** Rows of `COPY … TO STDOUT` in text format, re-written as pgoutput tuples: snapshot and stream decode the same bytes. */
import { Cell } from './pgoutput.ts'

/** Rows of one buffer. */
export interface TupleBlock {
  readonly bytes: Buffer
  /** Offset of each row's column count. */
  readonly tuples: readonly number[]
}

const tab = 9
const newline = 10
const backslash = 92
const upperN = 78

/** Escapes of the text format beside octal ones. */
const escapes: Readonly<Record<number, number>> = { 98: 8, 102: 12, 110: 10, 114: 13, 116: 9, 118: 11 }

function isOctal(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 48 && byte <= 55
}

/**
 * Splits the text into lines and fields. Memory is one block and, at most, one unfinished line; a block is handed over
 * by `takeBlock` and never written to again.
 */
export class CopyTextSplitter {
  readonly #blockBytes: number
  #block: Buffer
  #used = 0
  #tuples: number[] = []
  #carry: Buffer | null = null

  /** @param blockBytes size of a block; a larger row gets a larger one */
  constructor(blockBytes = 96 * 1024) {
    this.#blockBytes = blockBytes
    this.#block = Buffer.allocUnsafeSlow(blockBytes)
  }

  /** Complete rows so far. */
  get rowCount(): number {
    return this.#tuples.length
  }

  /** Bytes of the rows so far. */
  get byteCount(): number {
    return this.#used
  }

  /** Takes bytes of the stream; lines may span calls. The chunk is not kept. */
  push(chunk: Buffer): void {
    const bytes = this.#carry === null ? chunk : Buffer.concat([this.#carry, chunk])
    this.#carry = null
    let at = 0
    for (;;) {
      const end = bytes.indexOf(newline, at)
      if (end < 0) break
      this.#row(bytes, at, end)
      at = end + 1
    }
    if (at < bytes.length) this.#carry = Buffer.from(bytes.subarray(at))
  }

  /** The rows so far; empties the splitter. */
  takeBlock(): TupleBlock {
    const block: TupleBlock = { bytes: this.#block, tuples: this.#tuples }
    this.#block = Buffer.allocUnsafeSlow(this.#blockBytes)
    this.#used = 0
    this.#tuples = []
    return block
  }

  #row(bytes: Buffer, start: number, end: number): void {
    // Each field takes its text, five bytes before it, and the separator goes.
    let fields = 1
    for (let i = start; i < end; i++) if (bytes[i] === tab) fields += 1
    this.#reserve(2 + (end - start) + fields * 5)
    const out = this.#block
    this.#tuples.push(this.#used)
    let to = this.#used
    // A table without captured columns gives empty lines.
    out.writeUInt16BE(fields, to)
    to += 2
    let at = start
    for (let i = 0; i < fields; i++) {
      let stop = at
      let escaped = false
      for (; stop < end && bytes[stop] !== tab; stop++) if (bytes[stop] === backslash) escaped = true
      if (escaped && stop - at === 2 && bytes[at + 1] === upperN) out[to++] = Cell.null
      else {
        const head = to
        out[head] = Cell.text
        to += 5
        to = escaped ? unescape(bytes, at, stop, out, to) : to + bytes.copy(out, to, at, stop)
        out.writeInt32BE(to - head - 5, head + 1)
      }
      at = stop + 1
    }
    this.#used = to
  }

  #reserve(size: number): void {
    if (this.#used + size <= this.#block.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#block.length * 2, this.#used + size))
    this.#block.copy(grown, 0, 0, this.#used)
    this.#block = grown
  }
}

function unescape(bytes: Buffer, start: number, end: number, out: Buffer, to: number): number {
  let at = start
  let next = to
  while (at < end) {
    const byte = bytes[at++] as number
    if (byte !== backslash || at >= end) {
      out[next++] = byte
      continue
    }
    const code = bytes[at++] as number
    if (isOctal(code)) {
      let value = code - 48
      for (let digits = 1; digits < 3 && at < end && isOctal(bytes[at]); digits++) {
        value = value * 8 + (bytes[at++] as number) - 48
      }
      out[next++] = value & 255
    } else out[next++] = escapes[code] ?? code
  }
  return next
}
