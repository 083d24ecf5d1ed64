import type { Validator } from '../../worker/api/config.ts'

const group = 'Security'

/**
 * A part of Java's TLS that Node has no counterpart of. Names that every Java has mean no more than the default does;
 * any other was chosen for what it does (a certified provider, a factory that judges certificates), so that to go on
 * without it would be wrong.
 * @param names what may be set, in any case
 */
function onlyJavas(...names: readonly string[]): Validator {
  const allowed = names.length === 0 ? 'leave it out' : `leave it out, or use one of ${names.join(', ')}`
  return {
    description: names.length === 0 ? 'empty' : `one of ${names.join(', ')}`,
    check: (_, value) => {
      const text = String(value ?? '').trim()
      if (text === '' || names.some((name) => name.toLowerCase() === text.toLowerCase())) return null
      return `TLS is that of Node.js, which has no such parts to choose from: ${allowed}`
    },
  }
}

const protocols = ['TLSv1.3', 'TLSv1.2', 'TLS']

/** Older ones are not safe, and Java has them switched off. */
const tlsProtocol: Validator = {
  description: `one of ${protocols.join(', ')}`,
  check: (_, value) => (protocols.includes(String(value)) ? null : `use one of ${protocols.join(', ')}`),
}

/** TLS options with the names of Kafka's clients. */
export const sslOptions = {
  'elastic.https.ssl.key.password': {
    type: 'PASSWORD',
    default: null,
    importance: 'HIGH',
    group,
    order: 41,
    displayName: 'ssl.key.password',
    doc: 'Password of the client key.',
  },
  'elastic.https.ssl.keystore.certificate.chain': {
    type: 'PASSWORD',
    default: null,
    importance: 'HIGH',
    group,
    order: 42,
    displayName: 'ssl.keystore.certificate.chain',
    doc: 'Client certificate, as PEM text.',
  },
  'elastic.https.ssl.keystore.key': {
    type: 'PASSWORD',
    default: null,
    importance: 'HIGH',
    group,
    order: 43,
    displayName: 'ssl.keystore.key',
    doc: 'Client key, as PEM text.',
  },
  'elastic.https.ssl.keystore.location': {
    type: 'STRING',
    default: null,
    importance: 'HIGH',
    group,
    order: 44,
    displayName: 'ssl.keystore.location',
    doc: 'File with the client certificate and its key.',
  },
  'elastic.https.ssl.keystore.password': {
    type: 'PASSWORD',
    default: null,
    importance: 'HIGH',
    group,
    order: 45,
    displayName: 'ssl.keystore.password',
    doc: 'Password of that file.',
  },
  'elastic.https.ssl.truststore.certificates': {
    type: 'PASSWORD',
    default: null,
    importance: 'HIGH',
    group,
    order: 46,
    displayName: 'ssl.truststore.certificates',
    doc: 'Certificates to trust, as PEM text.',
  },
  'elastic.https.ssl.truststore.location': {
    type: 'STRING',
    default: null,
    importance: 'HIGH',
    group,
    order: 47,
    displayName: 'ssl.truststore.location',
    doc: 'File with the certificates to trust.',
  },
  'elastic.https.ssl.truststore.password': {
    type: 'PASSWORD',
    default: null,
    importance: 'HIGH',
    group,
    order: 48,
    displayName: 'ssl.truststore.password',
    doc: 'Password of that file.',
  },
  'elastic.https.ssl.enabled.protocols': {
    type: 'LIST',
    default: ['TLSv1.2', 'TLSv1.3'],
    importance: 'MEDIUM',
    group,
    order: 49,
    displayName: 'ssl.enabled.protocols',
    doc: 'TLS versions to offer.',
  },
  'elastic.https.ssl.keystore.type': {
    type: 'STRING',
    default: 'JKS',
    importance: 'MEDIUM',
    group,
    order: 50,
    displayName: 'ssl.keystore.type',
    doc: 'PEM, PKCS12 or JKS.',
  },
  'elastic.https.ssl.protocol': {
    type: 'STRING',
    default: 'TLSv1.3',
    importance: 'MEDIUM',
    valid: tlsProtocol,
    group,
    order: 51,
    displayName: 'ssl.protocol',
    doc: 'Highest TLS version to use: with TLSv1.2, TLSv1.3 is not used even if elastic.https.ssl.enabled.protocols has it.',
  },
  'elastic.https.ssl.provider': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    valid: onlyJavas('SunJSSE'),
    group,
    order: 52,
    displayName: 'ssl.provider',
    doc: 'Security provider of Java. No other TLS than that of Node.js can be had.',
  },
  'elastic.https.ssl.truststore.type': {
    type: 'STRING',
    default: 'JKS',
    importance: 'MEDIUM',
    group,
    order: 53,
    displayName: 'ssl.truststore.type',
    doc: 'PEM, PKCS12 or JKS; a file of the type JKS may be PKCS12, as in Java.',
  },
  'elastic.https.ssl.cipher.suites': {
    type: 'LIST',
    default: [],
    importance: 'LOW',
    group,
    order: 54,
    displayName: 'ssl.cipher.suites',
    doc: 'Cipher suites to offer, by their names in Java or OpenSSL; empty offers the defaults.',
  },
  'elastic.https.ssl.endpoint.identification.algorithm': {
    type: 'STRING',
    default: 'https',
    importance: 'LOW',
    group,
    order: 55,
    displayName: 'ssl.endpoint.identification.algorithm',
    doc: 'Empty turns the check of the host name off.',
  },
  'elastic.https.ssl.engine.factory.class': {
    type: 'CLASS',
    default: null,
    importance: 'LOW',
    valid: onlyJavas('org.apache.kafka.common.security.ssl.DefaultSslEngineFactory'),
    group,
    order: 56,
    displayName: 'ssl.engine.factory.class',
    doc: 'Java class that makes TLS engines. Only the name of the usual one is taken.',
  },
  'elastic.https.ssl.keymanager.algorithm': {
    type: 'STRING',
    default: 'SunX509',
    importance: 'LOW',
    valid: onlyJavas('SunX509', 'NewSunX509', 'PKIX'),
    group,
    order: 57,
    displayName: 'ssl.keymanager.algorithm',
    doc: 'How Java chooses among client certificates. There is one here, so that it makes no difference.',
  },
  'elastic.https.ssl.secure.random.implementation': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    valid: onlyJavas('SHA1PRNG', 'NativePRNG', 'NativePRNGBlocking', 'NativePRNGNonBlocking', 'DRBG'),
    group,
    order: 58,
    displayName: 'ssl.secure.random.implementation',
    doc: 'Source of random numbers of Java. Those of OpenSSL are used.',
  },
  'elastic.https.ssl.trustmanager.algorithm': {
    type: 'STRING',
    default: 'PKIX',
    importance: 'LOW',
    valid: onlyJavas('PKIX', 'SunX509', 'SunPKIX', 'X509', 'X.509'),
    group,
    order: 59,
    displayName: 'ssl.trustmanager.algorithm',
    doc: 'How Java checks chains of certificates. Here OpenSSL checks them.',
  },
} as const
