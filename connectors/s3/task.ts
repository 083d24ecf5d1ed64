import { ConfigError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import type { SinkTask, SinkTaskContext } from '../../worker/api/task.ts'
import { type Offsets, type TopicPartition, TopicPartitionMap } from '../../worker/api/topic-partition.ts'
import type { ObjectStore } from '../common/object-store.ts'
import { openObjectStore } from '../common/s3-client.ts'
import type { S3SinkConfig } from './config-options.ts'
import { formatOf } from './config-rules.ts'
import { FileBuffer, nullValueError } from './file-buffer.ts'
import type { MemoryBudget } from './memory-budget.ts'
import { relieve } from './memory-relief.ts'
import { notifyProducer } from './notify-producer.ts'
import type { PartitionWriter } from './partition-writer.ts'
import { buildServices, clientOptions, writerFactory } from './settings.ts'

/** How long blocks lie unused before their memory goes back to the system. */
const trimIntervalMs = 30_000

/** Everything that lives between `start` and `stop`. */
interface Running {
  readonly config: S3SinkConfig
  readonly context: SinkTaskContext
  readonly store: ObjectStore
  readonly budget: MemoryBudget
  readonly openWriter: (tp: TopicPartition) => PartitionWriter
  /** Monotonic ms when memory was last given back. */
  trimmedAt: number
}

/**
 * Writes topics to objects in S3. One `FileBuffer` per topic partition does the work; the task feeds them, keeps
 * partitions paused whose buffer cannot take more, and tells how far offsets may be committed.
 */
export class S3SinkTask implements SinkTask<S3SinkConfig> {
  readonly #buffers = new TopicPartitionMap<PartitionWriter>()
  readonly #paused = new TopicPartitionMap<true>()
  readonly #openStore: typeof openObjectStore
  #running: Running | null = null

  /** `openStore` is the way to the S3 server; tests give their own. */
  constructor(openStore: typeof openObjectStore = openObjectStore) {
    this.#openStore = openStore
  }

  /** JSON that is written as JSON, with nothing added, is copied. */
  get takesPlainJson(): boolean {
    const { config } = this.#started()
    return formatOf(config['format.class']) === 'json' && config['format.output.meta.fields'].length === 0
  }

  async start(config: S3SinkConfig, context: SinkTaskContext): Promise<void> {
    const { clock } = context
    warnOfRepeatedRows(config, context)
    await using stack = new AsyncDisposableStack()
    const store = stack.adopt(await this.#openStore(clientOptions(config)), (opened) => opened.close())
    const bucket = config['s3.bucket.name']
    if (!(await store.bucketExists(bucket))) {
      throw new ConfigError([
        { option: 's3.bucket.name', message: `Bucket '${bucket}' does not exist: create it first` },
      ])
    }
    const topicB = config['notify.topic'] === '' ? null : notifyProducer(context)
    if (topicB !== null) {
      await topicB.ensureTopic(config['notify.topic'], {
        partitions: config['notify.topic.partitions'],
        replicationFactor: config['notify.topic.replication.factor'],
      })
    }
    const services = await buildServices({ config, context, store, topicB })
    const openWriter = writerFactory(config, services)
    this.#running = { config, context, store, budget: services.budget, openWriter, trimmedAt: clock.monotonicMs() }
    stack.move()
  }

  async open(partitions: readonly TopicPartition[]): Promise<void> {
    const { openWriter } = this.#started()
    for (const tp of partitions) this.#buffers.set(tp.topic, tp.partition, openWriter(tp))
  }

  async put(records: readonly SinkRecord[], signal: AbortSignal): Promise<void> {
    const { config, context, store } = this.#started()
    if (config['behavior.on.null.values'].toLowerCase() === 'fail') {
      for (const record of records) if (record.rawValue === null) throw nullValueError()
    }
    for (const record of records) this.#bufferOf(record).enqueue(record)
    const deadline = context.clock.monotonicMs() + config['max.write.duration.ms']
    // The hard signal: requests on their way are cut off, the thread ends next.
    const interrupt = () => void store.close()
    signal.addEventListener('abort', interrupt, { once: true })
    try {
      await this.#writeWaiting(deadline, signal)
    } finally {
      signal.removeEventListener('abort', interrupt)
    }
    this.#applyBackPressure()
  }

  async preCommit(current: Offsets): Promise<Offsets> {
    this.#trim()
    const offsets = new TopicPartitionMap<bigint>()
    for (const [tp, delivered] of current.entries()) {
      const committable = this.#buffers.get(tp.topic, tp.partition)?.committable ?? null
      if (committable !== null) {
        offsets.set(tp.topic, tp.partition, committable < delivered ? committable : delivered)
      }
    }
    return offsets
  }

  async close(partitions: readonly TopicPartition[]): Promise<void> {
    const closing: Promise<void>[] = []
    for (const { topic, partition } of partitions) {
      const buffer = this.#buffers.get(topic, partition)
      this.#buffers.delete(topic, partition)
      this.#paused.delete(topic, partition)
      if (buffer !== undefined) closing.push(buffer.close())
    }
    const { context, config } = this.#started()
    // An upload that cannot be aborted in time is left to the lifecycle rule of the bucket.
    const done = new AbortController()
    await Promise.race([Promise.all(closing), context.clock.sleep(config['shutdown.timeout.ms'], done.signal)])
    done.abort()
  }

  async stop(): Promise<void> {
    const running = this.#running
    if (running === null) return
    await this.close([...this.#buffers.keys()])
    this.#running = null
    await running.store.close()
  }

  #started(): Running {
    if (this.#running === null) throw new TypeError('the task is not started')
    return this.#running
  }

  /** Called every `offset.flush.interval.ms`, whether there are records or not. */
  #trim(): void {
    const running = this.#started()
    const now = running.context.clock.monotonicMs()
    if (now - running.trimmedAt < trimIntervalMs) return
    running.trimmedAt = now
    running.budget.trim()
  }

  /** By the consumed position: transforms may have changed topic and partition (KIP-793). */
  #bufferOf(record: SinkRecord): PartitionWriter {
    const { originalTopic: topic, originalPartition: partition } = record
    let buffer = this.#buffers.get(topic, partition)
    if (buffer === undefined) {
      buffer = this.#started().openWriter({ topic, partition })
      this.#buffers.set(topic, partition, buffer)
    }
    return buffer
  }

  /** Writes what waits, and makes room for it when the memory is used up. */
  async #writeWaiting(deadline: number, signal: AbortSignal): Promise<void> {
    const { budget, context } = this.#started()
    const warn = ({ tp: { topic, partition } }: FileBuffer) =>
      context.logger.warn({ topic, partition }, 's3.buffer.total.bytes is reached: files are committed early')
    const canGoOn = () => !signal.aborted && context.clock.monotonicMs() < deadline
    do {
      await this.#writeAll(deadline, signal)
      const holders = [...this.#buffers.values()].filter((writer) => writer instanceof FileBuffer)
      if (budget.exceeded && !(await relieve(holders, budget, signal, warn))) return
      // A partition that stops for want of memory may have left some to another one.
    } while (canGoOn() && this.#hasWaiting())
  }

  /** Whether a writer would go on with records that wait. */
  #hasWaiting(): boolean {
    for (const writer of this.#buffers.values()) if (writer.waiting > 0 && !writer.isBackingOff) return true
    return false
  }

  async #writeAll(deadline: number, signal: AbortSignal): Promise<void> {
    const writes: Promise<void>[] = []
    for (const buffer of this.#buffers.values()) if (buffer.isActive) writes.push(buffer.write(deadline, signal))
    if (writes.length === 0) return
    // Each runs to its end before an error surfaces: none may go on behind the framework's back.
    const outcomes = await Promise.allSettled(writes)
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  /**
   * Partitions that back off or have too much waiting are paused; the next `put` comes no later than they need it. When
   * there is no memory left, nothing can go on before those that back off.
   */
  #applyBackPressure(): void {
    const { context, config, budget } = this.#started()
    let wakeMs: number | null = null
    for (const [tp, buffer] of this.#buffers.entries()) {
      const full =
        buffer.waiting > 0 && (buffer.isBackingOff || budget.exceeded || buffer.waiting >= config['flush.size'])
      const isPaused = this.#paused.has(tp.topic, tp.partition)
      if ((full || buffer.isBackingOff) && !isPaused) {
        context.pause([tp])
        this.#paused.set(tp.topic, tp.partition, true)
      } else if (!full && !buffer.isBackingOff && isPaused) {
        context.resume([tp])
        this.#paused.delete(tp.topic, tp.partition)
      }
      const canGoOn = buffer.waiting > 0 && !buffer.isBackingOff && !budget.exceeded
      const wake = canGoOn ? 0 : buffer.wakeAfterMs()
      if (wake !== null && (wakeMs === null || wake < wakeMs)) wakeMs = wake
    }
    if (wakeMs !== null) context.timeout(Math.ceil(wakeMs))
  }
}

/** Without a journal a crash may leave overlapping files; a loader can tell their rows apart by offset only. */
function warnOfRepeatedRows(config: S3SinkConfig, { logger }: SinkTaskContext): void {
  const byClock = config['rotate.schedule.interval.ms'] > 0 || config['rotate.idle.ms'] >= 0
  if (!byClock || config['notify.topic'] === '' || config['commit.journal.prefix'] !== '') return
  if (config['format.output.meta.fields'].includes('offset')) return
  logger.warn(
    { topic: config['notify.topic'] },
    'commits depend on the clock, so files may overlap after a crash: set commit.journal.prefix, or add offset and partition to format.output.meta.fields',
  )
}
