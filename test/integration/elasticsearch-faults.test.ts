import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { ElasticsearchSinkTask } from '../../connectors/elasticsearch/task.ts'
import { validateConnection } from '../../connectors/elasticsearch/validate.ts'
import {
  elasticsearchConfig,
  eventually,
  FakeElasticsearch,
  offsets,
  type RawOptions,
  sinkContext,
  sinkRecord,
} from '../unit/connectors/elasticsearch/support.ts'

/** What the nth bulk request meets on the way. */
type NetworkFault = 'ok' | 'drop-before' | 'drop-after' | 'late' | 'cut-answer' | 429 | 502 | 503

/** The in-memory server behind real HTTP: what the driver makes of each fault is part of the test. */
class HttpDouble implements AsyncDisposable {
  readonly store = new FakeElasticsearch()
  readonly faults: NetworkFault[] = []
  readonly headers: IncomingMessage['headers'][] = []
  readonly paths: string[] = []
  readonly #server: Server = createServer((request, response) => void this.#handle(request, response))
  port = 0

  async listen(port = 0): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve))
    this.port = (this.#server.address() as AddressInfo).port
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const raw = Buffer.concat(chunks)
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw
    this.paths.push(`${request.method} ${request.url}`)
    this.headers.push(request.headers)
    response.setHeader('content-type', 'application/json')
    response.setHeader('x-elastic-product', 'Elasticsearch')
    if (request.url?.startsWith('/_bulk') !== true) {
      response.end(request.method === 'HEAD' ? undefined : '{"version":{"number":"9.4.3"}}')
      return
    }
    const fault = this.faults.shift() ?? 'ok'
    if (fault === 'drop-before') return void request.socket.destroy()
    if (typeof fault === 'number') {
      response.statusCode = fault
      response.end('{"error":{"type":"planned","reason":"planned"}}')
      return
    }
    const answer = JSON.stringify(await this.store.request({ method: 'POST', path: '/_bulk', ndjson: body }))
    if (fault === 'drop-after') return void request.socket.destroy()
    if (fault === 'cut-answer') {
      response.setHeader('content-length', answer.length)
      response.write(answer.slice(0, answer.length / 2))
      setTimeout(() => request.socket.destroy(), 5)
      return
    }
    if (fault === 'late') setTimeout(() => response.end(answer), 600)
    else response.end(answer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

async function startTask(url: string, options: RawOptions = {}) {
  const context = sinkContext()
  const task = new ElasticsearchSinkTask()
  const config = elasticsearchConfig({
    'connection.url': url,
    'schema.ignore': 'true',
    'behavior.on.null.values': 'delete',
    'read.timeout.ms': '300',
    'max.retries': '50',
    ...options,
  })
  await task.start(config, context)
  return {
    task,
    context,
    committed: async (next: bigint) => (await task.preCommit(offsets({ 'topic-0': next }))).get('topic', 0),
  }
}

const signal = () => AbortSignal.timeout(30_000)

describe('Elasticsearch sink over a bad network', () => {
  const faults: readonly NetworkFault[] = ['drop-before', 'drop-after', 'late', 'cut-answer', 429, 502, 503]
  for (const fault of faults) {
    it(`loses nothing and doubles nothing after ${fault} (E52, E67)`, async () => {
      await using server = new HttpDouble()
      await server.listen()
      server.faults.push(fault, 'ok', fault)
      const { task, committed } = await startTask(`http://127.0.0.1:${server.port}`, {
        'batch.size': '2',
        'max.in.flight.requests': '2',
      })
      await task.put(
        ['a', 'b', 'c', 'a', 'b'].map((key, i) => sinkRecord(i, { key, value: i === 4 ? null : { n: i } })),
        signal(),
      )
      await eventually(async () => (await committed(5n)) === 5n)
      await task.stop()
      const documents = [...server.store.documents].map(([id, d]) => [id, d.source]).sort()
      assert.deepEqual(documents, [
        ['a', '{"n":3}'],
        ['c', '{"n":2}'],
      ])
    })
  }

  it('waits for a server that is not there yet', async () => {
    await using probe = new HttpDouble()
    await probe.listen()
    const { port } = probe
    await probe[Symbol.asyncDispose]()
    const { task, committed } = await startTask(`http://127.0.0.1:${port}`, {
      'max.retries': '1000',
      'retry.backoff.max.ms': '20',
    })
    const putting = task.put([sinkRecord(0, { key: 'a', value: { n: 1 } })], signal())
    await using server = new HttpDouble()
    setTimeout(() => void server.listen(port), 100)
    await putting
    await eventually(async () => (await committed(1n)) === 1n)
    await task.stop()
    assert.equal(server.store.documents.size, 1)
  })

  it('fails with a clear text when retries are exhausted, and commits nothing', async () => {
    await using server = new HttpDouble()
    await server.listen()
    server.faults.push(503, 503, 503)
    const { task, committed } = await startTask(`http://127.0.0.1:${server.port}`, { 'max.retries': '2' })
    await task.put([sinkRecord(0, { key: 'a', value: { n: 1 } })], signal())
    await eventually(async () => {
      try {
        await task.put([], signal())
        return false
      } catch (error) {
        assert.match(String(error), /Failed to execute bulk request due to 'HTTP 503 planned' after 3 attempt\(s\)/)
        return true
      }
    })
    assert.equal(await committed(1n), 0n)
    await task.stop()
  })

  it('sends neutral media types, credentials and, when asked, compressed bodies', async () => {
    await using server = new HttpDouble()
    await server.listen()
    const { task, committed, context } = await startTask(`http://127.0.0.1:${server.port}/`, {
      'connection.username': 'user',
      'connection.password': 'pass-word',
      'connection.compression': 'true',
    })
    await task.put([sinkRecord(0, { key: 'a', value: { n: 1 } })], signal())
    await eventually(async () => (await committed(1n)) === 1n)
    await task.stop()
    const bulk = server.headers.at(-1)
    assert.equal(bulk?.['content-type'], 'application/x-ndjson')
    assert.equal(bulk?.accept, 'application/json')
    assert.equal(bulk?.['content-encoding'], 'gzip')
    assert.equal(bulk?.authorization, `Basic ${Buffer.from('user:pass-word').toString('base64')}`)
    assert.equal(server.store.documents.size, 1)
    assert.ok(!context.logger.lines.some((line) => line.includes('pass-word')), 'I8')
    assert.equal(server.paths.filter((path) => path === 'HEAD /topic').length, 1, 'one look-up per index (E43)')
  })

  it('stops within its deadline while a request hangs', async () => {
    await using server = new HttpDouble()
    await server.listen()
    server.store.hold = true
    const { task, committed } = await startTask(`http://127.0.0.1:${server.port}`, {
      'flush.timeout.ms': '1000',
      'read.timeout.ms': '60000',
    })
    await task.put([sinkRecord(0, { key: 'a', value: { n: 1 } })], signal())
    const started = performance.now()
    await task.stop()
    assert.ok(performance.now() - started < 5000)
    assert.equal(await committed(1n), 0n)
    for (const release of server.store.held) release()
  })

  it('refuses a server that does not answer, naming the option (E5)', async () => {
    const config = elasticsearchConfig({ 'connection.url': 'http://127.0.0.1:1', 'connection.timeout.ms': '200' })
    assert.deepEqual(
      (await validateConnection(config)).map((p) => p.option),
      ['connection.url'],
    )
  })
})
