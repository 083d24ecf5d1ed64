/** One random database with two connectors over it: Debezium's on Kafka Connect, and ours. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { type Random, seededRandom } from '../../../support/random.ts'
import { eventually, type WorkerUnderTest } from '../../../support/worker-process.ts'
import { TopicCollector } from '../collector.ts'
import { withTypes } from './column-types.ts'
import { compareOffsets } from './offsets.ts'
import { beatTable, beatTableSql, beatTopic, hasLists, type Options, randomOptions } from './options.ts'
import { byClock, compareSides, type KafkaRecord, recordTexts } from './records.ts'
import { changesWhileStopped, randomScript, type ScriptStep } from './script.ts'
import { exchangePlaces, lastError, Side, shortTrace, startMs } from './side.ts'
import { randomWay, SignalLine, type SignalWay } from './signal-line.ts'
import {
  chunkOptions,
  noticeOptions,
  noticeTopic,
  type SignalStep,
  signalRows,
  signalSteps,
  signalTableSql,
  signalTopic,
} from './signals.ts'
import { type RandomDatabase, randomDatabase } from './tables.ts'

export interface Stage {
  readonly java: WorkerUnderTest
  readonly sluice: WorkerUnderTest
  readonly brokers: readonly string[]
  readonly pgUrl: string
  /** Existing folder for what each side sent, a text per record; null writes none. */
  readonly dump: string | null
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

/** Longest wait for both to have read what was written. */
const syncMs = 60_000
/** Longest wait for the next notification of a snapshot that a signal asked for; of most that fail, nothing tells. */
const signalMs = 15_000
/** A read-only snapshot that has told nothing for so long waits for a change. */
const stalledMs = 2000
/** Longest wait until both have stored equal offsets, which they do every 500 ms. */
const offsetMs = 30_000
/** A connector that does not stream has sent its snapshot when nothing came for so long. */
const silenceMs = 3000
/** Both have sent the last message: what else they sent is under way for as long as something comes, and this much. */
const settleMs = 1200
/** Longest wait, instead, while one has sent less than the other. */
const lateMs = 30_000
const pause = (ms = 25) => new Promise((resolve) => setTimeout(resolve, ms))

export class Round {
  readonly #stage: Stage
  readonly #seed: number
  readonly #token = Math.random().toString(36).slice(2, 8)
  readonly #theirs: Side
  readonly #ours: Side
  readonly #collector: TopicCollector
  readonly #sql: string[] = []
  readonly #database: pg.Client
  /** A second session, which waits for the locks of the first one no longer than a moment. */
  readonly #other: pg.Client
  /** What rounds have had since their seeds were given out comes from numbers of its own. */
  readonly #more: Random
  /** And what they have had since those were. */
  readonly #later: Random
  readonly #lines: SignalLine[] = []
  readonly #offsetDifferences: string[] = []
  #messages = 0
  #signals = 0
  /** Snapshots that signals have asked for. */
  #asked = 0
  /** Snapshots that each side had told the end of before the first signal. */
  #initial: readonly number[] | null = null

  constructor(stage: Stage, seed: number) {
    this.#stage = stage
    this.#seed = seed
    this.#more = seededRandom(seed ^ 0x51_67_4e)
    this.#later = seededRandom(seed ^ 0x4b_61_66)
    this.#theirs = new Side(stage.java, this.#token, 'a')
    this.#ours = new Side(stage.sluice, this.#token, 'b')
    const connectionString = this.#url(this.#name)
    this.#database = new pg.Client({ connectionString })
    this.#other = new pg.Client({ connectionString, lock_timeout: 200 })
    const wanted = (topic: string) => topic.includes(`lv${this.#token}`)
    // Heartbeats never end; a round does when nothing else comes.
    const counted = (topic: string) => wanted(topic) && !byClock.test(topic)
    this.#collector = new TopicCollector(stage.brokers, { wanted, counted })
  }

