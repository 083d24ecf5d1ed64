import type { RawConfig } from '../api/connector.ts'
import type { Logger } from '../api/context.ts'
import { ConnectError, RequestError, toError } from '../api/errors.ts'
import type { ClientProperties, Producer, TopicLog, TopicLogFactory, TopicLogOptions } from '../kafka/types.ts'
import type { TargetState } from '../runtime/worker-types.ts'
import type { ClusterState, SessionKey } from './cluster-state.ts'
import { type ConfigEvent, ConfigLog, configKeys, configValues } from './config-log.ts'
import type { RestartRequest } from './herder.ts'
import { javaJson } from './java-json.ts'
import { producerOffsetSink } from './offset-writer.ts'

/** Budget of one write sequence, in ms (Connect's `READ_WRITE_TOTAL_TIMEOUT_MS`). */
const writeTimeoutMs = 30_000

/** The leader's producer was fenced, or its transaction failed: claim the privileges again, then the request may be repeated. */
export class PrivilegedWriteError extends RequestError {
  override readonly name = 'PrivilegedWriteError'

  constructor(cause: unknown) {
    super(
      500,
      'CONNECT_CONFIG_WRITE',
      'Failed to write to config topic; this may be due to a transient error and the request can be safely retried',
      { cause },
    )
  }
}

export interface ConfigStoreOptions {
  readonly createLog: TopicLogFactory
  readonly clients: Pick<TopicLogOptions, 'topic' | 'consumer' | 'producer' | 'admin'>
  /** Exactly-once preparing or enabled: the leader writes in transactions of this producer (KIP-618); else null. */
  readonly leaderProducer: {
    readonly properties: ClientProperties
    create(properties: ClientProperties): Producer
  } | null
  readonly logger: Logger
  /** Told in log order, for records read after `start` has resolved. Never throws. */
  onEvent(event: ConfigEvent): void
}

interface ConfigRecord {
  readonly key: string
  /** Null: tombstone. */
  readonly value: unknown
}

/** The config topic: connector configs, task configs, target states, session keys, in Connect's record formats. */
export class ConfigStore implements AsyncDisposable {
  readonly #options: ConfigStoreOptions
  readonly #log: TopicLog
  readonly #applied = new ConfigLog()
  #isStarted = false
  #leaderProducer: Producer | null = null

