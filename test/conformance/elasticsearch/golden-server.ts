/** The Elasticsearch server as the recorded cases see it: indices, data streams and aliases of one run. */

import { isJsonObject, type Json, type JsonObject, readJson, writeJson } from '../sinks/exact-json.ts'
import type { ServerScope, SinkServer } from '../sinks/player.ts'

interface Names {
  readonly indices: readonly string[]
  readonly streams: readonly string[]
  readonly aliases: JsonObject
}

interface Hit extends JsonObject {
  readonly _id: string
}

export class GoldenElasticsearch implements SinkServer {
  readonly #url: string
  readonly #scope: ServerScope

  constructor(url: string, scope: ServerScope) {
    this.#url = url.replace(/\/$/, '')
    this.#scope = scope
  }

  async prepare(): Promise<void> {}

  async #request(method: string, path: string, body?: Json): Promise<{ readonly status: number; readonly json: Json }> {
    const response = await fetch(`${this.#url}${path}`, {
      method,
      signal: AbortSignal.timeout(30_000),
      ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: writeJson(body) }),
    })
    const text = await response.text()
    return { status: response.status, json: text === '' ? null : readJson(text) }
  }

  async step(step: JsonObject): Promise<JsonObject | null> {
    const request = step['es']
    if (!isJsonObject(request)) throw new Error(`unknown step ${writeJson(step)}`)
    const { status, json } = await this.#request(String(request['method']), String(request['path']), request['body'])
    if (Array.isArray(step['record'])) {
      let found: Json = json
      for (const name of step['record']) found = isJsonObject(found) ? (found[String(name)] ?? null) : null
      return { http: status, body: this.#scope.normaliser.json(found) }
    }
    if (status >= 300)
      throw new Error(`${String(request['method'])} ${String(request['path'])}: ${status} ${writeJson(json)}`)
    return null
  }

  async #names(): Promise<Names> {
    const { status, json } = await this.#request('GET', `/_resolve/index/*${this.#scope.prefix}*?expand_wildcards=all`)
    if (status !== 200 || !isJsonObject(json)) return { indices: [], streams: [], aliases: {} }
    const found = (kind: string) => (json[kind] ?? []) as readonly JsonObject[]
    const streams = found('data_streams')
    const backing = new Set(streams.flatMap((stream) => stream['backing_indices'] as readonly string[]))
    const indices = found('indices').map(({ name }) => String(name))
    const aliases = found('aliases').map(({ name, indices: targets }) => [
      String(name),
      [...(targets as string[])].sort(),
    ])
    return {
      indices: indices.filter((name) => !backing.has(name)).sort(),
      streams: streams.map(({ name }) => String(name)).sort(),
      aliases: Object.fromEntries(aliases) as JsonObject,
    }
  }

  async #documents(name: string): Promise<readonly JsonObject[] | JsonObject> {
    const path = `/${encodeURIComponent(name)}`
    await this.#request('POST', `${path}/_refresh?expand_wildcards=all&ignore_unavailable=true`)
    const query = { size: 2000, version: true, sort: ['_doc'] }
    const { status, json } = await this.#request('POST', `${path}/_search?expand_wildcards=all`, query)
    if (status !== 200 || !isJsonObject(json)) return { error: status }
    const { normaliser, plan } = this.#scope
    const hits = (json['hits'] as JsonObject)['hits'] as readonly Hit[]
    const documents = hits.map((hit) => {
      const id = normaliser.text(hit._id)
      return {
        _id: plan.autoIds === true && !id.includes('${p}') ? '<auto>' : id,
        _version: hit['_version'] ?? null,
        _source: normaliser.json(hit['_source'] ?? null),
      }
    })
    const order = (document: JsonObject) => `${String(document['_id'])}\n${writeJson(document['_source'] ?? null)}`
    return documents.sort((a, b) => (order(a) < order(b) ? -1 : 1))
  }

  async snapshot(): Promise<JsonObject> {
    const { indices, streams } = await this.#names()
    const entries = await Promise.all(
      [...indices, ...streams].map(async (name) => {
        const found = await this.#documents(name)
        const short = Array.isArray(found) ? found.map(({ _id, _version }: Hit) => [_id, _version ?? null]) : found
        return [this.#scope.normaliser.text(name), short]
      }),
    )
    return { documents: Object.fromEntries(entries) as JsonObject }
  }

  async capture(): Promise<JsonObject> {
    const { indices, streams, aliases } = await this.#names()
    const { normaliser } = this.#scope
    const resources: Record<string, Json> = {}
    for (const name of indices) {
      const { json } = await this.#request('GET', `/${encodeURIComponent(name)}/_mapping?expand_wildcards=all`)
      const [index] = isJsonObject(json) ? Object.values(json) : []
      const mapping = isJsonObject(index) ? (index['mappings'] ?? {}) : {}
      resources[normaliser.text(name)] = { kind: 'index', mapping, documents: await this.#documents(name) }
    }
    for (const name of streams) {
      resources[normaliser.text(name)] = { kind: 'data_stream', documents: await this.#documents(name) }
    }
    return { resources, ...(Object.keys(aliases).length > 0 && { aliases: normaliser.json(aliases) }) }
  }

  async cleanUp(): Promise<void> {
    const { indices, streams } = await this.#names()
    for (const name of streams) await this.#request('DELETE', `/_data_stream/${name}`)
    for (const name of indices) await this.#request('DELETE', `/${encodeURIComponent(name)}`)
    await this.#request('DELETE', `/_index_template/${this.#scope.prefix}*`)
  }
}
