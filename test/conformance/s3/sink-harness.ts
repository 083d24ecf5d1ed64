import { type MetadataMessage, parseMetadataMessage } from '../../../connectors/common/metadata-message.ts'
import type { ObjectStore } from '../../../connectors/common/object-store.ts'
import { plugin } from '../../../connectors/s3/index.ts'
import { S3SinkTask } from '../../../connectors/s3/task.ts'
import type { Clock, Logger, Metrics, TopicProducer, TopicRecord } from '../../../worker/api/context.ts'
import { toError } from '../../../worker/api/errors.ts'
import type { SinkRecord } from '../../../worker/api/record.ts'
import type { SinkTaskContext } from '../../../worker/api/task.ts'
import { type TopicPartition, TopicPartitionMap } from '../../../worker/api/topic-partition.ts'
import { parseConfig } from '../../../worker/config/config-def.ts'

/** Time that tests move. */
export class ManualClock implements Clock {
  #now: number
  readonly #sleepers = new Set<{ readonly until: number; resolve(): void }>()

  constructor(now = Date.UTC(2024, 0, 1, 12)) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  monotonicMs(): number {
    return this.#now
  }

  /** Ends when `advance` has passed the time, or when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#sleepers.add({ until: this.#now + ms, resolve })
      signal?.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  advance(ms: number): void {
    this.#now += ms
    for (const sleeper of this.#sleepers) {
      if (sleeper.until > this.#now) continue
      this.#sleepers.delete(sleeper)
      sleeper.resolve()
    }
  }
}

/** Time that also passes by being read, a millisecond at a time. */
export class TickingClock extends ManualClock {
  override now(): number {
    this.advance(1)
    return super.now()
  }

  override monotonicMs(): number {
    return this.now()
  }
}

const instrument = { add() {}, set() {}, observe() {} }
const metrics: Metrics = { counter: () => instrument, gauge: () => instrument, histogram: () => instrument }

export const baseConfig: Readonly<Record<string, string>> = {
  'connector.class': 'io.confluent.connect.s3.S3SinkConnector',
  topics: 'orders',
  's3.bucket.name': 'lake',
  'storage.class': 'io.confluent.connect.s3.storage.S3Storage',
  'format.class': 'io.confluent.connect.s3.format.json.JsonFormat',
  'flush.size': '3',
}

export interface HarnessOptions {
  readonly config?: Readonly<Record<string, string>>
  /** Null: the task opens its own, by its configuration. */
  readonly store: ObjectStore | null
  readonly clock?: ManualClock
  readonly sent?: TopicRecord[]
  /** Offsets that survive this instance; default: none yet. */
  readonly committed?: TopicPartitionMap<bigint>
  readonly onReport?: (record: SinkRecord) => void
  /** Called before messages are taken; throws to refuse them. */
  readonly onSend?: () => void
}

/**
 * Runs the S3 task as a worker would: batches, pauses, seeks, commits. Every partition keeps its log, so that a seek
 * or a new harness delivers again.
 */
export class SinkHarness {
  readonly task: S3SinkTask
  readonly clock: ManualClock
  readonly reported: { record: SinkRecord; error: Error }[] = []
  readonly sent: TopicRecord[]
  /** What went through a producer with options of its own, by their prefix. */
  readonly sentWith = new Map<string, TopicRecord[]>()
  /** What the task has warned of. */
  readonly warnings: string[] = []
  readonly committed: TopicPartitionMap<bigint>
  readonly assigned = new TopicPartitionMap<true>()
  readonly paused = new TopicPartitionMap<true>()
  readonly #logs = new TopicPartitionMap<SinkRecord[]>()
  readonly #positions = new TopicPartitionMap<bigint>()
  readonly #options: HarnessOptions
  readonly #logger: Logger = {
    trace() {},
    debug() {},
    info() {},
    warn: (_, message) => void this.warnings.push(message),
    error() {},
  }
  #timeoutMs: number | null = null

  private constructor(options: HarnessOptions) {
    this.#options = options
    this.clock = options.clock ?? new ManualClock()
    this.sent = options.sent ?? []
    this.committed = options.committed ?? new TopicPartitionMap()
    const { store } = options
    this.task = store === null ? new S3SinkTask() : new S3SinkTask(async () => store)
  }

