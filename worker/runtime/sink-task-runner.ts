/** The loop of a sink task (Connect 4.3, `WorkerSinkTask`): poll, convert, put, commit; rebalances in between. */
import { BatchError, ConnectError, kindOf, RetriableError, toError } from '../api/errors.ts'
import type { SinkConnectorPlugin } from '../api/plugin.ts'
import type { SinkRecord } from '../api/record.ts'
import type { SinkTask } from '../api/task.ts'
import { type TopicPartition, TopicPartitionMap } from '../api/topic-partition.ts'
import { parseConfig } from '../config/config-def.ts'
import type { Consumer, ConsumerBatch } from '../kafka/types.ts'
import { ActiveTopics } from './active-topics.ts'
import { consumerProperties, topicProducerProperties } from './client-properties.ts'
import { loadConverters, type TaskConverters } from './converters.ts'
import { openDeadLetterQueue } from './dead-letter-queue.ts'
import { openErrorOperator } from './error-operator.ts'
import type { TaskSpec } from './host-protocol.ts'
import { type ErrorOperator, retryDelayMs, toleranceExceeded } from './retry.ts'
import { RunState } from './run-state.ts'
import { SinkCommitter } from './sink-committer.ts'
import { RunnerSinkContext } from './sink-context.ts'
import { SinkPipeline } from './sink-pipeline.ts'
import { SinkPositions } from './sink-positions.ts'
import { endlessRetry, startTask } from './start-task.ts'
import type { RunnerListener, RunnerOptions, TaskEnvironment } from './task-environment.ts'
import type { SinkTaskMetrics } from './task-metrics.ts'
import { checkTaskCount, parseSinkOptions, subscriptionOf } from './task-options.ts'
import { LazyTopicProducer } from './topic-producer.ts'
import { createTransformationChain, transformationContext } from './transformation-chain.ts'

const closeTimeoutMs = 30_000
/** Class name of records that the task itself reported, as Connect has it. */
const reportedClassName = 'org.apache.kafka.connect.sink.SinkTask'

/** A batch that `put` has not accepted yet. */
interface Redelivery {
  readonly retryAt: number
  readonly failures: number
}

/** What exists once the task has started. */
interface Session {
  readonly task: SinkTask<unknown>
  readonly consumer: Consumer
  readonly committer: SinkCommitter
  readonly context: RunnerSinkContext
  readonly pipeline: SinkPipeline
  readonly errors: ErrorOperator
}

export class SinkTaskRunner {
  readonly #env: TaskEnvironment
  readonly #plugin: SinkConnectorPlugin
  readonly #spec: TaskSpec
  readonly #listener: RunnerListener
  readonly #positions = new SinkPositions()
  readonly topics: ActiveTopics
  readonly metrics: SinkTaskMetrics
  readonly state: RunState
  /** Records for the next `put`. */
  #batch: SinkRecord[] = []
  #redelivery: Redelivery | null = null
  /** Whether partitions are paused because the connector is. */
  #paused = false
  #failure: Error | null = null
  /** Until the committer exists there is nothing to commit. */
  #requestCommit: () => void = () => undefined

  constructor(options: RunnerOptions<SinkConnectorPlugin, SinkTaskMetrics>) {
    this.#env = options.env
    this.topics = new ActiveTopics(options.env.clock)
    this.#plugin = options.plugin
    this.#spec = options.spec
    this.#listener = options.listener
    this.metrics = options.metrics
    this.state = new RunState(options)
  }

