import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConnectError, NotFoundError, NotLeaderError, RequestError } from '../../../../worker/api/errors.ts'
import { Loggers } from '../../../../worker/util/log.ts'
import { FakeCluster } from './fake-cluster.ts'

async function eventually(check: () => void | Promise<void>, timeoutMs = 5_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}

const put = (cluster: FakeCluster, name: string, config: Record<string, string> = {}) =>
  cluster.forwarded((h) => h.putConnector(name, { name, ...config }, { replace: true, initialState: null }))

for (const protocol of ['eager', 'compatible', 'sessioned'] as const) {
  test(`${protocol}: connectors and tasks run once each, spread over two workers`, async () => {
    await using cluster = new FakeCluster()
    await cluster.add({ protocol })
    await cluster.add({ protocol })
    await put(cluster, 'a', { 'tasks.max': '3' })
    await put(cluster, 'b', { 'tasks.max': '2' })
    await eventually(() => assert.deepEqual(cluster.work(), ['a', 'a-0', 'a-1', 'a-2', 'b', 'b-0', 'b-1']))
    await eventually(() => {
      const sizes = cluster.nodes.map((n) => n.worker.runningTasks.size)
      assert.ok(Math.abs((sizes[0] ?? 0) - (sizes[1] ?? 0)) <= 1, `${sizes}`)
    })
    await eventually(async () => {
      for (const { herder } of cluster.nodes) {
        const status = await herder.connectorStatus('a')
        assert.deepEqual(
          [status.connector.state, status.tasks.map((t) => t.state)],
          ['RUNNING', ['RUNNING', 'RUNNING', 'RUNNING']],
        )
      }
    })
    await cluster.forwarded((h) => h.deleteConnector('a'))
    await eventually(() => assert.deepEqual(cluster.work(), ['b', 'b-0', 'b-1']))
    await eventually(async () => {
      for (const { herder } of cluster.nodes) await assert.rejects(herder.connectorStatus('a'), NotFoundError)
    })
  })
}

test('a follower names the leader; a bad config is refused before that', async () => {
  await using cluster = new FakeCluster()
  const leader = await cluster.add()
  const follower = await cluster.add()
  await follower.herder.ping(1_000)
  const config = { name: 'a' }
  await eventually(() =>
    assert.rejects(
      follower.herder.putConnector('a', config, { replace: false, initialState: null }),
      (error) => error instanceof NotLeaderError && error.url === leader.url,
    ),
  )
  await assert.rejects(
    follower.herder.putConnector('a', { name: 'a', invalid: 'no good' }, { replace: false, initialState: null }),
    (error) => error instanceof RequestError && error.status === 400 && /1 error\(s\):\nno good\n/.test(error.message),
  )
  await leader.herder.putConnector('a', config, { replace: false, initialState: null })
  await assert.rejects(
    leader.herder.putConnector('a', config, { replace: false, initialState: null }),
    /already exists/,
  )
})

test('an option that looks misspelt is taken, as Connect does, and warned of', async () => {
  const lines: string[] = []
  const loggers = new Loggers({ level: 'WARN', destination: { write: (line: string) => void lines.push(line) } })
  await using cluster = new FakeCluster()
  await cluster.add({ loggers })
  await put(cluster, 'a', { 'task.max': '3' })
  assert.equal(lines.length, 1)
  assert.match(
    lines[0] ?? '',
    /"connector":"a".*knows the option task\.max, so it has no effect; tasks\.max is an option/,
  )
})

test('a worker that stops hands its work over at once, whatever the delay (I9)', async () => {
  await using cluster = new FakeCluster()
  await cluster.add({ maxDelayMs: 300_000 })
  const second = await cluster.add({ maxDelayMs: 300_000 })
  await put(cluster, 'a', { 'tasks.max': '4' })
  await eventually(() => assert.equal(cluster.work().length, 5))
  await eventually(() => assert.ok(second.worker.runningTasks.size >= 2))
  cluster.nodes.splice(cluster.nodes.indexOf(second), 1)
  await second.herder.stop()
  assert.equal(second.worker.runningTasks.size, 0)
  await eventually(() => assert.deepEqual(cluster.work(), ['a', 'a-0', 'a-1', 'a-2', 'a-3']))
})

