/** Restarts of what has failed, in each way to ask for one and under each protocol of the group (KIP-745). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RequestError } from '../../../../worker/api/errors.ts'
import type { DistributedHerder } from '../../../../worker/cluster/distributed-herder.ts'
import { eventually } from '../../../support/runtime/eventually.ts'
import { FakeCluster, type Node } from './fake-cluster.ts'

const put = (cluster: FakeCluster, config: Readonly<Record<string, string>>) =>
  cluster.forwarded((h) => h.putConnector('c', { name: 'c', ...config }, { replace: true, initialState: null }))

const statusOf = (cluster: FakeCluster) => cluster.forwarded((h) => h.connectorStatus('c'))

/** What the workers started since the last call, in the order of names. */
function takeStarts(cluster: FakeCluster): readonly string[] {
  return cluster.nodes
    .flatMap(({ worker }) => worker.log.splice(0))
    .filter((line) => line.startsWith('start '))
    .sort()
}

/** Connectors that start from now on fail, on every worker; ends with the call of what it returns. */
function breakConnectors(nodes: readonly Node[]): () => void {
  const repairs = nodes.map(({ worker }) => {
    const start = worker.startConnector.bind(worker)
    worker.startConnector = async (connector, config, target) => start(connector, { ...config, fail: 'fault' }, target)
    return () => {
      worker.startConnector = start
    }
  })
  return () => {
    for (const repair of repairs) repair()
  }
}

type Restart = (herder: DistributedHerder) => Promise<unknown>
const withParameters =
  (onlyFailed: boolean, includeTasks: boolean): Restart =>
  (herder) =>
    herder.restartConnectorAndTasks({ connector: 'c', onlyFailed, includeTasks })

/** Every request that names a failed connector; the first is the one from before KIP-745. */
const connectorRestarts: ReadonlyMap<string, Restart> = new Map<string, Restart>([
  ['no parameters', (herder) => herder.restartConnector('c')],
  ['includeTasks', withParameters(false, true)],
  ['onlyFailed', withParameters(true, false)],
  ['onlyFailed and includeTasks', withParameters(true, true)],
])

/** Those that name a failed task; the first is the one from before KIP-745. */
const taskRestarts: ReadonlyMap<string, readonly [restart: Restart, starts: readonly string[]]> = new Map([
  ['one task', [(herder: DistributedHerder) => herder.restartTask({ connector: 'c', task: 1 }), ['start c-1']]],
  ['includeTasks', [withParameters(false, true), ['start c', 'start c-0', 'start c-1', 'start c-2', 'start c-3']]],
  ['onlyFailed and includeTasks', [withParameters(true, true), ['start c-1']]],
])

async function openCluster(protocol: 'eager' | 'compatible' | 'sessioned', exactlyOnce: boolean) {
  await using stack = new AsyncDisposableStack()
  const cluster = stack.use(new FakeCluster())
  for (let i = 0; i < 3; i++) await cluster.add({ protocol, exactlyOnce })
  stack.move()
  return cluster
}

/** The request through each worker in turn until one takes it: as REST forwards, and while a rebalance ends. */
async function request(cluster: FakeCluster, restart: Restart): Promise<void> {
  await eventually(async () => {
    await cluster.forwarded(restart)
  }, 3_000)
}

for (const protocol of ['eager', 'compatible', 'sessioned'] as const) {
  for (const exactlyOnce of [false, true]) {
    for (const type of ['source', 'sink']) {
      const title = `${protocol}${exactlyOnce ? ', exactly-once' : ''}, ${type}`

      test(`statements 72, 76: ${title}: a failed connector restarts in each way that names it`, async () => {
        await using cluster = await openCluster(protocol, exactlyOnce)
        await put(cluster, { type, 'tasks.max': '4' })
        await eventually(() => assert.equal(cluster.work().length, 5), 3_000)
        for (const [name, restart] of connectorRestarts) {
          const repair = breakConnectors(cluster.nodes)
          await request(cluster, (herder) => herder.restartConnector('c').catch(ignoreFault))
          await eventually(async () => assert.equal((await statusOf(cluster)).connector.state, 'FAILED'))
          takeStarts(cluster)
          // The fault is still there: tried, and failed again.
          await request(cluster, (herder) => restart(herder).catch(ignoreFault))
          await eventually(() => {
            const tried = cluster.nodes.some(({ worker }) => worker.log.includes('start c'))
            assert.ok(tried, name)
          })
          await eventually(async () => assert.equal((await statusOf(cluster)).connector.state, 'FAILED', name))
          repair()
          await request(cluster, restart)
          await eventually(async () => {
            const { connector, tasks } = await statusOf(cluster)
            assert.deepEqual(
              [connector, ...tasks].map((part) => part.state),
              Array.from({ length: 5 }, () => 'RUNNING'),
              name,
            )
          })
        }
      })

      test(`statements 74, 76: ${title}: a failed task restarts, and what else was asked for`, async () => {
        await using cluster = await openCluster(protocol, exactlyOnce)
        await put(cluster, { type, 'tasks.max': '4' })
        await eventually(() => assert.equal(cluster.work().length, 5), 3_000)
        for (const [name, [restart, expected]] of taskRestarts) {
          const owner = cluster.nodes.find(({ worker }) => worker.runningTasks.has('c-1')) ?? assert.fail()
          owner.worker.listener.onTaskState({ connector: 'c', task: 1 }, 'FAILED', 'trace', '1')
          await eventually(async () => {
            const states = (await statusOf(cluster)).tasks.map((task) => task.state)
            assert.deepEqual(states, ['RUNNING', 'FAILED', 'RUNNING', 'RUNNING'])
          })
          takeStarts(cluster)
          const started: string[] = []
          await request(cluster, restart)
          await eventually(() => {
            started.push(...takeStarts(cluster))
            assert.deepEqual(started.toSorted(), expected, name)
          })
          await eventually(async () => {
            const states = (await statusOf(cluster)).tasks.map((task) => task.state)
            assert.deepEqual(states, ['RUNNING', 'RUNNING', 'RUNNING', 'RUNNING'])
          })
          for (const { herder } of cluster.nodes) await herder.ping(1_000)
          assert.deepEqual([...started, ...takeStarts(cluster)].toSorted(), expected, `${name}: nothing else`)
        }
      })
    }
  }
}

/** The answer of the request from before KIP-745 when the connector fails again. */
function ignoreFault(error: unknown): void {
  if (!(error instanceof RequestError) || error.code !== 'CONNECT_CONNECTOR_START') throw error
}
