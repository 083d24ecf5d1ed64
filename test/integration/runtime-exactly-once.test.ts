/** Exactly-once sources over real workers and the real broker (KIP-618; statements 105, 118, 126). */
import assert from 'node:assert/strict'
import { appendFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import { PostgresUnderTest } from '../support/runtime/postgres-under-test.ts'
import { requireService, skipUnless } from '../support/services.ts'
import { textOf, topicRecords } from '../support/topic-records.ts'
import { ClusterUnderTest, eventually, type WorkerUnderTest } from '../support/worker-process.ts'

const kafka = requireService('kafka')
const postgres = requireService('postgres')
const { skip } = kafka

/** Everything that a read_committed consumer sees of a topic, in order per partition; nothing while there is none. */
async function committedValues(topic: string): Promise<readonly string[]> {
  await using admin = createKafkaClientFactory().admin({ 'bootstrap.servers': kafka.settings.brokers.join(',') })
  if ((await admin.describeTopic(topic)) === null) return []
  return (await topicRecords(kafka.settings.brokers, topic)).map(({ value }) => textOf(value) ?? '')
}

const fileSource = (file: string, topic: string) => ({
  'connector.class': 'FileStreamSource',
  'tasks.max': '1',
  file,
  topic,
  'batch.size': '20',
  'topic.creation.default.partitions': '1',
  'topic.creation.default.replication.factor': '1',
  // So that the transaction which a killed task left open does not hold up readers for a minute.
  'producer.override.transaction.timeout.ms': '10000',
})

async function runs(worker: WorkerUnderTest, connector: string): Promise<void> {
  const { status, body } = await worker.rest('GET', `/connectors/${connector}/status`)
  assert.equal(status, 200, JSON.stringify(body))
  const { tasks } = body as { tasks: readonly { state: string; trace?: string }[] }
  assert.deepEqual(
    tasks.map(({ state, trace }) => trace ?? state),
    ['RUNNING'],
  )
}

const lines = (from: number, count: number): string[] => Array.from({ length: count }, (_, i) => `line ${from + i}`)

async function expectExactly(topic: string, expected: readonly string[], cluster: ClusterUnderTest): Promise<void> {
  try {
    await eventually(async () => assert.deepEqual(await committedValues(topic), expected), 40_000)
  } catch (error) {
    const logs = cluster.workers.map((worker) => worker.output.slice(-4_000))
    throw new Error(`not exactly once\n${logs.join('\n\n')}`, { cause: error })
  }
}

async function openCluster() {
  return await ClusterUnderTest.open(kafka.settings.brokers, { 'exactly.once.source.support': 'enabled' })
}

test('statement 126: kill -9 in the middle; read_committed sees every line exactly once, in order', {
  skip,
  timeout: 240_000,
}, async () => {
  await using cluster = await openCluster()
  const topic = `eos-${cluster.token}`
  const input = join(cluster.folder, 'in')
  const expected = lines(0, 4000)
  await writeFile(input, `${expected.join('\n')}\n`)
  let worker = await (await cluster.start()).ready()
  const created = await worker.rest('PUT', '/connectors/f/config', fileSource(input, topic))
  assert.equal(created.status, 201, JSON.stringify(created.body))
  for (const round of [0, 1, 2]) {
    await eventually(() => runs(worker, 'f'), 40_000)
    const more = lines(expected.length, 2000)
    expected.push(...more)
    await appendFile(input, `${more.join('\n')}\n`)
    // In the middle of what was just appended.
    await eventually(
      async () => assert.ok((await committedValues(topic)).length > expected.length - 1900 + round),
      60_000,
    )
    await worker.signal('SIGKILL')
    worker = await (await cluster.start()).ready()
  }
  await expectExactly(topic, expected, cluster)
  // A clean bounce, too.
  assert.equal(await worker.signal('SIGTERM'), 0, worker.output.slice(-2000))
  const more = lines(expected.length, 100)
  expected.push(...more)
  await appendFile(input, `${more.join('\n')}\n`)
  await (await cluster.start()).ready()
  await expectExactly(topic, expected, cluster)
})

test('statements 97, 98, 105, 124: a topic of its own for offsets, altered and reset in a transaction', {
  skip,
  timeout: 180_000,
}, async () => {
  await using cluster = await openCluster()
  const topic = `eos-${cluster.token}`
  const own = `own-offsets-${cluster.token}`
  const input = join(cluster.folder, 'in')
  await writeFile(input, 'aa\nbb\ncc\n')
  const worker = await (await cluster.start()).ready()
  const config = { ...fileSource(input, topic), 'offsets.storage.topic': own }
  const created = await worker.rest('PUT', '/connectors/f/config', config)
  assert.equal(created.status, 201, JSON.stringify(created.body))
  await expectExactly(topic, ['aa', 'bb', 'cc'], cluster)
  const at = (position: number) => ({ offsets: [{ partition: { filename: input }, offset: { position } }] })
  const offsets = async () => (await worker.rest('GET', '/connectors/f/offsets')).body
  await eventually(async () => assert.deepEqual(await offsets(), at(9)), 10_000)
  const keyed = `["f",{"filename":"${input}"}]`
  assert.equal((await committedValues(own)).at(-1), '{"position":9}')
  // The worker's topic is the backup.
  await eventually(
    async () => assert.equal((await committedValues(`offsets-${cluster.token}`)).at(-1), '{"position":9}', keyed),
    10_000,
  )
  assert.equal((await worker.rest('PATCH', '/connectors/f/offsets', at(3))).status, 400)
  assert.equal((await worker.rest('PUT', '/connectors/f/stop')).status, 204)
  const stopped = async (): Promise<void> => {
    const { body } = await worker.rest('GET', '/connectors/f/status')
    assert.deepEqual((body as { tasks: unknown }).tasks, [])
  }
  await eventually(stopped, 15_000)
  const altered = await worker.rest('PATCH', '/connectors/f/offsets', at(3))
  assert.deepEqual(
    [altered.status, altered.body],
    [200, { message: 'The offsets for this connector have been altered successfully' }],
  )
  assert.deepEqual(await offsets(), at(3))
  assert.equal((await worker.rest('PUT', '/connectors/f/resume')).status, 202)
  await expectExactly(topic, ['aa', 'bb', 'cc', 'bb', 'cc'], cluster)
  await worker.rest('PUT', '/connectors/f/stop')
  await eventually(stopped, 15_000)
  assert.equal((await worker.rest('DELETE', '/connectors/f/offsets')).status, 200)
  assert.deepEqual(await offsets(), { offsets: [] })
  assert.equal((await worker.rest('PUT', '/connectors/f/resume')).status, 202)
  await expectExactly(topic, ['aa', 'bb', 'cc', 'bb', 'cc', 'aa', 'bb', 'cc'], cluster)
})

test('KIP-618: from disabled over preparing to enabled and back, worker by worker: nothing lost, nothing twice', {
  skip,
  timeout: 180_000,
}, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers)
  const topic = `eos-${cluster.token}`
  const input = join(cluster.folder, 'in')
  const expected: string[] = []
  let worker: WorkerUnderTest | null = null
  for (const support of ['disabled', 'preparing', 'enabled', 'preparing', 'disabled']) {
    const more = lines(expected.length, 300)
    expected.push(...more)
    await appendFile(input, `${more.join('\n')}\n`)
    const next = await (await cluster.start('distributed', [], { 'exactly.once.source.support': support })).ready()
    if (worker === null) {
      assert.equal((await next.rest('PUT', '/connectors/f/config', fileSource(input, topic))).status, 201)
    } else assert.equal(await worker.signal('SIGTERM'), 0, worker.output.slice(-2000))
    worker = next
    await expectExactly(topic, expected, cluster)
    await eventually(() => runs(next, 'f'), 20_000)
  }
})