test('the work of a killed worker, leader or not, moves at once without a delay (statement 139, 142)', async () => {
  for (const victim of [0, 1]) {
    await using cluster = new FakeCluster()
    await cluster.add()
    await cluster.add()
    await cluster.add()
    await put(cluster, 'a', { 'tasks.max': '6' })
    await eventually(() => assert.equal(cluster.work().length, 7))
    const node = cluster.nodes[victim]
    if (node !== undefined) cluster.kill(node)
    await eventually(() => assert.deepEqual(cluster.work(), ['a', 'a-0', 'a-1', 'a-2', 'a-3', 'a-4', 'a-5']))
    await put(cluster, 'b')
    await eventually(() => assert.equal(cluster.work().length, 9))
  }
})

test('pause, stop and resume end in the asked state (statements 38–40)', async () => {
  await using cluster = new FakeCluster()
  await cluster.add()
  await cluster.add()
  await put(cluster, 'a', { 'tasks.max': '2' })
  const states = async () => {
    const status = await cluster.forwarded((h) => h.connectorStatus('a'))
    return [status.connector.state, ...status.tasks.map((t) => t.state)]
  }
  await eventually(async () => assert.deepEqual(await states(), ['RUNNING', 'RUNNING', 'RUNNING']))
  await cluster.nodes[1]?.herder.setTargetState('a', 'PAUSED')
  await eventually(async () => assert.deepEqual(await states(), ['PAUSED', 'PAUSED', 'PAUSED']))
  await cluster.forwarded((h) => h.setTargetState('a', 'STOPPED'))
  await eventually(async () => assert.deepEqual(await states(), ['STOPPED']))
  assert.ok(cluster.configTopic.texts().some(([, v]) => v === '{"state":"PAUSED","state.v2":"STOPPED"}'))
  await cluster.forwarded((h) => h.setTargetState('a', 'PAUSED'))
  await eventually(async () => assert.deepEqual(await states(), ['PAUSED']))
  await cluster.forwarded((h) => h.setTargetState('a', 'STARTED'))
  await eventually(async () => assert.deepEqual(await states(), ['RUNNING', 'RUNNING', 'RUNNING']))
  await assert.rejects(
    cluster.forwarded((h) => h.setTargetState('x', 'PAUSED')),
    /Unknown connector x/,
  )
})

test('a connector created stopped has no tasks until it is resumed (statement 45)', async () => {
  await using cluster = new FakeCluster()
  const { herder, worker } = await cluster.add()
  await herder.putConnector('a', { name: 'a' }, { replace: false, initialState: 'STOPPED' })
  await eventually(async () => assert.equal((await herder.connectorStatus('a')).connector.state, 'STOPPED'))
  assert.equal(worker.runningTasks.size, 0)
  await eventually(async () => assert.equal(await herder.resetOffsets('a'), 'reset'))
  await herder.setTargetState('a', 'STARTED')
  await eventually(() => assert.equal(worker.runningTasks.size, 1))
  await assert.rejects(herder.resetOffsets('a'), /must be in the STOPPED state/)
})

test('a new config restarts connector and tasks; fewer tasks leave no stale status (statements 50, 54, 137)', async () => {
  await using cluster = new FakeCluster()
  await cluster.add()
  await cluster.add()
  await put(cluster, 'a', { 'tasks.max': '3', value: 'old' })
  await eventually(() => assert.equal(cluster.work().length, 4))
  await put(cluster, 'a', { 'tasks.max': '2', value: 'new' })
  await eventually(() => assert.deepEqual(cluster.work(), ['a', 'a-0', 'a-1']))
  const values = cluster.nodes.flatMap((n) =>
    [...n.worker.runningTasks.values()].map((t) => t.start.taskConfig['value']),
  )
  assert.deepEqual(values, ['new', 'new'])
  await eventually(async () => {
    const status = await cluster.forwarded((h) => h.connectorStatus('a'))
    assert.deepEqual(
      status.tasks.map((t) => t.state),
      ['RUNNING', 'RUNNING'],
    )
  })
})

