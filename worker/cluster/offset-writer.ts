import type { SourceOffset, SourcePartition } from '../api/record.ts'
import type { Delivery, Producer } from '../kafka/types.ts'
import { encodeOffsetKey, encodeOffsetValue, partitionIdentity } from './offset-format.ts'

export interface OffsetRecord {
  readonly key: Uint8Array
  readonly value: Uint8Array | null
}

/** Where an `OffsetWriter` flushes to: the offset topic, or the file of a standalone worker. */
export interface OffsetSink {
  /** Resolves when every record is durable. @throws RetriableError, ConnectError: none may be counted as written */
  write(records: readonly OffsetRecord[], signal?: AbortSignal): Promise<void>
}

/** Writes offsets with a producer, within its open transaction if it is transactional. */
export function producerOffsetSink(producer: Producer, topic: string): OffsetSink {
  return {
    async write(records, signal) {
      if (records.length === 0) return
      await producer.partitionsOf(topic, signal)
      await producer.ready(signal)
      let failure: Error | null = null
      let open = records.length
      const outcome = Promise.withResolvers<void>()
      const settle = (count: number): void => {
        open -= count
        if (open > 0) return
        if (failure === null) outcome.resolve()
        else outcome.reject(failure)
      }
      const delivery: Delivery = {
        delivered: settle,
        failed: (count, error) => {
          failure ??= error
          settle(count)
        },
      }
      for (const { key, value } of records) {
        producer.append({ topic, partition: null, key, value, headers: [], timestamp: null }, delivery)
      }
      await untilAborted(outcome.promise, signal)
    },
  }
}

/** The promise, or a rejection with the signal's reason; the listener is gone afterwards. */
async function untilAborted(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return promise
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
    // The loser of the race may still reject; its outcome no longer matters.
    promise.catch(() => undefined)
  }
}

interface Entry {
  readonly partition: SourcePartition
  readonly offset: SourceOffset | null
}

/**
 * Collects the newest offset per source partition and flushes snapshots of them (Connect's `OffsetStorageWriter`).
 * One instance per task, in the task's own thread. Give it only offsets of acknowledged prefixes (I1, I2).
 */
export class OffsetWriter {
  readonly #connector: string
  readonly #sink: OffsetSink
  readonly #rawKey: (partition: SourcePartition) => Uint8Array | null
  #pending = new Map<string, Entry>()
  #flushing: Map<string, Entry> | null = null

  /**
   * @param rawKey key bytes already used in the topic for an equal partition, so that a partition written by another
   *   worker with its fields in another order does not get a second key
   */
  constructor(options: {
    readonly connector: string
    readonly sink: OffsetSink
    readonly rawKey?: (partition: SourcePartition) => Uint8Array | null
  }) {
    this.#connector = options.connector
    this.#sink = options.sink
    this.#rawKey = options.rawKey ?? (() => null)
  }

  /** Replaces what is known for this partition; null writes a tombstone. */
  offset(partition: SourcePartition, offset: SourceOffset | null): void {
    this.#pending.set(partitionIdentity(partition), { partition, offset })
  }

  /** Whether `flush` has anything to write. */
  get dirty(): boolean {
    return this.#pending.size > 0
  }

  /**
   * Writes everything given so far. When that fails, or `signal` aborts, the offsets are kept for the next flush,
   * beneath whatever came in meanwhile.
   * @returns number of partitions written
   * @throws DataError for offsets that cannot be stored; the sink's errors; Error when a flush is running already
   */
  async flush(signal?: AbortSignal): Promise<number> {
    if (this.#flushing !== null) throw new Error('a flush of these offsets is still running')
    const snapshot = this.#pending
    if (snapshot.size === 0) return 0
    this.#flushing = snapshot
    this.#pending = new Map()
    try {
      const records = Array.from(snapshot.values(), ({ partition, offset }) => ({
        key: this.#rawKey(partition) ?? encodeOffsetKey(this.#connector, partition),
        value: encodeOffsetValue(offset),
      }))
      await this.#sink.write(records, signal)
      return snapshot.size
    } catch (error) {
      for (const [identity, entry] of this.#pending) snapshot.set(identity, entry)
      this.#pending = snapshot
      throw error
    } finally {
      this.#flushing = null
    }
  }
}
