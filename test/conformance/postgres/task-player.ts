/** Plays a case of the corpus against the task itself: records go through the real converters into a list. */
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
import { CaseDatabase, type Servers } from './case-database.ts'
import { awaitsRecords, type Counts, type GoldenCase, type GoldenFiles, readCase, type Step } from './golden-case.ts'
import { type ActualRecord, type Json, Normaliser, type NormalRecord, parseExact } from './normalise.ts'
import { deleteTopics, produceOne } from './produce.ts'

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

export class TaskPlayer {
  readonly #database: CaseDatabase
  readonly #brokers: readonly string[]
  readonly #kafka = createKafkaClientFactory()
  /** Topics that the case has written to. */
  readonly #written: string[] = []
  readonly #spec: GoldenCase
  readonly #counts: Counts
  readonly #normaliser: Normaliser
  readonly #records: ActualRecord[] = []
  readonly #pseudo: ActualRecord[] = []
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

  private constructor(folder: string, servers: Servers, { spec, counts }: GoldenFiles, id: string) {
    this.#brokers = servers.brokers
    this.#spec = spec
    this.#counts = counts
    this.#database = new CaseDatabase(folder, servers, id)
    this.#normaliser = new Normaliser(this.#database.names, spec)
  }

  /** Plays the case to its end and cleans up. */
  static async play(folder: string, servers: Servers, id: string): Promise<readonly NormalRecord[]> {
    const player = new TaskPlayer(folder, servers, await readCase(folder), id)
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

  async #play(): Promise<void> {
    await this.#database.create()
    await this.#configure({})
    if (this.#spec.start !== false) {
      await this.#start()
      if (this.#spec.waitRunning !== false) this.#failIfFailed()
      await this.#settle(this.#counts.start)
    }
    for (const [index, step] of this.#spec.steps.entries()) {
      await this.#act(step)
      if (awaitsRecords(step)) await this.#settle(this.#counts.steps[index] ?? 0)
    }
    this.#lastMs = performance.now()
    while (performance.now() - this.#lastMs < endSilenceMs) await systemClock.sleep(pauseMs)
  }

  async #configure(extra: Readonly<Record<string, string | null>>): Promise<void> {
    this.#config = await this.#database.config(extra)
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
      connector: `${this.#database.names.prefix}-connector`,
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
    const { sql, session, query } = step
    if (sql !== undefined) await this.#database.script(sql)
    else if (session !== undefined) await this.#database.inSession(session, this.#database.fill(step.run ?? ''))
    else if (query !== undefined) {
      const pseudo = await this.#database.query(this.#database.fill(query))
      this.#pseudo.push({ topic: '$query', pseudoKey: step.name ?? '', pseudo })
    } else await this.#action(step)
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
        await this.#database.dropSlot()
        break
      case 'offsets': {
        const text = JSON.stringify(this.#offset, (_k, v: unknown) => (typeof v === 'bigint' ? String(v) : v))
        const offset = parseExact(text.replace(/"(-?\d+)"/g, '$1'))?.value ?? null
        const pseudo = [{ partition: { server: this.#database.names.prefix }, offset }]
        this.#pseudo.push({ topic: '$offsets', pseudoKey: step.name ?? '', pseudo, offsets: true })
        break
      }
      case 'waitState':
        await this.#waitState(step)
        break
      case 'signal':
        await this.#database.signal(step, 'signal')
        break
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
    const record = this.#database.recordOf(step)
    this.#written.push(record.topic)
    await produceOne(this.#brokers, record)
  }

  /** As the worker's validate endpoint: the definition, its rules, then the connection. */
  async #validate(step: Step): Promise<Json> {
    const raw = Object.fromEntries(
      Object.entries(step.config ?? {}).map(([name, value]) => [name, this.#database.fill(value)]),
    )
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
    const database = this.#database
    await database.closeSessions()
    const end = performance.now() + 10_000
    for (;;) {
      const slots = await database.query(
        `SELECT slot_name, active FROM pg_replication_slots WHERE database = '${database.names.db}'`,
        'postgres',
      )
      if (slots.length === 0 || performance.now() > end) break
      for (const [name, active] of slots) {
        if (active === 'f')
          await database.query(`SELECT pg_drop_replication_slot('${String(name)}')`, 'postgres').catch(() => [])
      }
      await systemClock.sleep(pauseMs)
    }
    await database.drop()
    await deleteTopics(this.#brokers, this.#written)
  }
}