test('restart with parameters restarts what was asked for, on every worker (statements 70, 71, 73, 74)', async () => {
  await using cluster = new FakeCluster()
  await cluster.add()
  await cluster.add()
  await put(cluster, 'a', { 'tasks.max': '4' })
  await eventually(() => assert.equal(cluster.work().length, 5))
  await eventually(async () => {
    const status = await cluster.forwarded((h) => h.connectorStatus('a'))
    assert.equal(status.tasks.filter((t) => t.state === 'RUNNING').length, 4)
  })
  const starts = () => cluster.nodes.flatMap((n) => n.worker.log.filter((line) => line.startsWith('start '))).sort()
  for (const { worker } of cluster.nodes) worker.log.length = 0
  const none = await cluster.forwarded((h) =>
    h.restartConnectorAndTasks({ connector: 'a', onlyFailed: true, includeTasks: true }),
  )
  assert.ok(![none.connector, ...none.tasks].some((s) => s.state === 'RESTARTING'))
  const all = await cluster.forwarded((h) =>
    h.restartConnectorAndTasks({ connector: 'a', onlyFailed: false, includeTasks: true }),
  )
  assert.ok([all.connector, ...all.tasks].every((s) => s.state === 'RESTARTING'))
  await eventually(() => assert.deepEqual(starts(), ['start a', 'start a-0', 'start a-1', 'start a-2', 'start a-3']))
  const failing = cluster.nodes.find((n) => n.worker.runningTasks.has('a-1'))
  failing?.worker.listener.onTaskState({ connector: 'a', task: 1 }, 'FAILED', 'trace', '1')
  for (const { worker } of cluster.nodes) worker.log.length = 0
  await eventually(async () => {
    const status = await cluster.forwarded((h) => h.connectorStatus('a'))
    assert.deepEqual(
      status.tasks.map((t) => t.state),
      ['RUNNING', 'FAILED', 'RUNNING', 'RUNNING'],
    )
  })
  await cluster.forwarded((h) => h.restartConnectorAndTasks({ connector: 'a', onlyFailed: true, includeTasks: true }))
  await eventually(() => assert.deepEqual(starts(), ['start a-1']))
  // Nothing else follows: whoever heard of the request has acted on it by then.
  for (const { herder } of cluster.nodes) await herder.ping(1_000)
  assert.deepEqual(starts(), ['start a-1'])
  await assert.rejects(
    cluster.forwarded((h) => h.restartConnectorAndTasks({ connector: 'x', onlyFailed: true, includeTasks: true })),
    /Unknown connector: x/,
  )
})

test('restart of one task goes to its owner', async () => {
  await using cluster = new FakeCluster()
  const leader = await cluster.add()
  const follower = await cluster.add()
  await put(cluster, 'a', { 'tasks.max': '2' })
  await eventually(() => assert.equal(follower.worker.runningTasks.size, 1))
  const task = Number([...follower.worker.runningTasks.keys()][0]?.slice(2))
  await eventually(() =>
    assert.rejects(
      leader.herder.restartTask({ connector: 'a', task }),
      (error) => error instanceof NotLeaderError && error.url === follower.url,
    ),
  )
  follower.worker.log.length = 0
  await follower.herder.restartTask({ connector: 'a', task })
  assert.deepEqual(follower.worker.log, [`stop a-${task}`, `start a-${task}`])
  await assert.rejects(follower.herder.restartTask({ connector: 'a', task: 9 }), /Unknown task: a-9/)
})

test('internal requests need a signature by the session key (statement 18)', async () => {
  await using cluster = new FakeCluster()
  const { herder } = await cluster.add()
  await eventually(() => assert.ok(cluster.configTopic.texts().some(([key]) => key === 'session-key')))
  await assert.rejects(herder.putTaskConfigs('x', [], null), /missing required signature/)
  const wrong = { algorithm: 'HmacSHA256', signature: Buffer.from('x'), body: Buffer.from('[]') }
  await assert.rejects(herder.putTaskConfigs('x', [], wrong), (e) => e instanceof RequestError && e.status === 403)
})

test('exactly-once: a task that was revoked before its transactions began does not start (KIP-618)', async () => {
  await using cluster = new FakeCluster()
  const { worker } = await cluster.add({ exactlyOnce: true })
  await put(cluster, 'a', { 'tasks.max': '4' })
  await eventually(() => assert.equal(worker.runningTasks.size, 4))
  const preflights = new Map([...worker.runningTasks].map(([key, { start }]) => [key, start.preflight]))
  await cluster.add({ exactlyOnce: true })
  await eventually(() => assert.equal(worker.runningTasks.size, 2))
  for (const [key, preflight] of preflights) {
    const verified = Promise.resolve(preflight?.verify())
    if (worker.runningTasks.has(key)) await verified
    else await assert.rejects(verified, new RegExp(`Cannot start source task ${key} as it has already been revoked`))
  }
})

