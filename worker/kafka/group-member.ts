/**
 * Membership in one group of any protocol type: join, sync, heartbeat in the background, leave. The caller runs the
 * rebalance, so it can finish its work and commit before it joins again. Owns its connections, because a join holds
 * its connection until the rebalance is complete.
 *
 * @see KIP-62 (background heartbeats), KIP-394 (member id before the first join)
 */
import type { Clock, Logger } from '../api/context.ts'
import { ConnectError, FencedError, RetriableError, toError } from '../api/errors.ts'
import type { Offsets, TopicPartition } from '../api/topic-partition.ts'
import { WorkLease } from '../util/work-lease.ts'
import type { BrokerNode } from './broker-node.ts'
import { readConnectionConfig } from './client-config.ts'
import { Cluster } from './cluster.ts'
import { BrokerCode, brokerCodeOf, brokerError, kafkaError } from './errors.ts'
import { commitOffsets, fetchCommitted, isFenced } from './group-offsets.ts'
import { removePredecessors } from './group-predecessors.ts'
import { PropertyReader } from './property-reader.ts'
import { joinGroupRequest } from './protocol/join-group.ts'
import type {
  ClientProperties,
  GroupEvent,
  GroupMember,
  GroupMemberOptions,
  GroupProtocol,
  JoinedGroup,
} from './types.ts'
import { withAbort } from './waiting.ts'

export interface GroupMemberParts {
  readonly properties: ClientProperties
  readonly options: GroupMemberOptions
  readonly clock: Clock
  readonly log: Logger | null
  /**
   * Asked before each heartbeat; false means that the owner has stopped working (`max.poll.interval.ms`): the member
   * leaves and tells `lost`, as the Java consumer does.
   */
  readonly isAlive?: () => boolean
}

const NO_GENERATION = -1

export class KafkaGroupMember implements GroupMember {
  readonly #cluster: Cluster
  readonly #options: GroupMemberOptions
  readonly #clock: Clock
  readonly #log: Logger | null
  readonly #isAlive: () => boolean
  readonly #listeners: ((event: GroupEvent) => void)[] = []
  #memberId = ''
  #generation = NO_GENERATION
  #heartbeats: { readonly stop: AbortController; readonly done: Promise<void> } | null = null
  #unavailableSince: number | null = null
  #predecessorsRemain: boolean
  #closed = false

  constructor(parts: GroupMemberParts) {
    const reader = new PropertyReader(parts.properties)
    const config = readConnectionConfig(reader, { apiTimeoutMs: 60_000 })
    this.#options = parts.options
    this.#clock = parts.clock
    this.#log = parts.log
    this.#isAlive = parts.isAlive ?? (() => true)
    this.#predecessorsRemain = parts.options.soleClientId === true
    this.#cluster = new Cluster({ ...config, autoCreateTopics: false }, parts.clock, parts.log, parts.options.traffic)
  }

  get generation(): number {
    return this.#generation
  }

  onEvent(listener: (event: GroupEvent) => void): void {
    this.#listeners.push(listener)
  }

  async join(protocols: readonly GroupProtocol[], signal?: AbortSignal): Promise<JoinedGroup> {
    this.#mustBeOpen()
    await this.#stopHeartbeats()
    const { lease, sessionTimeoutMs, heartbeatIntervalMs } = this.#options
    const held = setInterval(() => lease?.hold(sessionTimeoutMs), heartbeatIntervalMs)
    try {
      return await this.#join(protocols, signal)
    } finally {
      clearInterval(held)
    }
  }

  #join(protocols: readonly GroupProtocol[], signal: AbortSignal | undefined): Promise<JoinedGroup> {
    const what = `join group ${this.#options.groupId}`
    return this.#withCoordinator(what, signal, async (node) => {
      if (this.#predecessorsRemain) {
        await removePredecessors(node, this.#options.groupId, this.#cluster.config.clientId, this.#log, signal)
        // Once only: two members that do share a client id must not go on removing each other.
        this.#predecessorsRemain = false
      }
      for (;;) {
        const sent = node.send(joinGroupRequest(this.#options, this.#memberId, protocols))
        const answer = await withAbort(sent, signal, what).catch((error: unknown) => {
          // The answer may take as long as the rebalance, and a connection answers in order: do not leave it blocked.
          if (signal?.aborted) node.drop('main', 'join given up')
          throw error
        })
        if (answer.error === BrokerCode.memberIdRequired) {
          this.#memberId = answer.memberId
          continue
        }
        if (answer.error !== 0) throw this.#refused(brokerError(answer.error, what, { groupId: this.#options.groupId }))
        this.#memberId = answer.memberId
        this.#generation = answer.generation
        const { generation, memberId, leaderId, protocol, members } = answer
        return { generation, memberId, leaderId, protocol, members }
      }
    })
  }

