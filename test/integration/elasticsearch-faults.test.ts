import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { ElasticsearchSinkTask } from '../../connectors/elasticsearch/task.ts'
import { validateConnection } from '../../connectors/elasticsearch/validate.ts'
import { makeSchema, Schemas } from '../../worker/api/data.ts'
import { traceOf } from '../../worker/util/error-codec.ts'
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
        // The words of the reference, which its users' alerts match on (recorded cases 046, 050).
        const said = 'ElasticsearchStatusException[Elasticsearch exception [type=planned, reason=planned]]'
        const heads = traceOf(error)
          .split('\n')
          .filter((line) => !line.startsWith('\t'))
        assert.deepEqual(heads, [
          'org.apache.kafka.connect.errors.ConnectException: Bulk request failed',
          `Caused by: org.apache.kafka.connect.errors.ConnectException: Failed to execute bulk request due to '${said}' after 3 attempt(s)`,
          `Caused by: ${said}`,
        ])
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
  })

  it('waits at its stop for what is under way, and takes nothing after it (E73)', async () => {
    await using server = new HttpDouble()
    await server.listen()
    server.store.hold = true
    const { task, committed } = await startTask(`http://127.0.0.1:${server.port}`, { 'read.timeout.ms': '20000' })
    await task.put([sinkRecord(0, { key: 'a', value: { n: 1 } })], signal())
    await eventually(() => server.store.held.length === 1)
    const stop = task.stop()
    assert.equal(await committed(1n), 0n)
    for (const release of server.store.held) release()
    await stop
    assert.equal(await committed(1n), 1n, 'the answer was waited for')
    const late = sinkRecord(1, { key: 'b', value: { n: 2 } })
    await assert.rejects(() => task.put([late], signal()), /The task is not running/)
    assert.equal(server.store.requests.length, 1)
  })

  it('looks for an index and its mapping once, however many records and requests there are (E43)', async () => {
    await using server = new HttpDouble()
    await server.listen()
    const schema = makeSchema({ type: 'STRUCT', fields: [{ name: 'n', schema: Schemas.int32 }] })
    const url = `http://127.0.0.1:${server.port}`
    const { task, committed } = await startTask(url, { 'schema.ignore': 'false', 'batch.size': '2' })
    for (let i = 0; i < 10; i += 5) {
      const records = [0, 1, 2, 3, 4].map((j) => {
        return sinkRecord(i + j, { key: `k${j}`, valueSchema: schema, value: { n: j } })
      })
      await task.put(records, signal())
    }
    await eventually(async () => (await committed(10n)) === 10n)
    await task.stop()
    assert.deepEqual(
      server.paths.filter((path) => !path.startsWith('POST /_bulk')),
      ['HEAD /topic', 'GET /topic/_mapping', 'PUT /topic/_mapping'],
    )
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

  it('sends what is buffered when offsets are about to be committed (E47)', async () => {
    await using server = new HttpDouble()
    await server.listen()
    const { task, committed } = await startTask(`http://127.0.0.1:${server.port}`, {
      'linger.ms': '4000',
      'read.timeout.ms': '5000',
    })
    await task.put([sinkRecord(0, { key: 'a', value: { n: 1 } })], signal())
    assert.equal(server.store.requests.length, 0)
    assert.equal(await committed(1n), 0n)
    await eventually(() => server.store.requests.length === 1, 1000)
    await task.stop()
  })

  it('flushes synchronously when told to, routed records too: all is acknowledged, or nothing committed (E63)', async () => {
    await using server = new HttpDouble()
    await server.listen()
    const { task, committed } = await startTask(`http://127.0.0.1:${server.port}`, {
      'flush.synchronously': 'true',
      'linger.ms': '4000',
      'read.timeout.ms': '10000',
      'max.retries': '2',
    })
    server.store.hold = true
    const moved = sinkRecord(1, { key: 'b', value: { n: 2 } }).with({ topic: 'routed' })
    await task.put([sinkRecord(0, { key: 'a', value: { n: 1 } }), moved], signal())
    const committing = committed(2n)
    let isDone = false
    void committing.then(() => (isDone = true))
    await eventually(() => server.store.held.length === 1)
    assert.equal(isDone, false, 'not before the server has answered')
    server.store.hold = false
    for (const release of server.store.held) release()
    assert.equal(await committing, 2n)
    server.faults.push(503, 503, 503)
    await task.put([sinkRecord(2, { key: 'c', value: { n: 3 } })], signal())
    assert.equal(await committed(3n), undefined, 'nothing, as the flush failed')
    await task.stop()
  })

  it('holds delivery back while ten times the buffer waits behind one request (E62)', async () => {
    await using server = new HttpDouble()
    await server.listen()
    const { task, context, committed } = await startTask(`http://127.0.0.1:${server.port}`, {
      'batch.size': '1',
      'max.in.flight.requests': '2',
      'max.buffered.records': '3',
      'read.timeout.ms': '60000',
    })
    server.store.hold = true
    await task.put([sinkRecord(0, { key: 'first', value: { n: 0 } })], signal())
    await eventually(() => server.store.held.length === 1)
    server.store.hold = false
    for (let offset = 1; offset <= 29; offset++)
      await task.put([sinkRecord(offset, { key: 'k', value: { n: 1 } })], signal())
    assert.deepEqual(context.flow, [])
    await task.put([sinkRecord(30, { key: 'k', value: { n: 1 } })], signal())
    assert.deepEqual(context.flow, ['pause topic-0', 'timeout 100'])
    await task.put([], signal())
    assert.deepEqual(context.flow.slice(2), ['pause topic-0', 'timeout 100'])
    server.store.held[0]?.()
    await eventually(async () => (await committed(31n)) === 31n)
    await task.put([], signal())
    assert.deepEqual(context.flow.slice(4), ['resume topic-0'])
    await task.stop()
  })

  it('never shows the credentials of a URL (E68)', async () => {
    const { task, context } = await startTask('http://user:hush-hush@127.0.0.1:1', {
      'max.retries': '1',
      'connection.timeout.ms': '200',
    })
    const failed = await task
      .put([sinkRecord(0, { key: 'a', value: { n: 1 } })], signal())
      .then(() => assert.fail('nobody listens'))
      .catch((error: unknown) => error)
    await task.stop()
    const config = elasticsearchConfig({ 'connection.url': 'http://user:hush-hush@127.0.0.1:1' })
    const problems = await validateConnection(config)
    const seen = `${inspect(failed, { depth: 9 })} ${context.logger.lines.join()} ${JSON.stringify(problems)}`
    assert.match(seen, /2 attempt/)
    assert.ok(!seen.includes('hush'), seen)
  })

  it('refuses a server that does not answer, naming the option (E5)', async () => {
    const config = elasticsearchConfig({ 'connection.url': 'http://127.0.0.1:1', 'connection.timeout.ms': '200' })
    assert.deepEqual(
      (await validateConnection(config)).map((p) => p.option),
      ['connection.url', 'connection.url'],
    )
  })
})
