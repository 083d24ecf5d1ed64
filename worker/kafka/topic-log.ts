/**
 * A compacted topic read whole and then followed: the base of the config, offset and status stores. Stands on the
 * client interfaces alone, so it runs on the fake as on the real clients.
 *
 * @see org.apache.kafka.connect.util.KafkaBasedLog
 */

import type { Clock } from '../api/context.ts'
import { ConnectError, RetriableError, toError } from '../api/errors.ts'
import { type Offsets, type TopicPartition, TopicPartitionMap } from '../api/topic-partition.ts'
import { systemClock } from '../util/clock.ts'
import { abortedError, kafkaError } from './errors.ts'
import type {
  Admin,
  Consumer,
  ConsumerBatch,
  Delivery,
  KafkaClientFactory,
  Producer,
  TopicLog,
  TopicLogOptions,
} from './types.ts'
import { withAbort } from './waiting.ts'

/** How long the topic's partitions are waited for (Connect's constant). */
const PARTITIONS_TIMEOUT_MS = 30_000
const FIRST_BACKOFF_MS = 100
const LAST_BACKOFF_MS = 1000
const POLL_MS = 1000

export function createTopicLog(
  clients: KafkaClientFactory,
  options: TopicLogOptions,
  clock: Clock = systemClock,
): TopicLog {
  return new KafkaTopicLog(clients, options, clock)
}

interface PendingRead {
  readonly ends: Offsets
  resolve(): void
  reject(error: Error): void
}

class KafkaTopicLog implements TopicLog {
  readonly #options: TopicLogOptions
  readonly #clock: Clock
  readonly #admin: Admin
  readonly #consumer: Consumer
  readonly #producer: Producer | null
  readonly #isolation: 'read_uncommitted' | 'read_committed'
  readonly #stop = new AbortController()
  #partitions: readonly TopicPartition[] = []
  /** Next offset per partition; what lies before it has been handed out. */
  readonly #positions = new TopicPartitionMap<bigint>()
  #reads: PendingRead[] = []
  /** Reads ask for end offsets one after the other, so they also complete in order. */
  #lastRead: Promise<unknown> = Promise.resolve()
  #tail: Promise<void> | null = null
  #closing: Promise<void> | null = null

  constructor(clients: KafkaClientFactory, options: TopicLogOptions, clock: Clock) {
    this.#options = options
    this.#clock = clock
    this.#admin = clients.admin(options.admin)
    const { 'group.id': _group, ...consumer } = options.consumer
    this.#consumer = clients.consumer({ ...consumer, 'enable.auto.commit': 'false', 'auto.offset.reset': 'earliest' })
    this.#producer = options.producer === null ? null : clients.producer(options.producer)
    this.#isolation =
      options.consumer['isolation.level']?.trim() === 'read_committed' ? 'read_committed' : 'read_uncommitted'
  }

  get partitionCount(): number {
    return this.#partitions.length
  }

  async start(signal?: AbortSignal): Promise<void> {
    const count = await this.#lookUpPartitions(signal)
    this.#partitions = Array.from({ length: count }, (_, partition) => ({ topic: this.#options.topic, partition }))
    this.#consumer.assign(this.#partitions)
    this.#tail = this.#follow()
    await this.readToEnd(signal)
  }

  async readToEnd(signal?: AbortSignal): Promise<void> {
    const previous = this.#lastRead
    const reading = this.#readToEnd(previous, signal)
    this.#lastRead = reading.catch(() => undefined)
    return reading
  }

  async #readToEnd(previous: Promise<unknown>, signal?: AbortSignal): Promise<void> {
    const what = `read ${this.#options.topic} to its end`
    await withAbort(previous, signal, what)
    await this.#producer?.flush(signal)
    const ends = await this.#endOffsets(what, signal)
    if (this.#stop.signal.aborted) throw closedError(this.#options.topic)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const read: PendingRead = { ends, resolve, reject }
    this.#reads.push(read)
    this.#completeReads()
    try {
      await withAbort(promise, signal, what)
    } finally {
      this.#reads = this.#reads.filter((other) => other !== read)
    }
  }

  /** Until the signal aborts: without the ends nobody can tell how far to read. */
  async #endOffsets(what: string, signal?: AbortSignal): Promise<Offsets> {
    for (let pause = FIRST_BACKOFF_MS; ; pause = Math.min(LAST_BACKOFF_MS, pause * 2)) {
      try {
        return await this.#admin.listOffsets(this.#partitions, 'latest', this.#isolation, signal)
      } catch (error) {
        if (signal?.aborted || this.#stop.signal.aborted) throw abortedError(what)
        if (!(error instanceof ConnectError) || error.kind !== 'retriable') throw error
        this.#options.onError(error)
        await this.#clock.sleep(pause, signal)
      }
    }
  }

