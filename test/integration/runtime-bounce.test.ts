/**
 * Three workers that end in turn, by themselves and by SIGKILL, under a source and a sink that write down who owned
 * which task when: no gap, after clean ends no duplicate either (statements 116, 117), and never two owners at once (I7).
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import { type JournalEntry, readJournal } from '../support/runtime/probe-plugins.ts'
import { requireService } from '../support/services.ts'
import { textOf, topicRecords } from '../support/topic-records.ts'
import { ClusterUnderTest, eventually, type WorkerUnderTest } from '../support/worker-process.ts'

const kafka = requireService('kafka')
const probes = fileURLToPath(new URL('../support/runtime/probe-plugins.ts', import.meta.url))
const taskCount = 3
const delayMs = 1000
/** `session.timeout.ms` of the workers, the delay above, and what starting threads on a busy machine takes. */
const takeoverMs = 6_000 + delayMs + 8_000

class Scene {
  readonly cluster: ClusterUnderTest
  readonly topic: string
  readonly #journals: Readonly<Record<'in' | 'out', string>>
  living: WorkerUnderTest[] = []

  constructor(cluster: ClusterUnderTest) {
    this.cluster = cluster
    this.topic = `bounce-${cluster.token}`
    this.#journals = { in: join(cluster.folder, 'in'), out: join(cluster.folder, 'out') }
  }

  get any(): WorkerUnderTest {
    return this.living[0] ?? assert.fail('no worker is left')
  }

  async addWorker(): Promise<void> {
    this.living.push(await (await this.cluster.start()).ready())
  }

