import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { WorkLease } from '../../../../worker/util/work-lease.ts'

test('a lease begins with its first renewal, and ends a session after what was sent', () => {
  const lease = new WorkLease()
  assert.equal(lease.isOver, false)
  lease.hold(1_000)
  assert.equal(lease.isOver, false, 'nothing to hold yet')
  lease.renew(WorkLease.now() - 500, 1_000)
  assert.equal(lease.isOver, false)
  lease.renew(WorkLease.now() - 1_001, 1_000)
  assert.equal(lease.isOver, true)
})

test('what is over is not held, only renewed (I7)', async () => {
  const lease = new WorkLease()
  lease.renew(WorkLease.now(), 2_000)
  lease.hold(60_000)
  await sleep(2_050)
  assert.equal(lease.isOver, false, 'held while the group rebalances')
  lease.renew(WorkLease.now() - 2_000, 1_000)
  assert.equal(lease.isOver, true)
  lease.hold(1_000)
  assert.equal(lease.isOver, true)
  lease.renew(WorkLease.now(), 1_000)
  assert.equal(lease.isOver, false)
})

test('all threads of a process see one lease on one clock', async () => {
  const lease = new WorkLease()
  const url = new URL('../../../../worker/util/work-lease.ts', import.meta.url).href
  const thread = new Worker(
    `import(${JSON.stringify(url)}).then(({ WorkLease }) => {
      const { parentPort, workerData } = require('node:worker_threads')
      const lease = new WorkLease(workerData)
      parentPort.on('message', () => parentPort.postMessage(lease.isOver))
      parentPort.postMessage('ready')
    })`,
    { eval: true, workerData: lease.shared },
  )
  const answer = (): Promise<unknown> => new Promise((resolve) => thread.once('message', resolve))
  try {
    await answer()
    for (const [sentMs, expected] of [
      [WorkLease.now(), false],
      [WorkLease.now() - 20_000, true],
      [WorkLease.now(), false],
    ] as const) {
      lease.renew(sentMs, 10_000)
      const answered = answer()
      thread.postMessage('?')
      assert.equal(await answered, expected)
    }
    lease.revoke()
    lease.renew(WorkLease.now(), 10_000)
    const answered = answer()
    thread.postMessage('?')
    assert.equal(await answered, true, 'a thread from before does not come back with the membership')
    assert.equal(new WorkLease(lease.shared).isOver, false, 'a new one begins afresh')
    assert.equal(lease.isOver, false)
  } finally {
    await thread.terminate()
  }
})
