/** Offsets by time, asked of every leader at once. */
import { RetriableError } from '../api/errors.ts'
import { type Offsets, type TopicPartition, TopicPartitionMap } from '../api/topic-partition.ts'
import type { BrokerNode } from './broker-node.ts'
import type { Cluster } from './cluster.ts'
import { brokerError } from './errors.ts'
import { listOffsetsRequest } from './protocol/offsets.ts'
import { withAbort } from './waiting.ts'

/**
 * One try; stale leaders and unknown topics are retriable, and metadata is refreshed first.
 * @param timestamp milliseconds since 1970, or `EARLIEST`, `LATEST`
 * @returns -1 for partitions without a record at or after the timestamp
 */
export async function listOffsets(
  cluster: Cluster,
  partitions: readonly TopicPartition[],
  timestamp: bigint,
  readCommitted: boolean,
  signal?: AbortSignal,
): Promise<Offsets> {
  const offsets = new TopicPartitionMap<bigint>()
  if (partitions.length === 0) return offsets
  await cluster.refresh([...new Set(partitions.map((p) => p.topic))], signal)
  const byLeader = new Map<BrokerNode, TopicPartition[]>()
  for (const tp of partitions) {
    const leader = cluster.leader(tp.topic, tp.partition)
    if (leader === null) {
      const error = cluster.topicError(tp.topic)
      if (error !== null) throw error
      throw new RetriableError('CONNECT_KAFKA_UNAVAILABLE', `Partition ${tp.topic}-${tp.partition} has no leader`)
    }
    const group = byLeader.get(leader)
    if (group === undefined) byLeader.set(leader, [tp])
    else group.push(tp)
  }
  const requests = [...byLeader].map(([leader, group]) =>
    withAbort(leader.send(listOffsetsRequest(group, timestamp, readCommitted)), signal, 'list offsets'),
  )
  for (const { topic, partition, error, offset } of (await Promise.all(requests)).flat()) {
    if (error !== 0) throw brokerError(error, `list offsets of ${topic}-${partition}`, { topic, partition })
    offsets.set(topic, partition, offset)
  }
  return offsets
}
