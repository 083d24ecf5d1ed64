import type { ConfigEvent } from './config-log.ts'
import type { RestartRequest } from './herder.ts'
import { greaterRestart } from './restart-plan.ts'

/** What happened in the config topic since the herder's loop last looked. */
export interface Changes {
  /** A connector came or went: the work has to be dealt out anew. */
  readonly needsRebalance: boolean
  /** Known connectors with a new config. */
  readonly connectors: ReadonlySet<string>
  /** Connectors with a new set of task configs. */
  readonly tasks: ReadonlySet<string>
  /** Connectors with a new target state. */
  readonly targets: ReadonlySet<string>
}

/** Collects events between two turns of the loop; several for one connector count once. */
export class ConfigChanges {
  #needsRebalance = false
  #connectors = new Set<string>()
  #tasks = new Set<string>()
  #targets = new Set<string>()
  #restarts = new Map<string, RestartRequest>()

  add(event: ConfigEvent): void {
    switch (event.kind) {
      case 'connector-updated':
        if (event.isNew) this.#needsRebalance = true
        else this.#connectors.add(event.connector)
        break
      case 'connector-removed':
        this.#needsRebalance = true
        this.#connectors.delete(event.connector)
        this.#targets.delete(event.connector)
        this.#restarts.delete(event.connector)
        break
      case 'tasks-committed':
        this.#tasks.add(event.connector)
        break
      case 'target-state':
        this.#targets.add(event.connector)
        break
      case 'restart': {
        const waiting = this.#restarts.get(event.request.connector)
        this.#restarts.set(
          event.request.connector,
          waiting === undefined ? event.request : greaterRestart(waiting, event.request),
        )
        break
      }
      case 'session-key':
      case 'logger':
        // Seen in the snapshot, and acted on at once, respectively.
        break
    }
  }

  get isEmpty(): boolean {
    const { size } = this.#connectors
    return !this.#needsRebalance && size + this.#tasks.size + this.#targets.size + this.#restarts.size === 0
  }

  take(): Changes {
    const changes: Changes = {
      needsRebalance: this.#needsRebalance,
      connectors: this.#connectors,
      tasks: this.#tasks,
      targets: this.#targets,
    }
    this.#needsRebalance = false
    this.#connectors = new Set()
    this.#tasks = new Set()
    this.#targets = new Set()
    return changes
  }

  takeRestarts(): readonly RestartRequest[] {
    const restarts = [...this.#restarts.values()]
    this.#restarts = new Map()
    return restarts
  }
}
