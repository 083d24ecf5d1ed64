import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readConnectionConfig } from '../../../../worker/kafka/client-config.ts'
import { readConsumerConfig } from '../../../../worker/kafka/consumer-config.ts'
import { readProducerConfig } from '../../../../worker/kafka/producer-config.ts'
import { PropertyReader } from '../../../../worker/kafka/property-reader.ts'
import { jaasOptions } from '../../../../worker/kafka/sasl-config.ts'
import type { ClientProperties } from '../../../../worker/kafka/types.ts'

const base = { 'bootstrap.servers': 'a:9092, [::1]:9093' }
const connection = (properties: ClientProperties) =>
  readConnectionConfig(new PropertyReader({ ...base, ...properties }), { apiTimeoutMs: 60_000 })
const producer = (properties: ClientProperties) => readProducerConfig(new PropertyReader({ ...base, ...properties }))
const invalid = (message: RegExp) => ({ code: 'CONNECT_KAFKA_CONFIG', kind: 'fatal', message })

test('bootstrap.servers is required and checked', () => {
  assert.deepEqual(connection({}).bootstrapServers, ['a:9092', '[::1]:9093'])
  assert.throws(() => connection({ 'bootstrap.servers': ' ' }), invalid(/bootstrap\.servers is missing/))
  assert.throws(() => connection({ 'bootstrap.servers': 'host' }), invalid(/host:port/))
})

test('SASL comes from the JAAS entry', () => {
  const jaas = 'org.apache.kafka.common.security.scram.ScramLoginModule required username="u" password="p\\"; q";'
  const properties = { 'security.protocol': 'SASL_SSL', 'sasl.mechanism': 'SCRAM-SHA-512', 'sasl.jaas.config': jaas }
  assert.deepEqual(connection(properties).sasl, { mechanism: 'scram-sha-512', username: 'u', password: 'p"; q' })
  assert.ok(connection(properties).tls)
  assert.equal(jaasOptions('M required username=plain password=x;').get('username'), 'plain')
  assert.throws(
    () => connection({ ...properties, 'sasl.jaas.config': 'M required;' }),
    invalid(/username and password/),
  )
  assert.throws(() => connection({ ...properties, 'sasl.mechanism': 'GSSAPI' }), invalid(/GSSAPI/))
})

test('no secret reaches an error', () => {
  try {
    connection({
      'security.protocol': 'SASL_PLAINTEXT',
      'sasl.mechanism': 'OTHER',
      'sasl.jaas.config': 'M password="hunter2"',
    })
    assert.fail('accepted')
  } catch (error) {
    assert.doesNotMatch(JSON.stringify(error) + String(error), /hunter2/)
  }
})

test('TLS takes what ssl.* says and names what it cannot read', () => {
  const pem = { 'security.protocol': 'SSL', 'ssl.truststore.type': 'PEM', 'ssl.truststore.certificates': 'CA' }
  const versions = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' }
  assert.deepEqual(connection(pem).tls, { ca: 'CA', rejectUnauthorized: true, ...versions })
  const lax = connection({ ...pem, 'ssl.endpoint.identification.algorithm': '' }).tls
  assert.equal(typeof lax?.checkServerIdentity, 'function')
  assert.equal(lax?.rejectUnauthorized, true, 'the chain is still checked')
  const absent = { 'security.protocol': 'SSL', 'ssl.keystore.location': '/x.jks' }
  assert.throws(() => connection(absent), invalid(/ssl\.keystore\.location: cannot read \/x\.jks/))
})

test("producer defaults are Java's", () => {
  const config = producer({})
  assert.deepEqual(
    [
      config.acks,
      config.idempotent,
      config.batchBytes,
      config.lingerMs,
      config.maxRequestBytes,
      config.bufferBytes,
      config.maxInFlight,
    ],
    [-1, true, 16_384, 5, 1_048_576, 33_554_432, 5],
  )
  assert.equal(config.deliveryTimeoutMs, 120_000)
})

test('idempotence gives way to what contradicts it, unless asked for by name', () => {
  for (const conflict of [{ acks: '1' }, { retries: '0' }, { 'max.in.flight.requests.per.connection': '6' }]) {
    assert.equal(producer(conflict).idempotent, false)
    assert.throws(() => producer({ ...conflict, 'enable.idempotence': 'true' }), invalid(/enable\.idempotence/))
    assert.throws(() => producer({ ...conflict, 'transactional.id': 'x' }), invalid(/enable\.idempotence/))
  }
  assert.throws(
    () => producer({ 'enable.idempotence': 'false', 'transactional.id': 'x' }),
    invalid(/transactional\.id/),
  )
})

test("Connect's own producer settings are understood", () => {
  const config = producer({
    'max.block.ms': '9223372036854775807',
    'delivery.timeout.ms': '2147483647',
    'enable.idempotence': 'false',
    'max.in.flight.requests.per.connection': '1',
    acks: 'all',
  })
  assert.deepEqual([config.idempotent, config.maxInFlight, config.deliveryTimeoutMs], [false, 1, 2_147_483_647])
})

test('assignors go by Java class or protocol name', () => {
  const names = (strategy?: string) =>
    readConsumerConfig(
      new PropertyReader(strategy === undefined ? base : { ...base, 'partition.assignment.strategy': strategy }),
    ).assignors.map((a) => a.name)
  assert.deepEqual(names(), ['range', 'cooperative-sticky'])
  assert.deepEqual(names('org.apache.kafka.clients.consumer.RoundRobinAssignor, range'), ['roundrobin', 'range'])
  assert.throws(() => names('org.example.Mine'), invalid(/org\.example\.Mine/))
})

test('numbers and booleans that are none are named', () => {
  assert.throws(() => producer({ 'linger.ms': 'soon' }), invalid(/linger\.ms/))
  assert.throws(() => producer({ 'enable.idempotence': 'yes' }), invalid(/enable\.idempotence/))
  assert.throws(() => producer({ 'compression.type': 'zip' }), invalid(/compression\.type/))
})
