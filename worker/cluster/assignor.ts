/**
 * Who runs what: eager assignment (protocol v0) and incremental cooperative assignment (v1 and v2, KIP-415), by the
 * algorithm of Connect's `IncrementalCooperativeAssignor`. Pure: time and the leader's memory are arguments.
 */
import { noWork, type Work } from './protocol.ts'
import { compareTasks, taskKey, WorkSet } from './work-set.ts'

/** What the leader remembers between rounds; a new leader starts from `initialAssignorState`. */
export interface AssignorState {
  readonly previousAssignment: WorkSet
  /** What the last round left each member with. */
  readonly previousOwners: ReadonlyMap<string, WorkSet>
  readonly previousRevocation: WorkSet
  readonly previousMembers: ReadonlySet<string>
  /** Generation of the last round; -1 before the first. */
  readonly previousGeneration: number
  /** Members that were empty while lost work waited: they get it first. */
  readonly candidates: ReadonlySet<string>
  /** Moment, in ms of the caller's clock, at which a delayed rebalance is due; 0 for none. */
  readonly scheduledRebalanceMs: number
  readonly delayMs: number
  readonly revokedInPrevious: boolean
  readonly successiveRevokes: number
}

export const initialAssignorState: AssignorState = Object.freeze({
  previousAssignment: WorkSet.empty,
  previousOwners: new Map(),
  previousRevocation: WorkSet.empty,
  previousMembers: new Set<string>(),
  previousGeneration: -1,
  candidates: new Set<string>(),
  scheduledRebalanceMs: 0,
  delayMs: 0,
  revokedInPrevious: false,
  successiveRevokes: 0,
})

export interface AssignorMember {
  /** Work that the member reports to hold. */
  readonly allocation: Work
  /** Stopped its work and is about to go: gets nothing, and what it had is not waited for. */
  readonly leaving: boolean
}

export interface AssignorInput {
  /** Every configured connector with its tasks. */
  readonly configured: Work
  readonly members: ReadonlyMap<string, AssignorMember>
  /** Generation of the last rebalance that this worker saw through to the end. */
  readonly lastCompletedGeneration: number
  readonly generation: number
  readonly nowMs: number
  /** `scheduled.rebalance.max.delay.ms` */
  readonly maxDelayMs: number
}

export interface MemberAssignment {
  /** Only what is new to the member. */
  readonly assigned: Work
  readonly revoked: Work
}

export interface AssignorResult {
  readonly state: AssignorState
  readonly members: ReadonlyMap<string, MemberAssignment>
  /** Milliseconds until the group should rebalance again; 0 for no such need. */
  readonly delayMs: number
  /** All work of each member after the round, for routing of requests. */
  readonly owners: ReadonlyMap<string, WorkSet>
}

/** A member's load while work is dealt out. */
interface Load {
  readonly member: string
  readonly connectors: string[]
  readonly tasks: Work['tasks'][number][]
}

const by = (size: (load: Load) => number) => (a: Load, b: Load) =>
  size(a) - size(b) || (a.member < b.member ? -1 : a.member > b.member ? 1 : 0)

/** Hands items to the least loaded, round after round among those that have no more than the first. */
function deal<T>(loads: readonly Load[], items: readonly T[], listOf: (load: Load) => T[]): void {
  const sorted = [...loads].sort(by((load) => listOf(load).length))
  const first = sorted[0]
  if (first === undefined) return
  let next = 0
  while (next < items.length) {
    const least = listOf(first).length
    for (const load of sorted) {
      if (next >= items.length || listOf(load).length > least) break
      listOf(load).push(items[next] as T)
      next++
    }
  }
}

