/**
 * Our Kafka client interfaces. Everything outside `worker/kafka` sees only these; `client.ts` implements them on
 * kafkajs's connections, `test/support/kafka/` in memory, and one conformance suite holds the two to the same
 * behaviour. Offsets are `bigint`, payloads `Uint8Array`, every wait takes an `AbortSignal`.
 *
 * Failures are `ConnectError`s (see `errors.ts`): `retriable` for what the same call may overcome, `fenced` when
 * another owner exists, `record` for one record that cannot be written, `fatal` with a remedy otherwise.
 */
import type { Offsets, TopicPartition } from '../api/topic-partition.ts'
import type { WorkLease } from '../util/work-lease.ts'

/** Kafka client properties under their Java names (`bootstrap.servers`, `security.protocol`, `acks`, …), as text. */
export type ClientProperties = Readonly<Record<string, string>>

export interface KafkaClientFactory {
  /** Nothing connects before its first call; every client owns its connections. */
  producer(properties: ClientProperties): Producer
  consumer(properties: ClientProperties): Consumer
  admin(properties: ClientProperties): Admin
  groupMember(properties: ClientProperties, options: GroupMemberOptions): GroupMember
}

export interface RecordHeader {
  readonly key: string
  readonly value: Uint8Array | null
}

// ---- producer -------------------------------------------------------------------------------------------------------

/** Bytes of one record; copied by `append`, so the caller may reuse its buffers at once. */
export interface ProducerRecord {
  readonly topic: string
  /** Null: murmur2 of the key, or sticky round robin without a key, as the Java producer does. */
  readonly partition: number | null
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly RecordHeader[]
  /** Milliseconds since 1970; null: now. */
  readonly timestamp: number | null
}

/**
 * Told about the outcome of records appended with it; one object may serve many records. Calls for one partition
 * come in the order of appending. Never throws.
 */
export interface Delivery {
  /** `count` records appended with this object are acknowledged by all in-sync replicas. */
  delivered(count: number, topic: string, partition: number, baseOffset: bigint): void
  /** `count` records appended with this object will not be written; retries are over. */
  failed(count: number, error: Error): void
}

/**
 * Idempotent by default; five requests in flight per broker; order kept per partition under retries; bounded by
 * `buffer.memory` bytes. Transactional when `transactional.id` is set.
 */
export interface Producer extends AsyncDisposable {
  /** Loads the topic's metadata. @throws RetriableError unknown topic (it may be created yet); ConnectError not authorised */
  partitionsOf(topic: string, signal?: AbortSignal): Promise<number>
  /**
   * Queues one record and returns at once. The topic's metadata must be known (`partitionsOf`).
   * @throws DataError the record alone exceeds `max.request.size`
   * @throws ConnectError an earlier failure left the producer unusable (fenced, not authorised)
   */
  append(record: ProducerRecord, delivery: Delivery): void
  /** Bytes appended and not yet acknowledged or failed. */
  readonly pendingBytes: number
  /**
   * `pendingBytes` has reached `buffer.memory`, or as much as the connections can make use of, which is less on a fast
   * network. `append` still takes records; to stay within bounds, await `ready` first.
   */
  readonly isFull: boolean
  /** Resolves when the producer is not full: await it before the next `append`s. */
  ready(signal?: AbortSignal): Promise<void>
  /** Resolves when everything appended before the call has an outcome (also a failed one). */
  flush(signal?: AbortSignal): Promise<void>
  /** Fences earlier producers of the same transactional id. */
  initTransactions(signal?: AbortSignal): Promise<void>
  beginTransaction(): void
  /** Flushes and commits. @throws FencedError; RetriableError never leaves the outcome unknown */
  commitTransaction(signal?: AbortSignal): Promise<void>
  abortTransaction(signal?: AbortSignal): Promise<void>
  /** Waits for outstanding records until `timeoutMs`, then fails the rest. Idempotent. */
  close(timeoutMs?: number): Promise<void>
}

// ---- consumer -------------------------------------------------------------------------------------------------------

/** One consumed record. Key and value are views of the fetch buffer: copy what outlives the next `poll`. */
export interface ConsumerRecord {
  readonly offset: bigint
  /** Milliseconds since 1970; -1 when the record has none. */
  readonly timestamp: number
  readonly timestampType: 'CreateTime' | 'LogAppendTime' | 'NoTimestampType'
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly RecordHeader[]
}

/** Records of one partition in offset order; possibly none, when only the position moved (control or compacted batches). */
export interface ConsumerBatch {
  readonly topic: string
  readonly partition: number
  readonly records: readonly ConsumerRecord[]
  /** Position after this batch: from the batch headers, so it passes over compacted and control records. */
  readonly nextOffset: bigint
  /** End of the partition (high watermark, or last stable offset with `read_committed`) when this was fetched. */
  readonly endOffset: bigint
}

