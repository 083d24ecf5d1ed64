/** One record batch of the producer, from its first record to the broker's answer. */
import type { CompressionType } from './compression.ts'
import { readBatchHeader, readRecords } from './record-batch.ts'
import {
  addSequence,
  NO_PRODUCER,
  type ProducerState,
  RecordBatchBuilder,
  writeProducerState,
} from './record-batch-builder.ts'
import type { Delivery, RecordHeader } from './types.ts'

/** Part of a batch that shares one delivery object. */
interface Run {
  readonly delivery: Delivery
  count: number
}

export class ProducerBatch {
  readonly topic: string
  readonly partition: number
  /** Monotonic ms of its first record: start of `linger.ms` and `delivery.timeout.ms`. */
  readonly createdAt: number
  readonly #builder: RecordBatchBuilder
  readonly #runs: Run[] = []
  #sealed: Buffer | null = null
  /** Takes no more records. */
  closed = false
  /** Sequence of the first record; -1 before the first try, and again after a change of the producer id. */
  baseSequence = -1
  attempts = 0
  /** Monotonic ms before which it is not tried again. */
  retryAt = 0
  /** Told when the outcome is known. */
  onDone: (() => void) | null = null

  constructor(topic: string, partition: number, createdAt: number, builder: RecordBatchBuilder) {
    this.topic = topic
    this.partition = partition
    this.createdAt = createdAt
    this.#builder = builder
  }

  get count(): number {
    return this.#builder.count
  }

  /** Uncompressed bytes, as counted against `buffer.memory`. */
  get byteLength(): number {
    return this.#builder.byteLength
  }

  /** Where its records were written; free for others once `seal` has said so, or when the batch is done. */
  get buffer(): Buffer {
    return this.#builder.buffer
  }

  /** Whether the sealed bytes stand in storage of their own. */
  get hasMoved(): boolean {
    return this.#sealed !== null && this.#sealed.buffer !== this.#builder.buffer.buffer
  }

  tryAppend(
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[],
    upperBound: number,
    delivery: Delivery,
  ): boolean {
    if (this.closed || !this.#builder.tryAppend(timestamp, key, value, headers, upperBound)) return false
    const last = this.#runs[this.#runs.length - 1]
    if (last !== undefined && last.delivery === delivery) last.count++
    else this.#runs.push({ delivery, count: 1 })
    return true
  }

  /** Compresses once; later calls only renew the producer state. @param take see `RecordBatchBuilder.seal` */
  seal(
    compression: CompressionType,
    level: number | null,
    state: ProducerState,
    take: ((bytes: number) => Buffer) | null = null,
  ): Buffer {
    this.closed = true
    if (this.#sealed === null) this.#sealed = this.#builder.seal(compression, level, state, take)
    else writeProducerState(this.#sealed, state)
    return this.#sealed
  }

  /** The bytes as last sealed. */
  get sealed(): Buffer | null {
    return this.#sealed
  }

  delivered(baseOffset: bigint): void {
    let offset = baseOffset
    for (const { delivery, count } of this.#runs) {
      delivery.delivered(count, this.topic, this.partition, offset)
      if (offset >= 0n) offset += BigInt(count)
    }
    this.onDone?.()
  }

  failed(error: Error): void {
    for (const { delivery, count } of this.#runs) delivery.failed(count, error)
    this.onDone?.()
  }

  /**
   * Two batches with this one's records, for a broker that found it too large. Sequences stay those of the records.
   * @param limitBytes size of each new batch
   */
  split(limitBytes: number): readonly ProducerBatch[] {
    const bytes = this.#sealed ?? this.#builder.seal('none', null, NO_PRODUCER)
    const header = readBatchHeader(bytes, 0)
    if (header === null) return [this]
    const parts: ProducerBatch[] = []
    const runs = this.#runs.map((run) => ({ ...run }))
    let part: ProducerBatch | null = null
    let sequence = this.baseSequence
    for (const { timestamp, key, value, headers } of readRecords(bytes, header)) {
      while (runs[0]?.count === 0) runs.shift()
      const run = runs[0]
      if (run === undefined) break
      run.count--
      const bound = RecordBatchBuilder.sizeUpperBound(key, value, headers)
      if (part === null || !part.tryAppend(timestamp, key, value, headers, bound, run.delivery)) {
        if (part !== null && sequence >= 0) sequence = nextSequence(part)
        part = new ProducerBatch(
          this.topic,
          this.partition,
          this.createdAt,
          new RecordBatchBuilder(Buffer.allocUnsafe(bound + 128), limitBytes),
        )
        part.baseSequence = sequence
        part.attempts = this.attempts
        parts.push(part)
        part.tryAppend(timestamp, key, value, headers, bound, run.delivery)
      }
    }
    for (const split of parts) split.closed = true
    return parts
  }
}

/** Sequence that follows a batch. */
export function nextSequence(batch: ProducerBatch): number {
  return addSequence(batch.baseSequence, batch.count)
}
