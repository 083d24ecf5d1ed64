/** Committed offsets of one group, asked of its coordinator. */
import { ConnectError, FencedError } from '../api/errors.ts'
import { type Offsets, type TopicPartition, TopicPartitionMap } from '../api/topic-partition.ts'
import type { Cluster } from './cluster.ts'
import { brokerError } from './errors.ts'
import { offsetCommitRequest, offsetFetchRequest } from './protocol/offsets.ts'
import { withAbort } from './waiting.ts'

export interface Membership {
  readonly generation: number
  readonly memberId: string
}

/** Commits for a group without members (manual assignment). */
export const NO_MEMBERSHIP: Membership = { generation: -1, memberId: '' }

/**
 * Commits with the given membership; a coordinator that moves or loads is asked again until `default.api.timeout.ms`.
 * @throws FencedError `CONNECT_KAFKA_GENERATION` the membership is no longer valid (I7)
 * @throws RetriableError `CONNECT_KAFKA_REBALANCE` the group rebalances already: commit before rejoining
 */
export async function commitOffsets(
  cluster: Cluster,
  groupId: string,
  membership: Membership,
  offsets: Offsets,
  signal?: AbortSignal,
): Promise<void> {
  if (offsets.size === 0) return
  const what = `commit offsets of group ${groupId}`
  const attempt = async (): Promise<void> => {
    const node = await cluster.coordinator('group', groupId, signal)
    const results = await withAbort(node.send(offsetCommitRequest({ groupId, ...membership, offsets })), signal, what)
    const failed = results.find((result) => result.error !== 0)
    if (failed === undefined) return
    const { topic, partition, error } = failed
    const failure = brokerError(error, what, { groupId, topic, partition })
    // Not to be repeated: the caller has to rejoin, or the topic was deleted (a revoke must not wait for it).
    if (failure.code === 'CONNECT_KAFKA_REBALANCE' || failure.code === 'CONNECT_KAFKA_UNKNOWN_TOPIC') {
      throw new NotRepeated(failure)
    }
    throw failure
  }
  try {
    await cluster.retry(what, cluster.config.apiTimeoutMs, signal, attempt, () => {
      cluster.forgetCoordinator('group', groupId)
    })
  } catch (error) {
    throw error instanceof NotRepeated ? error.failure : error
  }
}

/** Carries a retriable failure past the retry loop. */
class NotRepeated extends Error {
  readonly failure: ConnectError

  constructor(failure: ConnectError) {
    super(failure.message)
    this.failure = failure
  }
}

/** @returns committed offsets; partitions without one are absent */
export async function fetchCommitted(
  cluster: Cluster,
  groupId: string,
  partitions: readonly TopicPartition[],
  signal?: AbortSignal,
): Promise<Offsets> {
  const offsets = new TopicPartitionMap<bigint>()
  if (partitions.length === 0) return offsets
  const what = `read committed offsets of group ${groupId}`
  const attempt = async (): Promise<Offsets> => {
    const node = await cluster.coordinator('group', groupId, signal)
    const answer = await withAbort(node.send(offsetFetchRequest(groupId, partitions)), signal, what)
    if (answer.error !== 0) throw brokerError(answer.error, what, { groupId })
    for (const { topic, partition, offset, error } of answer.partitions) {
      if (error !== 0) throw brokerError(error, what, { groupId, topic, partition })
      if (offset >= 0n) offsets.set(topic, partition, offset)
    }
    return offsets
  }
  return cluster.retry(what, cluster.config.apiTimeoutMs, signal, attempt, () => {
    cluster.forgetCoordinator('group', groupId)
  })
}

export function isFenced(error: unknown): error is FencedError {
  return error instanceof ConnectError && error.kind === 'fenced'
}
