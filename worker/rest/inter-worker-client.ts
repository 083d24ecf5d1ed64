/** HTTP between workers: forwarded requests and signed internal ones. One connection per request, as in Connect. */
import type { IncomingMessage } from 'node:http'
import type { SecureContextOptions } from 'node:tls'
import type { RawConfig } from '../api/connector.ts'
import { NotLeaderError, RequestError, toError } from '../api/errors.ts'
import { requestOf } from '../api/node-modules.ts'
import { tlsOptions, type WorkerConfig } from '../config/worker-config.ts'
import { conflictMessage } from './errors.ts'
import { jsonContentType } from './route.ts'
import { secureContext } from './tls.ts'

/** Header names in lower case, as Node has them (KIP-507). */
export const signatureHeaders = {
  signature: 'x-connect-authorization',
  algorithm: 'x-connect-request-signature-algorithm',
} as const

export interface ForwardedAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

export interface OutgoingRequest {
  readonly method: string
  /** Base URL of the other worker, with or without `/` at its end. */
  readonly baseUrl: string
  /** Encoded path, beginning with `/`. */
  readonly path: string
  readonly query: URLSearchParams
  readonly body: Uint8Array | null
  readonly headers: Readonly<Record<string, string>>
}

/** Proof of an internal request: made by the herder, which has the session key. */
export interface SignedBody {
  readonly algorithm: string
  /** Base64. */
  readonly signature: string
}

export interface InterWorkerClientOptions {
  /** Key, certificate and trusted certificates; asked for only when a target is `https`. */
  readonly tls: () => SecureContextOptions
  /** `ssl.endpoint.identification.algorithm` is not empty: the target's name must match its certificate. */
  readonly checkServerName: boolean
  readonly timeoutMs: number
}

export class InterWorkerClient {
  readonly #options: InterWorkerClientOptions

  constructor(options: InterWorkerClientOptions) {
    this.#options = options
  }

  /**
   * Sends one request and reads the whole answer; redirects are not followed.
   * @throws RequestError 500 when the other worker cannot be reached
   */
  async send(request: OutgoingRequest): Promise<ForwardedAnswer> {
    try {
      return await this.#exchange(request)
    } catch (error) {
      const message = `IO Error trying to forward REST request: ${toError(error).message}`
      throw new RequestError(500, 'CONNECT_FORWARD_FAILED', message, { cause: error })
    }
  }

  /** `POST /connectors/{c}/tasks` on the leader. @throws RequestError with the leader's status and message */
  async putTaskConfigs(
    leaderUrl: string,
    connector: string,
    configs: readonly RawConfig[],
    sign: (body: Uint8Array) => SignedBody | null,
  ): Promise<void> {
    const body = new TextEncoder().encode(JSON.stringify(configs))
    await this.#internal('POST', leaderUrl, `/connectors/${encodeURIComponent(connector)}/tasks`, { body, sign })
  }

  /** `PUT /connectors/{c}/fence` on the leader (KIP-618). @throws RequestError with the leader's status and message */
  async fenceZombies(
    leaderUrl: string,
    connector: string,
    sign: (body: Uint8Array) => SignedBody | null,
  ): Promise<void> {
    const path = `/connectors/${encodeURIComponent(connector)}/fence`
    await this.#internal('PUT', leaderUrl, path, { body: new Uint8Array(), sign })
  }

  async #internal(
    method: string,
    baseUrl: string,
    path: string,
    { body, sign }: { body: Uint8Array; sign: (body: Uint8Array) => SignedBody | null },
  ): Promise<void> {
    const proof = sign(body)
    const answer = await this.send({
      method,
      baseUrl,
      path,
      query: new URLSearchParams(),
      body: body.length === 0 ? null : body,
      headers:
        proof === null
          ? {}
          : { [signatureHeaders.signature]: proof.signature, [signatureHeaders.algorithm]: proof.algorithm },
    })
    if (answer.status >= 300) throw refused(answer)
  }

  #exchange(outgoing: OutgoingRequest): Promise<ForwardedAnswer> {
    const query = outgoing.query.toString()
    const url = new URL(outgoing.baseUrl.replace(/\/$/u, '') + outgoing.path + (query === '' ? '' : `?${query}`))
    const secure = url.protocol === 'https:'
    const { promise, resolve, reject } = Promise.withResolvers<ForwardedAnswer>()
    const sent = requestOf(url.protocol)(
      url,
      {
        method: outgoing.method,
        agent: false,
        signal: AbortSignal.timeout(this.#options.timeoutMs),
        headers: {
          accept: jsonContentType,
          'user-agent': 'kafka-connect',
          ...(outgoing.body === null
            ? {}
            : { 'content-type': jsonContentType, 'content-length': String(outgoing.body.length) }),
          ...outgoing.headers,
        },
        ...(secure ? this.#options.tls() : {}),
        ...(secure && !this.#options.checkServerName ? { checkServerIdentity: () => undefined } : {}),
      },
      (response) => {
        readAnswer(response).then(resolve, reject)
      },
    )
    sent.on('error', reject)
    sent.end(outgoing.body ?? undefined)
    return promise
  }
}

async function readAnswer(response: IncomingMessage): Promise<ForwardedAnswer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of response) chunks.push(chunk as Uint8Array)
  const headers = Object.fromEntries(
    Object.entries(response.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  )
  return { status: response.statusCode ?? 0, headers, body: Buffer.concat(chunks).toString('utf8') }
}

/** The other worker's refusal as our own, with its status and message. */
export function refused({ status, body }: ForwardedAnswer): RequestError {
  if (status < 400) {
    const message = `Unexpected status code when handling forwarded request: ${status}`
    return new RequestError(500, 'CONNECT_FORWARD_FAILED', message)
  }
  return new RequestError(status, 'CONNECT_FORWARD_FAILED', messageOf(body))
}

function messageOf(body: string): string {
  try {
    const json: unknown = JSON.parse(body)
    if (typeof json === 'object' && json !== null && 'message' in json && typeof json.message === 'string') {
      return json.message
    }
  } catch {
    // Not one of Connect's error bodies: the text itself is the message.
  }
  return body === '' ? 'The other worker gave no reason' : body
}

/**
 * Value of `forward` for the next hop (spec 4.2): absent → `true` → `false`; a request with `false` goes no further.
 * @throws RequestError 409 when it may not be forwarded, or nobody knows where to
 */
export function nextHop(forward: string | null, error: NotLeaderError): { url: string; forward: 'true' | 'false' } {
  if (forward !== null && forward.toLowerCase() !== 'true') {
    throw new RequestError(409, 'CONNECT_NOT_LEADER', conflictMessage)
  }
  if (error.url === null) {
    const message =
      'Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway.'
    throw new RequestError(409, 'CONNECT_NOT_LEADER', message)
  }
  return { url: error.url, forward: forward === null ? 'true' : 'false' }
}

/** The client by which this worker reaches others, with the TLS options of its listeners (as in Connect). */
export function interWorkerClient(config: WorkerConfig, timeoutMs = 90_000): InterWorkerClient {
  const ssl = tlsOptions(config.raw, 'listeners.https.')
  return new InterWorkerClient({
    tls: () => secureContext(ssl),
    checkServerName: (ssl['ssl.endpoint.identification.algorithm'] ?? 'https') !== '',
    timeoutMs,
  })
}
