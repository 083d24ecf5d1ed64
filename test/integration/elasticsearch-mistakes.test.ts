/** What users get to read when something is set up wrongly: the option or the record, and what to do. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ElasticsearchSinkTask } from '../../connectors/elasticsearch/task.ts'
import { validateConnection } from '../../connectors/elasticsearch/validate.ts'
import { readJavaKeyStore } from '../../worker/api/tls/java-key-store.ts'
import { traceOf } from '../../worker/util/error-codec.ts'
import {
  elasticsearchConfig,
  type RawOptions,
  sinkContext,
  sinkRecord,
} from '../unit/connectors/elasticsearch/support.ts'

const store = (name: string) => fileURLToPath(new URL(`../unit/worker/api/tls/stores/${name}`, import.meta.url))
const { key, certificates } = readJavaKeyStore(readFileSync(store('key.jks')), {
  password: 'store-pass',
  keyPassword: 'key-pass',
  option: 'test',
})

/** A server for one test, at an address of its own. */
class Double implements AsyncDisposable {
  readonly #server: Server
  readonly #url: (port: number) => string

  private constructor(server: Server, url: (port: number) => string) {
    this.#server = server
    this.#url = url
  }

  static async open(listener: RequestListener): Promise<Double> {
    return await Double.#listening(createServer(listener), (port) => `http://127.0.0.1:${port}`)
  }

  /** Its certificate is for 127.0.0.1, and nothing vouches for it. */
  static async openTls(listener: RequestListener, host = '127.0.0.1'): Promise<Double> {
    const server = createTlsServer({ key: key?.privateKey, cert: key?.chain }, listener)
    return await Double.#listening(server, (port) => `https://${host}:${port}`, host)
  }

