/** Records of the config topic: their texts, and what each does to the cluster state (spec of Connect 4.3). Pure. */
import type { RawConfig } from '../api/connector.ts'
import type { TargetState, TaskId } from '../runtime/worker-types.ts'
import { ClusterState, type SessionKey } from './cluster-state.ts'
import type { RestartRequest } from './herder.ts'

export const configKeys = {
  connector: (connector: string): string => `connector-${connector}`,
  task: (id: TaskId): string => `task-${id.connector}-${id.task}`,
  commit: (connector: string): string => `commit-${connector}`,
  targetState: (connector: string): string => `target-state-${connector}`,
  fencing: (connector: string): string => `tasks-fencing-${connector}`,
  restart: (connector: string): string => `restart-connector-${connector}`,
  logger: (namespace: string): string => `logger-cluster-${namespace}`,
  sessionKey: 'session-key',
} as const

export const configValues = {
  properties: (config: RawConfig): unknown => ({ properties: config }),
  commit: (taskCount: number): unknown => ({ tasks: taskCount }),
  /** Workers that know no STOPPED take it for PAUSED. */
  targetState: (state: TargetState): unknown => ({
    state: state === 'STOPPED' ? 'PAUSED' : state,
    'state.v2': state,
  }),
  fencing: (taskCount: number): unknown => ({ 'task-count': taskCount }),
  restart: (request: RestartRequest): unknown => ({
    'include-tasks': request.includeTasks,
    'only-failed': request.onlyFailed,
  }),
  logger: (level: string): unknown => ({ level }),
  sessionKey: (key: SessionKey): unknown => ({
    key: Buffer.from(key.key).toString('base64'),
    algorithm: key.algorithm,
    'creation-timestamp': key.createdMs,
  }),
} as const

/** What a record means to a running worker; told only for records read after the start. */
export type ConfigEvent =
  | { readonly kind: 'connector-updated'; readonly connector: string; readonly isNew: boolean }
  | { readonly kind: 'connector-removed'; readonly connector: string }
  | { readonly kind: 'tasks-committed'; readonly connector: string; readonly tasks: readonly TaskId[] }
  | { readonly kind: 'target-state'; readonly connector: string }
  | { readonly kind: 'session-key'; readonly key: SessionKey }
  | { readonly kind: 'restart'; readonly request: RestartRequest }
  | { readonly kind: 'logger'; readonly namespace: string; readonly level: string }

/** Outcome of one record: null event when nobody needs to know; `problem` for the log. */
export interface Applied {
  readonly event: ConfigEvent | null
  readonly problem: string | null
}

const silent: Applied = { event: null, problem: null }
const told = (event: ConfigEvent): Applied => ({ event, problem: null })
const rejected = (problem: string): Applied => ({ event: null, problem })

type JsonMap = Readonly<Record<string, unknown>>

function asMap(value: unknown): JsonMap | null {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as JsonMap) : null
}

function asConfig(value: unknown): RawConfig | null {
  const properties = asMap(asMap(value)?.['properties'])
  if (properties === null) return null
  for (const text of Object.values(properties)) if (text !== null && typeof text !== 'string') return null
  // Connect accepts, stores and shows null values; only a start refuses them (see `LocalWork`).
  return properties as RawConfig
}

function asInteger(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null
}

function parseTaskKey(key: string): TaskId | null {
  const match = /^task-(.+)-(\d+)$/s.exec(key)
  if (match?.[1] === undefined || match[2] === undefined) return null
  return { connector: match[1], task: Number(match[2]) }
}

/** Applies the records of the config topic in their order, by Connect's rules. One instance per process. */
export class ConfigLog {
  #offset = -1n
  #sessionKey: SessionKey | null = null
  readonly #connectorConfigs = new Map<string, RawConfig>()
  readonly #targetStates = new Map<string, TargetState>()
  readonly #taskCounts = new Map<string, number>()
  readonly #taskConfigs = new Map<string, ReadonlyMap<number, RawConfig>>()
  readonly #taskGenerations = new Map<string, number>()
  readonly #taskCountRecords = new Map<string, number>()
  readonly #appliedConfigs = new Map<string, RawConfig>()
  readonly #pendingFencing = new Set<string>()
  readonly #inconsistent = new Set<string>()
  /** Task configs that no commit has made valid yet. */
  readonly #deferred = new Map<string, Map<number, RawConfig>>()
  #snapshot: ClusterState | null = null

