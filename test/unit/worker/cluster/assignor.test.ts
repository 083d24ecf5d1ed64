import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type AssignorResult,
  type AssignorState,
  assignEagerly,
  assignIncrementally,
  initialAssignorState,
  successiveRevokeDelayMs,
} from '../../../../worker/cluster/assignor.ts'
import type { Work } from '../../../../worker/cluster/protocol.ts'
import { WorkSet } from '../../../../worker/cluster/work-set.ts'

function workOf(connectors: Readonly<Record<string, number>>): Work {
  return {
    connectors: Object.keys(connectors),
    tasks: Object.entries(connectors).flatMap(([connector, count]) =>
      Array.from({ length: count }, (_, task) => ({ connector, task })),
    ),
  }
}

/** A group whose members do what they are told, as the herder does. */
class Group {
  readonly held = new Map<string, WorkSet>()
  readonly leaving = new Set<string>()
  state: AssignorState = initialAssignorState
  configured: Work = workOf({})
  generation = 0
  now = 1_000
  maxDelayMs: number
  last: AssignorResult | null = null

  constructor(members: readonly string[], maxDelayMs = 0) {
    for (const member of members) this.held.set(member, WorkSet.empty)
    this.maxDelayMs = maxDelayMs
  }

  round(): AssignorResult {
    const result = assignIncrementally(this.state, {
      configured: this.configured,
      members: new Map(
        Array.from(this.held, ([m, own]) => [m, { allocation: own.toWork(), leaving: this.leaving.has(m) }]),
      ),
      lastCompletedGeneration: this.state.previousGeneration,
      generation: ++this.generation,
      nowMs: this.now,
      maxDelayMs: this.maxDelayMs,
    })
    this.state = result.state
    for (const [member, { assigned, revoked }] of result.members) {
      const own = this.held.get(member) ?? WorkSet.empty
      this.held.set(member, own.minus(WorkSet.of(revoked)).union(WorkSet.of(assigned)))
    }
    for (const member of this.leaving) {
      assert.equal(result.members.get(member)?.assigned.connectors.length, 0)
      assert.equal(result.members.get(member)?.assigned.tasks.length, 0)
    }
    this.last = result
    return result
  }

  /** Rounds as the members ask for them: after a revocation at once, after a delay when it is over. */
  settle(): number {
    for (let rounds = 1; rounds <= 20; rounds++) {
      const result = this.round()
      const revoked = [...result.members.values()].some((m) => m.revoked.connectors.length + m.revoked.tasks.length > 0)
      if (revoked) continue
      if (result.delayMs === 0) return rounds
      this.now += result.delayMs
    }
    return assert.fail('the group does not settle')
  }

  /** Each item exactly once, loads differing by one at most (statement 136). */
  assertBalanced(): void {
    const loads = [...this.held.values()]
    const configured = WorkSet.of(this.configured)
    assert.equal(
      loads.reduce((sum, own) => sum + own.size, 0),
      configured.size,
      'each item exactly once',
    )
    assert.equal(WorkSet.union(loads).minus(configured).size, 0)
    for (const size of [(s: WorkSet) => s.connectors.size, (s: WorkSet) => s.taskCount]) {
      const sizes = loads.map(size)
      assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, `balance: ${sizes}`)
    }
  }

  assertNoDoubles(): void {
    const loads = [...this.held.values()]
    const union = WorkSet.union(loads)
    assert.equal(
      loads.reduce((sum, own) => sum + own.size, 0),
      union.size,
      'no item at two members',
    )
  }
}

test('eager: connectors round-robin over sorted members, tasks go on from there (3.3)', () => {
  const dealt = assignEagerly(workOf({ b: 1, a: 2 }), ['w2', 'w1'])
  assert.deepEqual(dealt.get('w1'), {
    connectors: ['a'],
    tasks: [
      { connector: 'a', task: 0 },
      { connector: 'b', task: 0 },
    ],
  })
  assert.deepEqual(dealt.get('w2'), { connectors: ['b'], tasks: [{ connector: 'a', task: 1 }] })
})

