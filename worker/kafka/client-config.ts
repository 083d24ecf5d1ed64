/**
 * Java client properties → what our clients need. Options keep Java's names, units and defaults (Kafka 4.3); what this
 * client has no use for is logged at debug and ignored, so that an existing worker file can be taken as it is.
 */
import { ConfigError } from '../api/errors.ts'
import { type ClientTls, clientTls, type SslOption } from '../api/tls/ssl-options.ts'
import { kafkaError } from './errors.ts'
import type { PropertyReader } from './property-reader.ts'
import { readSasl, type SaslConfig } from './sasl-config.ts'

/** Options that every client has. */
export interface ConnectionConfig {
  readonly bootstrapServers: readonly string[]
  readonly clientId: string
  readonly tls: ClientTls | null
  readonly sasl: SaslConfig | null
  readonly requestTimeoutMs: number
  readonly connectionTimeoutMs: number
  readonly apiTimeoutMs: number
  readonly retryBackoffMs: number
  readonly retryBackoffMaxMs: number
  readonly metadataMaxAgeMs: number
  readonly autoCreateTopics: boolean
}

export function readConnectionConfig(
  reader: PropertyReader,
  defaults: { readonly apiTimeoutMs: number },
): ConnectionConfig {
  const bootstrapServers = reader.list('bootstrap.servers') ?? []
  if (bootstrapServers.length === 0) {
    throw kafkaError('CONNECT_KAFKA_CONFIG', 'The client property bootstrap.servers is missing')
  }
  for (const server of bootstrapServers) {
    if (!/^(\[[0-9a-fA-F:.]+\]|[^:[\]]+):\d{1,5}$/.test(server)) {
      throw kafkaError(
        'CONNECT_KAFKA_CONFIG',
        `The client property bootstrap.servers must list host:port, not "${server}"`,
      )
    }
  }
  const protocol = reader.choice('security.protocol', ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'], 'PLAINTEXT')
  return {
    bootstrapServers,
    clientId: reader.text('client.id') ?? 'sluice',
    tls: protocol === 'SSL' || protocol === 'SASL_SSL' ? readTls(reader) : null,
    sasl: protocol.startsWith('SASL_') ? readSasl(reader) : null,
    requestTimeoutMs: reader.integer('request.timeout.ms', 30_000, 1),
    connectionTimeoutMs: reader.integer('socket.connection.setup.timeout.ms', 10_000, 1),
    apiTimeoutMs: reader.integer('default.api.timeout.ms', defaults.apiTimeoutMs, 1),
    retryBackoffMs: reader.integer('retry.backoff.ms', 100),
    retryBackoffMaxMs: reader.integer('retry.backoff.max.ms', 1000),
    metadataMaxAgeMs: reader.integer('metadata.max.age.ms', 300_000),
    autoCreateTopics: reader.boolean('allow.auto.create.topics', true),
  }
}

function readTls(reader: PropertyReader): ClientTls {
  try {
    // An empty algorithm switches host name verification off, as in Java; text() reads it as absent.
    const get = (option: SslOption) =>
      option === 'endpoint.identification.algorithm' ? reader.raw(`ssl.${option}`) : reader.text(`ssl.${option}`)
    return clientTls({ prefix: 'ssl.', get })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw kafkaError('CONNECT_KAFKA_CONFIG', `The client property ${error.message}`, {}, error)
  }
}
