import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SourceTransactions, type SourceTransactionsOptions } from '../../../../worker/runtime/source-transactions.ts'

/** A task whose commits take `commitMs` each; what it committed, as numbers of records. */
function openTransactions(commitMs: number) {
  let nowMs = 1000
  const sizes: number[] = []
  const parts = {
    producer: {
      beginTransaction: () => undefined,
      flush: async () => undefined,
      commitTransaction: async () => {
        nowMs += commitMs
      },
    },
    writer: { dirty: false, offset: () => undefined, flush: async () => undefined },
    offsets: { confirm: () => undefined, discard: () => undefined },
    submitted: { takeCommittable: () => [] },
    options: { 'transaction.boundary': 'poll', 'transaction.boundary.interval.ms': null },
    env: { clock: { monotonicMs: () => nowMs }, settings: { offsetFlushIntervalMs: 60_000 } },
    metrics: { commit: () => undefined, transaction: (size: number) => sizes.push(size) },
    onCommitted: async () => undefined,
  } as unknown as SourceTransactionsOptions
  const transactions = new SourceTransactions(parts)
  transactions.start()
  return {
    transactions,
    sizes,
    pass: (ms: number) => {
      nowMs += ms
    },
    batch: async (count: number) => {
      if (count > 0) await transactions.beforeSend(count)
      await transactions.afterBatch()
    },
  }
}

test('boundary poll: a batch after a pause is a transaction, and is committed at once', async () => {
  const { batch, pass, sizes, transactions } = openTransactions(5)
  for (let i = 1; i <= 3; i++) {
    pass(100)
    await batch(i)
    assert.equal(transactions.dueInMs, null)
  }
  assert.deepEqual(sizes, [1, 2, 3])
})

test('boundary poll: batches without a pause share transactions, so that commits take a small part of the time', async () => {
  const { batch, pass, sizes } = openTransactions(5)
  for (let i = 0; i < 1000; i++) {
    pass(1)
    await batch(1)
  }
  // The first goes alone; then one commit of 5 ms in each 80 ms.
  assert.equal(sizes[0], 1)
  assert.ok(sizes.slice(1).every((size) => size === 80))
  assert.equal(sizes.length, 13)
})

test('boundary poll: the wait for the next batch ends after the time of one commit, and what is open is committed', async () => {
  const { batch, pass, sizes, transactions } = openTransactions(5)
  await batch(1)
  pass(1)
  await batch(7)
  assert.deepEqual(sizes, [1])
  assert.equal(transactions.dueInMs, 5)
  pass(5)
  await batch(0)
  assert.deepEqual(sizes, [1, 7])
  assert.equal(transactions.dueInMs, null)
})

test('boundary poll: however long commits take, records are held back for two seconds at most', async () => {
  const { batch, pass, sizes, transactions } = openTransactions(1000)
  await batch(1)
  pass(1900)
  await batch(1)
  assert.equal(transactions.dueInMs, 100)
  pass(100)
  await batch(1)
  assert.deepEqual(sizes, [1, 2])
})