/** Awaited by the consumer, inside `poll`: a rebalance does not go on before it has resolved. */
export interface RebalanceListener {
  onAssigned(partitions: readonly TopicPartition[]): Promise<void>
  /** Still owner: flush and commit here. */
  onRevoked(partitions: readonly TopicPartition[]): Promise<void>
  /** No longer owner: commit nothing. */
  onLost(partitions: readonly TopicPartition[]): Promise<void>
}

export type Subscription =
  | { readonly kind: 'topics'; readonly topics: readonly string[] }
  /** Full match, like Java's `Pattern.matches`; internal topics excluded. */
  | { readonly kind: 'pattern'; readonly pattern: RegExp }

/**
 * Pull-style. Heartbeats go on in the background for as long as `max.poll.interval.ms` allows between polls.
 * With `group.id` a member of a consumer group (type `consumer`, compatible with Java members); without one only
 * `assign` works.
 */
export interface Consumer extends AsyncDisposable {
  subscribe(subscription: Subscription, listener: RebalanceListener): void
  assign(partitions: readonly TopicPartition[]): void
  assignment(): readonly TopicPartition[]
  /** Batches that are there, or that arrive within `maxWaitMs`; [] otherwise. Runs rebalance callbacks. */
  poll(maxWaitMs: number, signal?: AbortSignal): Promise<readonly ConsumerBatch[]>
  /**
   * Nobody looks at the keys, values and headers of the batches handed out so far any more: their storage may be used
   * for what is read next. Who does not call it may keep them for as long as he likes.
   */
  release(): void
  /** Paused partitions stay assigned; data already fetched for them is kept, not delivered. */
  pause(partitions: readonly TopicPartition[]): void
  resume(partitions: readonly TopicPartition[]): void
  paused(): readonly TopicPartition[]
  seek(partition: TopicPartition, offset: bigint): void
  /** Next offset to be delivered; loads it (committed, or by `auto.offset.reset`) when not known yet. */
  position(partition: TopicPartition, signal?: AbortSignal): Promise<bigint>
  /** @throws FencedError (`CONNECT_KAFKA_GENERATION`) when this member is no longer of the group's generation (I7) */
  commit(offsets: Offsets, signal?: AbortSignal): Promise<void>
  committed(partitions: readonly TopicPartition[], signal?: AbortSignal): Promise<Offsets>
  /** Leaves the group after `onRevoked`. Idempotent. */
  close(): Promise<void>
}

// ---- admin ----------------------------------------------------------------------------------------------------------

export interface NewTopic {
  readonly topic: string
  /** -1: broker default. */
  readonly partitions: number
  readonly replicationFactor: number
  readonly configs?: Readonly<Record<string, string>>
}

export interface TopicDescription {
  readonly topic: string
  readonly partitions: number
}

export type OffsetSpec = 'earliest' | 'latest' | { readonly timestampMs: number }

export interface Admin extends AsyncDisposable {
  clusterId(signal?: AbortSignal): Promise<string>
  /** @returns whether it was created; false when it exists already */
  createTopic(topic: NewTopic, signal?: AbortSignal): Promise<boolean>
  deleteTopics(topics: readonly string[], signal?: AbortSignal): Promise<void>
  listTopics(signal?: AbortSignal): Promise<readonly string[]>
  /** Null when the topic does not exist. */
  describeTopic(topic: string, signal?: AbortSignal): Promise<TopicDescription | null>
  topicConfigs(topic: string, signal?: AbortSignal): Promise<ReadonlyMap<string, string>>
  /** Offsets per partition; `isolation` matters for 'latest' (last stable offset with `read_committed`). */
  listOffsets(
    partitions: readonly TopicPartition[],
    spec: OffsetSpec,
    isolation: 'read_uncommitted' | 'read_committed',
    signal?: AbortSignal,
  ): Promise<Offsets>
  listGroupOffsets(groupId: string, signal?: AbortSignal): Promise<Offsets>
  /** For a group without members. @throws RequestError when the group is active */
  alterGroupOffsets(groupId: string, offsets: Offsets, signal?: AbortSignal): Promise<void>
  deleteGroupOffsets(groupId: string, partitions: readonly TopicPartition[], signal?: AbortSignal): Promise<void>
  deleteGroup(groupId: string, signal?: AbortSignal): Promise<void>
  groupMembers(groupId: string, signal?: AbortSignal): Promise<number>
  /** KIP-618: after this, older producers of these transactional ids cannot commit. */
  fenceProducers(transactionalIds: readonly string[], signal?: AbortSignal): Promise<void>
  close(): Promise<void>
}

// ---- worker group ---------------------------------------------------------------------------------------------------

