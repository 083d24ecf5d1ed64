/** Topics, offsets and groups; every call retries what may pass until `default.api.timeout.ms`. */
import type { Clock, Logger } from '../api/context.ts'
import { ConnectError, RequestError } from '../api/errors.ts'
import { type Offsets, type TopicPartition, TopicPartitionMap } from '../api/topic-partition.ts'
import type { ApiRequest, BrokerNode, VersionedRequest } from './broker-node.ts'
import { readConnectionConfig } from './client-config.ts'
import { Cluster, isStaleError } from './cluster.ts'
import { BrokerCode, brokerCodeOf, brokerError, remedied } from './errors.ts'
import { listOffsets } from './list-offsets.ts'
import { PropertyReader } from './property-reader.ts'
import { EARLIEST, LATEST, offsetCommitRequest, offsetDeleteRequest, offsetFetchRequest } from './protocol/offsets.ts'
import { createTopicRequest, deleteGroupRequest } from './protocol/topics.ts'
import { INIT_PRODUCER_ID, initProducerIdRequest } from './protocol/transactions.ts'
import type { Admin, ClientProperties, NewTopic, OffsetSpec, TopicDescription } from './types.ts'
import { withAbort } from './waiting.ts'

const TOPIC_RESOURCE = 2
/** How long a topic just created is waited for, and how often a broker is asked for it. */
const CREATED_TOPIC_WAIT_MS = 5_000
const CREATED_TOPIC_POLL_MS = 10

export class KafkaAdmin implements Admin {
  readonly #cluster: Cluster
  readonly #timeoutMs: number
  readonly #clock: Clock

  constructor(properties: ClientProperties, clock: Clock, log: Logger | null) {
    this.#clock = clock
    const reader = new PropertyReader(properties)
    const config = readConnectionConfig(reader, { apiTimeoutMs: 60_000 })
    reader.logIgnored(log)
    this.#cluster = new Cluster({ ...config, autoCreateTopics: false }, clock, log)
    this.#timeoutMs = config.apiTimeoutMs
  }

