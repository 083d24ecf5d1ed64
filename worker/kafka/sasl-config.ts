/** `sasl.*` of Java's clients → the logins that kafkajs carries out. */
import { readFile } from 'node:fs/promises'
import { ConfigError, ConnectError, toError } from '../api/errors.ts'
import { clientTls } from '../api/tls/ssl-options.ts'
import { systemClock } from '../util/clock.ts'
import { expiryOfJwt, type OAuthToken, requestToken, TokenSource } from '../util/oauth-token.ts'
import { kafkaError } from './errors.ts'
import type { PropertyReader } from './property-reader.ts'

interface PasswordLogin {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  readonly username: string
  readonly password: string
}

/** A login of our own, in kafkajs' form; carried out for every connection, and again when a broker asks (KIP-368). */
interface TokenLogin {
  readonly mechanism: 'oauthbearer'
  readonly authenticationProvider: (connection: {
    readonly saslAuthenticate: (exchange: SaslExchange) => Promise<Buffer>
  }) => { readonly authenticate: () => Promise<void> }
}

/** One message of a login and how its answer is read. */
interface SaslExchange {
  readonly request: { readonly encode: () => Promise<Buffer> }
  readonly response: {
    readonly decode: (bytes: Buffer) => Promise<Buffer>
    readonly parse: (bytes: Buffer) => Promise<Buffer>
  }
}

export type SaslConfig = PasswordLogin | TokenLogin

/** @throws ConnectError `CONNECT_KAFKA_CONFIG` naming the property */
export function readSasl(reader: PropertyReader): SaslConfig {
  const mechanism = reader.text('sasl.mechanism') ?? 'GSSAPI'
  const jaas = jaasOptions(reader.text('sasl.jaas.config'))
  switch (mechanism) {
    case 'PLAIN':
      return { mechanism: 'plain', ...passwordOf(jaas) }
    case 'SCRAM-SHA-256':
      return { mechanism: 'scram-sha-256', ...passwordOf(jaas) }
    case 'SCRAM-SHA-512':
      return { mechanism: 'scram-sha-512', ...passwordOf(jaas) }
    case 'OAUTHBEARER':
      return tokenLogin(reader, jaas)
    default:
      throw kafkaError(
        'CONNECT_KAFKA_CONFIG',
        `The client property sasl.mechanism is ${mechanism}; PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER are supported`,
      )
  }
}

