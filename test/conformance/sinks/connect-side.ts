/** The connector of one played case, over the worker's REST API. */
import type { RestAnswer, WorkerUnderTest } from '../../support/worker-process.ts'
import { isJsonObject, type Json, type JsonObject } from './exact-json.ts'

const busyTimeoutMs = 60_000

export type ConnectorAction = 'pause' | 'resume' | 'stop' | 'restart' | 'delete' | 'resetOffsets' | 'alterOffsets'

/** State of a connector: an HTTP status in its place when the worker does not know it. */
export interface ConnectorStatus extends JsonObject {
  readonly connector: string
  readonly tasks: readonly { readonly state: string }[]
}

/** Waits until a condition holds. @throws Error naming it */
export async function until(what: string, timeoutMs: number, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

export class CaseConnector {
  readonly #worker: WorkerUnderTest
  readonly #name: string
  readonly #config: Readonly<Record<string, string>>

  constructor(worker: WorkerUnderTest, name: string, config: Readonly<Record<string, string>>) {
    this.#worker = worker
    this.#name = name
    this.#config = config
  }

  #merged(changes: Readonly<Record<string, string | null>>): Readonly<Record<string, string>> {
    const all = Object.entries({ ...this.#config, ...changes, name: this.#name })
    return Object.fromEntries(all.filter((entry): entry is [string, string] => entry[1] !== null))
  }

  /** Repeats a request while the worker rebalances. */
  async #call(method: string, path: string, options: { body?: unknown; retry?: (status: number) => boolean } = {}) {
    const { body, retry = (status) => status === 409 } = options
    let answer: RestAnswer = { status: 0, body: null }
    await until(`${method} ${path}`, busyTimeoutMs, async () => {
      answer = await this.#worker.rest(method, `/connectors/${this.#name}${path}`, body)
      return !retry(answer.status)
    })
    return answer
  }

  async create(changes: Readonly<Record<string, string | null>>, mayFail: boolean): Promise<'refused' | 'accepted'> {
    const answer = await this.#call('PUT', '/config', { body: this.#merged(changes) })
    if (answer.status < 300) return 'accepted'
    if (mayFail) return 'refused'
    throw new Error(`PUT config: ${answer.status} ${JSON.stringify(answer.body)}`)
  }

  async status(): Promise<ConnectorStatus> {
    const { status, body } = await this.#worker.rest('GET', `/connectors/${this.#name}/status`)
    const known = body as { readonly connector: { readonly state: string }; readonly tasks: readonly Task[] } | null
    if (status !== 200 || known === null) return { connector: `HTTP ${status}`, tasks: [] }
    const tasks = [...known.tasks].sort((a, b) => a.id - b.id).map(({ state }) => ({ state }))
    return { connector: known.connector.state, tasks }
  }

  async act(action: ConnectorAction, offsets: Json | undefined): Promise<void> {
    const changed = (status: number) => status === 409 || status === 400 || status === 500
    if (action === 'restart') await this.#expect('POST', '/restart?includeTasks=true')
    else if (action === 'delete') await this.delete()
    else if (action === 'resetOffsets') await this.#expect('DELETE', '/offsets', { retry: changed })
    else if (action === 'alterOffsets') await this.#expect('PATCH', '/offsets', { body: { offsets }, retry: changed })
    else {
      await this.#expect('PUT', `/${action}`)
      const wanted = { pause: 'PAUSED', resume: 'RUNNING', stop: 'STOPPED' }[action]
      await until(action, busyTimeoutMs, async () => {
        const { connector, tasks } = await this.status()
        const fitting = tasks.every(({ state }) => state === wanted) && (action !== 'stop' || tasks.length === 0)
        return connector === wanted && fitting
      })
    }
    // What a restart or a deletion sets off is not in the states at once.
    if (action === 'restart' || action === 'delete') await new Promise((resolve) => setTimeout(resolve, 1000))
  }

  async #expect(...[method, path, options]: CallArguments): Promise<void> {
    const { status, body } = await this.#call(method, path, options)
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(body)}`)
  }

  /** Deletes the connector and waits until the worker has forgotten it. */
  async delete(): Promise<void> {
    await this.#call('DELETE', '')
    await until('delete', 30_000, async () => (await this.status()).connector === 'HTTP 404')
  }

  /** Names of the options in error; texts are not compared. */
  async validate(changes: Readonly<Record<string, string | null>>): Promise<JsonObject> {
    const config = this.#merged(changes)
    const path = `/connector-plugins/${config['connector.class']}/config/validate`
    const { status, body } = await this.#worker.rest('PUT', path, config)
    if (status !== 200) return { http: status }
    const { configs, error_count: errorCount } = body as {
      readonly error_count: number
      readonly configs: readonly { readonly value: { readonly name: string; readonly errors: readonly string[] } }[]
    }
    const wrong = configs.map(({ value }) => value).filter(({ errors }) => errors.length > 0)
    return { errorCount, errors: wrong.map(({ name }) => name).sort() }
  }
}

interface Task {
  readonly id: number
  readonly state: string
}

type CallArguments = readonly [
  method: string,
  path: string,
  options?: { body?: unknown; retry?: (status: number) => boolean },
]

/** The recorded outcome of a step, as far as it is compared: no texts, no traces. */
export function comparableResult(result: JsonObject): JsonObject {
  const { message: _message, validate: _validate, errors, ...rest } = result
  if (errors === undefined) return rest
  return { ...rest, errors: isJsonObject(errors) ? Object.keys(errors).sort() : errors }
}
