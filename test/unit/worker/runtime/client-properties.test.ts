import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '../../../../worker/api/errors.ts'
import {
  adminProperties,
  consumerGroup,
  consumerProperties,
  offsetConsumerProperties,
  offsetProducerProperties,
  overruledByExactlyOnce,
  producerProperties,
  sameCluster,
  topicProducerProperties,
  transactionalProducerProperties,
} from '../../../../worker/runtime/client-properties.ts'

const id = { connector: 'c', task: 3 }

function scope(worker: Record<string, string> = {}, connector: Record<string, string> = {}) {
  const common = { 'bootstrap.servers': 'k:9092', 'group.id': 'g' }
  return { worker: { ...common, ...worker }, connector, clusterId: 'id' }
}

test('1.5: defaults, then the worker by prefix, then the connector by override', () => {
  assert.equal(producerProperties(scope(), id)['linger.ms'], undefined)
  assert.equal(producerProperties(scope({ 'producer.linger.ms': '7' }), id)['linger.ms'], '7')
  const both = scope({ 'producer.linger.ms': '7' }, { 'producer.override.linger.ms': '9' })
  assert.equal(producerProperties(both, id)['linger.ms'], '9')
  assert.equal(consumerProperties(both, id)['linger.ms'], undefined)
})

test('1.5: only admin clients inherit what the worker has without a prefix', () => {
  const given = scope({ 'sasl.mechanism': 'PLAIN', 'producer.sasl.mechanism': 'GSSAPI' })
  assert.equal(adminProperties(given, 'a')['sasl.mechanism'], 'PLAIN')
  assert.equal(producerProperties(given, id)['sasl.mechanism'], 'GSSAPI')
  assert.equal(consumerProperties(given, id)['sasl.mechanism'], undefined)
  assert.equal(consumerProperties(given, id)['bootstrap.servers'], 'k:9092')
  assert.equal(offsetProducerProperties(given, id)['sasl.mechanism'], 'PLAIN')
})

test('5.2, 6.1: client ids, the consumer group and its override', () => {
  assert.equal(producerProperties(scope(), id)['client.id'], 'connector-producer-c-3')
  assert.equal(consumerProperties(scope(), id)['client.id'], 'connector-consumer-c-3')
  assert.equal(consumerGroup(scope(), 'c'), 'connect-c')
  assert.equal(consumerGroup(scope({}, { 'consumer.override.group.id': 'mine' }), 'c'), 'mine')
  assert.equal(consumerProperties(scope(), id)['metrics.context.connect.group.id'], 'g')
})

test('5.5: exactly-once forces idempotence and the transactional id', () => {
  const given = scope(
    {},
    { 'producer.override.enable.idempotence': 'false', 'producer.override.transactional.id': 'x' },
  )
  const properties = transactionalProducerProperties(given, id)
  assert.equal(properties['transactional.id'], 'g-c-3')
  assert.equal(properties['enable.idempotence'], 'true')
  assert.deepEqual(overruledByExactlyOnce(given, id), ['enable.idempotence', 'transactional.id'])
  const agrees = scope({ 'producer.enable.idempotence': 'TRUE' }, { 'producer.override.transactional.id': 'g-c-3' })
  assert.deepEqual(overruledByExactlyOnce(agrees, id), [])
  assert.deepEqual(overruledByExactlyOnce(scope(), id), [])
})

test('5.5: a reader of offsets is read_committed, unless the user chose and exactly-once is off', () => {
  const chosen = scope({}, { 'consumer.override.isolation.level': 'read_uncommitted' })
  assert.equal(offsetConsumerProperties(scope(), 'c', false)['isolation.level'], 'read_committed')
  assert.equal(offsetConsumerProperties(chosen, 'c', false)['isolation.level'], 'read_uncommitted')
  assert.equal(offsetConsumerProperties(chosen, 'c', true)['isolation.level'], 'read_committed')
})

test('a producer that was told acks=1 is not idempotent, as with the Java client', () => {
  assert.equal(producerProperties(scope({ 'producer.acks': '1' }), id)['enable.idempotence'], 'false')
  assert.equal(producerProperties(scope({ 'producer.acks': '-1' }), id)['enable.idempotence'], 'true')
})

test('KIP-458: what the policy forbids is refused by name', () => {
  const given = scope({ 'connector.client.config.override.policy': 'None' }, { 'producer.override.linger.ms': '1' })
  assert.throws(() => producerProperties(given, id), /producer\.override\.linger\.ms/)
  assert.throws(() => producerProperties(scope({ 'connector.client.config.override.policy': 'X' }), id), /no policy X/)
})

test('two sets of properties reach the same cluster only as the same user', () => {
  const base = { 'bootstrap.servers': 'k:9092' }
  assert.ok(sameCluster({ ...base, 'linger.ms': '1' }, base))
  assert.ok(!sameCluster({ ...base, 'sasl.jaas.config': 'x' }, base))
  assert.ok(!sameCluster(base, { 'bootstrap.servers': 'l:9092' }))
})

test('a producer with options of its own: over those of the task, for the admin client as far as they are about the way', () => {
  const given = scope({ 'producer.linger.ms': '7', 'sasl.mechanism': 'PLAIN' }, { 'producer.override.linger.ms': '9' })
  const options = { 'n.linger.ms': '11', 'n.security.protocol': 'SSL', 'linger.ms': '1', 'm.acks': '1' }
  const { producer, admin } = topicProducerProperties(given, id, { options, prefix: 'n.' })
  assert.deepEqual(producer, { ...producerProperties(given, id), 'linger.ms': '11', 'security.protocol': 'SSL' })
  assert.deepEqual(admin, {
    ...adminProperties(given, 'connector-adminclient-c-3'),
    'security.protocol': 'SSL',
  })
  assert.deepEqual(topicProducerProperties(given, id).producer, producerProperties(given, id))
})

test('another cluster is not shown what the worker has for its own', () => {
  const secrets = { 'sasl.jaas.config': 'x', 'producer.sasl.jaas.config': 'x', 'admin.sasl.jaas.config': 'x' }
  const given = scope(secrets, { 'producer.override.sasl.jaas.config': 'x', 'admin.override.ssl.key.password': 'x' })
  const options = { 'n.bootstrap.servers': 'other:1', 'n.sasl.mechanism': 'PLAIN', 'n.linger.ms': '3' }
  const { producer, admin } = topicProducerProperties(given, id, { options, prefix: 'n.' })
  assert.deepEqual(admin, {
    'client.id': 'connector-adminclient-c-3',
    'bootstrap.servers': 'other:1',
    'sasl.mechanism': 'PLAIN',
  })
  assert.deepEqual([producer['bootstrap.servers'], producer['linger.ms'], producer['acks']], ['other:1', '3', 'all'])
  assert.doesNotMatch(Object.keys(producer).join(), /jaas|password/)
})

test('options of a producer of its own are overrides: the policy decides', () => {
  const own = { options: { 'n.acks': 'all', 'n.sasl.mechanism': 'PLAIN' }, prefix: 'n.' }
  const policy = (name: string) => scope({ 'connector.client.config.override.policy': name })
  for (const [name, forbidden] of [
    ['None', ['n.acks', 'n.sasl.mechanism']],
    ['Principal', ['n.acks']],
  ] as const) {
    assert.throws(
      () => topicProducerProperties(policy(name), id, own),
      (error) => {
        assert.ok(error instanceof ConfigError)
        assert.deepEqual(
          error.problems.map(({ option }) => option),
          forbidden,
        )
        return true
      },
    )
  }
  topicProducerProperties(policy('All'), id, own)
})
