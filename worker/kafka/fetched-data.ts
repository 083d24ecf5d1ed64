/** The bytes that one fetch brought for one partition, handed out in pieces. */
import { corrupt } from './errors.ts'
import type { AbortedTransaction, FetchAnswer } from './protocol/fetch.ts'
import { type BatchHeader, BatchRecords, controlType, readBatchHeader, readRecords } from './record-batch.ts'
import type { ConsumerRecord } from './types.ts'

export interface Piece {
  readonly records: readonly ConsumerRecord[]
  readonly nextOffset: bigint
  /** Size of the records, decompressed; within a batch taken as equally large. */
  readonly byteLength: number
}

/** The bytes of one fetch answer, which hold the data of several partitions. */
export class AnswerBytes {
  readonly #reuse: () => void
  #users = 0

  /** @param reuse called once, when the last user has gone */
  constructor(reuse: () => void) {
    this.#reuse = reuse
  }

  hold(): void {
    this.#users++
  }

  release(): void {
    if (--this.#users === 0) this.#reuse()
  }
}

export class FetchedData {
  readonly topic: string
  readonly partition: number
  readonly endOffset: bigint
  readonly byteLength: number
  readonly #readCommitted: boolean
  readonly #aborted: readonly AbortedTransaction[]
  readonly #abortedProducers = new Set<bigint>()
  #bytes: Buffer
  #nextAborted = 0
  /** Where the next batch starts in the bytes. */
  #at = 0
  #position: bigint
  /** What is left of the batch in hand; null between two batches. */
  #current: BatchRecords | null = null
  /** Mean size of the records of the batch in hand. */
  #recordBytes = 0
  #afterCurrent: bigint | null = null
  /** What the bytes are a part of; null once they are a copy. */
  #answer: AnswerBytes | null

  /** @param position offset that was asked for; a broker may send earlier records of the same batch */
  constructor(answer: FetchAnswer, position: bigint, readCommitted: boolean, answerBytes: AnswerBytes | null = null) {
    this.topic = answer.topic
    this.partition = answer.partition
    this.endOffset = readCommitted ? answer.lastStableOffset : answer.highWatermark
    this.#readCommitted = readCommitted
    this.#aborted = answer.aborted
    this.#bytes = answer.records
    this.byteLength = answer.records.length
    this.#position = position
    this.#answer = answerBytes
    answerBytes?.hold()
  }

  /** Offset after what was handed out so far. */
  get position(): bigint {
    return this.#position
  }

  /** Copies the bytes out of the broker's answer, so that data that has to wait does not keep the whole answer alive. */
  detach(): void {
    if (this.#bytes.buffer.byteLength <= this.#bytes.length * 2) return
    this.#bytes = Buffer.from(this.#bytes)
    // Records that were handed out may still be views of the answer, and nobody will tell when they are not.
    this.#answer = null
  }

  /**
   * Nothing more is taken from here. @returns what its records may still be views of, to be released when nobody looks
   * at them any more; null when that is left to the garbage collector
   */
  end(): AnswerBytes | null {
    const answer = this.#answer
    this.#answer = null
    return answer
  }

  /**
   * The next records, at most `maxRecords` and about `maxBytes`, one at least; possibly none, when only the position
   * moved. Null when all is handed out.
   * @throws ConnectError `CONNECT_KAFKA_CORRUPT`, `CONNECT_KAFKA_CODEC`: the position stays before the damaged batch
   */
  next(maxRecords: number, maxBytes: number): Piece | null {
    const start = this.#position
    let records: ConsumerRecord[] = []
    let byteLength = 0
    while (records.length < maxRecords && byteLength < maxBytes) {
      const current = this.#current
      if (current === null) {
        if (!this.#openNext(records.length > 0)) break
        continue
      }
      const fitting = Math.ceil((maxBytes - byteLength) / this.#recordBytes)
      const count = Math.min(current.left, maxRecords - records.length, fitting)
      const taken = current.take(count)
      if (records.length === 0) records = taken
      else for (const record of taken) records.push(record)
      byteLength += count * this.#recordBytes
      const last = taken.at(-1)
      if (last !== undefined) this.#position = last.offset + 1n
      if (current.left === 0) this.#leaveCurrent()
    }
    if (records.length === 0 && this.#position === start) return null
    return { records, nextOffset: this.#position, byteLength }
  }

  get isExhausted(): boolean {
    return this.#current === null && this.#at >= this.#bytes.length
  }

  /** @returns false when there is no further whole batch */
  #openNext(handedOut: boolean): boolean {
    let header: BatchHeader | null
    let records: BatchRecords | null
    try {
      header = readBatchHeader(this.#bytes, this.#at)
      if (header === null) {
        // A cut batch at the end is normal; a cut one at the very beginning would never be read.
        if (this.#at === 0 && this.#bytes.length > 0) throw corrupt(`The answer ends within the first record batch`)
        this.#at = this.#bytes.length
        return false
      }
      records = this.#visible(header)
    } catch (error) {
      // What came before the damage is delivered first; the next call meets the damage again.
      if (handedOut) return false
      throw error
    }
    this.#at = header.end
    this.#afterCurrent = header.nextOffset
    if (records === null) this.#leaveCurrent()
    else {
      this.#current = records
      this.#recordBytes = records.body.length / header.count
    }
    return true
  }

  /** The position after a batch is that of its header: also past compacted, control and aborted records. */
  #leaveCurrent(): void {
    if (this.#afterCurrent !== null && this.#afterCurrent > this.#position) this.#position = this.#afterCurrent
    this.#afterCurrent = null
    this.#current = null
  }

  /** Records of a batch from the position on that the isolation level lets through; null when there are none. */
  #visible(header: BatchHeader): BatchRecords | null {
    if (header.nextOffset <= this.#position) return null
    if (this.#readCommitted && header.producerId >= 0n) {
      for (;;) {
        const next = this.#aborted[this.#nextAborted]
        if (next === undefined || next.firstOffset > header.lastOffset) break
        this.#abortedProducers.add(next.producerId)
        this.#nextAborted++
      }
      if (header.control) {
        const [marker] = readRecords(this.#bytes, header)
        if (marker !== undefined && controlType(marker) === 'abort') this.#abortedProducers.delete(header.producerId)
      } else if (header.transactional && this.#abortedProducers.has(header.producerId)) return null
    }
    if (header.control) return null
    const records = new BatchRecords(this.#bytes, header)
    // All of it: damage is met before the first record of its batch is handed out.
    records.check()
    if (header.baseOffset < this.#position) records.skipTo(this.#position)
    return records.left === 0 ? null : records
  }
}
