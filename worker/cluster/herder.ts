/**
 * The commands of a worker, whatever its mode: the REST routes call these and nothing else. Every command rejects
 * with a `RequestError` (status and Connect's text) when it cannot be carried out; `NotLeaderError` makes the REST
 * layer forward the request.
 */
import type { RawConfig } from '../api/connector.ts'
import type { ConfigInfos, ConfigKeyInfo } from '../config/config-infos.ts'
import type { MetricSnapshot } from '../metrics/snapshot.ts'
import type {
  ConnectorOffsets,
  OffsetEntry,
  PluginInfo,
  ReportedState,
  TargetState,
  TaskId,
} from '../runtime/worker-types.ts'

export interface ConnectorInfo {
  readonly name: string
  readonly config: RawConfig
  readonly tasks: readonly TaskId[]
  readonly type: 'source' | 'sink' | 'unknown'
}

export interface StateInfo {
  readonly state: ReportedState
  readonly worker_id: string
  readonly version: string | null
  /** Present when the state is FAILED. */
  readonly trace: string | null
  /** Only with `errors.restart.max.attempts`, of a failed task: what it failed of, and when it starts again. */
  readonly restart?: {
    readonly code: string
    readonly reason: string
    readonly attempts: number
    /** ISO 8601 in UTC; null: not by itself. */
    readonly next_attempt: string | null
  }
}

export interface ConnectorStateInfo {
  readonly name: string
  readonly connector: StateInfo
  readonly tasks: readonly (StateInfo & { readonly id: number })[]
  readonly type: 'source' | 'sink' | 'unknown'
}

export interface TaskInfo {
  readonly id: TaskId
  readonly config: RawConfig
}

export interface RestartRequest {
  readonly connector: string
  readonly onlyFailed: boolean
  readonly includeTasks: boolean
}

export interface ServerInfo {
  readonly version: string
  readonly commit: string
  readonly kafka_cluster_id: string
}

export interface LoggerLevel {
  readonly level: string
  readonly last_modified: number | null
}

/** An internal request's proof (KIP-507), as taken from its headers; null when absent. */
export interface RequestSignature {
  readonly algorithm: string
  readonly signature: Uint8Array
  readonly body: Uint8Array
}

export type HealthStatus = 'starting' | 'healthy' | 'unhealthy'

export interface Herder {
  start(): Promise<void>
  /** Leaves the group, stops connectors and tasks, closes the stores. Idempotent. */
  stop(): Promise<void>

  serverInfo(): ServerInfo
  /** `host:port`. */
  readonly workerId: string
  health(): { readonly status: HealthStatus; readonly message: string }
  /** Rejects with the stage text when the herder's loop does not answer within `timeoutMs`. */
  ping(timeoutMs: number): Promise<void>
  /** Connect's sentence about what the worker is doing, or did last. */
  stage(): string

  connectors(): Promise<readonly string[]>
  connectorInfo(connector: string): Promise<ConnectorInfo>
  connectorConfig(connector: string): Promise<RawConfig>
  connectorStatus(connector: string): Promise<ConnectorStateInfo>
  taskStatus(id: TaskId): Promise<StateInfo & { readonly id: number }>
  tasks(connector: string): Promise<readonly TaskInfo[]>
  activeTopics(connector: string): Promise<readonly string[]>
  resetActiveTopics(connector: string): Promise<void>

  /**
   * Validates and stores a config. @throws RequestError 400 with all problems, 409 when it exists and may not be replaced
   */
  putConnector(
    connector: string,
    config: RawConfig,
    options: { readonly replace: boolean; readonly initialState: TargetState | null },
  ): Promise<{ readonly created: boolean; readonly info: ConnectorInfo }>
  /** Merges: a null removes the option. */
  patchConnector(connector: string, patch: Readonly<Record<string, string | null>>): Promise<ConnectorInfo>
  deleteConnector(connector: string): Promise<void>
  setTargetState(connector: string, target: TargetState): Promise<void>

  restartConnector(connector: string): Promise<void>
  /** KIP-745. @returns the status after the request was accepted */
  restartConnectorAndTasks(request: RestartRequest): Promise<ConnectorStateInfo>
  restartTask(id: TaskId): Promise<void>

  offsets(connector: string): Promise<ConnectorOffsets>
  /** @returns Connect's success message */
  alterOffsets(connector: string, offsets: readonly OffsetEntry[]): Promise<string>
  resetOffsets(connector: string): Promise<string>

  plugins(connectorsOnly: boolean): readonly PluginInfo[]
  pluginConfig(plugin: string, version: string | null): Promise<readonly ConfigKeyInfo[]>
  validate(config: RawConfig): Promise<ConfigInfos>

  /** Internal, leader only: a worker's new task configs. */
  putTaskConfigs(connector: string, configs: readonly RawConfig[], signature: RequestSignature | null): Promise<void>
  /** Internal, leader only: fence zombies of a source connector before its tasks start (KIP-618). */
  fenceZombieSourceTasks(connector: string, signature: RequestSignature | null): Promise<void>

  loggers(): ReadonlyMap<string, LoggerLevel>
  /** @returns the namespaces that changed in this worker */
  setLoggerLevel(namespace: string, level: string, scope: 'worker' | 'cluster'): Promise<readonly string[]>

  metrics(): Promise<readonly MetricSnapshot[]>
}
