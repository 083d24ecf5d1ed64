/** Services that the framework gives to plugins. They come only through a context object, never from globals. */

export type LogFields = Readonly<Record<string, unknown>>

/** One JSON line per call, with `connector` and `task` added; never a secret or a record's content (I8). */
export interface Logger {
  trace(fields: LogFields, message: string): void
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
}

export interface Counter {
  add(delta: number): void
}

export interface Gauge {
  set(value: number): void
}

export interface Histogram {
  /** In the unit of the metric's name (`…-ms`, `…-bytes`). */
  observe(value: number): void
}

/**
 * Metrics of one task or connector. Names are kebab-case with the unit last, as in Connect's MBeans; labels
 * `connector` and `task` are added. Asking twice for one name gives the same instrument.
 */
export interface Metrics {
  counter(name: string, help: string): Counter
  gauge(name: string, help: string): Gauge
  /** `buckets`: upper bounds in ascending order. */
  histogram(name: string, help: string, buckets: readonly number[]): Histogram
}

/** Time, replaceable in tests. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Monotonic milliseconds, for durations. */
  monotonicMs(): number
  /** Resolves after `ms`, or early and without error when `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** A record that a task writes to a topic of its own choosing (a metadata topic, a dead letter queue). */
export interface TopicRecord {
  readonly topic: string
  readonly partition?: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers?: readonly { readonly key: string; readonly value: Uint8Array | null }[]
  /** Milliseconds since 1970; absent means now. */
  readonly timestamp?: number
}

/** Writes beside the main flow, with the task's own producer settings. */
export interface TopicProducer {
  /** Resolves when every record is acknowledged by all in-sync replicas. @throws RetriableError, DataError, ConnectError */
  send(records: readonly TopicRecord[], signal?: AbortSignal): Promise<void>
  /** Creates the topic if it does not exist; -1 takes the broker's default. */
  ensureTopic(topic: string, options: TopicOptions, signal?: AbortSignal): Promise<void>
}

export interface TopicOptions {
  readonly partitions: number
  readonly replicationFactor: number
  readonly configs?: Readonly<Record<string, string>>
}

/** One partition of a topic that a task reads beside the main flow. */
export interface TopicReaderOptions {
  readonly topic: string
  readonly partition: number
  /**
   * Consumer properties under Java's names; nothing is taken over from the worker, since the topic may live on another
   * cluster. `auto.offset.reset` is `earliest` unless set.
   */
  readonly properties: Readonly<Record<string, string>>
}

export interface TopicReaderRecord {
  readonly offset: bigint
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
}

/** Reads without being a member of a group: nothing is ever taken away, and nobody else is kept from reading. */
export interface TopicReader extends AsyncDisposable {
  /**
   * Committed records that are there or come within `maxWaitMs`, in offset order; the first call starts where the group
   * of `group.id` has committed. They belong to the caller.
   * @throws ConnectError for properties that cannot work; what may pass by itself is tried again inside
   */
  poll(maxWaitMs: number, signal?: AbortSignal): Promise<readonly TopicReaderRecord[]>
  /** Reads on from this offset, whatever the group has committed. */
  seek(offset: bigint): void
  /** Stores the next offset to read for the group of `group.id`. @throws RetriableError, ConnectError */
  commit(nextOffset: bigint, signal?: AbortSignal): Promise<void>
}
