/** What a plugin does to its thread harms only its own task, or connector (R6). Threads are real; Kafka is not needed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RawConfig } from '../../../../worker/api/connector.ts'
import { eventually } from '../../../support/runtime/eventually.ts'
import { openWorker, type WorkerHarness } from '../../../support/runtime/worker-harness.ts'

const hazardModule = new URL('../../../support/runtime/hazard-plugins.ts', import.meta.url).href

const pings = (hazard: string) => ({ intervalMs: 200, timeoutMs: hazard === 'endless loop' ? 3000 : 60_000 })

async function open(hazard: string): Promise<WorkerHarness> {
  return await openWorker({
    bootstrap: '127.0.0.1:9',
    pluginModules: [hazardModule],
    settings: { 'task.shutdown.graceful.timeout.ms': '500' },
    // Where nothing blocks no thread may be taken for blocked, however busy the machine is; a leak keeps its thread busy
    // until memory is used up, and is to end by that.
    connectorPings: pings(hazard),
    taskPings: pings(hazard),
  })
}

const config = (hazard: string, of: 'task' | 'connector' = 'task'): RawConfig => ({
  'connector.class': 'test.HazardConnector',
  hazard,
  'hazard.of': of,
})

/** Other connectors start, give task configs, validate; other tasks run and can be asked. */
async function othersGoOn({ worker, run, state }: WorkerHarness, name: string): Promise<void> {
  await run(name, config('none'))
  assert.equal((await worker.validate({ name: 'v', ...config('none') })).error_count, 0)
  assert.equal(state('neighbour-0')?.state, 'RUNNING')
  assert.ok(
    (await worker.metrics()).some(({ labels, value }) => labels['connector'] === 'neighbour' && value.kind !== 'text'),
  )
}

const cases: readonly (readonly [hazard: string, code: RegExp, remedy: RegExp])[] = [
  ['unhandled rejection', /error outside of any call[\s\S]*nobody awaited this/, /correct the plugin so that/],
  ['throw in a timer', /error outside of any call[\s\S]*thrown in a timer/, /correct the plugin so that/],
  ['process.exit', /ended by process\.exit\(7\)/, /must throw instead/],
  ['memory leak', /needed more than 768 MiB/, /max\.poll\.records/],
  ['endless loop', /has not given its thread back for 3000 ms/, /correct the plugin, or let it do less/],
]

for (const [hazard, cause, remedy] of cases) {
  test(`R6: ${hazard} in a task fails that task, with cause and remedy; it can be removed and started again`, {
    timeout: 60_000,
  }, async () => {
    await using harness = await open(hazard)
    await harness.run('neighbour', config('none'))
    const [id] = await harness.run('culprit', config(hazard))
    await eventually(() => assert.equal(harness.state('culprit-0')?.state, 'FAILED'), 40_000)
    const trace = harness.state('culprit-0')?.trace ?? ''
    assert.match(trace, cause)
    assert.match(trace, remedy)
    await othersGoOn(harness, 'other')
    assert.equal(harness.state('culprit')?.state, 'RUNNING', 'its connector is not concerned')
    assert.equal(harness.states.filter(({ state }) => state === 'FAILED').length, 1)
    await harness.worker.stopTasks([id ?? assert.fail()])
    await harness.run('culprit', config('none'))
    assert.equal(harness.state('culprit-0')?.state, 'RUNNING')
  })
}

for (const [hazard, cause] of cases.filter(([name]) => name !== 'memory leak')) {
  test(`R6: ${hazard} in a connector fails that connector; the others are started again, tasks run on`, {
    timeout: 60_000,
  }, async () => {
    await using harness = await open(hazard)
    await harness.run('neighbour', config('none'))
    void harness.worker
      .startConnector('culprit', { name: 'culprit', ...config(hazard, 'connector') }, 'STARTED')
      .catch(() => undefined)
    await eventually(() => assert.equal(harness.state('culprit')?.state, 'FAILED'), 20_000)
    const trace = harness.state('culprit')?.trace ?? ''
    assert.match(trace, hazard === 'endless loop' ? /blocked its thread in start/ : cause)
    await othersGoOn(harness, 'other')
    const starts = harness.states.filter(({ what, state }) => what === 'neighbour' && state === 'RUNNING')
    assert.equal(starts.length, 2)
    assert.equal(harness.states.filter(({ what, state }) => what === 'neighbour-0' && state === 'RUNNING').length, 1)
  })
}
