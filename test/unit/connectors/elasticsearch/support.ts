import assert from 'node:assert/strict'
import type { ServerConnection, ServerRequest } from '../../../../connectors/elasticsearch/client.ts'
import type { ElasticsearchSinkConfig } from '../../../../connectors/elasticsearch/config-options.ts'
import { HttpConnection } from '../../../../connectors/elasticsearch/http-connection.ts'
import { plugin } from '../../../../connectors/elasticsearch/index.ts'
import type { LogFields, Logger, Metrics } from '../../../../worker/api/context.ts'
import { parseJson } from '../../../../worker/api/json.ts'
import { SinkRecord, type SinkRecordInit } from '../../../../worker/api/record.ts'
import type { SinkTaskContext } from '../../../../worker/api/task.ts'
import { type Offsets, type TopicPartition, TopicPartitionMap } from '../../../../worker/api/topic-partition.ts'
import { parseConfig } from '../../../../worker/config/config-def.ts'
import { systemClock } from '../../../../worker/util/clock.ts'
import { deepFreeze } from '../../../conformance/converter.ts'

export type RawOptions = Readonly<Record<string, string>>

/** Options as the worker parses them; small waits, so that tests of retries take milliseconds. */
export function elasticsearchConfig(options: RawOptions = {}): ElasticsearchSinkConfig {
  return parseConfig(plugin.config, {
    'connection.url': 'http://127.0.0.1:9',
    'retry.backoff.ms': '2',
    'flush.timeout.ms': '5000',
    ...options,
  }) as ElasticsearchSinkConfig
}

/** A connection of one socket to a node, without credentials, TLS, proxy or limits of time. */
export function bareConnection(url: string): HttpConnection {
  return new HttpConnection({
    url: new URL(url),
    auth: null,
    tls: {},
    proxy: null,
    maxSockets: 1,
    idleMs: -1,
    connectMs: 0,
  })
}

/** A record at `offset` of `topic-0` that nobody can change (I5). */
export function sinkRecord(offset: number | bigint, init: Partial<SinkRecordInit> = {}): SinkRecord {
  return new SinkRecord({
    topic: 'topic',
    partition: 0,
    timestamp: 1_700_000_000_000,
    ...init,
    offset: BigInt(offset),
    key: deepFreeze(init.key ?? null),
    value: deepFreeze(init.value ?? null),
  })
}

export class TestLogger implements Logger {
  readonly lines: string[] = []

  #add(fields: LogFields, message: string): void {
    this.lines.push(`${message} ${JSON.stringify(fields)}`)
  }

  trace(fields: LogFields, message: string): void {
    this.#add(fields, message)
  }
  debug(fields: LogFields, message: string): void {
    this.#add(fields, message)
  }
  info(fields: LogFields, message: string): void {
    this.#add(fields, message)
  }
  warn(fields: LogFields, message: string): void {
    this.#add(fields, message)
  }
  error(fields: LogFields, message: string): void {
    this.#add(fields, message)
  }
}

export class TestMetrics implements Metrics {
  readonly values = new Map<string, number>()

