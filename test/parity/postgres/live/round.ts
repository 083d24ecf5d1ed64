/** One random database with two connectors over it: Debezium's on Kafka Connect, and ours. */
import pg from 'pg'
import { seededRandom } from '../../../support/random.ts'
import { eventually, type WorkerUnderTest } from '../../../support/worker-process.ts'
import { TopicCollector } from '../collector.ts'
import { type Options, randomOptions } from './options.ts'
import { byClock, compareSides, type KafkaRecord } from './records.ts'
import { randomScript, type ScriptStep } from './script.ts'
import { randomDatabase } from './tables.ts'

export interface Stage {
  readonly java: WorkerUnderTest
  readonly sluice: WorkerUnderTest
  readonly brokers: readonly string[]
  readonly pgUrl: string
}

export interface RoundOutcome {
  readonly seed: number
  readonly records: number
  /** What Debezium's task died of; its records are compared up to there. */
  readonly theirFailure: string | null
  readonly differences: readonly string[]
  readonly options: Options
  /** The SQL of the round, as it was sent. */
  readonly sql: readonly string[]
}

const connectorClass = 'io.debezium.connector.postgresql.PostgresConnector'
/** Slots are made once all transactions of the server that run by then have ended, those of others too. */
const startMs = 150_000
/** Longest wait for both to have read what was written. */
const syncMs = 20_000
/** Both have sent the last message: what else they sent is under way for as long as something comes, and this much. */
const settleMs = 1200
const pause = (ms = 25) => new Promise((resolve) => setTimeout(resolve, ms))

/** What one connector is called. */
class Side {
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
function lastError({ output }: WorkerUnderTest): string {
  const lines = output.split('\n')
  const at = lines.findLastIndex((line) => / ERROR |"level":"error"/.test(line))
  if (at < 0) return 'without an error'
  const causes = lines.slice(at + 1, at + 120).filter((line) => /^(?:Caused by|[\w.]+(?:Exception|Error):)/.test(line))
  return [lines[at], ...causes.slice(0, 6)].join(' | ').slice(0, 1200)
}

export class Round {
  readonly #stage: Stage
  readonly #seed: number
  readonly #token = Math.random().toString(36).slice(2, 8)
  readonly #theirs: Side
  readonly #ours: Side
  readonly #collector: TopicCollector
  readonly #sql: string[] = []
  readonly #database: pg.Client
  #messages = 0

  constructor(stage: Stage, seed: number) {
    this.#stage = stage
    this.#seed = seed
    this.#theirs = new Side(stage.java, this.#token, 'a')
    this.#ours = new Side(stage.sluice, this.#token, 'b')
    this.#database = new pg.Client({ connectionString: this.#url(this.#name) })
    const wanted = (topic: string) => topic.includes(`lv${this.#token}`)
    // Heartbeats never end; a round does when nothing else comes.
    const counted = (topic: string) => wanted(topic) && !byClock.test(topic)
    this.#collector = new TopicCollector(stage.brokers, { wanted, counted })
  }

  get #name(): string {
    return `live_${this.#token}`
  }

  get #sides(): readonly [Side, Side] {
    return [this.#theirs, this.#ours]
  }

  #url(database: string): string {
    const url = new URL(this.#stage.pgUrl)
    url.pathname = `/${database}`
    return url.toString()
  }

  /**
   * @param without names (or beginnings) of options to leave out, to see which of them a difference needs
   * @throws Error when the round itself is wrong: its setup is refused, or a connector does not start
   */
  async play(without: readonly string[] = []): Promise<RoundOutcome> {
    try {
      return await this.#play(without)
    } finally {
      await this.#clean()
    }
  }

