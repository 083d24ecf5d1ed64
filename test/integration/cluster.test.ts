import assert from 'node:assert/strict'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { requireService } from '../support/services.ts'
import { ClusterUnderTest, eventually, type WorkerUnderTest } from '../support/worker-process.ts'

const kafka = requireService('kafka')
const { skip } = kafka
/**
 * `session.timeout.ms` of the workers, plus what a takeover may take beyond it: at most 1 s on a machine with nothing
 * else to do, where starting the threads of the tasks takes most of it.
 */
const takeoverMs = 6_000 + 6_000

interface Status {
  readonly connector: { readonly state: string; readonly worker_id: string }
  readonly tasks: readonly { readonly id: number; readonly state: string; readonly worker_id: string }[]
}

const workerId = (worker: WorkerUnderTest): string => new URL(worker.url).host

async function statusOf(worker: WorkerUnderTest, connector: string): Promise<Status> {
  const { status, body } = await worker.rest('GET', `/connectors/${connector}/status`)
  assert.equal(status, 200, JSON.stringify(body))
  return body as Status
}

/** Connector and all tasks run, on workers that live. */
async function assertRuns(
  worker: WorkerUnderTest,
  connector: string,
  tasks: number,
  living: readonly WorkerUnderTest[],
) {
  const status = await statusOf(worker, connector)
  const ids = living.map(workerId)
  assert.equal(status.tasks.length, tasks)
  for (const part of [status.connector, ...status.tasks]) {
    assert.equal(part.state, 'RUNNING')
    assert.ok(ids.includes(part.worker_id), `${part.worker_id} of ${ids}`)
  }
}

const source = (file: string, topic: string) => ({
  'connector.class': 'FileStreamSource',
  'tasks.max': '1',
  file,
  topic,
})

const sink = (file: string, topic: string) => ({
  'connector.class': 'FileStreamSink',
  'tasks.max': '1',
  file,
  topics: topic,
  'consumer.override.metadata.max.age.ms': '1000',
  // A killed consumer is missed by its group after this time, not by the worker's.
  'consumer.override.session.timeout.ms': '6000',
  'consumer.override.heartbeat.interval.ms': '500',
})

test('two workers share connectors; requests to a follower reach the leader', { skip, timeout: 120_000 }, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers)
  const leader = await (await cluster.start()).ready()
  const follower = await (await cluster.start()).ready()
  assert.deepEqual((await follower.rest('GET', '/connectors')).body, [])
  const config = source(join(cluster.folder, 'in'), `t-${cluster.token}`)
  await writeFile(join(cluster.folder, 'in'), 'one\n')
  for (const name of ['a', 'b']) {
    const created = await follower.rest('POST', '/connectors', { name, config })
    assert.equal(created.status, 201, JSON.stringify(created.body))
  }
  assert.equal((await follower.rest('POST', '/connectors', { name: 'a', config })).status, 409)
  const invalid = await follower.rest('PUT', '/connectors/c/config', { ...config, 'tasks.max': 'many' })
  assert.equal(invalid.status, 400)
  assert.match(JSON.stringify(invalid.body), /tasks\.max/)
  for (const worker of [leader, follower]) {
    await eventually(async () => assert.deepEqual((await worker.rest('GET', '/connectors')).body, ['a', 'b']), 5_000)
    for (const name of ['a', 'b']) {
      await eventually(() => assertRuns(worker, name, 1, [leader, follower]), 15_000)
    }
  }
  const owners = await Promise.all(['a', 'b'].map(async (name) => (await statusOf(leader, name)).connector.worker_id))
  assert.equal(new Set(owners).size, 2, 'one connector on each worker')
  for (const worker of [leader, follower]) {
    assert.equal((await worker.rest('POST', '/connectors/a/restart')).status, 204)
    assert.equal((await worker.rest('POST', '/connectors/b/tasks/0/restart')).status, 204)
    assert.equal((await worker.rest('POST', '/connectors/b/restart?includeTasks=true')).status, 202)
    await eventually(() => assertRuns(worker, 'b', 1, [leader, follower]), 15_000)
  }
  assert.equal((await follower.rest('PUT', '/connectors/a/stop')).status, 204)
  await eventually(async () => {
    const status = await statusOf(leader, 'a')
    assert.deepEqual([status.connector.state, status.tasks.length], ['STOPPED', 0])
  }, 10_000)
  assert.equal((await follower.rest('DELETE', '/connectors/a/offsets')).status, 200)
  assert.equal((await follower.rest('PUT', '/connectors/a/resume')).status, 202)
  await eventually(() => assertRuns(follower, 'a', 1, [leader, follower]), 15_000)
  assert.equal((await follower.rest('DELETE', '/connectors/a')).status, 204)
  await eventually(async () => {
    assert.deepEqual((await leader.rest('GET', '/connectors')).body, ['b'])
    assert.equal((await leader.rest('GET', '/connectors/a/status')).status, 404)
  }, 10_000)
})