  constructor(options: ConfigStoreOptions) {
    this.#options = options
    this.#log = options.createLog({
      ...options.clients,
      onRecord: ({ key, value, offset }) => this.#apply(key, value, offset),
      onError: (error) => options.logger.warn({ error }, 'reading the config topic failed; it is tried again'),
    })
  }

  /** @throws ConnectError when the topic has more than one partition */
  async start(signal?: AbortSignal): Promise<void> {
    await this.#log.start(signal)
    const { topic } = this.#options.clients
    if (this.#log.partitionCount !== 1) {
      throw new ConnectError(
        'fatal',
        'CONNECT_CONFIG_TOPIC_PARTITIONS',
        `Topic '${topic}' supplied via the 'config.storage.topic' property is required to have a single partition in ` +
          `order to guarantee consistency of connector configurations, but found ${this.#log.partitionCount} partitions.`,
      )
    }
    this.#isStarted = true
  }

  snapshot(): ClusterState {
    return this.#applied.snapshot()
  }

  /** Reads what is in the topic now; afterwards `snapshot` has it. @throws RetriableError; the signal's reason */
  async readToEnd(signal?: AbortSignal): Promise<void> {
    await this.#log.readToEnd(signal)
  }

  /** Becomes the only one that may write privileged records. Does nothing without transactions. @throws RetriableError */
  async claimWritePrivileges(signal?: AbortSignal): Promise<void> {
    const settings = this.#options.leaderProducer
    if (settings === null || this.#leaderProducer !== null) return
    const producer = settings.create(settings.properties)
    try {
      await producer.initTransactions(signal)
      this.#leaderProducer = producer
    } catch (error) {
      await producer.close(0)
      throw error
    }
  }

  /** `initial` null leaves the target state as it is (STARTED for a new connector). */
  async putConnectorConfig(connector: string, config: RawConfig, initial: TargetState | null): Promise<void> {
    const records: ConfigRecord[] = []
    if (initial !== null) {
      records.push({ key: configKeys.targetState(connector), value: configValues.targetState(initial) })
    }
    records.push({ key: configKeys.connector(connector), value: configValues.properties(config) })
    await this.#writePrivileged(records)
  }

  async removeConnector(connector: string): Promise<void> {
    await this.#writePrivileged([
      { key: configKeys.connector(connector), value: null },
      { key: configKeys.targetState(connector), value: null },
    ])
  }

  /** All task configs, then the commit that makes them valid. */
  async putTaskConfigs(connector: string, configs: readonly RawConfig[]): Promise<void> {
    const deadline = AbortSignal.timeout(writeTimeoutMs)
    await this.readToEnd(deadline)
    if (configs.length > 0) {
      await this.#writePrivileged(
        configs.map((config, task) => ({
          key: configKeys.task({ connector, task }),
          value: configValues.properties(config),
        })),
        deadline,
      )
    }
    await this.#writePrivileged(
      [{ key: configKeys.commit(connector), value: configValues.commit(configs.length) }],
      deadline,
    )
  }

  async putTaskCountRecord(connector: string, taskCount: number): Promise<void> {
    await this.#writePrivileged([{ key: configKeys.fencing(connector), value: configValues.fencing(taskCount) }])
  }

  async putSessionKey(key: SessionKey): Promise<void> {
    await this.#writePrivileged([{ key: configKeys.sessionKey, value: configValues.sessionKey(key) }])
  }

  async putRestartRequest(request: RestartRequest): Promise<void> {
    await this.#writePrivileged([{ key: configKeys.restart(request.connector), value: configValues.restart(request) }])
  }

  /** Any worker may write this one. */
  async putTargetState(connector: string, target: TargetState): Promise<void> {
    await this.#writePlain([{ key: configKeys.targetState(connector), value: configValues.targetState(target) }])
  }

  /** Any worker may write this one. */
  async putLoggerLevel(namespace: string, level: string): Promise<void> {
    await this.#writePlain([{ key: configKeys.logger(namespace), value: configValues.logger(level) }])
  }

  async close(): Promise<void> {
    this.#isStarted = false
    const producer = this.#leaderProducer
    this.#leaderProducer = null
    const outcomes = await Promise.allSettled([this.#log.close(), producer?.close(0)])
    const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
    if (failures.length > 0) throw new AggregateError(failures, 'closing the config store failed')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #apply(key: Uint8Array | null, value: Uint8Array | null, offset: bigint): void {
    const text = key === null ? '' : Buffer.from(key).toString('utf8')
    const { event, problem } = this.#applied.apply(text, value, offset)
    if (problem !== null) {
      this.#options.logger.error({ key: text, offset }, `ignoring a record of the config topic: ${problem}`)
    }
    if (event !== null && this.#isStarted) this.#options.onEvent(event)
  }

  async #writePlain(records: readonly ConfigRecord[], signal?: AbortSignal): Promise<void> {
    await this.#log.send(records.map(encode), signal ?? AbortSignal.timeout(writeTimeoutMs))
  }

  /** Writes what only the leader may write, as one transaction where there are any, and reads it back. */
  async #writePrivileged(records: readonly ConfigRecord[], signal?: AbortSignal): Promise<void> {
    const deadline = signal ?? AbortSignal.timeout(writeTimeoutMs)
    if (this.#options.leaderProducer === null) await this.#writePlain(records, deadline)
    else await this.#writeTransaction(records, deadline)
    await this.readToEnd(deadline)
  }

  async #writeTransaction(records: readonly ConfigRecord[], signal: AbortSignal): Promise<void> {
    const producer = this.#leaderProducer
    if (producer === null) throw new PrivilegedWriteError(new Error('this worker has no write privileges at present'))
    try {
      producer.beginTransaction()
      const { topic } = this.#options.clients
      const written = producerOffsetSink(producer, topic).write(records.map(encode), signal)
      await Promise.all([written, producer.flush(signal)])
      await producer.commitTransaction(signal)
    } catch (error) {
      // Fenced by another leader, or in an unknown state: a new producer is the only way on (I7).
      this.#leaderProducer = null
      await producer.close(0).catch((cause: unknown) => {
        this.#options.logger.debug({ error: toError(cause) }, 'closing the fenced producer failed')
      })
      throw new PrivilegedWriteError(error)
    }
  }
}

function encode(record: ConfigRecord): { readonly key: Uint8Array; readonly value: Uint8Array | null } {
  return {
    key: Buffer.from(record.key),
    value: record.value === null ? null : Buffer.from(javaJson(record.value)),
  }
}
