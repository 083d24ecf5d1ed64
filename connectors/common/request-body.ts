import { createHash, type Hash } from 'node:crypto'
import { Readable } from 'node:stream'
import { crc32 } from 'node:zlib'

/**
 * Content of a request in pieces that follow each other, so that what was collected in many blocks is sent from them
 * without a copy. The pieces must not change before the request is answered; its sums are made once, however often the
 * request is repeated.
 */
export class RequestBody {
  readonly #pieces: Iterable<Uint8Array>
  /** Bytes of all pieces. */
  readonly length: number
  /**
   * Whether an attempt failed: its connection may go on sending from these pieces after a repetition was answered, so
   * nothing else may ever be written where they are.
   */
  mayStillBeRead = false
  readonly #hashContent: () => Hash
  #sha256: string | null = null

  /**
   * `pieces` may be made as they are asked for, equal ones each time. `length`: their bytes, where they are known.
   * `hashContent`: their SHA-256, where there is a cheaper way to it than through the pieces.
   */
  constructor(pieces: Iterable<Uint8Array>, length = lengthOf(pieces), hashContent?: () => Hash) {
    this.#pieces = pieces
    this.length = length
    this.#hashContent = hashContent ?? (() => this.#hash('sha256'))
  }

  /** Hexadecimal, for the signature. */
  get sha256(): string {
    return (this.#sha256 ??= this.#hashContent().digest('hex'))
  }

  md5(encoding: 'base64' | 'hex'): string {
    return this.#hash('md5').digest(encoding)
  }

  /** CRC-32, big-endian, base64: the form of `x-amz-checksum-crc32`. */
  crc32(): string {
    let sum = 0
    for (const piece of this.#pieces) sum = crc32(piece, sum)
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(sum)
    return bytes.toString('base64')
  }

  /** For one attempt: a piece as it is, several as a stream. */
  open(): Uint8Array | Readable {
    const rest = this.#pieces[Symbol.iterator]()
    let next = rest.next()
    if (next.done === true) return new Uint8Array()
    if (next.value.length === this.length) return next.value
    return new Readable({
      read() {
        this.push(next.done === true ? null : next.value)
        next = rest.next()
      },
    })
  }

  toBuffer(): Buffer {
    return Buffer.concat([...this.#pieces])
  }

  #hash(algorithm: 'sha256' | 'md5'): Hash {
    const hash = createHash(algorithm)
    for (const piece of this.#pieces) hash.update(piece)
    return hash
  }
}

function lengthOf(pieces: Iterable<Uint8Array>): number {
  let length = 0
  for (const piece of pieces) length += piece.length
  return length
}
