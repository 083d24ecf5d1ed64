import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { makeSchema, Schemas } from '../../../../../worker/api/data.ts'
import { clientTls } from '../../../../../worker/api/tls/ssl-options.ts'
import { parseConfig } from '../../../../../worker/config/config-def.ts'
import { type AvroConverterConfig, avroConverterConfig } from '../../../../../worker/converters/registry/avro-config.ts'
import { AvroFormat } from '../../../../../worker/converters/registry/avro-format.ts'
import { RegistryConverter } from '../../../../../worker/converters/registry/registry-converter.ts'
import { FakeRegistry } from '../../../../support/fake-registry.ts'
import { projectRoot } from '../../../../support/project-root.ts'
import { TokenEndpoint } from '../../../../support/token-endpoint.ts'

type Options = Readonly<Record<string, string>>

const tlsFolder = join(projectRoot, 'test/support/tls')
const tlsFile = (name: string): string => join(tlsFolder, name)
const stores = join(projectRoot, 'test/unit/worker/api/tls/stores')
const serverTls = { key: readFileSync(tlsFile('server.key')), cert: readFileSync(tlsFile('server.crt')) }
const schema = makeSchema({ type: 'STRUCT', name: 'R', fields: [{ name: 'a', schema: Schemas.int32 }] })

/** Has the registry asked for a schema's id. */
async function ask(registry: FakeRegistry, options: Options): Promise<void> {
  const converter = new RegistryConverter((config: AvroConverterConfig) => new AvroFormat(config))
  const raw = { 'schema.registry.url': registry.url, 'converter.type': 'value', 'max.retries': '0', ...options }
  converter.configure(parseConfig(avroConverterConfig, raw), 'value')
  try {
    await converter.prepare('t', schema, new AbortController().signal)
  } finally {
    await converter.close()
  }
}

describe('OAuth to the registry', () => {
  const oauth = (endpoint: TokenEndpoint): Options => ({
    'bearer.auth.credentials.source': 'OAUTHBEARER',
    'bearer.auth.issuer.endpoint.url': endpoint.url,
    'bearer.auth.client.id': 'me',
    'bearer.auth.client.secret': 'hunter2',
    'bearer.auth.scope': 'registry',
  })

  it('asks for a token and sends it, with cluster and pool', async () => {
    await using registry = await FakeRegistry.open()
    await using endpoint = await TokenEndpoint.open(() => ({
      status: 200,
      body: { access_token: 'abc', expires_in: 60 },
    }))
    await ask(registry, {
      ...oauth(endpoint),
      'bearer.auth.logical.cluster': 'lsrc-1',
      'bearer.auth.identity.pool.id': 'pool-1',
    })
    const [request] = registry.requests
    assert.equal(request?.authorization, 'Bearer abc')
    assert.equal(request?.headers['target-sr-cluster'], 'lsrc-1')
    assert.equal(request?.headers['confluent-identity-pool-id'], 'pool-1')
    const authorization = `Basic ${Buffer.from('me:hunter2').toString('base64')}`
    const form = { grant_type: 'client_credentials', scope: 'registry' }
    assert.deepEqual(endpoint.requests, [{ authorization, form }])
  })

  it('fails for good when the client is refused, for now when the endpoint is away; never with the secret (I8)', async () => {
    await using registry = await FakeRegistry.open()
    await using endpoint = await TokenEndpoint.open(() => ({ status: 401, body: { error: 'invalid_client' } }))
    await assert.rejects(ask(registry, oauth(endpoint)), { code: 'CONNECT_OAUTH_REFUSED', message: /invalid_client/ })
    endpoint.answer = () => ({ status: 503, body: {} })
    await assert.rejects(ask(registry, oauth(endpoint)), (error: Error & { kind?: string }) => {
      assert.equal(error.kind, 'retriable')
      assert.doesNotMatch(String(error.stack), /hunter2/)
      return true
    })
    assert.deepEqual(registry.requests, [])
  })

  it('refuses sources that it does not know and options that are missing, and says what to do instead', async () => {
    await using registry = await FakeRegistry.open()
    const inherit = { 'bearer.auth.credentials.source': 'SASL_OAUTHBEARER_INHERIT' }
    await assert.rejects(ask(registry, inherit), { kind: 'config', message: /bearer\.auth\.issuer\.endpoint\.url/ })
    const alone = { 'bearer.auth.credentials.source': 'OAUTHBEARER' }
    await assert.rejects(ask(registry, alone), {
      kind: 'config',
      message: /bearer\.auth\.issuer\.endpoint\.url.*required/,
    })
    const wrong = { ...alone, 'bearer.auth.issuer.endpoint.url': 'nowhere' }
    await assert.rejects(ask(registry, wrong), { kind: 'config', message: /must be an address/ })
  })
})