/** Everything anew, round-robin over sorted members: all connectors first, then all tasks (protocol v0). */
export function assignEagerly(configured: Work, members: Iterable<string>): ReadonlyMap<string, Work> {
  const loads: Load[] = [...members].sort().map((member) => ({ member, connectors: [], tasks: [] }))
  let turn = 0
  const take = (): Load | undefined => loads[turn++ % loads.length]
  const connectors = [...configured.connectors].sort()
  for (const connector of connectors) take()?.connectors.push(connector)
  for (const connector of connectors) {
    const tasks = configured.tasks.filter((id) => id.connector === connector).sort(compareTasks)
    for (const id of tasks) take()?.tasks.push(id)
  }
  return new Map(loads.map(({ member, connectors: own, tasks }) => [member, { connectors: own, tasks }]))
}

/** Items that two members or more report to hold. */
function duplicates(allocations: Iterable<WorkSet>): WorkSet {
  const seen = new Map<string, number>()
  const all = [...allocations]
  const count = (key: string): void => void seen.set(key, (seen.get(key) ?? 0) + 1)
  for (const set of all) {
    for (const connector of set.connectors) count(`c:${connector}`)
    for (const id of set.tasks()) count(`t:${taskKey(id)}`)
  }
  const isDouble = (key: string): boolean => (seen.get(key) ?? 0) > 1
  return WorkSet.union(all).filter(
    (connector) => isDouble(`c:${connector}`),
    (id) => isDouble(`t:${taskKey(id)}`),
  )
}

/** Items that each member must give up so that loads of one kind differ by one at most. */
function balancingRevocations<T>(
  loads: readonly Load[],
  configuredCount: number,
  listOf: (load: Load) => readonly T[],
): ReadonlyMap<string, readonly T[]> {
  const revocations = new Map<string, readonly T[]>()
  if (configuredCount === 0 || loads.every((load) => listOf(load).length === 0)) return revocations
  const least = Math.floor(configuredCount / loads.length)
  const extra = configuredCount % loads.length
  const atLeast = loads.filter((load) => listOf(load).length === least).length
  const atMost = loads.filter((load) => listOf(load).length === least + 1).length
  if (atMost === extra && atLeast + atMost === loads.length) return revocations
  let granted = 0
  for (const load of loads) {
    const held = listOf(load)
    if (held.length <= least) continue
    const cap = granted < extra ? least + 1 : least
    if (granted < extra) granted++
    if (held.length > cap) revocations.set(load.member, held.slice(0, held.length - cap))
  }
  return revocations
}

/** Capped exponential: 40, 1600, 64000 … ms (KIP-415 as amended by KAFKA-12495). */
export function successiveRevokeDelayMs(count: number, maxDelayMs: number): number {
  return Math.min(40 ** count, maxDelayMs)
}

interface LostDecision {
  readonly reassign: WorkSet
  /** Goes straight to candidates, connectors and tasks round-robin. */
  readonly toCandidates: boolean
  readonly candidates: ReadonlySet<string>
  readonly scheduledRebalanceMs: number
  readonly delayMs: number
  readonly revokedInPrevious: boolean
}

/** What becomes of work whose owner is gone: wait for it to come back, or give it to others. */
function decideLost(
  state: AssignorState,
  input: AssignorInput,
  lost: WorkSet,
  workers: ReadonlyMap<string, WorkSet>,
): LostDecision {
  const { nowMs: now, maxDelayMs } = input
  const { candidates, scheduledRebalanceMs, delayMs, revokedInPrevious } = state
  const reset = { candidates: new Set<string>(), scheduledRebalanceMs: 0, delayMs: 0 }
  if (lost.size === 0 && !revokedInPrevious) {
    return { reassign: lost, toCandidates: false, ...reset, revokedInPrevious }
  }
  const nobodyLeft = [...state.previousMembers].every((member) => input.members.has(member))
  if ((scheduledRebalanceMs <= 0 && nobodyLeft) || maxDelayMs === 0) {
    return { reassign: lost, toCandidates: false, candidates, scheduledRebalanceMs, delayMs, revokedInPrevious }
  }
  if (scheduledRebalanceMs > 0 && now >= scheduledRebalanceMs) {
    const present = new Set([...candidates].filter((member) => workers.has(member)))
    return {
      reassign: lost,
      toCandidates: present.size > 0,
      ...reset,
      candidates: present,
      revokedInPrevious: false,
    }
  }
  const empty = [...workers].filter(([, held]) => held.size === 0).map(([member]) => member)
  const wait = now < scheduledRebalanceMs ? Math.min(scheduledRebalanceMs - now, maxDelayMs) : maxDelayMs
  return {
    reassign: WorkSet.empty,
    toCandidates: false,
    candidates: new Set([...candidates, ...empty]),
    scheduledRebalanceMs: now + wait,
    delayMs: wait,
    revokedInPrevious,
  }
}

