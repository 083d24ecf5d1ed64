import { RequestError } from '../api/errors.ts'
import type { Worker } from '../runtime/worker-types.ts'
import type { ConfigStore } from './config-store.ts'
import { configOf } from './views.ts'

export interface ZombieFencingOptions {
  readonly configs: ConfigStore
  readonly worker: Worker
  /** Runs work in the herder's loop. */
  submit<T>(work: () => Promise<T>): Promise<T>
}

const readTimeoutMs = 30_000

/**
 * The leader's part of KIP-618: before tasks of a new generation start, the producers of the one before are fenced,
 * and the new number of tasks is recorded. Concurrent requests for one connector share a round.
 */
export class ZombieFencing {
  readonly #options: ZombieFencingOptions
  readonly #rounds = new Map<string, Promise<void>>()

  constructor(options: ZombieFencingOptions) {
    this.#options = options
  }

  /** @throws RequestError 409 when new task configs came meanwhile; what the fencing itself throws */
  fence(connector: string): Promise<void> {
    const running = this.#rounds.get(connector)
    if (running !== undefined) return running
    const round = this.#round(connector).finally(() => this.#rounds.delete(connector))
    this.#rounds.set(connector, round)
    return round
  }

  async #round(connector: string): Promise<void> {
    const { configs, worker, submit } = this.#options
    const plan = await submit(async () => {
      await configs.readToEnd(AbortSignal.timeout(readTimeoutMs))
      const state = configs.snapshot()
      const config = configOf(state, connector)
      if (!state.pendingFencing(connector)) return null
      const generation = state.taskGeneration(connector)
      return { config, generation, before: state.taskCountRecord(connector), now: state.taskCount(connector) }
    })
    if (plan === null) return
    // With no record there were no transactional tasks; one task before and after has one transactional id, which
    // the new task's own producer fences.
    const isNeeded = plan.before !== null && !(plan.before === 1 && plan.now === 1)
    if (isNeeded && plan.before !== null) await worker.fenceZombies(connector, plan.config, plan.before)
    await submit(async () => {
      await configs.readToEnd(AbortSignal.timeout(readTimeoutMs))
      if (configs.snapshot().taskGeneration(connector) !== plan.generation) {
        throw new RequestError(
          409,
          'CONNECT_FENCING_OUTDATED',
          'Failed to complete zombie fencing because a new set of task configs was generated',
        )
      }
      await configs.putTaskCountRecord(connector, plan.now)
    })
  }
}
