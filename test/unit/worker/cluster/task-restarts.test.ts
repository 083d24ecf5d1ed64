import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../../../../worker/api/context.ts'
import { restartDelayMs, TaskRestarts } from '../../../../worker/cluster/task-restarts.ts'
import { parseRestartOptions } from '../../../../worker/config/restart-options.ts'
import type { TaskFailure } from '../../../../worker/runtime/task-failure.ts'
import { RecordingLogger } from '../../../support/contexts.ts'
import { FakeCluster } from './fake-cluster.ts'

const id = { connector: 'c', task: 0 }
const away: TaskFailure = { code: 'CONNECT_PUT_FAILED', reason: 'connection refused', isTransient: true }
const poison: TaskFailure = { code: 'CONNECT_TOLERANCE_EXCEEDED', reason: 'not JSON', isTransient: false }
const config = {
  'errors.restart.max.attempts': '3',
  'errors.restart.delay.ms': '1000',
  'errors.restart.delay.max.ms': '3000',
}

/** Time that passes when the test says so; sleeps end in order. */
class TestClock implements Clock {
  #nowMs = 0
  readonly #sleeps = new Set<{ readonly untilMs: number; readonly wake: () => void }>()

  now(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const sleep = { untilMs: this.#nowMs + ms, wake: resolve }
      this.#sleeps.add(sleep)
      signal?.addEventListener('abort', () => {
        this.#sleeps.delete(sleep)
        resolve()
      })
    })
  }

  async pass(ms: number): Promise<void> {
    this.#nowMs += ms
    for (const sleep of this.#sleeps) {
      if (sleep.untilMs > this.#nowMs) continue
      this.#sleeps.delete(sleep)
      sleep.wake()
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
}

function open() {
  const clock = new TestClock()
  let count = 0
  const restarts: TaskRestarts = new TaskRestarts({
    clock,
    logger: new RecordingLogger(),
    random: () => 0,
    restart: async () => {
      count++
      // As the herder does it: the old task is stopped first, which must not make the count start anew.
      restarts.forget(id)
    },
  })
  return { clock, restarts, count: () => count }
}

test('the delay doubles up to its bound; jitter only shortens it, by a fifth at most', () => {
  const options = parseRestartOptions(config)
  const delays = (random: number) => [1, 2, 3, 4, 60].map((attempt) => restartDelayMs(options, attempt, () => random))
  assert.deepEqual(delays(0), [1000, 2000, 3000, 3000, 3000])
  assert.deepEqual(delays(0.5), [900, 1800, 2700, 2700, 2700])
})

test('without the option nothing is planned, and the status shows nothing', async () => {
  const { clock, restarts, count } = open()
  assert.equal(restarts.failed(id, away, { name: 'c' }), null)
  await clock.pass(1_000_000)
  assert.equal(count(), 0)
})

test('a failure that may pass is followed by restarts with growing delays, as many as allowed', async () => {
  const { clock, restarts, count } = open()
  for (const [attempts, delayMs] of [
    [0, 1000],
    [1, 2000],
    [2, 3000],
  ] as const) {
    const nextAttemptMs = clock.now() + delayMs
    assert.deepEqual(restarts.failed(id, away, config), {
      code: away.code,
      reason: away.reason,
      attempts,
      nextAttemptMs,
    })
    await clock.pass(delayMs - 1)
    assert.equal(count(), attempts)
    await clock.pass(1)
    assert.equal(count(), attempts + 1)
  }
  assert.equal(restarts.failed(id, away, config)?.nextAttemptMs, null)
  await clock.pass(1_000_000)
  assert.equal(count(), 3)
})

test('a task that ran longer than the longest delay begins to count anew', async () => {
  const { clock, restarts, count } = open()
  restarts.failed(id, away, config)
  await clock.pass(1000)
  await clock.pass(3001)
  assert.equal(restarts.failed(id, away, config)?.attempts, 0)
  await clock.pass(1000)
  assert.equal(count(), 2)
})

test('a record that cannot be processed is no reason for a restart', async () => {
  const { clock, restarts, count } = open()
  assert.deepEqual(restarts.failed(id, poison, config), {
    code: poison.code,
    reason: poison.reason,
    attempts: 0,
    nextAttemptMs: null,
  })
  await clock.pass(1_000_000)
  assert.equal(count(), 0)
})

test('a stop ends what was planned, and the count', async () => {
  const { clock, restarts, count } = open()
  restarts.failed(id, away, config)
  await clock.pass(1000)
  restarts.failed(id, away, config)
  restarts.forget(id)
  await clock.pass(1_000_000)
  assert.equal(count(), 1)
  assert.equal(restarts.failed(id, away, config)?.attempts, 0)
})

test('a restart that the herder refuses, in a rebalance, is tried again and counts once', async () => {
  let refusals = 2
  const clock = new TestClock()
  let calls = 0
  const count = () => calls
  const restarts = new TaskRestarts({
    clock,
    logger: new RecordingLogger(),
    random: () => 0,
    restart: async () => {
      calls++
      if (refusals-- > 0) throw new Error('rebalance in progress')
    },
  })
  restarts.failed(id, away, config)
  for (const _ of [1, 2, 3]) await clock.pass(1000)
  assert.equal(count(), 3)
  assert.equal(restarts.failed(id, away, config)?.attempts, 1)
})

test('a task that is revoked before the herder comes to its restart is not asked for again', async () => {
  const clock = new TestClock()
  let count = 0
  const restarts: TaskRestarts = new TaskRestarts({
    clock,
    logger: new RecordingLogger(),
    random: () => 0,
    restart: async () => {
      count++
      restarts.forget(id)
      throw new Error('the task is not assigned to this member')
    },
  })
  restarts.failed(id, away, config)
  for (const _ of [1, 2, 3]) await clock.pass(1000)
  assert.equal(count, 1)
})

test('in a cluster: the owner restarts the task; the status on every worker shows why and when', async () => {
  await using cluster = new FakeCluster()
  await cluster.add()
  await cluster.add()
  const restarting = { ...config, 'errors.restart.delay.ms': '300', 'tasks.max': '2' }
  const put = { replace: true, initialState: null }
  await cluster.forwarded((h) => h.putConnector('c', { name: 'c', ...restarting }, put))
  const states = async () => (await cluster.forwarded((h) => h.connectorStatus('c'))).tasks.map((t) => t.state)
  const until = async (check: () => Promise<void>): Promise<void> => {
    for (const endMs = performance.now() + 5000; ; await new Promise((resolve) => setTimeout(resolve, 5))) {
      try {
        return await check()
      } catch (error) {
        if (performance.now() > endMs) throw error
      }
    }
  }
  await until(async () => assert.deepEqual(await states(), ['RUNNING', 'RUNNING']))
  const owner = cluster.nodes.find(({ worker }) => worker.runningTasks.has('c-1')) ?? assert.fail()
  owner.worker.log.length = 0
  owner.worker.listener.onTaskState({ connector: 'c', task: 1 }, 'FAILED', 'trace', '1', away)
  for (const { herder } of cluster.nodes) {
    await until(async () => {
      const { restart, state } = await herder.taskStatus({ connector: 'c', task: 1 })
      assert.equal(state, 'FAILED')
      assert.deepEqual([restart?.code, restart?.reason, restart?.attempts], [away.code, away.reason, 0])
      assert.ok(Date.parse(restart?.next_attempt ?? '') > Date.now() - 5000, restart?.next_attempt ?? 'no next attempt')
    })
  }
  await until(async () => assert.deepEqual(await states(), ['RUNNING', 'RUNNING']))
  assert.deepEqual(owner.worker.log, ['stop c-1', 'start c-1'])
  assert.equal((await owner.herder.taskStatus({ connector: 'c', task: 1 })).restart, undefined)
  owner.worker.log.length = 0
  owner.worker.listener.onTaskState({ connector: 'c', task: 1 }, 'FAILED', 'trace', '1', poison)
  await until(async () => {
    const { restart } = await owner.herder.taskStatus({ connector: 'c', task: 1 })
    assert.deepEqual([restart?.code, restart?.next_attempt], [poison.code, null])
  })
  assert.deepEqual(owner.worker.log, [])
})
