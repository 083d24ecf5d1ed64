/**
 * Reads source offsets where a connector has them, on the main thread: in its own topic first, and in the worker's
 * store what its own topic does not know (Connect 2.5).
 */
import type { Clock, Logger } from '../api/context.ts'
import type { SourcePartition } from '../api/record.ts'
import { ensureInternalTopic } from '../cluster/internal-topics.ts'
import { KafkaOffsetStore, type OffsetStore, type StoredOffset } from '../cluster/offset-store.ts'
import { type OffsetRecord, type OffsetSink, producerOffsetSink } from '../cluster/offset-writer.ts'
import { storageTopicConfigs } from '../config/worker-config.ts'
import { createTopicLog } from '../kafka/topic-log.ts'
import type { KafkaClientFactory } from '../kafka/types.ts'
import {
  adminProperties,
  type ClientScope,
  offsetConsumerProperties,
  producerProperties,
  transactionalProducerProperties,
} from './client-properties.ts'
import type { ReadOffset, RuntimeSettings } from './host-protocol.ts'
import { BackedUpOffsets, type OffsetLayout, offsetLayout } from './offset-layout.ts'
import { deadline } from './run-state.ts'

export interface ConnectorOffsetsOptions {
  /** The worker's own store; started and closed by its owner. */
  readonly worker: OffsetStore
  readonly kafka: KafkaClientFactory
  readonly settings: RuntimeSettings
  readonly clock: Clock
  readonly logger: Logger
}

/** `default.api.timeout.ms` of the admin client: how long creation of the topic is tried. */
const createTopicTimeoutMs = 60_000
const retryBackoffMs = 100
const closeTimeoutMs = 10_000

/** Offsets of one source connector, for one owner (a task, a connector instance, a command), who closes it. */
export class ConnectorOffsetReader implements AsyncDisposable {
  readonly #options: ConnectorOffsetsOptions
  readonly #connector: string
  readonly #scope: ClientScope
  readonly #layout: OffsetLayout
  /** Opened on first use; null while there is no topic of the connector's own. */
  #own: Promise<KafkaOffsetStore> | null = null
  readonly #closing = new AbortController()

  /** @throws ConfigError when the override policy forbids one of the connector's client options */
  constructor(connector: string, scope: ClientScope, options: ConnectorOffsetsOptions) {
    this.#options = options
    this.#connector = connector
    this.#scope = scope
    this.#layout = offsetLayout(scope, { connector, task: 0 }, options.settings)
  }

  /** One answer per partition, with the key bytes under which it stands. Opens (and creates) the connector's topic. */
  async read(partitions: readonly SourcePartition[], signal?: AbortSignal): Promise<readonly ReadOffset[]> {
    const { worker } = this.#options
    const connector = this.#connector
    const own = await this.#ownStore()
    const [fallback, first] = await Promise.all([
      worker.read(connector, partitions, signal),
      own?.read(connector, partitions, signal) ?? null,
    ])
    return partitions.map((partition, i) => {
      const rawKey = own?.rawKey(connector, partition) ?? null
      // A reset in the connector's topic counts too: only what that topic has never known is looked up behind it.
      if (rawKey !== null) return { offset: first?.[i] ?? null, rawKey }
      return { offset: fallback[i] ?? null, rawKey: worker.rawKey(connector, partition) }
    })
  }

  /** Everything known, with partitions that were reset. */
  async partitions(signal?: AbortSignal): Promise<readonly StoredOffset[]> {
    const { worker } = this.#options
    const connector = this.#connector
    const own = await this.#ownStore()
    const behind = await worker.partitions(connector, signal)
    if (own === null) return behind
    const first = await own.partitions(connector, signal)
    return [...first, ...behind.filter(({ partition }) => own.rawKey(connector, partition) === null)]
  }

  /** Key bytes already in use for this partition; known once something was read. */
  async rawKey(partition: SourcePartition): Promise<Uint8Array | null> {
    const own = await this.#ownStore()
    return own?.rawKey(this.#connector, partition) ?? this.#options.worker.rawKey(this.#connector, partition)
  }

  /**
   * Writes outside of any task, while none runs. With exactly-once in one transaction under the transactional id of
   * task 0: that fences a zombie of it, so that it cannot overwrite what the operator ordered (KIP-618).
   */
  async write(records: readonly OffsetRecord[], signal?: AbortSignal): Promise<void> {
    const { worker, settings, kafka, logger } = this.#options
    const { topic, isWorkers } = this.#layout
    if (topic === null) return await worker.write(records, signal)
    await this.#ownStore()
    const id = { connector: this.#connector, task: 0 }
    const clientId = { 'client.id': `connector-offset-producer-${this.#connector}` }
    const exactlyOnce = settings.exactlyOnceSource
    const base = exactlyOnce ? transactionalProducerProperties(this.#scope, id) : producerProperties(this.#scope, id)
    await using resources = new AsyncDisposableStack()
    const producer = kafka.producer({ ...base, ...clientId })
    resources.defer(() => producer.close(signal?.aborted ? 0 : closeTimeoutMs))
    const primary = producerOffsetSink(producer, topic)
    const backed = isWorkers
      ? null
      : new BackedUpOffsets({ primary, backup: worker, logger, transactional: exactlyOnce })
    const sink: OffsetSink = backed ?? primary
    if (exactlyOnce) {
      await producer.initTransactions(signal)
      producer.beginTransaction()
    }
    await sink.write(records, signal)
    if (exactlyOnce) {
      await producer.commitTransaction(signal)
      backed?.confirm()
    }
    using limit = deadline(closeTimeoutMs, signal)
    await backed?.close(limit.signal)
  }

  async #ownStore(): Promise<KafkaOffsetStore | null> {
    const { topic, isWorkers } = this.#layout
    // The worker's own store follows its topic already.
    if (topic === null || isWorkers) return null
    this.#own ??= this.#open(topic)
    try {
      return await this.#own
    } catch (error) {
      // The next call tries again: a topic that could not be created may be there by then.
      this.#own = null
      throw error
    }
  }

  async #open(topic: string): Promise<KafkaOffsetStore> {
    const { kafka, clock, logger, settings } = this.#options
    const scope = this.#scope
    const { signal } = this.#closing
    const adminClient = adminProperties(scope, `connector-worker-adminclient-${this.#connector}`)
    await using admin = kafka.admin(adminClient)
    const distributed = settings.offsetTopic !== null
    const { worker } = scope
    await ensureInternalTopic(
      {
        option: 'offsets.storage.topic',
        content: 'source connector offsets',
        topic,
        partitions: Number(worker['offset.storage.partitions'] ?? (distributed ? 25 : -1)),
        replicationFactor: Number(worker['offset.storage.replication.factor'] ?? (distributed ? 3 : -1)),
        configs: storageTopicConfigs(worker, 'offset'),
      },
      { admin, clock, logger, timeoutMs: createTopicTimeoutMs, retryBackoffMs },
      signal,
    )
    const store = new KafkaOffsetStore({
      createLog: (options) => createTopicLog(kafka, options, clock),
      clients: {
        topic,
        consumer: offsetConsumerProperties(scope, this.#connector, settings.exactlyOnceSource),
        producer: null,
        admin: adminClient,
      },
      logger,
    })
    try {
      await store.start(signal)
      return store
    } catch (error) {
      await store.close()
      throw error
    }
  }

  async close(): Promise<void> {
    this.#closing.abort()
    const own = this.#own
    this.#own = null
    try {
      const store = await own
      await store?.close()
    } catch (error) {
      this.#options.logger.debug({ error }, "closing the reader of a connector's offset topic failed")
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
