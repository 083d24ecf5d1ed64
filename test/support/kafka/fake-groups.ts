/** The group coordinator of the fake: the classic protocol's states, with real sessions and rebalance time-outs. */
import type { ConnectError } from '../../../worker/api/errors.ts'
import { TopicPartitionMap } from '../../../worker/api/topic-partition.ts'
import { BrokerCode, brokerError } from '../../../worker/kafka/errors.ts'
import type { GroupMemberOptions, GroupProtocol, JoinedGroup } from '../../../worker/kafka/types.ts'

const ILLEGAL_GENERATION = 22
const INCONSISTENT_PROTOCOL = 23

interface Member {
  readonly id: string
  readonly options: GroupMemberOptions
  protocols: readonly GroupProtocol[]
  join: PromiseWithResolvers<JoinedGroup> | null
  sync: PromiseWithResolvers<Uint8Array> | null
  session: NodeJS.Timeout | null
}

type State = 'empty' | 'preparing' | 'completing' | 'stable'

export class FakeGroup {
  readonly #id: string
  readonly #members = new Map<string, Member>()
  #state: State = 'empty'
  #generation = 0
  #protocol = ''
  #leaderId = ''
  #assignments: ReadonlyMap<string, Uint8Array> = new Map()
  #deadline: NodeJS.Timeout | null = null
  #nextMember = 1
  readonly #announced = new Set<string>()
  /** Of every member id that was given out. */
  readonly #clientIds = new Map<string, string>()
  readonly offsets = new TopicPartitionMap<bigint>()

  constructor(id: string) {
    this.#id = id
  }

  get memberCount(): number {
    return this.#members.size
  }

  /** Told before the first join, as with KIP-394: a join that is given up can still be undone by a leave. */
  newMemberId(clientId: string): string {
    const id = `${clientId}-${this.#id}-${this.#nextMember++}`
    this.#announced.add(id)
    this.#clientIds.set(id, clientId)
    return id
  }

