import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import pg from 'pg'
import type { SourceRecord } from '../../worker/api/record.ts'
import { PostgresFixture, rowOf, until } from '../support/postgres-fixture.ts'
import { PrivatePostgres, type PrivatePostgresOptions } from '../support/private-postgres.ts'
import { requireService } from '../support/services.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

const postgres = requireService('postgres')
const table = 'CREATE TABLE t (id int PRIMARY KEY)'
const noData = { 'snapshot.mode': 'no_data' }
const ids = (records: readonly SourceRecord[]) => records.map((record) => rowOf(record)?.['id'])

/** A primary and its standby behind one address, as a proxy or a name of the network gives it. */
class Pair implements AsyncDisposable {
  readonly #resources: AsyncDisposableStack
  readonly primary: PrivatePostgres
  readonly standby: PrivatePostgres
  readonly #proxy: TcpProxy
  #current: PrivatePostgres

  private constructor(parts: {
    readonly resources: AsyncDisposableStack
    readonly primary: PrivatePostgres
    readonly standby: PrivatePostgres
    readonly proxy: (port: () => number) => TcpProxy
  }) {
    this.#resources = parts.resources
    this.primary = parts.primary
    this.standby = parts.standby
    this.#current = parts.primary
    this.#proxy = parts.proxy(() => this.#current.port)
  }

  static async open(
    edition: PrivatePostgresOptions['edition'],
    settings: { readonly primary?: Record<string, string>; readonly standby?: Record<string, string> } = {},
  ): Promise<Pair> {
    await using resources = new AsyncDisposableStack()
    const options = { settings: settings.primary ?? {}, ...(edition !== undefined && { edition }) }
    const primary = resources.use(await PrivatePostgres.open(options))
    const standby = resources.use(await primary.standby(settings.standby))
    let port = () => primary.port
    const target = {
      host: '127.0.0.1',
      get port() {
        return port()
      },
    }
    const proxy = resources.use(await TcpProxy.open(target))
    return new Pair({
      resources: resources.move(),
      primary,
      standby,
      proxy: (current) => {
        port = current
        return proxy
      },
    })
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.#proxy.port}/postgres`
  }

  /** Until the standby has what the primary has written so far. */
  async caughtUp(): Promise<void> {
    const at = await ask(this.primary, 'SELECT pg_current_wal_lsn()::text AS value')
    await until(async () => (await ask(this.standby, `SELECT pg_last_wal_replay_lsn() >= '${at}' AS value`)) === 'true')
  }

