import { RequestError } from '../../../worker/api/errors.ts'
import { type Offsets, type TopicPartition, TopicPartitionMap } from '../../../worker/api/topic-partition.ts'
import { BrokerCode, brokerError } from '../../../worker/kafka/errors.ts'
import type { Admin, NewTopic, OffsetSpec, TopicDescription } from '../../../worker/kafka/types.ts'
import type { FakeBroker } from './fake-broker.ts'

export class FakeAdmin implements Admin {
  readonly #kafka: FakeBroker

  constructor(kafka: FakeBroker) {
    this.#kafka = kafka
  }

  async clusterId(): Promise<string> {
    return this.#kafka.clusterId
  }

  async createTopic(topic: NewTopic): Promise<boolean> {
    await this.#kafka.pass('create-topic')
    return this.#kafka.topics.create(topic.topic, topic.partitions, topic.configs ?? {})
  }

  async deleteTopics(topics: readonly string[]): Promise<void> {
    for (const topic of topics) this.#kafka.topics.delete(topic)
  }

  async listTopics(): Promise<readonly string[]> {
    return this.#kafka.topics.names()
  }

  async describeTopic(topic: string): Promise<TopicDescription | null> {
    await this.#kafka.pass('metadata')
    const found = this.#kafka.topics.get(topic)
    return found === undefined ? null : { topic, partitions: found.partitions.length }
  }

  async topicConfigs(topic: string): Promise<ReadonlyMap<string, string>> {
    const found = this.#kafka.topics.get(topic)
    if (found === undefined) throw brokerError(BrokerCode.unknownTopic, `read the configuration of topic ${topic}`)
    return found.configs
  }

  async listOffsets(
    partitions: readonly TopicPartition[],
    spec: OffsetSpec,
    isolation: 'read_uncommitted' | 'read_committed',
  ): Promise<Offsets> {
    await this.#kafka.pass('list-offsets')
    const offsets = new TopicPartitionMap<bigint>()
    for (const { topic, partition } of partitions) {
      const log = this.#kafka.topics.partition(topic, partition)
      const latest = isolation === 'read_committed' ? log.stableOffset : log.endOffset
      const offset = spec === 'earliest' ? log.startOffset : spec === 'latest' ? latest : log.offsetAt(spec.timestampMs)
      offsets.set(topic, partition, offset)
    }
    return offsets
  }

  async listGroupOffsets(groupId: string): Promise<Offsets> {
    if (!this.#kafka.hasGroup(groupId)) return new TopicPartitionMap<bigint>()
    return TopicPartitionMap.from(this.#kafka.group(groupId).offsets.entries())
  }

  async alterGroupOffsets(groupId: string, offsets: Offsets): Promise<void> {
    if (offsets.size === 0) return
    const group = this.#idleGroup(groupId)
    for (const [{ topic, partition }, offset] of offsets.entries()) group.offsets.set(topic, partition, offset)
  }

  async deleteGroupOffsets(groupId: string, partitions: readonly TopicPartition[]): Promise<void> {
    const group = this.#idleGroup(groupId)
    for (const { topic, partition } of partitions) group.offsets.delete(topic, partition)
  }

  async deleteGroup(groupId: string): Promise<void> {
    if (!this.#kafka.hasGroup(groupId)) return
    this.#idleGroup(groupId)
    this.#kafka.deleteGroup(groupId)
  }

  async groupMembers(groupId: string): Promise<number> {
    return this.#kafka.hasGroup(groupId) ? this.#kafka.group(groupId).memberCount : 0
  }

  async fenceProducers(transactionalIds: readonly string[]): Promise<void> {
    for (const id of transactionalIds) this.#kafka.fence(id)
  }

  async close(): Promise<void> {
    return Promise.resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #idleGroup(groupId: string): ReturnType<FakeBroker['group']> {
    const group = this.#kafka.group(groupId)
    if (group.memberCount === 0) return group
    throw new RequestError(409, 'CONNECT_KAFKA_GROUP_ACTIVE', `The group ${groupId} has members`, {
      context: { groupId },
    })
  }
}