  removeClient(clientId: string): void {
    for (const member of this.#members.values()) if (this.#clientIds.get(member.id) === clientId) this.#remove(member)
  }

  async join(memberId: string, options: GroupMemberOptions, protocols: readonly GroupProtocol[]): Promise<JoinedGroup> {
    let member = this.#members.get(memberId)
    if (member === undefined && !this.#announced.delete(memberId)) throw this.#refuse(BrokerCode.unknownMember)
    const common = [...this.#members.values()].every((m) =>
      m.protocols.some((p) => protocols.some((q) => q.name === p.name)),
    )
    if (!common) throw this.#refuse(INCONSISTENT_PROTOCOL)
    const isNew = member === undefined
    if (member === undefined) {
      member = {
        id: memberId,
        options,
        protocols,
        join: null,
        sync: null,
        session: null,
      }
      this.#members.set(member.id, member)
    }
    const changed = isNew || !sameProtocols(member.protocols, protocols)
    member.protocols = protocols
    this.#stopSession(member)
    if (this.#state === 'stable' && !changed && member.id !== this.#leaderId) return this.#joined(member)
    const join = Promise.withResolvers<JoinedGroup>()
    member.join?.reject(this.#refuse(BrokerCode.unknownMember))
    member.join = join
    if (this.#state !== 'preparing') this.#prepare()
    this.#completeWhenAllJoined()
    return join.promise
  }

  async sync(memberId: string, generation: number, assignments: ReadonlyMap<string, Uint8Array>): Promise<Uint8Array> {
    const member = this.#check(memberId, generation)
    if (this.#state === 'preparing') throw this.#refuse(BrokerCode.rebalanceInProgress)
    this.#startSession(member)
    if (this.#state === 'stable') return this.#assignments.get(memberId) ?? new Uint8Array()
    const sync = Promise.withResolvers<Uint8Array>()
    member.sync = sync
    if (memberId === this.#leaderId) {
      this.#assignments = new Map([...assignments].map(([id, bytes]) => [id, Uint8Array.from(bytes)]))
      this.#state = 'stable'
      for (const other of this.#members.values()) {
        other.sync?.resolve(this.#assignments.get(other.id) ?? new Uint8Array())
        other.sync = null
      }
    }
    return sync.promise
  }

  heartbeat(memberId: string, generation: number): void {
    const member = this.#check(memberId, generation)
    this.#startSession(member)
    if (this.#state === 'preparing') throw this.#refuse(BrokerCode.rebalanceInProgress)
  }

  leave(memberId: string): void {
    const member = this.#members.get(memberId)
    if (member !== undefined) this.#remove(member)
  }

  /** Commits of members are checked; `generation` -1 is a commit from outside and needs an empty group. */
  checkCommit(memberId: string, generation: number): void {
    if (generation < 0) {
      if (this.#members.size > 0) throw this.#refuse(BrokerCode.unknownMember)
      return
    }
    this.#startSession(this.#check(memberId, generation))
    if (this.#state === 'completing') throw this.#refuse(BrokerCode.rebalanceInProgress)
  }

  /** Ends all sessions at once, as when a coordinator loses its members. */
  evictAll(): void {
    for (const member of this.#members.values()) this.#remove(member)
  }

  #check(memberId: string, generation: number): Member {
    const member = this.#members.get(memberId)
    if (member === undefined) throw this.#refuse(BrokerCode.unknownMember)
    if (generation !== this.#generation) throw this.#refuse(ILLEGAL_GENERATION)
    return member
  }

  #prepare(): void {
    this.#state = 'preparing'
    for (const member of this.#members.values()) {
      member.sync?.reject(this.#refuse(BrokerCode.rebalanceInProgress))
      member.sync = null
    }
    const patience = Math.max(0, ...[...this.#members.values()].map((m) => m.options.rebalanceTimeoutMs))
    if (this.#deadline !== null) clearTimeout(this.#deadline)
    this.#deadline = setTimeout(
      () => {
        for (const member of this.#members.values()) if (member.join === null) this.#members.delete(member.id)
        this.#complete()
      },
      Math.min(patience, 0x7fffffff),
    ).unref()
  }

  #completeWhenAllJoined(): void {
    if (this.#state !== 'preparing') return
    for (const member of this.#members.values()) if (member.join === null) return
    this.#complete()
  }

  #complete(): void {
    if (this.#deadline !== null) clearTimeout(this.#deadline)
    this.#deadline = null
    this.#generation++
    this.#assignments = new Map()
    if (this.#members.size === 0) {
      this.#state = 'empty'
      return
    }
    this.#state = 'completing'
    this.#protocol = this.#choose()
    if (!this.#members.has(this.#leaderId)) this.#leaderId = this.#members.keys().next().value ?? ''
    for (const member of this.#members.values()) {
      this.#startSession(member)
      member.join?.resolve(this.#joined(member))
      member.join = null
    }
  }

  /** Each member votes for its first protocol that all members share. */
  #choose(): string {
    const members = [...this.#members.values()]
    const votes = new Map<string, number>()
    for (const { protocols } of members) {
      const first = protocols.find(({ name }) => members.every((m) => m.protocols.some((p) => p.name === name)))
      if (first !== undefined) votes.set(first.name, (votes.get(first.name) ?? 0) + 1)
    }
    return [...votes].sort((a, b) => b[1] - a[1])[0]?.[0] ?? ''
  }

  #joined(member: Member): JoinedGroup {
    const leader = member.id === this.#leaderId
    const members = leader
      ? [...this.#members.values()].map((m) => ({
          memberId: m.id,
          metadata: m.protocols.find((p) => p.name === this.#protocol)?.metadata ?? new Uint8Array(),
        }))
      : []
    return {
      generation: this.#generation,
      memberId: member.id,
      leaderId: this.#leaderId,
      protocol: this.#protocol,
      members,
    }
  }

  #remove(member: Member): void {
    this.#members.delete(member.id)
    this.#stopSession(member)
    member.join?.reject(this.#refuse(BrokerCode.unknownMember))
    member.sync?.reject(this.#refuse(BrokerCode.unknownMember))
    if (this.#state === 'preparing') {
      if (this.#members.size === 0) this.#complete()
      else this.#completeWhenAllJoined()
      return
    }
    this.#prepare()
    this.#completeWhenAllJoined()
  }

  #startSession(member: Member): void {
    this.#stopSession(member)
    member.session = setTimeout(() => this.#remove(member), member.options.sessionTimeoutMs).unref()
  }

  #stopSession(member: Member): void {
    if (member.session !== null) clearTimeout(member.session)
    member.session = null
  }

  #refuse(code: number): ConnectError {
    return brokerError(code, `take part in group ${this.#id}`, { groupId: this.#id })
  }
}

function sameProtocols(a: readonly GroupProtocol[], b: readonly GroupProtocol[]): boolean {
  return (
    a.length === b.length &&
    a.every((p, i) => p.name === b[i]?.name && Buffer.compare(p.metadata, b[i]?.metadata ?? new Uint8Array()) === 0)
  )
}
