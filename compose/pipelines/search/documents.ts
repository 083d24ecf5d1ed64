import type { Client } from 'pg'
import { ElasticsearchIndex } from '../support/elasticsearch-index.ts'
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

/** The index at the end of the pipeline. */
export class Documents {
  readonly #reader: ElasticsearchIndex
  readonly #index: string

  constructor(esUrl: string, index: string) {
    this.#reader = new ElasticsearchIndex(esUrl, index)
    this.#index = index
  }

  async remove(): Promise<void> {
    await this.#reader.remove()
  }

  async setRefreshInterval(interval: string): Promise<void> {
    await this.#reader.call('PUT', `/${this.#index}/_settings`, { index: { refresh_interval: interval } })
  }

  /** The newest version, searchable or not. */
  async get(id: string): Promise<SearchDocument | null> {
    const answer = (await this.#reader.call('GET', `/${this.#index}/_doc/${id}`)) as {
      readonly _source?: SearchDocument
    }
    return answer._source ?? null
  }

  /** First hit of a phrase in `subject`. */
  async search(phrase: string): Promise<SearchDocument | null> {
    const query = { query: { match_phrase: { subject: phrase } }, size: 1 }
    const answer = (await this.#reader.call('POST', `/${this.#index}/_search`, query)) as {
      readonly hits: { readonly hits: readonly { readonly _source: SearchDocument }[] }
    }
    return answer.hits.hits[0]?._source ?? null
  }

  /** Postgres says which documents there should be; the index says which there are. */
  async compare(pg: Client): Promise<Comparison> {
    const [{ rows }, actual] = await Promise.all([
      pg.query<SearchDocument & { readonly uid: string }>(expectedDocuments),
      this.#reader.all<SearchDocument>(),
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
}
