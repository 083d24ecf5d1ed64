import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { requireService } from './services.ts'
import { ClusterUnderTest, eventually, type WorkerUnderTest } from './worker-process.ts'

const kafka = requireService('kafka')

/** How long a scene waits for what is to come, in ms. */
export const waitMs = 20_000

export type Config = Readonly<Record<string, string>>

/** One worker, and names of files, topics and connectors that nobody else has. */
export class Scene implements AsyncDisposable {
  readonly cluster: ClusterUnderTest
  readonly worker: WorkerUnderTest
  #names = 0

  constructor(cluster: ClusterUnderTest, worker: WorkerUnderTest) {
    this.cluster = cluster
    this.worker = worker
  }

  static async open(changes: Config = {}): Promise<Scene> {
    const cluster = await ClusterUnderTest.open(kafka.settings.brokers, changes)
    return new Scene(cluster, await (await cluster.start()).ready())
  }

  name(prefix: string): string {
    this.#names++
    return `${prefix}-${this.cluster.token}-${this.#names}`
  }

  file(name: string): string {
    return join(this.cluster.folder, name)
  }

  async call(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await this.worker.rest(method, path, body)
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }

  async refuses(status: number, method: string, path: string, body?: unknown): Promise<string> {
    const answer = await this.worker.rest(method, path, body)
    assert.equal(answer.status, status, JSON.stringify(answer.body))
    return (answer.body as { message: string }).message
  }

  /** States of the connector and of its tasks, e.g. `RUNNING RUNNING`. */
  async states(name: string): Promise<string> {
    const status = (await this.call('GET', `/connectors/${name}/status`)) as {
      connector: { state: string }
      tasks: { state: string }[]
    }
    return [status.connector.state, ...status.tasks.map((task) => task.state)].join(' ')
  }

  reaches(name: string, states: string): Promise<void> {
    return eventually(async () => assert.equal(await this.states(name), states), waitMs)
  }

  contains(file: string, text: string): Promise<void> {
    return eventually(async () => assert.equal(await readFile(file, 'utf8'), text), waitMs)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.worker.isRunning) await this.worker.signal('SIGTERM')
    await this.cluster[Symbol.asyncDispose]()
  }
}
