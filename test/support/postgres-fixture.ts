import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { plugin } from '../../connectors/postgres-cdc/index.ts'
import { kindOf } from '../../worker/api/errors.ts'
import type { SourceOffset, SourceRecord } from '../../worker/api/record.ts'
import { parseConfig } from '../../worker/config/config-def.ts'
import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import { KafkaTopicReader } from '../../worker/runtime/topic-reader.ts'
import { systemClock } from '../../worker/util/clock.ts'
import { sourceTaskContext, type TestSourceContext } from './contexts.ts'

const deadlineMs = 30_000

/** Waits for a condition. @throws AssertionError naming `what` when it does not come true in time */
export async function until(condition: () => Promise<boolean> | boolean, what = 'the condition'): Promise<void> {
  const end = performance.now() + deadlineMs
  while (!(await condition())) {
    assert.ok(performance.now() < end, `${what} did not come true in time`)
    await systemClock.sleep(20)
  }
}

type Task = Awaited<ReturnType<typeof plugin.createTask>>

/** A task of the connector with what it told its context. */
export class CdcTask {
  readonly context: TestSourceContext
  readonly #task: Task
  /** The last offset that `poll` has returned, else the one it was started from. */
  offset: SourceOffset | null

  constructor(task: Task, context: TestSourceContext, offset: SourceOffset | null) {
    this.#task = task
    this.context = context
    this.offset = offset
  }

  /** One `poll`; a retriable error is no record, as for the framework. */
  async poll(signal: AbortSignal = AbortSignal.timeout(deadlineMs)): Promise<readonly SourceRecord[]> {
    try {
      const records = await this.#task.poll(signal)
      // Views refer to storage that the next poll uses again; tests keep records.
      for (const record of records) void [record.key, record.value]
      this.offset = records.at(-1)?.sourceOffset ?? this.offset
      return records
    } catch (error) {
      if (kindOf(error) !== 'retriable') throw error
      await systemClock.sleep(50)
      return []
    }
  }

  /** Polls until `enough`. @throws AssertionError when that takes too long */
  async takeUntil(enough: (records: readonly SourceRecord[]) => boolean): Promise<readonly SourceRecord[]> {
    const records: SourceRecord[] = []
    const signal = AbortSignal.timeout(deadlineMs)
    while (!enough(records)) {
      const came = records.slice(-5).map((record) => `${opOf(record)} to ${record.topic}`)
      assert.ok(!signal.aborted, `only ${records.length} records came in time, the last are ${came.join(', ')}`)
      records.push(...(await this.poll(signal)))
    }
    return records
  }

  /** Polls until there are `count` records. */
  async take(count: number): Promise<readonly SourceRecord[]> {
    return await this.takeUntil((records) => records.length >= count)
  }

  /** Polls for that long, and returns what came. */
  async takeFor(ms: number): Promise<readonly SourceRecord[]> {
    const end = performance.now() + ms
    const records: SourceRecord[] = []
    while (performance.now() < end)
      records.push(...(await this.poll(AbortSignal.timeout(Math.ceil(end - performance.now())))))
    return records
  }

  /** As the framework does once these offsets are in the offset topic. */
  async commit(...records: readonly SourceRecord[]): Promise<void> {
    await this.#task.commit?.(
      records.map((record) => ({ partition: record.sourcePartition, offset: record.sourceOffset })),
    )
  }

  /** As the framework does with offsets that the task has moved without a record. */
  async commitAdvanced(): Promise<void> {
    await this.#task.commit?.(this.context.advanced.slice(-1))
  }

  async stop(): Promise<void> {
    await this.#task.stop()
  }
}

/** A database of a test's own, and tasks on it; everything is removed at the end. */
export class PostgresFixture implements AsyncDisposable {
  readonly name = `it_${randomBytes(5).toString('hex')}`
  readonly slot = `${this.name}_slot`
  readonly publication = `${this.name}_pub`
  readonly #server: URL
  #client = new pg.Client()
  readonly #tasks: CdcTask[] = []

  private constructor(serverUrl: string) {
    this.#server = new URL(serverUrl)
  }