test('the work of a killed worker, leader or follower, runs elsewhere soon after the session timeout; nothing is lost', {
  skip,
  timeout: 240_000,
}, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers)
  const topic = `t-${cluster.token}`
  const input = join(cluster.folder, 'in')
  const output = join(cluster.folder, 'out')
  let workers = [await (await cluster.start()).ready(), await (await cluster.start()).ready()]
  const any = (): WorkerUnderTest => workers[0] ?? assert.fail('no worker')
  const lines: string[] = []
  const write = async (): Promise<void> => {
    const batch = Array.from({ length: 50 }, (_, i) => `line ${lines.length + i}`)
    lines.push(...batch)
    await appendFile(input, `${batch.join('\n')}\n`)
  }
  const allArrived = async (): Promise<void> => {
    try {
      await eventually(linesArrived, 30_000)
    } catch (error) {
      const offsets = await Promise.all(['in', 'out'].map((name) => any().rest('GET', `/connectors/${name}/offsets`)))
      const logs = cluster.workers.map((worker) => worker.output.slice(-6_000))
      throw new Error(`lines are missing; offsets ${JSON.stringify(offsets)}\n${logs.join('\n\n')}`, { cause: error })
    }
  }
  const linesArrived = async (): Promise<void> => {
    const arrived = new Set((await readFile(output, 'utf8')).split('\n'))
    assert.deepEqual(
      lines.filter((line) => !arrived.has(line)),
      [],
    )
  }
  await write()
  assert.equal((await any().rest('PUT', '/connectors/in/config', source(input, topic))).status, 201)
  await eventually(() => assertRuns(any(), 'in', 1, workers), 15_000)
  assert.equal((await any().rest('PUT', '/connectors/out/config', sink(output, topic))).status, 201)
  await eventually(() => assertRuns(any(), 'out', 1, workers), 15_000)
  await allArrived()
  // First the leader, which was there first, then, with a new one beside it, the worker that has led since.
  for (const victimIndex of [0, 1]) {
    const victim = workers[victimIndex] ?? assert.fail()
    workers = workers.filter((worker) => worker !== victim)
    await victim.signal('SIGKILL')
    const killedAt = performance.now()
    await write()
    for (const name of ['in', 'out']) await eventually(() => assertRuns(any(), name, 1, workers), takeoverMs)
    console.log(`taken over after ${Math.round(performance.now() - killedAt)} ms`)
    await allArrived()
    workers.push(await (await cluster.start()).ready())
    for (const name of ['in', 'out']) await eventually(() => assertRuns(any(), name, 1, workers), 15_000)
  }
  // A restart of the whole cluster finds its configs again.
  assert.deepEqual(await Promise.all(workers.map((worker) => worker.signal('SIGTERM'))), [0, 0])
  await write()
  workers = [await (await cluster.start()).ready()]
  for (const name of ['in', 'out']) await eventually(() => assertRuns(any(), name, 1, workers), 20_000)
  await allArrived()
})

test('a worker that is asked to stop hands over at once, although lost workers are waited for', {
  skip,
  timeout: 120_000,
}, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers, {
    'scheduled.rebalance.max.delay.ms': '300000',
  })
  const first = await (await cluster.start()).ready()
  const second = await (await cluster.start()).ready()
  const config = source(join(cluster.folder, 'in'), `t-${cluster.token}`)
  for (const name of ['a', 'b']) await first.rest('PUT', `/connectors/${name}/config`, config)
  for (const name of ['a', 'b']) await eventually(() => assertRuns(first, name, 1, [first, second]), 15_000)
  for (const [leaving, staying] of [
    [first, second],
    // The one that stayed leaves in its turn; a new one takes over.
    [second, await (await cluster.start()).ready()],
  ] as const) {
    const askedAt = performance.now()
    assert.equal(await leaving.signal('SIGTERM'), 0, leaving.output.slice(-2000))
    const living = cluster.workers.filter((worker) => worker.isRunning)
    for (const name of ['a', 'b']) await eventually(() => assertRuns(staying, name, 1, living), 5_000)
    console.log(`handed over after ${Math.round(performance.now() - askedAt)} ms`)
  }
})

