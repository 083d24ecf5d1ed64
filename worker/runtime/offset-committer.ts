/**
 * Offset commits of a source task outside of transactions: by timer, on stop; one at a time; only offsets of
 * acknowledged prefixes (I1, I2). What could not be written stays for the next commit.
 */
import type { Clock, Logger } from '../api/context.ts'
import { toError } from '../api/errors.ts'
import type { CommittedOffset } from '../api/task.ts'
import { partitionIdentity } from '../cluster/offset-format.ts'
import type { OffsetWriter } from '../cluster/offset-writer.ts'
import { deadline } from './run-state.ts'
import type { SubmittedRecords } from './submitted-records.ts'
import type { SourceTaskMetrics } from './task-metrics.ts'

export interface OffsetCommitterOptions {
  readonly submitted: SubmittedRecords
  readonly writer: OffsetWriter
  readonly metrics: SourceTaskMetrics
  readonly clock: Clock
  readonly logger: Logger
  readonly intervalMs: number
  readonly timeoutMs: number
  /** `task.commit`: the offsets are durable. What it throws is logged only, as in Connect. */
  readonly onCommitted: (offsets: readonly CommittedOffset[]) => Promise<void>
}

export class OffsetCommitter {
  readonly #options: OffsetCommitterOptions
  /** Given to the writer and not yet durable. */
  readonly #unconfirmed = new Map<string, CommittedOffset>()
  #running: Promise<boolean> | null = null
  #loop: Promise<void> | null = null
  readonly #stopped = new AbortController()

  constructor(options: OffsetCommitterOptions) {
    this.#options = options
  }

  /** Commits every `offset.flush.interval.ms`, from the end of one commit to the start of the next. */
  start(): void {
    this.#loop ??= this.#run()
  }

  async #run(): Promise<void> {
    const { clock, intervalMs } = this.#options
    while (!this.#stopped.signal.aborted) {
      await clock.sleep(intervalMs, this.#stopped.signal)
      if (!this.#stopped.signal.aborted) await this.commit()
    }
  }

  /** Ends the timer and waits for a commit that is running. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#loop
    await this.#running
  }

  /**
   * One commit; a call during another waits for it and then makes its own. Never rejects: a failure is logged and
   * counted. @returns whether offsets, if there were any, are durable
   */
  async commit(): Promise<boolean> {
    while (this.#running !== null) await this.#running
    const running = this.#commit()
    this.#running = running
    try {
      return await running
    } finally {
      this.#running = null
    }
  }

  async #commit(): Promise<boolean> {
    const { submitted, writer, metrics, clock, logger, timeoutMs, onCommitted } = this.#options
    const startedAt = clock.monotonicMs()
    for (const offset of submitted.takeCommittable()) {
      writer.offset(offset.partition, offset.offset)
      this.#unconfirmed.set(partitionIdentity(offset.partition), offset)
    }
    const offsets = [...this.#unconfirmed.values()]
    try {
      using limit = deadline(timeoutMs)
      await writer.flush(limit.signal)
    } catch (error) {
      metrics.commit(clock.monotonicMs() - startedAt, false)
      logger.error({ error: toError(error) }, 'Failed to commit offsets; they are kept for the next commit')
      return false
    }
    metrics.commit(clock.monotonicMs() - startedAt, true)
    this.#unconfirmed.clear()
    try {
      await onCommitted(offsets)
    } catch (error) {
      logger.error({ error: toError(error) }, 'The task threw from commit; its offsets are durable all the same')
    }
    return true
  }
}
