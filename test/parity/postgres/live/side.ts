/** One of the two connectors of a round. */
import { type Json, parseExact } from '../../../conformance/postgres/normalise.ts'
import { eventually, type WorkerUnderTest } from '../../../support/worker-process.ts'
import { storedOffset } from './offsets.ts'

/** Slots are made once all transactions of the server that run by then have ended, those of others too. */
export const startMs = 150_000

/** What one connector is called. */
export class Side {
  readonly prefix: string
  readonly slot: string
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

  /** What the connector's offset says; exact integers. */
  async offset(): Promise<Readonly<Record<string, Json>> | null> {
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