  snapshot(): ClusterState {
    this.#snapshot ??= new ClusterState({
      offset: this.#offset,
      sessionKey: this.#sessionKey,
      connectorConfigs: new Map(this.#connectorConfigs),
      targetStates: new Map(this.#targetStates),
      taskCounts: new Map(this.#taskCounts),
      taskConfigs: new Map(this.#taskConfigs),
      taskGenerations: new Map(this.#taskGenerations),
      taskCountRecords: new Map(this.#taskCountRecords),
      appliedConfigs: new Map(this.#appliedConfigs),
      pendingFencing: new Set(this.#pendingFencing),
      inconsistent: new Set(this.#inconsistent),
    })
    return this.#snapshot
  }

  /** An unparseable value changes nothing, not even the offset: every worker must count alike (2.3). */
  apply(key: string, value: Uint8Array | null, offset: bigint): Applied {
    let parsed: unknown = null
    if (value !== null) {
      try {
        parsed = JSON.parse(Buffer.from(value).toString('utf8'))
      } catch {
        return rejected('its value is not JSON')
      }
    }
    this.#offset = offset + 1n
    this.#snapshot = null
    if (key.startsWith('target-state-')) return this.#applyTargetState(key.slice('target-state-'.length), parsed)
    if (key.startsWith('connector-')) return this.#applyConnector(key.slice('connector-'.length), parsed)
    if (key.startsWith('task-')) return this.#applyTask(key, parsed)
    if (key.startsWith('commit-')) return this.#applyCommit(key.slice('commit-'.length), parsed)
    if (key.startsWith('restart-connector-')) return applyRestart(key.slice('restart-connector-'.length), parsed)
    if (key.startsWith('tasks-fencing-')) return this.#applyFencing(key.slice('tasks-fencing-'.length), parsed)
    if (key === 'session-key') return this.#applySessionKey(parsed)
    if (key.startsWith('logger-cluster-')) return applyLogger(key.slice('logger-cluster-'.length), parsed)
    return rejected('its key has no known prefix')
  }

  #applyTargetState(connector: string, value: unknown): Applied {
    if (value === null) {
      // A tombstone of a connector that exists means the default; otherwise it belongs to a deletion.
      this.#targetStates.delete(connector)
      return silent
    }
    const map = asMap(value)
    const text = map?.['state.v2'] ?? map?.['state']
    if (text !== 'STARTED' && text !== 'PAUSED' && text !== 'STOPPED') return rejected('it asks for an unknown state')
    const before = this.#targetStates.get(connector) ?? 'STARTED'
    this.#targetStates.set(connector, text)
    // A state written before its connector is that connector's initial state.
    if (before === text || !this.#connectorConfigs.has(connector)) return silent
    return told({ kind: 'target-state', connector })
  }

  #applyConnector(connector: string, value: unknown): Applied {
    if (value === null) {
      const existed = this.#connectorConfigs.delete(connector)
      this.#taskCounts.delete(connector)
      this.#taskConfigs.delete(connector)
      this.#deferred.delete(connector)
      this.#appliedConfigs.delete(connector)
      return existed ? told({ kind: 'connector-removed', connector }) : silent
    }
    const config = asConfig(value)
    if (config === null) return rejected('it has no properties')
    const isNew = !this.#connectorConfigs.has(connector)
    this.#connectorConfigs.set(connector, config)
    return told({ kind: 'connector-updated', connector, isNew })
  }

  #applyTask(key: string, value: unknown): Applied {
    const id = parseTaskKey(key)
    if (id === null) return rejected('its key names no task')
    const config = asConfig(value)
    if (config === null) return value === null ? silent : rejected('it has no properties')
    let deferred = this.#deferred.get(id.connector)
    if (deferred === undefined) {
      deferred = new Map()
      this.#deferred.set(id.connector, deferred)
    }
    deferred.set(id.task, config)
    return silent
  }

  #applyCommit(connector: string, value: unknown): Applied {
    const deferred = this.#deferred.get(connector)
    this.#deferred.delete(connector)
    const current = this.#connectorConfigs.get(connector)
    // Compaction keeps commits of connectors long deleted: one that is created again must not find its old tasks.
    if (current === undefined) return silent
    const count = asInteger(asMap(value)?.['tasks'])
    if (count === null) return rejected('it has no number of tasks')
    let isComplete = true
    for (let task = 0; task < count; task++) if (deferred?.has(task) !== true) isComplete = false
    if (isComplete) {
      if (deferred !== undefined) {
        this.#taskConfigs.set(connector, new Map([...(this.#taskConfigs.get(connector) ?? []), ...deferred]))
        this.#taskGenerations.set(connector, (this.#taskGenerations.get(connector) ?? -1) + 1)
      }
      this.#inconsistent.delete(connector)
      this.#appliedConfigs.set(connector, current)
    } else {
      this.#inconsistent.add(connector)
    }
    this.#taskCounts.set(connector, count)
    this.#pendingFencing.add(connector)
    const tasks = isComplete ? Array.from({ length: count }, (_, task) => ({ connector, task })) : []
    return told({ kind: 'tasks-committed', connector, tasks })
  }

  #applyFencing(connector: string, value: unknown): Applied {
    const count = asInteger(asMap(value)?.['task-count'])
    if (count === null) return value === null ? silent : rejected('it has no number of tasks')
    this.#taskCountRecords.set(connector, count)
    this.#pendingFencing.delete(connector)
    return silent
  }

  #applySessionKey(value: unknown): Applied {
    if (value === null) return silent
    const map = asMap(value)
    const key = map?.['key']
    const algorithm = map?.['algorithm']
    const createdMs = asInteger(map?.['creation-timestamp'])
    if (typeof key !== 'string' || typeof algorithm !== 'string' || createdMs === null) {
      return rejected('it is no session key')
    }
    this.#sessionKey = { key: Buffer.from(key, 'base64'), algorithm, createdMs }
    return told({ kind: 'session-key', key: this.#sessionKey })
  }
}

function applyRestart(connector: string, value: unknown): Applied {
  if (value === null) return silent
  const map = asMap(value)
  if (map === null) return rejected('it is no restart request')
  const request = {
    connector,
    onlyFailed: map['only-failed'] === true,
    includeTasks: map['include-tasks'] === true,
  }
  return told({ kind: 'restart', request })
}

function applyLogger(namespace: string, value: unknown): Applied {
  if (value === null) return silent
  const level = asMap(value)?.['level']
  return typeof level === 'string' ? told({ kind: 'logger', namespace, level }) : rejected('it has no level')
}
