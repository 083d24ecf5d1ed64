/** Plays a case of the corpus against the task itself: records go through the real converters into a list. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { plugin } from '../../../connectors/postgres-cdc/index.ts'
import { builtinTransforms } from '../../../transforms/index.ts'
import { kindOf, RetriableError } from '../../../worker/api/errors.ts'
import type { SourceOffset, SourceRecord } from '../../../worker/api/record.ts'
import type { SourceTask, SourceTaskContext } from '../../../worker/api/task.ts'
import { evaluateWithRules, parseConfig, valuesOf } from '../../../worker/config/config-def.ts'
import { JsonConverter, jsonConverterConfig } from '../../../worker/converters/json.ts'
import { SimpleHeaderConverter } from '../../../worker/converters/simple-header.ts'
import { createKafkaClientFactory } from '../../../worker/kafka/client.ts'
import { PluginRegistry } from '../../../worker/plugins/registry.ts'
import { KafkaTopicReader } from '../../../worker/runtime/topic-reader.ts'
import { createTransformationChain, TransformationChain } from '../../../worker/runtime/transformation-chain.ts'
import { GrowingByteWriter } from '../../../worker/util/byte-writer.ts'
import { systemClock } from '../../../worker/util/clock.ts'
import { type ActualRecord, type CaseRules, type Json, Normaliser, type NormalRecord, parseExact } from './normalise.ts'
import { deleteTopics, produceOne } from './produce.ts'
import { runScript } from './sql-script.ts'

export interface Step {
  readonly sql?: string
  readonly session?: string
  readonly run?: string
  readonly query?: string
  readonly name?: string
  readonly action?: string
  readonly expectError?: boolean
  readonly noWait?: boolean
  readonly wait?: boolean
  readonly state?: string
  readonly contains?: string
  readonly seconds?: number
  readonly quiet?: number
  readonly set?: Readonly<Record<string, string | null>>
  readonly config?: Readonly<Record<string, string>>
  readonly messages?: boolean
  readonly fields?: readonly string[]
  readonly id?: string
  readonly type?: string
  readonly data?: unknown
  readonly table?: string
  /** Record that a step writes to a topic. */
  readonly topic?: string
  readonly key?: string
  readonly value?: unknown
  /** False: the number of errors is not compared. */
  readonly count?: boolean
  readonly streams?: boolean
}

export interface GoldenCase extends CaseRules {
  readonly title: string
  /** Numbers of the Postgres statements that the case shows. */
  readonly covers?: readonly number[]
  readonly steps: readonly Step[]
  readonly start?: boolean
  readonly waitRunning?: boolean
  readonly endQuiet?: number
  /** Patterns of topics beside those of the prefix. */
  readonly topics?: readonly string[]
  /** False: the connector has no slot to wait for. */
  readonly streams?: boolean
}

interface Counts {
  readonly start: number
  readonly steps: readonly number[]
}

type Task = SourceTask<ReturnType<typeof parsePostgres>>
const parsePostgres = (raw: Readonly<Record<string, string>>) => parseConfig(plugin.config, raw)

const silent = () => undefined
const logger = { trace: silent, debug: silent, info: silent, warn: silent, error: silent }
const metrics = {
  counter: () => ({ add: silent }),
  gauge: () => ({ set: silent }),
  histogram: () => ({ observe: silent }),
}

/** Longest silence within a step that still waits for records, and at the end of a case. */
const stepSilenceMs = 6000
const endSilenceMs = 400
const pauseMs = 20

/** One running task with its poll loop; every returned batch counts as durable at once. */
class RunningTask {
  readonly #task: Task
  readonly #player: TaskPlayer
  readonly #soft = new AbortController()
  #loop: Promise<void> = Promise.resolve()
  failure: Error | null = null

  constructor(task: Task, player: TaskPlayer) {
    this.#task = task
    this.#player = player
  }

