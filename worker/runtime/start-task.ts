/** Start of a plugin's task, the same for sources and sinks. */
import { kindOf } from '../api/errors.ts'
import { type RetryPolicy, retryDelayMs } from './retry.ts'
import type { TaskEnvironment } from './task-environment.ts'

/**
 * Retries of `start`, `poll`, `put` and sends, whatever `errors.retry.timeout` says about records: until the task
 * stops. How often is capped so that a recovery is noticed soon.
 */
export const endlessRetry: RetryPolicy = { timeoutMs: -1, maxDelayMs: 10_000 }

interface Startable<C, X> {
  start(config: C, context: X): Promise<void>
  stop(): Promise<void>
}

/**
 * Creates and starts a task; after a retriable failure a new one, until `soft` aborts. A task that failed to start is
 * stopped, so that it can release what it had opened.
 * @returns null when a stop came first
 * @throws what `start` threw, unless it is retriable
 */
export async function startTask<C, X, T extends Startable<C, X>>(options: {
  readonly create: () => Promise<T>
  readonly config: C
  readonly context: X
  readonly env: Pick<TaskEnvironment, 'clock' | 'logger' | 'random'>
  readonly soft: AbortSignal
}): Promise<T | null> {
  const { create, config, context, env, soft } = options
  const { clock, logger, random } = env
  for (let failures = 1; ; failures++) {
    const task = await create()
    try {
      await task.start(config, context)
      return task
    } catch (error) {
      await stopFailed(task, env)
      if (kindOf(error) !== 'retriable') throw error
      const delayMs = retryDelayMs(failures, endlessRetry, Infinity, random)
      logger.warn({ error, delayMs }, 'start failed with a retriable error; the task is started again')
      await clock.sleep(delayMs, soft)
      if (soft.aborted) return null
    }
  }
}

/** The failure of the start is what is reported, not that of the stop after it. */
async function stopFailed(
  task: Pick<Startable<never, never>, 'stop'>,
  { logger }: Pick<TaskEnvironment, 'logger'>,
): Promise<void> {
  try {
    await task.stop()
  } catch (error) {
    logger.warn({ error }, 'the task threw from stop after its start had failed; it counts as stopped')
  }
}