  async sync(assignments: ReadonlyMap<string, Uint8Array>, signal?: AbortSignal): Promise<Uint8Array> {
    this.#mustBeOpen()
    const what = `get the assignment of group ${this.#options.groupId}`
    const groupAssignment = [...assignments].map(([memberId, bytes]) => ({
      memberId,
      memberAssignment: Buffer.from(bytes),
    }))
    // No retry over another coordinator: the generation may be over, and then only a new join helps.
    try {
      const node = await this.#cluster.coordinator('group', this.#options.groupId, signal)
      const { groupId, lease, sessionTimeoutMs } = this.#options
      const sentMs = WorkLease.now()
      const call = node.call(what, (broker) =>
        broker.syncGroup({ groupId, generationId: this.#generation, memberId: this.#memberId, groupAssignment }),
      )
      const { memberAssignment } = await withAbort(call, signal, what)
      lease?.renew(sentMs, sessionTimeoutMs)
      this.#startHeartbeats()
      return Buffer.from(memberAssignment)
    } catch (error) {
      if (error instanceof ConnectError && error.kind === 'retriable') this.#forgetCoordinator(error)
      throw this.#refused(error)
    }
  }

  async commit(offsets: Offsets, signal?: AbortSignal): Promise<void> {
    if (this.#generation === NO_GENERATION) throw notMember(this.#options.groupId)
    const membership = { generation: this.#generation, memberId: this.#memberId }
    await commitOffsets(this.#cluster, this.#options.groupId, membership, offsets, signal)
  }

  async committed(partitions: readonly TopicPartition[], signal?: AbortSignal): Promise<Offsets> {
    return fetchCommitted(this.#cluster, this.#options.groupId, partitions, signal)
  }

  async leave(reason: string, signal?: AbortSignal): Promise<void> {
    await this.#stopHeartbeats()
    await this.#leave(reason, signal)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#stopHeartbeats()
    await this.#leave('the member was closed', AbortSignal.timeout(LEAVE_TIMEOUT_MS))
    this.#cluster.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Best effort: a coordinator that is not told finds out when the session ends. */
  async #leave(reason: string, signal?: AbortSignal): Promise<void> {
    const memberId = this.#memberId
    this.#memberId = ''
    this.#generation = NO_GENERATION
    if (memberId === '') return
    const { groupId } = this.#options
    const what = `leave group ${groupId}`
    try {
      const node = await this.#cluster.coordinator('group', groupId, signal)
      await withAbort(
        node.call(what, (broker) => broker.leaveGroup({ groupId, memberId })),
        signal,
        what,
      )
      this.#log?.debug({ groupId, memberId, reason }, 'left the group')
    } catch (error) {
      this.#log?.debug({ groupId, memberId, error: toError(error).message }, 'could not leave the group')
    }
  }

  #mustBeOpen(): void {
    if (this.#closed) throw kafkaError('CONNECT_KAFKA_CLOSED', `The member of group ${this.#options.groupId} is closed`)
  }

  /** Forgets a membership that the coordinator does not know (any more), so that the next join starts afresh. */
  #refused(error: unknown): unknown {
    if (!isFenced(error)) return error
    this.#generation = NO_GENERATION
    if (brokerCodeOf(error) === BrokerCode.unknownMember) this.#memberId = ''
    return error
  }

  async #withCoordinator<T>(
    what: string,
    signal: AbortSignal | undefined,
    attempt: (node: Awaited<ReturnType<Cluster['coordinator']>>) => Promise<T>,
  ): Promise<T> {
    const result = await this.#cluster.retry(
      what,
      this.#cluster.config.requestTimeoutMs,
      signal,
      async () => attempt(await this.#cluster.coordinator('group', this.#options.groupId, signal)),
      (error) => this.#forgetCoordinator(error),
    )
    this.#coordinatorFound()
    return result
  }

  #forgetCoordinator(error: ConnectError): void {
    if (error.code === 'CONNECT_KAFKA_REBALANCE') return
    this.#cluster.forgetCoordinator('group', this.#options.groupId)
    this.#unavailableSince ??= this.#clock.monotonicMs()
    this.#emit({ kind: 'coordinator-unavailable', sinceMs: this.#clock.monotonicMs() - this.#unavailableSince })
  }

  #coordinatorFound(): void {
    if (this.#unavailableSince === null) return
    this.#unavailableSince = null
    this.#emit({ kind: 'coordinator-found' })
  }

  #emit(event: GroupEvent): void {
    for (const listener of this.#listeners) listener(event)
  }

  // ---- heartbeats ----------------------------------------------------------------------------------------------------

  #startHeartbeats(): void {
    const stop = new AbortController()
    this.#heartbeats = { stop, done: this.#beat(stop.signal) }
  }

  async #stopHeartbeats(): Promise<void> {
    const running = this.#heartbeats
    this.#heartbeats = null
    running?.stop.abort()
    await running?.done
  }

  /** Never rejects: what happens to the membership is told by events. */
  async #beat(signal: AbortSignal): Promise<void> {
    let lastSuccess = this.#clock.monotonicMs()
    let told = false
    while (!signal.aborted) {
      await this.#clock.sleep(this.#options.heartbeatIntervalMs, signal)
      if (signal.aborted) return
      if (this.#clock.monotonicMs() - lastSuccess > this.#options.sessionTimeoutMs) {
        // This process has been held up for longer than its session: the work may be others' by now (I7).
        this.#generation = NO_GENERATION
        this.#emit({ kind: 'lost', error: sessionOver(this.#options, null) })
        return
      }
      const sentMs = WorkLease.now()
      const renew = (): void => this.#options.lease?.renew(sentMs, this.#options.sessionTimeoutMs)
      if (!this.#isAlive()) {
        await this.#leave('max.poll.interval.ms is over', signal)
        this.#emit({ kind: 'lost', error: pollIntervalOver(this.#options) })
        return
      }
      const startMs = this.#clock.monotonicMs()
      try {
        await this.#heartbeat(lastSuccess + this.#options.sessionTimeoutMs, signal)
        lastSuccess = this.#clock.monotonicMs()
        this.#options.onHeartbeat?.(lastSuccess - startMs)
        renew()
        this.#coordinatorFound()
      } catch (error) {
        if (signal.aborted) return
        if (brokerCodeOf(error) === BrokerCode.rebalanceInProgress) {
          // The session is alive: the coordinator waits for this member until the rebalance time-out.
          lastSuccess = this.#clock.monotonicMs()
          renew()
          if (!told) this.#emit({ kind: 'rebalance' })
          told = true
        } else if (!(error instanceof ConnectError) || error.kind !== 'retriable') {
          this.#refused(error)
          this.#emit({ kind: 'lost', error: toError(error) })
          return
        } else {
          this.#forgetCoordinator(error)
          if (this.#clock.monotonicMs() - lastSuccess >= this.#options.sessionTimeoutMs) {
            this.#generation = NO_GENERATION
            this.#emit({ kind: 'lost', error: sessionOver(this.#options, error) })
            return
          }
        }
      }
    }
  }

