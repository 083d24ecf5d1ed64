/** Contexts for tests of plugins: quiet, deterministic, with everything a plugin did to them on record. */
import type { ConnectorContext, RawConfig, SourceConnectorContext } from '../../worker/api/connector.ts'
import type { Clock, LogFields, Logger, TopicOptions, TopicProducer, TopicRecord } from '../../worker/api/context.ts'
import type { SinkRecord, SourceOffset, SourcePartition } from '../../worker/api/record.ts'
import type { CommittedOffset, SinkTaskContext, SourceTaskContext } from '../../worker/api/task.ts'
import type { TopicPartition } from '../../worker/api/topic-partition.ts'
import { partitionIdentity } from '../../worker/cluster/offset-format.ts'
import { MetricRegistry } from '../../worker/metrics/registry.ts'
import { systemClock } from '../../worker/util/clock.ts'

export interface LoggedLine {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error'
  readonly fields: LogFields
  readonly message: string
}

export class RecordingLogger implements Logger {
  readonly lines: LoggedLine[] = []

  trace(fields: LogFields, message: string): void {
    this.lines.push({ level: 'trace', fields, message })
  }

  debug(fields: LogFields, message: string): void {
    this.lines.push({ level: 'debug', fields, message })
  }

  info(fields: LogFields, message: string): void {
    this.lines.push({ level: 'info', fields, message })
  }

  warn(fields: LogFields, message: string): void {
    this.lines.push({ level: 'warn', fields, message })
  }

  error(fields: LogFields, message: string): void {
    this.lines.push({ level: 'error', fields, message })
  }
}

/**
 * Time that passes only when somebody sleeps: each sleep moves it on and resolves in a later turn of the event loop,
 * so that code which retries for minutes is tested in milliseconds.
 */
export class SteppingClock implements Clock {
  #nowMs: number
  readonly sleeps: number[] = []

  constructor(startMs = 1_700_000_000_000) {
    this.#nowMs = startMs
  }

  now(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  advance(ms: number): void {
    this.#nowMs += ms
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return
    this.sleeps.push(ms)
    await new Promise((resolve) => setImmediate(resolve))
    this.#nowMs += ms
  }
}

/** Keeps what was sent; `failWith` makes the next sends reject. */
export class RecordingTopicProducer implements TopicProducer {
  readonly sent: TopicRecord[] = []
  readonly topics = new Map<string, TopicOptions>()
  failWith: Error | null = null

  async send(records: readonly TopicRecord[]): Promise<void> {
    if (this.failWith !== null) throw this.failWith
    // Copied, as a real producer copies bytes: the caller may reuse its buffers.
    for (const record of records) this.sent.push(structuredClone(record))
  }