export interface GroupProtocol {
  readonly name: string
  readonly metadata: Uint8Array
}

/** Told of what goes over the connections of a client, when it happens. */
export interface TrafficListener {
  connected(): void
  disconnected(): void
  /** A request was handed to its connection. */
  request(): void
  response(): void
  /** Bytes since the last call; never both 0. */
  bytes(incoming: number, outgoing: number): void
}

export interface GroupMemberOptions {
  readonly groupId: string
  /** `connect` for workers, `consumer` for sink consumers. */
  readonly protocolType: string
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly heartbeatIntervalMs: number
  /**
   * No other living member has this one's `client.id`: whoever has it is a dead predecessor, which the first join
   * removes, so that the group does not wait for `session.timeout.ms` of a process that was killed. Default false.
   */
  readonly soleClientId?: boolean
  /** Renewed with every answer that proves the membership. */
  readonly lease?: WorkLease
  /** Told of every heartbeat that was answered, with the time that it took in ms. */
  readonly onHeartbeat?: (durationMs: number) => void
  /** Told what goes over the connections of this member. */
  readonly traffic?: TrafficListener
}

export interface JoinedGroup {
  readonly generation: number
  readonly memberId: string
  readonly leaderId: string
  readonly protocol: string
  /** Only the leader sees the members. */
  readonly members: readonly { readonly memberId: string; readonly metadata: Uint8Array }[]
}

/** Why membership needs attention; told by the background heartbeat. */
export type GroupEvent =
  | { readonly kind: 'rebalance' }
  /** Session lost, or fenced: this member's work may already run elsewhere. */
  | { readonly kind: 'lost'; readonly error: Error }
  | { readonly kind: 'coordinator-unavailable'; readonly sinceMs: number }
  | { readonly kind: 'coordinator-found' }

/** Membership in one group of any protocol type; the caller runs the rebalance. Owns its connections (a join may hang). */
export interface GroupMember extends AsyncDisposable {
  /** Joins or rejoins; resolves when the rebalance is complete. @throws RetriableError; FencedError when the member id is unknown */
  join(protocols: readonly GroupProtocol[], signal?: AbortSignal): Promise<JoinedGroup>
  /** Sends the assignments (leader) or nothing (others), gives this member's. Heartbeats start here. */
  sync(assignments: ReadonlyMap<string, Uint8Array>, signal?: AbortSignal): Promise<Uint8Array>
  onEvent(listener: (event: GroupEvent) => void): void
  commit(offsets: Offsets, signal?: AbortSignal): Promise<void>
  committed(partitions: readonly TopicPartition[], signal?: AbortSignal): Promise<Offsets>
  leave(reason: string, signal?: AbortSignal): Promise<void>
  close(): Promise<void>
}

// ---- topic log ------------------------------------------------------------------------------------------------------

/** One record of a topic log. Key and value may be kept: they are not views of a buffer that is used again. */
export interface TopicLogRecord {
  readonly partition: number
  readonly offset: bigint
  /** Milliseconds since 1970; -1 when the record has none. */
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
}

export interface TopicLogOptions {
  readonly topic: string
  /** No group; `isolation.level` decides whether open transactions hide what follows them. */
  readonly consumer: ClientProperties
  /** Null for a log that is only read, or that another producer writes. */
  readonly producer: ClientProperties | null
  readonly admin: ClientProperties
  /** Every record once, in offset order per partition, from the beginning. Never throws, never blocks. */
  onRecord(record: TopicLogRecord): void
  /** The tail failed and is retried with back-off; for the log only. */
  onError(error: Error): void
}

/** A compacted topic, read whole and then followed (Connect's `KafkaBasedLog`). The topic exists already. */
export interface TopicLog extends AsyncDisposable {
  /**
   * Waits up to 30 s for the topic's partitions, reads to the end and keeps following.
   * @throws ConnectError with Connect's text when the partitions cannot be looked up
   */
  start(signal?: AbortSignal): Promise<void>
  /** Number of partitions; known after `start`. */
  readonly partitionCount: number
  /**
   * Resolves when everything that was in the topic at the time of the call has been handed to `onRecord`; calls
   * complete in order. @throws RetriableError while the broker does not answer, until `signal` aborts
   */
  readToEnd(signal?: AbortSignal): Promise<void>
  /** Writes in order; resolves when all are acknowledged by the in-sync replicas. @throws RetriableError, ConnectError */
  send(
    records: readonly { readonly key: Uint8Array | null; readonly value: Uint8Array | null }[],
    signal?: AbortSignal,
  ): Promise<void>
  close(): Promise<void>
}

/** `createTopicLog(factory, options)` of `topic-log.ts`; a fake takes its place in unit tests. */
export type TopicLogFactory = (options: TopicLogOptions) => TopicLog
