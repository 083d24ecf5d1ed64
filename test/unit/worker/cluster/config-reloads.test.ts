import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RebalanceInProgressError } from '../../../../worker/api/errors.ts'
import { ConfigReloads } from '../../../../worker/cluster/config-reloads.ts'
import { RecordingLogger } from '../../../support/contexts.ts'
import { eventually } from '../../../support/runtime/eventually.ts'
import { FakeCluster } from './fake-cluster.ts'

/** Reloads under a clock that records its sleeps and ends each when it is told to. */
function setUp(refusals = 0) {
  const sleeps: { readonly ms: number; readonly end: () => void }[] = []
  const restarted: string[] = []
  const reloads = new ConfigReloads({
    logger: new RecordingLogger(),
    clock: {
      now: () => 0,
      monotonicMs: () => 0,
      sleep: (ms, signal) => {
        const { promise, resolve } = Promise.withResolvers<void>()
        signal?.addEventListener('abort', () => resolve())
        sleeps.push({ ms, end: resolve })
        return promise
      },
    },
    restartConnector: async (connector) => {
      if (refusals-- > 0) throw new RebalanceInProgressError('not now')
      restarted.push(connector)
    },
  })
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return { sleeps, restarted, reloads, turn }
}

test('a restart after the time to live; none when values do not expire, or config.action.reload=none', async () => {
  const { sleeps, restarted, reloads, turn } = setUp()
  reloads.read('a', {}, 5_000)
  reloads.read('b', {}, null)
  reloads.read('c', { 'config.action.reload': 'NONE' }, 5_000)
  assert.deepEqual(
    sleeps.map(({ ms }) => ms),
    [5_000],
  )
  sleeps[0]?.end()
  await turn()
  assert.deepEqual(restarted, ['a'])
})

test('a later read takes the place of an earlier one, and a stop ends it', async () => {
  const { sleeps, restarted, reloads, turn } = setUp()
  reloads.read('a', {}, 5_000)
  reloads.read('a', {}, 7_000)
  sleeps[0]?.end()
  await turn()
  assert.deepEqual(restarted, [])
  reloads.cancel('a')
  sleeps[1]?.end()
  await turn()
  assert.deepEqual(restarted, [])
})

test('in a rebalance it is tried again; times beyond that of a timer are waited for in parts', async () => {
  const { sleeps, restarted, reloads, turn } = setUp(1)
  reloads.read('a', {}, 2 ** 31 + 9)
  for (const [index, ms] of [2 ** 31 - 1, 10, 1_000].entries()) {
    assert.equal(sleeps[index]?.ms, ms)
    sleeps[index]?.end()
    await turn()
  }
  assert.deepEqual(restarted, ['a'])
})

test('an expired value restarts the connector, and its tasks when it has changed', async () => {
  await using cluster = new FakeCluster()
  const { herder, worker } = await cluster.add()
  const config = { name: 'a', password: '${vault:a:password}', 'tasks.max': '1' }
  worker.secret = { value: 'first', ttlMs: 20 }
  await herder.putConnector('a', config, { replace: false, initialState: null })
  const starts = (what: string): number => worker.log.filter((line) => line === `start ${what}`).length
  await eventually(() => assert.equal(worker.runningTasks.size, 1))
  await eventually(() => assert.ok(starts('a') >= 3, worker.log.join()))
  assert.equal(starts('a-0'), 1, 'the same value: the task goes on')
  worker.secret = { value: 'second', ttlMs: 20 }
  await eventually(() => assert.equal(starts('a-0'), 2))
  worker.secret = { value: 'second', ttlMs: null }
  assert.deepEqual(await herder.connectorConfig('a'), config)
})
