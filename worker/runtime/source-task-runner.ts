/** The loop of a source task (Connect 4.3, `AbstractWorkerSourceTask` and `WorkerSourceTask`). */
import { ConnectError, kindOf, RetriableError, toError } from '../api/errors.ts'
import type { SourceConnectorPlugin } from '../api/plugin.ts'
import type { SourcePartition, SourceRecord } from '../api/record.ts'
import type { CommittedOffset, SourceTask, SourceTaskContext } from '../api/task.ts'
import { partitionIdentity } from '../cluster/offset-format.ts'
import { OffsetWriter } from '../cluster/offset-writer.ts'
import { parseConfig } from '../config/config-def.ts'
import type { Admin, Producer } from '../kafka/types.ts'
import { parseList } from '../util/text-list.ts'
import { ActiveTopics } from './active-topics.ts'
import {
  adminProperties,
  overruledByExactlyOnce,
  producerProperties,
  transactionalProducerProperties,
} from './client-properties.ts'
import { loadConverters, type TaskConverters } from './converters.ts'
import { openErrorOperator } from './error-operator.ts'
import type { TaskSpec } from './host-protocol.ts'
import { OffsetCommitter } from './offset-committer.ts'
import type { OffsetLayout } from './offset-layout.ts'
import { type ErrorOperator, retryDelayMs } from './retry.ts'
import { deadline, RunState } from './run-state.ts'
import type { SourceCommits } from './source-commits.ts'
import { SourcePipeline } from './source-pipeline.ts'
import { SourceTransactions } from './source-transactions.ts'
import { endlessRetry, startTask } from './start-task.ts'
import { SubmittedRecords } from './submitted-records.ts'
import { HostOffsetReader, type RunnerListener, type RunnerOptions, type TaskEnvironment } from './task-environment.ts'
import type { SourceTaskMetrics } from './task-metrics.ts'
import { openTaskOffsets, refuseOwnOffsetTopic } from './task-offsets.ts'
import { checkTaskCount, parseSourceOptions, type SourceOptions } from './task-options.ts'
import { TopicCreator, topicCreationGroups } from './topic-creation.ts'
import { LazyTopicProducer } from './topic-producer.ts'
import { KafkaTopicReader } from './topic-reader.ts'
import { createTransformationChain, type TransformationChain, transformationContext } from './transformation-chain.ts'

const closeTimeoutMs = 30_000
/** A task whose polls never wait would starve timers and sockets of its thread. */
const maxUninterruptedMs = 20

/** What is open while the task runs, closed in reverse order. */
interface Session {
  readonly options: SourceOptions
  readonly task: SourceTask<unknown>
  readonly pipeline: SourcePipeline
  readonly submitted: SubmittedRecords
  readonly commits: SourceCommits
}

/** What a task's context is made of. */
interface ContextParts {
  readonly producer: Producer
  readonly commits: SourceCommits
  readonly submitted: SubmittedRecords
}

export class SourceTaskRunner {
  readonly #env: TaskEnvironment
  readonly #plugin: SourceConnectorPlugin
  readonly #spec: TaskSpec
  readonly #listener: RunnerListener
  readonly topics: ActiveTopics
  readonly #rawKeys = new Map<string, Uint8Array>()
  readonly metrics: SourceTaskMetrics
  readonly state: RunState
  #sendFailure: Error | null = null
  #lastYield = 0

