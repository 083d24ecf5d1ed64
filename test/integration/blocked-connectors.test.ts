/** Connectors that hang, in workers of their own: what `/health` says, and that a restart tries again. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openWorker } from '../../worker/worker-process.ts'
import { freePort } from '../support/free-port.ts'
import { requireService } from '../support/services.ts'
import { ClusterUnderTest, eventually } from '../support/worker-process.ts'

const kafka = requireService('kafka')
const { skip } = kafka

const blocking = { 'plugin.path': fileURLToPath(new URL('../support/runtime/blocking-plugins.ts', import.meta.url)) }
const source = { 'connector.class': 'test.BlockingSourceConnector' }
const file = (options: Readonly<Record<string, string>>): string =>
  Object.entries(options)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')

test('statement 147: standalone health is 503 while a connector of the command line starts, then 200; 500 while one gives no task configs', {
  skip,
  timeout: 60_000,
}, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers)
  const port = await freePort()
  const path = (name: string): string => join(cluster.folder, name)
  const standalone = { ...blocking, 'offset.storage.file.filename': path('offsets') }
  await writeFile(path('worker.properties'), file({ ...cluster.workerOptions(port), ...standalone }))
  const gates = { start: path('start'), generate: path('generate') }
  const hanging = { ...source, 'block.in': 'connector.start', 'block.how': 'file', 'block.file': gates.start }
  await writeFile(path('connector.properties'), file({ ...hanging, name: 'first' }))
  const worker = await openWorker({
    mode: 'standalone',
    workerFile: path('worker.properties'),
    connectorFiles: [path('connector.properties')],
    logLevel: 'OFF',
    healthTimeoutMs: 700,
    onFatal: (error) => assert.fail(error),
  })
  const health = async () => {
    const response = await fetch(`http://127.0.0.1:${port}/health`)
    const { status, message } = (await response.json()) as { status: string; message: string }
    return { code: response.status, status, message }
  }
  try {
    await eventually(async () => {
      const { code, status, message } = await health()
      assert.deepEqual([code, status], [503, 'starting'])
      assert.match(
        message,
        /^Worker is still starting up\. The worker is currently starting the connector, which began/,
      )
    }, 20_000)
    await writeFile(gates.start, '')
    await worker.started
    assert.deepEqual(await health(), {
      code: 200,
      status: 'healthy',
      message: 'Worker has completed startup and is ready to handle requests.',
    })
    const generating = { ...source, 'block.in': 'connector.taskConfigs', 'block.how': 'file' }
    const created = await fetch(`http://127.0.0.1:${port}/connectors/second/config`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...generating, 'block.file': gates.generate }),
    })
    assert.equal(created.status, 201)
    await eventually(async () => {
      const { code, status, message } = await health()
      assert.deepEqual([code, status], [500, 'unhealthy'])
      assert.match(message, /^Worker was unable to .*currently generating task configs for connector second, which/)
    }, 10_000)
    await writeFile(gates.generate, '')
    await eventually(async () => assert.equal((await health()).code, 200), 10_000)
  } finally {
    await worker.stop()
  }
})

test('a standalone worker stops while a connector of its command line still starts and its health is asked for', {
  skip,
  timeout: 60_000,
}, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers)
  const connector = join(cluster.folder, 'connector.properties')
  await writeFile(connector, file({ ...source, name: 'first', 'block.in': 'connector.start' }))
  const worker = await cluster.start('standalone', [connector], {
    ...blocking,
    'task.shutdown.graceful.timeout.ms': '300',
  })
  await eventually(() => assert.match(worker.output, /Creating connector first/), 20_000)
  const health = worker.rest('GET', '/health').catch(() => null)
  // Answered later than the other one was taken.
  await worker.rest('GET', '/connectors')
  const startMs = performance.now()
  assert.equal(await worker.signal('SIGTERM'), 0, worker.output.slice(-2_000))
  assert.ok(performance.now() - startMs < 8_000, 'sooner than the health check gives up by itself')
  await health
})

for (const method of ['connector.start', 'connector.stop']) {
  test(`statement 67: a worker that starts again tries a connector again that hung in ${method}`, {
    skip,
    timeout: 60_000,
  }, async () => {
    await using cluster = await ClusterUnderTest.open(kafka.settings.brokers, {
      ...blocking,
      'task.shutdown.graceful.timeout.ms': '300',
    })
    const log = join(cluster.folder, 'calls')
    const hangs = method === 'connector.start'
    for (let run = 1; run <= 2; run++) {
      const worker = await (await cluster.start()).ready()
      if (run === 1) {
        const config = { ...source, 'block.in': method, 'block.log': log }
        await eventually(async () => {
          assert.ok((await worker.rest('PUT', '/connectors/c/config', config)).status < 300)
        }, 10_000)
      }
      const started = async (): Promise<void> => {
        if (hangs) {
          assert.equal(await readFile(log, 'utf8'), `${method}\n`.repeat(run))
          return
        }
        const { body } = await worker.rest('GET', '/connectors/c/status')
        const { connector } = body as { connector: { state: string; worker_id: string } }
        assert.deepEqual([connector.state, connector.worker_id], ['RUNNING', new URL(worker.url).host])
      }
      await eventually(started, 10_000)
      // The others do not wait for it.
      const other = { 'connector.class': 'FileStreamSource', file: join(cluster.folder, 'in'), topic: cluster.token }
      await eventually(async () => {
        assert.ok((await worker.rest('PUT', '/connectors/other/config', other)).status < 300)
        const { status, body } = await worker.rest('GET', '/connectors/other/status')
        assert.deepEqual([status, (body as { connector: { state: string } }).connector.state], [200, 'RUNNING'])
      }, 10_000)
      assert.equal(await worker.signal('SIGTERM'), 0, worker.output.slice(-2_000))
    }
    if (!hangs) assert.equal(await readFile(log, 'utf8'), `${method}\n`.repeat(2))
  })
}
