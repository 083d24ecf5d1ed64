import assert from 'node:assert/strict'
import { appendFile, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ChangeTable } from './change-table.ts'
import { startJavaWorker } from './java-connect.ts'
import { textOf, topicRecords } from './topic-records.ts'
import { ClusterUnderTest, eventually, type WorkerUnderTest } from './worker-process.ts'

/** For a state or a record to arrive, in ms: seconds on an idle machine. */
const deadlineMs = 60_000

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

/** Compared by name: what there should be, what there is, and the difference. */
export interface Tally {
  readonly what: string
  readonly expected: number
  readonly found: number
  readonly lost: number
  readonly doubled: number
}

function tally(what: string, expected: readonly string[], found: readonly string[]): Tally {
  const distinct = new Set(found)
  const lost = expected.filter((item) => !distinct.has(item)).length
  return { what, expected: expected.length, found: found.length, lost, doubled: found.length - distinct.size }
}

/**
 * One group and its internal topics, run by Kafka Connect, by Sluice, and by Kafka Connect again. Each worker is ended
 * amid writes, and more of them come while nobody runs. The steps throw an AssertionError for what is not as it was.
 */
export class TakeOver implements AsyncDisposable {
  readonly cluster: ClusterUnderTest
  readonly table: ChangeTable
  readonly brokers: readonly string[]
  readonly streamed: Lines
  readonly paused: Lines
  readonly stopped: Lines
  readonly born: Lines
  readonly output: string
  #before: unknown = null

  private constructor(cluster: ClusterUnderTest, table: ChangeTable, brokers: readonly string[]) {
    this.cluster = cluster
    this.table = table
    this.brokers = brokers
    this.streamed = new Lines(cluster.folder, 'streamed')
    this.paused = new Lines(cluster.folder, 'paused')
    this.stopped = new Lines(cluster.folder, 'stopped')
    this.born = new Lines(cluster.folder, 'born')
    this.output = join(cluster.folder, 'output')
  }

