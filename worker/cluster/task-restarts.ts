/**
 * Restarts of failed tasks by themselves (`errors.restart.*`): when, how often, and what the status says meanwhile.
 * Lives on the worker that owns the task: whoever takes the task over starts it anyway, and counts anew.
 */
import type { RawConfig } from '../api/connector.ts'
import type { Clock, Logger } from '../api/context.ts'
import { toError } from '../api/errors.ts'
import { parseRestartOptions, type RestartOptions } from '../config/restart-options.ts'
import type { TaskFailure } from '../runtime/task-failure.ts'
import type { TaskId } from '../runtime/worker-types.ts'
import { taskKey } from './work-set.ts'

/** What the status of a failed task shows of its restarts; only for connectors that ask for them. */
export interface RestartStatus {
  readonly code: string
  readonly reason: string
  /** Restarts in a row that came before this failure. */
  readonly attempts: number
  /** Milliseconds since 1970; null: it is not started again by itself. */
  readonly nextAttemptMs: number | null
}

export interface TaskRestartsOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** Fraction in [0, 1), for jitter. */
  readonly random: () => number
  /** Stops and starts the task within the herder's order of commands. */
  restart(id: TaskId): Promise<void>
}

interface Entry {
  attempts: number
  /** Monotonic ms of the last restart. */
  restartedMs: number
  /** The stop that belongs to a restart must not forget the count. */
  isRestarting: boolean
  /** Stopped since the restart was asked for: by the restart itself, or, when that fails, by somebody else. */
  isStopped: boolean
  readonly waiting: AbortController
}

/** Delay before restart number `attempt` (from 1), in ms: doubled each time, capped, up to a fifth shorter by jitter. */
export function restartDelayMs(options: RestartOptions, attempt: number, random: () => number): number {
  const longest = options['errors.restart.delay.max.ms']
  const wanted = options['errors.restart.delay.ms'] * 2 ** Math.min(attempt - 1, 40)
  return Math.min(wanted, longest) * (1 - random() / 5)
}

export class TaskRestarts {
  readonly #options: TaskRestartsOptions
  readonly #entries = new Map<string, Entry>()

  constructor(options: TaskRestartsOptions) {
    this.#options = options
  }

  /**
   * Plans the restart of a task that has just failed.
   * @returns what its status is to show; null when its connector asks for no restarts
   */
  failed(id: TaskId, failure: TaskFailure, config: RawConfig): RestartStatus | null {
    const options = this.#parse(id, config)
    if (options === null || options['errors.restart.max.attempts'] === 0) return null
    const { clock } = this.#options
    const before = this.#entries.get(taskKey(id))
    const ranLong =
      before !== undefined && clock.monotonicMs() - before.restartedMs > options['errors.restart.delay.max.ms']
    const attempts = before === undefined || ranLong ? 0 : before.attempts
    before?.waiting.abort()
    const max = options['errors.restart.max.attempts']
    const { code, reason } = failure
    if (!failure.isTransient || (max >= 0 && attempts >= max)) {
      this.#entries.delete(taskKey(id))
      return { code, reason, attempts, nextAttemptMs: null }
    }
    const entry = { attempts, restartedMs: 0, isRestarting: false, isStopped: false, waiting: new AbortController() }
    this.#entries.set(taskKey(id), entry)
    const delayMs = restartDelayMs(options, attempts + 1, this.#options.random)
    void this.#restartAfter(id, entry, delayMs)
    return { code, reason, attempts, nextAttemptMs: clock.now() + Math.round(delayMs) }
  }

  /** The task is stopped, by whom ever but a restart of this class: nothing is planned any more. */
  forget(id: TaskId): void {
    const entry = this.#entries.get(taskKey(id))
    if (entry === undefined) return
    if (entry.isRestarting) {
      entry.isStopped = true
      return
    }
    entry.waiting.abort()
    this.#entries.delete(taskKey(id))
  }

  /** Never rejects. A restart that the herder cannot do now, in a rebalance, is tried again after the same delay. */
  async #restartAfter(id: TaskId, entry: Entry, delayMs: number): Promise<void> {
    const { clock, logger } = this.#options
    const { signal } = entry.waiting
    for (;;) {
      await clock.sleep(delayMs, signal)
      if (signal.aborted) return
      entry.isRestarting = true
      entry.isStopped = false
      try {
        logger.info({ ...id, attempt: entry.attempts + 1 }, `restarting the failed task ${taskKey(id)}`)
        entry.restartedMs = clock.monotonicMs()
        entry.attempts++
        await this.#options.restart(id)
        return
      } catch (error) {
        entry.attempts--
        // Revoked, or deleted, before the herder came to it: the task is no longer this worker's (I7).
        if (entry.isStopped) {
          if (this.#entries.get(taskKey(id)) === entry) this.#entries.delete(taskKey(id))
          return
        }
        logger.warn({ ...id, error: toError(error), delayMs }, 'a failed task could not be restarted; tried again')
      } finally {
        entry.isRestarting = false
      }
    }
  }

  #parse(id: TaskId, config: RawConfig): RestartOptions | null {
    try {
      return parseRestartOptions(config)
    } catch (error) {
      this.#options.logger.warn({ ...id, error: toError(error) }, 'errors.restart.* cannot be read; no restart')
      return null
    }
  }
}
