import type { Password } from '../../api/config.ts'
import type { Clock } from '../../api/context.ts'
import { ConfigError } from '../../api/errors.ts'
import type { ClientTls } from '../../api/tls/ssl-options.ts'
import { requestToken, TokenSource } from '../../util/oauth-token.ts'
import type { RegistryConfig } from './options.ts'

/** Who asks the registry. */
export interface RegistryCredentials {
  /** Headers that belong to every request, beside the authorization. */
  readonly headers: Readonly<Record<string, string>>
  /**
   * The Authorization header; null where the address itself has user and password, or there are none.
   * @throws RetriableError `CONNECT_OAUTH_UNAVAILABLE`, ConnectError `CONNECT_OAUTH_REFUSED`
   */
  authorization(): Promise<string | null>
}

/** @throws ConfigError for a source of credentials that is none, or lacks options */
export function registryCredentials(
  config: RegistryConfig,
  tls: ClientTls,
  clock: Pick<Clock, 'now'>,
): RegistryCredentials {
  const headers = {
    ...named('target-sr-cluster', config['bearer.auth.logical.cluster']),
    ...named('confluent-identity-pool-id', config['bearer.auth.identity.pool.id']),
  }
  const source = config['bearer.auth.credentials.source']
  switch (source) {
    case null:
      return { headers: {}, authorization: constant(basicOf(config)) }
    case 'STATIC_TOKEN':
      return { headers, authorization: constant(`Bearer ${secret(config, 'bearer.auth.token').reveal()}`) }
    case 'OAUTHBEARER': {
      const tokens = tokensOf(config, tls, clock)
      return { headers, authorization: async () => `Bearer ${(await tokens.token()).value}` }
    }
    default:
      throw refused(
        'bearer.auth.credentials.source',
        `is ${source}; STATIC_TOKEN and OAUTHBEARER are supported. A converter knows nothing of the Kafka client's SASL options (SASL_OAUTHBEARER_INHERIT): repeat them as OAUTHBEARER with bearer.auth.issuer.endpoint.url, bearer.auth.client.id and bearer.auth.client.secret`,
      )
  }
}

const constant = (authorization: string | null) => (): Promise<string | null> => Promise.resolve(authorization)

function named(header: string, value: string | null): Readonly<Record<string, string>> {
  return value === null ? {} : { [header]: value }
}

function tokensOf(config: RegistryConfig, tls: ClientTls, clock: Pick<Clock, 'now'>): TokenSource {
  const tokenUrl = URL.parse(text(config, 'bearer.auth.issuer.endpoint.url'))
  if (tokenUrl === null || !/^https?:$/.test(tokenUrl.protocol)) {
    throw refused('bearer.auth.issuer.endpoint.url', 'must be an address like https://host/token')
  }
  const client = {
    tokenUrl,
    clientId: text(config, 'bearer.auth.client.id'),
    clientSecret: secret(config, 'bearer.auth.client.secret').reveal(),
    scope: config['bearer.auth.scope'],
    isHeaderEncoded: false,
    tls,
    timeoutMs: config['http.connect.timeout.ms'] + config['http.read.timeout.ms'],
  }
  return new TokenSource(() => requestToken(client, clock), clock)
}

function basicOf(config: RegistryConfig): string | null {
  if (config['basic.auth.credentials.source'] !== 'USER_INFO') return null
  return basicAuthorization(secret(config, 'basic.auth.user.info').reveal())
}

/** @param userInfo user and password, separated by a colon */
export function basicAuthorization(userInfo: string): string {
  return `Basic ${Buffer.from(userInfo, 'utf8').toString('base64')}`
}

function secret(
  config: RegistryConfig,
  option: 'bearer.auth.token' | 'bearer.auth.client.secret' | 'basic.auth.user.info',
): Password {
  return config[option] ?? required(option)
}

function text(config: RegistryConfig, option: 'bearer.auth.issuer.endpoint.url' | 'bearer.auth.client.id'): string {
  return config[option] ?? required(option)
}

function required(option: string): never {
  throw refused(option, 'is required by the chosen source of credentials')
}

function refused(option: string, message: string): ConfigError {
  return new ConfigError([{ option, message }])
}