interface Balance {
  readonly revocations: ReadonlyMap<string, WorkSet>
  readonly delayMs: number
  readonly scheduledRebalanceMs: number
  readonly revokedInPrevious: boolean
  readonly successiveRevokes: number
}

/** Revocations that even out the load, held back when the round before revoked too. */
function decideBalance(
  state: AssignorState,
  input: AssignorInput,
  lost: LostDecision,
  loads: readonly Load[],
): Balance {
  const unchanged = {
    revocations: new Map<string, WorkSet>(),
    delayMs: lost.delayMs,
    scheduledRebalanceMs: lost.scheduledRebalanceMs,
    successiveRevokes: state.successiveRevokes,
  }
  if (lost.delayMs !== 0) return { ...unchanged, revokedInPrevious: false }
  const connectors = balancingRevocations(loads, input.configured.connectors.length, (load) => load.connectors)
  const tasks = balancingRevocations(loads, input.configured.tasks.length, (load) => load.tasks)
  const members = new Set([...connectors.keys(), ...tasks.keys()])
  const revocations = new Map(
    Array.from(members, (member) => [member, new WorkSet(connectors.get(member) ?? [], tasks.get(member) ?? [])]),
  )
  if (revocations.size === 0) {
    const successiveRevokes = lost.revokedInPrevious ? 0 : state.successiveRevokes
    return { ...unchanged, revokedInPrevious: false, successiveRevokes }
  }
  if (!lost.revokedInPrevious) return { ...unchanged, revocations, revokedInPrevious: true }
  const successiveRevokes = state.successiveRevokes + 1
  const delayMs = successiveRevokeDelayMs(successiveRevokes, input.maxDelayMs)
  if (delayMs === 0) return { ...unchanged, revocations, revokedInPrevious: true, successiveRevokes }
  const scheduledRebalanceMs = input.nowMs + delayMs
  return { ...unchanged, delayMs, scheduledRebalanceMs, revokedInPrevious: true, successiveRevokes }
}

/** The leader's memory, corrected by what the members report (steps 1 and 3 of the algorithm). */
function reconcile(state: AssignorState, input: AssignorInput, active: WorkSet): WorkSet {
  // Another worker led since, or the last round did not reach the group: the memory is worth nothing.
  const isCurrent = state.previousGeneration === input.lastCompletedGeneration
  const remembered = isCurrent ? state.previousAssignment : WorkSet.empty
  const notRevoked = state.previousRevocation.intersect(active).size > 0
  return notRevoked ? active : remembered
}

