import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { suite, test } from 'node:test'
import pg from 'pg'
import { LogicalReplicationService, PgoutputPlugin } from 'pg-logical-replication'
import { plugin } from '../../connectors/postgres-cdc/index.ts'
import { kindOf } from '../../worker/api/errors.ts'
import type { SourceOffset, SourceRecord } from '../../worker/api/record.ts'
import type { SourceTaskContext } from '../../worker/api/task.ts'
import { parseConfig } from '../../worker/config/config-def.ts'
import { systemClock } from '../../worker/util/clock.ts'
import { requireService } from '../support/services.ts'

const postgres = requireService('postgres')
const deadlineMs = 30_000

/** A database of its own with a task on it; everything is removed at the end. */
class Fixture implements AsyncDisposable {
  readonly name = `it_${randomBytes(5).toString('hex')}`
  readonly slot = `${this.name}_slot`
  readonly #server = new URL(postgres.settings.url)
  #client = new pg.Client()
  #stop: (() => Promise<void>)[] = []

  static async open(setup: string): Promise<Fixture> {
    const fixture = new Fixture()
    await fixture.#admin(`CREATE DATABASE ${fixture.name}`)
    fixture.#client = new pg.Client({ connectionString: fixture.url })
    await fixture.#client.connect()
    await fixture.sql(setup)
    return fixture
  }