  async start(raw: Readonly<Record<string, string>>, context: SourceTaskContext): Promise<void> {
    try {
      await this.#task.start(parsePostgres(raw), context)
      this.#loop = this.#run()
    } catch (error) {
      this.failure = error instanceof Error ? error : new Error(String(error))
    }
  }

  async stop(): Promise<void> {
    this.#soft.abort()
    await this.#loop
    await this.#task.stop()
  }

  async #run(): Promise<void> {
    const { signal } = this.#soft
    while (!signal.aborted && this.failure === null) {
      try {
        const records = await this.#task.poll(signal)
        this.#player.receive(records)
        const last = records.at(-1)
        if (last !== undefined) {
          await this.#task.commit?.([{ partition: last.sourcePartition, offset: last.sourceOffset }])
        }
      } catch (error) {
        if (kindOf(error) !== 'retriable') this.failure = error instanceof Error ? error : new Error(String(error))
        else
          await systemClock.sleep(
            error instanceof RetriableError ? Math.min(error.retryAfterMs ?? 100, 500) : 100,
            signal,
          )
      }
    }
  }
}

/** What cases are played against. */
export interface Servers {
  readonly pgUrl: string
  /** Empty where no case needs Kafka. */
  readonly brokers: readonly string[]
}

export class TaskPlayer {
  readonly #folder: string
  readonly #server: URL
  readonly #brokers: readonly string[]
  readonly #kafka = createKafkaClientFactory()
  /** Topics that the case has written to. */
  readonly #written: string[] = []
  readonly #spec: GoldenCase
  readonly #counts: Counts
  readonly #normaliser: Normaliser
  readonly #variables: Readonly<Record<string, string>>
  readonly #records: ActualRecord[] = []
  readonly #pseudo: ActualRecord[] = []
  readonly #sessions = new Map<string, pg.Client>()
  readonly #key = new JsonConverter()
  readonly #value = new JsonConverter()
  readonly #headers = new SimpleHeaderConverter()
  /** Set when the case has headers as JSON. */
  #jsonHeaders: JsonConverter | null = null
  readonly #out = new GrowingByteWriter()
  #config: Readonly<Record<string, string>> = {}
  #chain = new TransformationChain([])
  #offset: SourceOffset | null = null
  #running: RunningTask | null = null
  #received = 0
  #lastMs = performance.now()

