/** Plays a case of the corpus against a whole worker: driven by REST, records read from Kafka. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import {
  type ActualRecord,
  type Json,
  Normaliser,
  type NormalRecord,
  parseExact,
} from '../../conformance/postgres/normalise.ts'
import { produceOne } from '../../conformance/postgres/produce.ts'
import { runScript } from '../../conformance/postgres/sql-script.ts'
import { type GoldenCase, type Step, spacedJson } from '../../conformance/postgres/task-player.ts'
import { eventually, type WorkerUnderTest } from '../../support/worker-process.ts'
import { TopicCollector } from './collector.ts'

export interface Stage {
  readonly worker: WorkerUnderTest
  readonly brokers: readonly string[]
  readonly pgUrl: string
}

interface Counts {
  readonly start: number
  readonly steps: readonly number[]
}

const connectorClass = 'io.debezium.connector.postgresql.PostgresConnector'
/** Longest silence of a step that still waits for records; silence at the end of a case. */
const stepSilenceMs = 15_000
const endSilenceMs = 1200
const timeoutMs = 30_000
const recorderPauseMs = 1000
const pause = (ms = 30) => new Promise((resolve) => setTimeout(resolve, ms))

/** Steps that lead to no records by themselves. */
const passiveActions = new Set(['offsets', 'validate', 'waitState', 'dropSlot', 'sleep', 'pause'])

export class WorkerPlayer {
  readonly #stage: Stage
  readonly #folder: string
  readonly #spec: GoldenCase
  readonly #counts: Counts
  readonly #variables: Readonly<Record<string, string>>
  readonly #normaliser: Normaliser
  readonly #collector: TopicCollector
  readonly #pseudo: ActualRecord[] = []
  readonly #sessions = new Map<string, pg.Client>()
  /** Whether the connector has a slot to wait for. */
  #streams: boolean
  /** A step stayed without its records: later ones do not wait that long. */
  #short = false

