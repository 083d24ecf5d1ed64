/**
 * A consumer's side of a rebalance: revoke (awaited, while still a member), join, assign as leader, sync, take over.
 * Advanced by the consumer's `poll` only, so callbacks never run beside the caller.
 *
 * @see KIP-429 for the cooperative order; style: revoke before rejoin, commit with the old generation (I7)
 */
import type { Clock, Logger } from '../api/context.ts'
import { ConnectError, toError } from '../api/errors.ts'
import type { TopicPartition } from '../api/topic-partition.ts'
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
  type MemberSubscription,
} from './consumer-protocol.ts'
import { kafkaError } from './errors.ts'
import { isFenced } from './group-offsets.ts'
import type { PartitionAssignor } from './partition-assignors.ts'
import type { GroupMember, JoinedGroup } from './types.ts'
import type { Notifier } from './waiting.ts'

/** What the group asks of the consumer; each is awaited before the rebalance goes on. */
export interface GroupCallbacks {
  /** Subscribed topics as of now (a pattern is resolved here). */
  topics(signal: AbortSignal): Promise<readonly string[]>
  /** Partition counts of the topics of all members, for the leader; absent topics do not exist. */
  partitionCounts(topics: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, number>>
  /** `owned` is the whole assignment from now on, `added` what is new. */
  assigned(added: readonly TopicPartition[], owned: readonly TopicPartition[]): Promise<void>
  /** Still owner while this runs; afterwards only `kept` is. */
  revoked(revoked: readonly TopicPartition[], kept: readonly TopicPartition[]): Promise<void>
  lost(lost: readonly TopicPartition[]): Promise<void>
}

export interface ConsumerGroupParts {
  readonly member: GroupMember
  readonly assignors: readonly PartitionAssignor[]
  readonly callbacks: GroupCallbacks
  readonly clock: Clock
  readonly log: Logger | null
  /** Pause after a failed join. */
  readonly retryBackoffMs: number
  /** Notified when a poll should look at the group. */
  readonly news: Notifier
}

interface Round {
  readonly assignment: readonly TopicPartition[]
  readonly leader: boolean
}

type Outcome = { readonly round: Round } | { readonly error: Error }

export class ConsumerGroup {
  readonly #parts: ConsumerGroupParts
  readonly #cooperative: boolean
  readonly #stop = new AbortController()
  #owned: readonly TopicPartition[] = []
  #ownedGeneration = -1
  #rejoin = true
  #lost: Error | null = null
  #joining: Promise<void> | null = null
  #outcome: Outcome | null = null
  #leads = false
  #retryAt = 0

  constructor(parts: ConsumerGroupParts) {
    this.#parts = parts
    // Java's rule: cooperative only when every assignor of the list is, so [range, cooperative-sticky] is eager.
    this.#cooperative = parts.assignors.every((assignor) => assignor.cooperative)
    parts.member.onEvent((event) => {
      if (event.kind === 'rebalance') this.#rejoin = true
      else if (event.kind === 'lost') {
        this.#lost = event.error
        this.#rejoin = true
      } else return
      parts.news.notify()
    })
  }

  /** Whether this member hands out assignments in the present generation. */
  get leads(): boolean {
    return this.#leads
  }

  get owned(): readonly TopicPartition[] {
    return this.#owned
  }

  get isStable(): boolean {
    return !this.#rejoin && this.#lost === null && this.#joining === null && this.#outcome === null
  }

  /** The subscription or the partitions of a topic have changed. */
  requestRejoin(): void {
    this.#rejoin = true
    this.#parts.news.notify()
  }

