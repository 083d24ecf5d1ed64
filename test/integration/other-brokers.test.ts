/** Brokers unlike the stack's: old ones, and more than one. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import { requireJavaConnect } from '../support/java-connect.ts'
import { OldBroker } from '../support/old-broker.ts'
import { PrivateBroker } from '../support/private-broker.ts'
import { requireService } from '../support/services.ts'
import { ClusterUnderTest, eventually, type WorkerUnderTest } from '../support/worker-process.ts'

/** A file goes through a topic into another file. */
async function movesData(cluster: ClusterUnderTest, worker: WorkerUnderTest): Promise<void> {
  const [input, output] = [join(cluster.folder, 'in'), join(cluster.folder, 'out')]
  const topic = `t-${cluster.token}`
  await writeFile(input, 'a\nb\n')
  const put = async (name: string, config: Readonly<Record<string, string>>): Promise<void> => {
    await eventually(async () => {
      const { status, body } = await worker.rest('PUT', `/connectors/${name}/config`, config)
      assert.ok(status < 300, JSON.stringify(body))
    }, 10_000)
  }
  await put('in', { 'connector.class': 'FileStreamSource', file: input, topic })
  await put('out', {
    'connector.class': 'FileStreamSink',
    file: output,
    topics: topic,
    'consumer.override.metadata.max.age.ms': '1000',
    'consumer.override.isolation.level': 'read_committed',
  })
  try {
    await eventually(async () => assert.equal(await readFile(output, 'utf8'), 'a\nb\n'), 60_000)
  } catch (error) {
    const statuses = await Promise.all(['in', 'out'].map((name) => worker.rest('GET', `/connectors/${name}/status`)))
    const logs = cluster.workers.map(({ output: text }) => text.slice(-4_000))
    throw new Error(`${JSON.stringify(statuses)}\n${logs.join('\n\n')}`, { cause: error })
  }
  await eventually(async () => {
    const { body } = await worker.rest('GET', '/connectors/in/offsets')
    assert.deepEqual(body, { offsets: [{ partition: { filename: input }, offset: { position: 4 } }] })
  }, 10_000)
}

test('statement 153: brokers of Kafka 2.1, with each group protocol, and with exactly-once', {
  ...requireJavaConnect(),
  timeout: 240_000,
}, async () => {
  await using broker = await OldBroker.open()
  const variants = [
    { 'connect.protocol': 'eager' },
    { 'connect.protocol': 'compatible' },
    { 'connect.protocol': 'sessioned', 'exactly.once.source.support': 'enabled' },
  ]
  for (const options of variants) {
    await using cluster = await ClusterUnderTest.open([broker.address], options)
    // The second joins a group that has a member already, as every later rebalance does.
    const worker = await (await cluster.start()).ready()
    await (await cluster.start()).ready()
    await movesData(cluster, worker)
  }
})

test('statement 83: fewer replicas than brokers; the topics are shared out among them', {
  skip: requireService('kafka').skip,
  timeout: 240_000,
}, async () => {
  await using first = await PrivateBroker.open()
  await using second = await PrivateBroker.join(first)
  await using cluster = await ClusterUnderTest.open([second.address, first.address])
  const worker = await (await cluster.start()).ready()
  await movesData(cluster, worker)
  // As many as there are is not too many.
  await using replicated = await ClusterUnderTest.open([first.address], {
    'config.storage.replication.factor': '2',
    'offset.storage.replication.factor': '2',
    'status.storage.replication.factor': '2',
  })
  await movesData(replicated, await (await replicated.start()).ready())
  await using admin = createKafkaClientFactory().admin({ 'bootstrap.servers': first.address })
  for (const [name, partitions] of Object.entries({ configs: 1, offsets: 2, statuses: 2 })) {
    assert.equal((await admin.describeTopic(`${name}-${cluster.token}`))?.partitions, partitions)
  }
})