  static async start(options: HarnessOptions): Promise<SinkHarness> {
    const harness = new SinkHarness(options)
    const raw = { ...baseConfig, ...options.config }
    await harness.task.start(parseConfig(plugin.config, raw), harness.#context(raw))
    return harness
  }

  get messages(): readonly MetadataMessage[] {
    return this.sent.map((record) => parseMetadataMessage(JSON.parse(Buffer.from(record.value ?? []).toString())))
  }

  async assign(...partitions: readonly TopicPartition[]): Promise<void> {
    for (const tp of partitions) {
      this.assigned.set(tp.topic, tp.partition, true)
      this.#positions.set(tp.topic, tp.partition, this.committed.get(tp.topic, tp.partition) ?? 0n)
    }
    await this.task.open?.(partitions)
  }

  /** Appends records to their logs; they are delivered by the next `poll`. */
  append(records: readonly SinkRecord[]): void {
    for (const record of records) {
      const { originalTopic: topic, originalPartition: partition } = record
      const log = this.#logs.get(topic, partition)
      if (log === undefined) this.#logs.set(topic, partition, [record])
      else log.push(record)
    }
  }

  /** One `put` with everything that is due. */
  async poll(signal: AbortSignal = new AbortController().signal): Promise<void> {
    const batch: SinkRecord[] = []
    for (const [{ topic, partition }, log] of this.#logs.entries()) {
      if (!this.assigned.has(topic, partition) || this.paused.has(topic, partition)) continue
      const position = this.#positions.get(topic, partition) ?? 0n
      for (const record of log) if (record.offset >= position) batch.push(record)
      const last = log.at(-1)
      if (last !== undefined) this.#positions.set(topic, partition, last.offset + 1n)
    }
    this.#timeoutMs = null
    await this.task.put(batch, signal)
  }

  async commit(): Promise<void> {
    const offsets = (await this.task.preCommit?.(this.#positions)) ?? this.#positions
    for (const [{ topic, partition }, offset] of offsets.entries()) this.committed.set(topic, partition, offset)
  }

  /** Delivers all, lets time pass as the task asks for it, up to `forMs`, and commits. */
  async settle(forMs = 0): Promise<void> {
    await this.poll()
    const until = this.clock.now() + forMs
    for (let round = 0; round < 10_000 && this.clock.now() < until; round++) {
      this.clock.advance(Math.max(1, Math.min(this.#timeoutMs ?? 1000, until - this.clock.now())))
      await this.poll()
    }
    await this.commit()
  }

  async revoke(): Promise<void> {
    const all = [...this.assigned.keys()]
    await this.commit()
    await this.task.close?.(all)
    this.assigned.clear()
    this.paused.clear()
  }

  stop(): Promise<void> {
    return this.task.stop()
  }

  offset(topic = 'orders', partition = 0): bigint | undefined {
    return this.committed.get(topic, partition)
  }

  #producer(sent: TopicRecord[]): TopicProducer {
    return {
      send: async (records) => {
        this.#options.onSend?.()
        sent.push(...records)
      },
      ensureTopic: async () => {},
    }
  }

  #context(rawConfig: Readonly<Record<string, string>>): SinkTaskContext {
    return {
      connector: 'sink',
      task: 0,
      logger: this.#logger,
      metrics,
      clock: this.clock,
      rawConfig,
      producer: this.#producer(this.sent),
      producerWith: (prefix) => {
        const sent: TopicRecord[] = []
        this.sentWith.set(prefix, sent)
        return this.#producer(sent)
      },
      assignment: () => [...this.assigned.keys()],
      pause: (partitions) => {
        for (const tp of partitions) this.paused.set(tp.topic, tp.partition, true)
      },
      resume: (partitions) => {
        for (const tp of partitions) this.paused.delete(tp.topic, tp.partition)
      },
      seek: (tp, offset) => void this.#positions.set(tp.topic, tp.partition, offset),
      timeout: (ms) => {
        this.#timeoutMs = ms
      },
      requestCommit: () => {},
      report: async (record, error) => {
        if (rawConfig['errors.tolerance'] !== 'all') throw toError(error)
        this.reported.push({ record, error })
        this.#options.onReport?.(record)
      },
    }
  }
}