  journal(connector: 'in' | 'out'): Promise<readonly JournalEntry[]> {
    return readJournal(this.#journals[connector])
  }

  async create(): Promise<void> {
    await using admin = createKafkaClientFactory().admin({ 'bootstrap.servers': kafka.settings.brokers.join(',') })
    await admin.createTopic({ topic: this.topic, partitions: taskCount, replicationFactor: 1, configs: {} })
    const common = { 'tasks.max': String(taskCount) }
    const source = {
      ...common,
      'connector.class': 'test.ProbeSource',
      'probe.journal': this.#journals.in,
      'probe.topic': this.topic,
    }
    const sink = {
      ...common,
      'connector.class': 'test.ProbeSink',
      'probe.journal': this.#journals.out,
      topics: this.topic,
      'consumer.override.metadata.max.age.ms': '1000',
      // A killed consumer is missed by its group after this time, not by the workers' own.
      'consumer.override.session.timeout.ms': '6000',
      'consumer.override.heartbeat.interval.ms': '500',
    }
    assert.equal((await this.any.rest('PUT', '/connectors/in/config', source)).status, 201)
    await this.run(30_000)
    assert.equal((await this.any.rest('PUT', '/connectors/out/config', sink)).status, 201)
    await this.run(30_000)
  }

  /** All tasks run, each on a worker that lives. */
  async run(withinMs: number): Promise<void> {
    const ids = this.living.map(({ url }) => new URL(url).host)
    await eventually(async () => {
      const { body } = await this.any.rest('GET', '/connectors?expand=status')
      for (const { status } of Object.values(body as Record<string, { status: ConnectorStatus }>)) {
        assert.equal(status.tasks.length, taskCount)
        for (const task of status.tasks) {
          assert.equal(task.state, 'RUNNING', task.trace)
          assert.ok(ids.includes(task.worker_id), `${task.worker_id} of ${ids}`)
        }
      }
    }, withinMs)
  }

  async setSource(state: 'stop' | 'resume'): Promise<void> {
    const { status, body } = await this.any.rest('PUT', `/connectors/in/${state}`)
    assert.ok(status === 202 || status === 204, JSON.stringify(body))
    if (state === 'resume') return await this.run(20_000)
    await eventually(async () => {
      const answer = await this.any.rest('GET', '/connectors/in/status')
      assert.deepEqual((answer.body as ConnectorStatus).tasks, [])
    }, 20_000)
  }

  /** What is in the topic, in order per task. */
  async produced(): Promise<readonly ProbeRecord[]> {
    const records = await topicRecords(kafka.settings.brokers, this.topic)
    return records.map(({ value }) => probeRecord(textOf(value) ?? ''))
  }

  async delivered(): Promise<readonly string[]> {
    return (await this.journal('out')).flatMap(({ what, items }) => (what === 'put' ? items : []))
  }
}

interface ConnectorStatus {
  readonly tasks: readonly { readonly state: string; readonly worker_id: string; readonly trace?: string }[]
}

interface ProbeRecord {
  readonly task: number
  readonly sequence: number
  /** The start of the task that made it: its epoch. */
  readonly owner: string
  readonly text: string
}

function probeRecord(text: string): ProbeRecord {
  const [task, sequence, ...owner] = text.split(' ')
  return { task: Number(task), sequence: Number(sequence), owner: owner.join(' '), text }
}

const tasks = Array.from({ length: taskCount }, (_, task) => task)

/** Each task's numbers from 0 on, without a gap. @returns how many records came more than once */
function assertNoGap(records: readonly ProbeRecord[]): number {
  let repeated = 0
  for (const task of tasks) {
    const sequences = records.filter((record) => record.task === task).map(({ sequence }) => sequence)
    const distinct = [...new Set(sequences)].sort((a, b) => a - b)
    assert.ok(distinct.length > 0, `task ${task} wrote nothing`)
    assert.equal(distinct.at(-1), distinct.length - 1, `gap in task ${task}`)
    repeated += sequences.length - distinct.length
  }
  return repeated
}

/** An owner that has been followed by another one never writes again: neither records nor a sign of life. */
function assertNoOverlap(records: readonly ProbeRecord[], journal: readonly JournalEntry[]): void {
  for (const task of tasks) {
    const epochs = records.filter((record) => record.task === task).map(({ owner }) => owner)
    const runs = epochs.filter((owner, i) => owner !== epochs[i - 1])
    assert.equal(new Set(runs).size, runs.length, `task ${task} went back to an earlier owner: ${runs.join(', ')}`)
    const spans = new Map<string, { from: number; to: number }>()
    for (const { task: of, owner, at } of journal) {
      if (of !== task) continue
      const span = spans.get(owner) ?? { from: at, to: at }
      spans.set(owner, { from: Math.min(span.from, at), to: Math.max(span.to, at) })
    }
    const inOrder = [...spans.values()].sort((a, b) => a.from - b.from)
    for (const [i, { from }] of inOrder.entries()) {
      const before = inOrder[i - 1]
      assert.ok(before === undefined || from >= before.to, `task ${task} had two owners at ${from}`)
    }
  }
}

async function assertDelivered(scene: Scene, exactly: boolean): Promise<void> {
  const produced = (await scene.produced()).map(({ text }) => text).sort()
  await eventually(async () => {
    const delivered = [...(await scene.delivered())].sort()
    if (exactly) assert.deepEqual(delivered, produced)
    else assert.deepEqual([...new Set(delivered)], [...new Set(produced)])
  }, 20_000)
}

test('statements 116, 117, I7: workers end in turn, cleanly and killed: no gap, no second owner; cleanly no duplicate', {
  skip: kafka.skip,
  timeout: 240_000,
}, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers, {
    'plugin.path': probes,
    'scheduled.rebalance.max.delay.ms': String(delayMs),
  })
  const scene = new Scene(cluster)
  for (const _ of tasks) await scene.addWorker()
  await scene.create()
  for (const worker of scene.living) {
    scene.living = scene.living.filter((other) => other !== worker)
    assert.equal(await worker.signal('SIGTERM'), 0, worker.output.slice(-2000))
    await scene.addWorker()
    await scene.run(20_000)
  }
  await scene.setSource('stop')
  assert.equal(assertNoGap(await scene.produced()), 0, 'the source repeated records')
  await assertDelivered(scene, true)
  await scene.setSource('resume')
  for (const worker of scene.living) {
    scene.living = scene.living.filter((other) => other !== worker)
    await worker.signal('SIGKILL')
    await scene.run(takeoverMs)
    await scene.addWorker()
  }
  await scene.setSource('stop')
  const records = await scene.produced()
  const repeated = assertNoGap(records)
  await assertDelivered(scene, false)
  assertNoOverlap(records, await scene.journal('in'))
  const owners = new Set(records.map(({ owner }) => owner)).size
  assert.ok(owners > 2 * taskCount, `only ${owners} owners: nothing has moved`)
  console.log(`${records.length} records of ${owners} owners in turn, ${repeated} repeated after kills`)
})
