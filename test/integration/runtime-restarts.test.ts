/** Failed tasks that start again by themselves, through a whole worker: thread, herder, status topic, REST. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { requireService } from '../support/services.ts'
import { ClusterUnderTest, eventually, type WorkerUnderTest } from '../support/worker-process.ts'

const kafka = requireService('kafka')
const hazards = fileURLToPath(new URL('../support/runtime/hazard-plugins.ts', import.meta.url))

interface TaskStatus {
  readonly id: number
  readonly state: string
  readonly trace?: string
  readonly restart?: { readonly code: string; readonly attempts: number; readonly next_attempt: string | null }
}

async function taskOf(worker: WorkerUnderTest, connector: string): Promise<TaskStatus> {
  const { body } = await worker.rest('GET', `/connectors/${connector}/status`)
  return (body as { tasks: readonly TaskStatus[] }).tasks[0] ?? assert.fail('no task yet')
}

test('a task whose thread ends is restarted as often as allowed; status says why, how often and when; others stay as they are', {
  skip: kafka.skip,
  timeout: 60_000,
}, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers, { 'plugin.path': hazards })
  const worker = await (await cluster.start()).ready()
  const crash = { 'connector.class': 'test.HazardConnector', 'tasks.max': '1', hazard: 'throw in a timer' }
  const restarts = { 'errors.restart.max.attempts': '2', 'errors.restart.delay.ms': '300' }
  const unwritable = {
    'connector.class': 'FileStreamSink',
    'tasks.max': '1',
    file: join(cluster.folder, 'no', 'file'),
    topics: `t-${cluster.token}`,
  }
  for (const [name, config] of [
    ['heals', { ...crash, ...restarts }],
    ['stays', crash],
    ['wrong', { ...unwritable, ...restarts }],
  ] as const) {
    assert.equal((await worker.rest('PUT', `/connectors/${name}/config`, config)).status, 201)
  }
  const seen = new Set<string>()
  await eventually(async () => {
    const { state, restart, trace } = await taskOf(worker, 'heals')
    if (restart !== undefined) {
      seen.add(`${restart.attempts} ${restart.next_attempt === null ? 'given up' : 'planned'}`)
      assert.equal(restart.code, 'CONNECT_HOST_UNCAUGHT')
      assert.match(trace ?? '', /thrown in a timer/)
    }
    assert.deepEqual([state, restart?.next_attempt], ['FAILED', null])
  }, 30_000)
  assert.ok(seen.has('2 given up'), [...seen].join(', '))
  assert.ok(seen.has('0 planned') || seen.has('1 planned'), [...seen].join(', '))
  assert.equal(worker.output.match(/restarting the failed task heals-0/g)?.length, 2)
  const stays = await taskOf(worker, 'stays')
  assert.deepEqual([stays.state, stays.restart], ['FAILED', undefined])
  const wrong = await taskOf(worker, 'wrong')
  assert.deepEqual([wrong.state, wrong.restart?.attempts, wrong.restart?.next_attempt], ['FAILED', 0, null])
  assert.equal((await worker.rest('GET', '/health')).status, 200)
})