  async clusterId(signal?: AbortSignal): Promise<string> {
    return this.#retry('ask for the cluster id', signal, async () => {
      const { clusterId } = await this.#cluster.describe([], signal)
      return clusterId ?? ''
    })
  }

  async createTopic(topic: NewTopic, signal?: AbortSignal): Promise<boolean> {
    const what = `create topic ${topic.topic}`
    const created = await this.#retry(what, signal, async () => {
      const controller = await this.#cluster.controller(signal)
      const request = createTopicRequest(topic, this.#cluster.config.requestTimeoutMs)
      const [result] = await withAbort(controller.send(request), signal, what)
      const error = result?.error ?? 0
      if (error === BrokerCode.topicExists) return false
      if (error !== 0) throw brokerError(error, what, { topic: topic.topic }, result?.message ?? null)
      return true
    })
    if (created) await this.#seen(topic.topic, signal)
    return created
  }

  /**
   * Waits until a broker knows a topic that the controller has just created: brokers learn of it a moment later, and
   * whoever uses it at once would be told that it does not exist. Bounded: the topic exists, whoever sees it.
   */
  async #seen(topic: string, signal?: AbortSignal): Promise<void> {
    const deadline = this.#clock.monotonicMs() + CREATED_TOPIC_WAIT_MS
    // An error (say, the right to create without the right to describe) is for the one who uses the topic.
    const unseen = () =>
      this.describeTopic(topic, signal).then(
        (seen) => seen === null,
        () => false,
      )
    while ((await unseen()) && this.#clock.monotonicMs() < deadline && signal?.aborted !== true) {
      await this.#clock.sleep(CREATED_TOPIC_POLL_MS, signal)
    }
  }

  async deleteTopics(topics: readonly string[], signal?: AbortSignal): Promise<void> {
    for (const topic of topics) {
      const what = `delete topic ${topic}`
      await this.#retry(what, signal, async () => {
        const controller = await this.#cluster.controller(signal)
        const call = controller.call(what, (broker) => broker.deleteTopics({ topics: [topic] }))
        try {
          await withAbort(call, signal, what)
        } catch (error) {
          // Gone already, or by an earlier try whose answer was lost.
          if (brokerCodeOf(error) !== BrokerCode.unknownTopic) throw error
        }
      })
    }
  }

  async listTopics(signal?: AbortSignal): Promise<readonly string[]> {
    return this.#retry('list topics', signal, async () => {
      const { topics } = await this.#cluster.describe(null, signal)
      return topics.filter((t) => t.error === 0 && !t.internal).map((t) => t.topic)
    })
  }

  async describeTopic(topic: string, signal?: AbortSignal): Promise<TopicDescription | null> {
    const what = `describe topic ${topic}`
    return this.#retry(what, signal, async () => {
      const { topics } = await this.#cluster.describe([topic], signal)
      const found = topics.find((t) => t.topic === topic)
      if (found === undefined || found.error === BrokerCode.unknownTopic) return null
      if (found.error !== 0) throw brokerError(found.error, what, { topic })
      return { topic, partitions: found.partitions.length }
    })
  }

  async topicConfigs(topic: string, signal?: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const what = `read the configuration of topic ${topic}`
    return this.#retry(what, signal, async () => {
      const node = await this.#cluster.anyNode(signal)
      const resources = [{ type: TOPIC_RESOURCE, name: topic, configNames: [] }]
      const answer = await withAbort(
        node.call(what, (broker) => broker.describeConfigs({ resources })),
        signal,
        what,
      )
      const configs = new Map<string, string>()
      for (const entry of answer.resources[0]?.configEntries ?? []) {
        if (entry.configValue !== null) configs.set(entry.configName, entry.configValue)
      }
      return configs
    })
  }

  async listOffsets(
    partitions: readonly TopicPartition[],
    spec: OffsetSpec,
    isolation: 'read_uncommitted' | 'read_committed',
    signal?: AbortSignal,
  ): Promise<Offsets> {
    const timestamp = spec === 'earliest' ? EARLIEST : spec === 'latest' ? LATEST : BigInt(spec.timestampMs)
    const committed = isolation === 'read_committed'
    return this.#retry('list offsets', signal, () =>
      listOffsets(this.#cluster, partitions, timestamp, committed, signal),
    )
  }

  async listGroupOffsets(groupId: string, signal?: AbortSignal): Promise<Offsets> {
    const what = `read the offsets of group ${groupId}`
    const answer = await this.#coordinated(groupId, what, signal, async (send) => {
      const result = await send(offsetFetchRequest(groupId, null))
      if (result.error !== 0) throw brokerError(result.error, what, { groupId })
      return result
    })
    const offsets = new TopicPartitionMap<bigint>()
    for (const { topic, partition, offset, error } of answer.partitions) {
      if (error === 0 && offset >= 0n) offsets.set(topic, partition, offset)
    }
    return offsets
  }

  async alterGroupOffsets(groupId: string, offsets: Offsets, signal?: AbortSignal): Promise<void> {
    if (offsets.size === 0) return
    const what = `alter the offsets of group ${groupId}`
    await this.#coordinated(groupId, what, signal, async (send) => {
      const results = await send(offsetCommitRequest({ groupId, generation: -1, memberId: '', offsets }))
      const failed = results.find((result) => result.error !== 0)
      if (failed === undefined) return
      const context = { groupId, topic: failed.topic, partition: failed.partition }
      const error = brokerError(failed.error, what, context)
      // Whoever names positions by hand mistyped: waiting for the topic would only keep them waiting.
      if (failed.error === BrokerCode.unknownTopic) {
        throw new ConnectError('fatal', error.code, error.message, { context, cause: error })
      }
      // A group with members refuses a commit from outside as one from an unknown member.
      throw error.kind === 'fenced' || error.code === 'CONNECT_KAFKA_REBALANCE' ? groupActive(error, context) : error
    })
  }

  async deleteGroupOffsets(
    groupId: string,
    partitions: readonly TopicPartition[],
    signal?: AbortSignal,
  ): Promise<void> {
    if (partitions.length === 0) return
    const what = `delete offsets of group ${groupId}`
    await this.#coordinated(groupId, what, signal, async (send) => {
      const answer = await send(offsetDeleteRequest(groupId, partitions))
      if (answer.error === BrokerCode.groupNotFound) return
      const failed = answer.partitions.find((p) => p.error !== 0 && p.error !== BrokerCode.unknownTopic)
      const error = answer.error === 0 ? (failed?.error ?? 0) : answer.error
      if (error !== 0) throw brokerError(error, what, { groupId })
    })
  }

  async deleteGroup(groupId: string, signal?: AbortSignal): Promise<void> {
    const what = `delete group ${groupId}`
    await this.#coordinated(groupId, what, signal, async (send) => {
      const error = await send(deleteGroupRequest(groupId))
      if (error !== 0 && error !== BrokerCode.groupNotFound) throw brokerError(error, what, { groupId })
    })
  }

  async groupMembers(groupId: string, signal?: AbortSignal): Promise<number> {
    const what = `describe group ${groupId}`
    return this.#coordinated(groupId, what, signal, async (_send, node) => {
      try {
        const call = node.call(what, (broker) => broker.describeGroups({ groupIds: [groupId] }))
        const { groups } = await withAbort(call, signal, what)
        return groups[0]?.members.length ?? 0
      } catch (error) {
        if (brokerCodeOf(error) === BrokerCode.groupNotFound) return 0
        throw error
      }
    })
  }

  async fenceProducers(transactionalIds: readonly string[], signal?: AbortSignal): Promise<void> {
    await Promise.all(transactionalIds.map((id) => this.#fence(id, signal)))
  }

  /** KIP-618: a new epoch with the shortest timeout; open transactions of older epochs are aborted by the broker. */
  async #fence(transactionalId: string, signal?: AbortSignal): Promise<void> {
    const what = `fence producers of ${transactionalId}`
    await this.#retry(
      what,
      signal,
      async () => {
        const node = await this.#cluster.coordinator('transaction', transactionalId, signal)
        await node.connect()
        const { key, name, least, most } = INIT_PRODUCER_ID
        const version = node.version(key, name, least, most)
        const request = initProducerIdRequest({ version, transactionalId, transactionTimeoutMs: 1, current: null })
        const { error } = await withAbort(node.send(request), signal, what)
        if (error !== 0) throw brokerError(error, what, { transactionalId })
      },
      () => this.#cluster.forgetCoordinator('transaction', transactionalId),
    )
  }

  async close(): Promise<void> {
    this.#cluster.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #coordinated<T>(
    groupId: string,
    what: string,
    signal: AbortSignal | undefined,
    run: (send: <A>(request: ApiRequest<A> | VersionedRequest<A>) => Promise<A>, node: BrokerNode) => Promise<T>,
  ): Promise<T> {
    return this.#retry(
      what,
      signal,
      async () => {
        const node = await this.#cluster.coordinator('group', groupId, signal)
        return run((request) => withAbort(node.send(request), signal, what), node)
      },
      () => this.#cluster.forgetCoordinator('group', groupId),
    )
  }

  #retry<T>(
    what: string,
    signal: AbortSignal | undefined,
    attempt: () => Promise<T>,
    onRetry?: () => void,
  ): Promise<T> {
    return this.#cluster.retry(what, this.#timeoutMs, signal, attempt, (error: ConnectError) => {
      if (isStaleError(error)) this.#cluster.forgetController()
      onRetry?.()
    })
  }
}

function groupActive(cause: ConnectError, context: { readonly groupId: string }): RequestError {
  const text = `The group ${context.groupId} has members`
  return new RequestError(409, 'CONNECT_KAFKA_GROUP_ACTIVE', remedied(text, 'CONNECT_KAFKA_GROUP_ACTIVE'), {
    cause,
    context,
  })
}