  /** @param options.create what follows CREATE DATABASE <name> */
  static async open(
    serverUrl: string,
    setup: string,
    options: { readonly create?: string } = {},
  ): Promise<PostgresFixture> {
    const fixture = new PostgresFixture(serverUrl)
    await fixture.#admin(`CREATE DATABASE ${fixture.name} ${options.create ?? ''}`)
    fixture.#client = await fixture.session()
    await fixture.sql(setup)
    return fixture
  }

  get url(): string {
    const url = new URL(this.#server)
    url.pathname = `/${this.name}`
    return url.toString()
  }

  /** A session of its own, which the caller ends. */
  async session(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.url })
    client.on('error', () => undefined)
    await client.connect()
    return client
  }

  /** A new session for `sql`, after the server has gone away. */
  async reconnect(): Promise<void> {
    await this.#client.end().catch(() => undefined)
    this.#client = await this.session()
  }

  async sql(text: string): Promise<readonly Record<string, unknown>[]> {
    return (await this.#client.query(text)).rows as Record<string, unknown>[]
  }

  /** A column of the slot's row in `pg_replication_slots`, as text; null without a slot. */
  /** Null also while there is no slot. */
  async slotColumn(column: string): Promise<string | null> {
    const [row] = await this.sql(
      `SELECT ${column}::text AS value FROM pg_replication_slots WHERE slot_name = '${this.slot}'`,
    )
    const value = row?.['value'] ?? null
    return value === null ? null : String(value)
  }

  async confirmed(): Promise<string | null> {
    return await this.slotColumn('confirmed_flush_lsn')
  }

  /** Options of a connector on this database. */
  options(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
    return {
      'database.hostname': this.#server.hostname,
      'database.port': this.#server.port,
      'database.user': decodeURIComponent(this.#server.username),
      'database.password': decodeURIComponent(this.#server.password),
      'database.dbname': this.name,
      'topic.prefix': this.name,
      'slot.name': this.slot,
      'publication.name': this.publication,
      'retriable.restart.connector.wait.ms': '50',
      'slot.retry.delay.ms': '100',
      'poll.interval.ms': '50',
      ...extra,
    }
  }

  /** Starts a task from an offset. */
  async task(
    offset: SourceOffset | null,
    extra: Readonly<Record<string, string>> = {},
    worker: Partial<Pick<TestSourceContext, 'pluginPath'>> = {},
  ): Promise<CdcTask> {
    const raw = this.options(extra)
    const kafka = createKafkaClientFactory()
    const context: TestSourceContext = {
      ...sourceTaskContext({ rawConfig: raw }),
      ...worker,
      connector: this.name,
      offsets: { read: async () => [offset] },
      readTopic: (options) => new KafkaTopicReader(kafka, options),
    }
    const task = await plugin.createTask()
    const running = new CdcTask(task, context, offset)
    this.#tasks.push(running)
    await task.start(parseConfig(plugin.config, raw), context)
    return running
  }

  async #admin(text: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.#server.toString() })
    await client.connect()
    try {
      await client.query(text)
    } finally {
      await client.end()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const task of this.#tasks) await task.stop().catch(() => undefined)
    await until(async () => {
      await this.sql(
        `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '${this.name}' AND NOT active`,
      )
      return (await this.sql(`SELECT 1 FROM pg_replication_slots WHERE database = '${this.name}'`)).length === 0
    }, 'the end of all slots')
    await this.#client.end()
    await this.#admin(`DROP DATABASE ${this.name} WITH (FORCE)`)
  }
}

/** A record's value with its views read out; null for a tombstone. */
export function valueOf(record: SourceRecord): Record<string, unknown> | null {
  return record.value as Record<string, unknown> | null
}

/** The row after the change; null for a delete, a tombstone, or what is no change. */
export function rowOf(record: SourceRecord): Record<string, unknown> | null {
  return (valueOf(record)?.['after'] ?? null) as Record<string, unknown> | null
}

export function opOf(record: SourceRecord): unknown {
  return valueOf(record)?.['op']
}