  async #play(without: readonly string[]): Promise<RoundOutcome> {
    const random = seededRandom(this.#seed)
    await this.#admin(`CREATE DATABASE ${this.#name}`)
    await this.#database.connect()
    const { rows } = await this.#database.query<{ name: string }>('SELECT name FROM pg_available_extensions')
    const database = randomDatabase(random, new Set(rows.map(({ name }) => name)))
    for (const statement of database.setup) await this.#send(statement, true)
    const chosen = Object.entries(randomOptions(random, database))
    const options = Object.fromEntries(chosen.filter(([name]) => !without.some((start) => name.startsWith(start))))
    await Promise.all(this.#sides.map((side) => this.#start(side, options)))
    const late = await this.#untilStreaming()
    if (late.includes(this.#ours)) {
      const differences = [`  ours does not stream: ${lastError(this.#ours.worker)}`]
      return { seed: this.#seed, records: 0, theirFailure: null, differences, options, sql: this.#sql }
    }
    // A restart of Debezium's with a filtered publication fails on that publication, again and again.
    const stuck = late.length === 0 ? null : `does not stream: ${lastError(this.#theirs.worker)}`
    if (stuck === null) await this.#runAll(randomScript(random, database))
    const synced = performance.now()
    while (performance.now() - Math.max(synced, this.#collector.lastMs) < settleMs) await pause()
    await this.#collector.check()
    return await this.#compare(options, stuck)
  }

  async #runAll(steps: Iterable<ScriptStep>): Promise<void> {
    for (const step of steps) {
      if ((await this.#failures()).some((trace) => trace !== null)) break
      await this.#run(step)
    }
    await this.#sync()
  }

  /** @param stuck why Debezium's task does not come to stream though it lives */
  async #compare(options: Options, stuck: string | null): Promise<RoundOutcome> {
    const [theirTrace, ourFailure] = await this.#failures()
    const theirFailure = theirTrace ?? stuck
    const records = this.#collector.records.filter((record): record is KafkaRecord => 'value' in record)
    const [theirs, ours] = this.#sides.map(({ prefix }) => ({
      prefix,
      records: records.filter(({ topic }) => topic.includes(prefix)),
    })) as [{ prefix: string; records: KafkaRecord[] }, { prefix: string; records: KafkaRecord[] }]
    // Restarts repeat what they had sent: nothing to compare with.
    const compared = stuck === null ? compareSides(theirs, ours, theirFailure != null) : { records: 0, differences: [] }
    const differences: string[] = []
    for (const text of compared.differences) differences.push(await this.#withTypes(text))
    if (ourFailure != null && theirFailure === null) differences.push(`  our task failed: ${ourFailure.slice(0, 1500)}`)
    return {
      seed: this.#seed,
      records: compared.records,
      theirFailure: theirFailure == null ? null : shortTrace(theirFailure),
      differences,
      options,
      sql: this.#sql,
    }
  }

  /** Adds the types of the columns that a difference names. */
  async #withTypes(text: string): Promise<string> {
    const names = text.split(/[.[\]\n]/)
    const { rows } = await this.#database.query<{ name: string; type: string }>(
      `SELECT DISTINCT c.relname || '.' || a.attname AS name, format_type(a.atttypid, a.atttypmod) ||
         coalesce(' over ' || format_type(t.typbasetype, t.typtypmod), '') AS type
       FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_type t ON t.oid = a.atttypid AND t.typtype = 'd'
       WHERE a.attnum > 0 AND c.relkind IN ('r', 'p') AND (c.relnamespace > 16383 OR c.relnamespace = 'public'::regnamespace)
         AND a.attname = ANY($1)`,
      [names],
    )
    return rows.length === 0 ? text : `${text}\n    types ${rows.map(({ name, type }) => `${name} ${type}`).join(', ')}`
  }

  async #admin(sql: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.#stage.pgUrl })
    await client.connect()
    try {
      await client.query(sql)
    } finally {
      await client.end()
    }
  }

