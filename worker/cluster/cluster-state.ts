import type { RawConfig } from '../api/connector.ts'
import type { TargetState, TaskId } from '../runtime/worker-types.ts'
import type { Work } from './protocol.ts'

/** Key that signs requests between workers (KIP-507). */
export interface SessionKey {
  readonly key: Uint8Array
  /** HMAC algorithm under its Java name, e.g. `HmacSHA256`. */
  readonly algorithm: string
  /** Milliseconds since 1970. */
  readonly createdMs: number
}

/** All that a snapshot holds; see `ClusterState` for the meaning. */
export interface ClusterStateParts {
  readonly offset: bigint
  readonly sessionKey: SessionKey | null
  readonly connectorConfigs: ReadonlyMap<string, RawConfig>
  readonly targetStates: ReadonlyMap<string, TargetState>
  readonly taskCounts: ReadonlyMap<string, number>
  readonly taskConfigs: ReadonlyMap<string, ReadonlyMap<number, RawConfig>>
  readonly taskGenerations: ReadonlyMap<string, number>
  readonly taskCountRecords: ReadonlyMap<string, number>
  readonly appliedConfigs: ReadonlyMap<string, RawConfig>
  readonly pendingFencing: ReadonlySet<string>
  readonly inconsistent: ReadonlySet<string>
}

/** What the config topic says at one offset. Immutable; raw texts, config provider references not resolved. */
export class ClusterState {
  static readonly empty = new ClusterState({
    offset: -1n,
    sessionKey: null,
    connectorConfigs: new Map(),
    targetStates: new Map(),
    taskCounts: new Map(),
    taskConfigs: new Map(),
    taskGenerations: new Map(),
    taskCountRecords: new Map(),
    appliedConfigs: new Map(),
    pendingFencing: new Set(),
    inconsistent: new Set(),
  })

  readonly #parts: ClusterStateParts

  constructor(parts: ClusterStateParts) {
    this.#parts = parts
  }

  /** Offset of the last record read + 1; -1 when there is none. All workers must count alike. */
  get offset(): bigint {
    return this.#parts.offset
  }

  get sessionKey(): SessionKey | null {
    return this.#parts.sessionKey
  }

  /** Names, sorted. */
  connectors(): readonly string[] {
    return [...this.#parts.connectorConfigs.keys()].sort()
  }

  hasConnector(connector: string): boolean {
    return this.#parts.connectorConfigs.has(connector)
  }

  connectorConfig(connector: string): RawConfig | null {
    return this.#parts.connectorConfigs.get(connector) ?? null
  }

  /** STARTED where nothing was asked for. */
  targetState(connector: string): TargetState {
    return this.#parts.targetStates.get(connector) ?? 'STARTED'
  }

  /** Number of tasks of the last commit, complete or not. */
  taskCount(connector: string): number {
    return this.#parts.taskCounts.get(connector) ?? 0
  }

  /** Tasks 0 … count-1; none while the last commit is incomplete (its records were compacted away). */
  tasks(connector: string): readonly TaskId[] {
    if (this.#parts.inconsistent.has(connector)) return []
    return Array.from({ length: this.taskCount(connector) }, (_, task) => ({ connector, task }))
  }

  taskConfig(id: TaskId): RawConfig | null {
    if (this.#parts.inconsistent.has(id.connector) || id.task >= this.taskCount(id.connector)) return null
    return this.#parts.taskConfigs.get(id.connector)?.get(id.task) ?? null
  }

  /** In the order of `tasks`. */
  taskConfigsOf(connector: string): readonly RawConfig[] {
    return this.tasks(connector).map((id) => this.taskConfig(id) ?? {})
  }

  /** Counts the commits of a connector from 0; null when there was none. */
  taskGeneration(connector: string): number | null {
    return this.#parts.taskGenerations.get(connector) ?? null
  }

  /** Number of producers to fence before the next generation starts (KIP-618). */
  taskCountRecord(connector: string): number | null {
    return this.#parts.taskCountRecords.get(connector) ?? null
  }

  /** Connector config at the last complete commit of its tasks. */
  appliedConfig(connector: string): RawConfig | null {
    return this.#parts.appliedConfigs.get(connector) ?? null
  }

  /** Task configs were committed, and the producers of those before are not known to be fenced. */
  pendingFencing(connector: string): boolean {
    return this.#parts.pendingFencing.has(connector)
  }

  isInconsistent(connector: string): boolean {
    return this.#parts.inconsistent.has(connector)
  }

  /** All connectors and their tasks: what the leader deals out. */
  work(): Work {
    const connectors = this.connectors()
    return { connectors, tasks: connectors.flatMap((connector) => this.tasks(connector)) }
  }
}
