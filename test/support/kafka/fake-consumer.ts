import type { Clock } from '../../../worker/api/context.ts'
import { ConnectError } from '../../../worker/api/errors.ts'
import { type Offsets, type TopicPartition, TopicPartitionMap } from '../../../worker/api/topic-partition.ts'
import { type ConsumerConfig, matchesPattern, readConsumerConfig } from '../../../worker/kafka/consumer-config.ts'
import { ConsumerGroup } from '../../../worker/kafka/consumer-group.ts'
import { kafkaError } from '../../../worker/kafka/errors.ts'
import { PropertyReader } from '../../../worker/kafka/property-reader.ts'
import type {
  ClientProperties,
  Consumer,
  ConsumerBatch,
  ConsumerRecord,
  RebalanceListener,
  Subscription,
} from '../../../worker/kafka/types.ts'
import { Notifier } from '../../../worker/kafka/waiting.ts'
import type { FakeBroker } from './fake-broker.ts'
import { FakeGroupMember } from './fake-group-member.ts'

interface Assigned {
  position: bigint | null
  paused: boolean
}

/** Rebalances with the real `ConsumerGroup` over the fake coordinator, so both follow the same order of callbacks. */
export class FakeConsumer implements Consumer {
  readonly #kafka: FakeBroker
  readonly #config: ConsumerConfig
  readonly #clock: Clock
  readonly #partitions = new TopicPartitionMap<Assigned>()
  readonly #news = new Notifier()
  readonly #unsubscribe: () => void
  #subscription: Subscription | null = null
  #listener: RebalanceListener | null = null
  #member: FakeGroupMember | null = null
  #group: ConsumerGroup | null = null
  #seenTopics = ''
  #polling = 0
  #polledAt: number
  #closed = false
  /** Keys, values and headers since the last `release`. */
  #lent: Uint8Array[] = []
  readonly #clientId: string

  constructor(kafka: FakeBroker, properties: ClientProperties, clock: Clock) {
    this.#clientId = properties['client.id'] ?? 'sluice'
    this.#kafka = kafka
    this.#config = readConsumerConfig(new PropertyReader(properties))
    this.#clock = clock
    this.#polledAt = clock.monotonicMs()
    this.#unsubscribe = kafka.topics.onChange(() => this.#news.notify())
  }