  async #send(sql: string, mustSucceed: boolean): Promise<boolean> {
    try {
      await this.#database.query(sql)
      this.#sql.push(`${sql};`)
      return true
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      this.#sql.push(`-- refused: ${message}\n-- ${sql};`)
      // Rows may hit constraints of random types; tables must be there.
      if (mustSucceed && !sql.startsWith('INSERT')) throw new Error(`setup: ${message}: ${sql}`, { cause: error })
      return false
    }
  }

  async #start(side: Side, options: Options): Promise<void> {
    const server = new URL(this.#stage.pgUrl)
    const config = {
      'connector.class': connectorClass,
      'tasks.max': '1',
      'database.hostname': server.hostname,
      'database.port': server.port,
      'database.user': decodeURIComponent(server.username),
      'database.password': decodeURIComponent(server.password) || 'none',
      'database.dbname': this.#name,
      'topic.prefix': side.prefix,
      'plugin.name': 'pgoutput',
      'slot.name': side.slot,
      'publication.name': `pub_${side.prefix}`,
      'poll.interval.ms': '20',
      'status.update.interval.ms': '500',
      'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
      'key.converter': 'org.apache.kafka.connect.json.JsonConverter',
      ...options,
    }
    const answer = (await side.rest('PUT', `/connectors/${side.prefix}/config`, config)) as {
      readonly message?: string
    }
    if (answer.message !== undefined) throw new Error(`${side.prefix}: ${answer.message}: ${JSON.stringify(options)}`)
  }

  #failures(): Promise<(string | null)[]> {
    return Promise.all(this.#sides.map((side) => side.failure()))
  }

  /** Waits for both; a slot is active while it is being made, too. @returns the sides that do not stream in time */
  async #untilStreaming(): Promise<readonly Side[]> {
    const deadline = performance.now() + startMs
    for (;;) {
      const failures = await this.#failures()
      const { rows } = await this.#database.query<{ name: string }>(
        `SELECT slot_name AS name FROM pg_replication_slots JOIN pg_stat_replication ON pid = active_pid
         WHERE state IN ('catchup', 'streaming') AND slot_name LIKE 'lv${this.#token}_'`,
      )
      // One that has failed does not keep the other from what it still has to send.
      const late = this.#sides.filter(({ slot }, i) => failures[i] === null && !rows.some(({ name }) => name === slot))
      if (late.length === 0 || performance.now() > deadline) return late
      await pause()
    }
  }

  async #run({ statements, isAtomic, changesCatalog }: ScriptStep): Promise<void> {
    if (changesCatalog) await this.#sync()
    if (isAtomic) await this.#send('BEGIN', false)
    let isDone = true
    for (const statement of statements) isDone = (await this.#send(statement, false)) && (isDone || !isAtomic)
    if (isAtomic) await this.#send(isDone ? 'COMMIT' : 'ROLLBACK', false)
    // What follows a change of the catalog is read with it.
    if (changesCatalog) await this.#sync()
  }

  /** Waits until both have sent a message of now or failed. */
  async #sync(): Promise<void> {
    this.#messages += 1
    await this.#database.query(`SELECT pg_logical_emit_message(true, 'sync', '')`)
    const deadline = performance.now() + syncMs
    while (!this.#sides.every((side) => this.#seen(side) >= this.#messages)) {
      await this.#collector.check()
      const failures = await this.#failures()
      const isDone = this.#sides.every((side, i) => failures[i] !== null || this.#seen(side) >= this.#messages)
      if (isDone || performance.now() > deadline) return
      await pause()
    }
  }

  #seen({ prefix }: Side): number {
    return this.#collector.records.filter(
      (record) =>
        record.topic === `${prefix}.message` && 'key' in record && Buffer.from(record.key ?? []).includes('"sync"'),
    ).length
  }

  async #clean(): Promise<void> {
    await Promise.all(
      this.#sides.map((side) => side.rest('DELETE', `/connectors/${side.prefix}`).catch(() => undefined)),
    )
    await this.#database.end().catch(() => undefined)
    await eventually(
      () =>
        this.#admin(
          `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE 'lv${this.#token}_'`,
        ),
      startMs,
    )
    await this.#admin(`DROP DATABASE IF EXISTS ${this.#name} WITH (FORCE)`)
    await this.#collector[Symbol.asyncDispose]()
  }
}
