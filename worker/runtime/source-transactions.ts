/**
 * Exactly-once commits of a source task (KIP-618): records and offsets in one transaction of the task's producer.
 * A boundary is every poll, an interval, or what the connector asks for.
 *
 * A commit takes some round trips, in which nothing is read: with one after each of many small batches a task would do
 * little else. So with `transaction.boundary=poll` batches that follow one another without a pause share a transaction,
 * as those of one larger batch would; see `#goesOn`.
 */
import { ConnectError, kindOf, toError } from '../api/errors.ts'
import type { SourceRecord } from '../api/record.ts'
import type { CommittedOffset, TransactionContext } from '../api/task.ts'
import type { OffsetWriter } from '../cluster/offset-writer.ts'
import type { Producer } from '../kafka/types.ts'
import type { SourceCommits } from './source-commits.ts'
import type { SubmittedRecords } from './submitted-records.ts'
import type { TaskEnvironment } from './task-environment.ts'
import type { SourceTaskMetrics } from './task-metrics.ts'
import type { TaskOffsets } from './task-offsets.ts'
import { type SourceOptions, taskName } from './task-options.ts'

export interface SourceTransactionsOptions {
  readonly producer: Producer
  /** Writes with the same producer. */
  readonly writer: OffsetWriter
  /** The sink of `writer`, told how each transaction ends. */
  readonly offsets: Pick<TaskOffsets, 'confirm' | 'discard'>
  readonly submitted: SubmittedRecords
  readonly options: SourceOptions
  readonly env: TaskEnvironment
  readonly metrics: SourceTaskMetrics
  readonly onCommitted: (offsets: readonly CommittedOffset[]) => Promise<void>
}

/** Commits take at most one part in this many and one of the time of a source that always has more. */
const workPerCommit = 16
/** However long commits take, records are not held back longer than this for the sake of the next ones, in ms. */
const mostHeldMs = 2000

type Boundary = 'poll' | 'interval' | 'connector'
type Request = 'commit' | 'abort'

export class SourceTransactions implements SourceCommits {
  readonly #options: SourceTransactionsOptions
  readonly #boundary: Boundary
  readonly #intervalMs: number
  readonly transaction: TransactionContext | null
  readonly #atRecord = new Map<SourceRecord, Request>()
  #atBatch: Request | null = null
  #open = false
  #records = 0
  #lastCommit: number
  /** How long the last commit took, in ms. */
  #commitMs = 0
  /** `#records` when the batch before was done. */
  #recordsBefore = 0

  constructor(options: SourceTransactionsOptions) {
    this.#options = options
    const given = options.options['transaction.boundary'].toLowerCase()
    this.#boundary = given === 'interval' || given === 'connector' ? given : 'poll'
    this.#intervalMs = options.options['transaction.boundary.interval.ms'] ?? options.env.settings.offsetFlushIntervalMs
    this.#lastCommit = options.env.clock.monotonicMs()
    this.transaction = this.#boundary === 'connector' ? this.#context() : null
  }

