/** Pull-style consumer: fetches ahead, rebalances inside `poll`, keeps offsets as bigint. */
import type { Clock, Logger } from '../api/context.ts'
import { ConnectError, RetriableError } from '../api/errors.ts'
import { type Offsets, type TopicPartition, TopicPartitionMap } from '../api/topic-partition.ts'
import { readConnectionConfig } from './client-config.ts'
import { Cluster } from './cluster.ts'
import { type ConsumerConfig, matchesPattern, readConsumerConfig } from './consumer-config.ts'
import { ConsumerGroup } from './consumer-group.ts'
import { kafkaError } from './errors.ts'
import { Fetcher } from './fetcher.ts'
import { KafkaGroupMember } from './group-member.ts'
import { commitOffsets, fetchCommitted, NO_MEMBERSHIP } from './group-offsets.ts'
import { listOffsets } from './list-offsets.ts'
import { PropertyReader } from './property-reader.ts'
import type { TopicMetadata } from './protocol/metadata.ts'
import { EARLIEST, LATEST } from './protocol/offsets.ts'
import type { ClientProperties, Consumer, ConsumerBatch, RebalanceListener, Subscription } from './types.ts'

/** While a subscribed topic does not exist, metadata is asked for this often. */
const MISSING_TOPIC_REFRESH_MS = 1000

export class KafkaConsumer implements Consumer {
  readonly #properties: ClientProperties
  readonly #config: ConsumerConfig
  readonly #cluster: Cluster
  readonly #fetcher: Fetcher
  readonly #clock: Clock
  readonly #log: Logger | null
  #subscription: Subscription | null = null
  #listener: RebalanceListener | null = null
  #member: KafkaGroupMember | null = null
  #group: ConsumerGroup | null = null
  #polling = 0
  #polledAt: number
  /** Partition counts that the last rebalance was based on. */
  #knownCounts: ReadonlyMap<string, number> = new Map()
  #checkingTopics: Promise<void> | null = null
  #positionRetryAt = 0
  #closing: Promise<void> | null = null

  constructor(properties: ClientProperties, clock: Clock, log: Logger | null) {
    const reader = new PropertyReader(properties)
    const connection = readConnectionConfig(reader, { apiTimeoutMs: 60_000 })
    this.#config = readConsumerConfig(reader)
    reader.logIgnored(log)
    this.#properties = properties
    this.#clock = clock
    this.#log = log
    this.#cluster = new Cluster(connection, clock, log)
    this.#fetcher = new Fetcher(this.#cluster, this.#config.fetch)
    this.#polledAt = clock.monotonicMs()
  }

  subscribe(subscription: Subscription, listener: RebalanceListener): void {
    if (this.#config.groupId === null)
      throw kafkaError('CONNECT_KAFKA_CONFIG', 'subscribe needs the client property group.id')
    this.#subscription = subscription
    this.#listener = listener
    if (this.#group === null) this.#group = this.#openGroup(this.#config.groupId)
    else this.#group.requestRejoin()
  }

  assign(partitions: readonly TopicPartition[]): void {
    if (this.#group !== null) throw kafkaError('CONNECT_KAFKA_CONFIG', 'assign and subscribe exclude each other')
    this.#fetcher.assign(partitions)
  }

  assignment(): readonly TopicPartition[] {
    return this.#fetcher.assignment()
  }

  async poll(maxWaitMs: number, signal?: AbortSignal): Promise<readonly ConsumerBatch[]> {
    if (this.#closing !== null) throw kafkaError('CONNECT_KAFKA_CLOSED', 'The consumer is closed')
    this.#polling++
    try {
      return await this.#poll(this.#clock.monotonicMs() + maxWaitMs, signal)
    } finally {
      this.#polling--
      this.#polledAt = this.#clock.monotonicMs()
    }
  }

  async #poll(deadline: number, signal?: AbortSignal): Promise<readonly ConsumerBatch[]> {
    for (;;) {
      if (signal?.aborted) return []
      await this.#group?.advance()
      this.#checkTopics()
      await this.#lookUpPositions(signal)
      const batches = this.#fetcher.take(this.#config.maxPollRecords, this.#config.maxPollBytes)
      this.#fetcher.pump()
      if (batches.length > 0) return batches
      const left = deadline - this.#clock.monotonicMs()
      if (left <= 0) return []
      // Back-offs of fetches end without news, hence the bound.
      const groupMs = this.#group?.waitMs() ?? Number.POSITIVE_INFINITY
      const positionMs = this.#positionRetryAt - this.#clock.monotonicMs()
      const rest = Math.min(left, groupMs, this.#cluster.config.retryBackoffMaxMs)
      await this.#fetcher.news.wait(Math.max(1, positionMs > 0 ? Math.min(rest, positionMs) : rest), signal)
    }
  }

  release(): void {
    this.#fetcher.release()
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) this.#fetcher.pause(topic, partition)
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) this.#fetcher.resume(topic, partition)
  }

  paused(): readonly TopicPartition[] {
    return this.#fetcher.paused()
  }

  seek(partition: TopicPartition, offset: bigint): void {
    this.#mustBeAssigned(partition)
    this.#fetcher.seek(partition.topic, partition.partition, offset)
  }

  async position(partition: TopicPartition, signal?: AbortSignal): Promise<bigint> {
    this.#mustBeAssigned(partition)
    const { topic } = partition
    const what = `find the position of ${topic}-${partition.partition}`
    return this.#cluster.retry(what, this.#cluster.config.apiTimeoutMs, signal, async () => {
      const known = this.#fetcher.position(topic, partition.partition)
      if (known !== null) return known
      await this.#loadPositions([partition], signal)
      const loaded = this.#fetcher.position(topic, partition.partition)
      if (loaded !== null) return loaded
      throw new RetriableError('CONNECT_KAFKA_UNAVAILABLE', `No position for ${topic}-${partition.partition} yet`)
    })
  }

