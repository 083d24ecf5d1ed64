/** Requests that another worker must carry out: sent there, its answer passed on (spec 4.2). */
import type { NotLeaderError } from '../api/errors.ts'
import { type InterWorkerClient, nextHop, refused, signatureHeaders } from './inter-worker-client.ts'
import { type Answer, jsonContentType, type RestRequest } from './route.ts'

export interface ForwardInput {
  readonly method: string
  /** As received, still encoded, without the query. */
  readonly path: string
  readonly request: RestRequest
  readonly error: NotLeaderError
}

/** Query parameters that go along; anything else means nothing to the routes that are forwarded. */
const keptParameters = ['includeTasks', 'onlyFailed'] as const

/** Headers that go along: credentials, and the proof of an internal request, which is not signed anew. */
const keptHeaders = ['authorization', signatureHeaders.signature, signatureHeaders.algorithm] as const

/** @throws RequestError 409 when it must go no further; the other worker's refusal with its status and message */
export async function forward(
  client: InterWorkerClient,
  { method, path, request, error }: ForwardInput,
): Promise<Answer> {
  const hop = nextHop(request.query.get('forward'), error)
  const query = new URLSearchParams({ forward: hop.forward })
  for (const name of keptParameters) {
    const value = request.query.get(name)
    if (value !== null) query.set(name, value)
  }
  const headers: Record<string, string> = {}
  for (const name of keptHeaders) {
    const value = request.headers[name]
    if (value !== undefined) headers[name] = value
  }
  const body = request.body.length === 0 ? null : request.body
  const answer = await client.send({ method, baseUrl: hop.url, path, query, body, headers })
  if (answer.status >= 300) throw refused(answer)
  const location = answer.headers['location']
  return {
    status: answer.status,
    ...(answer.body === '' ? {} : { text: { contentType: jsonContentType, content: answer.body } }),
    ...(location === undefined ? {} : { location: pathOf(location) }),
  }
}

/** The client stays with the worker that it asked, so only the path of the leader's `Location` is passed on. */
function pathOf(location: string): string {
  return location.replace(/^https?:\/\/[^/]+/u, '')
}
