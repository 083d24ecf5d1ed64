/**
 * What the main thread and a host thread say to each other. Every message is plain data of a discriminated union;
 * requests carry ids and go in both directions; errors cross as `EncodedError`. When a host is gone, all that is
 * pending on it rejects.
 */
import type { RawConfig } from '../api/connector.ts'
import type { SourceOffset, SourcePartition } from '../api/record.ts'
import type { OffsetRecord } from '../cluster/offset-writer.ts'
import type { ConfigInfos, ConfigKeyInfo } from '../config/config-infos.ts'
import type { WorkerMode } from '../config/worker-config.ts'
import type { MetricSnapshot } from '../metrics/snapshot.ts'
import type { PluginModule } from '../plugins/catalog.ts'
import type { EncodedError } from '../util/error-codec.ts'
import type { TaskFailure } from './task-failure.ts'
import type { ReportedState, TargetState, TaskId } from './worker-types.ts'

/** Worker options that the runtime itself reads, parsed once on the main thread. */
export interface RuntimeSettings {
  /** `offset.flush.interval.ms` */
  readonly offsetFlushIntervalMs: number
  /** `offset.flush.timeout.ms` */
  readonly offsetFlushTimeoutMs: number
  /** `task.shutdown.graceful.timeout.ms`, for all that is stopped together. */
  readonly gracefulTimeoutMs: number
  /** `topic.creation.enable` */
  readonly topicCreationEnabled: boolean
  /** `topic.tracking.enable` */
  readonly topicTrackingEnabled: boolean
  /** `exactly.once.source.support=enabled` */
  readonly exactlyOnceSource: boolean
  /** `metrics.sample.window.ms` */
  readonly metricsWindowMs: number
  /** `metrics.num.samples` */
  readonly metricsSamples: number
  /** `offset.storage.topic`; null in standalone mode, where the main thread writes the offset file. */
  readonly offsetTopic: string | null
}

/** What a host needs before its first request. */
export interface HostInit {
  readonly mode: WorkerMode
  /** Worker options, references resolved. */
  readonly worker: RawConfig
  readonly settings: RuntimeSettings
  readonly clusterId: string
  /** Plugins beside the built-in ones. */
  readonly pluginModules: readonly PluginModule[]
  readonly logLevels: readonly (readonly [namespace: string, level: string])[]
  /** `WorkLease.shared`; null in a worker without a group. */
  readonly lease: SharedArrayBuffer | null
}

export interface TaskSpec {
  readonly id: TaskId
  /** References resolved. */
  readonly connectorConfig: RawConfig
  readonly taskConfig: RawConfig
  readonly target: TargetState
  readonly taskCount: number
  /** Whether `preflight.fence` and `preflight.verify` are to be called (exactly-once). */
  readonly preflight: boolean
}

export interface OffsetChange {
  /** Null when the request left it out: it is for the connector to refuse that. */
  readonly partition: SourcePartition | null
  readonly offset: SourceOffset | null
}

export interface SinkOffsetChange {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint | null
}

export interface GeneratedTaskConfigs {
  readonly type: 'source' | 'sink'
  readonly taskClass: string
  readonly configs: readonly RawConfig[]
}

/** Requests of the main thread. */
export interface HostCalls {
  ping: { params: null; result: null }
  'log.level': { params: { readonly namespace: string; readonly level: string | null }; result: null }
  metrics: { params: null; result: readonly MetricSnapshot[] }
  'task.start': { params: TaskSpec; result: null }
  'task.transition': { params: { readonly target: TargetState }; result: null }
  /** The topic is no longer listed as one that the connector uses; its next record names it again. */
  'task.topicForgotten': { params: { readonly topic: string }; result: null }
  /** Resolves when the task has ended; `hard` gives up what is in hand. */
  'task.stop': { params: { readonly hard: boolean }; result: null }
  'connector.start': {
    params: {
      readonly connector: string
      readonly epoch: number
      readonly config: RawConfig
      readonly target: TargetState
    }
    result: null
  }
  'connector.transition': { params: { readonly connector: string; readonly target: TargetState }; result: null }
  /** Stops what lives in the host, before it ends; nothing is asked of it afterwards. */
  close: { params: null; result: null }
  /** The connectors that live in the host when none of them has anything to watch; null when one has. */
  'connectors.idle': { params: null; result: readonly string[] | null }
  'connector.stop': { params: { readonly connector: string }; result: null }
  'connector.taskConfigs': {
    params: { readonly connector: string; readonly maxTasks: number }
    result: GeneratedTaskConfigs
  }
  'connector.alterSourceOffsets': {
    params: { readonly connector: string; readonly config: RawConfig; readonly offsets: readonly OffsetChange[] }
    result: boolean
  }
  'connector.alterSinkOffsets': {
    params: { readonly connector: string; readonly config: RawConfig; readonly offsets: readonly SinkOffsetChange[] }
    result: boolean
  }
  validate: { params: { readonly config: RawConfig }; result: ConfigInfos }
  'plugin.config': {
    params: { readonly name: string; readonly version: string | null }
    result: readonly ConfigKeyInfo[]
  }
}

/** Offsets with the key bytes under which they stand in the topic. */
export interface ReadOffset {
  readonly offset: SourceOffset | null
  readonly rawKey: Uint8Array | null
}

/** Requests of a host. */
export interface MainCalls {
  'offsets.read': {
    params: { readonly connector: string; readonly partitions: readonly SourcePartition[] }
    result: readonly ReadOffset[]
  }
  /** Standalone only: offsets go to the worker's file. */
  'offsets.write': { params: { readonly records: readonly OffsetRecord[] }; result: null }
  'preflight.fence': { params: null; result: null }
  'preflight.verify': { params: null; result: null }
}

/** News that nobody answers. */
export type HostEvent =
  | { readonly event: 'ready' }
  /** It answers nothing until it is ready again: it loads manifests. */
  | { readonly event: 'loading' }
  | {
      readonly event: 'task.state'
      readonly state: ReportedState
      readonly trace: string | null
      readonly version: string | null
      /** With FAILED. */
      readonly failure: TaskFailure | null
    }
  /** The task is over, by stop or failure; nothing comes after it. */
  | { readonly event: 'task.ended'; readonly metrics: readonly MetricSnapshot[] }
  | { readonly event: 'task.topic'; readonly topic: string }
  | {
      readonly event: 'connector.state'
      readonly connector: string
      readonly epoch: number
      readonly state: ReportedState
      readonly trace: string | null
      readonly version: string | null
    }
  | { readonly event: 'connector.reconfigure'; readonly connector: string; readonly epoch: number }
  /** Plugin code is about to run; when the thread does not answer any more, this one holds it. */
  | { readonly event: 'connector.calling'; readonly connector: string; readonly method: string }

type CallMap<C> = { [M in keyof C]: { params: unknown; result: unknown } }

export type RequestOf<C extends CallMap<C>> = {
  [M in keyof C]: { readonly kind: 'request'; readonly id: number; readonly method: M; readonly params: C[M]['params'] }
}[keyof C]

export type Response =
  | { readonly kind: 'response'; readonly id: number; readonly ok: true; readonly result: unknown }
  | { readonly kind: 'response'; readonly id: number; readonly ok: false; readonly error: EncodedError }

export type Handlers<C extends CallMap<C>> = { [M in keyof C]: (params: C[M]['params']) => Promise<C[M]['result']> }

export type MessageToHost = RequestOf<HostCalls> | Response
export type MessageToMain = RequestOf<MainCalls> | Response | ({ readonly kind: 'event' } & HostEvent)
