import type { Clock, Logger } from '../api/context.ts'
import { kindOf, toError } from '../api/errors.ts'
import type { GroupMember, JoinedGroup } from '../kafka/types.ts'
import type { TaskId } from '../runtime/worker-types.ts'
import { type AssignorState, assignEagerly, assignIncrementally, initialAssignorState } from './assignor.ts'
import type { ClusterState } from './cluster-state.ts'
import type { GroupMetrics } from './group-metrics.ts'
import {
  type Assignment,
  type AssignmentError,
  decodeAssignment,
  decodeMemberState,
  encodeAssignment,
  encodeMemberState,
  type MemberState,
  noWork,
  offeredVersions,
  type ProtocolVersion,
  protocolNames,
  protocolVersion,
  type Work,
} from './protocol.ts'
import { WorkSet } from './work-set.ts'

/** What a completed rebalance gave this worker. */
export interface Membership {
  readonly generation: number
  readonly memberId: string
  readonly isLeader: boolean
  /** Internal requests are signed from version 2 on. */
  readonly protocol: ProtocolVersion
  readonly leaderUrl: string
  readonly error: AssignmentError
  /** Config offset the whole group agreed on. */
  readonly offset: bigint
  /** All work this worker is to run. */
  readonly held: WorkSet
  /** Work it had to give up in this round. */
  readonly revoked: WorkSet
  /** Next rebalance on the caller's clock (`Clock.now`), null when none is due. */
  readonly rejoinAtMs: number | null
}

export interface WorkerGroupOptions {
  readonly member: GroupMember
  /** REST URL of this worker, with a slash at its end. */
  readonly url: string
  readonly connectProtocol: 'eager' | 'compatible' | 'sessioned'
  /** `scheduled.rebalance.max.delay.ms` */
  readonly maxDelayMs: number
  readonly clock: Clock
  readonly logger: Logger
  readonly groupMetrics: GroupMetrics
  /** Newest known config state, and the one after reading to the end of the topic. */
  snapshot(): ClusterState
  freshSnapshot(signal?: AbortSignal): Promise<ClusterState>
}

/**
 * This worker's part in the group `connect`: joins with what it holds, deals out work when it leads, and keeps the
 * account of what it holds. The caller stops revoked work before it calls `rebalance` again.
 */
export class WorkerGroup {
  readonly #options: WorkerGroupOptions
  #assignor: AssignorState = initialAssignorState
  #held: WorkSet | null = null
  #last: Assignment | null = null
  #lastCompletedGeneration = -1
  #owners: ReadonlyMap<string, { readonly url: string; readonly work: WorkSet }> | null = null

  constructor(options: WorkerGroupOptions) {
    this.#options = options
  }

  /** Whether the group's rebalances stop all work (protocol v0), as far as is known before joining. */
  get isEager(): boolean {
    return this.#last === null ? this.#options.connectProtocol === 'eager' : this.#last.version === 0
  }

  /** Forgets held work: it has been stopped because the group may have given it to others. */
  dropHeld(): void {
    this.#held = null
  }

  /** Takes work out of the account that was stopped with the herder's knowledge. */
  get held(): WorkSet {
    return this.#held ?? WorkSet.empty
  }

  /** REST URL of the owner, as the leader knows it; null when this worker does not lead or nobody owns it. */
  ownerUrl(item: string | TaskId): string | null {
    for (const { url, work } of this.#owners?.values() ?? []) {
      if (typeof item === 'string' ? work.hasConnector(item) : work.hasTask(item)) return url
    }
    return null
  }