  subscribe(subscription: Subscription, listener: RebalanceListener): void {
    const { groupId } = this.#config
    if (groupId === null) throw kafkaError('CONNECT_KAFKA_CONFIG', 'subscribe needs the client property group.id')
    this.#subscription = subscription
    this.#listener = listener
    if (this.#group === null) this.#group = this.#openGroup(groupId)
    else this.#group.requestRejoin()
  }

  assign(partitions: readonly TopicPartition[]): void {
    if (this.#group !== null) throw kafkaError('CONNECT_KAFKA_CONFIG', 'assign and subscribe exclude each other')
    this.#take(partitions)
  }

  assignment(): readonly TopicPartition[] {
    return [...this.#partitions.keys()]
  }

  async poll(maxWaitMs: number, signal?: AbortSignal): Promise<readonly ConsumerBatch[]> {
    if (this.#closed) throw kafkaError('CONNECT_KAFKA_CLOSED', 'The consumer is closed')
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
      const batches = await this.#read()
      if (batches.length > 0) return batches
      const left = deadline - this.#clock.monotonicMs()
      if (left <= 0) return []
      await this.#news.wait(Math.max(1, Math.min(left, this.#group?.waitMs() ?? left, 100)), signal)
    }
  }

  async #read(): Promise<ConsumerBatch[]> {
    try {
      await this.#kafka.pass('fetch')
    } catch (error) {
      if (error instanceof ConnectError && error.kind === 'retriable') return []
      throw error
    }
    const batches: ConsumerBatch[] = []
    let left = this.#config.maxPollRecords
    for (const [{ topic, partition }, state] of this.#partitions) {
      const log = this.#kafka.topics.get(topic)?.partitions[partition]
      if (log === undefined || left <= 0) continue
      if (state.position === null || state.position < log.startOffset || state.position > log.endOffset) {
        state.position = this.#initialPosition({ topic, partition }, state.position !== null)
      }
      if (state.paused) continue
      const read = log.read(state.position, left, this.#config.fetch.readCommitted)
      if (read.nextOffset === state.position) continue
      state.position = read.nextOffset
      left -= read.records.length
      const records = read.records.map((record) => this.#lend(record))
      batches.push({ topic, partition, records, nextOffset: read.nextOffset, endOffset: read.endOffset })
    }
    return batches
  }

  #initialPosition({ topic, partition }: TopicPartition, outOfRange: boolean): bigint {
    const log = this.#kafka.topics.partition(topic, partition)
    const { groupId, offsetReset, fetch } = this.#config
    const committed =
      groupId === null || outOfRange ? undefined : this.#kafka.group(groupId).offsets.get(topic, partition)
    if (committed !== undefined) return committed
    if (offsetReset === 'none')
      throw kafkaError('CONNECT_KAFKA_OFFSET_RESET', `No valid offset for ${topic}-${partition}`)
    if (offsetReset === 'earliest') return log.startOffset
    return fetch.readCommitted ? log.stableOffset : log.endOffset
  }

  /** Writes over what was handed out at once: who still looks at it gets nonsense. */
  release(): void {
    for (const bytes of this.#lent) bytes.fill(0xee)
    this.#lent = []
  }

  #lend<R extends Omit<ConsumerRecord, 'timestampType'>>(record: R): R & ConsumerRecord {
    const copy = (bytes: Uint8Array | null): Uint8Array | null => {
      if (bytes === null) return null
      const lent = Uint8Array.from(bytes)
      this.#lent.push(lent)
      return lent
    }
    const headers = record.headers.map(({ key, value }) => ({ key, value: copy(value) }))
    return { ...record, key: copy(record.key), value: copy(record.value), headers, timestampType: 'CreateTime' }
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) {
      const state = this.#partitions.get(topic, partition)
      if (state !== undefined) state.paused = true
    }
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) {
      const state = this.#partitions.get(topic, partition)
      if (state !== undefined) state.paused = false
    }
    this.#news.notify()
  }

  paused(): readonly TopicPartition[] {
    return [...this.#partitions.entries()].filter(([, state]) => state.paused).map(([tp]) => tp)
  }

  seek(partition: TopicPartition, offset: bigint): void {
    this.#assigned(partition).position = offset
    this.#news.notify()
  }

  async position(partition: TopicPartition): Promise<bigint> {
    const state = this.#assigned(partition)
    state.position ??= this.#initialPosition(partition, false)
    return state.position
  }

  async commit(offsets: Offsets): Promise<void> {
    if (this.#member !== null) return this.#member.commit(offsets)
    await this.#kafka.pass('commit')
    const group = this.#kafka.group(this.#needGroup('commit'))
    group.checkCommit('', -1)
    for (const [{ topic, partition }, offset] of offsets.entries()) group.offsets.set(topic, partition, offset)
  }

  async committed(partitions: readonly TopicPartition[]): Promise<Offsets> {
    const { offsets } = this.#kafka.group(this.#needGroup('committed'))
    const found = new TopicPartitionMap<bigint>()
    for (const { topic, partition } of partitions) {
      const offset = offsets.get(topic, partition)
      if (offset !== undefined) found.set(topic, partition, offset)
    }
    return found
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#unsubscribe()
    await this.#group?.close()
    this.#partitions.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #openGroup(groupId: string): ConsumerGroup {
    const { maxPollIntervalMs, sessionTimeoutMs, heartbeatIntervalMs, soleClientId, assignors } = this.#config
    const options = {
      groupId,
      protocolType: 'consumer',
      sessionTimeoutMs,
      rebalanceTimeoutMs: maxPollIntervalMs,
      heartbeatIntervalMs,
      soleClientId,
    }
    const isAlive = (): boolean => this.#polling > 0 || this.#clock.monotonicMs() - this.#polledAt < maxPollIntervalMs
    const member = new FakeGroupMember(this.#kafka, { options, clientId: this.#clientId, clock: this.#clock, isAlive })
    this.#member = member
    return new ConsumerGroup({
      member,
      assignors,
      clock: this.#clock,
      log: null,
      retryBackoffMs: 10,
      news: this.#news,
      callbacks: {
        topics: async () => {
          this.#seenTopics = this.#topicState()
          return this.#subscribedTopics()
        },
        partitionCounts: async (topics) => {
          const counts = new Map<string, number>()
          for (const name of topics) {
            const topic = this.#kafka.topics.get(name)
            if (topic !== undefined) counts.set(name, topic.partitions.length)
          }
          return counts
        },
        assigned: async (added, owned) => {
          this.#take(owned)
          await this.#listener?.onAssigned(added)
        },
        revoked: async (revoked, kept) => {
          await this.#listener?.onRevoked(revoked)
          this.#take(kept)
        },
        lost: async (lost) => {
          this.#take([])
          await this.#listener?.onLost(lost)
        },
      },
    })
  }

  /** Created topics are seen at once: there is no metadata age here. */
  #checkTopics(): void {
    if (this.#group?.isStable && this.#topicState() !== this.#seenTopics) this.#group.requestRejoin()
  }

  #topicState(): string {
    const counts = this.#subscribedTopics().map(
      (name) => `${name} ${this.#kafka.topics.get(name)?.partitions.length ?? 0}`,
    )
    return counts.join('\n')
  }

  #subscribedTopics(): string[] {
    const subscription = this.#subscription
    if (subscription === null) return []
    if (subscription.kind === 'topics') return [...new Set(subscription.topics)]
    return this.#kafka.topics.names().filter(matchesPattern(subscription.pattern))
  }

  #take(partitions: readonly TopicPartition[]): void {
    const kept = partitions.map((tp) => [tp, this.#partitions.get(tp.topic, tp.partition)] as const)
    this.#partitions.clear()
    for (const [{ topic, partition }, state] of kept) {
      this.#partitions.set(topic, partition, state ?? { position: null, paused: false })
    }
  }

  #assigned({ topic, partition }: TopicPartition): Assigned {
    const state = this.#partitions.get(topic, partition)
    if (state !== undefined) return state
    throw kafkaError('CONNECT_KAFKA_CONFIG', `The partition ${topic}-${partition} is not assigned to this consumer`)
  }

  #needGroup(call: string): string {
    if (this.#config.groupId !== null) return this.#config.groupId
    throw kafkaError('CONNECT_KAFKA_CONFIG', `${call} needs the client property group.id`)
  }
}
