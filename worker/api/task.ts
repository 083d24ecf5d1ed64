import type { OffsetReader, RawConfig } from './connector.ts'
import type { Clock, Logger, Metrics, TopicProducer, TopicReader, TopicReaderOptions } from './context.ts'
import type { SinkRecord, SourceOffset, SourcePartition, SourceRecord } from './record.ts'
import type { Offsets, TopicPartition } from './topic-partition.ts'

export interface TaskContext {
  readonly connector: string
  readonly task: number
  readonly logger: Logger
  readonly metrics: Metrics
  readonly clock: Clock
  /** Writes to another topic than the records' own; acknowledged by all in-sync replicas. Opened on first use. */
  readonly producer: TopicProducer
  /** The task's options as text, config provider references resolved. */
  readonly rawConfig: RawConfig
}

export interface SourceTaskContext extends TaskContext {
  readonly offsets: OffsetReader
  /** Set when `transaction.boundary=connector` (KIP-618). */
  readonly transaction: TransactionContext | null
  /** Entries of the worker's `plugin.path`: all that code named by a connector's config may be loaded from. */
  readonly pluginPath: readonly string[]
  /**
   * Moves the offset of a partition without a record, e.g. past what concerns nobody. Called from within `poll`, when
   * everything that the offset covers has been returned by an earlier one: it is committed behind those records, and
   * then handed to `commit` like any other (the idea of KIP-910).
   */
  advance(partition: SourcePartition, offset: SourceOffset): void
  /**
   * As `advance`, but resolves only when no record that `poll` returns later can become durable without this offset: at
   * once where records and offsets share transactions, else when the offset is committed, which is not put off to
   * `offset.flush.interval.ms`. For a first offset, without which a crash would leave records that no start goes on
   * from.
   * @throws RetriableError when offsets cannot be committed now
   */
  persist(partition: SourcePartition, offset: SourceOffset): Promise<void>
  /** A reader of a topic that tells the task something, e.g. signals; the task closes it. */
  readTopic(options: TopicReaderOptions): TopicReader
}

/** Transaction boundaries set by the connector; a request takes effect after the batch, or after the given record. */
export interface TransactionContext {
  commit(after?: SourceRecord): void
  abort(after?: SourceRecord): void
}

/** A source partition with the offset that is now durable. */
export interface CommittedOffset {
  readonly partition: SourcePartition
  readonly offset: SourceOffset
}

export interface SourceTask<C> {
  /** @throws ConfigError, RetriableError (started again), ConnectError: the task is FAILED */
  start(config: C, context: SourceTaskContext): Promise<void>
  /**
   * Next batch in source order, `[]` when nothing came. Blocks until there is data or `signal` (the soft signal)
   * aborts; the framework adds no delay. Called again after a RetriableError, with back-off.
   */
  poll(signal: AbortSignal): Promise<readonly SourceRecord[]>
  /**
   * Offsets that are durable in the offset topic: the only place to confirm progress to the source (I1).
   * Called after a flush, also with an empty list when there was nothing to flush.
   */
  commit?(committed: readonly CommittedOffset[]): Promise<void>
  /** Called once, after the last `poll` has returned and the last `commit` was made. */
  stop(): Promise<void>
}

export interface SinkTaskContext extends TaskContext {
  /**
   * As `producer`, with the task's options that begin with `prefix` (`notify.kafka.`) over it, as far as the worker's
   * `connector.client.config.override.policy` allows. With `bootstrap.servers` among them it talks to another cluster:
   * then nothing is taken over from the worker, whose credentials are not for that one. The framework closes it.
   * @throws ConfigError naming the options that the policy forbids
   */
  producerWith(prefix: string): TopicProducer
  assignment(): readonly TopicPartition[]
  /** Stops delivery of these partitions until `resume`. @throws RequestError for a partition that is not assigned */
  pause(partitions: readonly TopicPartition[]): void
  resume(partitions: readonly TopicPartition[]): void
  /** Delivers again from this offset, after the current `put`. */
  seek(partition: TopicPartition, offset: bigint): void
  /** Upper bound in ms of the wait before the next `put`; applies once. */
  timeout(ms: number): void
  requestCommit(): void
  /**
   * Reports one record that could not be written (KIP-610): log, dead letter queue; throws when `errors.tolerance`
   * is `none`. Offsets of the record's partition are not committed before the report is durable.
   */
  report(record: SinkRecord, error: Error): Promise<void>
}

export interface SinkTask<C> {
  /**
   * Whether `put` looks at `SinkRecord.rawValue`, so that JSON may come in its bytes; read after `start`. For a task
   * that touches every `value` it costs more than it saves.
   */
  readonly takesPlainJson?: boolean
  /**
   * Whether nothing of a record's bytes (`rawValue`, a `value` touched for the first time, bytes as such) is looked at
   * after the `put` that wrote or buffered it has returned, so that what is read next may take their place; read after
   * `start`.
   */
  readonly copiesRecords?: boolean
  start(config: C, context: SinkTaskContext): Promise<void>
  /** Newly assigned partitions, before their first `put`. */
  open?(partitions: readonly TopicPartition[]): Promise<void>
  /**
   * Writes or buffers one batch; called with an empty array too, so that time-based work goes on. RetriableError:
   * the same batch again. BatchError: only its failed records are reported, the rest counts as written.
   * `signal` is the hard signal: give up now.
   */
  put(records: readonly SinkRecord[], signal: AbortSignal): Promise<void>
  /**
   * Offsets safe to commit, each at most `current`; default `current`. A partition that is absent is not committed.
   * @param current next offset per partition (last delivered + 1), of the original coordinates (KIP-793, I2)
   */
  preCommit?(current: Offsets): Promise<Offsets>
  /** Partitions that are about to go; their offsets have been committed, or were lost. */
  close?(partitions: readonly TopicPartition[]): Promise<void>
  stop(): Promise<void>
}
