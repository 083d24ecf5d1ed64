import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { connect, createServer, type Server } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { ConfigError } from '../../../../../worker/api/errors.ts'
import { clientTls, type SslOption, tlsMaterial } from '../../../../../worker/api/tls/ssl-options.ts'

type Options = Partial<Record<SslOption, string>>

/** `trust.*` hold the certificate of `key.*` alone; see the test of Java's key stores. */
const store = (name: string) => fileURLToPath(new URL(`stores/${name}`, import.meta.url))
const source = (options: Options) => ({ prefix: 'ssl.', get: (option: SslOption) => options[option] ?? null })

const jksTrust: Options = { 'truststore.location': store('trust.jks'), 'truststore.password': 'store-pass' }
const jksKey: Options = {
  'keystore.location': store('key.jks'),
  'keystore.password': 'store-pass',
  'key.password': 'key-pass',
}
const p12Key: Options = { 'keystore.location': store('key.p12'), 'keystore.password': 'store-pass' }

describe('ssl.* options', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-ssl-'))
  const pem = { trust: join(folder, 'trust.pem'), both: join(folder, 'both.pem') }
  let server: Server
  let seen: readonly (string | undefined)[] = []

  before(async () => {
    const { key, cert } = tlsMaterial(source(jksKey))
    const { ca } = tlsMaterial(source(jksTrust))
    writeFileSync(pem.trust, String(ca))
    writeFileSync(pem.both, `${String(key)}${String(cert)}`)
    server = createServer(
      { ...tlsMaterial(source({ ...jksKey, ...jksTrust })), requestCert: true, rejectUnauthorized: false },
      (socket) => {
        const subject = socket.getPeerCertificate().subject
        seen = [...seen, subject === undefined ? undefined : String(subject.CN)]
        socket.end()
      },
    ).listen(0, '127.0.0.1')
    await once(server, 'listening')
  })
  after(() => {
    server.close()
    rmSync(folder, { recursive: true })
  })

  /** The name that the server saw of the client. */
  async function handshake(options: Options): Promise<string | undefined> {
    const port = (server.address() as AddressInfo).port
    const socket = connect({ host: '127.0.0.1', servername: 'localhost', port, ...clientTls(source(options)) })
    try {
      await once(socket, 'secureConnect')
      socket.resume()
      await once(socket, 'close')
    } finally {
      socket.destroy()
    }
    return seen.at(-1)
  }

  const trusts: Readonly<Record<string, Options>> = {
    JKS: { ...jksTrust, 'truststore.type': 'JKS' },
    'JKS without its type': jksTrust,
    'JKS under the name of PKCS12': { ...jksTrust, 'truststore.type': 'PKCS12' },
    PKCS12: {
      'truststore.location': store('trust.p12'),
      'truststore.password': 'store-pass',
      'truststore.type': 'pkcs12',
    },
    'a PEM file': { 'truststore.location': pem.trust, 'truststore.type': 'PEM' },
  }
  for (const [name, options] of Object.entries(trusts)) {
    it(`trust a server by ${name}`, async () => {
      assert.equal(await handshake(options), undefined)
    })
  }

  const keys: Readonly<Record<string, Options>> = {
    JKS: jksKey,
    PKCS12: p12Key,
    'a PEM file': { 'keystore.location': pem.both, 'keystore.type': 'PEM' },
  }
  for (const [name, options] of Object.entries(keys)) {
    it(`show the own certificate of ${name}`, async () => {
      assert.equal(await handshake({ ...jksTrust, ...options }), 'localhost')
    })
  }

  it('do not trust what nothing vouches for', async () => {
    await assert.rejects(handshake({}), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
  })

  it('leave the name of the host unchecked when told to', () => {
    assert.equal(clientTls(source({})).checkServerIdentity, undefined)
    const unchecked = clientTls(source({ 'endpoint.identification.algorithm': ' ' }))
    assert.equal(typeof unchecked.checkServerIdentity, 'function')
    assert.equal(unchecked.rejectUnauthorized, true)
  })

  it('choose versions and ciphers', () => {
    const old = tlsMaterial(source({ 'enabled.protocols': 'TLSv1.2', 'cipher.suites': 'A, B' }))
    assert.deepEqual(old, { ciphers: 'A:B', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })
    assert.equal(tlsMaterial(source({ 'enabled.protocols': 'TLSv1.3' })).minVersion, 'TLSv1.3')
  })

  it('take PEM text with line breaks written out, before any file', () => {
    const options: Options = {
      'truststore.certificates': 'a\\nb',
      'truststore.location': '/no/such/file',
      'keystore.key': 'k\\n',
      'keystore.certificate.chain': 'c\\n',
      'key.password': 'p',
    }
    const { ca, key, cert, passphrase } = tlsMaterial(source(options))
    assert.deepEqual({ ca, key, cert, passphrase }, { ca: 'a\nb', key: 'k\n', cert: 'c\n', passphrase: 'p' })
  })

  const mistakes: readonly [Options, RegExp][] = [
    [{ 'truststore.location': '/no/such.jks' }, /^ssl\.truststore\.location: cannot read \/no\/such\.jks: ENOENT/],
    [{ ...jksTrust, 'truststore.type': 'PEM' }, /^ssl\.truststore\.type: is PEM, but .* is JKS; set it to JKS/],
    [{ 'keystore.location': pem.both, 'keystore.type': 'JKS' }, /^ssl\.keystore\.type: is JKS, but .* set it to PEM/],
    [{ ...jksTrust, 'truststore.type': 'BCFKS' }, /BCFKS cannot be read: use PEM, PKCS12 or JKS/],
    [{ ...jksTrust, 'truststore.password': 'wrong-secret' }, /^ssl\.truststore\.location: The password/],
    [{ 'keystore.location': store('trust.jks') }, /has no private key, or ssl\.keystore\.password is missing/],
  ]
  for (const [options, message] of mistakes) {
    it(`refuse ${Object.values(options).join(' ').replace(folder, '').slice(-40)}`, () => {
      assert.throws(
        () => tlsMaterial(source(options)),
        (error) => error instanceof ConfigError && message.test(error.message) && !error.message.includes('secret'),
      )
    })
  }
})