  static async open(brokers: readonly string[], postgresUrl: string): Promise<TakeOver> {
    await using stack = new AsyncDisposableStack()
    const cluster = stack.use(await ClusterUnderTest.open(brokers))
    const table = stack.use(await ChangeTable.open(postgresUrl))
    const opened = new TakeOver(cluster, table, brokers)
    stack.move()
    return opened
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.cluster[Symbol.asyncDispose]()
    } finally {
      await this.table[Symbol.asyncDispose]()
    }
  }

  /** Consumer groups are named after their connectors, and those of other runs may still wait for dead members. */
  get sinkName(): string {
    return `output-${this.cluster.token}`
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
    try {
      await eventually(() => this.assertInTopic(this.streamed), deadlineMs)
      await eventually(() => this.assertInOutput(), deadlineMs)
      await eventually(() => this.assertEvents(), deadlineMs)
    } catch (error) {
      const log = this.cluster.workers.at(-1)?.output.slice(-10_000)
      throw new Error(`something did not arrive; the worker's log ends with\n${log}`, { cause: error })
    }
  }

  /** Kafka Connect creates connectors, pauses one, stops one, commits offsets. */
  async createOnKafkaConnect(): Promise<void> {
    const { streamed, paused, stopped, table } = this
    const java = await this.startJava()
    await Promise.all([streamed.add(20), paused.add(5), stopped.add(5), table.fill(20)])
    await ask(java, 'PUT', '/connectors/streamed/config', this.source(streamed))
    await ask(java, 'PUT', '/connectors/paused/config', this.source(paused))
    await ask(java, 'PUT', '/connectors/stopped/config', this.source(stopped))
    await ask(java, 'PUT', '/connectors/changes/config', table.connectorConfig())
    await ask(java, 'PUT', '/connectors/mirror/config', this.mirror())
    await isIn(java, 'streamed', 'RUNNING', 1)
    await ask(java, 'PUT', `/connectors/${this.sinkName}/config`, this.sink())
    for (const lines of [streamed, paused, stopped]) {
      await eventually(() => this.assertInTopic(lines), deadlineMs)
    }
    for (const name of ['paused', 'stopped', 'changes', 'mirror', this.sinkName]) await isIn(java, name, 'RUNNING', 1)
    await ask(java, 'PUT', '/connectors/paused/pause')
    await ask(java, 'PUT', '/connectors/stopped/stop')
    await isIn(java, 'paused', 'PAUSED', 1)
    await isIn(java, 'stopped', 'STOPPED', 0)
    await eventually(() => this.assertEvents(), deadlineMs)
    await table.change(20)
    await this.assertAllArrived()
    await hasCommitted(java, 'paused', paused)
    this.#before = await inventory(java)
  }

  /** Sluice has the same connectors, states and offsets, goes on from there, and changes some of it. */
  async goOnWithSluice(): Promise<void> {
    const { paused, stopped, born } = this
    await this.#stopAmidWrites()
    const sluice = await this.startSluice()
    for (const name of ['streamed', 'changes', this.sinkName]) await isIn(sluice, name, 'RUNNING', 1)
    await isIn(sluice, 'paused', 'PAUSED', 1)
    await isIn(sluice, 'stopped', 'STOPPED', 0)
    assert.deepEqual(withoutMirror(await inventory(sluice)), withoutMirror(this.#before))
    await this.assertAllArrived()

    // What this worker cannot run is kept and says why.
    await isIn(sluice, 'mirror', 'FAILED', 1)
    const mirror = (await get(sluice, '/connectors/mirror/status')) as Status
    for (const part of [mirror.connector, ...mirror.tasks]) assert.match(part.trace ?? '', new RegExp(mirrorClass))

    // Changes that Kafka Connect shall find.
    await paused.add(5)
    await ask(sluice, 'PUT', '/connectors/paused/resume')
    await eventually(() => this.assertInTopic(paused), deadlineMs)
    const [first = ''] = stopped.all
    const offsets = [{ partition: { filename: stopped.file }, offset: { position: first.length + 1 } }]
    await ask(sluice, 'PATCH', '/connectors/stopped/offsets', { offsets })
    await born.add(5)
    await ask(sluice, 'POST', '/connectors', {
      name: 'born',
      config: this.source(born),
      initial_state: 'PAUSED',
    })
    await isIn(sluice, 'born', 'PAUSED', 0)
    await this.assertAllArrived()
    await hasCommitted(sluice, 'paused', paused)
    this.#before = await inventory(sluice)
  }

  /** Kafka Connect reads what Sluice wrote, and goes on from there. */
  async goBackToKafkaConnect(): Promise<void> {
    const { paused, stopped, born, table } = this
    await this.#stopAmidWrites()
    const java = await this.startJava()
    for (const name of ['streamed', 'changes', this.sinkName, 'paused', 'mirror']) await isIn(java, name, 'RUNNING', 1)
    await isIn(java, 'stopped', 'STOPPED', 0)
    await isIn(java, 'born', 'PAUSED', 0)
    assert.deepEqual(withoutMirror(await inventory(java)), withoutMirror(this.#before))
    await table.change(10)
    await this.assertAllArrived()
    // From the altered offset: all lines but the first come a second time.
    const repeated = stopped.all.slice(1)
    await ask(java, 'PUT', '/connectors/stopped/resume')
    await eventually(async () => {
      const records = await topicRecords(this.brokers, this.topicOf(stopped))
      assert.deepEqual(
        records.map(({ value }) => textOf(value)),
        [...stopped.all, ...repeated],
      )
    }, deadlineMs)
    await ask(java, 'PUT', '/connectors/born/resume')
    await eventually(() => this.assertInTopic(born), deadlineMs)
    await hasCommitted(java, 'born', born)
    await this.assertInTopic(paused)
    assert.deepEqual(complaints(java), [])
  }

  /** Both kinds wrote the offsets of a partition under one key. */
  async assertOneKeyPerPartition(): Promise<void> {
    const keys = (await topicRecords(this.brokers, `offsets-${this.cluster.token}`)).map(({ key }) => textOf(key) ?? '')
    const perConnector = new Map<string, Set<string>>()
    for (const key of keys) {
      const [connector] = JSON.parse(key) as [string]
      perConnector.set(connector, (perConnector.get(connector) ?? new Set()).add(key))
    }
    assert.deepEqual([...perConnector.keys()].sort(), ['born', 'changes', 'mirror', 'paused', 'stopped', 'streamed'])
    for (const [connector, distinct] of perConnector) assert.equal(distinct.size, 1, `${connector}: ${[...distinct]}`)
  }

  /** Ends the worker that runs in the middle of writes; more of them come while nobody runs. */
  async #stopAmidWrites(): Promise<void> {
    const worker = this.cluster.workers.at(-1)
    assert.ok(worker)
    const [code] = await Promise.all([worker.signal('SIGTERM'), this.streamed.add(20), this.table.change(20)])
    // The JVM ends with 128 + SIGTERM.
    assert.ok(code === 0 || code === 143, `exit code ${code}: ${worker.output.slice(-2000)}`)
    await Promise.all([this.streamed.add(20), this.table.change(20)])
  }

  /** What has arrived so far, counted. */
  async tallies(): Promise<readonly Tally[]> {
    const inTopic = async (topic: string) =>
      (await topicRecords(this.brokers, topic)).map(({ value }) => textOf(value) ?? '')
    const lines = await inTopic(this.topicOf(this.streamed))
    const events = (of: ReadonlyMap<number, string>) =>
      [...of].flatMap(([id, kinds]) => Array.from(kinds, (kind) => `${id} ${kind}`))
    return [
      tally('lines, file to topic', this.streamed.all, lines),
      tally('lines, topic to file', this.streamed.all, (await readFile(this.output, 'utf8')).split('\n').slice(0, -1)),
      tally(
        'changes, Postgres to topic',
        events(this.table.expected),
        events(this.table.events(await topicRecords(this.brokers, this.table.topic))),
      ),
    ]
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
  }, deadlineMs)
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
  }, deadlineMs)
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

/** Lines of a Java worker's log that speak of records it could not read. */
function complaints(worker: WorkerUnderTest): readonly string[] {
  return worker.output
    .split('\n')
    .filter(
      (line) =>
        / ERROR /.test(line) || /WARN .*(?:KafkaConfigBackingStore|KafkaStatusBackingStore|OffsetUtils)/.test(line),
    )
}

/** A connector whose class a worker lacks has no known type there. */
function withoutMirror(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (key, inner: unknown) => (key === 'mirror' ? undefined : inner))
}
