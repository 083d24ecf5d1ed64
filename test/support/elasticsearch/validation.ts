/** Asks `config/validate` of the Elasticsearch sink, over an HTTP double of the server. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ConfigProviders } from '../../../worker/config/config-provider.ts'
import { validateConnector } from '../../../worker/config/validate-connector.ts'
import { parseWorkerConfig } from '../../../worker/config/worker-config.ts'
import { builtinPlugins } from '../../../worker/plugins/builtin.ts'
import { PluginRegistry } from '../../../worker/plugins/registry.ts'
import type { RawOptions } from '../../unit/connectors/elasticsearch/support.ts'

const plugins = new PluginRegistry(builtinPlugins)
const worker = parseWorkerConfig(
  {
    'group.id': 'workers',
    'key.converter': 'StringConverter',
    'value.converter': 'JsonConverter',
    'config.storage.topic': 'c',
    'offset.storage.topic': 'o',
    'status.storage.topic': 's',
  },
  'distributed',
)

type AnswerTable = Readonly<Record<string, { readonly status?: number; readonly body?: unknown }>>

/** A server that answers paths with a status and a body; everything else is there. It does not name its product, as OpenSearch. */
export class Answers implements AsyncDisposable {
  readonly requests: string[] = []
  readonly headers: Record<string, string | string[] | undefined>[] = []
  readonly #server = createServer((request, response) => {
    const line = `${request.method} ${request.url}`
    this.requests.push(line)
    this.headers.push(request.headers)
    const { status = 200, body } = this.#answers[line] ?? {}
    response.setHeader('content-type', 'application/json')
    response.statusCode = status
    response.end(request.method === 'HEAD' ? undefined : JSON.stringify(body ?? {}))
  })
  readonly #answers: AnswerTable

  private constructor(answers: AnswerTable) {
    this.#answers = answers
  }

  static async open(answers: AnswerTable = {}): Promise<Answers> {
    const server = new Answers({ 'GET /': { body: { version: { number: '8.19.2' } } }, ...answers })
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    return server
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** What `config/validate` answers. */
export async function answer(options: RawOptions) {
  const raw = { name: 'es', 'connector.class': 'ElasticsearchSink', topics: 'orders', ...options }
  return await validateConnector({ raw, plugins, worker, providers: ConfigProviders.none })
}

/** Options in error, in order. */
export async function wrong(options: RawOptions): Promise<readonly string[]> {
  const infos = await answer(options)
  return infos.configs.flatMap(({ value }) => (value.errors.length > 0 ? [value.name] : [])).sort()
}

/** What is said of one option; empty when it is right. */
export async function errorOf(option: string, options: RawOptions): Promise<string> {
  const infos = await answer(options)
  return infos.configs.find(({ value }) => value.name === option)?.value.errors.join('\n') ?? ''
}

/** Options of one data stream. */
export const stream = { 'data.stream.type': 'logs', 'data.stream.dataset': 'ds' }
export const mapping = 'topic.to.external.resource.mapping'
/** Options that map topics to resources of the usage, as pairs `topic:resource`. */
export const mapped = (pairs: string, usage = 'index') => ({ 'external.resource.usage': usage, [mapping]: pairs })

/** Options → those in error; none when they are right. */
export type Case = readonly [options: RawOptions, expected: readonly string[]]

/** Each case against a server that has everything. */
export async function check(cases: readonly Case[]): Promise<void> {
  await using server = await Answers.open()
  for (const [options, expected] of cases) {
    const given = { 'connection.url': server.url, ...options }
    assert.deepEqual(await wrong(given), [...expected].sort(), JSON.stringify(options))
  }
}