/** One round of incremental cooperative assignment. A member appears in the result whether it gets work or not. */
export function assignIncrementally(state: AssignorState, input: AssignorInput): AssignorResult {
  const held = new Map([...input.members].map(([member, { allocation }]) => [member, WorkSet.of(allocation)]))
  const leaving = [...input.members].filter(([, member]) => member.leaving).map(([member]) => member)
  // A leaving member has stopped everything before it said so.
  for (const member of leaving) held.delete(member)
  if (held.size === 0) return nothingToGive(state, input)

  const configured = WorkSet.of(input.configured).sorted()
  const active = WorkSet.union(held.values())
  const previous = reconcile(state, input, active)
  const deleted = previous.union(active).minus(configured)
  const duplicated = duplicates(held.values())
  const gone = previous.minus(active).minus(deleted)
  const handedOver = gone.intersect(WorkSet.union(leaving.map((m) => state.previousOwners.get(m) ?? WorkSet.empty)))
  const lost = gone.minus(handedOver).sorted()
  const created = configured.minus(previous).minus(active).union(handedOver).sorted()

  const toRevoke = new Map(
    [...held].map(([member, own]) => [member, own.intersect(deleted).union(own.intersect(duplicated))]),
  )
  const next = new Map([...held].map(([member, own]) => [member, own.minus(toRevoke.get(member) ?? WorkSet.empty)]))
  const loads: Load[] = Array.from(next, ([member, own]) => ({
    member,
    connectors: [...own.connectors],
    tasks: [...own.tasks()],
  })).sort((a, b) => (a.member < b.member ? -1 : 1))

  const lostDecision = decideLost(state, input, lost, next)
  if (lostDecision.toCandidates) giveToCandidates(loads, lostDecision)
  const balance = decideBalance(state, input, lostDecision, loads)
  for (const [member, revoked] of balance.revocations) {
    toRevoke.set(member, (toRevoke.get(member) ?? WorkSet.empty).union(revoked))
  }
  const toAssign = (lostDecision.toCandidates ? created : created.union(lostDecision.reassign)).sorted()
  deal(loads, [...toAssign.connectors], (load) => load.connectors)
  deal(loads, [...toAssign.tasks()], (load) => load.tasks)

  return conclude({ input, held, loads, deleted, toRevoke, lost, lostDecision, balance })
}

function giveToCandidates(loads: readonly Load[], decision: LostDecision): void {
  const candidates = loads.filter((load) => decision.candidates.has(load.member))
  let turn = 0
  for (const connector of decision.reassign.connectors) {
    candidates[turn++ % candidates.length]?.connectors.push(connector)
  }
  turn = 0
  for (const id of decision.reassign.tasks()) candidates[turn++ % candidates.length]?.tasks.push(id)
}

interface Round {
  readonly input: AssignorInput
  readonly held: ReadonlyMap<string, WorkSet>
  readonly loads: readonly Load[]
  readonly deleted: WorkSet
  readonly toRevoke: ReadonlyMap<string, WorkSet>
  readonly lost: WorkSet
  readonly lostDecision: LostDecision
  readonly balance: Balance
}

function conclude(round: Round): AssignorResult {
  const { input, held, loads, deleted, toRevoke, lost, lostDecision, balance } = round
  const members = new Map<string, MemberAssignment>()
  const owners = new Map<string, WorkSet>()
  for (const member of input.members.keys()) members.set(member, { assigned: noWork, revoked: noWork })
  for (const { member, connectors, tasks } of loads) {
    const after = new WorkSet(connectors, tasks)
    const before = (held.get(member) ?? WorkSet.empty).minus(deleted)
    const revoked = toRevoke.get(member) ?? WorkSet.empty
    members.set(member, { assigned: after.minus(before).toWork(), revoked: revoked.toWork() })
    owners.set(member, after.minus(revoked))
  }
  const allRevoked = WorkSet.union(toRevoke.values())
  const nextState: AssignorState = {
    previousAssignment: WorkSet.union(owners.values()).union(lost).minus(allRevoked),
    previousOwners: owners,
    previousRevocation: allRevoked,
    // Members that said good-bye are not missed in the next round.
    previousMembers: new Set(held.keys()),
    previousGeneration: input.generation,
    candidates: lostDecision.toCandidates ? new Set() : lostDecision.candidates,
    scheduledRebalanceMs: balance.scheduledRebalanceMs,
    delayMs: balance.delayMs,
    revokedInPrevious: balance.revokedInPrevious,
    successiveRevokes: balance.successiveRevokes,
  }
  return { state: nextState, members, delayMs: balance.delayMs, owners }
}

function nothingToGive(state: AssignorState, input: AssignorInput): AssignorResult {
  const members = new Map([...input.members.keys()].map((m) => [m, { assigned: noWork, revoked: noWork }]))
  return {
    state: { ...initialAssignorState, previousGeneration: input.generation },
    members,
    delayMs: state.delayMs,
    owners: new Map(),
  }
}