  #context(): TransactionContext {
    const request = (kind: Request, after: SourceRecord | undefined): void => {
      if (after === undefined) this.#atBatch = kind
      else this.#atRecord.set(after, kind)
    }
    return { commit: (after) => request('commit', after), abort: (after) => request('abort', after) }
  }

  start(): void {
    this.#lastCommit = this.#options.env.clock.monotonicMs()
  }

  async beforeSend(recordCount: number): Promise<void> {
    this.#records += recordCount
    this.#begin()
  }

  #begin(): void {
    if (this.#open) return
    this.#options.producer.beginTransaction()
    this.#open = true
  }

  nextBoundary(batch: readonly SourceRecord[], from: number): number {
    if (this.#atRecord.size > 0) {
      for (let i = from; i < batch.length; i++) if (this.#atRecord.has(batch[i] as SourceRecord)) return i + 1
    }
    return batch.length
  }

  async afterRecord(record: SourceRecord): Promise<void> {
    const request = this.#atRecord.get(record)
    if (request === undefined) return
    this.#atRecord.delete(record)
    await this.#end(request)
  }

  async afterBatch(): Promise<void> {
    const { clock } = this.#options.env
    switch (this.#boundary) {
      case 'poll':
        if (this.#goesOn()) return
        return await this.#end('commit')
      case 'interval':
        if (clock.monotonicMs() - this.#lastCommit >= this.#intervalMs) await this.#end('commit')
        return
      case 'connector': {
        const request = this.#atBatch
        this.#atBatch = null
        if (request !== null) await this.#end(request)
      }
    }
  }

  async persist(): Promise<void> {
    // Offsets that may be committed are part of the transaction of the records that follow.
  }

  get dueInMs(): number | null {
    if (this.#boundary === 'connector' || !this.#open) return null
    const elapsedMs = this.#options.env.clock.monotonicMs() - this.#lastCommit
    if (this.#boundary === 'interval') return Math.max(0, this.#intervalMs - elapsedMs)
    return Math.max(0, Math.min(this.#heldMs - elapsedMs, this.#commitMs))
  }

  /** How long after a commit the next one may wait, when there is always more. */
  get #heldMs(): number {
    return Math.min(workPerCommit * this.#commitMs, mostHeldMs)
  }

  /**
   * Whether the transaction is left open for the next batch: when the last commit has just been, and for as long as
   * batches come. A wait for the next one is cut short after the time of one commit (`dueInMs`), so nothing waits longer
   * than it would for a commit under way; a source that has been quiet commits at once.
   */
  #goesOn(): boolean {
    const came = this.#records > this.#recordsBefore
    this.#recordsBefore = this.#records
    return this.#open && came && this.#options.env.clock.monotonicMs() - this.#lastCommit < this.#heldMs
  }

  /** A pause or a healthy stop commits what is open; with boundaries of the connector only what it asked for. */
  async finish(): Promise<void> {
    if (this.#boundary === 'connector') {
      await this.afterBatch()
      if (this.#open) await this.#abort()
      return
    }
    await this.#end('commit')
  }

  async stop(): Promise<void> {
    // Nothing runs beside the loop.
  }

  async #end(request: Request): Promise<void> {
    const { clock } = this.#options.env
    const startedAt = clock.monotonicMs()
    try {
      if (request === 'abort') await this.#abort()
      const offsets = await this.#commit()
      this.#lastCommit = clock.monotonicMs()
      this.#commitMs = this.#lastCommit - startedAt
      this.#options.metrics.commit(this.#lastCommit - startedAt, true)
      await this.#confirm(offsets)
    } catch (error) {
      this.#options.metrics.commit(clock.monotonicMs() - startedAt, false)
      throw this.#failure(error)
    }
  }

  /** The records of the transaction are not to be seen, but their offsets stand (Connect 5.5). */
  async #abort(): Promise<void> {
    const { producer, env } = this.#options
    if (!this.#open) {
      env.logger.warn({}, 'The connector asked to abort a transaction, but none is open')
      return
    }
    // Outcomes first, so that the records count as dispatched and their offsets move.
    await producer.flush()
    await producer.abortTransaction()
    this.#options.offsets.discard()
    this.#open = false
    this.#records = 0
    this.#recordsBefore = 0
  }

  async #commit(): Promise<readonly CommittedOffset[]> {
    const { producer, writer, offsets: stored, submitted, metrics } = this.#options
    if (this.#open) await producer.flush()
    const offsets = submitted.takeCommittable()
    for (const { partition, offset } of offsets) writer.offset(partition, offset)
    if (!this.#open && !writer.dirty) return offsets
    this.#begin()
    await writer.flush()
    await producer.commitTransaction()
    stored.confirm()
    this.#open = false
    metrics.transaction(this.#records)
    this.#records = 0
    this.#recordsBefore = 0
    return offsets
  }

  async #confirm(offsets: readonly CommittedOffset[]): Promise<void> {
    try {
      await this.#options.onCommitted(offsets)
    } catch (error) {
      this.#options.env.logger.error(
        { error: toError(error) },
        'The task threw from commit; its offsets are durable all the same',
      )
    }
  }

  #failure(error: unknown): ConnectError {
    const name = taskName(this.#options.env.id)
    const cause = toError(error)
    if (kindOf(error) === 'fenced') {
      return new ConnectError(
        'fatal',
        'CONNECT_TRANSACTION_EXPIRED',
        `The task ${name} was unable to finish writing records to Kafka before its producer transaction expired. ` +
          'Raise producer.override.transaction.timeout.ms, or lower transaction.boundary.interval.ms, and restart the task',
        { cause },
      )
    }
    return new ConnectError(
      'fatal',
      'CONNECT_TRANSACTION_FAILED',
      `Failed to flush offsets and/or records for task ${name}`,
      { cause },
    )
  }
}