  constructor(options: RunnerOptions<SourceConnectorPlugin, SourceTaskMetrics>) {
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
      checkTaskCount(this.#spec.id.connector, this.#spec.taskCount, parseSourceOptions(this.#spec.connectorConfig))
      // A task that is to begin paused is not started before its resume (Connect 5.1).
      await this.#awaitResume()
      if (!this.state.soft.aborted) await this.#runStarted()
    })
  }

  async #awaitResume(): Promise<boolean> {
    const state = this.state
    if (!state.wantsPause || state.soft.aborted) return false
    state.enter('paused')
    await state.untilResumed()
    return true
  }

  async #runStarted(): Promise<void> {
    await using resources = new AsyncDisposableStack()
    const session = await this.#open(resources)
    if (session === null) return
    this.state.enter('running')
    session.commits.start()
    let failure: unknown = null
    try {
      await this.#loop(session)
    } catch (error) {
      failure = error
    }
    await this.#finish(session, failure)
    if (failure !== null) throw failure
  }

  async #loop({ task, pipeline, commits }: Session): Promise<void> {
    const state = this.state
    for (let failures = 0; !state.soft.aborted; ) {
      if (state.wantsPause) {
        await commits.finish()
        if (await this.#awaitResume()) {
          if (!state.soft.aborted) state.enter('running')
          continue
        }
      }
      if (this.#sendFailure !== null) throw this.#sendFailure
      const batch = await this.#pollUntilDue(task, commits.dueInMs, failures)
      failures = batch === null ? failures + 1 : 0
      if (batch !== null && batch.length > 0) {
        await this.#sendWithin(commits, pipeline, batch)
      }
      await commits.afterBatch()
      await this.#yieldNowAndThen(batch?.length ?? 0)
    }
    if (this.#sendFailure !== null) throw this.#sendFailure
  }

  /** A source without data must not keep a transaction open past its interval: its wait is cut short. */
  async #pollUntilDue(task: SourceTask<unknown>, dueInMs: number | null, failures: number) {
    if (dueInMs === null) return await this.#poll(task, failures)
    const timer = setTimeout(() => this.state.interrupt(), dueInMs)
    try {
      return await this.#poll(task, failures)
    } finally {
      clearTimeout(timer)
    }
  }

  /** @returns null after a retriable error, when its delay is over */
  async #poll(task: SourceTask<unknown>, failures: number): Promise<readonly SourceRecord[] | null> {
    const { clock, logger, random } = this.#env
    const startedAt = clock.monotonicMs()
    const signal = this.state.work
    try {
      const batch = await task.poll(signal)
      if (batch.length > 0) this.metrics.polled(batch.length, clock.monotonicMs() - startedAt)
      return batch
    } catch (error) {
      // A poll that was told to end may end by its abort reason; nothing was taken from the source.
      if (signal.aborted && (error === signal.reason || kindOf(error) === 'retriable')) return []
      if (kindOf(error) !== 'retriable') throw error
      const asked = error instanceof RetriableError ? (error.retryAfterMs ?? 0) : 0
      const delayMs = Math.max(asked, retryDelayMs(failures + 1, endlessRetry, Infinity, random))
      logger.warn({ error, delayMs }, 'poll failed with a retriable error; it is called again')
      await clock.sleep(delayMs, signal)
      return null
    }
  }

  /** Sends a batch, cut where the connector asked for a transaction boundary. */
  async #sendWithin(commits: SourceCommits, pipeline: SourcePipeline, batch: readonly SourceRecord[]): Promise<void> {
    let from = 0
    while (from < batch.length) {
      const end = commits.nextBoundary(batch, from)
      await commits.beforeSend(end - from)
      await this.#send(pipeline, from === 0 && end === batch.length ? batch : batch.slice(from, end))
      await commits.afterRecord(batch[end - 1] as SourceRecord)
      from = end
    }
  }

  /** Sends a batch; after a retriable failure its rest, again and again. Nothing is left behind but by a hard stop. */
  async #send(pipeline: SourcePipeline, batch: readonly SourceRecord[]): Promise<void> {
    const { clock, logger, random } = this.#env
    const { hard, soft } = this.state
    let rest = batch
    for (let failures = 0; rest.length > 0 && !hard.aborted; ) {
      if (this.#sendFailure !== null) throw this.#sendFailure
      try {
        const sent = await pipeline.send(rest, hard)
        rest = rest.slice(sent)
        failures = 0
      } catch (error) {
        // A stop gives up on a topic that does not exist (statement 51): its records were not counted as sent.
        if (hard.aborted || (soft.aborted && error === soft.reason)) return
        if (kindOf(error) !== 'retriable') throw error
        // What was decided before the failing record is not sent again.
        rest = rest.slice(pipeline.decided)
        failures = pipeline.decided > 0 ? 1 : failures + 1
        logger.warn({ error }, 'sending records failed with a retriable error; the rest is sent again')
        if (soft.aborted) return
        await clock.sleep(Math.max(100, retryDelayMs(failures, endlessRetry, Infinity, random)), soft)
      }
    }
  }

  async #yieldNowAndThen(recordCount: number): Promise<void> {
    const now = this.#env.clock.monotonicMs()
    if (recordCount > 0 && now - this.#lastYield < maxUninterruptedMs) return
    await new Promise((resolve) => setImmediate(resolve))
    this.#lastYield = this.#env.clock.monotonicMs()
  }

  /** Last acknowledgements, last commit, `task.stop`; also after a failure (Connect 5.3), not after a hard stop. */
  async #finish(session: Session, failure: unknown): Promise<void> {
    const { submitted, commits, task } = session
    const { logger } = this.#env
    if (failure === null) this.state.enter('draining')
    try {
      if (!this.state.hard.aborted) {
        using limit = deadline(this.#env.settings.offsetFlushTimeoutMs, this.state.hard)
        await submitted.awaitOutcomes(limit.signal)
        if (failure === null || !this.#env.settings.exactlyOnceSource) await commits.finish()
      }
    } catch (error) {
      if (failure === null) throw error
      logger.error({ error }, 'the last offset commit of a failed task failed too')
    } finally {
      await commits.stop()
      try {
        await task.stop()
      } catch (error) {
        logger.warn({ error }, 'the task threw from stop; it counts as stopped')
      }
    }
  }

  /** Everything up to a started task; null when a stop came first. A failed start leaves nothing open. */
  async #open(resources: AsyncDisposableStack): Promise<Session | null> {
    const { registry, scope, logger, clock } = this.#env
    const options = parseSourceOptions(this.#spec.connectorConfig)
    const converters = await loadConverters(scope.connector, scope.worker, registry)
    resources.defer(() => converters.close())
    const transformContext = transformationContext(this.#env, this.metrics.plugin)
    const chain = await createTransformationChain(scope.connector, registry, transformContext)
    resources.defer(() => chain.close())
    const producer = await this.#openProducer(resources)
    if (producer === null) return null
    const errors = openErrorOperator({ env: this.#env, options, counters: this.metrics, deadLetters: null })
    resources.defer(() => errors.close())
    const submitted = new SubmittedRecords({
      onDelivered: (count, topic) => this.#onDelivered(count, topic),
      onFailed: (count, error) => this.#onSendFailed(count, error, errors),
    })
    let task: SourceTask<unknown> | null = null
    const offsets = await openTaskOffsets({ env: this.#env, producer, resources, hard: this.state.hard })
    const writer = new OffsetWriter({
      connector: this.#spec.id.connector,
      sink: offsets.sink,
      rawKey: (partition) => this.#rawKeys.get(partitionIdentity(partition)) ?? null,
    })
    const onCommitted = async (committed: readonly CommittedOffset[]) => await task?.commit?.(committed)
    const commits: SourceCommits = this.#env.settings.exactlyOnceSource
      ? new SourceTransactions({
          producer,
          writer,
          offsets,
          submitted,
          options,
          env: this.#env,
          metrics: this.metrics,
          onCommitted,
        })
      : regularCommits(
          new OffsetCommitter({
            submitted,
            writer,
            metrics: this.metrics,
            clock,
            logger,
            intervalMs: this.#env.settings.offsetFlushIntervalMs,
            timeoutMs: this.#env.settings.offsetFlushTimeoutMs,
            onCommitted,
          }),
          submitted,
          this.state.hard,
        )
    task = await this.#startTask({ producer, commits, submitted }, resources)
    if (task === null) return null
    const pipeline = this.#pipeline(
      { chain, converters, producer, submitted, errors, layout: offsets.layout },
      resources,
    )
    return { options, task, pipeline, submitted, commits }
  }

  async #openProducer(resources: AsyncDisposableStack): Promise<Producer | null> {
    const { kafka, scope, settings, services } = this.#env
    const { id } = this.#spec
    const exactlyOnce = settings.exactlyOnceSource
    if (exactlyOnce && this.#spec.preflight) await services.fence()
    const overruled = exactlyOnce ? overruledByExactlyOnce(scope, id) : []
    if (overruled.length > 0) {
      const message = `Exactly-once sets ${overruled.join(' and ')} of the producer itself; what the config says is ignored`
      this.#env.logger.warn({ options: overruled }, message)
    }
    const producer = kafka.producer(
      exactlyOnce ? transactionalProducerProperties(scope, id) : producerProperties(scope, id),
    )
    // A hard stop must not wait for a broker: what is in flight is not committed, so it comes again (I3).
    resources.defer(() => producer.close(this.state.hard.aborted ? 0 : closeTimeoutMs))
    if (exactlyOnce) {
      await producer.initTransactions(this.state.hard)
      if (this.state.soft.aborted) return null
      if (this.#spec.preflight) await services.verify()
    }
    return producer
  }

  async #startTask(parts: ContextParts, resources: AsyncDisposableStack): Promise<SourceTask<unknown> | null> {
    const config = parseConfig(this.#plugin.config, this.#spec.taskConfig)
    const context = this.#context(parts, resources)
    return await startTask({
      create: async () => (await this.#plugin.createTask()) as SourceTask<unknown>,
      config,
      context,
      env: this.#env,
      soft: this.state.soft,
    })
  }

  #context({ producer, commits, submitted }: ContextParts, resources: AsyncDisposableStack): SourceTaskContext {
    const { id, logger, clock, services, kafka, scope } = this.#env
    const topics = new LazyTopicProducer({
      // Within a transaction a second topic's records belong to it as well: the same producer writes both.
      openProducer: () => producer,
      beforeSend: async () => await commits.beforeSend(0),
      openAdmin: () => kafka.admin(adminProperties(scope, `connector-adminclient-${id.connector}-${id.task}`)),
    })
    resources.defer(() => topics.close(null))
    const remember = (partition: SourcePartition, { rawKey }: { readonly rawKey: Uint8Array | null }): void => {
      if (rawKey !== null) this.#rawKeys.set(partitionIdentity(partition), rawKey)
    }
    return {
      connector: id.connector,
      task: id.task,
      logger,
      metrics: this.metrics.plugin,
      clock,
      producer: topics,
      rawConfig: this.#spec.taskConfig,
      offsets: new HostOffsetReader(id.connector, services, remember),
      transaction: commits.transaction,
      pluginPath: parseList(scope.worker['plugin.path']),
      readTopic: (options) => new KafkaTopicReader(kafka, options),
      advance: (partition, offset) => submitted.advance(partition, offset),
      persist: async (partition, offset) => {
        submitted.advance(partition, offset)
        await commits.persist()
      },
    }
  }

  #pipeline(
    parts: {
      readonly chain: TransformationChain
      readonly converters: TaskConverters
      readonly producer: Producer
      readonly submitted: SubmittedRecords
      readonly errors: ErrorOperator
      readonly layout: OffsetLayout
    },
    resources: AsyncDisposableStack,
  ): SourcePipeline {
    const { scope, settings, kafka, id } = this.#env
    const groups = settings.topicCreationEnabled ? topicCreationGroups(scope.connector) : null
    let creator: TopicCreator | null = null
    if (groups !== null) {
      const admin: Admin = kafka.admin(adminProperties(scope, `connector-adminclient-${id.connector}-${id.task}`))
      resources.defer(() => admin.close())
      creator = new TopicCreator(groups, admin)
    }
    return new SourcePipeline({
      ...parts,
      prepareTopic: async (topic, signal) => {
        refuseOwnOffsetTopic(topic, parts.layout, settings.exactlyOnceSource)
        await creator?.ensure(topic, signal)
        await parts.producer.partitionsOf(topic, this.state.soft.aborted ? signal : this.state.soft)
      },
      onSkipped: () => this.metrics.dropped(1),
    })
  }

  #onDelivered(count: number, topic: string): void {
    this.metrics.written(count)
    if (this.topics.isDue(topic)) this.#listener.onTopic(topic)
  }

  /** @returns whether the records count as done */
  #onSendFailed(count: number, error: Error, errors: ErrorOperator): boolean {
    if (this.state.hard.aborted) return false
    for (let i = 0; i < count; i++) {
      this.metrics.failure()
      this.metrics.error()
    }
    if (errors.tolerant) {
      this.metrics.dropped(count)
      for (let i = 0; i < count; i++) this.metrics.skipped()
      const failure = { stage: 'KAFKA_PRODUCE' as const, className: 'org.apache.kafka.connect.source.SourceTask' }
      void errors.report({ ...failure, error: toError(error), consumed: null, source: null })
      return true
    }
    this.#sendFailure ??= new ConnectError(
      'fatal',
      'CONNECT_SEND_FAILED',
      'Unrecoverable exception from producer send callback',
      { cause: error },
    )
    this.state.interrupt()
    return false
  }
}

function regularCommits(committer: OffsetCommitter, submitted: SubmittedRecords, hard: AbortSignal): SourceCommits {
  return {
    start: () => committer.start(),
    beforeSend: async () => undefined,
    nextBoundary: (batch) => batch.length,
    afterRecord: async () => undefined,
    transaction: null,
    dueInMs: null,
    afterBatch: async () => undefined,
    finish: async () => {
      await committer.commit()
    },
    persist: async () => {
      // An offset is committed behind the records before it only.
      await submitted.awaitOutcomes(hard)
      if (await committer.commit()) return
      throw new RetriableError('CONNECT_OFFSETS_FAILED', 'An offset that records are to follow could not be committed')
    },
    stop: () => committer.stop(),
  }
}
