import type { Clock } from '../../../worker/api/context.ts'
import { ConnectError, FencedError, toError } from '../../../worker/api/errors.ts'
import { type Offsets, type TopicPartition, TopicPartitionMap } from '../../../worker/api/topic-partition.ts'
import { abortedError, BrokerCode, brokerCodeOf, kafkaError } from '../../../worker/kafka/errors.ts'
import type {
  GroupEvent,
  GroupMember,
  GroupMemberOptions,
  GroupProtocol,
  JoinedGroup,
} from '../../../worker/kafka/types.ts'
import { withAbort } from '../../../worker/kafka/waiting.ts'
import type { FakeBroker } from './fake-broker.ts'

export class FakeGroupMember implements GroupMember {
  readonly #kafka: FakeBroker
  readonly #options: GroupMemberOptions
  readonly #clock: Clock
  readonly #isAlive: () => boolean
  readonly #clientId: string
  #predecessorsRemain: boolean
  readonly #listeners: ((event: GroupEvent) => void)[] = []
  #memberId = ''
  #generation = -1
  #heartbeats: { readonly stop: AbortController; readonly done: Promise<void> } | null = null
  #closed = false

  constructor(
    kafka: FakeBroker,
    parts: {
      readonly options: GroupMemberOptions
      readonly clientId: string
      readonly clock: Clock
      readonly isAlive?: () => boolean
    },
  ) {
    this.#kafka = kafka
    this.#options = parts.options
    this.#clock = parts.clock
    this.#isAlive = parts.isAlive ?? (() => true)
    this.#clientId = parts.clientId
    this.#predecessorsRemain = parts.options.soleClientId === true
  }

  onEvent(listener: (event: GroupEvent) => void): void {
    this.#listeners.push(listener)
  }

  async join(protocols: readonly GroupProtocol[], signal?: AbortSignal): Promise<JoinedGroup> {
    if (this.#closed) throw kafkaError('CONNECT_KAFKA_CLOSED', `The member of group ${this.#options.groupId} is closed`)
    await this.#stopHeartbeats()
    const what = `join group ${this.#options.groupId}`
    if (signal?.aborted) throw abortedError(what)
    await this.#kafka.pass('join')
    if (this.#predecessorsRemain) this.#group.removeClient(this.#clientId)
    this.#predecessorsRemain = false
    if (this.#memberId === '') this.#memberId = this.#group.newMemberId(this.#clientId)
    try {
      const joined = await withAbort(this.#group.join(this.#memberId, this.#options, protocols), signal, what)
      this.#memberId = joined.memberId
      this.#generation = joined.generation
      return joined
    } catch (error) {
      throw this.#refused(error)
    }
  }

  async sync(assignments: ReadonlyMap<string, Uint8Array>, signal?: AbortSignal): Promise<Uint8Array> {
    try {
      await this.#kafka.pass('sync')
      const sync = this.#group.sync(this.#memberId, this.#generation, assignments)
      const assignment = await withAbort(sync, signal, `get the assignment of group ${this.#options.groupId}`)
      const stop = new AbortController()
      this.#heartbeats = { stop, done: this.#beat(stop.signal) }
      return assignment
    } catch (error) {
      throw this.#refused(error)
    }
  }

  async commit(offsets: Offsets): Promise<void> {
    if (this.#generation < 0) {
      throw new FencedError('CONNECT_KAFKA_GENERATION', `This client is not a member of group ${this.#options.groupId}`)
    }
    if (offsets.size === 0) return
    await this.#kafka.pass('commit')
    this.#group.checkCommit(this.#memberId, this.#generation)
    for (const [{ topic, partition }, offset] of offsets.entries()) this.#group.offsets.set(topic, partition, offset)
  }

  async committed(partitions: readonly TopicPartition[]): Promise<Offsets> {
    const found = new TopicPartitionMap<bigint>()
    for (const { topic, partition } of partitions) {
      const offset = this.#group.offsets.get(topic, partition)
      if (offset !== undefined) found.set(topic, partition, offset)
    }
    return found
  }

  async leave(): Promise<void> {
    await this.#stopHeartbeats()
    this.#group.leave(this.#memberId)
    this.#memberId = ''
    this.#generation = -1
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.leave()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  get #group(): ReturnType<FakeBroker['group']> {
    return this.#kafka.group(this.#options.groupId)
  }

  #refused(error: unknown): unknown {
    if (!(error instanceof ConnectError) || error.kind !== 'fenced') return error
    this.#generation = -1
    if (brokerCodeOf(error) === BrokerCode.unknownMember) this.#memberId = ''
    return error
  }

  async #stopHeartbeats(): Promise<void> {
    const running = this.#heartbeats
    this.#heartbeats = null
    running?.stop.abort()
    await running?.done
  }

  async #beat(signal: AbortSignal): Promise<void> {
    let told = false
    while (!signal.aborted) {
      await this.#clock.sleep(this.#options.heartbeatIntervalMs, signal)
      if (signal.aborted) return
      try {
        if (!this.#isAlive()) {
          this.#group.leave(this.#memberId)
          this.#memberId = ''
          throw new FencedError('CONNECT_KAFKA_GENERATION', 'No poll within max.poll.interval.ms')
        }
        await this.#kafka.pass('heartbeat')
        this.#group.heartbeat(this.#memberId, this.#generation)
      } catch (error) {
        if (brokerCodeOf(error) === BrokerCode.rebalanceInProgress) {
          if (!told) this.#emit({ kind: 'rebalance' })
          told = true
        } else if (!(error instanceof ConnectError) || error.kind !== 'retriable') {
          this.#refused(error)
          this.#emit({ kind: 'lost', error: toError(error) })
          return
        }
      }
    }
  }

  #emit(event: GroupEvent): void {
    for (const listener of this.#listeners) listener(event)
  }
}