  private constructor(stage: Stage, folder: string, spec: GoldenCase, counts: Counts, id: string) {
    this.#stage = stage
    this.#folder = folder
    this.#spec = spec
    this.#counts = counts
    this.#streams = spec.streams ?? true
    const server = new URL(stage.pgUrl)
    const names = { prefix: `g${id}`, db: `g_${id}_db`, slot: `g_${id}_slot` }
    this.#variables = {
      ...names,
      pgHost: server.hostname,
      pgPort: server.port,
      pgUser: decodeURIComponent(server.username),
      pgPassword: decodeURIComponent(server.password),
      bootstrap: stage.brokers.join(','),
    }
    this.#normaliser = new Normaliser(names, spec)
    const patterns = (spec.topics ?? ['__debezium-heartbeat\\.${prefix}']).map((text) => new RegExp(this.#fill(text)))
    this.#collector = new TopicCollector(stage.brokers, {
      wanted: (topic) => topic.startsWith(names.prefix) || patterns.some((pattern) => pattern.test(topic)),
      counted: (topic) => this.#normaliser.countable(topic),
    })
  }

  /** Plays the case to its end and cleans up. */
  static async play(stage: Stage, folder: string, id: string): Promise<readonly NormalRecord[]> {
    const json = async (file: string) => JSON.parse(await readFile(join(folder, file), 'utf8')) as unknown
    const spec = (await json('case.json')) as GoldenCase
    const player = new WorkerPlayer(stage, folder, spec, (await json('counts.json')) as Counts, id)
    try {
      await player.#play()
      return player.#normaliser.run([...player.#collector.records, ...player.#pseudo])
    } finally {
      await player.#clean()
    }
  }

  get #path(): string {
    return `/connectors/${this.#variables['prefix']}-connector`
  }

  #fill(text: string): string {
    return text.replace(/\$\{(\w+)\}/g, (all, name: string) => this.#variables[name] ?? all)
  }

  #url(database = this.#variables['db'] ?? ''): string {
    const url = new URL(this.#stage.pgUrl)
    url.pathname = `/${database}`
    return url.toString()
  }

  async #query(sql: string, database?: string): Promise<readonly (readonly Json[])[]> {
    const client = new pg.Client({ connectionString: this.#url(database) })
    await client.connect()
    try {
      const types = { getTypeParser: () => (text: string) => text }
      return (await client.query({ text: sql, rowMode: 'array', types })).rows as Json[][]
    } finally {
      await client.end()
    }
  }

  async #rest(method: string, path: string, body?: unknown): Promise<unknown> {
    return await eventually(async () => {
      const { status, body: answer } = await this.#stage.worker.rest(method, path, body)
      // 409: the worker is about to rebalance; asking again is what a client does.
      if (status === 409) throw new Error(`${method} ${path}: 409`)
      return answer
    }, timeoutMs)
  }

  async #slotPid(): Promise<number | null> {
    const slot = this.#variables['slot'] ?? ''
    const [row] = await this.#query(
      `SELECT coalesce(active_pid, 0) FROM pg_replication_slots WHERE slot_name = '${slot}'`,
    )
    return row === undefined ? null : Number(row[0])
  }

  async #taskState(): Promise<{ readonly state: string; readonly trace: string }> {
    const { status, body } = await this.#stage.worker.rest('GET', `${this.#path}/status`)
    if (status !== 200) return { state: 'ABSENT', trace: '' }
    const { connector, tasks } = body as {
      connector: { state: string; trace?: string }
      tasks: readonly { state: string; trace?: string }[]
    }
    const [task] = tasks
    if (task !== undefined) return { state: task.state, trace: task.trace ?? '' }
    return { state: connector.state === 'STOPPED' ? 'STOPPED' : 'NO_TASK', trace: connector.trace ?? '' }
  }

  async #waitRunning(oldPid: number | null = null): Promise<void> {
    const end = performance.now() + timeoutMs
    for (;;) {
      const { state, trace } = await this.#taskState()
      if (state === 'FAILED') throw new Error(`The task failed: ${trace.slice(0, 1500)}`)
      const pid = this.#streams && state === 'RUNNING' ? await this.#slotPid() : null
      if (state === 'RUNNING' && (!this.#streams || (pid !== null && pid !== 0 && pid !== oldPid))) return
      if (performance.now() > end) throw new Error(`The task is ${state}, its slot is read by ${pid}`)
      await pause(50)
    }
  }

  async #untilReleased(): Promise<void> {
    await eventually(async () => {
      const pid = await this.#slotPid()
      if (pid !== null && pid !== 0) throw new Error(`The slot is read by ${pid}`)
    }, timeoutMs)
  }

  async #play(): Promise<void> {
    const { db } = this.#variables
    await this.#query(`CREATE DATABASE ${db}`, 'postgres')
    await this.#query(`ALTER DATABASE ${db} SET timezone = 'UTC'`, 'postgres')
    await this.#query(`ALTER DATABASE ${db} SET synchronous_commit = 'on'`, 'postgres')
    await runScript(this.#url(), await readFile(join(this.#folder, 'setup.sql'), 'utf8').catch(() => ''))
    if (this.#spec.start !== false) {
      await this.#putConfig({})
      if (this.#spec.waitRunning !== false) await this.#waitRunning()
      await this.#settle(this.#counts.start)
    }
    for (const [index, step] of this.#spec.steps.entries()) {
      await this.#act(step, index)
      const passive =
        step.query !== undefined ||
        passiveActions.has(step.action ?? '') ||
        (step.session !== undefined && step.wait !== true)
      if (!(step.noWait ?? passive)) await this.#settle(this.#counts.steps[index] ?? 0)
    }
    const begun = performance.now()
    while (performance.now() - Math.max(begun, this.#collector.lastMs) < endSilenceMs) await pause()
    await this.#collector.check()
  }

  async #settle(wanted: number): Promise<void> {
    const begun = performance.now()
    const limit = this.#short ? stepSilenceMs / 4 : stepSilenceMs
    while (this.#collector.count < wanted && performance.now() - Math.max(begun, this.#collector.lastMs) < limit) {
      await this.#collector.check()
      await pause()
    }
    if (this.#collector.count < wanted) this.#short = true
    await pause(100)
  }

  async #putConfig(extra: Readonly<Record<string, string | null>>): Promise<void> {
    const own = JSON.parse(await readFile(join(this.#folder, 'connector.json'), 'utf8')) as Record<
      string,
      string | null
    >
    const merged = Object.entries({ ...own, ...extra }).filter((entry): entry is [string, string] => entry[1] !== null)
    const config = Object.fromEntries(merged.map(([name, value]) => [name, this.#fill(value)]))
    const answer = (await this.#rest('PUT', `${this.#path}/config`, config)) as {
      error_code?: number
      message?: string
    }
    if (answer.error_code !== undefined) throw new Error(answer.message)
  }

  async #act(step: Step, index: number): Promise<void> {
    if (step.sql !== undefined) {
      await runScript(this.#url(), await readFile(join(this.#folder, step.sql), 'utf8'))
    } else if (step.session !== undefined) await this.#inSession(step.session, this.#fill(step.run ?? ''))
    else if (step.query !== undefined) {
      this.#note('$query', step.name ?? '', await this.#query(this.#fill(step.query)))
    } else await this.#action(step, index)
  }

  #note(topic: string, pseudoKey: string, pseudo: Json): void {
    this.#pseudo.push({ topic, pseudoKey, pseudo, ...(topic === '$offsets' ? { offsets: true as const } : {}) })
  }

  async #inSession(name: string, sql: string): Promise<void> {
    let client = this.#sessions.get(name)
    if (client === undefined) {
      client = new pg.Client({ connectionString: this.#url() })
      await client.connect()
      this.#sessions.set(name, client)
    }
    for (const statement of sql.split(';')) if (statement.trim() !== '') await client.query(statement)
  }

  async #action(step: Step, index: number): Promise<void> {
    const key = step.name ?? String(index)
    switch (step.action) {
      case 'signal':
        await this.#signal(step, index)
        break
      case 'produce':
        await this.#produce(step)
        break
      case 'dropSlot':
        await this.#untilReleased()
        await this.#query(`SELECT pg_drop_replication_slot('${this.#variables['slot']}')`)
        break
      case 'offsets':
        this.#note('$offsets', key, await this.#offsets())
        break
      case 'validate':
        this.#note('$validate', key, await this.#validate(step))
        break
      case 'waitState':
        this.#note('$state', key, await this.#waitState(step))
        break
      case 'sleep':
        await pause((step.seconds ?? 0) * 1000)
        break
      default:
        await this.#control(step)
    }
  }

  /** What the operator of a connector does. */
  async #control(step: Step): Promise<void> {
    switch (step.action) {
      case 'restart': {
        const pid = this.#streams ? await this.#slotPid() : null
        await this.#rest('POST', `${this.#path}/restart?includeTasks=true&onlyFailed=false`)
        await pause(recorderPauseMs)
        await this.#waitRunning(pid)
        break
      }
      case 'pause':
      case 'stop':
        await this.#rest('PUT', `${this.#path}/${step.action}`)
        await eventually(async () => {
          const { state } = await this.#taskState()
          if (state !== (step.action === 'pause' ? 'PAUSED' : 'STOPPED')) throw new Error(`The task is ${state}`)
        }, timeoutMs)
        if (step.action === 'stop') await this.#untilReleased()
        break
      case 'resume':
        await this.#rest('PUT', `${this.#path}/resume`)
        if (step.wait !== false) await this.#waitRunning()
        break
      case 'delete':
        await this.#rest('DELETE', this.#path)
        await this.#untilReleased()
        break
      case 'create':
      case 'updateConfig': {
        const pid = this.#streams && step.action === 'updateConfig' ? await this.#slotPid() : null
        await this.#putConfig(step.set ?? {})
        // The recorder's pause: until the worker has taken note, the status is that of the configuration before.
        await pause(recorderPauseMs)
        if (step.streams !== undefined) this.#streams = step.streams
        if (step.wait !== false) await this.#waitRunning(pid)
        break
      }
      default:
        throw new Error(`The player has no action ${step.action}`)
    }
  }

  async #signal(step: Step, index: number): Promise<void> {
    const text = (value: string | null) => (value === null ? 'NULL' : `'${value.replaceAll("'", "''")}'`)
    const data = step.data == null ? null : spacedJson(step.data)
    const values = [step.id ?? `signal-${index}`, step.type ?? '', data].map(text)
    await this.#query(`INSERT INTO ${step.table ?? 'public.signals'} VALUES (${values.join(', ')})`)
  }

  async #produce(step: Step): Promise<void> {
    const value = typeof step.value === 'string' ? step.value : spacedJson(step.value)
    await produceOne(this.#stage.brokers, {
      topic: this.#fill(step.topic ?? ''),
      key: this.#fill(step.key ?? ''),
      value: this.#fill(value),
    })
  }

  async #offsets(): Promise<Json> {
    return await eventually(async () => {
      const response = await fetch(new URL(`${this.#path}/offsets`, this.#stage.worker.url))
      const body = parseExact(await response.text())?.value as { readonly offsets?: readonly Json[] } | undefined
      if (body?.offsets === undefined || body.offsets.length === 0) throw new Error('No offsets are stored')
      return body.offsets
    }, timeoutMs)
  }

  async #validate(step: Step): Promise<Json> {
    const given = Object.entries(step.config ?? {}).map(([name, value]) => [name, this.#fill(value)] as const)
    const config = { 'connector.class': connectorClass, ...Object.fromEntries(given) }
    const path = `/connector-plugins/${config['connector.class'].split('.').at(-1)}/config/validate`
    const answer = (await this.#rest('PUT', path, config)) as {
      readonly error_count: number
      readonly configs: readonly { readonly value: { readonly name: string; readonly errors: readonly string[] } }[]
    }
    const errors = answer.configs
      .map(({ value }) => value)
      .filter(({ name, errors: list }) => list.length > 0 && (step.fields?.includes(name) ?? true))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ name, errors: list }) => [name, step.messages === false ? list.map(() => '<error>') : list] as const)
    return { error_count: step.count === false ? null : answer.error_count, errors: Object.fromEntries(errors) }
  }

  /** The state may still be that of the configuration before: only time tells that the text will not come. */
  async #waitState(step: Step): Promise<Json> {
    const text = step.contains ?? ''
    const found = await eventually(async () => {
      const { state, trace } = await this.#taskState()
      if (state !== step.state || !trace.includes(text)) throw new Error(`The task is ${state}: ${trace}`)
      return true
    }, timeoutMs).catch(() => false)
    return { state: found ? (step.state ?? '') : (await this.#taskState()).state, traceContains: text, found }
  }

  async #clean(): Promise<void> {
    for (const client of this.#sessions.values()) await client.end().catch(() => undefined)
    await this.#rest('DELETE', this.#path).catch(() => undefined)
    const { db } = this.#variables
    await eventually(async () => {
      const slots = await this.#query(`SELECT slot_name FROM pg_replication_slots WHERE database = '${db}'`, 'postgres')
      for (const [name] of slots) await this.#query(`SELECT pg_drop_replication_slot('${String(name)}')`, 'postgres')
    }, timeoutMs).catch(() => undefined)
    await this.#query(`DROP DATABASE IF EXISTS ${db} WITH (FORCE)`, 'postgres')
    await this.#collector[Symbol.asyncDispose]()
  }
}
