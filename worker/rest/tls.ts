/** Java's `ssl.*` options → Node's TLS options. PEM and PKCS12; the JKS format exists only in Java. */
import { readFileSync } from 'node:fs'
import type { SecureContextOptions, TlsOptions } from 'node:tls'
import type { RawConfig } from '../api/connector.ts'
import { ConnectError, toError } from '../api/errors.ts'

const javaProtocols: Readonly<Record<string, 'TLSv1.2' | 'TLSv1.3'>> = { 'TLSv1.2': 'TLSv1.2', 'TLSv1.3': 'TLSv1.3' }

/**
 * Key, certificate chain and trusted certificates.
 * @param ssl options under `ssl.`, prefix of a listener cut off
 * @throws ConnectError (`CONNECT_TLS_CONFIG`) naming the option
 */
export function secureContext(ssl: RawConfig): SecureContextOptions {
  const versions = (ssl['ssl.enabled.protocols'] ?? 'TLSv1.2,TLSv1.3')
    .split(',')
    .flatMap((v) => javaProtocols[v.trim()] ?? [])
  return {
    ...ownKey(ssl),
    ...trusted(ssl),
    minVersion: versions.includes('TLSv1.2') ? 'TLSv1.2' : 'TLSv1.3',
    maxVersion: versions.includes('TLSv1.3') ? 'TLSv1.3' : 'TLSv1.2',
    ...(ssl['ssl.cipher.suites'] === undefined ? {} : { ciphers: ssl['ssl.cipher.suites'].replaceAll(',', ':') }),
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

function ownKey(ssl: RawConfig): SecureContextOptions {
  const keyText = ssl['ssl.keystore.key']
  const passphrase = ssl['ssl.key.password'] ?? ssl['ssl.keystore.password']
  const withPassword = passphrase === undefined ? {} : { passphrase }
  if (keyText !== undefined) {
    return { key: pem(keyText), cert: pem(ssl['ssl.keystore.certificate.chain'] ?? ''), ...withPassword }
  }
  const location = ssl['ssl.keystore.location']
  if (location === undefined) return {}
  const bytes = readOption('ssl.keystore.location', location)
  switch (storeType(ssl['ssl.keystore.type'], location)) {
    case 'PEM':
      return { key: bytes, cert: bytes, ...withPassword }
    case 'PKCS12':
      return { pfx: bytes, ...withPassword }
    default:
      throw unsupported('ssl.keystore.type', location)
  }
}

function trusted(ssl: RawConfig): SecureContextOptions {
  const text = ssl['ssl.truststore.certificates']
  if (text !== undefined) return { ca: pem(text) }
  const location = ssl['ssl.truststore.location']
  if (location === undefined) return {}
  if (storeType(ssl['ssl.truststore.type'], location) !== 'PEM') throw unsupported('ssl.truststore.type', location)
  return { ca: readOption('ssl.truststore.location', location) }
}

function storeType(given: string | undefined, location: string): string {
  if (given !== undefined) return given.toUpperCase()
  if (/\.(pem|crt|cer|key)$/u.test(location)) return 'PEM'
  return /\.(p12|pfx|pkcs12)$/u.test(location) ? 'PKCS12' : 'JKS'
}

/** PEM in an option may have its line breaks written as `\n`, as in Kafka. */
function pem(text: string): string {
  return text.replaceAll('\\n', '\n')
}

function readOption(option: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new ConnectError(
      'config',
      'CONNECT_TLS_CONFIG',
      `${option}: cannot read ${path}: ${toError(error).message}`,
      {
        cause: error,
      },
    )
  }
}

function unsupported(option: string, location: string): ConnectError {
  const advice =
    option === 'ssl.keystore.type'
      ? 'use PEM or PKCS12 (`keytool -importkeystore -deststoretype pkcs12` converts a JKS file)'
      : 'use PEM (`keytool -exportcert -rfc` writes certificates of a JKS file)'
  return new ConnectError(
    'config',
    'CONNECT_TLS_CONFIG',
    `${option}: the format of ${location} is not supported; ${advice}`,
  )
}
