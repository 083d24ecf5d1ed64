import type { Client } from 'pg'
import { expectedDocuments } from './feed.ts'

export const index = 'shop.documents'

export interface SearchDocument {
  readonly user_uid: string
  readonly user: string
  readonly subject: string
  readonly step: string
  readonly items: number
}

/** One call; a 404 is an answer like any other. @throws Error with Elasticsearch's text */
export async function elasticsearch(
  esUrl: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<Record<string, unknown>> {
  const response = await fetch(`${esUrl}${path}`, {
    method,
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
  const answer = (await response.json()) as Record<string, unknown>
  if (!response.ok && response.status !== 404)
    throw new Error(`Elasticsearch ${method} ${path}: ${JSON.stringify(answer)}`)
  return answer
}

/** All documents, by pages of `search_after` over the document number that `_doc` order gives in a point in time. */
async function allDocuments(esUrl: string): Promise<Map<string, SearchDocument>> {
  await elasticsearch(esUrl, 'POST', `/${index}/_refresh`)
  const documents = new Map<string, SearchDocument>()
  const pit = await elasticsearch(esUrl, 'POST', `/${index}/_pit?keep_alive=1m`)
  if (pit['id'] === undefined) return documents
  let after: readonly unknown[] | undefined
  for (;;) {
    const page = (await elasticsearch(esUrl, 'POST', '/_search', {
      size: 5_000,
      pit: { id: pit['id'], keep_alive: '1m' },
      sort: [{ _shard_doc: 'asc' }],
      track_total_hits: false,
      ...(after === undefined ? {} : { search_after: after }),
    })) as { hits: { hits: readonly { _id: string; _source: SearchDocument; sort: readonly unknown[] }[] } }
    for (const hit of page.hits.hits) documents.set(hit._id, hit._source)
    after = page.hits.hits.at(-1)?.sort
    if (after === undefined) break
  }
  await elasticsearch(esUrl, 'DELETE', '/_pit', { id: pit['id'] })
  return documents
}

export interface Comparison {
  readonly expected: number
  readonly actual: number
  readonly differences: readonly string[]
}

/** Postgres says which documents there should be; the index says which there are. */
export async function compareDocuments(pg: Client, esUrl: string): Promise<Comparison> {
  const [{ rows }, actual] = await Promise.all([
    pg.query<SearchDocument & { uid: string }>(expectedDocuments),
    allDocuments(esUrl),
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
      if (document[field] !== row[field])
        differences.push(`${row.uid}.${field}: ${document[field]} instead of ${row[field]}`)
    }
  }
  for (const uid of left.keys()) differences.push(`document ${uid} should not exist`)
  return { expected: rows.length, actual: actual.size, differences }
}