test('statement 122: a frozen worker is fenced; what it writes when it wakes is never seen', {
  skip,
  timeout: 240_000,
}, async () => {
  await using cluster = await openCluster()
  const topic = `eos-${cluster.token}`
  const input = join(cluster.folder, 'in')
  const expected = lines(0, 500)
  await writeFile(input, `${expected.join('\n')}\n`)
  const frozen = await (await cluster.start()).ready()
  assert.equal((await frozen.rest('PUT', '/connectors/f/config', fileSource(input, topic))).status, 201)
  await expectExactly(topic, expected, cluster)
  freeze(frozen)
  const more = lines(expected.length, 500)
  expected.push(...more)
  await appendFile(input, `${more.join('\n')}\n`)
  const heir = await (await cluster.start()).ready(60_000)
  await eventually(() => runs(heir, 'f'), 60_000)
  await expectExactly(topic, expected, cluster)
  wake(frozen)
  const last = lines(expected.length, 200)
  expected.push(...last)
  await appendFile(input, `${last.join('\n')}\n`)
  await expectExactly(topic, expected, cluster)
})

test('statement 126: Postgres source, snapshot and stream, killed twice; every change exactly once', {
  skip: skipUnless(kafka, postgres),
  timeout: 240_000,
}, async () => {
  await using cluster = await openCluster()
  await using database = await PostgresUnderTest.open(
    postgres.settings.url,
    'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 3000)',
  )
  const topic = `${database.name}.public.t`
  const config = {
    ...database.sourceOptions(),
    'key.converter': 'org.apache.kafka.connect.json.JsonConverter',
    'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
    'key.converter.schemas.enable': 'false',
    'value.converter.schemas.enable': 'false',
    'max.batch.size': '50',
    'producer.override.transaction.timeout.ms': '10000',
    'topic.creation.default.partitions': '1',
    'topic.creation.default.replication.factor': '1',
  }
  let worker = await (await cluster.start()).ready()
  const created = await worker.rest('PUT', '/connectors/pg/config', config)
  assert.equal(created.status, 201, JSON.stringify(created.body))
  const changes = async (): Promise<readonly string[]> =>
    (await committedValues(topic)).map((text) => {
      const { op, after } = JSON.parse(text) as { op: string; after: { id: number } }
      return `${op} ${after.id}`
    })
  const of = (op: string, from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => `${op} ${from + i}`)
  // A snapshot is one unit: it is complete before the stream begins.
  await eventually(async () => assert.deepEqual(await changes(), of('r', 1, 3000)), 60_000)
  const expected = of('r', 1, 3000)
  for (const round of [0, 1]) {
    const first = 3001 + round * 1500
    for (let id = first; id < first + 1500; id += 50) {
      await database.sql(`INSERT INTO t SELECT generate_series(${id}, ${id + 49})`)
    }
    expected.push(...of('c', first, first + 1499))
    await eventually(async () => assert.ok((await changes()).length > expected.length - 1500), 60_000)
    await worker.signal('SIGKILL')
    worker = await (await cluster.start()).ready()
    await eventually(() => runs(worker, 'pg'), 60_000)
  }
  try {
    await eventually(async () => assert.deepEqual(await changes(), expected), 60_000)
  } catch (error) {
    throw new Error(`not exactly once\n${worker.output.slice(-4000)}`, { cause: error })
  }
  assert.equal(await worker.signal('SIGTERM'), 0, worker.output.slice(-2000))
})

function freeze(worker: WorkerUnderTest): void {
  void worker.signal('SIGSTOP')
}

function wake(worker: WorkerUnderTest): void {
  void worker.signal('SIGCONT')
}
