/** What workers do without a right, and when they get it: on a broker with an authorizer and without auto-creation. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { kafkaFor } from '../../compose/pipelines/support/kafka-topics.ts'
import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import { freePort } from '../support/free-port.ts'
import { PrivateBroker } from '../support/private-broker.ts'
import { requireService } from '../support/services.ts'
import { textOf, topicRecords } from '../support/topic-records.ts'
import { ClusterUnderTest, eventually, type WorkerUnderTest } from '../support/worker-process.ts'

const { skip } = requireService('kafka')
const probes = fileURLToPath(new URL('../support/runtime/probe-plugins.ts', import.meta.url))
const login = (options: string): string =>
  `org.apache.kafka.common.security.plain.PlainLoginModule required ${options};`

/** Numbers of the protocol (KIP-140). */
const acl = { transactionalId: 5, prefixed: 4, all: 2, allow: 3 } as const

let broker: PrivateBroker | null = null
let saslPort = 0

function address(): string {
  return broker?.address ?? assert.fail('no broker')
}

before(async () => {
  if (skip !== false) return
  saslPort = await freePort()
  broker = await PrivateBroker.open(({ kafka, kafkaController }) => ({
    'auto.create.topics.enable': 'false',
    listeners: `PLAINTEXT://127.0.0.1:${kafka},SASL_PLAINTEXT://127.0.0.1:${saslPort},CONTROLLER://127.0.0.1:${kafkaController}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${kafka},SASL_PLAINTEXT://127.0.0.1:${saslPort}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT',
    'sasl.enabled.mechanisms': 'PLAIN',
    'listener.name.sasl_plaintext.plain.sasl.jaas.config': login('user_limited="secret"'),
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    // Who comes over the plain listener; the one of the other listener has only what it is granted.
    'super.users': 'User:ANONYMOUS',
  }))
})

after(async () => {
  await broker?.[Symbol.asyncDispose]()
})

async function tasksOf(worker: WorkerUnderTest, connector: string) {
  const { body } = await worker.rest('GET', `/connectors/${connector}/status`)
  return (body as { tasks: readonly { state: string; trace?: string }[] }).tasks
}

const statesOf = async (worker: WorkerUnderTest, connector: string) =>
  (await tasksOf(worker, connector)).map(({ state }) => state)

test('statement 123: without the right to fence tasks fail and say so; with it they run after a restart', {
  skip,
  timeout: 120_000,
}, async () => {
  const admin = kafkaFor(address(), 'rights').admin()
  await admin.connect()
  await using cluster = await ClusterUnderTest.open([address()], {
    'exactly.once.source.support': 'enabled',
    'plugin.path': probes,
  })
  try {
    const topic = `rights-${cluster.token}`
    await admin.createTopics({ topics: [{ topic, numPartitions: 2 }], waitForLeaders: true })
    const worker = await (await cluster.start()).ready()
    const config = {
      'connector.class': 'test.ProbeSource',
      'tasks.max': '2',
      'probe.journal': join(cluster.folder, 'journal'),
      'probe.topic': topic,
      'admin.override.bootstrap.servers': `127.0.0.1:${saslPort}`,
      'admin.override.security.protocol': 'SASL_PLAINTEXT',
      'admin.override.sasl.mechanism': 'PLAIN',
      'admin.override.sasl.jaas.config': login('username="limited" password="secret"'),
    }
    // The first tasks follow nobody, so nobody is fenced.
    assert.equal((await worker.rest('PUT', '/connectors/p/config', config)).status, 201)
    await eventually(async () => assert.deepEqual(await statesOf(worker, 'p'), ['RUNNING', 'RUNNING']), 30_000)
    const next = await worker.rest('PUT', '/connectors/p/config', { ...config, 'probe.records': '100000' })
    assert.equal(next.status, 200, JSON.stringify(next.body))
    await eventually(async () => assert.deepEqual(await statesOf(worker, 'p'), ['FAILED', 'FAILED']), 30_000)
    for (const { trace } of await tasksOf(worker, 'p'))
      assert.match(trace ?? '', /TRANSACTIONAL_ID_AUTHORIZATION_FAILED\. Grant/)
    await admin.createAcls({
      acl: [
        {
          resourceType: acl.transactionalId,
          resourceName: `group-${cluster.token}-p-`,
          resourcePatternType: acl.prefixed,
          principal: 'User:limited',
          host: '*',
          operation: acl.all,
          permissionType: acl.allow,
        },
      ],
    })
    // The new right takes a moment to reach the broker's authorizer.
    await eventually(async () => {
      const restarted = await worker.rest('POST', '/connectors/p/restart?includeTasks=true&onlyFailed=true')
      assert.equal(restarted.status, 202, JSON.stringify(restarted.body))
      await eventually(async () => assert.deepEqual(await statesOf(worker, 'p'), ['RUNNING', 'RUNNING']), 5_000)
    }, 30_000)
  } finally {
    await admin.disconnect()
  }
})

test('statement 112: a task that waits for its topic goes on when the next worker may create it', {
  skip,
  timeout: 60_000,
}, async () => {
  await using cluster = await ClusterUnderTest.open([address()])
  const topic = `waits-${cluster.token}`
  const file = join(cluster.folder, 'in')
  await writeFile(file, 'one\ntwo\n')
  const first = await (await cluster.start('distributed', [], { 'topic.creation.enable': 'false' })).ready()
  const config = {
    'connector.class': 'FileStreamSource',
    file,
    topic,
    'topic.creation.default.partitions': '1',
    'topic.creation.default.replication.factor': '1',
  }
  assert.equal((await first.rest('PUT', '/connectors/f/config', config)).status, 201)
  await eventually(async () => assert.deepEqual(await statesOf(first, 'f'), ['RUNNING']), 20_000)
  await using admin = createKafkaClientFactory().admin({ 'bootstrap.servers': address() })
  // Several rounds of looking for the topic.
  const until = performance.now() + 1500
  while (performance.now() < until) {
    assert.equal(await admin.describeTopic(topic), null)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  const second = await (await cluster.start()).ready()
  assert.equal(await first.signal('SIGTERM'), 0, first.output.slice(-2000))
  await eventually(async () => assert.notEqual(await admin.describeTopic(topic), null), 20_000)
  const values = async () => (await topicRecords([address()], topic)).map(({ value }) => textOf(value))
  await eventually(async () => assert.deepEqual(await values(), ['one', 'two']), 20_000)
  await eventually(async () => assert.deepEqual(await statesOf(second, 'f'), ['RUNNING']), 5_000)
})
