import type { Agent as HttpAgent, IncomingMessage } from 'node:http'
import type { Agent as HttpsAgent } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConfigError, RetriableError, toError } from '../../api/errors.ts'
import { nodeHttp, nodeHttps, requestOf } from '../../api/node-modules.ts'
import { type ClientTls, clientTls, sslText } from '../../api/tls/ssl-options.ts'
import { systemClock } from '../../util/clock.ts'
import { readText } from '../../util/http-body.ts'
import { basicAuthorization, type RegistryCredentials, registryCredentials } from './credentials.ts'
import type { RegistryConfig } from './options.ts'

export interface RegistryResponse {
  readonly status: number
  readonly body: string
}

/** What a request to the registry is: a path below its address, and a body for POST. */
export interface RegistryRequest {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: string
}

interface AuthorizedRequest extends RegistryRequest {
  readonly authorization: string | null
}

const mediaType = 'application/vnd.schemaregistry.v1+json'
/** Longest answer that is read; a schema is kilobytes. */
const maxBodyBytes = 64 * 1024 * 1024

/**
 * HTTP to a schema registry with several addresses. The address that answered last is asked first; one that does not
 * answer, or reports a failure of its own (429, 5xx), is passed over.
 */
export class RegistryTransport {
  readonly #urls: readonly URL[]
  readonly #config: RegistryConfig
  readonly #credentials: RegistryCredentials
  readonly #agents: { readonly http: HttpAgent; readonly https: HttpsAgent }
  #current = 0

  /** @throws ConfigError for addresses, credentials and TLS files that cannot be used */
  constructor(config: RegistryConfig) {
    this.#config = config
    this.#urls = config['schema.registry.url'].map(parseUrl)
    const tls = tlsOptions(config)
    this.#credentials = registryCredentials(config, tls, systemClock)
    const options = { keepAlive: true, maxSockets: 4 }
    this.#agents = { http: new (nodeHttp().Agent)(options), https: new (nodeHttps().Agent)({ ...options, ...tls }) }
  }

  /**
   * Sends a request until an address answers for itself.
   * @throws RetriableError when none does, after `max.retries` rounds, or when there is no token to be had for it
   */
  async send(request: RegistryRequest, signal: AbortSignal): Promise<RegistryResponse> {
    const rounds = this.#config['max.retries']
    let pauseMs = this.#config['retries.wait.ms']
    for (let round = 0; ; round++) {
      const authorization = await this.#credentials.authorization()
      const outcome = await this.#round({ ...request, authorization }, signal)
      if ('status' in outcome) return outcome
      if (round >= rounds) throw outcome
      await sleep(pauseMs, undefined, { signal })
      pauseMs = Math.min(pauseMs * 2, this.#config['retries.max.wait.ms'])
    }
  }

  /** Asks every address once. */
  async #round(request: AuthorizedRequest, signal: AbortSignal): Promise<RegistryResponse | RetriableError> {
    let failure = ''
    let cause: unknown
    for (let i = 0; i < this.#urls.length; i++) {
      const index = (this.#current + i) % this.#urls.length
      const url = this.#urls[index] as URL
      try {
        const response = await this.#sendTo(url, request, signal)
        if (response.status !== 429 && response.status < 500) {
          this.#current = index
          return response
        }
        failure = `${url.host} answered ${response.status}: ${response.body.slice(0, 300)}`
      } catch (error) {
        signal.throwIfAborted()
        failure = `${url.host}: ${toError(error).message}`
        cause = error
      }
    }
    return new RetriableError('CONNECT_REGISTRY_UNAVAILABLE', `The schema registry is not available (${failure})`, {
      cause,
      context: { addresses: this.#urls.length },
    })
  }

  async #sendTo(base: URL, request: AuthorizedRequest, signal: AbortSignal): Promise<RegistryResponse> {
    const { method, path, body } = request
    const headers: Record<string, string> = {
      ...this.#credentials.headers,
      accept: `${mediaType}, application/json`,
    }
    if (body !== undefined) headers['content-type'] = mediaType
    const authorization = request.authorization ?? credentialsOf(base)
    if (authorization !== null) headers['authorization'] = authorization
    const url = new URL(base.pathname.replace(/\/+$/, '') + path, base)
    const timeout = this.#config['http.connect.timeout.ms'] + this.#config['http.read.timeout.ms']
    const options = { method, headers, signal: AbortSignal.any([signal, AbortSignal.timeout(timeout)]) }
    const { promise, resolve, reject } = Promise.withResolvers<RegistryResponse>()
    const answered = (response: IncomingMessage): void => {
      readBody(response).then(resolve, reject)
    }
    const agent = base.protocol === 'https:' ? this.#agents.https : this.#agents.http
    const sent = requestOf(base.protocol)(url, { ...options, agent }, answered)
    sent.once('error', reject)
    sent.setTimeout(this.#config['http.read.timeout.ms'], () => sent.destroy(new Error('no answer in time')))
    sent.end(body)
    return promise
  }

  close(): void {
    this.#agents.http.destroy()
    this.#agents.https.destroy()
  }
}

async function readBody(response: IncomingMessage): Promise<RegistryResponse> {
  const body = await readText(response, maxBodyBytes)
  return { status: response.statusCode ?? 0, body }
}

function parseUrl(text: string): URL {
  const url = URL.parse(text)
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) return url
  // The text itself may hold a password (I8).
  throw new ConfigError([{ option: 'schema.registry.url', message: 'must be addresses like http://host:8081' }])
}

function credentialsOf({ username, password }: URL): string | null {
  return username === '' ? null : basicAuthorization(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)
}

function tlsOptions(config: RegistryConfig): ClientTls {
  return clientTls({
    prefix: 'schema.registry.ssl.',
    get: (option) => sslText(config[`schema.registry.ssl.${option}`]),
  })
}
