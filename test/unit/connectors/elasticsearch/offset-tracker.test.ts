import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type OffsetSlot, OffsetTracker } from '../../../../connectors/elasticsearch/offset-tracker.ts'
import { offsets, sinkRecord } from './support.ts'

const next = (tracker: OffsetTracker, current: bigint) =>
  tracker.committable(offsets({ 'topic-0': current })).get('topic', 0)

const finish = ({ partition, sequence }: OffsetSlot, count = 1) => partition.finish(sequence, count)

/** Delivers `count` records from an offset on. */
function deliver(tracker: OffsetTracker, from: number, count: number): OffsetSlot[] {
  return Array.from({ length: count }, (_, i) => tracker.add(sinkRecord(from + i)))
}

describe('OffsetTracker', () => {
  it('gives the unbroken prefix, and never more than was delivered (I2)', () => {
    const tracker = new OffsetTracker()
    const [a, b, c] = [0, 2, 5].map((offset) => tracker.add(sinkRecord(offset))) as [OffsetSlot, OffsetSlot, OffsetSlot]
    assert.equal(next(tracker, 6n), 0n)
    finish(b)
    assert.equal(next(tracker, 6n), 0n)
    finish(a)
    assert.equal(next(tracker, 6n), 5n)
    finish(c)
    assert.equal(next(tracker, 9n), 9n, 'what a transform filtered counts too')
    assert.equal(tracker.heldCount(), 0)
  })

  it('goes back with the position (E59) and forgets what was revoked (E61)', () => {
    const tracker = new OffsetTracker()
    for (const offset of [0, 1, 2]) finish(tracker.add(sinkRecord(offset)))
    assert.equal(next(tracker, 3n), 3n)
    const again = tracker.add(sinkRecord(1))
    assert.equal(next(tracker, 3n), 1n)
    finish(again)
    assert.equal(next(tracker, 3n), 3n)
    tracker.add(sinkRecord(3))
    tracker.drop([{ topic: 'topic', partition: 0 }])
    assert.equal(next(tracker, 7n), 7n)
  })

  it('lets the latest delivery of a record decide, whatever becomes of an earlier one (I2, E59)', () => {
    const tracker = new OffsetTracker()
    const first = deliver(tracker, 0, 3)
    const second = deliver(tracker, 1, 2)
    for (const slot of first.slice(1)) finish(slot)
    assert.equal(next(tracker, 3n), 0n)
    finish(first[0] as OffsetSlot)
    assert.equal(next(tracker, 3n), 1n)
    finish(second[0] as OffsetSlot)
    assert.equal(next(tracker, 3n), 2n)
    const third = deliver(tracker, 2, 1)
    finish(third[0] as OffsetSlot)
    assert.equal(next(tracker, 3n), 3n, 'the second delivery is still under way')
    deliver(tracker, 3, 100)
    const { partition, sequence } = second[1] as OffsetSlot
    assert.equal(partition.offsetOf(sequence), 2n, 'and can say where it came from, however many follow')
  })

  it('lets nothing that was finished before decide about what takes its place in memory (I2)', () => {
    const tracker = new OffsetTracker()
    const early = deliver(tracker, 0, 60)
    for (const slot of early) finish(slot)
    const later = deliver(tracker, 60, 10)
    for (const slot of early) finish(slot)
    finish(early[0] as OffsetSlot, 60)
    for (const slot of later.slice(0, 4)) finish(slot)
    assert.equal(next(tracker, 70n), 64n)
    assert.equal(tracker.heldCount(), 6)
  })

  it('keeps thousands of records, and offsets beyond 2^53, apart', () => {
    const tracker = new OffsetTracker()
    const base = 9_007_199_254_740_993n
    const slots = Array.from({ length: 5000 }, (_, i) => tracker.add(sinkRecord(base + BigInt(i))))
    assert.equal(tracker.heldCount(), 5000)
    finish(slots[0] as OffsetSlot, 4321)
    assert.equal(next(tracker, base + 5000n), base + 4321n)
    assert.equal(tracker.heldCount(), 679)
  })

  it('says what a list of records with a flag each says', () => {
    /** The plain way: what a position that went back delivers again takes the place of what was delivered before. */
    class Model {
      readonly all: { readonly offset: number; isDone: boolean; isSuperseded: boolean }[] = []

      add(offset: number): void {
        for (const slot of this.all) if (slot.offset >= offset) slot.isSuperseded = true
        this.all.push({ offset, isDone: false, isSuperseded: false })
      }

      committable(current: number): number {
        const pending = this.all.filter(({ isDone, isSuperseded }) => !isDone && !isSuperseded)
        return Math.min(current, ...pending.map(({ offset }) => offset))
      }
    }
    // Often a few records, where each counts, and sometimes more than there is room for at first.
    const size = fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 1, max: 4 }) }, fc.integer({ min: 1, max: 150 }))
    const step = fc.record({
      kind: fc.constantFrom('deliver', 'deliver', 'rewind', 'finish', 'finish', 'finish'),
      size,
      /** How many deliveries ago something is finished. */
      ago: size,
    })
    const property = fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 3 }), (steps, gap) => {
      const tracker = new OffsetTracker()
      const model = new Model()
      const slots: OffsetSlot[] = []
      let position = 0
      for (const each of steps) {
        if (each.kind === 'deliver') {
          for (let i = 0; i < each.size; i++, position += gap) {
            slots.push(tracker.add(sinkRecord(position)))
            model.add(position)
          }
        } else if (each.kind === 'rewind') position = Math.max(0, position - each.size)
        else {
          const first = Math.max(0, slots.length - each.ago)
          const some = model.all.slice(first, first + each.size)
          for (const slot of some) slot.isDone = true
          if (slots[first] !== undefined) finish(slots[first], some.length)
        }
        for (const current of [0, position >> 1, position]) {
          assert.equal(next(tracker, BigInt(current)), BigInt(model.committable(current)))
        }
      }
    })
    fc.assert(property, { numRuns: 100 })
  })
})