  static async #listening(server: Server, url: (port: number) => string, host = '127.0.0.1'): Promise<Double> {
    server.listen(0, host)
    await once(server, 'listening')
    return new Double(server, url)
  }

  get url(): string {
    return this.#url((this.#server.address() as AddressInfo).port)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

const banner = '{"version":{"number":"9.4.3"}}'
const answering =
  (status: number, body = banner, matches: (line: string) => boolean = () => true): RequestListener =>
  (request, response) => {
    const isMatch = matches(`${request.method} ${request.url}`)
    response.setHeader('content-type', 'application/json')
    response.statusCode = isMatch ? status : 200
    request.resume().once('end', () => response.end(request.method === 'HEAD' ? undefined : isMatch ? body : banner))
  }

async function messages(options: RawOptions): Promise<string> {
  const problems = await validateConnection(elasticsearchConfig(options))
  return problems.map(({ option, message }) => `${option}: ${message}`).join('\n')
}

/** The trace of a task that writes one record, and fails. */
async function traceWith(url: string, options: RawOptions = {}): Promise<string> {
  const task = new ElasticsearchSinkTask()
  const config = { 'connection.url': url, 'schema.ignore': 'true', 'max.retries': '0', ...options }
  await task.start(elasticsearchConfig(config), sinkContext({}))
  try {
    const signal = AbortSignal.timeout(30_000)
    await task.put([sinkRecord(7, { key: 'a', value: { n: 'secret-of-the-record' } })], signal)
    await task.close([])
    await task.put([], signal)
  } catch (error) {
    return traceOf(error)
  } finally {
    await task.stop()
  }
  throw new Error('the task did not fail')
}

describe('a mistake in how Elasticsearch is reached', () => {
  it('is told by its cause and its remedy where nobody listens', async () => {
    const text = await messages({ 'connection.url': 'http://127.0.0.1:1' })
    assert.match(text, /connection\.url: Could not connect to Elasticsearch \(.*ECONNREFUSED 127\.0\.0\.1:1\)/)
    assert.match(text, /check host and port of connection\.url/)
    assert.match(await traceWith('http://127.0.0.1:1'), /Caused by: .*check host and port of connection\.url/)
  })

  it('names the scheme when it is the other one', async () => {
    await using plain = await Double.open(answering(200))
    const tls = await messages({ 'connection.url': plain.url.replace('http:', 'https:') })
    assert.match(tls, /connection\.url: .*begins with http:\/\//)
    await using secure = await Double.openTls(answering(200))
    const text = await messages({ 'connection.url': secure.url.replace('https:', 'http:') })
    assert.match(text, /connection\.url: .*begins with https:\/\//)
  })

  it('names the trust store, or the check of the host name', async () => {
    await using server = await Double.openTls(answering(200))
    const text = await messages({ 'connection.url': server.url })
    assert.match(text, /not trusted: .*elastic\.https\.ssl\.truststore\.location/)
    await using other = await Double.openTls(answering(200), '127.0.0.2')
    const trusting = {
      'elastic.security.protocol': 'SSL',
      'elastic.https.ssl.truststore.certificates': certificates.join(''),
    }
    assert.equal(await messages({ 'connection.url': server.url, ...trusting }), '')
    const name = await messages({ 'connection.url': other.url, ...trusting })
    assert.match(name, /elastic\.https\.ssl\.endpoint\.identification\.algorithm/)
  })

  it('names credentials, of the server or of the proxy', async () => {
    await using server = await Double.open(answering(401, '{}'))
    const user = { 'connection.username': 'u', 'connection.password': 'pass-word' }
    const text = await messages({ 'connection.url': server.url, ...user })
    assert.match(text, /connection\.password: .*HTTP 401/)
    assert.match(
      text,
      /connection\.url: .*expired: check connection\.username and connection\.password.*auth\.api\.key/,
    )
    assert.ok(!text.includes('pass-word'))
    await using proxy = await Double.open(answering(407, ''))
    const port = new URL(proxy.url).port
    const through = { 'connection.url': 'http://es:9200', 'proxy.host': '127.0.0.1', 'proxy.port': port }
    assert.match(await messages(through), /proxy\.username and proxy\.password/)
  })

  it('is found where something else answers', async () => {
    for (const [status, body] of [
      [200, '"a page"'],
      [200, '{}'],
      [302, ''],
    ] as const) {
      await using server = await Double.open(answering(status, body))
      assert.match(
        await messages({ 'connection.url': server.url }),
        /neither Elasticsearch nor OpenSearch: check the host/,
      )
    }
    await using server = await Double.open(answering(404, ''))
    assert.match(await messages({ 'connection.url': server.url }), /check connection\.url, its path too/)
  })
})

describe('a mistake that shows when records are written', () => {
  const failure = (type: string, reason: string) => JSON.stringify({ error: { type, reason } })

  it('names the privileges that are missing, or credentials that have expired', async () => {
    await using forbidden = await Double.open(answering(403, '', (line) => line.startsWith('HEAD /topic')))
    assert.match(await traceWith(forbidden.url), /Caused by: .*grant create_index, read, write and view_index_metadata/)
    const expired = failure('security_exception', 'unable to authenticate with provided credentials')
    await using server = await Double.open(answering(401, expired, (line) => line.startsWith('POST /_bulk')))
    const trace = await traceWith(server.url)
    assert.match(trace, /security_exception, reason=unable to authenticate/)
    assert.match(trace, /Caused by: .*have expired: check .*auth\.api\.key/)
  })

  it('names what an index cannot be made for', async () => {
    const creates = (line: string) => line.startsWith('HEAD') || line.startsWith('PUT')
    const full = failure('validation_exception', 'this action would add [2] shards')
    await using server = await Double.open((request, response) => {
      if (request.method !== 'HEAD') return answering(400, full, creates)(request, response)
      response.statusCode = 404
      response.end()
    })
    const trace = await traceWith(server.url)
    assert.match(trace, /Failed to create index topic due to .*this action would add \[2\] shards/)
    assert.match(trace, /Caused by: .*cluster\.max_shards_per_node/)
  })

  /** A server that refuses the one action of each request. */
  const refusing = (status: number, type: string) =>
    answering(
      200,
      JSON.stringify({ errors: true, items: [{ index: { status, error: { type, reason: 'secret-of-the-record' } } }] }),
      (line) => line.startsWith('POST /_bulk'),
    )

  it('names the record, why it was refused and where to read on, without its content (I8)', async () => {
    const cases: readonly (readonly [type: string, status: number, remedy: RegExp])[] = [
      ['document_parsing_exception', 400, /does not suit the mapping/],
      ['strict_dynamic_mapping_exception', 400, /the mapping of the index is strict/i],
      ['illegal_argument_exception', 400, /pipeline\.name/],
      ['security_exception', 403, /grant create_index, read, write/],
      ['cluster_block_exception', 403, /remove the block, or free disk space/],
      ['index_closed_exception', 400, /behavior\.on\.closed\.index=skip/],
    ]
    for (const [type, status, remedy] of cases) {
      await using server = await Double.open(refusing(status, type))
      const trace = await traceWith(server.url)
      assert.match(
        trace,
        /^org\.apache\.kafka\.connect\.errors\.ConnectException: Indexing record failed\. Please check DLQ/,
      )
      assert.match(trace, new RegExp(`Caused by: .*topic=topic partition=0 offset=7 was refused with ${type}`))
      assert.match(trace, remedy)
      assert.match(trace, /dead letter queue: set errors\.tolerance=all and errors\.deadletterqueue\.topic\.name/)
      assert.ok(!trace.includes('secret-of-the-record'))
    }
  })

  it('says for how long a server may be too busy', async () => {
    await using server = await Double.open(refusing(429, 'cluster_block_exception'))
    const trace = await traceWith(server.url)
    assert.match(trace, /'the cluster is too busy' after 1 attempt\(s\)/)
    assert.match(trace, /Caused by: .*disk is nearly full.*max\.retries, retry\.backoff\.ms/)
  })

  it('names the record that cannot be converted, and what to do with such records', async () => {
    await using server = await Double.open(answering(200))
    const trace = await traceWith(server.url, { 'external.version.header': 'v' })
    assert.match(trace, /topic=topic partition=0 offset=7 cannot be written; drop\.invalid\.message=true/)
    assert.match(trace, /Caused by: .*DataException: The record has no external version header 'v'/)
    const unmapped = await traceWith(server.url, { 'schema.ignore': 'false' })
    assert.match(unmapped, /schema\.ignore=true, or its topic in topic\.schema\.ignore/)
    assert.match(unmapped, /Caused by: .*DataException: Cannot infer mapping without schema\./)
  })

  it('says where to look when a bulk request is answered by something else', async () => {
    await using server = await Double.open(answering(200, '{"ok":true}', (line) => line.startsWith('POST /_bulk')))
    assert.match(await traceWith(server.url), /not one of Elasticsearch: check that connection\.url leads to it/)
  })
})
