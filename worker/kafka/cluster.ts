/**
 * The brokers of one client: bootstrap, metadata, leaders and coordinators. Every client owns one and closes it.
 */
import type { Clock, Logger } from '../api/context.ts'
import { ConnectError, RetriableError } from '../api/errors.ts'
import { BrokerNode } from './broker-node.ts'
import type { ConnectionConfig } from './client-config.ts'
import { abortedError, brokerError, isStale, kafkaError, timeoutError } from './errors.ts'
import { type Broker, brokerMaker } from './kafkajs-internals.ts'
import { type ClusterMetadata, metadataRequest, type TopicMetadata } from './protocol/metadata.ts'
import { Traffic } from './traffic.ts'
import type { TrafficListener } from './types.ts'
import { withAbort } from './waiting.ts'

/** How long an operation is tried again before a line at WARN says so. */
const toldAfterMs = 5_000

export type CoordinatorType = 'group' | 'transaction'

export class Cluster {
  readonly config: ConnectionConfig
  readonly clock: Clock
  readonly log: Logger | null
  readonly #makeBroker: (host: string, port: number, nodeId: number | null) => Broker
  readonly #nodes = new Map<number, BrokerNode>()
  readonly #topics = new Map<string, TopicMetadata>()
  readonly #coordinators = new Map<string, number>()
  #bootstrap: BrokerNode[] = []
  #clusterId: string | null = null
  #controllerId = -1
  #refreshing: Promise<void> = Promise.resolve()
  #refreshedAt = Number.NEGATIVE_INFINITY
  #closed = false

  constructor(config: ConnectionConfig, clock: Clock, log: Logger | null, traffic: TrafficListener | null = null) {
    this.config = config
    this.clock = clock
    this.log = log
    this.#makeBroker = brokerMaker(config, log, traffic === null ? null : new Traffic(traffic))
  }

  get clusterId(): string | null {
    return this.#clusterId
  }

  /** Monotonic time of the last refresh. */
  get refreshedAt(): number {
    return this.#refreshedAt
  }

  topic(name: string): TopicMetadata | undefined {
    return this.#topics.get(name)
  }

  topics(): IterableIterator<TopicMetadata> {
    return this.#topics.values()
  }

  /** Leader of a partition as last seen; null when it has none or is not known. */
  leader(topic: string, partition: number): BrokerNode | null {
    const metadata = this.#topics.get(topic)?.partitions
    // Brokers list partitions in any order, but nearly always at their own index.
    let found = metadata?.[partition]
    if (found?.partition !== partition) found = metadata?.find((p) => p.partition === partition)
    return found === undefined || found.leader < 0 ? null : (this.#nodes.get(found.leader) ?? null)
  }

  /**
   * Asks a broker for the state of the named topics (null: of all) and of the cluster. Refreshes run one after the
   * other. Topics that the broker does not know get an entry with their error.
   */
  async refresh(topics: readonly string[] | null, signal?: AbortSignal): Promise<void> {
    const previous = this.#refreshing
    const run = async (): Promise<void> => {
      await previous.catch(() => undefined)
      if (signal?.aborted) throw abortedError('ask for metadata')
      await this.#refresh(topics, this.config.autoCreateTopics, signal)
    }
    const refreshing = run()
    this.#refreshing = refreshing
    return refreshing
  }

  /** State of topics without creating them, and without remembering them. */
  async describe(topics: readonly string[] | null, signal?: AbortSignal): Promise<ClusterMetadata> {
    const metadata = await this.#ask(topics, false, signal)
    this.#learn(metadata)
    return metadata
  }

  async #refresh(topics: readonly string[] | null, autoCreate: boolean, signal?: AbortSignal): Promise<void> {
    const metadata = await this.#ask(topics, autoCreate, signal)
    this.#learn(metadata)
    if (topics === null) this.#topics.clear()
    for (const topic of metadata.topics) this.#topics.set(topic.topic, topic)
    this.#refreshedAt = this.clock.monotonicMs()
  }

