import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { suite, test } from 'node:test'
import { ConnectClient, type ConnectorStatus } from '../../../compose/pipelines/support/connect-client.ts'
import { parseRunOptions } from '../../../compose/pipelines/support/entry.ts'

suite('options of quickstart and pipeline', () => {
  const defaults = { port: 8083 }

  test('without any, the defaults', () => {
    assert.deepEqual(
      { ...parseRunOptions([], defaults) },
      { positionals: [], check: false, kill: false, scale: 1, port: 8083, help: false },
    )
  })

  test('what cannot be meant is refused by name', () => {
    for (const [args, text] of [
      [['--scale', 'big'], /--scale takes a number above 0, not "big"/],
      [['--scale', '0'], /--scale/],
      [['--port', '65535'], /--port takes a port below 65535/],
      [['--chekc'], /--chekc/],
    ] as const) {
      assert.throws(() => parseRunOptions(args, defaults), text)
    }
  })
})

suite('waiting for data of connectors', () => {
  const sink = new URL('../../../compose/pipelines/search/sink.json', import.meta.url)
  const running = { state: 'RUNNING', worker_id: 'w:1' }

  /** A worker whose connectors have the status that `status` gives. */
  async function openWorker(status: () => ConnectorStatus) {
    const server = createServer((request, answer) => {
      answer.setHeader('content-type', 'application/json')
      answer.end(request.method === 'GET' ? JSON.stringify(status()) : '{}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const connect = new ConnectClient(() => [`http://127.0.0.1:${port}`])
    return {
      connect,
      [Symbol.asyncDispose]: async () => {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      },
    }
  }

  test('ends with the trace as soon as a task has FAILED', async () => {
    let asked = 0
    await using worker = await openWorker(() => ({
      name: 'search-sink',
      connector: running,
      tasks: [
        { id: 3, ...running, ...(++asked < 3 ? {} : { state: 'FAILED', trace: 'no answer from Elasticsearch' }) },
      ],
    }))
    await worker.connect.apply(sink, {})
    await assert.rejects(worker.connect.watch(new AbortController().signal, 1), {
      message: 'search-sink, task 3, FAILED on w:1:\nno answer from Elasticsearch',
    })
  })

  test('a connector that was removed is not looked at any more', async () => {
    let asked = 0
    await using worker = await openWorker(() => {
      asked++
      return { name: 'search-sink', connector: { ...running, state: 'FAILED' }, tasks: [] }
    })
    await worker.connect.apply(sink, {})
    await worker.connect.remove('search-sink')
    const watching = new AbortController()
    const watched = worker.connect.watch(watching.signal, 1)
    watching.abort()
    await watched
    assert.equal(asked, 0)
  })
})
