import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkTaskCount, parseCommonOptions } from '../../../../worker/runtime/task-options.ts'
import { FakeCluster, type Node } from './fake-cluster.ts'

const eventually = async (check: () => void | Promise<void>): Promise<void> => {
  const deadline = Date.now() + 5_000
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}

/** Tasks check `tasks.max` when they start, as those of the runners do; task configs come when the test says so. */
function withLimit({ worker }: Node, generating: () => Promise<void>): void {
  const startTask = worker.startTask.bind(worker)
  worker.startTask = async (start) => {
    await startTask(start)
    try {
      checkTaskCount(start.id.connector, start.taskCount, parseCommonOptions(start.connectorConfig))
    } catch (error) {
      worker.listener.onTaskState(start.id, 'FAILED', String(error), '1')
    }
  }
  const taskConfigs = worker.taskConfigs.bind(worker)
  worker.taskConfigs = async (connector, config) => {
    await generating()
    return await taskConfigs(connector, config)
  }
}

for (const protocol of ['eager', 'compatible', 'sessioned'] as const) {
  test(`${protocol}: tasks that failed by a lowered tasks.max run again when the new task configs come (statement 50)`, async () => {
    await using cluster = new FakeCluster()
    let gate = Promise.resolve()
    for (const node of [await cluster.add({ protocol }), await cluster.add({ protocol })]) {
      withLimit(node, async () => await gate)
    }
    const config = { name: 'a', 'connector.class': 'C' }
    const put = (tasks: number) =>
      cluster.forwarded((herder) =>
        herder.putConnector('a', { ...config, 'tasks.max': `${tasks}` }, { replace: true, initialState: null }),
      )
    const states = async () => {
      const [node] = cluster.nodes
      assert.ok(node)
      const { connector, tasks } = await node.herder.connectorStatus('a')
      return [connector.state, ...tasks.map(({ state }) => state)]
    }
    await put(3)
    await eventually(async () => assert.deepEqual(await states(), ['RUNNING', 'RUNNING', 'RUNNING', 'RUNNING']))

    const { promise, resolve } = Promise.withResolvers<void>()
    gate = promise
    await put(1)
    // Every task is started between the new limit and the new task configs.
    for (const task of [0, 1, 2]) {
      await eventually(async () => {
        const owner = cluster.nodes.find(({ worker }) => worker.runningTasks.has(`a-${task}`))
        assert.ok(owner)
        await owner.herder.restartTask({ connector: 'a', task })
        assert.equal((await states())[task + 1], 'FAILED')
      })
    }
    const { tasks } = (await cluster.nodes[0]?.herder.connectorStatus('a')) ?? { tasks: [] }
    for (const { trace } of tasks) assert.match(trace ?? '', /generated 3 tasks, which is greater than 1/)

    resolve()
    await eventually(async () => assert.deepEqual(await states(), ['RUNNING', 'RUNNING']))
    assert.deepEqual(cluster.work(), ['a', 'a-0'])
  })
}