test('a joining worker gets its share in two rounds, and only that much moves', () => {
  const group = new Group(['w1'])
  group.configured = workOf({ a: 4, b: 4 })
  group.round()
  const before = new Map(group.held)
  group.held.set('w2', WorkSet.empty)
  const revoking = group.round()
  assert.equal(revoking.members.get('w1')?.revoked.tasks.length, 4)
  assert.equal(revoking.members.get('w2')?.assigned.tasks.length, 0, 'nothing starts before it stopped elsewhere')
  group.round()
  group.assertBalanced()
  assert.equal(group.held.get('w1')?.minus(before.get('w1') ?? WorkSet.empty).size, 0)
})

test('lost work waits for its owner, goes back to the one that returns in time (statement 138)', () => {
  const group = new Group(['w1', 'w2'], 300_000)
  group.configured = workOf({ a: 2, b: 2 })
  group.settle()
  const mine = group.held.get('w2') ?? WorkSet.empty
  group.held.delete('w2')
  assert.equal(group.round().delayMs, 300_000)
  assert.equal(group.held.get('w1')?.size, 3, 'nothing moved yet')
  group.now += 100_000
  group.held.set('w2', WorkSet.empty)
  assert.equal(group.round().delayMs, 200_000)
  assert.equal(group.held.get('w2')?.size, 0)
  group.now += 200_000
  group.round()
  assert.deepEqual(group.held.get('w2')?.sorted().toWork(), mine.sorted().toWork())
  group.settle()
  group.assertBalanced()
})

test('lost work is given to others when the delay is over (statement 138)', () => {
  const group = new Group(['w1', 'w2'], 300_000)
  group.configured = workOf({ a: 2, b: 2 })
  group.settle()
  group.held.delete('w2')
  group.round()
  group.now += 300_000
  assert.equal(group.round().delayMs, 0)
  group.assertBalanced()
})

test('with a delay of 0, lost work is given to others at once (statement 139)', () => {
  const group = new Group(['w1', 'w2'], 0)
  group.configured = workOf({ a: 3 })
  group.settle()
  group.held.delete('w2')
  group.round()
  group.assertBalanced()
})

test('a worker that says good-bye hands over at once, whatever the delay', () => {
  const group = new Group(['w1', 'w2', 'w3'], 300_000)
  group.configured = workOf({ a: 3, b: 3 })
  group.settle()
  group.held.set('w2', WorkSet.empty)
  group.leaving.add('w2')
  assert.equal(group.round().delayMs, 0)
  group.leaving.delete('w2')
  group.held.delete('w2')
  group.assertNoDoubles()
  assert.equal(group.round().delayMs, 0, 'its absence is not taken for a loss')
  group.settle()
  group.assertBalanced()
})

test('the work of a leaving worker does not wait for that of a lost one', () => {
  const group = new Group(['w1', 'w2', 'w3'], 300_000)
  group.configured = workOf({ a: 6 })
  group.settle()
  group.held.delete('w3')
  group.round()
  group.held.set('w2', WorkSet.empty)
  group.leaving.add('w2')
  group.round()
  assert.equal(group.held.get('w1')?.taskCount, 4)
  group.leaving.clear()
  group.held.delete('w2')
  group.now += 300_000
  group.settle()
  group.assertBalanced()
})

test('revoking rounds in a row are delayed 40, 1600, 64000 ms, capped (statement 140)', () => {
  assert.deepEqual(
    [1, 2, 3, 4].map((n) => successiveRevokeDelayMs(n, 300_000)),
    [40, 1_600, 64_000, 300_000],
  )
  assert.equal(successiveRevokeDelayMs(3, 0), 0)
  const group = new Group(['w1'], 300_000)
  group.configured = workOf({ a: 12 })
  group.settle()
  group.held.set('w2', WorkSet.empty)
  group.round()
  group.held.set('w3', WorkSet.empty)
  assert.equal(group.round().delayMs, 40)
})

