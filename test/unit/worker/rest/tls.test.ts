/** Listeners and requests between workers over TLS, with certificates made for the test. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, type TestContext, test } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import { NotLeaderError } from '../../../../worker/api/errors.ts'
import type { Herder } from '../../../../worker/cluster/herder.ts'
import { parseWorkerConfig } from '../../../../worker/config/worker-config.ts'
import { createRestServer, type RestServer } from '../../../../worker/rest/server.ts'
import { systemClock } from '../../../../worker/util/clock.ts'

const none = (): void => {}
const logger = { trace: none, debug: none, info: none, warn: none, error: none }
const hasOpenssl = spawnSync('openssl', ['version']).status === 0

interface Identity {
  readonly key: string
  readonly cert: string
}

/** A self-signed certificate for this machine. */
function identity(folder: string, name: string): Identity {
  const [key, cert] = [join(folder, `${name}.key.pem`), join(folder, `${name}.cert.pem`)]
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const algorithm = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  execFileSync('openssl', ['req', '-x509', ...algorithm, '-keyout', key, '-out', cert, '-days', '2', ...subject], {
    stdio: 'ignore',
  })
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
}

/** Status of an answer, or the code of the failure. */
function get(port: number, options: ConnectionOptions & { readonly path?: string }): Promise<number | string> {
  return new Promise((resolve) => {
    const sent = request(
      { host: '127.0.0.1', port, path: '/connectors', agent: false, timeout: 5_000, ...options },
      (response) => {
        response.resume()
        response.on('end', () => resolve(response.statusCode ?? 0))
      },
    )
    sent.on('error', (error) => resolve('code' in error ? String(error.code) : error.message))
    sent.end()
  })
}

suite('TLS of the REST server', {
  skip: hasOpenssl ? false : 'no openssl on the PATH to make certificates with',
}, () => {
  let folder = ''
  let own: Identity
  let other: Identity

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-tls-'))
    own = identity(folder, 'worker')
    other = identity(folder, 'client')
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  /** Kafka writes line breaks of PEM in properties as `\n`. */
  const inline = (pem: string): string => pem.replaceAll('\n', '\\n')
  const inlineKeys = (prefix: string): Record<string, string> => ({
    [`${prefix}ssl.keystore.type`]: 'PEM',
    [`${prefix}ssl.keystore.key`]: inline(own.key),
    [`${prefix}ssl.keystore.certificate.chain`]: inline(own.cert),
  })

  async function open(t: TestContext, raw: Record<string, string>, herder: Partial<Herder>): Promise<RestServer> {
    const minimal = { 'key.converter': 'k', 'value.converter': 'v', 'offset.storage.file.filename': '/f' }
    const config = parseWorkerConfig({ listeners: 'https://127.0.0.1:0', ...minimal, ...raw }, 'standalone')
    const server = await createRestServer({ config, logger, clock: systemClock })
    t.after(() => server.close())
    server.register(herder as Herder)
    await server.listen()
    return server
  }

  const herder: Partial<Herder> = { connectors: async () => [] }
  const portOf = (server: RestServer, index = 0): number => server.ports[index] ?? assert.fail('not listening')

  test('a key in the config, under the prefix of the listeners; plain HTTP beside it', async (t) => {
    const raw = { ...inlineKeys('listeners.https.'), listeners: 'https://127.0.0.1:0,http://127.0.0.1:0' }
    const server = await open(t, raw, herder)
    assert.equal(await get(portOf(server), { ca: own.cert }), 200)
    assert.equal(await get(portOf(server), { ca: other.cert }), 'DEPTH_ZERO_SELF_SIGNED_CERT')
    assert.equal((await fetch(`http://127.0.0.1:${portOf(server, 1)}/connectors`)).status, 200)
  })

  test('admin listeners have keys of their own, and answer for loggers only', async (t) => {
    const loggers: Partial<Herder> = { ...herder, loggers: () => new Map() }
    const raw = {
      ...inlineKeys('admin.listeners.https.'),
      listeners: 'http://127.0.0.1:0',
      'admin.listeners': 'https://127.0.0.1:0',
      // Those of the main listeners do not count here.
      'listeners.https.ssl.client.auth': 'required',
      'admin.listeners.https.ssl.client.auth': 'none',
    }
    const server = await open(t, raw, loggers)
    const admin = server.adminPorts[0] ?? assert.fail('not listening')
    assert.equal(await get(admin, { ca: own.cert, path: '/admin/loggers' }), 200)
    assert.equal(await get(admin, { ca: other.cert, path: '/admin/loggers' }), 'DEPTH_ZERO_SELF_SIGNED_CERT')
    assert.equal(await get(admin, { ca: own.cert, path: '/connectors' }), 404)
    assert.equal((await fetch(`http://127.0.0.1:${portOf(server)}/admin/loggers`)).status, 404)
    // Without a key of its own an admin listener takes the unprefixed one, not that of the main listeners.
    const unprefixed = { ...inlineKeys(''), listeners: 'http://127.0.0.1:0', 'admin.listeners': 'https://127.0.0.1:0' }
    const [port = 0] = (await open(t, unprefixed, loggers)).adminPorts
    assert.equal(await get(port, { ca: own.cert, path: '/admin/loggers' }), 200)
  })

  test('unprefixed options count only when there is none with the prefix', async (t) => {
    assert.equal(await get(portOf(await open(t, inlineKeys(''), herder)), { ca: own.cert }), 200)
    const mixed = { ...inlineKeys(''), 'listeners.https.ssl.client.auth': 'none' }
    const failure = await open(t, mixed, herder).then((server) => get(portOf(server), { ca: own.cert }), String)
    assert.notEqual(failure, 200, 'a listener without a certificate')
  })

  for (const [auth, without] of [
    ['required', 'refused'],
    ['requested', 200],
    ['none', 200],
  ] as const) {
    test(`ssl.client.auth=${auth}`, async (t) => {
      const raw = {
        ...inlineKeys('listeners.https.'),
        'listeners.https.ssl.client.auth': auth,
        'listeners.https.ssl.truststore.type': 'PEM',
        'listeners.https.ssl.truststore.certificates': inline(other.cert),
      }
      const port = portOf(await open(t, raw, herder))
      assert.equal(await get(port, { ca: own.cert, key: other.key, cert: other.cert }), 200)
      const status = await get(port, { ca: own.cert })
      if (without === 'refused') assert.equal(typeof status, 'string', `answered ${status}`)
      else assert.equal(status, without)
    })
  }

  test('a follower forwards to a leader over TLS, and refuses one that it does not trust (statement 16)', async (t) => {
    const raw = (trusted: string) => ({
      ...inlineKeys('listeners.https.'),
      'listeners.https.ssl.truststore.type': 'PEM',
      'listeners.https.ssl.truststore.certificates': inline(trusted),
    })
    const leader = await open(t, raw(own.cert), { deleteConnector: async () => undefined })
    const toLeader: Partial<Herder> = {
      deleteConnector: async () => {
        throw new NotLeaderError('not the leader', `https://127.0.0.1:${portOf(leader)}/`)
      },
    }
    const follower = await open(t, raw(own.cert), toLeader)
    const forwarded = await follower.app.inject({ method: 'DELETE', url: '/connectors/c' })
    assert.equal(forwarded.statusCode, 204, forwarded.body)
    const distrustful = await open(t, raw(other.cert), toLeader)
    const refused = await distrustful.app.inject({ method: 'DELETE', url: '/connectors/c' })
    assert.equal(refused.statusCode, 500)
    assert.match(refused.body, /IO Error trying to forward REST request: .*self-signed/)
  })
})