  /** Runs until stopped. @throws what failed the task; by then everything is closed */
  async run(): Promise<void> {
    await this.state.run(async () => {
      checkTaskCount(this.#spec.id.connector, this.#spec.taskCount, parseSinkOptions(this.#spec.connectorConfig))
      await this.#runStarted()
    })
  }

  async #runStarted(): Promise<void> {
    await using resources = new AsyncDisposableStack()
    const session = await this.#open(resources)
    if (session === null) return
    this.#paused = this.state.wantsPause
    this.state.enter(this.#paused ? 'paused' : 'running')
    let failure: unknown = null
    try {
      while (!this.state.soft.aborted) await this.#iterate(session)
    } catch (error) {
      failure = error
    }
    failure = await this.#close(session, failure)
    if (failure !== null) throw failure
  }

  async #iterate(session: Session): Promise<void> {
    const { committer, context } = session
    this.#followTarget(session)
    // Before the commit: what a task wants again must not count as delivered (I2).
    this.#rewind(session)
    await committer.tick()
    const waitMs = Math.min(committer.dueInMs, context.takeTimeout() ?? Infinity, this.#redeliveryWaitMs())
    if (!(await this.#read(session, waitMs))) return
    this.metrics.activeCount = this.#positions.activeCount()
    if (this.#redeliveryWaitMs() > 0 && this.#redelivery !== null) return
    await this.#put(session)
    this.#throwFailure()
  }

  /**
   * Reads and converts what there is. Apart from `put`, which may take long: what was read must not stay in memory
   * beside what it was converted to.
   * @returns false when the hard signal ended it
   */
  async #read(session: Session, waitMs: number): Promise<boolean> {
    const { consumer, pipeline } = session
    const batches = await this.#poll(consumer, waitMs)
    this.#throwFailure()
    // A task may seek while a rebalance takes partitions from it. What was fetched from beyond the new position must
    // not be put: committed, it would cover records that the task has dropped (I2).
    const rewound = this.#rewind(session)
    for (const batch of batches) {
      if (rewound.has(batch.topic, batch.partition)) continue
      if (!(await this.#accept(session, batch))) return false
    }
    if (!pipeline.keepsBytes) consumer.release()
    return true
  }

  async #poll(consumer: Consumer, waitMs: number): Promise<readonly ConsumerBatch[]> {
    const signal = this.state.work
    try {
      return await consumer.poll(waitMs, signal)
    } catch (error) {
      // Woken for a stop, a pause or a resume: nothing was delivered.
      if (signal.aborted && kindOf(error) !== 'fenced') return []
      if (kindOf(error) !== 'retriable') throw error
      const delayMs = error instanceof RetriableError ? (error.retryAfterMs ?? 1000) : 1000
      this.#env.logger.warn({ error, delayMs }, 'reading from Kafka failed with a retriable error')
      await this.#env.clock.sleep(delayMs, signal)
      return []
    }
  }

  /** Pause and resume of the connector: partitions stay assigned, `put([])` goes on (Connect 6.2). */
  #followTarget({ consumer, committer }: Session): void {
    const paused = this.state.wantsPause
    if (paused === this.#paused) return
    this.#paused = paused
    if (paused) {
      consumer.pause(consumer.assignment())
      committer.request()
    } else if (this.#redelivery === null) this.#resumeDelivery(consumer)
    this.state.enter(paused ? 'paused' : 'running')
  }

  /** Resumes what neither the task nor the connector wants paused. */
  #resumeDelivery(consumer: Consumer): void {
    if (this.#paused) return
    consumer.resume(
      this.#positions
        .all()
        .filter(({ pausedByTask }) => !pausedByTask)
        .map(({ topic, partition }) => ({ topic, partition })),
    )
  }

  /** Seeks that the task asked for; what was delivered beyond them counts as not delivered. @returns them */
  #rewind({ consumer, context }: Session): TopicPartitionMap<bigint> {
    const rewound = new TopicPartitionMap<bigint>()
    for (const [tp, offset] of context.takeRewinds()) {
      const position = this.#positions.get(tp.topic, tp.partition)
      if (position === null) continue
      consumer.seek(tp, offset)
      position.consumed = offset
      position.delivered = offset
      position.committed = offset
      this.#batch = this.#batch.filter((record) => !isOf(record, tp) || record.offset < offset)
      rewound.set(tp.topic, tp.partition, offset)
    }
    return rewound
  }

  #redeliveryWaitMs(): number {
    const redelivery = this.#redelivery
    return redelivery === null ? Infinity : Math.max(0, redelivery.retryAt - this.#env.clock.monotonicMs())
  }

  /** Converts one consumed batch. @returns false when the hard signal ended it: its records count as not consumed */
  async #accept({ pipeline }: Session, batch: ConsumerBatch): Promise<boolean> {
    const position = this.#positions.get(batch.topic, batch.partition)
    // A batch that was fetched before its partition went away belongs to the new owner (I7).
    if (position === null) return true
    const before = this.#batch.length
    if (!(await pipeline.convert(batch, this.#batch, this.state.soft))) {
      this.#batch.length = before
      return false
    }
    position.consumed = batch.nextOffset
    this.metrics.read(batch.records.length)
    if (batch.records.length > 0 && this.topics.isDue(batch.topic)) this.#listener.onTopic(batch.topic)
    return true
  }

  /** `put` always, also with nothing, so that time-based work of the task goes on. */
  async #put(session: Session): Promise<void> {
    const { task, consumer } = session
    const { clock } = this.#env
    const batch = this.#batch
    const startedAt = clock.monotonicMs()
    try {
      await task.put(batch, this.state.hard)
    } catch (error) {
      if (this.state.hard.aborted) return
      await this.#putFailed(session, batch, toError(error))
      return
    }
    // A report that was not tolerated: the batch does not count as delivered, or its offset would be committed.
    this.#throwFailure()
    if (batch.length > 0) this.metrics.put(batch.length, clock.monotonicMs() - startedAt)
    this.#batch = []
    this.#positions.markDelivered()
    // A batch that was kept for another try is none of what was read last, and its bytes are never given back.
    if (task.copiesRecords === true) consumer.release()
    if (this.#redelivery === null) return
    this.#redelivery = null
    this.#resumeDelivery(consumer)
  }

  async #putFailed(session: Session, batch: SinkRecord[], error: Error): Promise<void> {
    if (error instanceof BatchError) {
      await this.#partOfBatchFailed(session, batch, error)
      return
    }
    if (kindOf(error) !== 'retriable') throw this.#putError(error)
    this.#redeliverLater(session, error)
  }

  #putError(cause: Error): ConnectError {
    const message = 'Exiting WorkerSinkTask due to unrecoverable exception.'
    return new ConnectError('fatal', 'CONNECT_PUT_FAILED', message, { cause })
  }

  /** Each failed member by its own kind; the others count as written. */
  async #partOfBatchFailed(session: Session, batch: SinkRecord[], error: BatchError): Promise<void> {
    const again: SinkRecord[] = []
    let retriable: Error | null = null
    for (const [index, failure] of error.failures) {
      const record = batch[index]
      if (record === undefined) continue
      const kind = kindOf(failure)
      if (kind === 'retriable') {
        again.push(record)
        retriable ??= failure
      } else if (kind === 'record') {
        // Awaited: the batch counts as delivered afterwards, so the report must be durable (I1).
        await this.#report(session, record, failure)
      } else throw this.#putError(failure)
    }
    if (retriable !== null) {
      this.#batch = again
      this.#redeliverLater(session, retriable)
      return
    }
    this.#batch = []
    this.#positions.markDelivered()
    if (this.#redelivery === null) return
    this.#redelivery = null
    this.#resumeDelivery(session.consumer)
  }

  /** Keeps the batch; partitions are paused meanwhile, heartbeats and commits go on. */
  #redeliverLater({ consumer, context }: Session, error: Error): void {
    const { clock, logger, random } = this.#env
    const failures = (this.#redelivery?.failures ?? 0) + 1
    if (this.#redelivery === null) consumer.pause(consumer.assignment())
    const asked = context.takeTimeout() ?? (error instanceof RetriableError ? error.retryAfterMs : null)
    const delayMs = asked ?? retryDelayMs(failures, endlessRetry, Infinity, random)
    this.#redelivery = { failures, retryAt: clock.monotonicMs() + delayMs }
    this.metrics.retry()
    logger.warn(
      { error, delayMs, records: this.#batch.length, failures },
      'put failed with a retriable error; the same batch is delivered again',
    )
  }

  /** `context.report`, and failed members of a batch (KIP-610). */
  async #report(session: Pick<Session, 'pipeline' | 'errors'>, record: SinkRecord, error: Error): Promise<void> {
    const { errors, pipeline } = session
    this.metrics.failure()
    this.metrics.error()
    const consumed = pipeline.originalOf(record) ?? pipeline.convertBack(record)
    const report = errors.report({ stage: 'TASK_PUT', className: reportedClassName, error, consumed, source: null })
    const position = this.#positions.get(record.originalTopic, record.originalPartition)
    position?.reports.add(report)
    try {
      await report
    } finally {
      position?.reports.delete(report)
    }
    if (!errors.tolerant) {
      // The task dies even if it swallows what is thrown here.
      this.#failure ??= toleranceExceeded(error)
      throw this.#failure
    }
    this.metrics.skipped()
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure
  }

  // ---- rebalance ----------------------------------------------------------------------------------------------------

  async #onAssigned(session: Session, partitions: readonly TopicPartition[]): Promise<void> {
    const { consumer, task } = session
    for (const tp of partitions) this.#positions.add(tp, await consumer.position(tp, this.state.hard))
    this.metrics.partitionCount = this.#positions.size
    if (this.#paused || this.#redelivery !== null) consumer.pause(partitions)
    if (partitions.length === 0) return
    await task.open?.(partitions)
    this.#rewind(session)
  }

  /** Connect's order: (the running `put` is over) preCommit, close, commit with the generation that still owns them. */
  async #onRevoked(session: Session, partitions: readonly TopicPartition[]): Promise<void> {
    const owned = partitions.filter(({ topic, partition }) => this.#positions.get(topic, partition) !== null)
    if (owned.length === 0 || this.state.hard.aborted) return
    try {
      await session.committer.commitAndClose(owned)
    } finally {
      this.#forget(owned, session)
    }
  }

  /** Another member owns them already: nothing is committed (I7). */
  async #onLost(session: Session, partitions: readonly TopicPartition[]): Promise<void> {
    const owned = partitions.filter(({ topic, partition }) => this.#positions.get(topic, partition) !== null)
    if (owned.length === 0) return
    try {
      await session.task.close?.(owned)
    } finally {
      this.#forget(owned, session)
    }
  }

  #forget(partitions: readonly TopicPartition[], { consumer }: Session): void {
    this.#positions.remove(partitions)
    this.metrics.partitionCount = this.#positions.size
    // Records that `put` has not accepted go to the new owner.
    this.#batch = this.#batch.filter((record) => !partitions.some((tp) => isOf(record, tp)))
    if (this.#redelivery !== null && this.#batch.length === 0) {
      this.#redelivery = null
      this.#resumeDelivery(consumer)
    }
  }

  /** What a listener throws fails the task after `poll`, not the consumer in the middle of its rebalance. */
  async #guard(callback: () => Promise<void>): Promise<void> {
    try {
      await callback()
    } catch (error) {
      this.#failure ??= toError(error)
    }
  }

  // ---- opening and closing ------------------------------------------------------------------------------------------

  async #open(resources: AsyncDisposableStack): Promise<Session | null> {
    const { registry, scope, kafka, logger, clock, settings, id } = this.#env
    const options = parseSinkOptions(this.#spec.connectorConfig)
    const subscription = subscriptionOf(options)
    const converters = await loadConverters(scope.connector, scope.worker, registry)
    resources.defer(() => converters.close())
    const transformContext = transformationContext(this.#env, this.metrics.plugin)
    const chain = await createTransformationChain(scope.connector, registry, transformContext)
    resources.defer(() => chain.close())
    const deadLetters = await openDeadLetterQueue(this.#env, options, this.metrics, this.state.hard)
    const errors = openErrorOperator({ env: this.#env, options, counters: this.metrics, deadLetters })
    resources.defer(() => errors.close())
    const pipeline = new SinkPipeline({ chain, converters, errors, keepOriginals: deadLetters !== null })
    const consumer = kafka.consumer(consumerProperties(scope, id))
    resources.defer(() => consumer.close())
    const context = this.#context({ consumer, pipeline, errors, converters, resources })
    const task = await this.#startTask(context)
    if (task === null) return null
    if (task.takesPlainJson === true) pipeline.keepPlainJson()
    const committer = new SinkCommitter({
      task,
      consumer,
      positions: this.#positions,
      metrics: this.metrics,
      clock,
      logger,
      intervalMs: settings.offsetFlushIntervalMs,
      timeoutMs: settings.offsetFlushTimeoutMs,
      hard: this.state.hard,
    })
    this.#requestCommit = () => committer.request()
    const session: Session = { task, consumer, committer, context, pipeline, errors }
    consumer.subscribe(subscription, {
      onAssigned: (partitions) => this.#guard(() => this.#onAssigned(session, partitions)),
      onRevoked: (partitions) => this.#guard(() => this.#onRevoked(session, partitions)),
      onLost: (partitions) => this.#guard(() => this.#onLost(session, partitions)),
    })
    return session
  }

  #context(parts: {
    readonly consumer: Consumer
    readonly pipeline: SinkPipeline
    readonly errors: ErrorOperator
    readonly converters: TaskConverters
    readonly resources: AsyncDisposableStack
  }): RunnerSinkContext {
    const { id, logger, clock, kafka, scope } = this.#env
    const { consumer, pipeline, errors } = parts
    // Properties that the policy forbids do not matter before they are used.
    const open = (clients: () => ReturnType<typeof topicProducerProperties>) => {
      const opened = new LazyTopicProducer({
        openProducer: () => kafka.producer(clients().producer),
        openAdmin: () => kafka.admin(clients().admin),
      })
      parts.resources.defer(() => opened.close(this.state.hard.aborted ? 0 : closeTimeoutMs))
      return opened
    }
    return new RunnerSinkContext({
      connector: id.connector,
      task: id.task,
      logger,
      metrics: this.metrics.plugin,
      clock,
      producer: open(() => topicProducerProperties(scope, id)),
      rawConfig: this.#spec.taskConfig,
      positions: this.#positions,
      actions: {
        pausePartitions: (partitions) => consumer.pause(partitions),
        resumePartitions: (partitions) => {
          if (!this.#paused && this.#redelivery === null) consumer.resume(partitions)
        },
        requestCommit: () => this.#requestCommit(),
        report: (record, error) => this.#report({ pipeline, errors }, record, error),
        producerWith: (prefix) => {
          const clients = topicProducerProperties(scope, id, { options: this.#spec.taskConfig, prefix })
          return open(() => clients)
        },
      },
    })
  }

  async #startTask(context: RunnerSinkContext): Promise<SinkTask<unknown> | null> {
    const config = parseConfig(this.#plugin.config, this.#spec.taskConfig)
    return await startTask({
      create: async () => (await this.#plugin.createTask()) as SinkTask<unknown>,
      config,
      context,
      env: this.#env,
      soft: this.state.soft,
    })
  }

  /** As a revocation of everything, then `stop`; every step runs. @returns the first failure, or null */
  async #close(session: Session, failure: unknown): Promise<unknown> {
    let first = failure
    const step = async (what: string, run: () => Promise<void>): Promise<void> => {
      try {
        await run()
      } catch (error) {
        this.#env.logger.warn({ error }, `${what} failed while the task was stopping`)
        first ??= error
      }
    }
    if (first === null) this.state.enter('draining')
    await step('closing the partitions', () => this.#onRevoked(session, this.#positions.assignment()))
    await step('leaving the group', () => session.consumer.close())
    try {
      await session.task.stop()
    } catch (error) {
      this.#env.logger.warn({ error }, 'the task threw from stop; it counts as stopped')
    }
    return first
  }
}

/** By the consumed coordinates, whatever transforms made of the record (KIP-793). */
function isOf(record: SinkRecord, { topic, partition }: TopicPartition): boolean {
  return record.originalTopic === topic && record.originalPartition === partition
}
