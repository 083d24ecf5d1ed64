import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { TopicPartition } from '../../../../worker/api/topic-partition.ts'
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
  type MemberSubscription,
} from '../../../../worker/kafka/consumer-protocol.ts'
import {
  type Assignment,
  assignorNamed,
  cooperativeStickyAssignor,
  rangeAssignor,
  roundRobinAssignor,
} from '../../../../worker/kafka/partition-assignors.ts'

const member = (
  topics: readonly string[],
  owned: readonly TopicPartition[] = [],
  generation = -1,
): MemberSubscription => ({ topics, owned, generation })
const shown = (assignment: Assignment): Record<string, string> =>
  Object.fromEntries([...assignment].map(([id, tps]) => [id, tps.map((tp) => `${tp.topic}${tp.partition}`).join(' ')]))

test('range: consecutive partitions per topic, the first members get the rest', () => {
  const members = new Map([
    ['c2', member(['a', 'b'])],
    ['c1', member(['a', 'b'])],
  ])
  const counts = new Map([
    ['a', 3],
    ['b', 3],
  ])
  assert.deepEqual(shown(rangeAssignor.assign(counts, members)), { c1: 'a0 a1 b0 b1', c2: 'a2 b2' })
})

test('round robin: partition after partition over the sorted members', () => {
  const members = new Map([
    ['c2', member(['a', 'b'])],
    ['c1', member(['a', 'b'])],
  ])
  const counts = new Map([
    ['a', 3],
    ['b', 3],
  ])
  assert.deepEqual(shown(roundRobinAssignor.assign(counts, members)), { c1: 'a0 a2 b1', c2: 'a1 b0 b2' })
  const uneven = new Map([
    ['c1', member(['a'])],
    ['c2', member(['a', 'b'])],
  ])
  assert.deepEqual(shown(roundRobinAssignor.assign(counts, uneven)), { c1: 'a0 a2', c2: 'a1 b0 b1 b2' })
})

test('every assignor gives every partition of a known topic to one subscriber', () => {
  const groups = fc.dictionary(
    fc.stringMatching(/^m[0-9]$/),
    fc.subarray(['a', 'b', 'c', 'missing'], { minLength: 1 }),
    { minKeys: 1, maxKeys: 5 },
  )
  const sizes = fc.record({ a: fc.nat(9), b: fc.nat(9), c: fc.nat(9) })
  fc.assert(
    fc.property(
      groups,
      sizes,
      fc.constantFrom('range', 'roundrobin', 'cooperative-sticky'),
      (topicsOf, counts, name) => {
        const members = new Map(Object.entries(topicsOf).map(([id, topics]) => [id, member(topics)]))
        const assignor = assignorNamed(name)
        assert.ok(assignor)
        const given = new Map<string, string>()
        for (const [id, tps] of assignor.assign(new Map(Object.entries(counts)), members)) {
          for (const { topic, partition } of tps) {
            assert.ok(members.get(id)?.topics.includes(topic))
            assert.ok(!given.has(`${topic}${partition}`))
            given.set(`${topic}${partition}`, id)
          }
        }
        for (const [topic, count] of Object.entries(counts)) {
          const wanted = [...members.values()].some((m) => m.topics.includes(topic))
          for (let p = 0; p < count; p++) assert.equal(given.has(`${topic}${p}`), wanted)
        }
      },
    ),
    { verbose: 1 },
  )
})

test('cooperative: rounds end balanced, and nothing changes hands without a round in between', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.nat(4), { minLength: 1, maxLength: 6 }),
      (count, churn) => {
        const counts = new Map([['a', count]])
        let owned = new Map<string, TopicPartition[]>()
        let generation = 0
        for (const size of churn) {
          const ids = Array.from({ length: size + 1 }, (_, i) => `m${i}`)
          owned = new Map(ids.map((id) => [id, owned.get(id) ?? []]))
          for (let round = 0; round < 2; round++) {
            const members = new Map(ids.map((id) => [id, member(['a'], owned.get(id), generation)]))
            const next = cooperativeStickyAssignor.assign(counts, members)
            for (const [id, tps] of next) {
              for (const { partition } of tps) {
                for (const [other, had] of owned) {
                  if (other !== id)
                    assert.ok(!had.some((tp) => tp.partition === partition), 'taken from a living owner')
                }
              }
            }
            owned = next
            generation++
          }
          const sizes = [...owned.values()].map((tps) => tps.length)
          assert.equal(
            sizes.reduce((a, b) => a + b, 0),
            count,
          )
          assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1)
        }
      },
    ),
    { verbose: 1 },
  )
})

test('subscriptions and assignments survive the wire; older and newer versions are read', () => {
  const owned = [
    { topic: 'a', partition: 1 },
    { topic: 'b', partition: 0 },
  ]
  const subscription = { topics: ['a', 'b'], owned, generation: 3 }
  assert.deepEqual(decodeSubscription(encodeSubscription(subscription)), subscription)
  assert.deepEqual(decodeAssignment(encodeAssignment(owned)), owned)
  assert.deepEqual(decodeAssignment(new Uint8Array()), [])
  // Version 0 of the Java consumer: topics and user data only.
  const old = Buffer.from([0, 0, 0, 0, 0, 1, 0, 1, 97, 255, 255, 255, 255])
  assert.deepEqual(decodeSubscription(old), { topics: ['a'], owned: [], generation: -1 })
  assert.throws(() => decodeSubscription(old.subarray(0, 8)), { code: 'CONNECT_KAFKA_CORRUPT' })
})