  async send(
    records: readonly { readonly key: Uint8Array | null; readonly value: Uint8Array | null }[],
    signal?: AbortSignal,
  ): Promise<void> {
    const producer = this.#producer
    if (producer === null) throw kafkaError('CONNECT_KAFKA_CONFIG', `The log of ${this.#options.topic} is only read`)
    if (records.length === 0) return
    const { topic } = this.#options
    await producer.partitionsOf(topic, signal)
    await producer.ready(signal)
    const outcome = new Outcome(records.length)
    for (const { key, value } of records) {
      producer.append({ topic, partition: null, key, value, headers: [], timestamp: null }, outcome)
    }
    await producer.flush(signal)
    await withAbort(outcome.promise, signal, `write to ${topic}`)
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    this.#stop.abort()
    await this.#tail
    for (const read of this.#reads) read.reject(closedError(this.#options.topic))
    this.#reads = []
    const steps = [this.#producer?.close() ?? Promise.resolve(), this.#consumer.close(), this.#admin.close()]
    const failed = (await Promise.allSettled(steps)).filter((step) => step.status === 'rejected')
    if (failed.length > 0) {
      throw new AggregateError(
        failed.map((step) => toError(step.reason)),
        `Could not close the log of ${this.#options.topic}`,
      )
    }
  }

  async #lookUpPartitions(signal?: AbortSignal): Promise<number> {
    const { topic } = this.#options
    const deadline = this.#clock.monotonicMs() + PARTITIONS_TIMEOUT_MS
    let last: unknown = null
    for (let pause = FIRST_BACKOFF_MS; ; pause = Math.min(LAST_BACKOFF_MS, pause * 2)) {
      if (signal?.aborted) throw abortedError(`look up the partitions of ${topic}`)
      try {
        const left = AbortSignal.timeout(Math.max(1, Math.ceil(deadline - this.#clock.monotonicMs())))
        const description = await this.#admin.describeTopic(
          topic,
          signal === undefined ? left : AbortSignal.any([signal, left]),
        )
        if (description !== null && description.partitions > 0) return description.partitions
      } catch (error) {
        if (!(error instanceof ConnectError) || error.kind !== 'retriable') throw error
        last = error
      }
      if (this.#clock.monotonicMs() + pause >= deadline) throw lookUpError(topic, last)
      await this.#clock.sleep(pause, signal)
    }
  }

  // ---- the tail ------------------------------------------------------------------------------------------------------

  /** Never rejects; ends when the log is closed. */
  async #follow(): Promise<void> {
    const { signal } = this.#stop
    let pause = FIRST_BACKOFF_MS
    while (!signal.aborted) {
      try {
        const batches = await this.#consumer.poll(POLL_MS, signal)
        for (const batch of batches) this.#apply(batch)
        await this.#learnPositions(signal)
        this.#completeReads()
        pause = FIRST_BACKOFF_MS
      } catch (error) {
        if (signal.aborted) return
        const failure = toError(error)
        this.#options.onError(failure)
        // What does not pass by itself must not leave a reader waiting.
        if (!(failure instanceof ConnectError) || failure.kind !== 'retriable') {
          for (const read of this.#reads) read.reject(failure)
        }
        await this.#clock.sleep(pause, signal)
        pause = Math.min(LAST_BACKOFF_MS, pause * 2)
      }
    }
  }

  /** Copies: a log keeps single values for long, and a view would keep the whole fetch. */
  #apply(batch: ConsumerBatch): void {
    for (const { offset, timestamp, key, value } of batch.records) {
      this.#options.onRecord({
        partition: batch.partition,
        offset,
        timestamp,
        key: key === null ? null : Uint8Array.from(key),
        value: value === null ? null : Uint8Array.from(value),
      })
    }
    this.#positions.set(batch.topic, batch.partition, batch.nextOffset)
  }

  /** Empty partitions bring no batch that would tell their position. */
  async #learnPositions(signal: AbortSignal): Promise<void> {
    if (this.#reads.length === 0) return
    for (const tp of this.#partitions) {
      if (this.#positions.has(tp.topic, tp.partition)) continue
      this.#positions.set(tp.topic, tp.partition, await this.#consumer.position(tp, signal))
    }
  }

  #completeReads(): void {
    while (this.#reads[0] !== undefined && this.#reached(this.#reads[0].ends)) this.#reads.shift()?.resolve()
  }

  #reached(ends: Offsets): boolean {
    for (const [{ topic, partition }, end] of ends.entries()) {
      // 0: never written, so nothing to wait for.
      if (end > 0n && (this.#positions.get(topic, partition) ?? 0n) < end) return false
    }
    return true
  }
}

/** One promise for all records of a `send`; settles when each has an outcome. */
class Outcome implements Delivery {
  readonly #settled = Promise.withResolvers<void>()
  #left: number
  #error: Error | null = null

  constructor(count: number) {
    this.#left = count
    // `send` may give up before it waits; a failure then has no other reader.
    this.#settled.promise.catch(() => undefined)
  }

  get promise(): Promise<void> {
    return this.#settled.promise
  }

  delivered(count: number): void {
    this.#count(count)
  }

  failed(count: number, error: Error): void {
    this.#error ??= error
    this.#count(count)
  }

  #count(count: number): void {
    this.#left -= count
    if (this.#left > 0) return
    if (this.#error === null) this.#settled.resolve()
    else this.#settled.reject(this.#error)
  }
}

function closedError(topic: string): RetriableError {
  return new RetriableError('CONNECT_KAFKA_CLOSED', `The log of ${topic} was closed`)
}

function lookUpError(topic: string, cause: unknown): ConnectError {
  return new ConnectError(
    'fatal',
    'CONNECT_KAFKA_UNKNOWN_TOPIC',
    `Could not look up partition metadata for topic '${topic}' in the allotted period. This could indicate a connectivity issue, unavailable topic partitions, or if this is your first use of the topic it may have taken too long to create.`,
    { cause },
  )
}
