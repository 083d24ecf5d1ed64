import assert from 'node:assert/strict'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startJavaWorker } from './java-connect.ts'
import { textOf, topicRecords } from './topic-records.ts'
import { type ClusterUnderTest, eventually, type WorkerUnderTest } from './worker-process.ts'

/** `session.timeout.ms` of the workers is 6 s; the rest is for a busy machine. */
export const takeoverMs = 60_000

interface Part {
  readonly state: string
  readonly worker_id: string
  readonly trace?: string
}

interface Status {
  readonly connector: Part
  readonly tasks: readonly Part[]
}

interface FileSource {
  readonly name: string
  readonly file: string
  readonly topic: string
  readonly lines: string[]
}

/** Workers of both kinds in one group, with file sources that grow all the time. */
export class MixedGroup {
  readonly cluster: ClusterUnderTest
  readonly sources: FileSource[] = []
  readonly #brokers: readonly string[]

  constructor(cluster: ClusterUnderTest, brokers: readonly string[]) {
    this.cluster = cluster
    this.#brokers = brokers
  }

  async startJava(): Promise<WorkerUnderTest> {
    return await (await startJavaWorker(this.cluster)).ready(90_000)
  }

  async startSluice(): Promise<WorkerUnderTest> {
    return await (await this.cluster.start()).ready()
  }

  /** Creates a source by way of any worker. */
  async create(through: WorkerUnderTest): Promise<void> {
    const name = `s${this.sources.length}`
    const { token, folder } = this.cluster
    const source: FileSource = { name, file: join(folder, name), topic: `${name}-${token}`, lines: [] }
    this.sources.push(source)
    await appendFile(source.file, '')
    await ask(through, 'POST', '/connectors', { name, config: this.config(source) })
  }

  config(source: FileSource): Readonly<Record<string, string>> {
    const { file, topic } = source
    return { 'connector.class': 'FileStreamSource', 'tasks.max': '1', file, topic }
  }

  async write(): Promise<void> {
    for (const { name, file, lines } of this.sources) {
      const batch = Array.from({ length: 5 }, (_, i) => `${name} ${lines.length + i}`)
      lines.push(...batch)
      await appendFile(file, `${batch.join('\n')}\n`)
    }
  }

  /** Every connector and task runs on one of these workers. */
  async runOn(workers: readonly WorkerUnderTest[], timeoutMs = takeoverMs): Promise<void> {
    const ids = workers.map((worker) => new URL(worker.url).host)
    for (const asked of workers) {
      await eventually(async () => {
        for (const { name } of this.sources) {
          const { connector, tasks } = await statusOf(asked, name)
          assert.equal(tasks.length, 1, `${name} has its task`)
          for (const part of [connector, ...tasks]) {
            assert.equal(part.state, 'RUNNING', `${name}: ${JSON.stringify(part)}`)
            assert.ok(ids.includes(part.worker_id), `${name} runs on ${part.worker_id}, not on ${ids}`)
          }
        }
      }, timeoutMs)
    }
  }

  /** Connectors and tasks per worker differ by one at most. */
  async isSpread(over: readonly WorkerUnderTest[]): Promise<void> {
    await eventually(async () => {
      await this.runOn(over, 0)
      const [any] = over
      assert.ok(any)
      for (const part of ['connector', 'task'] as const) {
        const counts = new Map(over.map((worker) => [new URL(worker.url).host, 0]))
        for (const { name } of this.sources) {
          const status = await statusOf(any, name)
          const owner = (part === 'connector' ? status.connector : status.tasks[0])?.worker_id ?? ''
          counts.set(owner, (counts.get(owner) ?? 0) + 1)
        }
        const numbers = [...counts.values()]
        assert.ok(Math.max(...numbers) - Math.min(...numbers) <= 1, `${part}s: ${JSON.stringify([...counts])}`)
      }
    }, takeoverMs)
  }