  /**
   * One rebalance: join, deal out work if leader, sync.
   * @param leaving all work is stopped and this worker will leave: others take its work over in this round
   * @throws RetriableError, FencedError: call again
   */
  async rebalance(leaving: boolean, signal?: AbortSignal): Promise<Membership> {
    const { member, logger, clock, groupMetrics } = this.#options
    this.#owners = null
    const state = this.#options.snapshot()
    const joined = await groupMetrics.join(() => member.join(this.#protocols(state, leaving), signal))
    const isLeader = joined.leaderId === joined.memberId
    const protocol = protocolVersion(joined.protocol)
    const assignments = isLeader ? await this.#deal(joined, protocol, state, signal) : new Map<string, Uint8Array>()
    const assignment = decodeAssignment(await groupMetrics.sync(() => member.sync(assignments, signal)))
    const isEager = assignment.version === 0
    const revoked = WorkSet.of(assignment.revoked)
    const before = isEager ? WorkSet.empty : this.held
    const held = before.minus(revoked).union(WorkSet.of(assignment.assigned))
    this.#held = held
    this.#last = assignment
    this.#lastCompletedGeneration = joined.generation
    logger.info(
      {
        generation: joined.generation,
        protocolVersion: protocol,
        leader: assignment.leaderUrl,
        isLeader,
        configOffset: assignment.offset,
        error: assignment.error === 'none' ? undefined : assignment.error,
        connectors: [...held.connectors],
        tasks: Array.from(held.tasks(), (id) => `${id.connector}-${id.task}`),
        revoked: revoked.size,
        delayMs: assignment.delayMs,
      },
      `Joined group at generation ${joined.generation} with protocol version ${protocol}`,
    )
    return {
      generation: joined.generation,
      memberId: joined.memberId,
      isLeader,
      protocol,
      leaderUrl: assignment.leaderUrl,
      error: assignment.error,
      offset: assignment.offset,
      held,
      revoked,
      rejoinAtMs: assignment.delayMs > 0 ? clock.now() + assignment.delayMs : null,
    }
  }

  #protocols(
    state: ClusterState,
    leaving: boolean,
  ): readonly { readonly name: string; readonly metadata: Uint8Array }[] {
    const { url, connectProtocol } = this.#options
    return offeredVersions[connectProtocol].map((version) => {
      const metadata = encodeMemberState({
        version,
        url,
        offset: state.offset,
        allocation: this.#allocation(),
        leaving,
      })
      return { name: protocolNames[version], metadata }
    })
  }

  #allocation(): Assignment | null {
    if (this.#held === null || this.#last === null) return null
    return { ...this.#last, assigned: this.#held.toWork() }
  }

  async #deal(
    joined: JoinedGroup,
    protocol: ProtocolVersion,
    ownState: ClusterState,
    signal: AbortSignal | undefined,
  ): Promise<ReadonlyMap<string, Uint8Array>> {
    const members = new Map(joined.members.map(({ memberId, metadata }) => [memberId, decodeMemberState(metadata)]))
    let highest = -1n
    for (const { offset } of members.values()) if (offset > highest) highest = offset
    const leaderUrl = members.get(joined.memberId)?.url ?? this.#options.url
    const agreed = await this.#agree(ownState, highest, signal)
    const encode = (work: Work, revoked: Work, delayMs: number, error: AssignmentError): Uint8Array =>
      encodeAssignment({
        version: protocol,
        error,
        leader: joined.memberId,
        leaderUrl,
        offset: agreed.offset,
        assigned: work,
        revoked,
        delayMs,
      })
    if (agreed.state === null) {
      return new Map([...members.keys()].map((id) => [id, encode(noWork, noWork, 0, 'config-mismatch')]))
    }
    if (protocol === 0) {
      const dealt = assignEagerly(agreed.state.work(), members.keys())
      this.#remember(members, (id) => WorkSet.of(dealt.get(id) ?? noWork))
      return new Map([...members.keys()].map((id) => [id, encode(dealt.get(id) ?? noWork, noWork, 0, 'none')]))
    }
    const result = assignIncrementally(this.#assignor, {
      configured: agreed.state.work(),
      members: new Map(
        [...members].map(([id, m]) => [id, { allocation: m.allocation?.assigned ?? noWork, leaving: m.leaving }]),
      ),
      lastCompletedGeneration: this.#lastCompletedGeneration,
      generation: joined.generation,
      nowMs: this.#options.clock.now(),
      maxDelayMs: this.#options.maxDelayMs,
    })
    this.#assignor = result.state
    this.#remember(members, (id) => result.owners.get(id) ?? WorkSet.empty)
    return new Map([...result.members].map(([id, m]) => [id, encode(m.assigned, m.revoked, result.delayMs, 'none')]))
  }

  #remember(members: ReadonlyMap<string, MemberState>, workOf: (member: string) => WorkSet): void {
    this.#owners = new Map([...members].map(([id, { url }]) => [id, { url, work: workOf(id) }]))
  }

  /** The config state that all members can reach: null state when this leader itself is behind (3.2). */
  async #agree(
    own: ClusterState,
    highest: bigint,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly offset: bigint; readonly state: ClusterState | null }> {
    if (own.offset >= highest) return { offset: highest, state: own }
    let fresh = this.#options.snapshot()
    if (fresh.offset < highest) {
      try {
        fresh = await this.#options.freshSnapshot(signal)
      } catch (error) {
        signal?.throwIfAborted()
        if (kindOf(error) !== 'retriable') throw error
        this.#options.logger.warn({ error: toError(error) }, 'cannot read the config topic while leading a rebalance')
      }
    }
    return fresh.offset < highest ? { offset: highest, state: null } : { offset: fresh.offset, state: fresh }
  }
}