  async ensureTopic(topic: string, options: TopicOptions): Promise<void> {
    if (!this.topics.has(topic)) this.topics.set(topic, options)
  }
}

interface CommonParts {
  readonly logger: RecordingLogger
  readonly clock: Clock
  readonly metrics: MetricRegistry
}

function common(clock: Clock | undefined): CommonParts {
  return { logger: new RecordingLogger(), clock: clock ?? systemClock, metrics: new MetricRegistry() }
}

export interface TestSourceContext extends SourceTaskContext {
  readonly logger: RecordingLogger
  readonly producer: RecordingTopicProducer
  /** Offsets without a record, in order. */
  readonly advanced: CommittedOffset[]
  /** Those of them that were made durable at once. */
  readonly persisted: CommittedOffset[]
  /** What the offset topic holds; change it before `start`. */
  setOffset(partition: SourcePartition, offset: SourceOffset | null): void
}

export function sourceTaskContext(
  options: { readonly rawConfig?: RawConfig; readonly clock?: Clock } = {},
): TestSourceContext {
  const { logger, clock, metrics } = common(options.clock)
  const offsets = new Map<string, SourceOffset | null>()
  return {
    connector: 'test',
    task: 0,
    logger,
    clock,
    metrics: metrics.group('plugins', { connector: 'test', task: '0' }),
    producer: new RecordingTopicProducer(),
    rawConfig: options.rawConfig ?? {},
    offsets: {
      read: async (partitions) => partitions.map((partition) => offsets.get(partitionIdentity(partition)) ?? null),
    },
    transaction: null,
    pluginPath: [],
    readTopic: () => {
      throw new Error('This context has no topics to read')
    },
    advanced: [],
    persisted: [],
    advance(partition, offset) {
      this.advanced.push({ partition, offset })
    },
    async persist(partition, offset) {
      this.persisted.push({ partition, offset })
    },
    setOffset: (partition, offset) => offsets.set(partitionIdentity(partition), offset),
  }
}

export interface TestSinkContext extends SinkTaskContext {
  readonly logger: RecordingLogger
  readonly producer: RecordingTopicProducer
  readonly paused: readonly TopicPartition[]
  readonly seeks: readonly (readonly [TopicPartition, bigint])[]
  readonly reported: readonly { readonly record: SinkRecord; readonly error: Error }[]
  readonly commitRequests: number
  /** The last wait asked for, in ms. */
  readonly timeoutMs: number | null
}

export function sinkTaskContext(
  options: {
    readonly rawConfig?: RawConfig
    readonly assignment?: readonly TopicPartition[]
    readonly clock?: Clock
    /** What `report` rejects with: `errors.tolerance=none`. */
    readonly refuseReports?: Error
  } = {},
): TestSinkContext {
  const { logger, clock, metrics } = common(options.clock)
  const seeks: (readonly [TopicPartition, bigint])[] = []
  const reported: { readonly record: SinkRecord; readonly error: Error }[] = []
  let paused: readonly TopicPartition[] = []
  let commitRequests = 0
  let timeoutMs: number | null = null
  const same = (a: TopicPartition, b: TopicPartition): boolean => a.topic === b.topic && a.partition === b.partition
  return {
    connector: 'test',
    task: 0,
    logger,
    clock,
    metrics: metrics.group('plugins', { connector: 'test', task: '0' }),
    producer: new RecordingTopicProducer(),
    producerWith: () => new RecordingTopicProducer(),
    rawConfig: options.rawConfig ?? {},
    assignment: () => options.assignment ?? [],
    pause: (partitions) => {
      paused = [...paused.filter((p) => !partitions.some((q) => same(p, q))), ...partitions]
    },
    resume: (partitions) => {
      paused = paused.filter((p) => !partitions.some((q) => same(p, q)))
    },
    seek: (partition, offset) => {
      seeks.push([partition, offset])
    },
    timeout: (ms) => {
      timeoutMs = ms
    },
    requestCommit: () => {
      commitRequests++
    },
    report: async (record, error) => {
      reported.push({ record, error })
      if (options.refuseReports !== undefined) throw options.refuseReports
    },
    seeks,
    reported,
    get paused() {
      return paused
    },
    get commitRequests() {
      return commitRequests
    },
    get timeoutMs() {
      return timeoutMs
    },
  }
}

export interface TestConnectorContext extends SourceConnectorContext {
  readonly logger: RecordingLogger
  readonly reconfigurations: number
  readonly errors: readonly Error[]
}

/** Serves sources and sinks. */
export function connectorContext(
  options: { readonly rawConfig?: RawConfig; readonly clock?: Clock } = {},
): TestConnectorContext {
  const { logger, clock, metrics } = common(options.clock)
  const errors: Error[] = []
  let reconfigurations = 0
  const context: ConnectorContext = {
    connector: 'test',
    logger,
    clock,
    metrics: metrics.group('plugins', { connector: 'test' }),
    rawConfig: options.rawConfig ?? {},
    requestTaskReconfiguration: () => {
      reconfigurations++
    },
    raiseError: (error) => {
      errors.push(error)
    },
  }
  return {
    ...context,
    logger,
    offsets: { read: async (partitions) => partitions.map(() => null) },
    errors,
    get reconfigurations() {
      return reconfigurations
    },
  }
}
