/**
 * What the herder asks of the part that runs connectors and tasks in this process. The herder decides what runs here
 * and in which state; the worker runs it, in threads of their own, and tells what became of it.
 */
import type { RawConfig } from '../api/connector.ts'
import type { SourceOffset, SourcePartition } from '../api/record.ts'
import type { ConfigInfos, ConfigKeyInfo } from '../config/config-infos.ts'
import type { MetricSnapshot } from '../metrics/snapshot.ts'
import type { TaskFailure } from './task-failure.ts'

/** What a user wants of a connector. */
export type TargetState = 'STARTED' | 'PAUSED' | 'STOPPED'

/** What a connector or task reports, as Connect shows it; DESTROYED is never shown (it is a tombstone). */
export type ReportedState = 'UNASSIGNED' | 'RUNNING' | 'PAUSED' | 'STOPPED' | 'FAILED' | 'RESTARTING' | 'DESTROYED'

export interface TaskId {
  readonly connector: string
  readonly task: number
}

/** News from running connectors and tasks; called on the main thread, never throws, never blocks. */
export interface WorkerListener {
  onConnectorState(connector: string, state: ReportedState, trace: string | null, version: string | null): void
  /** @param failure with FAILED: what became of the task, as the herder judges it; absent when nothing is known */
  onTaskState(
    id: TaskId,
    state: ReportedState,
    trace: string | null,
    version: string | null,
    failure?: TaskFailure | null,
  ): void
  /** The connector asked for `taskConfigs` to be called again. */
  onTaskReconfigurationRequested(connector: string): void
  /** A record of this task to, or from, this topic: the first, the first after `forgetTopic`, and now and then others. */
  onTopicActive(id: TaskId, topic: string): void
  /** A connector that starts has read the values of its references; they expire after so many ms, or never (null). */
  onConfigRead(connector: string, ttlMs: number | null): void
}

export interface TaskStart {
  readonly id: TaskId
  /** Connector options as stored: config provider references not resolved. */
  readonly connectorConfig: RawConfig
  readonly taskConfig: RawConfig
  readonly target: TargetState
  /** Number of tasks of this connector in the config topic; checked against `tasks.max`. */
  readonly taskCount: number
  /** Exactly-once only: runs before the task's transactions begin; rejects when the task may not start. */
  readonly preflight: TaskPreflight | null
}

/** Connect's start sequence of exactly-once source tasks (KIP-618), the parts that need the cluster. */
export interface TaskPreflight {
  /** Fences the producers of earlier generations. */
  fence(): Promise<void>
  /** After the fence: re-reads the config topic and checks that generation and assignment are unchanged. */
  verify(): Promise<void>
}

export interface PluginInfo {
  readonly class: string
  readonly type: 'source' | 'sink' | 'converter' | 'header_converter' | 'transformation' | 'predicate'
  readonly version: string
}

/** Offsets of one connector in the shape of `GET /connectors/{c}/offsets`. */
export type ConnectorOffsets =
  | {
      readonly type: 'source'
      readonly offsets: readonly { readonly partition: SourcePartition; readonly offset: SourceOffset | null }[]
    }
  | {
      readonly type: 'sink'
      /** A null offset deletes the committed offset of that partition. */
      readonly offsets: readonly {
        readonly topic: string
        readonly partition: number
        readonly offset: bigint | null
      }[]
    }

/** An entry of a PATCH body, as parsed JSON with exact integers; the worker checks its shape by connector type. */
export interface OffsetEntry {
  readonly partition: unknown
  readonly offset: unknown
}

export interface Worker {
  /** Connects what the tasks share (the offset store's reader) and starts the connector host. */
  start(listener: WorkerListener): Promise<void>

  connectors(): readonly string[]
  tasks(): readonly TaskId[]

  /**
   * Starts a connector instance and brings it into `target`. Resolves when its state has been reported (RUNNING,
   * PAUSED, STOPPED); rejects after FAILED has been reported.
   */
  startConnector(connector: string, config: RawConfig, target: TargetState): Promise<void>
  /** Brings a running instance into another state. */
  transitionConnector(connector: string, target: TargetState): Promise<void>
  /** Stops instances within the graceful deadline, reporting UNASSIGNED. Unknown names are ignored. */
  stopConnectors(connectors: readonly string[]): Promise<void>
  /**
   * Task configs of a running connector: what the plugin gave, plus `task.class` and, for sinks, `topics`; provider
   * references put back (raw). @throws ConnectError with Connect's text when there are more than `tasks.max`
   */
  taskConfigs(connector: string, config: RawConfig): Promise<readonly RawConfig[]>
  /** Tells configs apart by what their references stand for now, without showing it (I8). */
  configDigest(config: RawConfig): Promise<string>

  /** Starts a task; resolves when its start has been reported, as RUNNING, PAUSED or FAILED. Never rejects. */
  startTask(start: TaskStart): Promise<void>
  /** Pauses or resumes; STOPPED tasks are stopped by `stopTasks`. */
  transitionTask(id: TaskId, target: TargetState): void
  /** After a reset of the active topics: tasks of the connector that use the topic again say so (`onTopicActive`). */
  forgetTopic(connector: string, topic: string): void
  /** Stops tasks together, within `task.shutdown.graceful.timeout.ms`; late ones are disowned (I7). */
  stopTasks(ids: readonly TaskId[]): Promise<void>

  /** Full `config/validate`: all problems at once. Runs in the connector host, never on the main thread. */
  validate(config: RawConfig): Promise<ConfigInfos>
  plugins(connectorsOnly: boolean): readonly PluginInfo[]
  /** Options of any plugin. @throws NotFoundError */
  pluginConfig(name: string, version: string | null): Promise<readonly ConfigKeyInfo[]>
  /** Type of a connector by its config; 'unknown' when its class is not here. */
  connectorType(config: RawConfig): 'source' | 'sink' | 'unknown'

  connectorOffsets(connector: string, config: RawConfig): Promise<ConnectorOffsets>
  /**
   * Alters (or, with null, resets) the offsets of a stopped connector.
   * @returns Connect's success message
   * @throws RequestError with Connect's texts
   */
  alterOffsets(connector: string, config: RawConfig, offsets: readonly OffsetEntry[] | null): Promise<string>
  /** Exactly-once: fences the transactional producers of tasks `0 … taskCount-1`. */
  fenceZombies(connector: string, config: RawConfig, taskCount: number): Promise<void>

  metrics(): Promise<readonly MetricSnapshot[]>
  /** Changes the level of a logger namespace in this process and its threads; null resets to the inherited level. */
  setLogLevel(namespace: string, level: string | null): void

  /** Stops everything within the graceful deadline. Idempotent. */
  close(): Promise<void>
}