/** Options of a JAAS entry: `Module required username="a" password="b\"c";`. */
export function jaasOptions(entry: string | null): ReadonlyMap<string, string> {
  const options = new Map<string, string>()
  for (const [, name = '', quoted, bare = ''] of (entry ?? '').matchAll(
    /([\w.]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/g,
  )) {
    options.set(name, quoted === undefined ? bare : quoted.replace(/\\(.)/g, '$1'))
  }
  return options
}

function passwordOf(jaas: ReadonlyMap<string, string>): Omit<PasswordLogin, 'mechanism'> {
  const [username, password] = [jaas.get('username'), jaas.get('password')]
  if (username !== undefined && password !== undefined) return { username, password }
  throw kafkaError('CONNECT_KAFKA_CONFIG', 'The client property sasl.jaas.config must name username and password')
}

/**
 * kafkajs has this mechanism, too, but takes every answer for a yes: a refusal is told in an answer without an error
 * (RFC 7628, section 3.2.2), and the connection then ends without a reason.
 */
function tokenLogin(reader: PropertyReader, jaas: ReadonlyMap<string, string>): TokenLogin {
  const tokens = new TokenSource(tokenFetcher(reader, jaas), systemClock)
  const extensions = [...jaas].flatMap(([name, value]) =>
    name.startsWith('extension_') ? `${name.slice('extension_'.length)}=${value}\u0001` : [],
  )
  const authenticate = async (saslAuthenticate: (exchange: SaslExchange) => Promise<Buffer>): Promise<void> => {
    const { value } = await tokens.token()
    const message = prefixed(Buffer.from(`n,,\u0001auth=Bearer ${value}\u0001${extensions.join('')}\u0001`, 'utf8'))
    const answer = await saslAuthenticate({
      request: { encode: () => Promise.resolve(message) },
      response: {
        decode: (bytes) => Promise.resolve(bytes.subarray(lengthBytes)),
        parse: (bytes) => Promise.resolve(bytes),
      },
    })
    if (answer.length === 0) return
    const reason = answer.toString('utf8').slice(0, 200)
    throw kafkaError('CONNECT_KAFKA_AUTHENTICATION', `The broker refused the token: ${reason}`)
  }
  return {
    mechanism: 'oauthbearer',
    authenticationProvider: ({ saslAuthenticate }) => ({ authenticate: () => authenticate(saslAuthenticate) }),
  }
}

/** kafkajs gives and takes messages with their length before them. */
const lengthBytes = 4

function prefixed(bytes: Buffer): Buffer {
  const length = Buffer.alloc(lengthBytes)
  length.writeInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

/**
 * Tokens from an endpoint by client credentials (KIP-768, KIP-1139), from a file that something else keeps fresh, or,
 * without either, the unsigned ones that Java's default login makes for brokers of a test.
 */
function tokenFetcher(reader: PropertyReader, jaas: ReadonlyMap<string, string>): () => Promise<OAuthToken> {
  const endpoint = reader.text('sasl.oauthbearer.token.endpoint.url')
  if (endpoint === null) return unsecuredTokens(jaas)
  const tokenUrl = URL.parse(endpoint)
  switch (tokenUrl?.protocol) {
    case 'file:':
      return () => tokenInFile(tokenUrl)
    case 'http:':
    case 'https:': {
      const named = (property: string, option: string): string | null =>
        reader.text(property) ?? jaas.get(option) ?? null
      const client = 'sasl.oauthbearer.client.credentials.client'
      const clientId = named(`${client}.id`, 'clientId')
      const clientSecret = named(`${client}.secret`, 'clientSecret')
      if (clientId === null || clientSecret === null) {
        throw kafkaError(
          'CONNECT_KAFKA_CONFIG',
          `The client property sasl.jaas.config must name clientId and clientSecret, or set ${client}.id and .secret`,
        )
      }
      const credentials = {
        tokenUrl,
        clientId,
        clientSecret,
        scope: named('sasl.oauthbearer.scope', 'scope'),
        isHeaderEncoded: reader.boolean('sasl.oauthbearer.header.urlencode', false),
        tls: tokenUrl.protocol === 'https:' ? endpointTls(jaas) : null,
        timeoutMs:
          reader.integer('sasl.login.connect.timeout.ms', 10_000) +
          reader.integer('sasl.login.read.timeout.ms', 10_000),
      }
      return () => requestToken(credentials, systemClock)
    }
    default:
      throw kafkaError(
        'CONNECT_KAFKA_CONFIG',
        'The client property sasl.oauthbearer.token.endpoint.url must be an address like https://host/token or file:///path',
      )
  }
}

/** As in Java, the JAAS entry says how to trust the token endpoint; `ssl.*` of the client is for the brokers. */
function endpointTls(jaas: ReadonlyMap<string, string>) {
  try {
    return clientTls({ prefix: 'ssl.', get: (option) => jaas.get(`ssl.${option}`) ?? null })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw kafkaError('CONNECT_KAFKA_CONFIG', `In the client property sasl.jaas.config: ${error.message}`, {}, error)
  }
}

async function tokenInFile(path: URL): Promise<OAuthToken> {
  let value: string
  try {
    value = (await readFile(path, 'utf8')).trim()
  } catch (error) {
    const message = `The token file cannot be read: ${toError(error).message}`
    throw new ConnectError('fatal', 'CONNECT_OAUTH_REFUSED', message, { cause: error })
  }
  const expiresAt = expiryOfJwt(value)
  if (expiresAt !== null) return { value, expiresAt }
  throw new ConnectError('fatal', 'CONNECT_OAUTH_REFUSED', `${path.pathname} holds no JSON web token with an exp claim`)
}

function unsecuredTokens(jaas: ReadonlyMap<string, string>): () => Promise<OAuthToken> {
  const subject = jaas.get('unsecuredLoginStringClaim_sub')
  if (subject === undefined) {
    throw kafkaError(
      'CONNECT_KAFKA_CONFIG',
      'The client property sasl.oauthbearer.token.endpoint.url is missing; OAUTHBEARER needs to know where tokens come from',
    )
  }
  const lifeMs = Number(jaas.get('unsecuredLoginLifetimeSeconds') ?? 3600) * 1000
  const part = (value: object) => Buffer.from(JSON.stringify(value), 'utf8').toString('base64url')
  return () => {
    const issuedAt = systemClock.now()
    const expiresAt = issuedAt + lifeMs
    const claims = { sub: subject, iat: issuedAt / 1000, exp: expiresAt / 1000 }
    return Promise.resolve({ value: `${part({ alg: 'none' })}.${part(claims)}.`, expiresAt })
  }
}
