/** One index, read over plain HTTP: not by the client that the sink uses. */
export class ElasticsearchIndex {
  readonly #url: string
  readonly #index: string

  constructor(esUrl: string, index: string) {
    this.#url = esUrl
    this.#index = index
  }

  async remove(): Promise<void> {
    await this.call('DELETE', `/${this.#index}?ignore_unavailable=true`)
  }

  async recreate(mappings: object): Promise<void> {
    await this.remove()
    await this.call('PUT', `/${this.#index}`, { mappings })
  }

  /** All documents by id, by pages within a point in time. */
  async all<T>(): Promise<ReadonlyMap<string, T>> {
    const documents = new Map<string, T>()
    await this.call('POST', `/${this.#index}/_refresh`)
    const pit = await this.call('POST', `/${this.#index}/_pit?keep_alive=1m`)
    if (pit['id'] === undefined) return documents
    let after: readonly unknown[] | undefined
    do {
      const page = (await this.call('POST', '/_search', {
        size: 5_000,
        pit: { id: pit['id'], keep_alive: '1m' },
        sort: [{ _shard_doc: 'asc' }],
        track_total_hits: false,
        ...(after === undefined ? {} : { search_after: after }),
      })) as { hits: { hits: readonly { _id: string; _source: T; sort: readonly unknown[] }[] } }
      for (const hit of page.hits.hits) documents.set(hit._id, hit._source)
      after = page.hits.hits.at(-1)?.sort
    } while (after !== undefined)
    await this.call('DELETE', '/_pit', { id: pit['id'] })
    return documents
  }

  /** A 404 is an answer like any other. @throws Error with Elasticsearch's text */
  async call(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
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
