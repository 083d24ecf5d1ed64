/** Logins by OAUTHBEARER on a broker that asks for a new login again and again (KIP-368). */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import type { ClientProperties } from '../../worker/kafka/types.ts'
import { freePort } from '../support/free-port.ts'
import { PrivateBroker } from '../support/private-broker.ts'
import { requireService } from '../support/services.ts'
import { TokenEndpoint, unsignedToken } from '../support/token-endpoint.ts'

const { skip } = requireService('kafka')
const jaas = (options: string) =>
  `org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required ${options};`

suite('OAUTHBEARER', { skip, timeout: 120_000 }, () => {
  let broker: PrivateBroker
  let address = ''
  const folder = mkdtempSync(join(tmpdir(), 'sluice-oauth-'))

  before(async () => {
    const port = await freePort()
    address = `127.0.0.1:${port}`
    broker = await PrivateBroker.open(({ kafka, kafkaController }) => ({
      listeners: `PLAINTEXT://127.0.0.1:${kafka},SASL_PLAINTEXT://${address},CONTROLLER://127.0.0.1:${kafkaController}`,
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${kafka},SASL_PLAINTEXT://${address}`,
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT',
      'sasl.enabled.mechanisms': 'OAUTHBEARER',
      'listener.name.sasl_plaintext.oauthbearer.sasl.jaas.config': jaas('unsecuredLoginStringClaim_sub="broker"'),
      // A login is asked for again ten seconds before its session ends: every two seconds here.
      'connections.max.reauth.ms': '12000',
    }))
  })
  after(async () => {
    await broker?.[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  })

  const login = (properties: ClientProperties): ClientProperties => ({
    'bootstrap.servers': address,
    'security.protocol': 'SASL_PLAINTEXT',
    'sasl.mechanism': 'OAUTHBEARER',
    ...properties,
  })

  /** Writes records for as long as told, then reads them all. @returns how many were written */
  async function traffic(topic: string, properties: ClientProperties, forMs: number): Promise<number> {
    const factory = createKafkaClientFactory()
    await using admin = factory.admin(properties)
    await admin.createTopic({ topic, partitions: 1, replicationFactor: 1 })
    await using producer = factory.producer(properties)
    await producer.partitionsOf(topic)
    let written = 0
    const failures: Error[] = []
    const delivery = {
      delivered: (count: number) => {
        written += count
      },
      failed: (_: number, error: Error) => {
        failures.push(error)
      },
    }
    let sent = 0
    for (const end = performance.now() + forMs; performance.now() < end; sent++) {
      const value = Buffer.from(String(sent))
      producer.append({ topic, partition: 0, key: null, value, headers: [], timestamp: null }, delivery)
      await sleep(2)
    }
    await producer.flush()
    assert.deepEqual(failures, [])
    assert.equal(written, sent)
    await using consumer = factory.consumer({ ...properties, 'auto.offset.reset': 'earliest' })
    consumer.assign([{ topic, partition: 0 }])
    const values: string[] = []
    for (const end = performance.now() + 20_000; values.length < sent && performance.now() < end; ) {
      for (const { records } of await consumer.poll(500)) {
        for (const { value } of records) values.push(Buffer.from(value ?? []).toString('utf8'))
      }
    }
    assert.deepEqual(
      values,
      Array.from({ length: sent }, (_, i) => String(i)),
    )
    return sent
  }

  test('tokens of an endpoint, renewed while records flow', async () => {
    await using endpoint = await TokenEndpoint.open(() => ({
      status: 200,
      body: { access_token: unsignedToken('worker', 12), expires_in: 2 },
    }))
    const credentials = jaas('clientId="worker" clientSecret="s\\"3" scope="kafka" extension_logicalCluster="lkc-1"')
    const properties = login({
      'sasl.oauthbearer.token.endpoint.url': endpoint.url,
      'sasl.jaas.config': credentials,
    })
    assert.ok((await traffic('by-endpoint', properties, 7_000)) > 200)
    assert.ok(endpoint.requests.length >= 3, `${endpoint.requests.length} tokens`)
    assert.deepEqual(endpoint.requests[0], {
      authorization: `Basic ${Buffer.from('worker:s"3', 'utf8').toString('base64')}`,
      form: { grant_type: 'client_credentials', scope: 'kafka' },
    })
  })

  test('a token in a file, and one made for brokers of a test', async () => {
    const file = join(folder, 'token')
    writeFileSync(file, `${unsignedToken('worker', 600)}\n`)
    await traffic('by-file', login({ 'sasl.oauthbearer.token.endpoint.url': pathToFileURL(file).href }), 100)
    await traffic('by-claim', login({ 'sasl.jaas.config': jaas('unsecuredLoginStringClaim_sub="worker"') }), 100)
  })

  test('a refused client is an error that says by whom, once and for all', async () => {
    await using endpoint = await TokenEndpoint.open(() => ({ status: 401, body: { error: 'invalid_client' } }))
    const properties = login({
      'sasl.oauthbearer.token.endpoint.url': endpoint.url,
      'sasl.jaas.config': jaas('clientId="worker" clientSecret="wrong"'),
    })
    await using admin = createKafkaClientFactory().admin(properties)
    await assert.rejects(admin.createTopic({ topic: 'none', partitions: 1, replicationFactor: 1 }), {
      code: 'CONNECT_OAUTH_REFUSED',
      message: /answered 401: invalid_client/,
    })
  })

  test('a token that the broker does not take is an error of the login', async () => {
    const file = join(folder, 'expired')
    writeFileSync(file, unsignedToken('worker', -600))
    const properties = login({ 'sasl.oauthbearer.token.endpoint.url': pathToFileURL(file).href })
    await using admin = createKafkaClientFactory().admin(properties)
    await assert.rejects(admin.createTopic({ topic: 'none', partitions: 1, replicationFactor: 1 }), {
      code: 'CONNECT_KAFKA_AUTHENTICATION',
    })
  })
})