describe('TLS to the registry', () => {
  const ssl = (options: Options): Options =>
    Object.fromEntries(Object.entries(options).map(([name, value]) => [`schema.registry.ssl.${name}`, value]))
  const trusts: readonly [how: string, options: Options][] = [
    ['a PEM file', { 'truststore.location': tlsFile('root.crt') }],
    ['PEM text', { 'truststore.certificates': readFileSync(tlsFile('root.crt'), 'utf8'), 'truststore.type': 'PEM' }],
  ]
  for (const [how, options] of trusts) {
    it(`trusts the certificates of ${how}`, async () => {
      await using registry = await FakeRegistry.open(serverTls)
      await ask(registry, ssl(options))
      assert.equal(registry.requests.length, 1)
    })
  }

  it('trusts the certificates of a JKS file, and of no other', async () => {
    const keyStore: Options = {
      'keystore.location': join(stores, 'key.jks'),
      'keystore.password': 'store-pass',
      'key.password': 'key-pass',
    }
    const { key, cert } = clientTls({ prefix: 'ssl.', get: (option) => keyStore[option] ?? null })
    await using registry = await FakeRegistry.open({ key, cert })
    const trust = { 'truststore.location': join(stores, 'trust.jks'), 'truststore.password': 'store-pass' }
    await ask(registry, ssl(trust))
    const other = { 'truststore.location': tlsFile('root.crt') }
    await assert.rejects(ask(registry, ssl(other)), { code: 'CONNECT_REGISTRY_UNAVAILABLE' })
    assert.equal(registry.requests.length, 1)
  })

  it('trusts no other, and shows a certificate of its own to a server that asks for it', async () => {
    const ca = readFileSync(tlsFile('root.crt'))
    await using registry = await FakeRegistry.open({ ...serverTls, ca, requestCert: true, rejectUnauthorized: true })
    const trust = { 'truststore.location': tlsFile('root.crt') }
    const key = `${readFileSync(tlsFile('client.key'), 'utf8')}`
    const chain = readFileSync(tlsFile('client.crt'), 'utf8')
    await ask(
      registry,
      ssl({ ...trust, 'keystore.type': 'PEM', 'keystore.key': key, 'keystore.certificate.chain': chain }),
    )
    assert.equal(registry.requests.length, 1)
    for (const options of [trust, { 'truststore.location': tlsFile('other-root.crt') }, {}]) {
      await assert.rejects(ask(registry, ssl(options)), { code: 'CONNECT_REGISTRY_UNAVAILABLE' })
    }
    assert.equal(registry.requests.length, 1)
  })

  it('asks the token endpoint under the same trust', async () => {
    await using registry = await FakeRegistry.open(serverTls)
    const answer = { status: 200, body: { access_token: 'abc', expires_in: 60 } }
    await using endpoint = await TokenEndpoint.open(() => answer, serverTls)
    await ask(registry, {
      'bearer.auth.credentials.source': 'OAUTHBEARER',
      'bearer.auth.issuer.endpoint.url': endpoint.url,
      'bearer.auth.client.id': 'me',
      'bearer.auth.client.secret': 'hunter2',
      ...ssl({ 'truststore.location': tlsFile('root.crt') }),
    })
    assert.equal(registry.requests[0]?.authorization, 'Bearer abc')
  })
})
