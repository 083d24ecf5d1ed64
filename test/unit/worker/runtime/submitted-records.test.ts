import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Delivery } from '../../../../worker/kafka/types.ts'
import { maxRunRecords, SubmittedRecords } from '../../../../worker/runtime/submitted-records.ts'

const tolerated = { onDelivered: () => undefined, onFailed: () => true }
const fatal = { onDelivered: () => undefined, onFailed: () => false }

function positions(submitted: SubmittedRecords): Record<string, number> {
  return Object.fromEntries(
    submitted.takeCommittable().map(({ partition, offset }) => [String(partition['p']), Number(offset['at'])]),
  )
}

test('statement 169: out-of-order acknowledgements move the offset only with the prefix', () => {
  const submitted = new SubmittedRecords(tolerated)
  const p = { p: 'a' }
  const deliveries: Delivery[] = []
  for (let at = 0; at < 3; at++) {
    deliveries.push(submitted.submit(p, { at }))
    submitted.seal()
  }
  deliveries[2]?.delivered(1, 't', 0, 0n)
  assert.deepEqual(positions(submitted), {})
  deliveries[0]?.delivered(1, 't', 0, 0n)
  assert.deepEqual(positions(submitted), { a: 0 })
  deliveries[1]?.delivered(1, 't', 0, 0n)
  assert.deepEqual(positions(submitted), { a: 2 })
  assert.deepEqual(positions(submitted), {}, 'an offset is handed out once')
})

test('statement 169: a partition that waits does not hold back another; equal maps are one partition', () => {
  const submitted = new SubmittedRecords(tolerated)
  submitted.submit({ p: 'slow', q: 1 }, { at: 1 })
  const other = submitted.submit({ p: 'fast' }, { at: 5 })
  const again = submitted.submit({ q: 1n, p: 'slow' }, { at: 2 })
  other.delivered(1, 't', 0, 0n)
  again.delivered(1, 't', 0, 0n)
  assert.deepEqual(positions(submitted), { fast: 5 })
})

test('an offset without a record waits for the records before it, and no longer (I2)', () => {
  const submitted = new SubmittedRecords(tolerated)
  const p = { p: 'a' }
  const before = submitted.submit(p, { at: 1 })
  submitted.advance(p, { at: 5 })
  assert.deepEqual(positions(submitted), {})
  before.delivered(1, 't', 0, 0n)
  assert.deepEqual(positions(submitted), { a: 5 })
  submitted.advance(p, { at: 6 })
  submitted.submit(p, { at: 7 })
  assert.deepEqual(positions(submitted), { a: 6 })
  assert.equal(submitted.outstanding, 1)
})

test('statement 169: a record that was not appended leaves no trace', () => {
  const submitted = new SubmittedRecords(tolerated)
  const p = { p: 'a' }
  const run = submitted.submit(p, { at: 1 })
  submitted.submit(p, { at: 2 })
  submitted.undo()
  run.delivered(1, 't', 0, 0n)
  assert.deepEqual(positions(submitted), { a: 1 })
  assert.equal(submitted.outstanding, 0)
})

test('I1: a record that failed without tolerance holds its partition for ever', () => {
  const submitted = new SubmittedRecords(fatal)
  const p = { p: 'a' }
  const first = submitted.submit(p, { at: 1 })
  submitted.seal()
  const second = submitted.submit(p, { at: 2 })
  first.failed(1, new Error('refused'))
  second.delivered(1, 't', 0, 1n)
  assert.deepEqual(positions(submitted), {})
  assert.equal(submitted.outstanding, 0)
})

test('statement 169: awaitOutcomes resolves with the last acknowledgement, or with the signal', async () => {
  const submitted = new SubmittedRecords(tolerated)
  const run = submitted.submit({ p: 'a' }, { at: 1 })
  submitted.submit({ p: 'a' }, { at: 2 })
  const never = new AbortController()
  const waiting = submitted.awaitOutcomes(never.signal)
  run.delivered(2, 't', 0, 0n)
  await waiting
  submitted.submit({ p: 'a' }, { at: 3 })
  const limit = new AbortController()
  const cut = submitted.awaitOutcomes(limit.signal)
  limit.abort()
  await cut
  assert.equal(submitted.outstanding, 1)
})

test('one run takes at most maxRunRecords', () => {
  const submitted = new SubmittedRecords(tolerated)
  const p = { p: 'a' }
  const runs = new Set<Delivery>()
  for (let at = 0; at <= maxRunRecords; at++) runs.add(submitted.submit(p, { at }))
  assert.equal(runs.size, 2)
})

test('property: a committable offset covers only acknowledged records (I2)', () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant('submit' as const), partition: fc.integer({ min: 0, max: 2 }) }),
      fc.record({ kind: fc.constant('ack' as const), pick: fc.nat() }),
      fc.record({ kind: fc.constant('seal' as const) }),
      fc.record({ kind: fc.constant('take' as const) }),
    ),
    { maxLength: 200 },
  )
  fc.assert(
    fc.property(steps, (list) => {
      const submitted = new SubmittedRecords(tolerated)
      const open: { delivery: Delivery; partition: number; at: number }[] = []
      const next = [0, 0, 0]
      const check = (): void => {
        for (const [partition, at] of Object.entries(positions(submitted))) {
          const unacked = open.filter((o) => String(o.partition) === partition).map((o) => o.at)
          assert.ok(
            unacked.every((u) => u > at),
            `offset ${at} of ${partition} passes ${unacked.join()}`,
          )
        }
      }
      for (const step of list) {
        if (step.kind === 'submit') {
          const at = next[step.partition] ?? 0
          next[step.partition] = at + 1
          const delivery = submitted.submit({ p: String(step.partition) }, { at })
          open.push({ delivery, partition: step.partition, at })
        } else if (step.kind === 'ack' && open.length > 0) {
          // Any order over runs; within a run nobody can tell which of its records was meant.
          const chosen = open[step.pick % open.length]
          if (chosen === undefined) continue
          chosen.delivery.delivered(1, 't', 0, 0n)
          open.splice(open.indexOf(chosen), 1)
        } else if (step.kind === 'seal') submitted.seal()
        else check()
      }
      for (const { delivery } of open.splice(0)) delivery.delivered(1, 't', 0, 0n)
      check()
      assert.equal(submitted.outstanding, 0)
    }),
    { verbose: 1 },
  )
})
