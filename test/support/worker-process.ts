import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { projectRoot } from './project-root.ts'

/** Calls `check` until it does not throw, or throws its last error when the time is over. */
export async function eventually<T>(check: () => T | Promise<T>, timeoutMs: number): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

export interface RestAnswer {
  readonly status: number
  readonly body: unknown
}

/** One `sluice` worker as a process of its own. */
export class WorkerUnderTest {
  readonly url: string
  readonly #child: ChildProcess
  readonly #exited: Promise<number | null>
  #output = ''

  constructor(child: ChildProcess, url: string) {
    this.#child = child
    this.url = url
    this.#exited = once(child, 'exit').then(([code]) => (code === null ? null : Number(code)))
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text
      })
    }
  }

  /** Everything the process has written. */
  get output(): string {
    return this.#output
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Null: ended by a signal. */
  exitCode(): Promise<number | null> {
    return this.#exited
  }

  signal(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal)
    return this.#exited
  }

  async rest(method: string, path: string, body?: unknown): Promise<RestAnswer> {
    const response = await fetch(new URL(path, this.url), {
      method,
      signal: AbortSignal.timeout(20_000),
      ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, body: text === '' ? null : (JSON.parse(text) as unknown) }
  }

  async ready(timeoutMs = 30_000): Promise<this> {
    try {
      await eventually(async () => {
        if (!this.isRunning) return
        const { status } = await this.rest('GET', '/health')
        if (status !== 200) throw new Error(`health ${status}`)
      }, timeoutMs)
    } catch (error) {
      throw new Error(`worker ${this.url} is not ready: ${this.#output.slice(-4000)}`, { cause: error })
    }
    if (!this.isRunning) throw new Error(`worker ${this.url} ended: ${this.#output.slice(-4000)}`)
    return this
  }
}

/** Starts workers of one cluster, with topics and group of random names; ends them all at the end. */
export class ClusterUnderTest implements AsyncDisposable {
  readonly token = Math.random().toString(36).slice(2, 10)
  readonly folder: string
  readonly workers: WorkerUnderTest[] = []
  readonly #brokers: readonly string[]
  readonly #options: Readonly<Record<string, string>>

  constructor(folder: string, brokers: readonly string[], options: Readonly<Record<string, string>>) {
    this.folder = folder
    this.#brokers = brokers
    this.#options = options
  }

  static async open(
    brokers: readonly string[],
    options: Readonly<Record<string, string>> = {},
  ): Promise<ClusterUnderTest> {
    return new ClusterUnderTest(await mkdtemp(join(tmpdir(), 'sluice-')), brokers, options)
  }

  /** Options of a worker of this cluster; what both modes need. */
  workerOptions(port: number): Readonly<Record<string, string>> {
    const { token } = this
    return {
      'bootstrap.servers': this.#brokers.join(','),
      'group.id': `group-${token}`,
      'key.converter': 'org.apache.kafka.connect.storage.StringConverter',
      'value.converter': 'org.apache.kafka.connect.storage.StringConverter',
      'config.storage.topic': `configs-${token}`,
      'offset.storage.topic': `offsets-${token}`,
      'offset.storage.partitions': '2',
      'status.storage.topic': `statuses-${token}`,
      'status.storage.partitions': '2',
      'config.storage.replication.factor': '1',
      'offset.storage.replication.factor': '1',
      'status.storage.replication.factor': '1',
      'session.timeout.ms': '6000',
      'heartbeat.interval.ms': '500',
      'offset.flush.interval.ms': '500',
      'scheduled.rebalance.max.delay.ms': '0',
      listeners: `http://127.0.0.1:${port}`,
      ...this.#options,
    }
  }

  async start(
    mode: 'distributed' | 'standalone' = 'distributed',
    connectorFiles: readonly string[] = [],
    changes: Readonly<Record<string, string>> = {},
  ): Promise<WorkerUnderTest> {
    const port = await freePort()
    const file = join(this.folder, `worker-${port}.properties`)
    const own: Readonly<Record<string, string>> =
      mode === 'standalone' ? { 'offset.storage.file.filename': join(this.folder, 'offsets') } : {}
    const options = Object.entries({ ...this.workerOptions(port), ...own, ...changes })
    await writeFile(file, options.map(([name, value]) => `${name}=${value}`).join('\n'))
    return this.run([mode, file, ...connectorFiles], `http://127.0.0.1:${port}/`)
  }

  /** Runs `sluice` with any arguments. */
  run(args: readonly string[], url = 'http://127.0.0.1:1/'): WorkerUnderTest {
    const child = spawn(process.execPath, [join(projectRoot, 'worker/main.ts'), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const worker = new WorkerUnderTest(child, url)
    this.workers.push(worker)
    return worker
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const outcomes = await Promise.allSettled(
      this.workers.filter((worker) => worker.isRunning).map((worker) => worker.signal('SIGKILL')),
    )
    await rm(this.folder, { recursive: true, force: true })
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }
}
