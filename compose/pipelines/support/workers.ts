import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { waitFor } from './wait.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))

export interface ClusterOptions {
  /** Connect's `group.id`; the internal topics are named after it. */
  readonly group: string
  readonly bootstrapServers: string
  /** REST ports, one worker each. */
  readonly ports: readonly number[]
  /** Folder for properties and logs. */
  readonly folder: string
  /** Environment of the workers: what `${env:…}` in connector configs refers to. */
  readonly env: Readonly<Record<string, string>>
  readonly properties?: Readonly<Record<string, string>>
}

interface RunningWorker {
  readonly port: number
  readonly process: ChildProcess
}

/** Distributed workers as child processes of this one. */
export class WorkerCluster implements AsyncDisposable {
  readonly #options: ClusterOptions
  readonly #workers = new Map<number, RunningWorker>()

  constructor(options: ClusterOptions) {
    this.#options = options
    mkdirSync(options.folder, { recursive: true })
  }

  get urls(): readonly string[] {
    return [...this.#workers.keys()].map((port) => `http://127.0.0.1:${port}`)
  }

  get ports(): readonly number[] {
    return this.#options.ports
  }

  pids(): ReadonlyMap<number, number> {
    return new Map([...this.#workers.values()].map((worker) => [worker.port, worker.process.pid ?? -1]))
  }

  async startAll(): Promise<void> {
    await Promise.all(this.#options.ports.map((port) => this.start(port)))
  }

  /** Starts one worker and waits until `/health` says that it is ready. */
  async start(port: number): Promise<void> {
    const file = join(this.#options.folder, `worker-${port}.properties`)
    writeFileSync(file, this.#properties(port))
    const logFile = join(this.#options.folder, `worker-${port}.log`)
    const log = openSync(logFile, 'a')
    const child = spawn(process.execPath, [join(root, 'worker/main.ts'), 'distributed', file], {
      cwd: root,
      env: { ...process.env, ...this.#options.env },
      stdio: ['ignore', log, log],
    })
    const worker = { port, process: child }
    this.#workers.set(port, worker)
    child.once('exit', () => {
      if (this.#workers.get(port) === worker) this.#workers.delete(port)
    })
    const what = `worker on port ${port} (log: ${logFile})`
    const answer = await waitFor(what, 60_000, async () => {
      if (child.exitCode !== null || child.signalCode !== null) return 'gone'
      return (await fetch(`http://127.0.0.1:${port}/health`)).ok ? 'healthy' : null
    })
    if (answer === 'gone') {
      const lastLine = readFileSync(logFile, 'utf8').trimEnd().split('\n').at(-1)
      throw new Error(`${what} ended with code ${child.exitCode}: ${lastLine}`)
    }
  }

  /** SIGKILL: no chance to say goodbye. Resolves when the process is gone. */
  async kill(port: number): Promise<void> {
    const worker = this.#workers.get(port)
    if (worker === undefined) return
    this.#workers.delete(port)
    const exited = once(worker.process, 'exit')
    worker.process.kill('SIGKILL')
    await exited
  }

  /** Lets go of the workers: they outlive this process. */
  release(): void {
    for (const { process: child } of this.#workers.values()) child.unref()
    this.#workers.clear()
  }

  /** SIGTERM to all and waits; SIGKILL after 20 s. */
  async stopAll(): Promise<void> {
    await Promise.all(
      [...this.#workers.values()].map(async ({ port, process: child }) => {
        const exited = once(child, 'exit')
        child.kill('SIGTERM')
        const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
        await exited
        clearTimeout(timer)
        this.#workers.delete(port)
      }),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopAll()
  }

  #properties(port: number): string {
    const { group, bootstrapServers, properties } = this.#options
    const all: Record<string, string> = {
      'bootstrap.servers': bootstrapServers,
      'group.id': group,
      listeners: `http://127.0.0.1:${port}`,
      'rest.advertised.host.name': '127.0.0.1',
      'config.storage.topic': `${group}-configs`,
      'offset.storage.topic': `${group}-offsets`,
      'status.storage.topic': `${group}-status`,
      'config.storage.replication.factor': '1',
      'offset.storage.replication.factor': '1',
      'status.storage.replication.factor': '1',
      'offset.storage.partitions': '5',
      'offset.flush.interval.ms': '1000',
      'session.timeout.ms': '10000',
      'heartbeat.interval.ms': '2000',
      'scheduled.rebalance.max.delay.ms': '0',
      'key.converter': 'org.apache.kafka.connect.json.JsonConverter',
      'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
      'config.providers': 'env',
      'config.providers.env.class': 'org.apache.kafka.common.config.provider.EnvVarConfigProvider',
      ...properties,
    }
    return `${Object.entries(all)
      .map(([key, value]) => `${key}=${value}`)
      .join('\n')}\n`
  }
}