test('exactly-once: producers of the generation before are fenced once, then the count is recorded (KIP-618)', async () => {
  await using cluster = new FakeCluster()
  const { herder, worker } = await cluster.add({ exactlyOnce: true })
  await put(cluster, 'a', { 'tasks.max': '3' })
  await eventually(() => assert.equal(worker.runningTasks.size, 3))
  const fences = async () => {
    const flights = [...worker.runningTasks.values()].map(({ start }) => start.preflight)
    await Promise.all(flights.map(async (p) => p?.fence()))
    await Promise.all(flights.map(async (p) => p?.verify()))
  }
  await fences()
  assert.deepEqual(
    worker.log.filter((l) => l.startsWith('fence')),
    [],
  )
  const old = worker.runningTasks.get('a-0')?.start.preflight
  await put(cluster, 'a', { 'tasks.max': '1' })
  await eventually(() => assert.equal(worker.runningTasks.size, 1))
  await fences()
  assert.deepEqual(
    worker.log.filter((l) => l.startsWith('fence')),
    ['fence a 3'],
  )
  assert.deepEqual(
    cluster.configTopic
      .texts()
      .filter(([key]) => key === 'tasks-fencing-a')
      .map(([, value]) => value),
    ['{"task-count":3}', '{"task-count":1}'],
  )
  await assert.rejects(Promise.resolve(old?.verify()), /already generated a new set of task configs/)
  await herder.ping(1_000)
})

test('a restart of the whole cluster keeps configs and states (statement 49)', async () => {
  await using cluster = new FakeCluster()
  await cluster.add()
  await put(cluster, 'a')
  await cluster.forwarded((h) => h.setTargetState('a', 'PAUSED'))
  await Promise.all(cluster.nodes.splice(0).map((n) => n.herder.stop()))
  const { herder, worker } = await cluster.add()
  await eventually(() => assert.equal(worker.runningConnectors.get('a'), 'PAUSED'))
  assert.deepEqual(await herder.connectors(), ['a'])
})

test('task configs of a deleted connector never come back with its name (statement 56)', async () => {
  await using cluster = new FakeCluster()
  const { worker } = await cluster.add()
  await put(cluster, 'a', { 'tasks.max': '3', value: 'old' })
  await eventually(() => assert.equal(worker.runningTasks.size, 3))
  await cluster.forwarded((herder) => herder.deleteConnector('a'))
  await eventually(() => assert.equal(worker.runningTasks.size, 0))
  await put(cluster, 'a', { 'tasks.max': '2', value: 'new' })
  await eventually(() => {
    const values = Array.from(worker.runningTasks.values(), (task) => task.start.taskConfig['value'])
    assert.deepEqual(values, ['new', 'new'])
  })
})

test('too many tasks fail the connector; those that run go on (statements 57, 60)', async () => {
  await using cluster = new FakeCluster()
  const { herder, worker } = await cluster.add()
  await put(cluster, 'a', { 'tasks.max': '2' })
  await eventually(() => assert.equal(worker.runningTasks.size, 2))
  worker.taskConfigs = async () => {
    throw new ConnectError('fatal', 'CONNECT_TASKS_MAX', 'The connector a has generated 3 tasks')
  }
  await put(cluster, 'a', { 'tasks.max': '1' })
  await eventually(async () => {
    const { connector, tasks } = await herder.connectorStatus('a')
    assert.equal(connector.state, 'FAILED')
    assert.match(connector.trace ?? '', /generated 3 tasks/)
    assert.deepEqual(
      tasks.map((task) => task.state),
      ['RUNNING', 'RUNNING'],
    )
  })
  assert.equal(worker.runningTasks.size, 2)
})

test('cluster-wide log levels reach every worker, once it runs (statements 93, 150, 151)', async () => {
  await using cluster = new FakeCluster()
  const a = await cluster.add()
  const b = await cluster.add()
  assert.deepEqual(await a.herder.setLoggerLevel('x.y', 'debug', 'cluster'), [])
  await eventually(() => assert.equal(b.herder.loggers().get('x.y')?.level, 'DEBUG'))
  assert.equal(a.herder.loggers().get('x.y')?.level, 'DEBUG')
  const c = await cluster.add()
  assert.equal(c.herder.loggers().get('x.y'), undefined)
})

test('a null option is stored and shown, and the connector is FAILED until it has a value', async () => {
  await using cluster = new FakeCluster()
  const { herder, worker } = await cluster.add()
  const config: Record<string, string | null> = { name: 'a', file: null }
  await herder.putConnector('a', config as Record<string, string>, { replace: false, initialState: null })
  await eventually(async () => {
    const { connector } = await herder.connectorStatus('a')
    assert.deepEqual([connector.state, connector.version], ['FAILED', null])
  })
  assert.deepEqual(await herder.connectorConfig('a'), config)
  await put(cluster, 'a', { file: 'x' })
  await eventually(() => assert.ok(worker.runningTasks.has('a-0')))
})
