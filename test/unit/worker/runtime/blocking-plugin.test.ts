import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { RawConfig } from '../../../../worker/api/connector.ts'
import { eventually } from '../../../support/runtime/eventually.ts'
import { openWorker, type WorkerHarness } from '../../../support/runtime/worker-harness.ts'

const blockingModule = new URL('../../../support/runtime/blocking-plugins.ts', import.meta.url).href

/** Only a thread that is really blocked may be taken for one, however busy the machine is. */
const patientPings = { intervalMs: 100, timeoutMs: 60_000 }
const quickPings = { intervalMs: 100, timeoutMs: 3000 }

/** Statements 64 to 66, in threads: Kafka is not needed, the broker's port is closed. */
async function open(connectorPings = patientPings): Promise<WorkerHarness> {
  return await openWorker({
    bootstrap: '127.0.0.1:9',
    pluginModules: [blockingModule],
    settings: { 'task.shutdown.graceful.timeout.ms': '300' },
    connectorPings,
  })
}

const source = (method: string, how: 'await' | 'spin' | 'throw'): RawConfig => ({
  name: 'blocked',
  'connector.class': 'test.BlockingSourceConnector',
  'block.in': method,
  'block.how': how,
})

/** A connector beside the blocked one starts, gives task configs and validates: REST and other connectors go on. */
async function othersWork({ worker, folder }: WorkerHarness, name: string): Promise<void> {
  const file = join(folder, `${name}.txt`)
  await writeFile(file, '')
  const config = { name, 'connector.class': 'FileStreamSource', file, topic: 't' }
  await worker.startConnector(name, config, 'STARTED')
  assert.equal((await worker.taskConfigs(name, config)).length, 1)
  assert.equal((await worker.validate(config)).error_count, 0)
  assert.equal(await readFile(file, 'utf8'), '')
}

function startTask({ worker }: WorkerHarness, config: RawConfig): Promise<void> {
  return worker.startTask({
    id: { connector: 'blocked', task: 0 },
    connectorConfig: config,
    taskConfig: config,
    target: 'STARTED',
    taskCount: 1,
    preflight: null,
  })
}

for (const method of ['validate', 'connector.start', 'connector.stop', 'connector.taskConfigs']) {
  test(`statements 64, 65: a connector that hangs in ${method} holds up no other, and can be removed`, async () => {
    await using harness = await open()
    const config = source(method, 'await')
    if (method === 'validate') void harness.worker.validate(config).catch(() => undefined)
    void harness.worker.startConnector('blocked', config, 'STARTED').catch(() => undefined)
    if (method === 'connector.taskConfigs') {
      await eventually(() => assert.equal(harness.state('blocked')?.state, 'RUNNING'))
      void harness.worker.taskConfigs('blocked', config).catch(() => undefined)
    }
    await othersWork(harness, 'other')
    await harness.worker.stopConnectors(['blocked'])
    assert.equal(harness.state('blocked')?.state, 'UNASSIGNED')
    await othersWork(harness, 'another')
  })
}

for (const method of ['connector.start', 'connector.taskConfigs']) {
  test(`statement 65: a connector that blocks the thread in ${method} fails; the others are started again`, async () => {
    await using harness = await open(quickPings)
    await othersWork(harness, 'other')
    const config = source(method, 'spin')
    const started = harness.worker.startConnector('blocked', config, 'STARTED').catch(() => undefined)
    if (method === 'connector.taskConfigs') {
      await started
      void harness.worker.taskConfigs('blocked', config).catch(() => undefined)
    }
    await eventually(() => assert.equal(harness.state('blocked')?.state, 'FAILED'))
    assert.match(harness.state('blocked')?.trace ?? '', /blocked its thread in/)
    await eventually(() => {
      assert.equal(harness.states.filter(({ what, state }) => what === 'other' && state === 'RUNNING').length, 2)
    })
    await othersWork(harness, 'another')
  })
}

test('statement 42: a connector that throws while it stops is stopped all the same, and starts again', async () => {
  await using harness = await open()
  const { worker } = harness
  await worker.startConnector('blocked', source('connector.stop', 'throw'), 'STARTED')
  await worker.transitionConnector('blocked', 'STOPPED')
  await eventually(() => assert.equal(harness.state('blocked')?.state, 'STOPPED'), 5_000)
  assert.equal(harness.state('blocked')?.trace, null)
  await worker.transitionConnector('blocked', 'STARTED')
  await eventually(() => assert.equal(harness.state('blocked')?.state, 'RUNNING'), 5_000)
})

const sink = (method: string, how: 'await' | 'spin'): RawConfig => ({
  ...source(method, how),
  'connector.class': 'test.BlockingSinkConnector',
  topics: 't',
})

for (const how of ['await', 'spin'] as const) {
  for (const method of ['task.start', 'task.poll', 'task.commit', 'task.stop', 'task.put']) {
    test(`statement 66, I7: a task that hangs in ${method} (${how}) is disowned; nothing waits for it`, async () => {
      await using harness = await open()
      const config = method === 'task.put' ? sink(method, how) : source(method, how)
      const started = startTask(harness, config)
      if (method !== 'task.start') await started
      await othersWork(harness, 'other')
      const begin = performance.now()
      await harness.worker.stopTasks([{ connector: 'blocked', task: 0 }])
      assert.ok(performance.now() - begin < 15_000, 'after the graceful deadline of 300 ms, not when the call returns')
      // A late task reports nothing more; its start may have been reported before.
      assert.notEqual(harness.state('blocked-0')?.state, 'UNASSIGNED')
      assert.deepEqual(harness.worker.tasks(), [])
    })
  }
}
