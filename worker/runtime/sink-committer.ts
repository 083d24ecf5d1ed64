/** Offset commits of a sink task: numbered, one at a time, only what the task confirms (Connect 6.3; I1, I2). */
import type { Clock, Logger } from '../api/context.ts'
import { toError } from '../api/errors.ts'
import type { SinkTask } from '../api/task.ts'
import type { Offsets, TopicPartition } from '../api/topic-partition.ts'
import type { Consumer } from '../kafka/types.ts'
import { acceptOffsets, type SinkPositions } from './sink-positions.ts'
import type { SinkTaskMetrics } from './task-metrics.ts'

export interface SinkCommitterOptions {
  readonly task: SinkTask<unknown>
  readonly consumer: Consumer
  readonly positions: SinkPositions
  readonly metrics: SinkTaskMetrics
  readonly clock: Clock
  readonly logger: Logger
  readonly intervalMs: number
  readonly timeoutMs: number
  /** Ends the wait for reports, and a commit in flight. */
  readonly hard: AbortSignal
}

/** How often a commit under way is looked at, in ms. */
const inFlightPollMs = 50

interface InFlight {
  readonly sequence: number
  readonly startedAt: number
  readonly done: Promise<void>
}

export class SinkCommitter {
  readonly #options: SinkCommitterOptions
  #sequence = 0
  #inFlight: InFlight | null = null
  #requested = false
  #nextAt: number

  constructor(options: SinkCommitterOptions) {
    this.#options = options
    this.#nextAt = options.clock.monotonicMs() + options.intervalMs
  }

  /** When to call `tick` again, in ms from now; never negative. */
  get dueInMs(): number {
    // One commit at a time: while one is under way the next can only wait, but not in a loop without pause.
    if (this.#inFlight !== null) return inFlightPollMs
    return this.#requested ? 0 : Math.max(0, this.#nextAt - this.#options.clock.monotonicMs())
  }

  request(): void {
    this.#requested = true
  }

  /** Starts a commit when one is due; gives up waiting for one that is late. Call it once per iteration. */
  async tick(): Promise<void> {
    const { clock, intervalMs, timeoutMs, logger, metrics, positions } = this.#options
    const now = clock.monotonicMs()
    if (this.#inFlight === null && (this.#requested || now >= this.#nextAt)) {
      this.#requested = false
      this.#nextAt = now + intervalMs
      await this.#commit(positions.assignment(), false)
    }
    const late = this.#inFlight
    if (late !== null && clock.monotonicMs() - late.startedAt > timeoutMs) {
      logger.warn({ sequence: late.sequence, timeoutMs }, 'The commit of offsets timed out; its answer is ignored')
      metrics.commit(timeoutMs, false)
      this.#inFlight = null
    }
  }

  /**
   * Last commit of partitions that are about to go, in Connect's order: `preCommit`, `close`, then the broker, with
   * the generation that still owns them. Never rejects because of the commit. @throws what `close` throws
   */
  async commitAndClose(partitions: readonly TopicPartition[]): Promise<void> {
    // One at a time: an older commit must not arrive after this one.
    await this.#inFlight?.done
    await this.#commit(partitions, true)
  }

  async #commit(partitions: readonly TopicPartition[], closing: boolean): Promise<void> {
    const { task, positions, metrics, clock } = this.#options
    const startedAt = clock.monotonicMs()
    const asked = positions.delivered(partitions)
    let answer: Offsets | null = null
    if (asked.size > 0) {
      await this.#awaitReports(partitions)
      this.#sequence++
      metrics.sequence = this.#sequence
      try {
        // The task gets a map of its own: it may keep it.
        answer = task.preCommit === undefined ? asked : await task.preCommit(positions.delivered(partitions))
      } catch (error) {
        this.#preCommitFailed(error, asked, startedAt, closing)
      }
    }
    if (closing && partitions.length > 0) await task.close?.(partitions)
    if (answer === null) return
    const accepted = acceptOffsets(answer, asked, positions, (tp, offset, reason) =>
      this.#options.logger.warn({ ...tp, offset, reason }, 'Ignoring an offset that preCommit gave'),
    )
    if (accepted.kind === 'commit') await this.#send(accepted.offsets, startedAt, closing)
    else this.#succeeded(null, startedAt)
  }

  /** Offsets are not committed before the reports of their records are durable (KIP-610). */
  async #awaitReports(partitions: readonly TopicPartition[]): Promise<void> {
    for (const { topic, partition } of partitions) {
      const reports = this.#options.positions.get(topic, partition)?.reports
      if (reports === undefined || reports.size === 0) continue
      await Promise.all(reports)
    }
  }

  /** What was delivered since the last commit is delivered again: the task does not know it any more. */
  #preCommitFailed(error: unknown, asked: Offsets, startedAt: number, closing: boolean): void {
    const { logger, metrics, clock, consumer, positions } = this.#options
    metrics.commit(clock.monotonicMs() - startedAt, false)
    if (closing) {
      logger.warn({ error: toError(error) }, 'preCommit failed while closing; the last committed offsets stand')
      return
    }
    logger.error({ error: toError(error) }, 'preCommit failed; rewinding to the last committed offsets')
    for (const { topic, partition } of asked.keys()) {
      const position = positions.get(topic, partition)
      if (position === null) continue
      consumer.seek({ topic, partition }, position.committed)
      position.consumed = position.committed
      position.delivered = position.committed
    }
  }

  async #send(offsets: Offsets, startedAt: number, closing: boolean): Promise<void> {
    const sequence = this.#sequence
    if (closing) {
      await this.#sendOnce(offsets, sequence, startedAt)
      return
    }
    const done = this.#sendOnce(offsets, sequence, startedAt)
    const inFlight = { sequence, startedAt, done }
    this.#inFlight = inFlight
    void done.then(() => {
      if (this.#inFlight === inFlight) this.#inFlight = null
    })
  }

  /** Never rejects. */
  async #sendOnce(offsets: Offsets, sequence: number, startedAt: number): Promise<void> {
    const { consumer, logger, metrics, clock, hard } = this.#options
    try {
      await consumer.commit(offsets, hard)
    } catch (error) {
      metrics.commit(clock.monotonicMs() - startedAt, false)
      logger.error({ error: toError(error), sequence }, 'Commit of offsets failed; a later commit covers them')
      return
    }
    if (sequence !== this.#sequence) {
      // The late answer of an older commit: what was committed since is newer.
      metrics.commitSkipped()
      return
    }
    this.#succeeded(offsets, startedAt)
  }

  #succeeded(offsets: Offsets | null, startedAt: number): void {
    const { positions, metrics, clock } = this.#options
    if (offsets !== null) {
      for (const [{ topic, partition }, offset] of offsets) {
        const position = positions.get(topic, partition)
        if (position !== null) position.committed = offset
      }
    }
    metrics.activeCount = positions.activeCount()
    metrics.commit(clock.monotonicMs() - startedAt, true)
    metrics.commitCompleted()
  }
}
