/** Who fences whom (KIP-618), with real workers and the real broker. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { kindOf } from '../../worker/api/errors.ts'
import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import type { Producer } from '../../worker/kafka/types.ts'
import { requireService } from '../support/services.ts'
import { textOf, topicRecords } from '../support/topic-records.ts'
import { ClusterUnderTest, eventually, type WorkerUnderTest } from '../support/worker-process.ts'

const kafka = requireService('kafka')
const { skip } = kafka
const probes = fileURLToPath(new URL('../support/runtime/probe-plugins.ts', import.meta.url))

const exactlyOnce = { 'exactly.once.source.support': 'enabled', 'plugin.path': probes }

function transactionalProducer(id: string): Producer {
  return createKafkaClientFactory().producer({
    'bootstrap.servers': kafka.settings.brokers.join(','),
    'transactional.id': id,
    'transaction.timeout.ms': '10000',
  })
}

const committedValues = async (topic: string): Promise<readonly string[]> =>
  (await topicRecords(kafka.settings.brokers, topic)).map(({ value }) => textOf(value) ?? 'null')

async function taskStates(worker: WorkerUnderTest, connector: string): Promise<readonly string[]> {
  const { body } = await worker.rest('GET', `/connectors/${connector}/status`)
  return (body as { tasks: readonly { state: string; trace?: string }[] }).tasks.map(
    ({ state, trace }) => trace ?? state,
  )
}

function probe(cluster: ClusterUnderTest, tasks: number, records: number) {
  return {
    'connector.class': 'test.ProbeSource',
    'tasks.max': String(tasks),
    'probe.journal': join(cluster.folder, 'journal'),
    'probe.topic': `fence-${cluster.token}`,
    'probe.records': String(records),
    'topic.creation.default.partitions': '2',
    'topic.creation.default.replication.factor': '1',
  }
}

test('KIP-618: the leader fences a producer of the tasks before; nothing it wrote is ever seen (statement 122)', {
  skip,
  timeout: 120_000,
}, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers, exactlyOnce)
  const worker = await (await cluster.start()).ready()
  const config = probe(cluster, 2, 20)
  const topic = config['probe.topic']
  assert.equal((await worker.rest('PUT', '/connectors/p/config', config)).status, 201)
  const sequences = async (task: number): Promise<readonly string[]> =>
    (await committedValues(topic))
      .filter((value) => value.startsWith(`${task} `))
      .map((value) => value.split(' ')[1] ?? '')
  const all = Array.from({ length: 20 }, (_, i) => String(i))
  for (const task of [0, 1]) await eventually(async () => assert.deepEqual(await sequences(task), all), 30_000)
  assert.equal((await worker.rest('PUT', '/connectors/p/stop')).status, 204)
  await eventually(async () => assert.deepEqual(await taskStates(worker, 'p'), []), 15_000)
  // Task 1 as it would come back from the dead: its id, an open transaction, a record on the broker.
  await using zombie = transactionalProducer(`group-${cluster.token}-p-1`)
  await zombie.partitionsOf(topic)
  await zombie.initTransactions()
  const append = (value: string): void =>
    zombie.append(
      { topic, partition: 1, key: null, value: Buffer.from(value), headers: [], timestamp: null },
      { delivered: () => undefined, failed: () => undefined },
    )
  zombie.beginTransaction()
  append('zombie before')
  await zombie.flush()
  // One task instead of two: no new task takes the zombie's id, so only the leader's round can fence it.
  const one = { ...config, 'tasks.max': '1', 'probe.records': '40' }
  assert.equal((await worker.rest('PUT', '/connectors/p/config', one)).status, 200)
  assert.equal((await worker.rest('PUT', '/connectors/p/resume')).status, 202)
  await eventually(async () => assert.deepEqual(await taskStates(worker, 'p'), ['RUNNING']), 30_000)
  await assert.rejects(
    async () => {
      append('zombie after')
      await zombie.flush()
      await zombie.commitTransaction()
    },
    (error) => kindOf(error) === 'fenced',
  )
  const more = Array.from({ length: 40 }, (_, i) => String(i))
  await eventually(async () => assert.deepEqual(await sequences(0), more), 30_000)
  assert.deepEqual(await sequences(1), all)
  assert.deepEqual(
    (await committedValues(topic)).filter((value) => value.startsWith('zombie')),
    [],
  )
})

test('statement 121: a leader whose producer was fenced refuses one request, then writes again', {
  skip,
  timeout: 60_000,
}, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers, exactlyOnce)
  const worker = await (await cluster.start()).ready()
  // A producer that has not written yet has nothing to lose.
  assert.equal((await worker.rest('PUT', '/connectors/before/config', probe(cluster, 1, 5))).status, 201)
  // Its task is the last thing that the leader writes for it; a write after the fencing would take the refusal.
  await eventually(async () => assert.deepEqual(await taskStates(worker, 'before'), ['RUNNING']), 20_000)
  await using usurper = transactionalProducer(`connect-cluster-group-${cluster.token}`)
  await usurper.initTransactions()
  const config = probe(cluster, 1, 5)
  const refused = await worker.rest('PUT', '/connectors/p/config', config)
  assert.equal(refused.status, 500, JSON.stringify(refused.body))
  assert.deepEqual((await worker.rest('GET', '/connectors')).body, ['before'])
  await eventually(
    async () => assert.equal((await worker.rest('PUT', '/connectors/p/config', config)).status, 201),
    10_000,
  )
  await eventually(async () => assert.deepEqual(await taskStates(worker, 'p'), ['RUNNING']), 20_000)
})