  /** Exactly-once sources: every line is in its topic once, in order, whoever was killed. */
  async allArrived(): Promise<void> {
    for (const { topic, lines } of this.sources) {
      await eventually(async () => {
        const found = (await topicRecords(this.#brokers, topic)).map(({ value }) => textOf(value))
        assert.deepEqual(found, lines)
      }, takeoverMs)
    }
  }

  /** A source whose connector this worker runs, with its task where there is such a one. */
  async ownedBy(worker: WorkerUnderTest): Promise<FileSource> {
    const id = new URL(worker.url).host
    let partly: FileSource | null = null
    for (const source of this.sources) {
      const { connector, tasks } = await statusOf(worker, source.name)
      if (connector.worker_id !== id) continue
      if (tasks[0]?.worker_id === id) return source
      partly = source
    }
    if (partly === null) throw new Error('this worker runs no connector')
    return partly
  }
}

async function statusOf(worker: WorkerUnderTest, connector: string): Promise<Status> {
  const { status, body } = await worker.rest('GET', `/connectors/${connector}/status`)
  assert.equal(status, 200, JSON.stringify(body))
  return body as Status
}

/** Repeats what a rebalance refuses with 409. */
export async function ask(worker: WorkerUnderTest, method: string, path: string, body?: unknown): Promise<void> {
  await eventually(async () => {
    const answer = await worker.rest(method, path, body)
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
  }, takeoverMs)
}

/** Who leads, and by which protocol, as a Sluice worker logged it last. */
export function lastRebalance(sluice: WorkerUnderTest): { readonly leader: string; readonly protocolVersion: number } {
  const line = sluice.output.split('\n').findLast((text) => text.includes('Joined group at generation')) ?? '{}'
  return JSON.parse(line) as { leader: string; protocolVersion: number }
}

/** Requests that go to the leader or to the owner, whichever worker is asked. */
export async function assertForwards(
  group: MixedGroup,
  workers: readonly [WorkerUnderTest, WorkerUnderTest],
): Promise<void> {
  for (const [asked, other] of [workers, [workers[1], workers[0]]] as const) {
    const { name } = await group.ownedBy(other)
    await ask(asked, 'POST', `/connectors/${name}/restart`)
    await group.runOn(workers)
    await ask(asked, 'POST', `/connectors/${name}/tasks/0/restart`)
    await group.runOn(workers)
    await ask(asked, 'POST', `/connectors/${name}/restart?includeTasks=true`)
    await group.runOn(workers)
    await ask(asked, 'PUT', `/connectors/${name}/pause`)
    await eventually(async () => assert.equal((await statusOf(other, name)).tasks[0]?.state, 'PAUSED'), takeoverMs)
    await ask(asked, 'PUT', `/connectors/${name}/resume`)
    await group.runOn(workers)
  }
}

/** New task configs of a connector that the follower runs reach the leader in a signed request, and its task asks for fencing. */
export async function assertNewTaskConfigs(
  group: MixedGroup,
  follower: WorkerUnderTest,
  workers: readonly WorkerUnderTest[],
): Promise<void> {
  const source = await group.ownedBy(follower)
  await group.allArrived()
  await ask(follower, 'PUT', `/connectors/${source.name}/config`, { ...group.config(source), 'batch.size': '1999' })
  await eventually(async () => {
    const { body } = await follower.rest('GET', `/connectors/${source.name}/tasks`)
    assert.equal((body as [{ config: Record<string, string> }])[0]?.config['batch.size'], '1999')
  }, takeoverMs)
  await group.runOn(workers)
  await group.write()
  await group.allArrived()
}

/**
 * What a Java worker complained of in the group protocol, the internal topics and internal requests, with the head of
 * its trace. Its tasks may complain of each other: fast restarts pre-empt one another.
 */
export function complaints(java: WorkerUnderTest): readonly string[] {
  const lines = java.output.split('\n')
  const about = /ERROR .*(?:WorkerCoordinator|Assignor|ConnectProtocol|BackingStore|KafkaBasedLog|Signature|RestClient)/
  return lines.flatMap((line, at) => (about.test(line) ? [lines.slice(at, at + 6).join('\n')] : []))
}
