import { ElasticsearchIndex } from '../support/elasticsearch-index.ts'
import type { Lead } from './fragments.ts'

/** The index of the leads. */
export class LeadIndex {
  readonly #reader: ElasticsearchIndex
  readonly #index: string

  constructor(esUrl: string, index: string) {
    this.#reader = new ElasticsearchIndex(esUrl, index)
    this.#index = index
  }

  async remove(): Promise<void> {
    await this.#reader.remove()
  }

  /** The newest version, searchable or not. */
  async get(id: string): Promise<Lead | null> {
    return ((await this.#reader.call('GET', `/${this.#index}/_doc/${id}`))['_source'] as Lead | undefined) ?? null
  }

  async all(): Promise<ReadonlyMap<string, Lead>> {
    return await this.#reader.all<Lead>()
  }
}
