/**
 * Records that wait for their broker, as one queue of batches per partition. Appending copies a record once, into the
 * buffer of its batch; buffers are reused.
 */
import type { Clock } from '../api/context.ts'
import { DataError, RetriableError } from '../api/errors.ts'
import { remedied } from './errors.ts'
import { partitionOfKey } from './murmur2.ts'
import { ProducerBatch } from './producer-batch.ts'
import type { ProducerConfig } from './producer-config.ts'
import { BATCH_HEADER_BYTES, type ProducerState, RecordBatchBuilder } from './record-batch-builder.ts'
import type { Delivery, ProducerRecord } from './types.ts'

export interface PartitionQueue {
  readonly topic: string
  readonly partition: number
  /** Not under way, in sequence order; only the last may be open. */
  waiting: ProducerBatch[]
  /** Sent, not answered, in sequence order. */
  inFlight: ProducerBatch[]
  /** Sequence of the next batch that is sent for the first time. */
  nextSequence: number
  /** Sequence that the broker expects next: after the last acknowledged record. */
  ackedSequence: number
  /** Part of the open transaction. */
  inTransaction: boolean
}

interface TopicQueues {
  partitionCount: number
  readonly queues: PartitionQueue[]
  /** Partition of records without a key, changed after each `batch.size` bytes (KIP-794). */
  sticky: number
  stickyBytes: number
}

/** Smallest storage of a batch; it doubles up to `batch.size`. */
const INITIAL_BATCH_BYTES = 8 * 1024
/** Bytes of idle storage that are kept for reuse: for records, and for compressed batches under way. */
const POOL_BYTES = 2 * 1024 * 1024
const SEALED_POOL_BYTES = 1024 * 1024
/** Storage of compressed batches is a multiple of this, so that it fits the next one, too. */
const SEALED_STEP_BYTES = 4 * 1024

export class Accumulator {
  readonly #config: ProducerConfig
  readonly #clock: Clock
  readonly #topics = new Map<string, TopicQueues>()
  readonly #all: PartitionQueue[] = []
  readonly #pool: Buffer[] = []
  #pooledBytes = 0
  readonly #sealedPool: Buffer[] = []
  #sealedPooledBytes = 0
  #pendingBytes = 0
  readonly #incomplete = new Set<ProducerBatch>()

