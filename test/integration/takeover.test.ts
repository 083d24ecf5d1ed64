import assert from 'node:assert/strict'
import { appendFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { ChangeTable } from '../support/change-table.ts'
import { requireJavaConnect, startJavaWorker } from '../support/java-connect.ts'
import { requireService, skipUnless } from '../support/services.ts'
import { textOf, topicRecords } from '../support/topic-records.ts'
import { ClusterUnderTest, eventually, type WorkerUnderTest } from '../support/worker-process.ts'

const kafka = requireService('kafka')
const postgres = requireService('postgres')
const skip = skipUnless(kafka, postgres, requireJavaConnect())

const mirrorClass = 'org.apache.kafka.connect.mirror.MirrorHeartbeatConnector'

interface Part {
  readonly state: string
  readonly trace?: string
}

interface Status {
  readonly connector: Part
  readonly tasks: readonly Part[]
}

/** A file that grows line by line; all lines ever written are remembered. */
class Lines {
  readonly file: string
  readonly all: string[] = []
  readonly #prefix: string

  constructor(folder: string, name: string) {
    this.file = join(folder, name)
    this.#prefix = name
  }

  async add(count: number): Promise<void> {
    const batch = Array.from({ length: count }, (_, i) => `${this.#prefix} ${this.all.length + i}`)
    this.all.push(...batch)
    await appendFile(this.file, `${batch.join('\n')}\n`)
  }
}

/** One group and its internal topics, run by workers of both kinds in turn. */
class Scenario {
  readonly cluster: ClusterUnderTest
  readonly table: ChangeTable
  readonly brokers = kafka.settings.brokers
  readonly streamed: Lines
  readonly paused: Lines
  readonly stopped: Lines
  readonly born: Lines
  readonly output: string

  constructor(cluster: ClusterUnderTest, table: ChangeTable) {
    this.cluster = cluster
    this.table = table
    this.streamed = new Lines(cluster.folder, 'streamed')
    this.paused = new Lines(cluster.folder, 'paused')
    this.stopped = new Lines(cluster.folder, 'stopped')
    this.born = new Lines(cluster.folder, 'born')
    this.output = join(cluster.folder, 'output')
  }

  topicOf(lines: Lines): string {
    return `${lines.file.split('/').at(-1)}-${this.cluster.token}`
  }

  source(lines: Lines): Readonly<Record<string, string>> {
    return { 'connector.class': 'FileStreamSource', 'tasks.max': '1', file: lines.file, topic: this.topicOf(lines) }
  }

  sink(): Readonly<Record<string, string>> {
    return {
      'connector.class': 'org.apache.kafka.connect.file.FileStreamSinkConnector',
      'tasks.max': '1',
      file: this.output,
      topics: this.topicOf(this.streamed),
      'consumer.override.metadata.max.age.ms': '1000',
    }
  }

  mirror(): Readonly<Record<string, string>> {
    const brokers = this.brokers.join(',')
    return {
      'connector.class': mirrorClass,
      'tasks.max': '1',
      'source.cluster.alias': 'a',
      'target.cluster.alias': 'b',
      'source.cluster.bootstrap.servers': brokers,
      'target.cluster.bootstrap.servers': brokers,
      'heartbeats.topic.replication.factor': '1',
      'replication.policy.class': 'org.apache.kafka.connect.mirror.DefaultReplicationPolicy',
    }
  }

  async startJava(): Promise<WorkerUnderTest> {
    return await (await startJavaWorker(this.cluster, ['debezium-postgres', 'mirror'])).ready(90_000)
  }

  async startSluice(): Promise<WorkerUnderTest> {
    return await (await this.cluster.start()).ready()
  }

  /** Every line of the source is in its topic, once and in order. */
  async assertInTopic(lines: Lines): Promise<void> {
    const records = await topicRecords(this.brokers, this.topicOf(lines))
    assert.deepEqual(
      records.map(({ value }) => textOf(value)),
      lines.all,
    )
  }

  /** The sink's file holds every line, once and in order. */
  async assertInOutput(): Promise<void> {
    const text = await readFile(this.output, 'utf8')
    assert.deepEqual(text.split('\n').slice(0, -1), this.streamed.all)
  }

  /** Each statement on the table is an event in the topic, once and in order. */
  async assertEvents(): Promise<void> {
    const found = this.table.events(await topicRecords(this.brokers, this.table.topic))
    assert.deepEqual(new Map([...found].sort(([a], [b]) => a - b)), this.table.expected)
  }

  async assertAllArrived(): Promise<void> {
    await eventually(() => this.assertInTopic(this.streamed), 20_000)
    await eventually(() => this.assertInOutput(), 20_000)
    await eventually(() => this.assertEvents(), 20_000)
  }
}

async function get(worker: WorkerUnderTest, path: string): Promise<unknown> {
  const { status, body } = await worker.rest('GET', path)
  assert.equal(status, 200, `GET ${path}: ${JSON.stringify(body)}`)
  return body
}

async function ask(worker: WorkerUnderTest, method: string, path: string, body?: unknown): Promise<void> {
  await eventually(async () => {
    const answer = await worker.rest(method, path, body)
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
  }, 20_000)
}

/** Waits until connector and tasks are in one state. */
async function isIn(worker: WorkerUnderTest, connector: string, state: string, tasks: number): Promise<void> {
  await eventually(async () => {
    const status = (await get(worker, `/connectors/${connector}/status`)) as Status
    assert.deepEqual(
      [status.connector, ...status.tasks].map((part) => part.state),
      Array.from({ length: tasks + 1 }, () => state),
      JSON.stringify(status),
    )
  }, 20_000)
}

/** What a take-over must not change, apart from the offsets of what runs on. */
async function inventory(worker: WorkerUnderTest): Promise<unknown> {
  const connectors = (await get(worker, '/connectors?expand=info')) as Record<string, { info: unknown }>
  return {
    connectors,
    pausedOffsets: await get(worker, '/connectors/paused/offsets'),
    stoppedOffsets: await get(worker, '/connectors/stopped/offsets'),
    topics: await get(worker, '/connectors/stopped/topics'),
  }
}

/** Waits until the offset of a file's end is committed. */
async function hasCommitted(worker: WorkerUnderTest, connector: string, lines: Lines): Promise<void> {
  const position = Buffer.byteLength(lines.all.map((line) => `${line}\n`).join(''))
  const offsets = [{ partition: { filename: lines.file }, offset: { position } }]
  await eventually(
    async () => assert.deepEqual(await get(worker, `/connectors/${connector}/offsets`), { offsets }),
    10_000,
  )
}

/** Ends a worker in the middle of writes; more of them come while nobody runs. */
async function stopAmidWrites(scenario: Scenario, worker: WorkerUnderTest): Promise<void> {
  const writing = Promise.all([scenario.streamed.add(20), scenario.table.change(20)])
  const code = await worker.signal('SIGTERM')
  // The JVM ends with 128 + SIGTERM.
  assert.ok(code === 0 || code === 143, `exit code ${code}: ${worker.output.slice(-2000)}`)
  await writing
  await Promise.all([scenario.streamed.add(20), scenario.table.change(20)])
}

/** Lines of a Java worker's log that speak of records it could not read. */
function complaints(worker: WorkerUnderTest): readonly string[] {
  return worker.output
    .split('\n')
    .filter(
      (line) =>
        / ERROR /.test(line) || /WARN .*(?:KafkaConfigBackingStore|KafkaStatusBackingStore|OffsetUtils)/.test(line),
    )
}

test('a group goes from Kafka Connect to Sluice and back: nothing is lost, doubled or forgotten', {
  skip,
  timeout: 180_000,
}, async (t) => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers)
  await using table = await ChangeTable.open(postgres.settings.url)
  const scenario = new Scenario(cluster, table)
  const { streamed, paused, stopped, born } = scenario
  let before: unknown

  await t.test('Kafka Connect creates connectors, pauses one, stops one, commits offsets', async () => {
    const java = await scenario.startJava()
    await Promise.all([streamed.add(20), paused.add(5), stopped.add(5), table.fill(20)])
    await ask(java, 'PUT', '/connectors/streamed/config', scenario.source(streamed))
    await ask(java, 'PUT', '/connectors/paused/config', scenario.source(paused))
    await ask(java, 'PUT', '/connectors/stopped/config', scenario.source(stopped))
    await ask(java, 'PUT', '/connectors/changes/config', table.connectorConfig())
    await ask(java, 'PUT', '/connectors/mirror/config', scenario.mirror())
    await isIn(java, 'streamed', 'RUNNING', 1)
    await ask(java, 'PUT', '/connectors/output/config', scenario.sink())
    for (const lines of [streamed, paused, stopped]) {
      await eventually(() => scenario.assertInTopic(lines), 20_000)
    }
    for (const name of ['paused', 'stopped', 'changes', 'mirror', 'output']) await isIn(java, name, 'RUNNING', 1)
    await ask(java, 'PUT', '/connectors/paused/pause')
    await ask(java, 'PUT', '/connectors/stopped/stop')
    await isIn(java, 'paused', 'PAUSED', 1)
    await isIn(java, 'stopped', 'STOPPED', 0)
    await eventually(() => scenario.assertEvents(), 20_000)
    await table.change(20)
    await scenario.assertAllArrived()
    await hasCommitted(java, 'paused', paused)
    before = await inventory(java)
    await stopAmidWrites(scenario, java)
  })

  await t.test('Sluice has the same connectors, states and offsets, and goes on from there', async () => {
    const sluice = await scenario.startSluice()
    for (const name of ['streamed', 'changes', 'output']) await isIn(sluice, name, 'RUNNING', 1)
    await isIn(sluice, 'paused', 'PAUSED', 1)
    await isIn(sluice, 'stopped', 'STOPPED', 0)
    assert.deepEqual(withoutUnknownTypes(await inventory(sluice)), withoutUnknownTypes(before))
    await scenario.assertAllArrived()

    // What this worker cannot run is kept and says why.
    await isIn(sluice, 'mirror', 'FAILED', 1)
    const mirror = (await get(sluice, '/connectors/mirror/status')) as Status
    for (const part of [mirror.connector, ...mirror.tasks]) assert.match(part.trace ?? '', new RegExp(mirrorClass))

    // Changes that Kafka Connect shall find.
    await paused.add(5)
    await ask(sluice, 'PUT', '/connectors/paused/resume')
    await eventually(() => scenario.assertInTopic(paused), 20_000)
    const [first = ''] = stopped.all
    const offsets = [{ partition: { filename: stopped.file }, offset: { position: first.length + 1 } }]
    await ask(sluice, 'PATCH', '/connectors/stopped/offsets', { offsets })
    await born.add(5)
    await ask(sluice, 'POST', '/connectors', {
      name: 'born',
      config: scenario.source(born),
      initial_state: 'PAUSED',
    })
    await isIn(sluice, 'born', 'PAUSED', 0)
    await scenario.assertAllArrived()
    await hasCommitted(sluice, 'paused', paused)
    before = await inventory(sluice)
    await stopAmidWrites(scenario, sluice)
  })

  await t.test('Kafka Connect reads what Sluice wrote, and goes on from there', async () => {
    const java = await scenario.startJava()
    for (const name of ['streamed', 'changes', 'output', 'paused', 'mirror']) await isIn(java, name, 'RUNNING', 1)
    await isIn(java, 'stopped', 'STOPPED', 0)
    await isIn(java, 'born', 'PAUSED', 0)
    assert.deepEqual(withoutUnknownTypes(await inventory(java)), withoutUnknownTypes(before))
    await table.change(10)
    await scenario.assertAllArrived()
    // From the altered offset: all lines but the first come a second time.
    const repeated = stopped.all.slice(1)
    await ask(java, 'PUT', '/connectors/stopped/resume')
    await eventually(async () => {
      const records = await topicRecords(scenario.brokers, scenario.topicOf(stopped))
      assert.deepEqual(
        records.map(({ value }) => textOf(value)),
        [...stopped.all, ...repeated],
      )
    }, 20_000)
    await ask(java, 'PUT', '/connectors/born/resume')
    await eventually(() => scenario.assertInTopic(born), 20_000)
    await hasCommitted(java, 'born', born)
    await scenario.assertInTopic(paused)
    assert.deepEqual(complaints(java), [])
  })

  await t.test('both kinds wrote the offsets of a partition under one key', async () => {
    const keys = (await topicRecords(scenario.brokers, `offsets-${cluster.token}`)).map(({ key }) => textOf(key) ?? '')
    const perConnector = new Map<string, Set<string>>()
    for (const key of keys) {
      const [connector] = JSON.parse(key) as [string]
      perConnector.set(connector, (perConnector.get(connector) ?? new Set()).add(key))
    }
    assert.deepEqual([...perConnector.keys()].sort(), ['born', 'changes', 'mirror', 'paused', 'stopped', 'streamed'])
    for (const [connector, distinct] of perConnector) assert.equal(distinct.size, 1, `${connector}: ${[...distinct]}`)
  })
  await Promise.all(cluster.workers.filter((worker) => worker.isRunning).map((worker) => worker.signal('SIGTERM')))
})

/** A connector whose class a worker lacks has no known type there. */
function withoutUnknownTypes(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (key, inner: unknown) => (key === 'mirror' ? undefined : inner))
}
