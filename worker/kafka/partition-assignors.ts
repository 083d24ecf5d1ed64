/**
 * Assignors of consumer groups, pure: partitions per topic and subscriptions in, assignment out. Range and round robin
 * give exactly what Java's give; cooperative-sticky keeps balance and ownership by the same rules, not by the same code.
 */
import { type TopicPartition, TopicPartitionMap } from '../api/topic-partition.ts'
import type { MemberSubscription } from './consumer-protocol.ts'

export type Assignment = Map<string, TopicPartition[]>

export interface PartitionAssignor {
  readonly name: string
  /** Cooperative members keep their partitions through a rebalance (KIP-429). */
  readonly cooperative: boolean
  assign(partitionCounts: ReadonlyMap<string, number>, members: ReadonlyMap<string, MemberSubscription>): Assignment
}

/** @see org.apache.kafka.clients.consumer.RangeAssignor */
export const rangeAssignor: PartitionAssignor = {
  name: 'range',
  cooperative: false,
  assign: (partitionCounts, members) => {
    const assignment = emptyAssignment(members)
    for (const topic of [...subscribedTopics(members)].sort()) {
      const count = partitionCounts.get(topic) ?? 0
      const consumers = subscribersOf(topic, members)
      const share = Math.floor(count / consumers.length)
      const extra = count % consumers.length
      let partition = 0
      for (const [index, memberId] of consumers.entries()) {
        const mine = share + (index < extra ? 1 : 0)
        for (let i = 0; i < mine; i++) assignment.get(memberId)?.push({ topic, partition: partition++ })
      }
    }
    return assignment
  },
}

/** @see org.apache.kafka.clients.consumer.RoundRobinAssignor */
export const roundRobinAssignor: PartitionAssignor = {
  name: 'roundrobin',
  cooperative: false,
  assign: (partitionCounts, members) => {
    const assignment = emptyAssignment(members)
    const memberIds = [...members.keys()].sort()
    let turn = 0
    for (const topic of [...subscribedTopics(members)].sort()) {
      const count = partitionCounts.get(topic) ?? 0
      for (let partition = 0; partition < count; partition++) {
        // Terminates: the topic comes from some member's subscription.
        while (!members.get(memberIds[turn % memberIds.length] ?? '')?.topics.includes(topic)) turn++
        assignment.get(memberIds[turn++ % memberIds.length] ?? '')?.push({ topic, partition })
      }
    }
    return assignment
  },
}

/**
 * Balanced to within one partition where subscriptions allow it, keeping what members own; a partition that changes
 * hands is left out of this round, because its old owner must give it up first (a second rebalance hands it out).
 * @see org.apache.kafka.clients.consumer.CooperativeStickyAssignor
 */
export const cooperativeStickyAssignor: PartitionAssignor = {
  name: 'cooperative-sticky',
  cooperative: true,
  assign: (partitionCounts, members) => {
    const owners = currentOwners(partitionCounts, members)
    const wanted = stickyAssign(partitionCounts, members, owners)
    for (const [memberId, partitions] of wanted) {
      const free = partitions.filter(({ topic, partition }) => {
        const owner = owners.get(topic, partition)
        return owner === undefined || owner === memberId
      })
      wanted.set(memberId, free)
    }
    return wanted
  },
}

/** Balanced, keeping owners where that does not cost balance. */
function stickyAssign(
  partitionCounts: ReadonlyMap<string, number>,
  members: ReadonlyMap<string, MemberSubscription>,
  owners: TopicPartitionMap<string>,
): Assignment {
  const assignment = emptyAssignment(members)
  const unassigned: TopicPartition[] = []
  for (const topic of [...subscribedTopics(members)].sort()) {
    for (let partition = 0; partition < (partitionCounts.get(topic) ?? 0); partition++) {
      const owner = owners.get(topic, partition)
      const list = owner === undefined ? undefined : assignment.get(owner)
      if (list === undefined) unassigned.push({ topic, partition })
      else list.push({ topic, partition })
    }
  }
  for (const tp of unassigned) leastLoaded(tp.topic, members, assignment)?.push(tp)
  // Move single partitions from the fullest to the emptiest possible member until no move helps.
  for (let moved = true; moved; ) {
    moved = false
    for (const [memberId, partitions] of [...assignment].sort((a, b) => b[1].length - a[1].length)) {
      for (const [index, tp] of partitions.entries()) {
        const target = leastLoaded(tp.topic, members, assignment)
        if (target === undefined || target === assignment.get(memberId) || target.length + 1 >= partitions.length)
          continue
        partitions.splice(index, 1)
        target.push(tp)
        moved = true
        break
      }
      if (moved) break
    }
  }
  return assignment
}

/** Claims of the newest generation win; a partition claimed twice in it belongs to nobody. */
function currentOwners(
  partitionCounts: ReadonlyMap<string, number>,
  members: ReadonlyMap<string, MemberSubscription>,
): TopicPartitionMap<string> {
  const claims = new TopicPartitionMap<{ readonly memberId: string | null; readonly generation: number }>()
  for (const [memberId, subscription] of members) {
    for (const { topic, partition } of subscription.owned) {
      if (partition >= (partitionCounts.get(topic) ?? 0) || !subscription.topics.includes(topic)) continue
      const other = claims.get(topic, partition)
      const { generation } = subscription
      if (other === undefined || other.generation < generation) claims.set(topic, partition, { memberId, generation })
      else if (other.generation === generation) claims.set(topic, partition, { memberId: null, generation })
    }
  }
  const owners = new TopicPartitionMap<string>()
  for (const [{ topic, partition }, { memberId }] of claims)
    if (memberId !== null) owners.set(topic, partition, memberId)
  return owners
}

function leastLoaded(
  topic: string,
  members: ReadonlyMap<string, MemberSubscription>,
  assignment: Assignment,
): TopicPartition[] | undefined {
  let best: TopicPartition[] | undefined
  for (const memberId of subscribersOf(topic, members)) {
    const list = assignment.get(memberId)
    if (list !== undefined && (best === undefined || list.length < best.length)) best = list
  }
  return best
}

function emptyAssignment(members: ReadonlyMap<string, MemberSubscription>): Assignment {
  return new Map([...members.keys()].map((memberId) => [memberId, []]))
}

function subscribedTopics(members: ReadonlyMap<string, MemberSubscription>): Set<string> {
  const topics = new Set<string>()
  for (const { topics: wanted } of members.values()) for (const topic of wanted) topics.add(topic)
  return topics
}

function subscribersOf(topic: string, members: ReadonlyMap<string, MemberSubscription>): string[] {
  const subscribers: string[] = []
  for (const [memberId, { topics }] of members) if (topics.includes(topic)) subscribers.push(memberId)
  return subscribers.sort()
}

const ASSIGNORS: readonly PartitionAssignor[] = [rangeAssignor, roundRobinAssignor, cooperativeStickyAssignor]

/** By protocol name or Java class name; null when unknown. */
export function assignorNamed(name: string): PartitionAssignor | null {
  const classNames: Readonly<Record<string, string>> = {
    'org.apache.kafka.clients.consumer.RangeAssignor': 'range',
    'org.apache.kafka.clients.consumer.RoundRobinAssignor': 'roundrobin',
    'org.apache.kafka.clients.consumer.CooperativeStickyAssignor': 'cooperative-sticky',
  }
  const wanted = classNames[name] ?? name
  return ASSIGNORS.find((assignor) => assignor.name === wanted) ?? null
}
