/** Plays a case of the corpus against a whole worker: driven by REST, records read from Kafka. */
import { CaseDatabase } from '../../conformance/postgres/case-database.ts'
import {
  awaitsRecords,
  type Counts,
  type GoldenCase,
  type GoldenFiles,
  readCase,
  type Step,
} from '../../conformance/postgres/golden-case.ts'
import {
  type ActualRecord,
  type Json,
  Normaliser,
  type NormalRecord,
  parseExact,
} from '../../conformance/postgres/normalise.ts'
import { produceOne } from '../../conformance/postgres/produce.ts'
import { eventually, type WorkerUnderTest } from '../../support/worker-process.ts'
import { TopicCollector } from './collector.ts'

export interface Stage {
  readonly worker: WorkerUnderTest
  readonly brokers: readonly string[]
  readonly pgUrl: string
}

const connectorClass = 'io.debezium.connector.postgresql.PostgresConnector'
/** Longest silence of a step that still waits for records; silence at the end of a case. */
const stepSilenceMs = 15_000
const endSilenceMs = 1200
const timeoutMs = 30_000
const recorderPauseMs = 1000
const pause = (ms = 30) => new Promise((resolve) => setTimeout(resolve, ms))

export class WorkerPlayer {
  readonly #stage: Stage
  readonly #database: CaseDatabase
  readonly #spec: GoldenCase
  readonly #counts: Counts
  readonly #normaliser: Normaliser
  readonly #collector: TopicCollector
  readonly #pseudo: ActualRecord[] = []
  /** Whether the connector has a slot to wait for. */
  #streams: boolean
  /** A step stayed without its records: later ones do not wait that long. */
  #short = false

  private constructor(stage: Stage, folder: string, { spec, counts }: GoldenFiles, id: string) {
    this.#stage = stage
    this.#spec = spec
    this.#counts = counts
    this.#streams = spec.streams ?? true
    this.#database = new CaseDatabase(folder, stage, id)
    const { names } = this.#database
    this.#normaliser = new Normaliser(names, spec)
    const patterns = (spec.topics ?? ['__debezium-heartbeat\\.${prefix}']).map(
      (text) => new RegExp(this.#database.fill(text)),
    )
    this.#collector = new TopicCollector(stage.brokers, {
      wanted: (topic) => topic.startsWith(names.prefix) || patterns.some((pattern) => pattern.test(topic)),
      counted: (topic) => this.#normaliser.countable(topic),
    })
  }

  /** Plays the case to its end and cleans up. */
  static async play(stage: Stage, folder: string, id: string): Promise<readonly NormalRecord[]> {
    const player = new WorkerPlayer(stage, folder, await readCase(folder), id)
    try {
      await player.#play()
      return player.#normaliser.run([...player.#collector.records, ...player.#pseudo])
    } finally {
      await player.#clean()
    }
  }

  get #path(): string {
    return `/connectors/${this.#database.names.prefix}-connector`
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
    const [row] = await this.#database.query(
      `SELECT coalesce(active_pid, 0) FROM pg_replication_slots WHERE slot_name = '${this.#database.names.slot}'`,
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
    await this.#database.create()
    if (this.#spec.start !== false) {
      await this.#putConfig({})
      if (this.#spec.waitRunning !== false) await this.#waitRunning()
      await this.#settle(this.#counts.start)
    }
    for (const [index, step] of this.#spec.steps.entries()) {
      await this.#act(step, index)
      if (awaitsRecords(step)) await this.#settle(this.#counts.steps[index] ?? 0)
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
    const config = await this.#database.config(extra)
    const answer = (await this.#rest('PUT', `${this.#path}/config`, config)) as {
      error_code?: number
      message?: string
    }
    if (answer.error_code !== undefined) throw new Error(answer.message)
  }

  async #act(step: Step, index: number): Promise<void> {
    const { sql, session, query } = step
    if (sql !== undefined) await this.#database.script(sql)
    else if (session !== undefined) await this.#database.inSession(session, this.#database.fill(step.run ?? ''))
    else if (query !== undefined) {
      this.#note('$query', step.name ?? '', await this.#database.query(this.#database.fill(query)))
    } else await this.#action(step, index)
  }

  #note(topic: string, pseudoKey: string, pseudo: Json): void {
    this.#pseudo.push({ topic, pseudoKey, pseudo, ...(topic === '$offsets' ? { offsets: true as const } : {}) })
  }

  async #action(step: Step, index: number): Promise<void> {
    const key = step.name ?? String(index)
    switch (step.action) {
      case 'signal':
        await this.#database.signal(step, `signal-${index}`)
        break
      case 'produce':
        await produceOne(this.#stage.brokers, this.#database.recordOf(step))
        break
      case 'dropSlot':
        await this.#untilReleased()
        await this.#database.dropSlot()
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

  async #offsets(): Promise<Json> {
    return await eventually(async () => {
      const response = await fetch(new URL(`${this.#path}/offsets`, this.#stage.worker.url))
      const body = parseExact(await response.text())?.value as { readonly offsets?: readonly Json[] } | undefined
      if (body?.offsets === undefined || body.offsets.length === 0) throw new Error('No offsets are stored')
      return body.offsets
    }, timeoutMs)
  }

  async #validate(step: Step): Promise<Json> {
    const given = Object.entries(step.config ?? {}).map(([name, value]) => [name, this.#database.fill(value)] as const)
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
    const database = this.#database
    await database.closeSessions()
    await this.#rest('DELETE', this.#path).catch(() => undefined)
    await eventually(async () => {
      const inUse = `SELECT slot_name FROM pg_replication_slots WHERE database = '${database.names.db}'`
      for (const [name] of await database.query(inUse, 'postgres'))
        await database.query(`SELECT pg_drop_replication_slot('${String(name)}')`, 'postgres')
    }, timeoutMs).catch(() => undefined)
    await database.drop()
    await this.#collector[Symbol.asyncDispose]()
  }
}
