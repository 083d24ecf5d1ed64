import type { Lead } from './fragments.ts'

interface Hit {
  readonly _id: string
  readonly _source: Lead
}

/** The index at the end of the pipeline, read over plain HTTP: not by the client that the sink uses. */
export class LeadIndex {
  readonly #url: string

  constructor(esUrl: string, index: string) {
    this.#url = `${esUrl}/${index}`
  }

  async remove(): Promise<void> {
    await this.#call('DELETE', '?ignore_unavailable=true')
  }

  /** The newest version, searchable or not. */
  async get(id: string): Promise<Lead | null> {
    return ((await this.#call('GET', `/_doc/${id}`)) as { readonly _source?: Lead })._source ?? null
  }

  async all(): Promise<ReadonlyMap<string, Lead>> {
    await this.#call('POST', '/_refresh')
    const { hits } = (await this.#call('POST', '/_search', { size: 10_000 })) as {
      readonly hits?: { readonly hits: readonly Hit[] }
    }
    return new Map((hits?.hits ?? []).map(({ _id, _source }) => [_id, _source]))
  }

  /** A 404 is an answer like any other. @throws Error with Elasticsearch's text */
  async #call(method: string, path: string, body?: object): Promise<unknown> {
    const response = await fetch(`${this.#url}${path}`, {
      method,
      ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })
    const answer: unknown = await response.json()
    if (!response.ok && response.status !== 404) {
      throw new Error(`Elasticsearch ${method} ${path}: ${JSON.stringify(answer)}`)
    }
    return answer
  }
}
