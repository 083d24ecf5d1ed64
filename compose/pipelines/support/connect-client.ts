import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from './wait.ts'

export interface ConnectorStatus {
  readonly name: string
  readonly connector: { readonly state: string; readonly worker_id: string; readonly trace?: string }
  readonly tasks: readonly {
    readonly id: number
    readonly state: string
    readonly worker_id: string
    readonly trace?: string
  }[]
}

/** The few calls of the Connect REST API that the pipelines make; any live worker answers. */
export class ConnectClient {
  readonly #urls: () => readonly string[]
  readonly #applied = new Set<string>()

  /** `urls`: base URLs of the workers that are alive now. */
  constructor(urls: () => readonly string[]) {
    this.#urls = urls
  }

  /**
   * Creates a connector from a JSON file, the body of `POST /connectors`, or replaces its config.
   * @param names parts of names to replace by others, for a run beside another
   * @param changes options that differ from the file
   */
  async apply(
    file: URL,
    names: Readonly<Record<string, string>>,
    changes: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const { name, config } = await connectorFile(file, names)
    await this.request('PUT', `/connectors/${name}/config`, { ...config, ...changes })
    this.#applied.add(name)
    return name
  }

  /** Forgets the source offsets that a connector of this name once committed: they outlive the connector. */
  async forgetOffsets(file: URL, names: Readonly<Record<string, string>>): Promise<void> {
    const { name, config } = await connectorFile(file, names)
    await this.request('POST', '/connectors', { name, config, initial_state: 'STOPPED' })
    await this.request('DELETE', `/connectors/${name}/offsets`)
    await this.remove(name)
  }

  async status(name: string): Promise<ConnectorStatus> {
    return (await this.request('GET', `/connectors/${name}/status`)) as ConnectorStatus
  }

  async stop(name: string): Promise<void> {
    await this.request('PUT', `/connectors/${name}/stop`)
    await waitFor(`${name} to stop`, 30_000, async () => {
      const status = await this.status(name)
      return status.connector.state === 'STOPPED' && status.tasks.length === 0 ? status : null
    })
  }

  async resume(name: string): Promise<void> {
    await this.request('PUT', `/connectors/${name}/resume`)
  }

  async deleteOffsets(name: string): Promise<void> {
    await this.request('DELETE', `/connectors/${name}/offsets`)
  }

  async remove(name: string): Promise<void> {
    this.#applied.delete(name)
    try {
      await this.request('DELETE', `/connectors/${name}`)
    } catch (error) {
      if (!(error instanceof ConnectRequestError && error.status === 404)) throw error
    }
  }

  /** Waits until the connector and at least `tasks` tasks are RUNNING; a FAILED one ends the wait with its trace. */
  async running(name: string, tasks: number, timeoutMs = 60_000): Promise<ConnectorStatus> {
    const status = await waitFor(`${name} to run ${tasks} task(s)`, timeoutMs, async () => {
      const now = await this.status(name)
      const all = [now.connector, ...now.tasks]
      if (all.some((part) => part.state === 'FAILED')) return now
      return now.tasks.length >= tasks && all.every((part) => part.state === 'RUNNING') ? now : null
    })
    const failure = failureOf(status)
    if (failure !== null) throw new Error(failure)
    return status
  }

  /**
   * Watches what `apply` created: nothing comes of waiting for data that a failed task was to move.
   * @returns once `signal` aborts
   * @throws Error with the trace of the first connector or task that is FAILED
   */
  async watch(signal: AbortSignal, intervalMs = 1_000): Promise<void> {
    while (!signal.aborted) {
      for (const name of this.#applied) {
        // A worker that is killed or rebalancing does not answer for a moment; that is no failure of a connector.
        const status = await this.status(name).catch(() => null)
        const failure = status === null || !this.#applied.has(name) ? null : failureOf(status)
        if (failure !== null) throw new Error(failure)
      }
      await sleep(intervalMs, undefined, { signal, ref: false }).catch(() => undefined)
    }
  }

  /** Tries each live worker; 409 and a broken connection mean a rebalance or a dying worker: tried again for 60 s. */
  async request(method: string, path: string, body?: unknown): Promise<unknown> {
    const deadline = Date.now() + 60_000
    for (let attempt = 0; ; attempt++) {
      const urls = this.#urls()
      const url = urls[attempt % urls.length]
      try {
        if (url === undefined) throw new TypeError('no worker is alive')
        const response = await fetch(`${url}${path}`, {
          method,
          signal: AbortSignal.timeout(30_000),
          ...(body === undefined
            ? {}
            : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
        })
        const text = await response.text()
        if (response.ok) return text === '' ? null : JSON.parse(text)
        throw new ConnectRequestError(response.status, `${method} ${path} answered ${response.status}: ${text}`)
      } catch (error) {
        const passing = !(error instanceof ConnectRequestError) || error.status === 409 || error.status >= 500
        if (!passing || Date.now() > deadline) throw error
        await sleep(250)
      }
    }
  }
}

/** What failed, where, and why; null when nothing did. */
function failureOf({ name, connector, tasks }: ConnectorStatus): string | null {
  const parts = [{ ...connector, what: name }, ...tasks.map((task) => ({ ...task, what: `${name}, task ${task.id},` }))]
  const failed = parts.find((part) => part.state === 'FAILED')
  return failed === undefined ? null : `${failed.what} FAILED on ${failed.worker_id}:\n${failed.trace ?? '(no trace)'}`
}

async function connectorFile(
  file: URL,
  names: Readonly<Record<string, string>>,
): Promise<{ readonly name: string; readonly config: object }> {
  let text = await readFile(file, 'utf8')
  for (const [from, to] of Object.entries(names)) text = text.replaceAll(from, to)
  return JSON.parse(text) as { name: string; config: object }
}

export class ConnectRequestError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}