  get url(): string {
    const url = new URL(this.#server)
    url.pathname = `/${this.name}`
    return url.toString()
  }

  async sql(text: string): Promise<readonly Record<string, unknown>[]> {
    return (await this.#client.query(text)).rows as Record<string, unknown>[]
  }

  async confirmed(): Promise<string> {
    const [row] = await this.sql(
      `SELECT confirmed_flush_lsn::text AS lsn FROM pg_replication_slots WHERE slot_name = '${this.slot}'`,
    )
    return String(row?.['lsn'])
  }

  /** Starts a task from an offset. */
  async task(offset: SourceOffset | null, extra: Readonly<Record<string, string>> = {}) {
    const raw: Record<string, string> = {
      'database.hostname': this.#server.hostname,
      'database.port': this.#server.port,
      'database.user': decodeURIComponent(this.#server.username),
      'database.password': decodeURIComponent(this.#server.password),
      'database.dbname': this.name,
      'topic.prefix': this.name,
      'slot.name': this.slot,
      'publication.name': `${this.name}_pub`,
      'retriable.restart.connector.wait.ms': '50',
      'poll.interval.ms': '50',
      ...extra,
    }
    const silent = () => undefined
    const context: SourceTaskContext = {
      connector: this.name,
      task: 0,
      logger: { trace: silent, debug: silent, info: silent, warn: silent, error: silent },
      metrics: {
        counter: () => ({ add: silent }),
        gauge: () => ({ set: silent }),
        histogram: () => ({ observe: silent }),
      },
      clock: systemClock,
      producer: { send: async () => undefined, ensureTopic: async () => undefined },
      rawConfig: raw,
      offsets: { read: async () => [offset] },
      transaction: null,
    }
    const task = await plugin.createTask()
    await task.start(parseConfig(plugin.config, raw), context)
    this.#stop.push(() => task.stop())
    return task
  }

  async #admin(text: string): Promise<void> {
    const client = new pg.Client({ connectionString: postgres.settings.url })
    await client.connect()
    try {
      await client.query(text)
    } finally {
      await client.end()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.#stop) await stop().catch(() => undefined)
    await until(async () => {
      await this.sql(
        `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '${this.name}' AND NOT active`,
      )
      return (await this.sql(`SELECT 1 FROM pg_replication_slots WHERE database = '${this.name}'`)).length === 0
    })
    await this.#client.end()
    await this.#admin(`DROP DATABASE ${this.name} WITH (FORCE)`)
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + deadlineMs
  while (!(await condition())) {
    assert.ok(performance.now() < end, 'the condition did not come true in time')
    await systemClock.sleep(20)
  }
}

type Task = Awaited<ReturnType<Fixture['task']>>

/** Polls until there are `count` records; a retriable error is polled again, as the framework does. */
async function take(task: Task, count: number): Promise<readonly SourceRecord[]> {
  const records: SourceRecord[] = []
  const signal = AbortSignal.timeout(deadlineMs)
  while (records.length < count) {
    assert.ok(!signal.aborted, `only ${records.length} of ${count} records came in time`)
    try {
      records.push(...(await task.poll(signal)))
    } catch (error) {
      if (kindOf(error) !== 'retriable') throw error
      await systemClock.sleep(50)
    }
  }
  return records
}

const rowOf = (record: SourceRecord) =>
  (record.value as { after: Record<string, unknown> | null } | null)?.after ?? null
const committed = (record: SourceRecord) => [{ partition: record.sourcePartition, offset: record.sourceOffset }]

suite('postgres-cdc on a real server', { skip: postgres.skip }, () => {
  test('only commit() confirms positions to the slot (I1)', async () => {
    await using fixture = await Fixture.open('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)')
    const task = await fixture.task(null, { 'status.update.interval.ms': '50' })
    await take(task, 1)
    for (const id of [2, 3, 4]) await fixture.sql(`INSERT INTO t VALUES (${id})`)
    const records = await take(task, 3)
    const before = await fixture.confirmed()
    await systemClock.sleep(300)
    await task.commit?.([])
    assert.equal(await fixture.confirmed(), before)
    const [, , last] = records
    assert.ok(last !== undefined)
    await task.commit?.(committed(last))
    await until(async () => (await fixture.confirmed()) !== before)
  })

  test('reading held back for longer than wal_sender_timeout costs neither connection nor records', async () => {
    await using fixture = await Fixture.open('CREATE TABLE t (id int PRIMARY KEY, pad text)')
    await fixture.sql(`ALTER DATABASE ${fixture.name} SET wal_sender_timeout = '1500ms'`)
    const limits = { 'max.batch.size': '10', 'max.queue.size': '20', 'max.queue.size.in.bytes': '4096' }
    const task = await fixture.task(null, { ...limits, 'snapshot.mode': 'no_data' })
    await fixture.sql(`INSERT INTO t SELECT g, repeat('x', 2000) FROM generate_series(1, 5000) g`)
    const first = await take(task, 10)
    const walsender = `SELECT active_pid FROM pg_replication_slots WHERE slot_name = '${fixture.slot}'`
    const pid = await fixture.sql(walsender)
    await systemClock.sleep(4000)
    assert.deepEqual(await fixture.sql(walsender), pid)
    const ids = [...first, ...(await take(task, 5000 - first.length))].map((record) => rowOf(record)?.['id'])
    assert.deepEqual(
      ids,
      Array.from({ length: 5000 }, (_, i) => i + 1),
    )
  })

  test('a walsender that the server ends is replaced; nothing is lost or doubled', async () => {
    await using fixture = await Fixture.open('CREATE TABLE t (id int PRIMARY KEY)')
    const task = await fixture.task(null, { 'snapshot.mode': 'no_data' })
    const ids: unknown[] = []
    for (let round = 0; round < 3; round++) {
      await fixture.sql(`INSERT INTO t SELECT g FROM generate_series(${round * 100}, ${round * 100 + 99}) g`)
      ids.push(...(await take(task, 100)).map((record) => rowOf(record)?.['id']))
      await fixture.sql(
        `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '${fixture.slot}'`,
      )
    }
    assert.deepEqual(
      ids,
      Array.from({ length: 300 }, (_, i) => i),
    )
  })

  test('the same stream through pg-logical-replication has the same rows', async () => {
    await using fixture = await Fixture.open('CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,2))')
    const task = await fixture.task(null, { 'snapshot.mode': 'no_data' })
    const peerSlot = `${fixture.name}_peer`
    await fixture.sql(`SELECT pg_create_logical_replication_slot('${peerSlot}', 'pgoutput')`)
    await fixture.sql(
      `INSERT INTO t SELECT g, CASE WHEN g % 3 = 0 THEN NULL ELSE 'ž"' || g END, g / 4.0 FROM generate_series(1, 200) g`,
    )
    const peer = new LogicalReplicationService(
      { connectionString: fixture.url },
      { acknowledge: { auto: false, timeoutSeconds: 0 } },
    )
    const theirs: unknown[] = []
    peer.on('data', (_lsn: string, message: { tag: string; new?: Record<string, unknown> }) => {
      if (message.tag === 'insert') theirs.push([message.new?.['id'], message.new?.['v'], message.new?.['n']])
    })
    const subscribed = peer.subscribe(
      new PgoutputPlugin({ protoVersion: 1, publicationNames: [`${fixture.name}_pub`] }),
      peerSlot,
    )
    subscribed.catch(() => undefined)
    const ours = (await take(task, 200)).map((record) => {
      const row = rowOf(record)
      return [row?.['id'], row?.['v'], String(row?.['n'])]
    })
    await until(async () => theirs.length >= 200)
    await peer.stop()
    assert.deepEqual(ours, theirs)
  })
})
