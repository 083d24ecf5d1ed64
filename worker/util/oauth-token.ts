import type { IncomingMessage } from 'node:http'
import type { Clock } from '../api/context.ts'
import { ConnectError, defineErrorCodes, RetriableError, toError } from '../api/errors.ts'
import { requestOf } from '../api/node-modules.ts'
import type { ClientTls } from '../api/tls/ssl-options.ts'
import { readText } from './http-body.ts'

export const oauthErrorCodes = defineErrorCodes({
  CONNECT_OAUTH_UNAVAILABLE: {
    meaning: 'The token endpoint did not answer, or reported a failure of its own.',
    remedy: 'Check the address of the token endpoint and that it can be reached from here; the login is tried again.',
  },
  CONNECT_OAUTH_REFUSED: {
    meaning: 'The token endpoint refused the client, or its answer holds no token that can be used.',
    remedy: 'Check client id, client secret and scope, and that the client may use the grant client_credentials.',
  },
})

/** A client of an OAuth server and how to ask for its tokens (RFC 6749, section 4.4). */
export interface ClientCredentials {
  readonly tokenUrl: URL
  readonly clientId: string
  readonly clientSecret: string
  readonly scope: string | null
  /** Whether id and secret are form-encoded before they go into the header, as the RFC says and many servers do not. */
  readonly isHeaderEncoded: boolean
  readonly tls: ClientTls | null
  /** Bound of the whole request, in ms. */
  readonly timeoutMs: number
}

export interface OAuthToken {
  readonly value: string
  /** When it ends, in ms since the epoch. */
  readonly expiresAt: number
}

/** Longest answer that is read. */
const maxBodyBytes = 1024 * 1024
/** Part of a token's life after which a new one is fetched, as Java's `sasl.login.refresh.window.factor`. */
const refreshFactor = 0.8

/**
 * Tokens of one client: the same one while it is young enough, then a new one. While a token is valid, a server that
 * is away does no harm.
 */
export class TokenSource {
  readonly #fetch: () => Promise<OAuthToken>
  readonly #clock: Pick<Clock, 'now'>
  #current: { readonly token: OAuthToken; readonly refreshAt: number } | null = null
  #pending: Promise<OAuthToken> | null = null

  constructor(fetch: () => Promise<OAuthToken>, clock: Pick<Clock, 'now'>) {
    this.#fetch = fetch
    this.#clock = clock
  }

  /**
   * A token that is valid now.
   * @throws RetriableError `CONNECT_OAUTH_UNAVAILABLE`, ConnectError `CONNECT_OAUTH_REFUSED`
   */
  async token(): Promise<OAuthToken> {
    const current = this.#current
    if (current !== null && this.#clock.now() < current.refreshAt) return current.token
    try {
      return await (this.#pending ??= this.#renew())
    } catch (error) {
      if (current !== null && error instanceof RetriableError && this.#clock.now() < current.token.expiresAt) {
        return current.token
      }
      throw error
    }
  }

  async #renew(): Promise<OAuthToken> {
    try {
      const asked = this.#clock.now()
      const token = await this.#fetch()
      this.#current = { token, refreshAt: asked + (token.expiresAt - asked) * refreshFactor }
      return token
    } finally {
      this.#pending = null
    }
  }
}

/** Asks the token endpoint once; errors as of `TokenSource.token`. */
export async function requestToken(client: ClientCredentials, clock: Pick<Clock, 'now'>): Promise<OAuthToken> {
  const asked = clock.now()
  const { host } = client.tokenUrl
  let answer: { readonly status: number; readonly body: string }
  try {
    answer = await post(client)
  } catch (error) {
    const message = `The token endpoint ${host} did not answer: ${toError(error).message}`
    throw new RetriableError('CONNECT_OAUTH_UNAVAILABLE', message, { cause: error })
  }
  if (answer.status === 429 || answer.status >= 500) {
    throw new RetriableError('CONNECT_OAUTH_UNAVAILABLE', `The token endpoint ${host} answered ${answer.status}`)
  }
  if (answer.status !== 200) {
    throw refused(`The token endpoint ${host} answered ${answer.status}${reasonIn(answer.body)}`)
  }
  return tokenIn(answer.body, asked, host)
}

function refused(message: string): ConnectError {
  return new ConnectError('fatal', 'CONNECT_OAUTH_REFUSED', message)
}

function tokenIn(body: string, asked: number, host: string): OAuthToken {
  const { access_token: value, expires_in: seconds } = fieldsOf(body)
  if (typeof value !== 'string' || value === '') {
    throw refused(`The answer of the token endpoint ${host} has no access_token`)
  }
  const expiresAt = typeof seconds === 'number' && seconds > 0 ? asked + seconds * 1000 : expiryOfJwt(value)
  if (expiresAt === null) throw refused(`The token of ${host} does not say how long it is valid (expires_in, exp)`)
  return { value, expiresAt }
}

/** The claim `exp` of a token that is a JWT, in ms since the epoch; its signature is the receiver's business. */
export function expiryOfJwt(token: string): number | null {
  const { exp } = fieldsOf(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))
  return typeof exp === 'number' ? exp * 1000 : null
}

/** What the server says of its refusal (RFC 6749, section 5.2); never the credentials. */
function reasonIn(body: string): string {
  const { error, error_description: description } = fieldsOf(body)
  return [error, description].flatMap((part) => (typeof part === 'string' ? `: ${part.slice(0, 200)}` : [])).join('')
}

function fieldsOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

async function post(client: ClientCredentials): Promise<{ readonly status: number; readonly body: string }> {
  const encoded = (text: string) => (client.isHeaderEncoded ? encodeURIComponent(text) : text)
  const credentials = `${encoded(client.clientId)}:${encoded(client.clientSecret)}`
  const form = new URLSearchParams({ grant_type: 'client_credentials' })
  if (client.scope !== null) form.set('scope', client.scope)
  const options = {
    method: 'POST',
    agent: false,
    signal: AbortSignal.timeout(client.timeoutMs),
    headers: {
      accept: 'application/json',
      authorization: `Basic ${Buffer.from(credentials, 'utf8').toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
  }
  const { promise, resolve, reject } = Promise.withResolvers<{ readonly status: number; readonly body: string }>()
  const answered = (response: IncomingMessage): void => {
    readText(response, maxBodyBytes).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject)
  }
  const sent = requestOf(client.tokenUrl.protocol)(client.tokenUrl, { ...options, ...client.tls }, answered)
  sent.once('error', reject)
  sent.end(form.toString())
  return await promise
}
