import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { BlockBuffer } from '../../../../connectors/s3/block-buffer.ts'
import { MemoryBudget } from '../../../../connectors/s3/memory-budget.ts'
import { PackedBlocks } from '../../../../connectors/s3/packed-blocks.ts'
import { seededRandom } from '../../../support/random.ts'
import { testSeed } from '../../../support/seed.ts'

const blockBytes = 65_536

test('blocks double what is held up to their largest size, and nothing but the last is half empty (S74)', () => {
  const budget = new MemoryBudget(1e9)
  const buffer = new BlockBuffer(budget, 16_384)
  const held: number[] = []
  for (let written = 0; written < 5 * blockBytes; written += 1024) {
    buffer.bytes(new Uint8Array(1024))
    if (held.at(-1) !== budget.usedBytes) held.push(budget.usedBytes)
  }
  assert.deepEqual(
    held.map((bytes) => bytes / 1024),
    [16, 32, 64, 128, 192, 256, 320],
  )
  buffer.release()
  buffer.release()
  assert.equal(budget.usedBytes, 0)
})

test('a block that was given back is handed out again, unless somebody may still read it', () => {
  const budget = new MemoryBudget(1e9)
  const first = new BlockBuffer(budget, blockBytes)
  const storage = storageOf(first)
  first.release()
  const second = new BlockBuffer(budget, blockBytes)
  assert.ok(storageOf(second) === storage)
  second.keepFromReuse()
  second.release()
  assert.ok(storageOf(new BlockBuffer(budget, blockBytes)) !== storage)
})

test('a trim lets go of the blocks that were not needed since the one before it', () => {
  const budget = new MemoryBudget(1e9)
  const blocks = [1, 2, 3].map(() => budget.take(blockBytes))
  /** Which blocks are handed out now; those of before are given back. */
  const takeTwo = () => {
    const taken = [budget.take(blockBytes), budget.take(blockBytes)]
    for (const block of taken) budget.giveBack(block, true)
    return taken.map((block) => blocks.indexOf(block)).sort()
  }
  for (const block of blocks) budget.giveBack(block, true)
  budget.trim()
  assert.deepEqual(takeTwo(), [1, 2])
  budget.trim()
  assert.deepEqual(takeTwo(), [1, 2])
  budget.trim()
  budget.trim()
  assert.deepEqual(takeTwo(), [-1, -1])
  assert.equal(budget.usedBytes, 0)
})

test('full blocks are packed where that is worth it, and only the end that is not can be cut off (S74)', () => {
  const budget = new MemoryBudget(1e9)
  const open = () => new BlockBuffer(budget, 16_384, () => new PackedBlocks(budget))
  const rows = open()
  for (let i = 0; rows.length < 10 * blockBytes + 100; i++) rows.text(`{"id":${i},"name":"record ${i}"}\n`)
  const before = Buffer.from(rows.view())
  assert.equal(rows.packableBytes, 10 * blockBytes)
  const end = rows.length
  rows.pack()
  rows.bytes(noiseOf(40_000, 2))
  rows.truncate(end)
  assert.ok(rows.capacity < 5 * blockBytes, `${rows.capacity}`)
  assert.equal(rows.capacity, budget.usedBytes)
  assert.equal(rows.packableBytes, 0)
  assert.ok(rows.view().equals(before))
  assert.throws(() => rows.truncate(10 * blockBytes - 1), RangeError)
  rows.truncate(10 * blockBytes)
  assert.ok(rows.view().equals(before.subarray(0, 10 * blockBytes)))
  rows.release()
  const noise = open()
  noise.bytes(noiseOf(3 * blockBytes, 1))
  noise.pack()
  assert.equal(noise.capacity, 3 * blockBytes)
  assert.equal(noise.packableBytes, 0)
  assert.equal(budget.usedBytes, 3 * blockBytes)
})

test('what is packed is hashed on its way there: the sum of an object takes no unpacking', () => {
  const budget = new MemoryBudget(1e9)
  class Sealed extends PackedBlocks {
    override pieces(): never {
      throw new Error('unpacked')
    }
  }
  const rows = new BlockBuffer(budget, 16_384, () => new Sealed(budget))
  const content = Buffer.from(Array.from({ length: 20_000 }, (_, id) => `{"id":${id}}\n`).join(''))
  for (let at = 0; at < content.length; at += 50_000) {
    rows.bytes(content.subarray(at, at + 50_000))
    rows.pack()
  }
  rows.bytes(noiseOf(100, 5))
  assert.throws(() => rows.view(), /unpacked/)
  // Asked for twice, as a repeated request does.
  for (let i = 0; i < 2; i++) {
    assert.equal(rows.sha256().digest('hex'), sha256(Buffer.concat([content, noiseOf(100, 5)])))
    assert.equal(rows.sha256(content.length).digest('hex'), sha256(content))
  }
})

