/** What a host gives to the tasks and connectors that run in it. */
import type { OffsetReader } from '../api/connector.ts'
import type { Clock, Logger } from '../api/context.ts'
import type { SourcePartition } from '../api/record.ts'
import type { OffsetRecord } from '../cluster/offset-writer.ts'
import type { KafkaClientFactory } from '../kafka/types.ts'
import type { PluginIndex } from '../plugins/registry.ts'
import type { ClientScope } from './client-properties.ts'
import type { ReadOffset, RuntimeSettings, TaskSpec } from './host-protocol.ts'
import type { TaskMetrics } from './task-metrics.ts'
import type { TaskId } from './worker-types.ts'

/** Calls that a host makes on the main thread. */
export interface MainServices {
  readOffsets(connector: string, partitions: readonly SourcePartition[]): Promise<readonly ReadOffset[]>
  /** Standalone mode: into the worker's offset file. */
  writeOffsets(records: readonly OffsetRecord[]): Promise<void>
  /** Exactly-once: fences the producers of earlier generations. */
  fence(): Promise<void>
  /** Exactly-once: the task is still this worker's, of this generation. */
  verify(): Promise<void>
}

/** Everything a runner needs from outside, so that tests give it fakes. */
export interface TaskEnvironment {
  readonly id: TaskId
  readonly registry: PluginIndex
  readonly kafka: KafkaClientFactory
  readonly clock: Clock
  readonly logger: Logger
  readonly settings: RuntimeSettings
  /** Resolved options of worker and connector. */
  readonly scope: ClientScope
  readonly services: MainServices
  /** Fraction in [0, 1), for jitter. */
  readonly random: () => number
}

/** Told by a runner; the host passes it on to the main thread. */
export interface RunnerListener {
  onState(state: 'RUNNING' | 'PAUSED'): void
  /** First record of this task to, or from, this topic. */
  onTopic(topic: string): void
}

/** What a runner is made of. */
export interface RunnerOptions<P, M extends TaskMetrics = TaskMetrics> {
  readonly env: TaskEnvironment
  readonly plugin: P
  readonly spec: TaskSpec
  readonly listener: RunnerListener
  readonly metrics: M
}

/** Source offsets for a plugin, remembering the key bytes under which each stands in the topic. */
export class HostOffsetReader implements OffsetReader {
  readonly #connector: string
  readonly #services: Pick<MainServices, 'readOffsets'>
  readonly #onRead: (partition: SourcePartition, read: ReadOffset) => void

  constructor(
    connector: string,
    services: Pick<MainServices, 'readOffsets'>,
    onRead: (partition: SourcePartition, read: ReadOffset) => void = () => undefined,
  ) {
    this.#connector = connector
    this.#services = services
    this.#onRead = onRead
  }

  async read(partitions: readonly SourcePartition[], signal?: AbortSignal) {
    signal?.throwIfAborted()
    const answers = await this.#services.readOffsets(this.#connector, partitions)
    return partitions.map((partition, i) => {
      const answer = answers[i] ?? { offset: null, rawKey: null }
      this.#onRead(partition, answer)
      return answer.offset
    })
  }
}