  private constructor(folder: string, servers: Servers, spec: GoldenCase, counts: Counts, id: string) {
    const server = new URL(servers.pgUrl)
    this.#folder = folder
    this.#server = server
    this.#brokers = servers.brokers
    this.#spec = spec
    this.#counts = counts
    const names = { prefix: `g${id}`, db: `g_${id}_db`, slot: `g_${id}_slot` }
    this.#variables = {
      ...names,
      pgHost: server.hostname,
      pgPort: server.port,
      pgUser: decodeURIComponent(server.username),
      pgPassword: decodeURIComponent(server.password),
      bootstrap: servers.brokers.join(','),
    }
    this.#normaliser = new Normaliser(names, spec)
  }

  /** Plays the case to its end and cleans up. */
  static async play(folder: string, servers: Servers, id: string): Promise<readonly NormalRecord[]> {
    const json = async (file: string) => JSON.parse(await readFile(join(folder, file), 'utf8')) as unknown
    const spec = (await json('case.json')) as GoldenCase
    const player = new TaskPlayer(folder, servers, spec, (await json('counts.json')) as Counts, id)
    try {
      await player.#play()
      return player.#normaliser.run([...player.#records, ...player.#pseudo])
    } finally {
      await player.#clean()
    }
  }

  receive(records: readonly SourceRecord[]): void {
    for (const source of records) {
      this.#offset = source.sourceOffset
      const record = this.#chain.apply(source)
      if (record === null) continue
      this.#records.push({
        topic: record.topic,
        key: this.#convert(this.#key, record, 'key'),
        value: this.#convert(this.#value, record, 'value'),
        headers: record.headers.map((h) => [
          h.key,
          this.#jsonHeaders?.fromConnectData(record.topic, [], h.schema, h.value) ??
            this.#headers.fromConnectHeader(record.topic, h.key, h.schema, h.value),
        ]),
        timestamp: record.timestamp ?? 0,
      })
      // Heartbeats go on for ever; only what is counted keeps a step open.
      if (!this.#normaliser.countable(record.topic)) continue
      this.#received += 1
      this.#lastMs = performance.now()
    }
  }

  /** Through both lanes, which must give the same bytes. */
  #convert(converter: JsonConverter, record: SourceRecord, part: 'key' | 'value'): Uint8Array | null {
    const schema = part === 'key' ? record.keySchema : record.valueSchema
    const raw = part === 'key' ? record.rawKey : record.rawValue
    const slow = converter.fromConnectData(
      record.topic,
      record.headers,
      schema,
      part === 'key' ? record.key : record.value,
    )
    const mark = this.#out.mark()
    const written = converter.write(record.topic, record.headers, schema, raw, this.#out)
    const fast = written ? Uint8Array.from(this.#out.since(mark)) : null
    this.#out.reset()
    if (Buffer.compare(slow ?? Buffer.alloc(0), fast ?? Buffer.alloc(0)) !== 0 || (slow === null) !== (fast === null)) {
      throw new Error(
        `The two lanes differ for ${record.topic}:\n${slow === null ? 'null' : Buffer.from(slow)}\n${fast === null ? 'null' : Buffer.from(fast)}`,
      )
    }
    return fast
  }

  #fill(text: string): string {
    return text.replace(/\$\{(\w+)\}/g, (all, name: string) => this.#variables[name] ?? all)
  }

  #url(database: string): string {
    const url = new URL(this.#server)
    url.pathname = `/${database}`
    return url.toString()
  }

  async #query(sql: string, database = this.#variables['db'] ?? ''): Promise<readonly (readonly Json[])[]> {
    const client = new pg.Client({ connectionString: this.#url(database) })
    await client.connect()
    try {
      const types = { getTypeParser: () => (text: string) => text }
      return (await client.query({ text: sql, rowMode: 'array', types })).rows as Json[][]
    } finally {
      await client.end()
    }
  }

  async #play(): Promise<void> {
    const { db } = this.#variables
    await this.#query(`CREATE DATABASE ${db}`, 'postgres')
    await this.#query(`ALTER DATABASE ${db} SET timezone = 'UTC'`, 'postgres')
    await this.#query(`ALTER DATABASE ${db} SET synchronous_commit = 'on'`, 'postgres')
    await this.#script(await readFile(join(this.#folder, 'setup.sql'), 'utf8').catch(() => ''))
    await this.#configure({})
    if (this.#spec.start !== false) {
      await this.#start()
      if (this.#spec.waitRunning !== false) this.#failIfFailed()
      await this.#settle(this.#counts.start)
    }
    for (const [index, step] of this.#spec.steps.entries()) {
      await this.#act(step)
      const passive =
        step.query !== undefined ||
        passiveActions.has(step.action ?? '') ||
        (step.session !== undefined && step.wait !== true)
      if (!(step.noWait ?? passive)) await this.#settle(this.#counts.steps[index] ?? 0)
    }
    this.#lastMs = performance.now()
    while (performance.now() - this.#lastMs < endSilenceMs) await systemClock.sleep(pauseMs)
  }

  async #script(sql: string): Promise<void> {
    await runScript(this.#url(this.#variables['db'] ?? ''), sql)
  }

  async #configure(extra: Readonly<Record<string, string | null>>): Promise<void> {
    const own = JSON.parse(await readFile(join(this.#folder, 'connector.json'), 'utf8')) as Record<
      string,
      string | null
    >
    const merged = Object.entries({ ...own, ...extra }).filter((entry): entry is [string, string] => entry[1] !== null)
    this.#config = Object.fromEntries(merged.map(([name, value]) => [name, this.#fill(value)]))
    this.#chain = await createTransformationChain(this.#config, new PluginRegistry(builtinTransforms))
    const role = (name: 'key' | 'value' | 'header') => {
      const prefix = `${name}.converter.`
      const raw = Object.entries(this.#config).filter(([option]) => option.startsWith(prefix))
      const options = Object.fromEntries(raw.map(([option, value]) => [option.slice(prefix.length), value]))
      return parseConfig(jsonConverterConfig, { ...options, 'converter.type': name })
    }
    this.#key.configure(role('key'), 'key')
    this.#value.configure(role('value'), 'value')
    if (this.#config['header.converter']?.endsWith('.JsonConverter')) {
      this.#jsonHeaders = new JsonConverter()
      this.#jsonHeaders.configure(role('header'), 'header')
    }
  }

  async #start(): Promise<void> {
    const task = await plugin.createTask()
    this.#running = new RunningTask(task, this)
    await this.#running.start(this.#config, {
      connector: `${this.#variables['prefix']}-connector`,
      task: 0,
      logger,
      metrics,
      clock: systemClock,
      producer: { send: async () => undefined, ensureTopic: async () => undefined },
      rawConfig: this.#config,
      offsets: { read: async () => [this.#offset] },
      transaction: null,
      pluginPath: [],
      readTopic: (options) => new KafkaTopicReader(this.#kafka, options),
      advance: (_, offset) => {
        this.#offset = offset
      },
      persist: async (_, offset) => {
        this.#offset = offset
      },
    })
  }

  #failIfFailed(): void {
    if (this.#running?.failure) throw this.#running.failure
  }

  async #stop(): Promise<void> {
    await this.#running?.stop()
    this.#running = null
  }

  async #settle(wanted: number): Promise<void> {
    const begun = performance.now()
    while (this.#received < wanted && performance.now() - Math.max(begun, this.#lastMs) < stepSilenceMs) {
      this.#failIfFailed()
      await systemClock.sleep(pauseMs)
    }
    await systemClock.sleep(pauseMs * 3)
  }

  async #act(step: Step): Promise<void> {
    if (step.sql !== undefined) await this.#script(await readFile(join(this.#folder, step.sql), 'utf8'))
    else if (step.session !== undefined) await this.#inSession(step.session, this.#fill(step.run ?? ''))
    else if (step.query !== undefined) {
      this.#pseudo.push({
        topic: '$query',
        pseudoKey: step.name ?? '',
        pseudo: await this.#query(this.#fill(step.query)),
      })
    } else await this.#action(step)
  }

  async #inSession(name: string, sql: string): Promise<void> {
    let client = this.#sessions.get(name)
    if (client === undefined) {
      client = new pg.Client({ connectionString: this.#url(this.#variables['db'] ?? '') })
      await client.connect()
      this.#sessions.set(name, client)
    }
    for (const statement of sql.split(';')) if (statement.trim() !== '') await client.query(statement)
  }

  async #action(step: Step): Promise<void> {
    switch (step.action) {
      case 'restart':
        await this.#stop()
        await this.#start()
        this.#failIfFailed()
        break
      case 'stop':
      case 'pause':
      case 'delete':
        await this.#stop()
        break
      case 'resume':
      case 'create':
      case 'updateConfig':
        await this.#stop()
        await this.#configure(step.set ?? {})
        await this.#start()
        if (step.wait !== false) this.#failIfFailed()
        break
      case 'dropSlot':
        await this.#query(`SELECT pg_drop_replication_slot('${this.#variables['slot']}')`)
        break
      case 'offsets': {
        const text = JSON.stringify(this.#offset, (_k, v: unknown) => (typeof v === 'bigint' ? String(v) : v))
        const offset = parseExact(text.replace(/"(-?\d+)"/g, '$1'))?.value ?? null
        const pseudo = [{ partition: { server: this.#variables['prefix'] ?? '' }, offset }]
        this.#pseudo.push({ topic: '$offsets', pseudoKey: step.name ?? '', pseudo, offsets: true })
        break
      }
      case 'waitState':
        await this.#waitState(step)
        break
      case 'signal': {
        const text = (value: string | null) => (value === null ? 'NULL' : `'${value.replaceAll("'", "''")}'`)
        const data = step.data == null ? null : spacedJson(step.data)
        const table = step.table ?? 'public.signals'
        await this.#query(
          `INSERT INTO ${table} VALUES (${text(step.id ?? 'signal')}, ${text(step.type ?? '')}, ${text(data)})`,
        )
        break
      }
      case 'produce':
        await this.#produce(step)
        break
      case 'validate':
        this.#pseudo.push({ topic: '$validate', pseudoKey: step.name ?? '', pseudo: await this.#validate(step) })
        break
      case 'sleep':
        await systemClock.sleep((step.seconds ?? 0) * 1000)
        break
      default:
        throw new Error(`The task player has no action ${step.action}`)
    }
  }

  async #produce(step: Step): Promise<void> {
    const topic = this.#fill(step.topic ?? '')
    const value = typeof step.value === 'string' ? step.value : spacedJson(step.value)
    this.#written.push(topic)
    await produceOne(this.#brokers, { topic, key: this.#fill(step.key ?? ''), value: this.#fill(value) })
  }

  /** As the worker's validate endpoint: the definition, its rules, then the connection. */
  async #validate(step: Step): Promise<Json> {
    const raw = Object.fromEntries(Object.entries(step.config ?? {}).map(([name, value]) => [name, this.#fill(value)]))
    const states = evaluateWithRules(plugin.config, raw)
    const errors = new Map<string, string[]>()
    for (const state of states.values()) if (state.errors.length > 0) errors.set(state.name, [...state.errors])
    if (errors.size === 0) {
      const values = valuesOf(states) as Parameters<NonNullable<typeof plugin.validate>>[0]
      for (const { option, message } of (await plugin.validate?.(values, raw)) ?? []) errors.set(option, [message])
    }
    const shown = [...errors].sort(([a], [b]) => (a < b ? -1 : 1))
    const texts = (list: readonly string[]): Json => (step.messages === false ? list.map(() => '<error>') : list)
    return { error_count: errors.size, errors: Object.fromEntries(shown.map(([name, list]) => [name, texts(list)])) }
  }

  async #waitState(step: Step): Promise<void> {
    const end = performance.now() + 20_000
    while (this.#running?.failure == null && performance.now() < end) await systemClock.sleep(pauseMs)
    const state = this.#running?.failure == null ? 'RUNNING' : 'FAILED'
    const text = step.contains ?? ''
    const found = String(this.#running?.failure?.stack ?? '').includes(text)
    this.#pseudo.push({
      topic: '$state',
      pseudoKey: step.name ?? String(this.#spec.steps.indexOf(step)),
      pseudo: { state, traceContains: text, found },
    })
  }

  async #clean(): Promise<void> {
    await this.#stop().catch(() => undefined)
    for (const client of this.#sessions.values()) await client.end().catch(() => undefined)
    const { db } = this.#variables
    const end = performance.now() + 10_000
    for (;;) {
      const slots = await this.#query(
        `SELECT slot_name, active FROM pg_replication_slots WHERE database = '${db}'`,
        'postgres',
      )
      if (slots.length === 0 || performance.now() > end) break
      for (const [name, active] of slots) {
        if (active === 'f')
          await this.#query(`SELECT pg_drop_replication_slot('${String(name)}')`, 'postgres').catch(() => [])
      }
      await systemClock.sleep(pauseMs)
    }
    await this.#query(`DROP DATABASE IF EXISTS ${db} WITH (FORCE)`, 'postgres')
    await deleteTopics(this.#brokers, this.#written)
  }
}

/** JSON with the spaces that the recording has behind colons and commas. */
export function spacedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spacedJson).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{${Object.entries(value)
    .map(([key, member]) => `${JSON.stringify(key)}: ${spacedJson(member)}`)
    .join(', ')}}`
}

const passiveActions = new Set(['offsets', 'validate', 'waitState', 'dropSlot', 'sleep', 'pause'])
