import type { SecureContextOptions, TlsOptions } from 'node:tls'
import type { RawConfig } from '../api/connector.ts'
import { ConfigError, ConnectError } from '../api/errors.ts'
import { tlsMaterial } from '../api/tls/ssl-options.ts'

/**
 * Key, certificate chain and trusted certificates of a listener, or of requests between workers.
 * @param ssl options under `ssl.`, prefix of a listener cut off
 * @throws ConnectError (`CONNECT_TLS_CONFIG`) naming the option
 */
export function secureContext(ssl: RawConfig): SecureContextOptions {
  try {
    return tlsMaterial({ prefix: 'ssl.', get: (option) => ssl[`ssl.${option}`] ?? null })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new ConnectError('config', 'CONNECT_TLS_CONFIG', error.message, { cause: error })
  }
}

/** As `secureContext`, for a server: `ssl.client.auth` decides whether clients must show a certificate. */
export function serverTls(ssl: RawConfig): TlsOptions {
  const clientAuth = ssl['ssl.client.auth'] ?? 'none'
  return {
    ...secureContext(ssl),
    requestCert: clientAuth !== 'none',
    rejectUnauthorized: clientAuth === 'required',
  }
}