  /** The primary is gone; the standby takes its place. */
  async failOver(): Promise<void> {
    await this.primary.stop('SIGQUIT')
    await this.standby.promote()
    this.#current = this.standby
    this.#proxy.reset()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}

async function ask(server: PrivatePostgres, sql: string, database = 'postgres'): Promise<string | null> {
  const url = new URL(server.url)
  url.pathname = `/${database}`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  try {
    const [row] = (await client.query(sql)).rows as { value: unknown }[]
    return row?.value == null ? null : String(row.value)
  } finally {
    await client.end()
  }
}

suite('failover to a standby without the slot', { skip: postgres.skip }, () => {
  test('the stream halts with its position and a remedy; when_needed takes a new snapshot', async () => {
    await using pair = await Pair.open(undefined)
    await using fixture = await PostgresFixture.open(pair.url, table)
    const task = await fixture.task(null, noData)
    await fixture.sql('INSERT INTO t SELECT generate_series(1, 5)')
    assert.deepEqual(ids(await task.take(5)), [1, 2, 3, 4, 5])
    await pair.caughtUp()
    await pair.failOver()
    await fixture.reconnect()
    await fixture.sql('INSERT INTO t VALUES (6)')
    const halted = { code: 'CONNECT_POSTGRES_POSITION', message: /the replication slot does not exist.*when_needed/s }
    await assert.rejects(task.take(1), halted)
    // A restart of the worker finds the same.
    await assert.rejects(fixture.task(task.offset, noData), halted)
    const anew = await fixture.task(task.offset, { 'snapshot.mode': 'when_needed' })
    assert.deepEqual(ids(await anew.take(6)), [1, 2, 3, 4, 5, 6])
  })

  test('a slot made by hand under its name does not hide the gap', async () => {
    await using pair = await Pair.open(undefined)
    await using fixture = await PostgresFixture.open(pair.url, table)
    const task = await fixture.task(null, noData)
    await fixture.sql('INSERT INTO t VALUES (1)')
    await task.take(1)
    await pair.caughtUp()
    await pair.failOver()
    await fixture.reconnect()
    await fixture.sql('INSERT INTO t VALUES (2)')
    await fixture.sql(`SELECT pg_create_logical_replication_slot('${fixture.slot}', 'pgoutput')`)
    await assert.rejects(task.take(1), { code: 'CONNECT_POSTGRES_POSITION' })
  })

  for (const [name, edition] of [
    ["the system's PostgreSQL", undefined],
    ['PostgreSQL 18', 'npm'],
  ] as const) {
    test(`a standby that was behind: positions that the former server had used halt, ${name}`, async () => {
      await using pair = await Pair.open(edition)
      await using fixture = await PostgresFixture.open(pair.url, table)
      const task = await fixture.task(null, noData)
      await fixture.sql('INSERT INTO t VALUES (1)')
      await task.take(1)
      await pair.caughtUp()
      await pair.standby.stop('SIGQUIT')
      await fixture.sql('INSERT INTO t VALUES (2), (3)')
      await task.take(2)
      await pair.primary.stop('SIGQUIT')
      await pair.standby.start()
      await pair.failOver()
      await fixture.reconnect()
      // The new server writes past the position, and has a slot from before it: neither tells that anything is missing.
      await fixture.sql(`SELECT pg_create_logical_replication_slot('${fixture.slot}', 'pgoutput')`)
      await fixture.sql('INSERT INTO t SELECT generate_series(100, 20000)')
      const halted = { code: 'CONNECT_POSTGRES_POSITION', message: /was promoted: its timeline 2 left timeline 1 at/ }
      await assert.rejects(task.take(1), halted)
    })
  }
})

suite('failover slots, PostgreSQL 18', { skip: postgres.skip }, () => {
  let pair: Pair
  before(async () => {
    pair = await Pair.open('npm', {
      primary: { synchronized_standby_slots: 'standby' },
      standby: { sync_replication_slots: 'on', synchronized_standby_slots: '' },
    })
  })
  after(async () => {
    await pair?.[Symbol.asyncDispose]()
  })

  test('with slot.failover=true the promoted standby has the slot: nothing is lost or doubled (statement P82)', async () => {
    await using fixture = await PostgresFixture.open(pair.url, table)
    const task = await fixture.task(null, { ...noData, 'slot.failover': 'true', 'heartbeat.interval.ms': '100' })
    assert.equal(await fixture.slotColumn('failover'), 'true')
    const rows = async (count: number) =>
      (await task.takeUntil((records) => records.filter((r) => rowOf(r) !== null).length >= count)).filter(
        (record) => rowOf(record) !== null,
      )
    await fixture.sql('INSERT INTO t SELECT generate_series(1, 5)')
    const first = await rows(5)
    await task.commit(...first.slice(-1))
    const isReady = `SELECT synced AND NOT temporary AS value FROM pg_replication_slots WHERE slot_name = '${fixture.slot}'`
    // The slot is taken over by the standby as it moves; a heartbeat lets it.
    await until(async () => {
      await task.commit(...(await task.takeFor(150)).slice(-1))
      return (await ask(pair.standby, isReady)) === 'true'
    }, 'the slot of the standby')
    // In the log when the server dies, on its way to Kafka or not.
    await fixture.sql('INSERT INTO t VALUES (6), (7), (8)')
    const second = await rows(1)
    await pair.caughtUp()
    await pair.failOver()
    await fixture.reconnect()
    await fixture.sql('INSERT INTO t VALUES (9)')
    const rest = await rows(9 - first.length - second.length)
    assert.deepEqual(ids([...first, ...second, ...rest]), [1, 2, 3, 4, 5, 6, 7, 8, 9])
    const file = await ask(pair.standby, 'SELECT pg_walfile_name(pg_current_wal_lsn()) AS value')
    assert.match(file ?? '', /^00000002/, 'it is another timeline')
  })
})

test('slot.failover before PostgreSQL 17 is a warning, and the slot works', { skip: postgres.skip }, async (t) => {
  await using fixture = await PostgresFixture.open(postgres.settings.url, table)
  const [row] = await fixture.sql("SELECT current_setting('server_version_num') AS version")
  if (Number(row?.['version']) >= 170_000) return t.skip('this server has failover slots')
  const task = await fixture.task(null, { ...noData, 'slot.failover': 'true' })
  await fixture.sql('INSERT INTO t VALUES (1)')
  assert.deepEqual(ids(await task.take(1)), [1])
  assert.ok(task.context.logger.lines.some(({ message }) => message.includes('slot.failover needs PostgreSQL 17')))
})

test('a slot that was idle for too long halts by its reason', { skip: postgres.skip }, async () => {
  await using server = await PrivatePostgres.open({
    edition: 'npm',
    settings: { idle_replication_slot_timeout: '1s' },
  })
  await using fixture = await PostgresFixture.open(server.url, table)
  const task = await fixture.task(null, noData)
  await task.stop()
  await until(async () => {
    await fixture.sql('CHECKPOINT')
    return (await fixture.slotColumn('wal_status')) === 'lost'
  }, 'the end of the slot')
  await assert.rejects(fixture.task(task.offset, noData), {
    code: 'CONNECT_POSTGRES_SLOT',
    message: /\(idle_timeout\).*raise idle_replication_slot_timeout/,
  })
})