test('an item held twice is revoked from both, then assigned once (statement 141)', () => {
  const group = new Group(['w1', 'w2'])
  group.configured = workOf({ a: 1 })
  const task = new WorkSet(['a'], [{ connector: 'a', task: 0 }])
  group.held.set('w1', task)
  group.held.set('w2', task)
  group.round()
  assert.equal(WorkSet.union(group.held.values()).size, 0)
  group.settle()
  group.assertBalanced()
})

test('a new leader without memory loses and doubles nothing (statement 142)', () => {
  const group = new Group(['w1', 'w2', 'w3'], 300_000)
  group.configured = workOf({ a: 4, b: 5 })
  group.settle()
  group.held.delete('w1')
  group.state = initialAssignorState
  assert.equal(group.round().delayMs, 0)
  group.assertNoDoubles()
  group.settle()
  group.assertBalanced()
})

test('work of a deleted connector is revoked, also by a leader that never assigned it', () => {
  const group = new Group(['w1'])
  group.configured = workOf({ a: 1, b: 1 })
  group.settle()
  group.state = initialAssignorState
  group.configured = workOf({ b: 1 })
  group.settle()
  group.assertBalanced()
})

test('random histories: never twice, and balanced once things are quiet', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('join' as const), id: fc.integer({ min: 0, max: 5 }) }),
    fc.record({ kind: fc.constant('crash' as const), id: fc.integer({ min: 0, max: 5 }) }),
    fc.record({ kind: fc.constant('leave' as const), id: fc.integer({ min: 0, max: 5 }) }),
    fc.record({ kind: fc.constant('restart' as const), id: fc.integer({ min: 0, max: 5 }) }),
    fc.record({
      kind: fc.constant('config' as const),
      id: fc.integer({ min: 0, max: 4 }),
      tasks: fc.integer({ min: 0, max: 7 }),
    }),
    fc.record({ kind: fc.constant('delete' as const), id: fc.integer({ min: 0, max: 4 }) }),
    fc.record({ kind: fc.constant('new leader' as const) }),
    fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 400_000 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.constantFrom(0, 1_000, 300_000), (steps, maxDelayMs) => {
      const group = new Group(['w0'], maxDelayMs)
      const configs: Record<string, number> = {}
      for (const s of steps) {
        switch (s.kind) {
          case 'join':
            if (!group.held.has(`w${s.id}`)) group.held.set(`w${s.id}`, WorkSet.empty)
            break
          case 'crash':
            if (group.held.size > 1) group.held.delete(`w${s.id}`)
            break
          case 'leave':
            if (group.held.size > 1 && group.held.has(`w${s.id}`)) {
              group.held.set(`w${s.id}`, WorkSet.empty)
              group.leaving.add(`w${s.id}`)
              group.round()
              group.assertNoDoubles()
              group.held.delete(`w${s.id}`)
              group.leaving.clear()
            }
            break
          case 'restart':
            if (group.held.has(`w${s.id}`)) group.held.set(`w${s.id}`, WorkSet.empty)
            break
          case 'config':
            configs[`c${s.id}`] = s.tasks
            break
          case 'delete':
            delete configs[`c${s.id}`]
            break
          case 'new leader':
            group.state = initialAssignorState
            break
          case 'time':
            group.now += s.ms
            break
        }
        group.configured = workOf(configs)
        group.round()
        group.assertNoDoubles()
      }
      group.settle()
      group.assertBalanced()
      // Quiet means quiet: another round moves nothing.
      const result = group.round()
      for (const { assigned, revoked } of result.members.values()) {
        assert.equal(assigned.connectors.length + assigned.tasks.length, 0)
        assert.equal(revoked.connectors.length + revoked.tasks.length, 0)
      }
    }),
    { numRuns: 500 },
  )
})