  #change(name: string, to: (old: number) => number): void {
    this.values.set(name, to(this.values.get(name) ?? 0))
  }

  counter(name: string) {
    return { add: (delta: number) => this.#change(name, (old) => old + delta) }
  }
  gauge(name: string) {
    return { set: (value: number) => this.#change(name, () => value) }
  }
  histogram(name: string) {
    return { observe: (value: number) => this.#change(name, () => value) }
  }
}

export interface TestContext extends SinkTaskContext {
  readonly reports: { readonly record: SinkRecord; readonly error: Error }[]
  readonly logger: TestLogger
  readonly metrics: TestMetrics
  /** What the task asked of delivery, in order. */
  readonly flow: readonly string[]
}

export function sinkContext(rawConfig: RawOptions = { 'errors.tolerance': 'all' }): TestContext {
  const reports: { record: SinkRecord; error: Error }[] = []
  const flow: string[] = []
  const names = (partitions: readonly TopicPartition[]) => partitions.map((p) => `${p.topic}-${p.partition}`).join()
  return {
    flow,
    connector: 'es',
    task: 0,
    logger: new TestLogger(),
    metrics: new TestMetrics(),
    clock: systemClock,
    rawConfig,
    reports,
    producer: {
      send: async () => {},
      ensureTopic: async () => {},
    },
    producerWith: () => assert.fail('not used by this sink'),
    assignment: () => [{ topic: 'topic', partition: 0 }],
    pause: (partitions) => void flow.push(`pause ${names(partitions)}`),
    resume: (partitions) => void flow.push(`resume ${names(partitions)}`),
    seek: () => {},
    timeout: (ms) => void flow.push(`timeout ${ms}`),
    requestCommit: () => {},
    report: async (record, error) => {
      reports.push({ record, error })
    },
  }
}

/** Next offsets as the framework passes them to `preCommit`. */
export function offsets(entries: Readonly<Record<string, bigint>>): Offsets {
  const map = new TopicPartitionMap<bigint>()
  for (const [key, offset] of Object.entries(entries)) {
    const dash = key.lastIndexOf('-')
    map.set(key.slice(0, dash), Number(key.slice(dash + 1)), offset)
  }
  return map
}

/** Polls a condition, with a deadline instead of a fixed sleep. */
export async function eventually(condition: () => boolean | Promise<boolean>, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('The condition did not become true in time')
    await systemClock.sleep(5)
  }
}

export interface BulkLine {
  readonly kind: 'index' | 'create' | 'update' | 'delete'
  readonly id: string
  readonly version: bigint | null
  readonly document: string | null
  /** `if_seq_no`, the condition of a write. */
  readonly sequence: number | null
}

/** Actions of a request body, by our own reading of the text: versions beyond 2^53 stay exact. */
export function readBulk(ndjson: Uint8Array): BulkLine[] {
  const lines = Buffer.from(ndjson).toString('utf8').trimEnd().split('\n')
  const actions: BulkLine[] = []
  for (let i = 0; i < lines.length; i++) {
    const head = lines[i] ?? ''
    const kind = Object.keys(JSON.parse(head))[0] as BulkLine['kind']
    const version = /"version":(\d+)/.exec(head)
    const id = String((JSON.parse(head) as Record<string, { _id?: string }>)[kind]?._id ?? `auto-${i}`)
    const document = kind === 'delete' ? null : (lines[++i] ?? '')
    const condition = /"if_seq_no":(\d+)/.exec(head)
    const sequence = condition === null ? null : Number(condition[1])
    actions.push({ kind, id, version: version === null ? null : BigInt(version[1] as string), document, sequence })
  }
  return actions
}

/** What the nth bulk request does instead of succeeding. */
export type Fault =
  | { readonly fail: { readonly name: string; readonly statusCode?: number; readonly type?: string } }
  | { readonly items: Readonly<Record<string, { readonly status: number; readonly type: string }>> }
  | { readonly applyThenFail: { readonly name: string } }

/**
 * Elasticsearch's document semantics in memory, with scripted faults per bulk request; a real server takes the same
 * tests in test/integration.
 */
export class FakeElasticsearch implements ServerConnection {
  readonly documents = new Map<string, { version: bigint; source: string }>()
  readonly #sequences = new Map<string, number>()
  #sequence = 0
  readonly requests: BulkLine[][] = []
  readonly other: ServerRequest[] = []
  readonly faults: (Fault | null)[] = []
  /** Versions of deleted documents. */
  readonly #gone = new Map<string, bigint>()
  /** Held answers, for tests of concurrency. */
  readonly held: (() => void)[] = []
  hold = false
  mostInFlight = 0
  /** Requests under way, with itself, at each request that met a fault. */
  readonly inFlightAtFaults: number[] = []
  #inFlight = 0

  async request(request: ServerRequest, signal?: AbortSignal): Promise<unknown> {
    if (request.path === '/_mget') return this.#read(request.json ?? '')
    if (request.ndjson === undefined) {
      this.other.push(request)
      return request.method === 'HEAD' ? true : {}
    }
    const lines = readBulk(request.ndjson)
    this.requests.push(lines)
    this.#inFlight++
    this.mostInFlight = Math.max(this.mostInFlight, this.#inFlight)
    try {
      const fault = this.faults.shift() ?? null
      if (fault !== null) this.inFlightAtFaults.push(this.#inFlight)
      if (this.hold) {
        await new Promise<void>((resolve) => {
          this.held.push(resolve)
          signal?.addEventListener('abort', () => resolve(), { once: true })
        })
      } else await systemClock.sleep(1)
      signal?.throwIfAborted()
      if (fault !== null && 'fail' in fault) throw serverError(fault.fail)
      const items = lines.map((line) => {
        const planned = fault !== null && 'items' in fault ? fault.items[line.id] : undefined
        if (planned !== undefined) {
          return { [line.kind]: { status: planned.status, error: { type: planned.type, reason: 'planned' } } }
        }
        return { [line.kind]: this.#apply(line) }
      })
      if (fault !== null && 'applyThenFail' in fault) throw serverError(fault.applyThenFail)
      return { errors: items.some((item) => 'error' in (Object.values(item)[0] as object)), items }
    } finally {
      this.#inFlight--
    }
  }

  async #read(body: string): Promise<unknown> {
    const { docs } = JSON.parse(body) as { readonly docs: readonly { readonly _id: string }[] }
    await systemClock.sleep(0)
    return {
      docs: docs.map(({ _id: id }) => {
        const found = this.documents.get(id)
        if (found === undefined) return { found: false }
        return { found: true, _seq_no: this.#sequences.get(id), _primary_term: 1, _source: parseJson(found.source) }
      }),
    }
  }

  #apply(line: BulkLine): {
    readonly status: number
    readonly error?: { readonly type: string; readonly reason: string }
  } {
    const current = this.documents.get(line.id)
    const version = current?.version ?? this.#gone.get(line.id) ?? -1n
    const isStale = line.version !== null && line.version <= version
    const isChanged = line.sequence !== null && line.sequence !== this.#sequences.get(line.id)
    if (isStale || isChanged || (line.kind === 'create' && current !== undefined)) {
      return { status: 409, error: { type: 'version_conflict_engine_exception', reason: 'conflict' } }
    }
    const next = line.version ?? version + 1n
    this.#sequences.set(line.id, this.#sequence++)
    if (line.kind === 'delete') {
      this.documents.delete(line.id)
      this.#gone.set(line.id, next)
      return { status: current === undefined ? 404 : 200 }
    }
    if (line.kind === 'update') {
      const body = JSON.parse(line.document ?? '') as { doc: object }
      const source = { ...(current === undefined ? {} : (JSON.parse(current.source) as object)), ...body.doc }
      this.documents.set(line.id, { version: next, source: JSON.stringify(source) })
      return { status: 200 }
    }
    this.documents.set(line.id, { version: next, source: line.document ?? '' })
    return { status: 201 }
  }

  async close(): Promise<void> {}
}

function serverError(spec: { readonly name: string; readonly statusCode?: number; readonly type?: string }): Error {
  const error = new Error(spec.name)
  error.name = spec.name
  return Object.assign(error, { statusCode: spec.statusCode, body: { error: { type: spec.type } } })
}