test('who began to read packed blocks reads them to the end after they were released, if that is asked for', () => {
  const budget = new MemoryBudget(1e9)
  const open = () => new BlockBuffer(budget, 16_384, () => new PackedBlocks(budget))
  const rows = open()
  for (let i = 0; rows.length < 20 * blockBytes + 100; i++) rows.text(`{"id":${i * 7919},"name":"record ${i}"}\n`)
  rows.pack()
  rows.bytes(noiseOf(2 * blockBytes, 3))
  const before = Buffer.from(rows.view())
  const reader = rows.pieces()[Symbol.iterator]()
  const pieces = [Buffer.from(reader.next().value ?? [])]
  rows.keepFromReuse()
  rows.release()
  assert.equal(budget.usedBytes, 0)
  const other = open()
  other.bytes(noiseOf(30 * blockBytes, 4))
  for (let next = reader.next(); next.done !== true; next = reader.next()) pieces.push(Buffer.from(next.value))
  assert.ok(Buffer.concat(pieces).equals(before))
})

test('free blocks and those in use stay below the limit together, whatever their sizes', () => {
  const budget = new MemoryBudget(4 * blockBytes)
  const large = [1, 2, 3, 4].map(() => budget.take(blockBytes))
  for (const block of large) budget.giveBack(block, true)
  assert.equal(budget.freeBytes, 4 * blockBytes)
  for (let i = 0; i < 16; i++) {
    budget.take(blockBytes / 4)
    assert.ok(budget.usedBytes + budget.freeBytes <= budget.limitBytes)
  }
  assert.equal(budget.freeBytes, 0)
})

function noiseOf(count: number, seed: number): Buffer {
  const random = seededRandom(seed)
  return Buffer.from(Uint8Array.from({ length: count }, () => random.integer(0, 255)))
}

/** What the buffer must hold, done in the plainest way, and the same step on the buffer. */
type Step =
  | { readonly do: 'text'; readonly text: string }
  | { readonly do: 'bytes'; readonly count: number }
  | { readonly do: 'noise'; readonly count: number }
  | { readonly do: 'pack' }
  | { readonly do: 'truncate' | 'consume'; readonly share: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('text' as const),
    text: fc.string({ unit: fc.constantFrom('a', 'é', '€', '😀'), maxLength: 900 }),
  }),
  fc.record({ do: fc.constant('bytes' as const), count: fc.nat(150_000) }),
  fc.record({ do: fc.constant('noise' as const), count: fc.nat(80_000) }),
  fc.record({ do: fc.constant('pack' as const) }),
  fc.record({ do: fc.constantFrom('truncate' as const, 'consume' as const), share: fc.double({ min: 0, max: 1 }) }),
)

test(`holds what was written, whatever was dropped at either end (seed ${testSeed})`, () => {
  const property = fc.property(
    fc.array(step, { maxLength: 25 }),
    fc.constantFrom(1024, 4096, 16_384, 131_072),
    fc.boolean(),
    (steps, initialBytes, keeps) => {
      const budget = new MemoryBudget(1e9)
      const buffer = new BlockBuffer(budget, initialBytes, () => new PackedBlocks(budget))
      /** What may be packed. */
      let firm = 0
      if (keeps) buffer.keepFromReuse()
      let expected = Buffer.alloc(0)
      for (const [i, s] of steps.entries()) {
        if (s.do === 'text') {
          buffer.text(s.text)
          expected = Buffer.concat([expected, Buffer.from(s.text)])
        } else if (s.do === 'bytes') {
          // Not a Buffer, and not at the start of its storage.
          const bytes = new Uint8Array(s.count + 3).fill(i + 1).subarray(3)
          buffer.bytes(bytes)
          expected = Buffer.concat([expected, bytes])
        } else if (s.do === 'noise') {
          const bytes = noiseOf(s.count, i)
          buffer.bytes(bytes)
          expected = Buffer.concat([expected, bytes])
        } else if (s.do === 'pack') {
          buffer.pack()
          firm = expected.length
        } else {
          const share = Math.floor(expected.length * s.share)
          const count = s.do === 'truncate' ? Math.max(share, firm) : share
          if (s.do === 'consume') firm = Math.max(0, firm - count)
          if (s.do === 'truncate') buffer.truncate(count)
          else buffer.consume(count)
          expected = s.do === 'truncate' ? expected.subarray(0, count) : expected.subarray(count)
        }
        assert.equal(buffer.length, expected.length)
        assert.equal(buffer.capacity, budget.usedBytes)
        const half = expected.length >> 1
        assert.ok(Buffer.concat([...buffer.pieces(half)]).equals(expected.subarray(0, half)))
        assert.ok(buffer.view().equals(expected))
        assert.equal(buffer.sha256(half).digest('hex'), sha256(expected.subarray(0, half)))
        assert.equal(buffer.sha256().digest('hex'), sha256(expected))
      }
      buffer.release()
      assert.equal(budget.usedBytes, 0)
    },
  )
  fc.assert(property, { seed: testSeed, numRuns: 100 })
})

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** The storage of what is written first. */
function storageOf(buffer: BlockBuffer): ArrayBufferLike | undefined {
  buffer.bytes(new Uint8Array(1))
  const [first] = buffer.pieces()
  return first?.buffer
}