  async #ask(topics: readonly string[] | null, autoCreate: boolean, signal?: AbortSignal): Promise<ClusterMetadata> {
    const node = await this.anyNode(signal)
    return withAbort(node.send(metadataRequest(topics, autoCreate)), signal, 'ask for metadata')
  }

  #learn(metadata: ClusterMetadata): void {
    this.#clusterId = metadata.clusterId
    this.#controllerId = metadata.controllerId
    const seen = new Set<number>()
    for (const { id, host, port } of metadata.brokers) {
      seen.add(id)
      const node = this.#nodes.get(id)
      if (node !== undefined && node.host === host && node.port === port) continue
      node?.close()
      this.#nodes.set(id, new BrokerNode(this.#makeBroker(host, port, id), this.config.clientId, id))
    }
    // An empty answer comes from a broker that has just started: better to keep what was known.
    if (seen.size === 0) return
    for (const [id, node] of this.#nodes) {
      if (seen.has(id)) continue
      node.close()
      this.#nodes.delete(id)
    }
    // The bootstrap connections have done their work; an idle one per client would be kept open for nothing.
    for (const node of this.#bootstrap) node.close()
    this.#bootstrap = []
  }

  /**
   * A node that answers: a connected one, else the first that can be connected, known brokers before the
   * bootstrap list. One round; the caller repeats it.
   * @throws RetriableError `CONNECT_KAFKA_UNREACHABLE`; ConnectError when the login is refused everywhere
   */
  async anyNode(signal?: AbortSignal): Promise<BrokerNode> {
    if (this.#closed) throw kafkaError('CONNECT_KAFKA_CLOSED', 'The Kafka client is closed')
    const known = [...this.#nodes.values()]
    const ready = known.filter((node) => node.isReady())
    const chosen = ready[Math.floor(Math.random() * ready.length)]
    if (chosen !== undefined) return chosen
    if (this.#bootstrap.length === 0) this.#bootstrap = this.#makeBootstrap()
    let last: unknown = null
    for (const node of [...shuffled(known), ...this.#bootstrap]) {
      if (signal?.aborted) throw abortedError('connect to Kafka')
      try {
        const rest = node.restMs()
        if (rest > 0) await this.clock.sleep(rest, signal)
        await withAbort(node.connect(), signal, `connect to ${node.address}`)
        return node
      } catch (error) {
        last = error
      }
    }
    if (last instanceof ConnectError && last.kind !== 'retriable') throw last
    throw new RetriableError(
      'CONNECT_KAFKA_UNREACHABLE',
      `No Kafka broker answers (bootstrap.servers=${this.config.bootstrapServers.join(',')})`,
      { cause: last },
    )
  }

  #makeBootstrap(): BrokerNode[] {
    return shuffled(this.config.bootstrapServers).map((server) => {
      const colon = server.lastIndexOf(':')
      const host = server.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
      return new BrokerNode(this.#makeBroker(host, Number(server.slice(colon + 1)), null), this.config.clientId, null)
    })
  }

  async controller(signal?: AbortSignal): Promise<BrokerNode> {
    let node = this.#nodes.get(this.#controllerId)
    if (node === undefined) {
      await this.describe([], signal)
      node = this.#nodes.get(this.#controllerId)
    }
    // KRaft brokers forward to the controller, and name a random broker as such.
    return node ?? this.anyNode(signal)
  }

  forgetController(): void {
    this.#controllerId = -1
  }

  /** Coordinator of a group or transactional id; remembered until `forgetCoordinator`. */
  async coordinator(type: CoordinatorType, key: string, signal?: AbortSignal): Promise<BrokerNode> {
    const cacheKey = `${type} ${key}`
    const cached = this.#nodes.get(this.#coordinators.get(cacheKey) ?? -1)
    if (cached !== undefined) return cached
    const asked = await this.anyNode(signal)
    const attempt = `find the ${type} coordinator of ${key}`
    const call = asked.call(attempt, (broker) =>
      broker.findGroupCoordinator({ groupId: key, coordinatorType: type === 'group' ? 0 : 1 }),
    )
    const { coordinator } = await withAbort(call, signal, attempt)
    if (!this.#nodes.has(coordinator.nodeId)) await this.describe([], signal)
    const node = this.#nodes.get(coordinator.nodeId)
    if (node === undefined) {
      throw new RetriableError(
        'CONNECT_KAFKA_COORDINATOR',
        `Broker ${coordinator.nodeId}, the ${type} coordinator, is not known yet`,
      )
    }
    this.#coordinators.set(cacheKey, coordinator.nodeId)
    return node
  }

  forgetCoordinator(type: CoordinatorType, key: string): void {
    this.#coordinators.delete(`${type} ${key}`)
  }

  /** Error of a topic's metadata, or null when it can be used. */
  topicError(topic: string): ConnectError | null {
    const metadata = this.#topics.get(topic)
    if (metadata === undefined) return brokerError(3, `use topic ${topic}`, { topic })
    if (metadata.error !== 0) return brokerError(metadata.error, `use topic ${topic}`, { topic })
    return null
  }

  /**
   * Repeats `attempt` after retriable failures, with capped exponential back-off and jitter, until `timeoutMs`.
   * @param onRetry called before each pause; drops caches that the failure proves stale
   */
  async retry<T>(
    what: string,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    attempt: () => Promise<T>,
    onRetry?: (error: ConnectError) => void,
  ): Promise<T> {
    const startedMs = this.clock.monotonicMs()
    const deadline = startedMs + timeoutMs
    let isTold = false
    for (let pause = this.config.retryBackoffMs; ; pause = Math.min(this.config.retryBackoffMaxMs, pause * 2)) {
      if (signal?.aborted) throw abortedError(what)
      try {
        return await attempt()
      } catch (error) {
        if (!(error instanceof ConnectError) || error.kind !== 'retriable' || error.code === 'CONNECT_KAFKA_ABORTED') {
          throw error
        }
        onRetry?.(error)
        const wait = pause * (0.8 + 0.4 * Math.random())
        if (this.clock.monotonicMs() + wait > deadline)
          throw error.code === 'CONNECT_KAFKA_TIMEOUT' ? error : timeoutError(what, timeoutMs, error)
        const triedMs = this.clock.monotonicMs() - startedMs
        // Told once: whoever starts a worker should not wait a minute to hear that the address is wrong.
        if (!isTold && triedMs + wait >= toldAfterMs) {
          isTold = true
          this.log?.warn({ triedMs, timeoutMs, error: error.message }, `Could not ${what} yet, trying again`)
        } else this.log?.debug({ what, error: error.message }, 'trying again')
        await this.clock.sleep(wait, signal)
      }
    }
  }

  close(): void {
    this.#closed = true
    for (const node of [...this.#nodes.values(), ...this.#bootstrap]) node.close()
  }
}

/** Whether an answer shows that leaders or the controller have moved. */
export function isStaleError(error: ConnectError): boolean {
  const code = error.context['brokerCode']
  return error.code === 'CONNECT_KAFKA_UNREACHABLE' || (typeof code === 'number' && isStale(code))
}

function shuffled<T>(items: readonly T[]): T[] {
  const result = [...items]
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1))
    const a = result[i] as T
    result[i] = result[j] as T
    result[j] = a
  }
  return result
}
