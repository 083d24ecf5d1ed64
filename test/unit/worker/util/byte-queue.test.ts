import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ByteQueue } from '../../../../worker/util/byte-queue.ts'

test('a full queue stops the producer until there is room', async () => {
  const queue = new ByteQueue<string>(10)
  assert.equal(await queue.put('a', 10), true)
  let added = false
  const waiting = queue.put('b', 1).then((result) => {
    added = result
  })
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(added, false)
  assert.deepEqual(await queue.take(9), ['a'])
  await waiting
  assert.deepEqual([added, queue.bytes, queue.length], [true, 1, 1])
})

test('an item beyond the bound is let in alone', async () => {
  const queue = new ByteQueue<string>(10)
  assert.equal(await queue.put('big', 1000), true)
  assert.equal(await queue.put('next', 1, AbortSignal.timeout(20)), false)
  assert.deepEqual(await queue.take(9), ['big'])
})

test('an abort ends both waits, without an item added or lost', async () => {
  const queue = new ByteQueue<string>(1)
  assert.deepEqual(await queue.take(1, AbortSignal.timeout(10)), [])
  await queue.put('a', 1)
  assert.equal(await queue.put('b', 1, AbortSignal.timeout(10)), false)
  assert.deepEqual(await queue.take(9), ['a'])
})

test('close lets the rest be taken; fail throws after it, the first failure', async () => {
  const closed = new ByteQueue<number>(10)
  await closed.put(1, 1)
  closed.close()
  closed.close()
  assert.equal(await closed.put(2, 1), false)
  assert.deepEqual([await closed.take(9), await closed.take(9)], [[1], []])
  const failed = new ByteQueue<number>(10)
  await failed.put(1, 1)
  failed.fail(new Error('first'))
  failed.fail(new Error('second'))
  assert.deepEqual(await failed.take(9), [1])
  await assert.rejects(failed.take(9), /first/)
  const woken = new ByteQueue<number>(10)
  const taking = woken.take(1)
  woken.fail(new Error('while waiting'))
  await assert.rejects(taking, /while waiting/)
})

test('property: everything comes out once and in order, within the bound', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 5 }),
      async (sizes, most) => {
        const queue = new ByteQueue<number>(16)
        const produced = (async () => {
          for (const [i, bytes] of sizes.entries()) await queue.put(i, bytes)
          queue.close()
        })()
        const taken: number[] = []
        for (let batch = await queue.take(most); batch.length > 0; batch = await queue.take(most)) {
          assert.ok(batch.length <= most)
          assert.ok(queue.bytes < 16 + 20)
          taken.push(...batch)
        }
        await produced
        assert.deepEqual(taken, [...sizes.keys()])
        assert.equal(queue.bytes, 0)
      },
    ),
    { verbose: 1 },
  )
})
