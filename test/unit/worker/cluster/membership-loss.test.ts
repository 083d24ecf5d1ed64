import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RetriableError } from '../../../../worker/api/errors.ts'
import { decodeMemberState } from '../../../../worker/cluster/protocol.ts'
import { RecordingLogger } from '../../../support/contexts.ts'
import { eventually } from '../../../support/runtime/eventually.ts'
import { FakeCluster, type Node } from './fake-cluster.ts'

const allWork = ['a', 'a-0', 'a-1', 'a-2', 'a-3']

async function twoWorkers(cluster: FakeCluster): Promise<readonly [Node, Node]> {
  const first = await cluster.add()
  const second = await cluster.add()
  await create(cluster)
  await eventually(() => {
    assert.deepEqual(cluster.work(), allWork)
    assert.equal(second.worker.runningTasks.size, 2)
  })
  return [first, second]
}

async function create(cluster: FakeCluster): Promise<void> {
  const config = { name: 'a', 'tasks.max': '4' }
  await cluster.forwarded((h) => h.putConnector('a', config, { replace: false, initialState: null }))
}

/** What each later join of this worker reports as held; `before` may delay or fail it. */
function watchJoins(node: Node, before: (signal?: AbortSignal) => Promise<void> = async () => undefined) {
  const allocations: (number | null)[] = []
  const join = node.member.join.bind(node.member)
  node.member.join = async (protocols, signal) => {
    const { allocation } = decodeMemberState(protocols[0]?.metadata ?? new Uint8Array())
    allocations.push(allocation && allocation.assigned.connectors.length + allocation.assigned.tasks.length)
    await before(signal)
    return await join(protocols, signal)
  }
  return allocations
}

test('a coordinator that is away for a heartbeat interval: all work stops, and the worker joins with nothing (statement 62)', async () => {
  await using cluster = new FakeCluster()
  const [, worker] = await twoWorkers(cluster)
  worker.worker.log.length = 0
  // Not yet: `heartbeat.interval.ms` is 100.
  worker.member.tell({ kind: 'coordinator-unavailable', sinceMs: 50 })
  await worker.herder.ping(1_000)
  assert.deepEqual(worker.worker.log, [])
  let failures = 3
  const allocations = watchJoins(worker, async () => {
    assert.equal(worker.worker.runningTasks.size + worker.worker.runningConnectors.size, 0)
    if (failures-- > 0) throw new RetriableError('CONNECT_KAFKA_COORDINATOR', 'no coordinator')
  })
  worker.member.tell({ kind: 'coordinator-unavailable', sinceMs: 100 })
  await eventually(() => assert.equal(worker.worker.runningTasks.size, 0))
  await eventually(() => assert.deepEqual(cluster.work(), allWork))
  await eventually(() => assert.equal(worker.worker.runningTasks.size, 2))
  assert.deepEqual(allocations.slice(0, 4), [null, null, null, null])
})

test('a coordinator that goes away during a rebalance: work stops although the join has no answer (statement 62)', async () => {
  await using cluster = new FakeCluster()
  const [, worker] = await twoWorkers(cluster)
  let isHanging = true
  const allocations = watchJoins(worker, async (signal) => {
    if (!isHanging) return
    await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason), { once: true }))
  })
  worker.member.tell({ kind: 'rebalance' })
  await eventually(() => assert.equal(allocations.length, 1))
  assert.equal(worker.worker.runningTasks.size, 2, 'a cooperative rebalance stops nothing')
  isHanging = false
  worker.member.tell({ kind: 'coordinator-unavailable', sinceMs: 200 })
  await eventually(() => assert.deepEqual(worker.worker.log.filter((line) => line.startsWith('stop')).length > 0, true))
  await eventually(() => assert.deepEqual(cluster.work(), allWork))
  await eventually(() => assert.equal(allocations[1], null))
})

test('a membership that the coordinator forgot: the worker joins again with what it runs, and stops nothing', async () => {
  await using cluster = new FakeCluster()
  const [, worker] = await twoWorkers(cluster)
  worker.worker.log.length = 0
  const allocations = watchJoins(worker)
  const held = worker.worker.runningTasks.size + worker.worker.runningConnectors.size
  worker.member.tell({ kind: 'lost', error: new Error('unknown member') })
  await eventually(() => assert.ok(allocations.length > 0))
  await worker.herder.ping(1_000)
  assert.equal(allocations[0], held)
  assert.deepEqual(worker.worker.log, [])
})

test('a session that ends without a word from the coordinator: all work stops before the worker joins again', async () => {
  await using cluster = new FakeCluster()
  const [, worker] = await twoWorkers(cluster)
  const allocations = watchJoins(worker, async () => {
    assert.equal(worker.worker.runningTasks.size + worker.worker.runningConnectors.size, 0)
  })
  worker.member.tell({ kind: 'lost', error: new RetriableError('CONNECT_KAFKA_COORDINATOR', 'no heartbeat') })
  await eventually(() => assert.equal(allocations[0], null))
  await eventually(() => assert.deepEqual(cluster.work(), allWork))
  await eventually(() => assert.equal(worker.worker.runningTasks.size, 2))
})

test('a herder that is held up beyond rebalance.timeout.ms stops its work, leaves, and comes back (statement 63)', async () => {
  await using cluster = new FakeCluster()
  const logger = new RecordingLogger()
  const gate = Promise.withResolvers<void>()
  let isHeldUp = false
  const open = cluster.configTopic.log.bind(cluster.configTopic)
  cluster.configTopic.log = (options) => {
    const log = open(options)
    return {
      ...log,
      send: async (records) => {
        if (isHeldUp) await gate.promise
        await log.send(records)
      },
    }
  }
  const first = await cluster.add({ rebalanceTimeoutMs: 150, logger })
  cluster.configTopic.log = open
  const second = await cluster.add()
  await create(cluster)
  await eventually(() => {
    assert.deepEqual(cluster.work(), allWork)
    assert.equal(first.worker.runningTasks.size, 2)
  })
  isHeldUp = true
  const pausing = first.herder.setTargetState('a', 'PAUSED')
  // The other one runs everything, and never together with the first.
  await eventually(() => assert.equal(second.worker.runningTasks.size, 4))
  assert.equal(first.worker.runningTasks.size + first.worker.runningConnectors.size, 0)
  assert.deepEqual(first.member.leaveReasons, ['worker poll timeout has expired.'])
  const warning = logger.lines.find(({ message }) => message.startsWith('worker poll timeout has expired.'))
  assert.match(
    warning?.message ?? '',
    /The last known action being performed by the worker is : .+ and may contribute to the timeout\./,
  )
  isHeldUp = false
  gate.resolve()
  await pausing
  await eventually(() => assert.equal(first.worker.runningTasks.size, 2))
  await eventually(() => assert.deepEqual(cluster.work(), allWork))
})
