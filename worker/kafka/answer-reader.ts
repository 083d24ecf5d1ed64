/**
 * Puts a broker's answers together out of what a connection reads, past kafkajs, which makes a buffer of every read
 * and another of every answer. Large answers are read straight into storage that is used again when their receiver
 * gives it back: V8 counts a buffer of megabytes as garbage of the old generation, and marks the whole heap for every
 * few of them, which was a quarter of the CPU time of a busy sink.
 */
import { corrupt } from './errors.ts'

/** Read at a time while no large answer is under way. */
const SCRATCH_BYTES = 16 * 1024
const SIZE_BYTES = 4
/** Storage is made in multiples of this, so that answers of about the same size find it again. */
const STORAGE_STEP_BYTES = 256 * 1024
/** Larger storage is left to the garbage collector: one answer of an idle topic's backlog must not be kept for ever. */
const MOST_KEPT_BYTES = 9 * 1024 * 1024
/** One is filled while another is worked on; what a third partition still holds may be a third. */
const MOST_FREE = 2
/** Room that is made for an answer before any of it has come: its size may be nonsense. */
const MOST_TRUSTED_BYTES = 16 * 1024 * 1024

const nothing = Buffer.alloc(0)

export class AnswerReader {
  readonly #onAnswer: (answer: Buffer) => void
  #scratch: Buffer = nothing
  /** Bytes at the start of the scratch that belong to an answer whose size is not known yet: less than four. */
  #kept = 0
  /** A large answer under way: where it goes, its size, and how much of it is there. */
  #storage: Buffer | null = null
  #size = 0
  #filled = 0
  #free: Buffer[] = []
  /** Storage that its receiver has not given back. A receiver may also forget it. */
  readonly #lent = new WeakSet<ArrayBufferLike>()

  /** @param onAnswer an answer without its size; the bytes stay as they are, unless they are given to `reuse` */
  constructor(onAnswer: (answer: Buffer) => void) {
    this.#onAnswer = onAnswer
  }

  /** Where the next bytes of the connection are to be written; never empty. */
  target(): Buffer {
    if (this.#storage === null) {
      // Not before the connection is opened: most clients fetch nothing.
      if (this.#scratch === nothing) this.#scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
      return this.#scratch.subarray(this.#kept)
    }
    if (this.#filled === this.#storage.length) this.#storage = grown(this.#storage, this.#size)
    return this.#storage.subarray(this.#filled, this.#size)
  }

  /**
   * `count` bytes were written to the last `target`.
   * @throws ConnectError `CONNECT_KAFKA_CORRUPT` for an impossible size: the connection is of no use any more
   */
  advance(count: number): void {
    if (this.#storage === null) {
      this.#scan(this.#kept + count)
      return
    }
    this.#filled += count
    if (this.#filled < this.#size) return
    const answer = this.#storage.subarray(0, this.#size)
    this.#storage = null
    if (answer.buffer.byteLength >= STORAGE_STEP_BYTES) this.#lent.add(answer.buffer)
    this.#onAnswer(answer)
  }

  /** Nobody looks at the answer that these bytes are a view of any more. Does nothing for other bytes. */
  reuse({ buffer }: Buffer): void {
    if (!this.#lent.delete(buffer)) return
    if (buffer.byteLength <= MOST_KEPT_BYTES && this.#free.length < MOST_FREE) this.#free.push(Buffer.from(buffer))
  }

  /** The connection is idle: storage that waits for answers is not worth its memory. */
  shrink(): void {
    this.#free = []
  }

  /** A new connection begins: what an older one has cut off is dropped. */
  reset(): void {
    this.#kept = 0
    this.#storage = null
  }

  #scan(end: number): void {
    const scratch = this.#scratch
    let at = 0
    while (end - at >= SIZE_BYTES) {
      const size = scratch.readInt32BE(at)
      if (size < SIZE_BYTES) throw corrupt(`An answer of a broker claims ${size} bytes`)
      const start = at + SIZE_BYTES
      if (start + size > end) {
        this.#begin(size, start, end)
        return
      }
      at = start + size
      this.#onAnswer(Buffer.from(scratch.subarray(start, at)))
    }
    scratch.copyWithin(0, at, end)
    this.#kept = end - at
  }

  /** An answer that the scratch holds only the beginning of. */
  #begin(size: number, start: number, end: number): void {
    this.#storage = this.#storageFor(size)
    this.#size = size
    this.#filled = this.#scratch.copy(this.#storage, 0, start, end)
    this.#kept = 0
  }

  #storageFor(size: number): Buffer {
    if (size <= SCRATCH_BYTES) return Buffer.allocUnsafeSlow(size)
    const found = this.#free.findIndex((storage) => storage.length >= size)
    const [storage] = found < 0 ? [] : this.#free.splice(found, 1)
    if (storage !== undefined) return storage
    // Too small for what comes now.
    this.#free = []
    const bytes = Math.ceil(Math.min(size, MOST_TRUSTED_BYTES) / STORAGE_STEP_BYTES) * STORAGE_STEP_BYTES
    return Buffer.allocUnsafeSlow(bytes)
  }
}

function grown(storage: Buffer, size: number): Buffer {
  const larger = Buffer.allocUnsafeSlow(Math.min(size, storage.length * 2))
  storage.copy(larger)
  return larger
}
