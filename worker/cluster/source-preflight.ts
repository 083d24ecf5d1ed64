import type { Clock } from '../api/context.ts'
import { ConnectError, kindOf, RequestError } from '../api/errors.ts'
import type { TaskId, TaskPreflight } from '../runtime/worker-types.ts'
import { taskKey } from './work-set.ts'

export interface SourcePreflightOptions {
  readonly clock: Clock
  /** One request to the leader, whoever that is now, or the leader's own round. */
  fence(connector: string): Promise<void>
  /** Reads the config topic to its end. */
  readConfigs(): Promise<void>
  /** Null while there are no task configs. */
  taskGeneration(connector: string): number | null
  /** Whether the task is still of this worker. */
  runsTask(id: TaskId): boolean
}

const firstPauseMs = 100
const lastPauseMs = 2_000
/** A leader that is gone is replaced within a session; who refuses for longer does not mean the moment. */
const patienceMs = 60_000

/**
 * What an exactly-once source task asks of the cluster before it begins (KIP-618). Connect asks for the fencing once
 * and fails the task when the leader has just left, or the session key just changed; here it is asked again, since
 * nothing has been fenced and the task has written nothing.
 */
export class SourcePreflight {
  readonly #options: SourcePreflightOptions

  constructor(options: SourcePreflightOptions) {
    this.#options = options
  }

  /** For one start of a task, which belongs to the task configs of this moment. */
  of(id: TaskId): TaskPreflight {
    const generation = this.#options.taskGeneration(id.connector)
    return { fence: () => this.#fence(id), verify: () => this.#verify(id, generation) }
  }

  async #fence(id: TaskId): Promise<void> {
    const { clock } = this.#options
    const deadline = clock.monotonicMs() + patienceMs
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, lastPauseMs)) {
      try {
        return await this.#options.fence(id.connector)
      } catch (error) {
        if (!mayPass(error) || clock.monotonicMs() >= deadline) throw error
      }
      await clock.sleep(pauseMs)
      this.#requireOwned(id)
    }
  }

  async #verify(id: TaskId, generation: number | null): Promise<void> {
    await this.#options.readConfigs()
    if (this.#options.taskGeneration(id.connector) !== generation) {
      throw new ConnectError(
        'fenced',
        'CONNECT_TASK_GENERATION',
        `Cannot start source task ${taskKey(id)} with exactly-once support as the connector has already generated a new set of task configs`,
      )
    }
    this.#requireOwned(id)
  }

  #requireOwned(id: TaskId): void {
    if (this.#options.runsTask(id)) return
    throw new ConnectError(
      'fenced',
      'CONNECT_TASK_REVOKED',
      `Cannot start source task ${taskKey(id)} as it has already been revoked from this worker`,
    )
  }
}

/** No leader, no answer of it, another leader, a rebalance, new task configs, or a key that not everybody has read. */
function mayPass(error: unknown): boolean {
  if (kindOf(error) === 'retriable') return true
  if (!(error instanceof RequestError)) return false
  const isUnanswered = error.code === 'CONNECT_FORWARD_FAILED' && error.cause !== undefined
  return isUnanswered || error.status === 403 || error.status === 409 || error.status === 503
}