  async commit(offsets: Offsets, signal?: AbortSignal): Promise<void> {
    if (this.#member !== null) return this.#member.commit(offsets, signal)
    await commitOffsets(this.#cluster, this.#needGroup('commit'), NO_MEMBERSHIP, offsets, signal)
  }

  async committed(partitions: readonly TopicPartition[], signal?: AbortSignal): Promise<Offsets> {
    return fetchCommitted(this.#cluster, this.#needGroup('committed'), partitions, signal)
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    try {
      await this.#group?.close()
    } finally {
      this.#fetcher.close()
      this.#cluster.close()
    }
  }

  // ---- group ---------------------------------------------------------------------------------------------------------

  #openGroup(groupId: string): ConsumerGroup {
    const member = new KafkaGroupMember({
      properties: this.#properties,
      options: {
        groupId,
        protocolType: 'consumer',
        sessionTimeoutMs: this.#config.sessionTimeoutMs,
        rebalanceTimeoutMs: this.#config.maxPollIntervalMs,
        heartbeatIntervalMs: this.#config.heartbeatIntervalMs,
        soleClientId: this.#config.soleClientId,
      },
      clock: this.#clock,
      log: this.#log,
      isAlive: () => this.#polling > 0 || this.#clock.monotonicMs() - this.#polledAt < this.#config.maxPollIntervalMs,
    })
    this.#member = member
    return new ConsumerGroup({
      member,
      assignors: this.#config.assignors,
      clock: this.#clock,
      log: this.#log,
      retryBackoffMs: this.#cluster.config.retryBackoffMs,
      news: this.#fetcher.news,
      callbacks: {
        topics: async (signal) => {
          await this.#refreshSubscription(signal)
          return this.#subscribedTopics()
        },
        partitionCounts: async (topics, signal) => {
          await this.#cluster.refresh(topics, signal)
          const counts = this.#partitionCounts(topics)
          this.#knownCounts = counts
          return counts
        },
        assigned: async (added, owned) => {
          this.#fetcher.assign(owned)
          await this.#listener?.onAssigned(added)
        },
        revoked: async (revoked, kept) => {
          await this.#listener?.onRevoked(revoked)
          this.#fetcher.assign(kept)
        },
        lost: async (lost) => {
          this.#fetcher.assign([])
          await this.#listener?.onLost(lost)
        },
      },
    })
  }

  async #refreshSubscription(signal?: AbortSignal): Promise<void> {
    const subscription = this.#subscription
    if (subscription === null) return
    await this.#cluster.refresh(subscription.kind === 'pattern' ? null : subscription.topics, signal)
  }

  /** Named topics are told to the group even while they do not exist; the leader then has no partitions for them. */
  #subscribedTopics(): string[] {
    const subscription = this.#subscription
    if (subscription === null) return []
    if (subscription.kind === 'topics') return [...new Set(subscription.topics)]
    const fits = matchesPattern(subscription.pattern)
    const matches = (topic: TopicMetadata): boolean =>
      topic.error === 0 && fits(topic.topic) && !(topic.internal && this.#config.excludeInternalTopics)
    return [...this.#cluster.topics()].filter(matches).map((topic) => topic.topic)
  }

  #partitionCounts(topics: readonly string[]): Map<string, number> {
    const counts = new Map<string, number>()
    for (const topic of topics) {
      const metadata = this.#cluster.topic(topic)
      if (metadata !== undefined && metadata.error === 0) counts.set(topic, metadata.partitions.length)
    }
    return counts
  }

  /** In the background: new topics of a pattern, new partitions (the leader), topics that did not exist before. */
  #checkTopics(): void {
    const group = this.#group
    if (group === null || !group.isStable || this.#checkingTopics !== null) return
    const age = this.#clock.monotonicMs() - this.#cluster.refreshedAt
    const missing = this.#subscribedTopics().some((topic) => (this.#cluster.topic(topic)?.error ?? 1) !== 0)
    const due = missing ? MISSING_TOPIC_REFRESH_MS : this.#cluster.config.metadataMaxAgeMs
    if (age < due) return
    const before = this.#subscribedTopics().join('\n')
    this.#checkingTopics = this.#refreshSubscription()
      .then(() => {
        const now = this.#subscribedTopics()
        const counts = this.#partitionCounts(now)
        const grown = group.leads && now.some((topic) => counts.get(topic) !== this.#knownCounts.get(topic))
        if (grown || now.join('\n') !== before) group.requestRejoin()
      })
      .catch((error: unknown) => {
        this.#log?.debug({ error: String(error) }, 'could not refresh the subscribed topics; trying again')
      })
      .finally(() => {
        this.#checkingTopics = null
      })
  }

  // ---- positions -----------------------------------------------------------------------------------------------------

  /** Retriable failures are left to a later round of this or the next poll. */
  async #lookUpPositions(signal?: AbortSignal): Promise<void> {
    const { fresh, outOfRange } = this.#fetcher.unpositioned()
    if (fresh.length + outOfRange.length === 0 || this.#clock.monotonicMs() < this.#positionRetryAt) return
    try {
      if (fresh.length > 0) await this.#loadPositions(fresh, signal)
      if (outOfRange.length > 0) await this.#resetOutOfRange(outOfRange, signal)
    } catch (error) {
      if (signal?.aborted) return
      if (!(error instanceof ConnectError) || error.kind !== 'retriable') throw error
      this.#positionRetryAt = this.#clock.monotonicMs() + this.#cluster.config.retryBackoffMs
      this.#log?.debug({ error: error.message }, 'could not look up positions; trying again')
    }
  }

  async #loadPositions(partitions: readonly TopicPartition[], signal?: AbortSignal): Promise<void> {
    const { groupId } = this.#config
    const committed =
      groupId === null
        ? new TopicPartitionMap<bigint>()
        : await fetchCommitted(this.#cluster, groupId, partitions, signal)
    const without: TopicPartition[] = []
    for (const tp of partitions) {
      const offset = committed.get(tp.topic, tp.partition)
      if (offset === undefined) without.push(tp)
      else this.#fetcher.initialise(tp.topic, tp.partition, offset)
    }
    if (without.length > 0) await this.#reset(without, signal)
    // Leaders of partitions with a committed offset are needed for the first fetch.
    const unknown = partitions.filter((tp) => this.#cluster.leader(tp.topic, tp.partition) === null)
    if (unknown.length > 0) await this.#cluster.refresh([...new Set(unknown.map((tp) => tp.topic))], signal)
  }

  /** The one way in which a consumer passes over records that it has not seen: never without a word. */
  async #resetOutOfRange(partitions: readonly TopicPartition[], signal?: AbortSignal): Promise<void> {
    const before = partitions.map((tp) => ({ ...tp, position: this.#fetcher.position(tp.topic, tp.partition) }))
    await this.#reset(partitions, signal)
    for (const { topic, partition, position } of before) {
      this.#log?.warn(
        { topic, partition, from: String(position), to: String(this.#fetcher.position(topic, partition)) },
        'the next records are not there any more: retention removed them, or the topic was made anew; reading goes on by auto.offset.reset',
      )
    }
  }

  async #reset(partitions: readonly TopicPartition[], signal?: AbortSignal): Promise<void> {
    const { offsetReset, fetch } = this.#config
    const names = partitions.map((tp) => `${tp.topic}-${tp.partition}`).join(', ')
    if (offsetReset === 'none') throw kafkaError('CONNECT_KAFKA_OFFSET_RESET', `No valid offset for ${names}`)
    const timestamp = offsetReset === 'earliest' ? EARLIEST : LATEST
    const offsets = await listOffsets(this.#cluster, partitions, timestamp, fetch.readCommitted, signal)
    for (const [{ topic, partition }, offset] of offsets) this.#fetcher.initialise(topic, partition, offset)
    this.#log?.debug({ partitions: names, offsetReset }, 'positions were reset')
  }

  #mustBeAssigned({ topic, partition }: TopicPartition): void {
    if (this.#fetcher.has(topic, partition)) return
    throw kafkaError('CONNECT_KAFKA_CONFIG', `The partition ${topic}-${partition} is not assigned to this consumer`)
  }

  #needGroup(call: string): string {
    if (this.#config.groupId !== null) return this.#config.groupId
    throw kafkaError('CONNECT_KAFKA_CONFIG', `${call} needs the client property group.id`)
  }
}
