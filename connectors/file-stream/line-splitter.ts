/** One line and where the next one begins. */
export interface Line {
  readonly text: string
  /** Bytes from the start of the stream to the end of this line, its terminator included. */
  readonly end: bigint
}

const lineFeed = 0x0a
const carriageReturn = 0x0d

/**
 * Cuts a stream of UTF-8 bytes into lines. `\n`, `\r` and `\r\n` end a line; what has no terminator yet is kept. A
 * `\r` at the very end is kept too, since a `\n` may follow. Positions are bytes: Kafka's own connector counts
 * characters and then skips as many bytes, which goes wrong after the first character beyond ASCII (I6).
 */
export class LineSplitter {
  #rest: Buffer = Buffer.alloc(0)
  #position: bigint
  /** Bytes of the rest that hold no terminator: not looked at again. */
  #searched = 0

  /** @param position bytes before the first that is pushed */
  constructor(position: bigint) {
    this.#position = position
  }

  /** Position after the last line taken. */
  get position(): bigint {
    return this.#position
  }

  /** Takes over a copy of `chunk`. */
  push(chunk: Uint8Array): void {
    this.#rest = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk])
  }

  /** Up to `maxCount` complete lines, appended to `out`. */
  take(maxCount: number, out: Line[]): void {
    const rest = this.#rest
    let start = 0
    let at = this.#searched
    while (out.length < maxCount) {
      while (at < rest.length && rest[at] !== lineFeed && rest[at] !== carriageReturn) at++
      if (at >= rest.length || (rest[at] === carriageReturn && at + 1 >= rest.length)) break
      const next = rest[at] === carriageReturn && rest[at + 1] === lineFeed ? at + 2 : at + 1
      this.#position += BigInt(next - start)
      out.push({ text: rest.toString('utf8', start, at), end: this.#position })
      start = next
      at = next
    }
    this.#rest = rest.subarray(start)
    this.#searched = at - start
  }
}
