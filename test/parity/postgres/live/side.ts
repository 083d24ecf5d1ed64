/** One of the two connectors of a round. */
import { parseExact, stringify } from '../../../conformance/postgres/normalise.ts'
import { eventually, type WorkerUnderTest } from '../../../support/worker-process.ts'
import { type Members, storedOffset } from './offsets.ts'
import type { Options } from './options.ts'

const connectorClass = 'io.debezium.connector.postgresql.PostgresConnector'
/** Slots are made once all transactions of the server that run by then have ended, those of others too. */
export const startMs = 150_000

/** What one connector is called. */
export class Side {
  readonly prefix: string
  /** That of the other, once they have exchanged their places. */
  slot: string
  #config: Options = {}
  readonly worker: WorkerUnderTest

  constructor(worker: WorkerUnderTest, token: string, letter: string) {
    this.worker = worker
    this.prefix = `lv${token}${letter}`
    this.slot = this.prefix
  }

  async rest(method: string, path: string, body?: unknown): Promise<unknown> {
    return await eventually(async () => {
      const { status, body: answer } = await this.worker.rest(method, path, body)
      if (status === 409) throw new Error(`${method} ${path}: 409`)
      return answer
    }, startMs)
  }

  /** @throws Error when the configuration is refused */
  async start(database: URL, options: Options): Promise<void> {
    this.#config = {
      'connector.class': connectorClass,
      'tasks.max': '1',
      'database.hostname': database.hostname,
      'database.port': database.port,
      'database.user': decodeURIComponent(database.username),
      'database.password': decodeURIComponent(database.password) || 'none',
      'database.dbname': decodeURIComponent(database.pathname.slice(1)),
      'topic.prefix': this.prefix,
      'plugin.name': 'pgoutput',
      'publication.name': `pub_${this.prefix}`,
      'poll.interval.ms': '20',
      'status.update.interval.ms': '500',
      'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
      'key.converter': 'org.apache.kafka.connect.json.JsonConverter',
      ...Object.fromEntries(
        Object.entries(options).map(([name, value]) => [name, value.replaceAll('<prefix>', this.prefix)]),
      ),
    }
    await this.#configure()
  }

  async #configure(): Promise<void> {
    const config = { ...this.#config, 'slot.name': this.slot }
    const { message } = (await this.rest('PUT', `/connectors/${this.prefix}/config`, config)) as {
      readonly message?: string
    }
    if (message !== undefined) throw new Error(`${this.prefix}: ${message}: ${JSON.stringify(this.#config)}`)
  }

  /** Gives the stopped connector another slot, and the offset that belongs to it. */
  async takeOver(slot: string, offset: Members): Promise<void> {
    this.slot = slot
    await this.#configure()
    const body = stringify({ offsets: [{ partition: { server: this.prefix }, offset }] })
    const headers = { 'content-type': 'application/json' }
    await eventually(async () => {
      const url = new URL(`/connectors/${this.prefix}/offsets`, this.worker.url)
      const response = await fetch(url, { method: 'PATCH', body, headers })
      if (!response.ok) throw new Error(`${this.prefix}: offsets: ${await response.text()}`)
    }, startMs)
  }

  /** What the connector's offset says; exact integers. */
  async offset(): Promise<Members | null> {
    const response = await fetch(new URL(`/connectors/${this.prefix}/offsets`, this.worker.url))
    return storedOffset(parseExact(await response.text())?.value ?? null)
  }

  /** @throws Error while its task does not run yet */
  async mustRun(): Promise<void> {
    const { body } = await this.worker.rest('GET', `/connectors/${this.prefix}/status`)
    const { tasks = [] } = body as { readonly tasks?: readonly { readonly state: string }[] }
    if (!tasks.some(({ state }) => state === 'RUNNING' || state === 'FAILED')) throw new Error('No task runs yet')
  }

  /** The trace of a task that failed, or null. */
  async failure(): Promise<string | null> {
    const { status, body } = await this.worker.rest('GET', `/connectors/${this.prefix}/status`)
    if (status !== 200) return null
    const { connector, tasks } = body as {
      readonly connector: { readonly state: string; readonly trace?: string }
      readonly tasks: readonly { readonly state: string; readonly trace?: string }[]
    }
    const failed = [connector, ...tasks].find(({ state }) => state === 'FAILED')
    return failed === undefined ? null : (failed.trace ?? '')
  }
}

/** Each goes on where the other was: what one has stored the other understands. Both must be stopped. */
export async function exchangePlaces(sides: readonly [Side, Side]): Promise<void> {
  const [theirs, ours] = sides
  const [theirOffset, ourOffset] = await Promise.all(sides.map((side) => side.offset()))
  if (theirOffset == null || ourOffset == null) return
  const [theirSlot, ourSlot] = [theirs.slot, ours.slot]
  await theirs.takeOver(ourSlot, ourOffset)
  await ours.takeOver(theirSlot, theirOffset)
}

/** The causes of a Java stack trace, or the message of ours. */
export function shortTrace(trace: string): string {
  const lines = trace.split('\n').filter((line, i) => i === 0 || line.startsWith('Caused by'))
  return lines.map((line) => line.slice(0, 300)).join(' | ')
}

/** The last error that a worker has logged, with its causes. */
export function lastError({ output }: WorkerUnderTest): string {
  const lines = output.split('\n')
  const at = lines.findLastIndex((line) => / ERROR |"level":"error"/.test(line))
  if (at < 0) return 'without an error'
  const causes = lines.slice(at + 1, at + 120).filter((line) => /^(?:Caused by|[\w.]+(?:Exception|Error):)/.test(line))
  return [lines[at], ...causes.slice(0, 6)].join(' | ').slice(0, 1200)
}
