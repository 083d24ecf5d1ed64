import type { Client } from 'pg'
import { expectedDocuments } from './feed.ts'

export interface SearchDocument {
  readonly user_uid: string
  readonly user: string
  readonly subject: string
  readonly step: string
  readonly items: number
}

export interface Comparison {
  readonly expected: number
  readonly actual: number
  readonly differences: readonly string[]
}

/** The index at the end of the pipeline, read over plain HTTP: not by the client that the sink uses. */
export class Documents {
  readonly #url: string
  readonly #index: string

  constructor(esUrl: string, index: string) {
    this.#url = esUrl
    this.#index = index
  }

  async remove(): Promise<void> {
    await this.#call('DELETE', `/${this.#index}?ignore_unavailable=true`)
  }

  async setRefreshInterval(interval: string): Promise<void> {
    await this.#call('PUT', `/${this.#index}/_settings`, { index: { refresh_interval: interval } })
  }

  /** The newest version, searchable or not. */
  async get(id: string): Promise<SearchDocument | null> {
    const answer = (await this.#call('GET', `/${this.#index}/_doc/${id}`)) as { readonly _source?: SearchDocument }
    return answer._source ?? null
  }

  /** First hit of a phrase in `subject`. */
  async search(phrase: string): Promise<SearchDocument | null> {
    const query = { query: { match_phrase: { subject: phrase } }, size: 1 }
    const answer = (await this.#call('POST', `/${this.#index}/_search`, query)) as {
      readonly hits: { readonly hits: readonly { readonly _source: SearchDocument }[] }
    }
    return answer.hits.hits[0]?._source ?? null
  }

  /** Postgres says which documents there should be; the index says which there are. */
  async compare(pg: Client): Promise<Comparison> {
    const [{ rows }, actual] = await Promise.all([
      pg.query<SearchDocument & { readonly uid: string }>(expectedDocuments),
      this.#all(),
    ])
    const differences: string[] = []
    const left = new Map(actual)
    for (const row of rows) {
      const document = left.get(row.uid)
      left.delete(row.uid)
      if (document === undefined) {
        differences.push(`conversation ${row.uid} has no document`)
        continue
      }
      for (const field of ['user_uid', 'user', 'subject', 'step', 'items'] as const) {
        if (document[field] !== row[field]) {
          differences.push(`${row.uid}.${field}: ${document[field]} instead of ${row[field]}`)
        }
      }
    }
    for (const uid of left.keys()) differences.push(`document ${uid} should not exist`)
    return { expected: rows.length, actual: actual.size, differences }
  }

  /** All documents, by pages within a point in time. */
  async #all(): Promise<Map<string, SearchDocument>> {
    const documents = new Map<string, SearchDocument>()
    await this.#call('POST', `/${this.#index}/_refresh`)
    const pit = await this.#call('POST', `/${this.#index}/_pit?keep_alive=1m`)
    if (pit['id'] === undefined) return documents
    let after: readonly unknown[] | undefined
    do {
      const page = (await this.#call('POST', '/_search', {
        size: 5_000,
        pit: { id: pit['id'], keep_alive: '1m' },
        sort: [{ _shard_doc: 'asc' }],
        track_total_hits: false,
        ...(after === undefined ? {} : { search_after: after }),
      })) as { hits: { hits: readonly { _id: string; _source: SearchDocument; sort: readonly unknown[] }[] } }
      for (const hit of page.hits.hits) documents.set(hit._id, hit._source)
      after = page.hits.hits.at(-1)?.sort
    } while (after !== undefined)
    await this.#call('DELETE', '/_pit', { id: pit['id'] })
    return documents
  }

  /** A 404 is an answer like any other. @throws Error with Elasticsearch's text */
  async #call(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
    const response = await fetch(`${this.#url}${path}`, {
      method,
      ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })
    const answer = (await response.json()) as Record<string, unknown>
    if (!response.ok && response.status !== 404) {
      throw new Error(`Elasticsearch ${method} ${path}: ${JSON.stringify(answer)}`)
    }
    return answer
  }
}