  get #name(): string {
    return `live_${this.#token}`
  }

  get #way(): SignalWay | undefined {
    return this.#lines[0]?.way
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
    await this.#other.connect()
    const { rows } = await this.#database.query<{ name: string }>('SELECT name FROM pg_available_extensions')
    const database = randomDatabase(random, new Set(rows.map(({ name }) => name)))
    for (const statement of database.setup) await this.#send(statement, true)
    const chosen = Object.entries(randomOptions(random, database))
    const options = Object.fromEntries(chosen.filter(([name]) => !without.some((start) => name.startsWith(start))))
    if (options['heartbeat.action.query']?.includes(beatTable)) await this.#send(beatTableSql, true)
    if (!without.includes('signal') && this.#more.next() < 0.5) await this.#openLines()
    await Promise.all(this.#sides.map((side, i) => this.#start(side, { ...options, ...this.#lines[i]?.options })))
    if (options['snapshot.mode'] === 'initial_only') {
      await this.#untilSilent()
      if (!(await this.#hasFailed())) await this.#compareOffsets(options)
      return await this.#compare(options, null)
    }
    const late = await this.#untilStreaming()
    if (late.includes(this.#ours)) {
      const differences = [`  ours does not stream: ${lastError(this.#ours.worker)}`]
      return { seed: this.#seed, records: 0, theirFailure: null, differences, options, sql: this.#sql }
    }
    const stuck = late.length === 0 ? null : `does not stream: ${lastError(this.#theirs.worker)}`
    if (stuck === null) await this.#runAll(randomScript(random, database, !hasLists(options)), database, options)
    await this.#settle()
    return await this.#compare(options, stuck)
  }

  async #runAll(steps: Iterable<ScriptStep>, database: RandomDatabase, options: Options): Promise<void> {
    const more = this.#more
    // What a restart reads again is not the same: a snapshot; Debezium's does not get past a publication of its own; and
    // its slot passes its offset where idle stretches are confirmed, so that the offset counts as lost.
    const mayRestart =
      !['always', 'configuration_based'].includes(options['snapshot.mode'] ?? '') &&
      options['publication.autocreate.mode'] !== 'filtered' &&
      options['lsn.flush.mode'] !== 'connector_and_driver'
    const known = new Set(database.tables.map(({ schema, name }) => `${schema}.${name}`))
    const asked = { database, options, known, mayRestart }
    for (const step of steps) {
      if (await this.#hasFailed()) break
      await this.#run(step, options['post.processors'] !== undefined)
      if (more.next() < 0.15 && this.#lines.length > 0) {
        for (const signal of signalSteps(more, this.#later, asked)) await this.#signal(signal, options)
      }
      if (more.next() < 0.04 && mayRestart) await this.#restart(changesWhileStopped(more, database))
    }
    await this.#sync()
    if (!(await this.#hasFailed())) await this.#compareOffsets(options)
  }

  /** Until nothing comes any more; while one has sent less than the other, the machine may just be slow. */
  async #settle(): Promise<void> {
    const begun = performance.now()
    const isEven = async () => {
      const [theirs, ours] = this.#sides.map(({ prefix }) => this.#sent(prefix))
      return theirs === ours || (await this.#hasFailed())
    }
    const isQuiet = () => performance.now() - Math.max(begun, this.#collector.lastMs) >= settleMs
    while (!(isQuiet() && ((await isEven()) || performance.now() - begun > lateMs))) await pause()
    await this.#collector.check()
  }

  #sent(prefix: string): number {
    return this.#collector.records.filter(({ topic }) => topic.includes(prefix) && !byClock.test(topic)).length
  }

  async #hasFailed(): Promise<boolean> {
    return (await this.#failures()).some((trace) => trace !== null)
  }

  async #openLines(): Promise<void> {
    const way = randomWay(this.#more, this.#later)
    await this.#send(signalTableSql, true)
    const more = { ...chunkOptions(this.#more), ...noticeOptions(this.#later) }
    const { brokers } = this.#stage
    for (const { prefix } of this.#sides) this.#lines.push(await SignalLine.open({ way, prefix, brokers, more }))
  }

  /** Both take the same signals while nothing else happens, so that what they send can be compared. */
  async #signal({ signals, until, changes, definitions, restarts }: SignalStep, options: Options): Promise<void> {
    await this.#sync()
    this.#initial ??= this.#sides.map((side) => this.#noticesOf(side, 'COMPLETED'))
    if (until === 'PAUSED' || until === 'COMPLETED') {
      this.#asked += signals.filter(({ type }) => type === 'execute-snapshot').length
    }
    this.#signals += 1
    const before = this.#sides.map((side) => (until === null ? 0 : this.#noticesOf(side, until)))
    const token = `s${this.#signals}`
    if (restarts) await this.#restart([])
    else if (this.#way?.channel === 'source') await this.#send(signalRows(signals, token), true)
    else for (const line of this.#lines) await line.write(signals, token)
    const hasCompleted = (side: Side, i: number) =>
      this.#noticesOf(side, 'COMPLETED') - (this.#initial?.[i] ?? 0) >= this.#asked
    const isDone = () =>
      this.#sides.every((side, i) => {
        const isSeen = until !== 'COMPLETED' && until !== null && this.#noticesOf(side, until) > (before[i] ?? 0)
        return isSeen || hasCompleted(side, i)
      })
    if (until !== null) await this.#untilTold(isDone)
    await this.#sync()
    if (until === 'PAUSED' && !(await this.#hasFailed())) await this.#compareOffsets(options)
    for (const change of changes) await this.#send(change, false)
    if (changes.length > 0) await this.#sync()
    if (definitions.length > 0)
      await this.#run({ statements: definitions, isAtomic: false, changesCatalog: true }, false)
  }

  /** Waits for as long as notifications come, and a while longer. */
  async #untilTold(isDone: () => boolean): Promise<void> {
    const told = () => this.#sides.reduce((sum, side) => sum + this.#notices(side).length, 0)
    let [count, toldMs] = [told(), performance.now()]
    let changed = toldMs
    while (!isDone() && performance.now() - toldMs < signalMs && !(await this.#hasFailed())) {
      await this.#sync()
      if (told() > count) [count, toldMs] = [told(), performance.now()]
      // Where some transaction of the server, a neighbour's too, was older than the last change when a read-only chunk
      // was read, Debezium's ends with the next row. That of this table is of no topic that is compared.
      if (this.#way?.isReadOnly === true && performance.now() - changed >= stalledMs) {
        changed = performance.now()
        await this.#send('INSERT INTO public.asked VALUES (gen_random_uuid()::text)', true)
      }
    }
  }

  #notices({ prefix }: Side): readonly KafkaRecord[] {
    const topic = `${prefix}.${noticeTopic}`
    return this.#collector.records.filter(
      (record): record is KafkaRecord => record.topic === topic && 'value' in record,
    )
  }

  /** Notifications of this type or status. */
  #noticesOf(side: Side, type: string): number {
    return this.#notices(side).filter(({ value }) => Buffer.from(value ?? []).includes(`"${type}"`)).length
  }

  /** What both have stored, as soon as it is equal, or when it should have been. */
  async #compareOffsets(options: Options): Promise<void> {
    // Of an idle stream, ours stores how far the server was: what is then confirmed to the slot is covered by the offset.
    if (options['lsn.flush.mode'] === 'connector_and_driver') return
    const stands = options['heartbeat.interval.ms'] === undefined && this.#way?.isReadOnly !== true
    const samePlace = stands && options['snapshot.mode'] !== 'initial_only'
    const deadline = performance.now() + offsetMs
    for (;;) {
      const [theirs = null, ours = null] = await Promise.all(this.#sides.map((side) => side.offset()))
      const found = compareOffsets(theirs, ours, samePlace)
      if (found.length > 0 && performance.now() < deadline) {
        await pause(100)
        continue
      }
      if (found.length > 0) this.#offsetDifferences.push(`  stored offsets\n    ${found.join('\n    ')}`)
      return
    }
  }

  /** Both are stopped, miss some changes, and go on; now and then each where the other was. */
  async #restart(changes: readonly string[]): Promise<void> {
    await this.#sync()
    await Promise.all(this.#sides.map((side) => side.rest('PUT', `/connectors/${side.prefix}/stop`)))
    await eventually(async () => {
      const { rowCount } = await this.#database.query(
        `SELECT FROM pg_replication_slots WHERE slot_name LIKE 'lv${this.#token}_' AND active`,
      )
      if (rowCount !== 0) throw new Error('A slot is still in use')
    }, syncMs)
    this.#sql.push('-- both stopped')
    if (this.#later.next() < 0.5) {
      await exchangePlaces(this.#sides)
      this.#sql.push('-- each has the slot and the offset of the other')
    }
    for (const statement of changes) await this.#send(statement, false)
    await Promise.all(this.#sides.map((side) => side.rest('PUT', `/connectors/${side.prefix}/resume`)))
    await this.#untilStreaming()
    this.#sql.push('-- both go on')
    await this.#sync()
  }

  /** Waits until both run and nothing comes any more. */
  async #untilSilent(): Promise<void> {
    await Promise.all(this.#sides.map((side) => eventually(() => side.mustRun(), startMs)))
    const begun = performance.now()
    while (performance.now() - Math.max(begun, this.#collector.lastMs) < silenceMs) await pause()
    await this.#collector.check()
  }

  /**
   * Debezium reads the first chunk in the thread that takes signals from a file or a topic, and the stream's thread, as soon
   * as a snapshot runs, reads the next one at a commit or a heartbeat, over the same connection and with no lock between
   * them: now and then a statement fails, and with it the table is given up.
   */
  #race(): string | null {
    const [theirs, ours] = this.#sides.map((side) => this.#noticesOf(side, 'SQL_EXCEPTION')) as [number, number]
    if (this.#way === undefined || this.#way.channel === 'source' || theirs <= ours) return null
    return `a chunk was read by two threads: ${lastError(this.#theirs.worker)}`
  }

  /** @param stuck why Debezium's task does not come to stream though it lives */
  async #compare(options: Options, stuck: string | null): Promise<RoundOutcome> {
    const [theirTrace, ourFailure] = await this.#failures()
    const incomparable = stuck ?? this.#race()
    const theirFailure = theirTrace ?? incomparable
    const records = this.#collector.records.filter((record): record is KafkaRecord => 'value' in record)
    const [theirs, ours] = this.#sides.map(({ prefix }) => ({
      prefix,
      records: records.filter(
        ({ topic }) => topic.includes(prefix) && !signalTopic.test(topic) && !beatTopic.test(topic),
      ),
    })) as [{ prefix: string; records: KafkaRecord[] }, { prefix: string; records: KafkaRecord[] }]
    const { dump } = this.#stage
    if (dump !== null) {
      for (const [who, side] of [
        ['theirs', theirs],
        ['ours', ours],
      ] as const) {
        await writeFile(join(dump, `${this.#seed}-${who}.txt`), recordTexts(side).join('\n'))
      }
    }
    const isParallel = options['snapshot.max.threads'] !== undefined
    // Restarts repeat what they had sent: nothing to compare with.
    const compared =
      incomparable === null
        ? compareSides(theirs, ours, { isPrefix: theirFailure != null, isParallel })
        : { records: 0, differences: [] }
    const differences: string[] = incomparable === null ? [...this.#offsetDifferences] : []
    for (const text of compared.differences) differences.push(await withTypes(this.#database, text))
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

  async #admin(sql: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.#stage.pgUrl })
    await client.connect()
    try {
      await client.query(sql)
    } finally {
      await client.end()
    }
  }

  async #send(sql: string, mustSucceed: boolean, session = this.#database): Promise<boolean> {
    try {
      await session.query(sql)
      this.#sql.push(session === this.#database ? `${sql};` : `/* beside */ ${sql};`)
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
    // Whoever sets this has made the publication.
    if (options['publication.autocreate.mode'] === 'disabled') {
      await this.#send(`CREATE PUBLICATION pub_${side.prefix} FOR ALL TABLES`, true)
    }
    await side.start(new URL(this.#url(this.#name)), options)
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
      if (late.length === 0 || performance.now() > deadline || this.#isStuck(late)) return late
      await pause()
    }
  }

  /** A restart of Debezium's fails on its own filtered publication, again and again. */
  #isStuck(late: readonly Side[]): boolean {
    const failure = `Unable to update filtered publication pub_${this.#theirs.prefix} `
    return late.length === 1 && late[0] === this.#theirs && this.#stage.java.output.includes(failure)
  }

  /** @param isRead rows are read again when their events are: nothing else may happen until then */
  async #run({ statements, isAtomic, beside = [], changesCatalog }: ScriptStep, isRead: boolean): Promise<void> {
    if (changesCatalog) await this.#sync()
    if (isAtomic) await this.#send('BEGIN', false)
    let isDone = true
    const isOpen = isAtomic || statements.includes('BEGIN')
    for (const statement of statements) {
      isDone = (await this.#send(statement, false)) && (isDone || !isAtomic)
      if (isRead && !isOpen) await this.#sync()
    }
    for (const statement of beside) await this.#send(statement, false, this.#other)
    if (isAtomic) await this.#send(isDone ? 'COMMIT' : 'ROLLBACK', false)
    // What follows a change of the catalog is read with it.
    if (changesCatalog || isRead) await this.#sync()
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
    await this.#other.end().catch(() => undefined)
    await eventually(
      () =>
        this.#admin(
          `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE 'lv${this.#token}_'`,
        ),
      startMs,
    )
    // Origins are of the whole server.
    await this.#admin(
      `SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname = '${this.#name}'`,
    )
    await this.#admin(`DROP DATABASE IF EXISTS ${this.#name} WITH (FORCE)`)
    await this.#collector[Symbol.asyncDispose]()
    for (const line of this.#lines) await line[Symbol.asyncDispose]()
  }
}
