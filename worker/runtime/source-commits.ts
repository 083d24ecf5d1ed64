import type { SourceRecord } from '../api/record.ts'
import type { TransactionContext } from '../api/task.ts'

/** The two ways of committing source offsets. */
export interface SourceCommits {
  start(): void
  /** Before records are appended. */
  beforeSend(recordCount: number): Promise<void>
  /** Index after the first record from `from` on that ends a transaction, or the end of the batch. */
  nextBoundary(batch: readonly SourceRecord[], from: number): number
  /** This record, at a boundary or at the end of its batch, has been dispatched or dropped. */
  afterRecord(record: SourceRecord): Promise<void>
  /** Every record of a poll has been dispatched; also called after an empty poll. */
  afterBatch(): Promise<void>
  /**
   * Everything that may be committed, before any record that is sent later can become durable.
   * @throws RetriableError when offsets cannot be committed now
   */
  persist(): Promise<void>
  /** For the plugin, with `transaction.boundary=connector`. */
  readonly transaction: TransactionContext | null
  /** When `afterBatch` wants to be called although no records come, in ms from now; null: never. */
  readonly dueInMs: number | null
  /** Everything that may be committed, at the end and before a pause. */
  finish(): Promise<void>
  stop(): Promise<void>
}
