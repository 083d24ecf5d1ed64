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
/** Blocks that are kept for later rows. */
const mostFree = 8

/** Escapes of the text format beside octal ones. */
const escapes: Readonly<Record<number, number>> = { 98: 8, 102: 12, 110: 10, 114: 13, 116: 9, 118: 11 }

function isOctal(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 48 && byte <= 55
}

/**
 * Splits the text into lines and fields. Memory is one block and, at most, one unfinished line; a block is handed over
 * by `takeBlock` and not written to before it comes back by `reuse`.
 */
export class CopyTextSplitter {
  readonly #blockBytes: number
  #block: Buffer
  #used = 0
  #tuples: number[] = []
  #carry: Buffer | null = null
  readonly #free: Buffer[] = []

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
  push(chunk: Buffer, start = 0, end = chunk.length): void {
    let bytes = chunk
    let at = start
    let stop = end
    if (this.#carry !== null) {
      bytes = Buffer.concat([this.#carry, chunk.subarray(start, end)])
      this.#carry = null
      at = 0
      stop = bytes.length
    }
    // The server sends whole lines; another cut is possible all the same.
    const whole = bytes[stop - 1] === newline ? stop : bytes.lastIndexOf(newline, stop - 1) + 1
    while (at < whole) at = this.#row(bytes, at, whole)
    if (at < stop) this.#carry = Buffer.from(bytes.subarray(at, stop))
  }

  /** The rows so far; empties the splitter. */
  takeBlock(): TupleBlock {
    const block: TupleBlock = { bytes: this.#block, tuples: this.#tuples }
    this.#block = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#blockBytes)
    this.#used = 0
    this.#tuples = []
    return block
  }

  /** A block that nobody looks at any more. */
  reuse({ bytes }: TupleBlock): void {
    // One that a single huge row made grow is not kept.
    if (this.#free.length < mostFree && bytes.length <= 4 * this.#blockBytes) this.#free.push(bytes)
  }

  /** One line, of which `bytes` holds the end before `limit`. @returns where the next one begins */
  #row(bytes: Buffer, start: number, limit: number): number {
    this.#reserve(bytes, start, limit)
    const out = this.#block
    this.#tuples.push(this.#used)
    const head = this.#used
    let to = head + 2
    let at = start
    // A table without captured columns gives empty lines: one field, too.
    let fields = 0
    for (let byte = tab; byte !== newline; fields++) {
      const cell = to
      to += 5
      const from = at
      byte = bytes[at++] as number
      while (byte !== tab && byte !== newline && byte !== backslash) {
        out[to++] = byte
        byte = bytes[at++] as number
      }
      if (byte === backslash) {
        let stop = at
        while (bytes[stop] !== tab && bytes[stop] !== newline) stop++
        byte = bytes[stop] as number
        if (stop - from === 2 && bytes[at] === upperN) {
          out[cell] = Cell.null
          to = cell + 1
          at = stop + 1
          continue
        }
        to = unescape(bytes, at - 1, stop, out, to)
        at = stop + 1
      }
      const length = to - cell - 5
      out[cell] = Cell.text
      out[cell + 1] = length >>> 24
      out[cell + 2] = length >>> 16
      out[cell + 3] = length >>> 8
      out[cell + 4] = length
    }
    out[head] = fields >>> 8
    out[head + 1] = fields
    this.#used = to
    return at
  }

  /** Room for one row: each field takes its text, five bytes before it, and the separator goes. */
  #reserve(bytes: Buffer, start: number, limit: number): void {
    const most = 2 + 6 * (limit - start)
    if (this.#used + most <= this.#block.length) return
    const end = bytes.indexOf(newline, start)
    let fields = 1
    for (let i = start; i < end; i++) if (bytes[i] === tab) fields += 1
    const size = 2 + (end - start) + fields * 5
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