  /**
   * A connection may fall silent without an end. Nobody waits `request.timeout.ms` for it: when the session is over
   * the coordinator has given the work to others (I7), so by then the connection is given up.
   * @param deadline end of the session, monotonic ms
   */
  async #heartbeat(deadline: number, signal: AbortSignal): Promise<void> {
    const { groupId } = this.#options
    const what = `send a heartbeat to group ${groupId}`
    const stop = new AbortController()
    const limit = AbortSignal.any([signal, stop.signal])
    const timer = setTimeout(() => stop.abort(), Math.max(0, deadline - this.#clock.monotonicMs()))
    let node: BrokerNode | null = null
    try {
      node = await this.#cluster.coordinator('group', groupId, limit)
      const call = node.call(what, (broker) =>
        broker.heartbeat({ groupId, groupGenerationId: this.#generation, memberId: this.#memberId }),
      )
      await withAbort(call, limit, what)
    } catch (error) {
      if (stop.signal.aborted) node?.drop('main', 'no answer to a heartbeat')
      throw error
    } finally {
      clearTimeout(timer)
    }
  }
}

const LEAVE_TIMEOUT_MS = 5000

function notMember(groupId: string): FencedError {
  return new FencedError('CONNECT_KAFKA_GENERATION', `This client is not a member of group ${groupId}`)
}

function pollIntervalOver(options: GroupMemberOptions): FencedError {
  return new FencedError(
    'CONNECT_KAFKA_GENERATION',
    `No poll within max.poll.interval.ms (${options.rebalanceTimeoutMs}): left group ${options.groupId}. Lower max.poll.records or raise max.poll.interval.ms`,
  )
}

function sessionOver(options: GroupMemberOptions, cause: Error | null): RetriableError {
  return new RetriableError(
    'CONNECT_KAFKA_COORDINATOR',
    `No heartbeat to group ${options.groupId} succeeded within session.timeout.ms (${options.sessionTimeoutMs})`,
    cause === null ? {} : { cause },
  )
}
