/** `SinkTaskContext`: what a sink task may ask of its runner. */

import type { RawConfig } from '../api/connector.ts'
import type { Clock, Logger, Metrics, TopicProducer } from '../api/context.ts'
import { RequestError } from '../api/errors.ts'
import type { SinkRecord } from '../api/record.ts'
import type { SinkTaskContext } from '../api/task.ts'
import { type TopicPartition, TopicPartitionMap } from '../api/topic-partition.ts'
import type { SinkPositions } from './sink-positions.ts'

/** What the context does at once; the rest is kept until the loop looks. */
export interface SinkContextActions {
  pausePartitions(partitions: readonly TopicPartition[]): void
  resumePartitions(partitions: readonly TopicPartition[]): void
  requestCommit(): void
  report(record: SinkRecord, error: Error): Promise<void>
  producerWith(prefix: string): TopicProducer
}

export interface SinkContextOptions {
  readonly connector: string
  readonly task: number
  readonly logger: Logger
  readonly metrics: Metrics
  readonly clock: Clock
  readonly producer: TopicProducer
  readonly rawConfig: RawConfig
  readonly positions: SinkPositions
  readonly actions: SinkContextActions
}

export class RunnerSinkContext implements SinkTaskContext {
  readonly connector: string
  readonly task: number
  readonly logger: Logger
  readonly metrics: Metrics
  readonly clock: Clock
  readonly producer: TopicProducer
  readonly rawConfig: RawConfig
  readonly #positions: SinkPositions
  readonly #actions: SinkContextActions
  #rewinds = new TopicPartitionMap<bigint>()
  #timeoutMs: number | null = null

  constructor(options: SinkContextOptions) {
    this.connector = options.connector
    this.task = options.task
    this.logger = options.logger
    this.metrics = options.metrics
    this.clock = options.clock
    this.producer = options.producer
    this.rawConfig = options.rawConfig
    this.#positions = options.positions
    this.#actions = options.actions
  }

  assignment(): readonly TopicPartition[] {
    return this.#positions.assignment()
  }

  pause(partitions: readonly TopicPartition[]): void {
    this.#setPaused(partitions, true, 'pause')
    this.#actions.pausePartitions(partitions)
  }

  resume(partitions: readonly TopicPartition[]): void {
    this.#setPaused(partitions, false, 'resume')
    this.#actions.resumePartitions(partitions)
  }

  #setPaused(partitions: readonly TopicPartition[], paused: boolean, verb: 'pause' | 'resume'): void {
    const positions = partitions.map(({ topic, partition }) => this.#positions.get(topic, partition))
    for (const position of positions) {
      if (position !== null) continue
      throw new RequestError(
        400,
        'CONNECT_PARTITION_NOT_ASSIGNED',
        `SinkTasks may not ${verb} partitions that are not currently assigned to them.`,
      )
    }
    for (const position of positions) if (position !== null) position.pausedByTask = paused
  }

  seek({ topic, partition }: TopicPartition, offset: bigint): void {
    this.#rewinds.set(topic, partition, offset)
  }

  timeout(ms: number): void {
    this.#timeoutMs = ms
  }

  requestCommit(): void {
    this.#actions.requestCommit()
  }

  report(record: SinkRecord, error: Error): Promise<void> {
    return this.#actions.report(record, error)
  }

  producerWith(prefix: string): TopicProducer {
    return this.#actions.producerWith(prefix)
  }

  /** Seeks asked for since the last call. */
  takeRewinds(): TopicPartitionMap<bigint> {
    const rewinds = this.#rewinds
    this.#rewinds = new TopicPartitionMap()
    return rewinds
  }

  /** The wait asked for since the last call, in ms; null when none was. Applies once. */
  takeTimeout(): number | null {
    const timeoutMs = this.#timeoutMs
    this.#timeoutMs = null
    return timeoutMs !== null && timeoutMs > 0 ? timeoutMs : null
  }
}