  constructor(config: ProducerConfig, clock: Clock) {
    this.#config = config
    this.#clock = clock
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  get queues(): readonly PartitionQueue[] {
    return this.#all
  }

  /** Batches without an outcome. */
  get incomplete(): ReadonlySet<ProducerBatch> {
    return this.#incomplete
  }

  topics(): string[] {
    return [...this.#topics.keys()]
  }

  setPartitionCount(topic: string, count: number): void {
    let queues = this.#topics.get(topic)
    if (queues === undefined) {
      queues = { partitionCount: 0, queues: [], sticky: -1, stickyBytes: 0 }
      this.#topics.set(topic, queues)
    }
    for (let partition = queues.queues.length; partition < count; partition++) {
      const queue: PartitionQueue = {
        topic,
        partition,
        waiting: [],
        inFlight: [],
        nextSequence: 0,
        ackedSequence: 0,
        inTransaction: false,
      }
      queues.queues.push(queue)
      this.#all.push(queue)
    }
    queues.partitionCount = count
  }

  queue(topic: string, partition: number): PartitionQueue | undefined {
    return this.#topics.get(topic)?.queues[partition]
  }

  /** @returns `new` when a batch began (its linger starts), `full` when one can go, `appended` otherwise */
  append(record: ProducerRecord, delivery: Delivery): 'new' | 'full' | 'appended' {
    const { key, value, headers } = record
    const upperBound = RecordBatchBuilder.sizeUpperBound(key, value, headers)
    this.#checkSize(record, upperBound)
    const topic = this.#topics.get(record.topic)
    if (topic === undefined) throw unknownTopic(record.topic)
    const queue = topic.queues[record.partition ?? this.#choose(topic, key, upperBound)]
    if (queue === undefined) throw unknownPartition(record)
    const timestamp = record.timestamp ?? this.#clock.now()
    const open = queue.waiting[queue.waiting.length - 1]
    if (open !== undefined) {
      const before = open.byteLength
      if (open.tryAppend(timestamp, key, value, headers, upperBound, delivery)) {
        this.#pendingBytes += open.byteLength - before
        return open.byteLength >= this.#config.batchBytes ? 'full' : 'appended'
      }
      open.closed = true
    }
    const builder = new RecordBatchBuilder(
      this.#takeBuffer(),
      Math.min(this.#config.batchBytes, this.#config.maxRequestBytes),
    )
    const batch = new ProducerBatch(queue.topic, queue.partition, this.#clock.monotonicMs(), builder)
    batch.tryAppend(timestamp, key, value, headers, upperBound, delivery)
    this.#pendingBytes += batch.byteLength
    this.#incomplete.add(batch)
    queue.waiting.push(batch)
    return open !== undefined || batch.byteLength >= this.#config.batchBytes ? 'full' : 'new'
  }

  /**
   * The bytes to send. Where compression has made them small, the storage of the plain records takes the next batch at
   * once: what waits for the broker then takes a few times less memory than its bounds count.
   */
  seal(batch: ProducerBatch, state: ProducerState): Buffer {
    const isFirst = batch.sealed === null
    const { compression, compressionLevel } = this.#config
    const bytes = batch.seal(compression, compressionLevel, state, this.#takeSealed)
    if (isFirst && batch.hasMoved) this.#giveBuffer(batch.buffer)
    return bytes
  }

  /** Takes a batch out of the books once its outcome is known; its storage is reused. */
  release(batch: ProducerBatch): void {
    if (!this.#incomplete.delete(batch)) return
    this.#pendingBytes -= batch.byteLength
    // Without an answer the socket may still hold the bytes.
    if (this.#config.acks === 0) return
    if (batch.sealed !== null && batch.hasMoved) this.#giveSealed(batch.sealed)
    else this.#giveBuffer(batch.buffer)
  }

  /** Puts the parts of a split batch into the books in its place. */
  replace(batch: ProducerBatch, parts: readonly ProducerBatch[]): void {
    this.#incomplete.delete(batch)
    this.#pendingBytes -= batch.byteLength
    for (const part of parts) {
      this.#incomplete.add(part)
      this.#pendingBytes += part.byteLength
    }
  }

  #checkSize({ topic }: ProducerRecord, upperBound: number): void {
    const bytes = upperBound + BATCH_HEADER_BYTES
    const limit = Math.min(this.#config.maxRequestBytes, this.#config.bufferBytes)
    if (bytes <= limit) return
    const option = limit === this.#config.maxRequestBytes ? 'max.request.size' : 'buffer.memory'
    throw new DataError(
      'CONNECT_KAFKA_RECORD_TOO_LARGE',
      remedied(
        `A record for topic ${topic} takes ${bytes} bytes; ${option} is ${limit}`,
        'CONNECT_KAFKA_RECORD_TOO_LARGE',
      ),
      { context: { topic, bytes, limit } },
    )
  }

  #choose(topic: TopicQueues, key: Uint8Array | null, bytes: number): number {
    if (key !== null) return partitionOfKey(key, topic.partitionCount)
    if (topic.sticky < 0 || topic.stickyBytes >= this.#config.batchBytes) {
      topic.sticky = Math.floor(Math.random() * topic.partitionCount)
      topic.stickyBytes = 0
    }
    topic.stickyBytes += bytes
    return topic.sticky
  }

  #takeBuffer(): Buffer {
    const reused = this.#pool.pop()
    if (reused === undefined)
      return Buffer.allocUnsafeSlow(Math.min(INITIAL_BATCH_BYTES, this.#config.batchBytes + BATCH_HEADER_BYTES))
    this.#pooledBytes -= reused.length
    return reused
  }

  readonly #takeSealed = (bytes: number): Buffer => {
    const reused = this.#sealedPool.pop()
    if (reused !== undefined) {
      this.#sealedPooledBytes -= reused.length
      if (reused.length >= bytes) return reused
    }
    return Buffer.allocUnsafeSlow(Math.ceil(bytes / SEALED_STEP_BYTES) * SEALED_STEP_BYTES)
  }

  #giveSealed({ buffer }: Buffer): void {
    if (this.#sealedPooledBytes + buffer.byteLength > SEALED_POOL_BYTES) return
    this.#sealedPool.push(Buffer.from(buffer))
    this.#sealedPooledBytes += buffer.byteLength
  }

  #giveBuffer(buffer: Buffer): void {
    if (this.#pooledBytes + buffer.length > POOL_BYTES) return
    this.#pool.push(buffer)
    this.#pooledBytes += buffer.length
  }
}

function unknownTopic(topic: string): RetriableError {
  return new RetriableError('CONNECT_KAFKA_UNKNOWN_TOPIC', `The metadata of topic ${topic} is not loaded`, {
    context: { topic },
  })
}

function unknownPartition({ topic, partition }: ProducerRecord): DataError {
  return new DataError(
    'CONNECT_KAFKA_RECORD_REFUSED',
    `Topic ${topic} has no partition ${partition}. Correct the partition of the record, or add partitions to the topic`,
    { context: { topic, partition } },
  )
}
