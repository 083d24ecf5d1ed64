import type { Clock, Logger, Metrics } from './context.ts'
import type { SourceOffset, SourcePartition } from './record.ts'
import type { ReadonlyTopicPartitionMap } from './topic-partition.ts'

/** Options as text, as users write them and as REST shows them. */
export type RawConfig = Readonly<Record<string, string>>

/** Reads offsets that are durable in the offset topic. */
export interface OffsetReader {
  /** One answer per partition, in the same order; null where nothing was ever committed. */
  read(partitions: readonly SourcePartition[], signal?: AbortSignal): Promise<readonly (SourceOffset | null)[]>
}

export interface ConnectorContext {
  readonly connector: string
  readonly logger: Logger
  readonly metrics: Metrics
  readonly clock: Clock
  /** The connector's options as text, config provider references resolved: what `taskConfigs` passes on. */
  readonly rawConfig: RawConfig
  /** Asks the worker to call `taskConfigs` again (e.g. the source's tables changed). */
  requestTaskReconfiguration(): void
  /** Fails the connector with this error; its tasks keep running. */
  raiseError(error: Error): void
}

export interface SourceConnectorContext extends ConnectorContext {
  readonly offsets: OffsetReader
}

interface Connector<C, Context extends ConnectorContext> {
  /**
   * False: after `start` nothing of it goes on by itself (no timer, socket or listener; it neither asks for new task
   * configs nor raises errors), and it keeps nothing between calls that `start` would not make again. The worker then
   * gives its thread back: it may call `stop` and drop the object while the connector stays RUNNING, and create and
   * start another one before it needs task configs again; its own metrics go with it. Absent: it watches something.
   */
  readonly watches?: boolean
  /** Starts monitoring, if there is anything to monitor. @throws ConfigError, ConnectError: the connector is FAILED */
  start(config: C, context: Context): Promise<void>
  /**
   * Full options of each task (the framework adds only `task.class` and `topics`), at most `maxTasks`; pure as far as
   * possible.
   */
  taskConfigs(maxTasks: number): Promise<readonly RawConfig[]>
  stop(): Promise<void>
}

export type ExactlyOnceSupport = 'supported' | 'unsupported'

export interface SourceConnector<C> extends Connector<C, SourceConnectorContext> {
  /** Whether source offsets and records may be committed in one transaction (KIP-618); absent: unknown. */
  exactlyOnceSupport?(config: C): ExactlyOnceSupport
  /** Whether the connector defines its own transaction boundaries; absent: no. */
  canDefineTransactionBoundaries?(config: C): boolean
  /**
   * Called before offsets are altered over REST (KIP-875). `null` offset means reset; a `null` partition stands for
   * one that the request left out, and has to be refused.
   * @returns whether the change is also carried out outside the offset topic
   * @throws RequestError when an offset cannot be right
   */
  alterOffsets?(
    config: C,
    offsets: readonly (readonly [SourcePartition | null, SourceOffset | null])[],
  ): Promise<boolean>
}

export interface SinkConnector<C> extends Connector<C, ConnectorContext> {
  /** As for sources, with consumer offsets; null resets. */
  alterOffsets?(config: C, offsets: ReadonlyTopicPartitionMap<bigint | null>): Promise<boolean>
}