  /**
   * Does what is due: callbacks, the next join. Joining goes on between calls; its end notifies `news`.
   * @throws what a callback throws; ConnectError when the coordinator refuses for good
   */
  async advance(): Promise<void> {
    if (this.#lost !== null) await this.#giveUp(this.#lost)
    const outcome = this.#outcome
    if (outcome !== null) {
      this.#outcome = null
      if ('error' in outcome) await this.#joinFailed(outcome.error)
      else await this.#takeOver(outcome.round)
    }
    if (!this.#rejoin || this.#joining !== null || this.#parts.clock.monotonicMs() < this.#retryAt) return
    if (!this.#cooperative && this.#owned.length > 0) {
      const revoked = this.#owned
      this.#owned = []
      await this.#parts.callbacks.revoked(revoked, [])
      // The flush may have taken so long that the membership is gone: then nothing of it may be used any more.
      if (this.#lost !== null) await this.#giveUp(this.#lost)
    }
    this.#rejoin = false
    this.#joining = this.#join().finally(() => {
      this.#joining = null
      this.#parts.news.notify()
    })
  }

  /** Milliseconds until `advance` has something to do without news. */
  waitMs(): number {
    // A join under way ends with news, whatever else has to follow it.
    if (this.#joining !== null) return Number.POSITIVE_INFINITY
    return this.#rejoin ? Math.max(0, this.#retryAt - this.#parts.clock.monotonicMs()) : Number.POSITIVE_INFINITY
  }

  /** Revokes what is held, leaves, closes. Every step runs. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#joining
    const held = this.#owned
    this.#owned = []
    try {
      if (held.length > 0) {
        if (this.#lost === null) await this.#parts.callbacks.revoked(held, [])
        else await this.#parts.callbacks.lost(held)
      }
    } finally {
      await this.#parts.member.close()
    }
  }

  async #giveUp(error: Error): Promise<void> {
    this.#parts.log?.warn({ error: error.message }, 'lost the membership of the consumer group')
    this.#lost = null
    this.#rejoin = true
    this.#leads = false
    this.#ownedGeneration = -1
    // An assignment of the lost membership that was not taken over yet is void as well.
    await this.#joining
    this.#outcome = null
    const lost = this.#owned
    this.#owned = []
    if (lost.length > 0) await this.#parts.callbacks.lost(lost)
  }

  async #joinFailed(error: Error): Promise<void> {
    this.#rejoin = true
    if (isFenced(error)) {
      // Unknown to the coordinator: partitions that a cooperative member kept may belong to others.
      const lost = this.#owned
      this.#owned = []
      this.#ownedGeneration = -1
      if (lost.length > 0) await this.#parts.callbacks.lost(lost)
      return
    }
    if (!(error instanceof ConnectError) || error.kind !== 'retriable') throw error
    // The group moved on while we synced: join again at once.
    if (error.code === 'CONNECT_KAFKA_REBALANCE') return
    this.#retryAt = this.#parts.clock.monotonicMs() + this.#parts.retryBackoffMs
    this.#parts.log?.debug({ error: error.message }, 'could not join the consumer group; trying again')
  }

  async #takeOver({ assignment, leader }: Round): Promise<void> {
    this.#leads = leader
    const before = this.#owned
    const removed = before.filter((tp) => !contains(assignment, tp))
    const added = assignment.filter((tp) => !contains(before, tp))
    if (removed.length > 0) {
      const kept = before.filter((tp) => contains(assignment, tp))
      this.#owned = kept
      // Those may go to others in the next round only, after they were given up here.
      this.#rejoin = true
      await this.#parts.callbacks.revoked(removed, kept)
      if (this.#lost !== null) return
    }
    this.#owned = assignment
    await this.#parts.callbacks.assigned(added, assignment)
  }

  /** Join and sync; the outcome waits for the next `advance`. Never rejects. */
  async #join(): Promise<void> {
    try {
      this.#outcome = { round: await this.#joinAndSync(this.#stop.signal) }
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#outcome = { error: toError(error) }
    }
  }

  async #joinAndSync(signal: AbortSignal): Promise<Round> {
    const { member, assignors, callbacks } = this.#parts
    const subscription: MemberSubscription = {
      topics: await callbacks.topics(signal),
      owned: this.#cooperative ? this.#owned : [],
      generation: this.#ownedGeneration,
    }
    const metadata = encodeSubscription(subscription)
    const joined = await member.join(
      assignors.map(({ name }) => ({ name, metadata })),
      signal,
    )
    const leader = joined.leaderId === joined.memberId
    const assignments = leader ? await this.#assign(joined, signal) : new Map<string, Uint8Array>()
    const assignment = decodeAssignment(await member.sync(assignments, signal))
    this.#ownedGeneration = joined.generation
    this.#parts.log?.debug(
      { generation: joined.generation, protocol: joined.protocol, leader, partitions: assignment.length },
      'joined the consumer group',
    )
    return { assignment, leader }
  }

  async #assign(joined: JoinedGroup, signal: AbortSignal): Promise<Map<string, Uint8Array>> {
    const assignor = this.#parts.assignors.find(({ name }) => name === joined.protocol)
    if (assignor === undefined) {
      throw kafkaError(
        'CONNECT_KAFKA_BROKER',
        `The group chose the assignor "${joined.protocol}", which was not offered`,
      )
    }
    const members = new Map(joined.members.map((m) => [m.memberId, decodeSubscription(m.metadata)]))
    const topics = new Set<string>()
    for (const { topics: wanted } of members.values()) for (const topic of wanted) topics.add(topic)
    const counts = await this.#parts.callbacks.partitionCounts([...topics], signal)
    const assignment = assignor.assign(counts, members)
    return new Map([...assignment].map(([memberId, partitions]) => [memberId, encodeAssignment(partitions)]))
  }
}

function contains(partitions: readonly TopicPartition[], { topic, partition }: TopicPartition): boolean {
  return partitions.some((tp) => tp.topic === topic && tp.partition === partition)
}
