/** The Elasticsearch sink over TLS, with stores in each format. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { validateConnection } from '../../connectors/elasticsearch/validate.ts'
import { readJavaKeyStore } from '../../worker/api/tls/java-key-store.ts'
import { elasticsearchConfig, type RawOptions } from '../unit/connectors/elasticsearch/support.ts'

const store = (name: string) => fileURLToPath(new URL(`../unit/worker/api/tls/stores/${name}`, import.meta.url))
const { key, certificates } = readJavaKeyStore(readFileSync(store('key.jks')), {
  password: 'store-pass',
  keyPassword: 'key-pass',
  option: 'test',
})
const ssl = (options: RawOptions): RawOptions =>
  Object.fromEntries(Object.entries(options).map(([name, value]) => [`elastic.https.ssl.${name}`, value]))

describe('Elasticsearch over TLS', () => {
  let clients: unknown[] = []
  let sessions: unknown[] = []
  const openServer = () =>
    createServer(
      { key: key?.privateKey, cert: key?.chain, ca: certificates[0], requestCert: true, rejectUnauthorized: false },
      (request, response) => {
        const socket = request.socket as TLSSocket
        clients.push(socket.getPeerCertificate().subject?.CN)
        sessions.push([socket.getProtocol(), socket.getCipher().name])
        response.setHeader('content-type', 'application/json')
        response.end('{"version":{"number":"9.4.3"}}')
      },
    )
  // The certificate names the first address only.
  const servers = { '127.0.0.1': openServer(), '127.0.0.2': openServer() }
  before(async () => {
    for (const [host, server] of Object.entries(servers)) {
      server.listen(0, host)
      await once(server, 'listening')
    }
  })
  after(() => {
    for (const server of Object.values(servers)) {
      server.closeAllConnections()
      server.close()
    }
  })

  const problems = async (options: RawOptions, host: keyof typeof servers = '127.0.0.1') => {
    clients = []
    sessions = []
    const url = `https://${host}:${(servers[host].address() as AddressInfo).port}`
    const config = elasticsearchConfig({ 'connection.url': url, 'elastic.security.protocol': 'SSL', ...ssl(options) })
    return await validateConnection(config)
  }

  const trusts: Readonly<Record<string, RawOptions>> = {
    JKS: { 'truststore.location': store('trust.jks'), 'truststore.password': 'store-pass' },
    'JKS without its password': { 'truststore.location': store('trust.jks') },
    'PKCS12 under the name of JKS': { 'truststore.location': store('trust.p12'), 'truststore.password': 'store-pass' },
    PKCS12: {
      'truststore.location': store('trust.p12'),
      'truststore.password': 'store-pass',
      'truststore.type': 'PKCS12',
    },
    'PEM text': { 'truststore.certificates': certificates.join('') },
  }
  for (const [format, options] of Object.entries(trusts)) {
    it(`trusts by ${format}`, async () => {
      assert.deepEqual(await problems(options), [])
      assert.deepEqual(clients, [undefined])
    })
  }

  const keys: Readonly<Record<string, RawOptions>> = {
    JKS: { 'keystore.location': store('key.jks'), 'keystore.password': 'store-pass', 'key.password': 'key-pass' },
    PKCS12: { 'keystore.location': store('key.p12'), 'keystore.password': 'store-pass', 'keystore.type': 'PKCS12' },
    'PEM text': { 'keystore.certificate.chain': key?.chain ?? '', 'keystore.key': key?.privateKey ?? '' },
  }
  for (const [format, options] of Object.entries(keys)) {
    it(`shows the client certificate of ${format}`, async () => {
      assert.deepEqual(await problems({ ...trusts['PKCS12'], ...options }), [])
      assert.deepEqual(clients, ['localhost'])
    })
  }

  it('checks the name of the host, unless endpoint.identification.algorithm is empty', async () => {
    const trust = trusts['PKCS12'] ?? {}
    const check = { 'endpoint.identification.algorithm': 'HTTPS' }
    assert.deepEqual(await problems({ ...trust, ...check }), [])
    assert.equal((await problems({ ...trust, ...check }, '127.0.0.2')).length, 3)
    assert.equal((await problems(trust, '127.0.0.2')).length, 3)
    assert.deepEqual(clients, [])
    assert.deepEqual(await problems({ ...trust, 'endpoint.identification.algorithm': '' }, '127.0.0.2'), [])
    // Whose name is not looked at, must be vouched for all the same.
    assert.equal((await problems({ 'endpoint.identification.algorithm': '' }, '127.0.0.2')).length, 3)
  })

  it('offers the versions and the ciphers that are listed, by the names of Java or OpenSSL', async () => {
    const trust = trusts['PKCS12'] ?? {}
    const suites = [
      ['TLSv1.2', 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'ECDHE-ECDSA-AES256-GCM-SHA384'],
      ['TLSv1.2', 'ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
      ['TLSv1.3', 'TLS_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256'],
    ] as const
    for (const [version, suite, name] of suites) {
      assert.deepEqual(await problems({ ...trust, 'enabled.protocols': version, 'cipher.suites': suite }), [], suite)
      assert.deepEqual(sessions, [[version, name]])
    }
    assert.deepEqual(await problems({ ...trust, protocol: 'TLSv1.2' }), [])
    assert.deepEqual((sessions as string[][])[0]?.[0], 'TLSv1.2')
    assert.deepEqual(await problems({ ...trust, protocol: 'TLS', 'cipher.suites': '' }), [])
    assert.deepEqual((sessions as string[][])[0]?.[0], 'TLSv1.3')
    const unknown = await problems({ ...trust, 'cipher.suites': 'TLS_NONSENSE' })
    assert.deepEqual(unknown.map(({ option }) => option)[0], 'connection.url')
  })

  it('refuses a server that nothing vouches for, and stores that cannot be opened', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'tls-'))
    const cut = join(folder.path, 'cut.jks')
    writeFileSync(cut, readFileSync(store('trust.jks')).subarray(0, 100))
    const options = [
      { 'keystore.location': store('key.jks'), 'keystore.password': 'store-pass', 'key.password': 'key-pass' },
      { 'truststore.location': store('trust.jks'), 'truststore.password': 'wrong' },
      { 'truststore.location': cut },
      { 'truststore.location': store('trust.p12'), 'truststore.password': 'wrong' },
      { 'truststore.location': store('trust.jks'), 'truststore.type': 'BKS' },
    ]
    for (const wrong of options) {
      const found = await problems(wrong)
      assert.deepEqual(
        found.map(({ option }) => option),
        // Without a client there is no connection that anything else could be to blame for.
        wrong === options[0] ? ['connection.url', 'elastic.security.protocol', 'connection.url'] : ['connection.url'],
        JSON.stringify(wrong),
      )
    }
    assert.deepEqual(clients, [])
  })
})