test('connector files: applied once, unchanged the second time', { skip, timeout: 120_000 }, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers)
  const file = join(cluster.folder, 'connector.json')
  await writeFile(file, JSON.stringify({ name: 'f', config: source(join(cluster.folder, 'in'), `t-${cluster.token}`) }))
  const first = await (await cluster.start('distributed', [file])).ready()
  await eventually(() => assertRuns(first, 'f', 1, [first]), 15_000)
  assert.match(first.output, /"result":"created"/)
  const second = await (await cluster.start('distributed', [file])).ready()
  await eventually(() => assert.match(second.output, /"result":"unchanged"/), 10_000)
  await writeFile(
    file,
    JSON.stringify({ name: 'f', config: source(join(cluster.folder, 'in2'), `t-${cluster.token}`) }),
  )
  const third = await (await cluster.start('distributed', [file])).ready()
  await eventually(() => assert.match(third.output, /"result":"updated"/), 20_000)
})

test('statement 108: standalone: after a restart only new data moves; Connect’s exit codes', {
  skip,
  timeout: 120_000,
}, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers)
  const input = join(cluster.folder, 'in')
  const output = join(cluster.folder, 'out')
  const topic = `t-${cluster.token}`
  await writeFile(input, 'a\nb\n')
  const properties = (name: string, config: Record<string, string>): string =>
    Object.entries({ name, ...config })
      .map(([key, value]) => `${key}=${value}`)
      .join('\n')
  const files = [join(cluster.folder, 's.properties'), join(cluster.folder, 'k.json')] as const
  await writeFile(files[0], properties('s', source(input, topic)))
  await writeFile(files[1], JSON.stringify({ name: 'k', ...sink(output, topic) }))
  const first = await (await cluster.start('standalone', files)).ready()
  await eventually(async () => assert.equal(await readFile(output, 'utf8'), 'a\nb\n'), 20_000)
  assert.equal(await first.signal('SIGTERM'), 0, first.output.slice(-2000))
  await appendFile(input, 'c\n')
  const second = await (await cluster.start('standalone', files)).ready()
  await eventually(async () => assert.equal(await readFile(output, 'utf8'), 'a\nb\nc\n'), 20_000)
  assert.equal(await second.signal('SIGTERM'), 0)
  await writeFile(files[0], properties('s', { ...source(input, topic), 'tasks.max': 'x' }))
  assert.equal(await (await cluster.start('standalone', files)).exitCode(), 3)
})

test('exit codes: 1 for wrong usage, 2 for a worker that cannot start', { skip, timeout: 60_000 }, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers)
  assert.equal(await cluster.run([]).exitCode(), 1)
  assert.equal(await cluster.run(['no-such-command']).exitCode(), 1)
  assert.equal(await cluster.run(['distributed', '/no/such/file']).exitCode(), 2)
  const unusable = await cluster.start('distributed', [], { 'session.timeout.ms': 'soon' })
  assert.equal(await unusable.exitCode(), 2)
  assert.match(unusable.output, /session\.timeout\.ms/)
})

test('statement 75: a worker that owns nothing of a connector takes requests to restart it', {
  skip,
  timeout: 60_000,
}, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers)
  const workers = await Promise.all([cluster.start(), cluster.start(), cluster.start()])
  await Promise.all(workers.map((worker) => worker.ready()))
  const first = workers[0]
  await eventually(async () => {
    const config = source(join(cluster.folder, 'in'), `t-${cluster.token}`)
    assert.ok((await first.rest('PUT', '/connectors/a/config', config)).status < 300)
  }, 10_000)
  await eventually(() => assertRuns(first, 'a', 1, workers), 15_000)
  const { connector, tasks } = await statusOf(first, 'a')
  const owners = [connector, ...tasks].map((part) => part.worker_id)
  const idle = workers.find((worker) => !owners.includes(workerId(worker))) ?? assert.fail(owners.join())
  const restart = async (path: string, status: number): Promise<void> =>
    eventually(async () => assert.equal((await idle.rest('POST', path)).status, status), 10_000)
  await restart('/connectors/a/restart', 204)
  await restart('/connectors/a/tasks/0/restart', 204)
  await restart('/connectors/a/restart?includeTasks=true&onlyFailed=false', 202)
  // The owners say that they did it, not the one that was asked.
  await eventually(() => {
    const did = workers.filter((worker) => worker.output.includes('restarting the connector and tasks [a-0]'))
    assert.ok(did.length > 0 && !did.includes(idle), did.map(workerId).join())
  }, 10_000)
  await eventually(() => assertRuns(idle, 'a', 1, workers), 15_000)
})
