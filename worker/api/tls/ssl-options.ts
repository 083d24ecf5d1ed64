/** Java's `ssl.*` options, as every client and listener has them → what Node's TLS takes. */
import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { Password } from '../config.ts'
import { ConfigError, toError } from '../errors.ts'
import { isJavaKeyStore, readJavaKeyStore } from './java-key-store.ts'
import { pkcs12Certificates } from './pkcs12-trust.ts'

/** Options by their names behind `ssl.`; others of Java's have no meaning here. */
export type SslOption =
  | 'truststore.location'
  | 'truststore.type'
  | 'truststore.password'
  | 'truststore.certificates'
  | 'keystore.location'
  | 'keystore.type'
  | 'keystore.password'
  | 'keystore.key'
  | 'keystore.certificate.chain'
  | 'key.password'
  | 'cipher.suites'
  | 'enabled.protocols'
  | 'endpoint.identification.algorithm'

export interface SslSource {
  /** What stands before the options' names in errors, e.g. `elastic.https.ssl.`. */
  readonly prefix: string
  /** The text of an option, or null when it is not set. */
  readonly get: (option: SslOption) => string | null
}

/** An option as it was parsed, as text. */
export function sslText(value: string | Password | readonly string[] | null): string | null {
  if (value === null || typeof value === 'string') return value
  return value instanceof Password ? value.reveal() : value.join(',')
}

/** Keys, certificates and versions: for both ends of a connection. */
export type TlsMaterial = Pick<
  ConnectionOptions,
  'ca' | 'cert' | 'key' | 'pfx' | 'passphrase' | 'ciphers' | 'minVersion' | 'maxVersion'
>

const storeTypes = ['PEM', 'PKCS12', 'JKS'] as const
type StoreType = (typeof storeTypes)[number]

/**
 * Reads stores of the types PEM, PKCS12 and JKS, and PEM text in the options themselves, which counts before a file.
 * Java reads PKCS12 and its own format under either name, and so does this; without a type the content decides.
 * @throws ConfigError naming the option: a file that cannot be read, a wrong password, a type that does not fit
 */
export function tlsMaterial(source: SslSource): TlsMaterial {
  const versions = list(source.get('enabled.protocols')) ?? ['TLSv1.2', 'TLSv1.3']
  const ciphers = list(source.get('cipher.suites')) ?? []
  return {
    ...trusted(source),
    ...ownKey(source),
    ...(ciphers.length > 0 && { ciphers: ciphers.join(':') }),
    minVersion: versions.includes('TLSv1.2') ? 'TLSv1.2' : 'TLSv1.3',
    maxVersion: versions.includes('TLSv1.3') ? 'TLSv1.3' : 'TLSv1.2',
  }
}

/** What a client needs; the server's chain is always checked. */
export type ClientTls = TlsMaterial & Pick<ConnectionOptions, 'checkServerIdentity' | 'rejectUnauthorized'>

/** As `tlsMaterial`, for a client: an empty `endpoint.identification.algorithm` leaves the host's name unchecked. */
export function clientTls(source: SslSource): ClientTls {
  const isUnchecked = source.get('endpoint.identification.algorithm')?.trim() === ''
  return {
    ...tlsMaterial(source),
    rejectUnauthorized: true,
    ...(isUnchecked && { checkServerIdentity: () => undefined }),
  }
}

function trusted(source: SslSource): TlsMaterial {
  const text = source.get('truststore.certificates')
  if (text !== null) return { ca: pemText(text) }
  const file = storeFile(source, 'truststore')
  if (file === null) return {}
  const password = source.get('truststore.password')
  const option = `${source.prefix}truststore.location`
  switch (file.type) {
    case 'PEM':
      return { ca: file.bytes }
    case 'PKCS12':
      return { ca: [...pkcs12Certificates(file.bytes, password, option)] }
    case 'JKS':
      return { ca: [...readJavaKeyStore(file.bytes, { password, keyPassword: null, option }).certificates] }
  }
}

function ownKey(source: SslSource): TlsMaterial {
  const keyPassword = source.get('key.password')
  const text = source.get('keystore.key')
  if (text !== null) {
    const chain = source.get('keystore.certificate.chain')
    return { key: pemText(text), ...(chain !== null && { cert: pemText(chain) }), ...passphrase(keyPassword) }
  }
  const file = storeFile(source, 'keystore')
  if (file === null) return {}
  const password = source.get('keystore.password')
  switch (file.type) {
    case 'PEM':
      return { key: file.bytes, cert: file.bytes, ...passphrase(keyPassword ?? password) }
    case 'PKCS12':
      return { pfx: file.bytes, ...passphrase(password ?? keyPassword) }
    case 'JKS': {
      const option = `${source.prefix}keystore.location`
      const { key } = readJavaKeyStore(file.bytes, { password, keyPassword, option })
      if (key === null) {
        const message = `has no private key, or ${source.prefix}keystore.password is missing`
        throw new ConfigError([{ option, message }])
      }
      // The key is no longer protected: a passphrase would be asked of nobody.
      return { key: key.privateKey, cert: key.chain }
    }
  }
}

function passphrase(password: string | null): TlsMaterial {
  return password === null ? {} : { passphrase: password }
}

interface StoreFile {
  readonly type: StoreType
  readonly bytes: Buffer
}

function storeFile(source: SslSource, kind: 'truststore' | 'keystore'): StoreFile | null {
  const location = source.get(`${kind}.location`)
  if (location === null || location === '') return null
  const bytes = readOption(`${source.prefix}${kind}.location`, location)
  const found = typeOf(bytes)
  const given = source.get(`${kind}.type`)?.toUpperCase() ?? found
  const option = `${source.prefix}${kind}.type`
  if (!isStoreType(given)) {
    throw new ConfigError([{ option, message: `${given} cannot be read: use PEM, PKCS12 or JKS` }])
  }
  if ((given === 'PEM') !== (found === 'PEM')) {
    throw new ConfigError([{ option, message: `is ${given}, but ${location} is ${found}; set it to ${found}` }])
  }
  return { type: found, bytes }
}

function isStoreType(text: string): text is StoreType {
  return storeTypes.some((type) => type === text)
}

function typeOf(bytes: Buffer): StoreType {
  if (isJavaKeyStore(bytes)) return 'JKS'
  return bytes.includes('-----BEGIN ') ? 'PEM' : 'PKCS12'
}

function readOption(option: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    const message = `cannot read ${path}: ${toError(error).message}`
    throw new ConfigError([{ option, message }], { cause: error })
  }
}

/** PEM in an option may have its line breaks written as `\n`, as in Kafka. */
function pemText(text: string): string {
  return text.replaceAll('\\n', '\n')
}

function list(text: string | null): readonly string[] | null {
  if (text === null) return null
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}
