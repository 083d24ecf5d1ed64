/** Signals: requests to a running connector, from a table of the database, a file, a topic or NOTIFY. */
import { readFile, truncate } from 'node:fs/promises'
import type { Clock, Logger } from '../../worker/api/context.ts'
import type { Struct, Value } from '../../worker/api/data.ts'
import { parseJson } from '../../worker/api/json.ts'
import { isStruct } from '../../worker/api/values.ts'

export interface Signal {
  readonly id: string
  readonly type: string
  /** Members of the JSON object; empty when there is none. */
  readonly data: Struct
}

/** What `execute-snapshot` and `stop-snapshot` ask for. */
export interface SnapshotRequest {
  readonly id: string
  readonly blocking: boolean
  /** Names or regular expressions for `schema.table`. */
  readonly collections: readonly string[]
  readonly conditions: readonly { readonly collection: string; readonly filter: string }[]
  /** Column to order by in place of the key; empty without. */
  readonly surrogateKey: string
}

const text = (value: Value | undefined): string => (typeof value === 'string' ? value : '')

/** Null for data that is no JSON object: such a signal is ignored. */
export function parseSignal(id: string, type: string, data: string | null): Signal | null {
  if (data === null || data.trim() === '') return { id, type, data: {} }
  try {
    const json = parseJson(data)
    return isStruct(json) ? { id, type, data: json } : null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

export function snapshotRequest({ id, data }: Signal): SnapshotRequest {
  const collections = data['data-collections']
  const conditions = data['additional-conditions']
  return {
    id,
    blocking: text(data['type']).toUpperCase() === 'BLOCKING',
    collections: Array.isArray(collections) ? (collections as readonly Value[]).map(String) : [],
    conditions: Array.isArray(conditions)
      ? (conditions as readonly Value[])
          .filter(isStruct)
          .map((item) => ({ collection: text(item['data-collection']), filter: text(item['filter']) }))
          .filter(({ filter }) => filter !== '')
      : [],
    surrogateKey: text(data['surrogate-key']),
  }
}

/** A signal as channels other than the table carry it, `{"id", "type", "data"}`; null for text that is none. */
export function signalOf(json: string): Signal | null {
  const whole = parseSignal('', '', json)?.data
  if (whole === undefined || typeof whole['id'] !== 'string' || typeof whole['type'] !== 'string') return null
  const data = whole['data'] ?? null
  return { id: whole['id'], type: whole['type'], data: isStruct(data) ? data : {} }
}

/** A way by which signals come, other than the stream. */
export interface SignalChannel extends AsyncDisposable {
  /** Milliseconds until `poll` is worth a call. */
  readonly dueInMs: number
  /** What is there; does not wait for more. Each signal is answered before the next one is asked for. */
  poll(): AsyncGenerator<Signal, void, void>
}

/** Channel `file`: one JSON object per line; the file is emptied once it has been read. */
export class FileSignals implements SignalChannel {
  readonly #path: string
  readonly #pollMs: number
  readonly #clock: Clock
  readonly #logger: Logger
  #readMs = Number.NEGATIVE_INFINITY

  constructor(path: string, pollMs: number, context: { readonly clock: Clock; readonly logger: Logger }) {
    this.#path = path
    this.#pollMs = pollMs
    this.#clock = context.clock
    this.#logger = context.logger
  }

  /** Milliseconds until the file is looked at again. */
  get dueInMs(): number {
    return this.#readMs + this.#pollMs - this.#clock.monotonicMs()
  }

  async *poll(): AsyncGenerator<Signal, void, void> {
    if (this.dueInMs > 0) return
    this.#readMs = this.#clock.monotonicMs()
    for (const line of (await this.#take()).split('\n')) {
      if (line.trim() === '') continue
      const signal = signalOf(line)
      if (signal === null) this.#logger.warn({ file: this.#path }, 'A line of the signal file is no signal: ignored')
      else yield signal
    }
  }

  /** Nothing is kept open. */
  async [Symbol.asyncDispose](): Promise<void> {}

  async #take(): Promise<string> {
    try {
      const content = await readFile(this.#path, 'utf8')
      if (content !== '') await truncate(this.#path, 0)
      return content
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
      throw error
    }
  }
}
