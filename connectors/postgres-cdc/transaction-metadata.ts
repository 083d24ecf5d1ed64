/** `provide.transaction.metadata`: BEGIN and END records and the events' order within their transaction. */
import type { Struct } from '../../worker/api/data.ts'
import { type SourcePartition, SourceRecord } from '../../worker/api/record.ts'
import type { TransactionBlock } from './envelope.ts'
import { transactionKeySchema, transactionSchema } from './event-schemas.ts'
import type { Lsn } from './lsn.ts'
import type { StreamPosition } from './offsets.ts'

/** Name under which logical messages are counted. */
export const messageCollection = 'LOGICAL_DECODING_MESSAGE'

export interface TransactionOptions {
  readonly topic: string
  readonly partition: SourcePartition
}

/** Counters live in the position, and so survive a restart within a transaction. */
export class TransactionMetadata {
  readonly #options: TransactionOptions
  readonly #position: StreamPosition
  #total: number

  constructor(options: TransactionOptions, position: StreamPosition) {
    this.#options = options
    this.#position = position
    this.#total = [...position.transactionCounts.values()].reduce((sum, count) => sum + count, 0)
  }

  begin(xid: number, at: Lsn, tsMs: number): SourceRecord {
    this.#position.transactionId = String(xid)
    this.#position.transactionCounts.clear()
    this.#total = 0
    return this.#record('BEGIN', `${xid}:${at}`, tsMs, null)
  }

  end(xid: number, at: Lsn, tsMs: number): SourceRecord {
    // Debezium's offset of this record still has the transaction that it ends.
    const record = this.#record('END', `${xid}:${at}`, tsMs, this.#position.transactionCounts)
    this.#position.transactionId = null
    this.#position.transactionCounts.clear()
    return record
  }

  /** Counts an event of the open transaction. */
  next(collection: string, xid: number, at: Lsn): TransactionBlock {
    const order = (this.#position.transactionCounts.get(collection) ?? 0) + 1
    this.#position.transactionCounts.set(collection, order)
    this.#total += 1
    return { id: `${xid}:${at}`, totalOrder: this.#total, dataCollectionOrder: order }
  }

  #record(status: string, id: string, tsMs: number, counts: ReadonlyMap<string, number> | null): SourceRecord {
    const { topic, partition } = this.#options
    const collections =
      counts === null
        ? null
        : Array.from(counts, ([name, count]): Struct => ({ data_collection: name, event_count: BigInt(count) }))
    return new SourceRecord({
      sourcePartition: partition,
      sourceOffset: this.#position.offset(),
      topic,
      keySchema: transactionKeySchema,
      key: { id },
      valueSchema: transactionSchema,
      value: {
        status,
        id,
        event_count: counts === null ? null : BigInt(this.#total),
        data_collections: collections,
        ts_ms: BigInt(tsMs),
      },
    })
  }
}
