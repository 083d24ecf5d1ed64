import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { SourceRecord } from '../../worker/api/record.ts'
import { systemClock } from '../../worker/util/clock.ts'
import { opOf, PostgresFixture, rowOf, until } from '../support/postgres-fixture.ts'
import { PrivatePostgres } from '../support/private-postgres.ts'
import { seededRandom } from '../support/random.ts'
import { testSeed } from '../support/seed.ts'
import { requireService } from '../support/services.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

/** Where the stack has a server, this host has its programs. */
const postgres = requireService('postgres')
const table = 'CREATE TABLE t (id int PRIMARY KEY, v text)'
const noData = { 'snapshot.mode': 'no_data' }
const ids = (records: readonly SourceRecord[]) => records.map((record) => rowOf(record)?.['id'])
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

/** Connections that are tried again soon. */
const patient = { ...noData, 'retriable.restart.connector.wait.ms': '20' }

suite('failures of the server', { skip: postgres.skip }, () => {
  let server: PrivatePostgres
  before(async () => {
    const settings = {
      max_slot_wal_keep_size: '32MB',
      max_replication_slots: '3',
      max_wal_senders: '6',
      wal_keep_size: '0',
    }
    server = await PrivatePostgres.open({ settings: { ...settings, max_wal_size: '64MB', min_wal_size: '32MB' } })
  })
  after(async () => {
    await server?.[Symbol.asyncDispose]()
  })

  for (const [signal, name] of [
    ['SIGINT', 'a fast'],
    ['SIGQUIT', 'an immediate'],
  ] as const) {
    test(`${name} shutdown and a restart lose and double nothing (statement P83)`, async () => {
      await using fixture = await PostgresFixture.open(server.url, table)
      const task = await fixture.task(null, patient)
      await fixture.sql('INSERT INTO t SELECT generate_series(1, 500)')
      const taken = [...(await task.take(100))]
      await server.stop(signal)
      const meanwhile = task.takeUntil((records) => records.length + taken.length >= 800)
      await systemClock.sleep(200)
      await server.start()
      await fixture.reconnect()
      await fixture.sql('INSERT INTO t SELECT generate_series(501, 800)')
      assert.deepEqual(ids([...taken, ...(await meanwhile)]), numbers(1, 800))
    })
  }

  test('a fast shutdown does not wait for what an idle stream has not confirmed', { timeout: 30_000 }, async () => {
    await using fixture = await PostgresFixture.open(server.url, `${table}; CREATE TABLE other (id int)`)
    const task = await fixture.task(null, { ...patient, 'table.include.list': 'public.t' })
    await fixture.sql('INSERT INTO t VALUES (1)')
    const [first] = await task.take(1)
    await task.commit(first ?? assert.fail('no record'))
    // No record comes of it, so nothing is stored, and nothing is confirmed; the task is not even asked for records.
    await fixture.sql('INSERT INTO other SELECT generate_series(1, 1000)')
    await server.stop('SIGINT')
    await server.start()
    await fixture.reconnect()
    await fixture.sql('INSERT INTO t VALUES (2)')
    assert.deepEqual(ids(await task.take(1)), [2])
  })

  test('connections cut at random lose and double nothing', async () => {
    await using fixture = await PostgresFixture.open(server.url, table)
    await using proxy = await TcpProxy.open({ host: '127.0.0.1', port: server.port })
    const options = { ...patient, 'database.port': String(proxy.port), 'max.batch.size': '50', 'max.queue.size': '100' }
    const task = await fixture.task(null, options)
    const random = seededRandom(testSeed)
    const filling = (async () => {
      for (let from = 1; from < 4000; from += 400) {
        await fixture.sql(
          `INSERT INTO t SELECT g, repeat('x', g % 3000) FROM generate_series(${from}, ${from + 399}) g`,
        )
      }
    })()
    const records: SourceRecord[] = []
    while (records.length < 4000) {
      records.push(...(await task.take(1)))
      // At any byte of what follows; by progress and not by time alone, so that a slow machine gets on, too.
      if (random.next() < 0.4) setTimeout(() => proxy.reset(), random.integer(0, 15))
    }
    await filling
    assert.deepEqual(ids(records), numbers(1, 4000), `seed ${random.seed}`)
  })

  test('a crash before any record has an offset: what is deleted meanwhile is told (I3, I9)', async () => {
    await using fixture = await PostgresFixture.open(server.url, `${table}; INSERT INTO t VALUES (1), (2), (3)`)
    const task = await fixture.task(null)
    assert.deepEqual(ids(await task.take(3)), [1, 2, 3])
    await task.stop()
    const [first] = task.context.persisted
    await fixture.sql('DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (4)')
    const next = await fixture.task(first?.offset ?? null)
    const records = (await next.take(6)).filter((record) => record.value !== null)
    assert.deepEqual(
      records.map((record) => [opOf(record), (record.key as { id: number }).id]),
      [
        ['d', 1],
        ['c', 4],
        ['r', 2],
        ['r', 3],
        ['r', 4],
      ],
    )
  })

  test('a stream has an offset from its start on: a slot that is gone afterwards halts', async () => {
    await using fixture = await PostgresFixture.open(server.url, table)
    const task = await fixture.task(null, noData)
    await task.stop()
    const [first] = task.context.persisted
    await fixture.sql(`SELECT pg_drop_replication_slot('${fixture.slot}'); INSERT INTO t VALUES (1)`)
    await assert.rejects(fixture.task(first?.offset ?? null, noData), { code: 'CONNECT_POSTGRES_POSITION' })
  })

  test('a dropped publication halts with its name and a remedy', async () => {
    await using fixture = await PostgresFixture.open(server.url, table)
    const task = await fixture.task(null, patient)
    await fixture.sql(`DROP PUBLICATION ${fixture.publication}; INSERT INTO t VALUES (1)`)
    await assert.rejects(task.take(1), (error: { code: string; message: string }) => {
      assert.equal(error.code, 'CONNECT_POSTGRES_PUBLICATION')
      assert.match(error.message, new RegExp(fixture.publication))
      return true
    })
  })

  test('a dropped table delivers its last changes, a renamed one goes on under its new name (statements P53, P54)', async () => {
    await using fixture = await PostgresFixture.open(server.url, `${table}; CREATE TABLE gone (id int PRIMARY KEY)`)
    const task = await fixture.task(null, patient)
    await fixture.sql('INSERT INTO t VALUES (1); INSERT INTO gone VALUES (2); DROP TABLE gone')
    await fixture.sql('ALTER TABLE t RENAME TO renamed; INSERT INTO renamed VALUES (3)')
    const topics = (await task.take(3)).map((record) => [record.topic.split('.').at(-1), rowOf(record)?.['id']])
    assert.deepEqual(topics, [
      ['t', 1],
      ['gone', 2],
      ['renamed', 3],
    ])
  })

  test('a table that may not be read halts the snapshot with a GRANT as remedy', async () => {
    await using fixture = await PostgresFixture.open(server.url, `${table}; INSERT INTO t VALUES (1)`)
    const role = `${fixture.name}_r`
    await fixture.sql(`CREATE ROLE ${role} LOGIN REPLICATION; CREATE PUBLICATION ${fixture.publication} FOR TABLE t`)
    const task = await fixture.task(null, { 'database.user': role })
    await assert.rejects(task.take(1), { code: 'CONNECT_POSTGRES_PRIVILEGE', kind: 'fatal' })
    await fixture.sql(`DROP ROLE ${role}`)
  })

  test('no replication slot left halts with the setting to raise', async () => {
    await using fixture = await PostgresFixture.open(server.url, table)
    for (const n of [1, 2, 3])
      await fixture.sql(`SELECT pg_create_logical_replication_slot('full_${n}_${fixture.slot}', 'pgoutput')`)
    await assert.rejects(fixture.task(null, noData), {
      code: 'CONNECT_POSTGRES_SETUP',
      message: /max_replication_slots/,
    })
  })

  test('a slot that was moved on, or made anew, under a stored offset halts', async () => {
    await using fixture = await PostgresFixture.open(server.url, table)
    const task = await fixture.task(null, noData)
    await fixture.sql('INSERT INTO t VALUES (1)')
    await task.take(1)
    await task.stop()
    await fixture.sql('INSERT INTO t VALUES (2)')
    await fixture.sql(`SELECT pg_replication_slot_advance('${fixture.slot}', pg_current_wal_lsn())`)
    const lost = { code: 'CONNECT_POSTGRES_POSITION', message: /no longer available on the server/ }
    await assert.rejects(fixture.task(task.offset, noData), lost)
    await fixture.sql(
      `SELECT pg_drop_replication_slot('${fixture.slot}'); SELECT pg_create_logical_replication_slot('${fixture.slot}', 'pgoutput')`,
    )
    await assert.rejects(fixture.task(task.offset, noData), lost)
    // As Debezium would: what lies between is lost, but somebody has decided so.
    const chosen = await fixture.task(task.offset, { ...noData, 'offset.mismatch.strategy': 'trust_slot' })
    await fixture.sql('INSERT INTO t VALUES (3)')
    assert.deepEqual(ids(await chosen.take(1)), [3])
  })

  test('a slot that lost its log was seen coming, and halts with a remedy', async () => {
    await using fixture = await PostgresFixture.open(server.url, `${table}; CREATE TABLE noise (x text)`)
    const watched = { 'slot.monitor.interval.ms': '10', 'slot.wal.budget.bytes': '1000000' }
    const task = await fixture.task(null, { ...noData, ...watched })
    await fixture.sql('INSERT INTO t VALUES (1)')
    await task.take(1)
    await fixture.sql('INSERT INTO noise SELECT md5(g::text) FROM generate_series(1, 30000) g')
    const warned = () => task.context.logger.lines.some(({ message }) => message.includes('slot.wal.budget.bytes'))
    await until(async () => {
      await task.poll(AbortSignal.timeout(30))
      return warned()
    }, 'the warning')
    await task.stop()
    await until(async () => {
      await fixture.sql(
        'INSERT INTO noise SELECT md5(g::text) FROM generate_series(1, 30000) g; SELECT pg_switch_wal(); CHECKPOINT',
      )
      return (await fixture.slotColumn('wal_status')) === 'lost'
    }, 'the loss of the slot')
    await assert.rejects(fixture.task(task.offset, noData), {
      code: 'CONNECT_POSTGRES_SLOT',
      message: /max_slot_wal_keep_size/,
    })
  })

  test('another server under the same name halts by its system identifier', async () => {
    await using fixture = await PostgresFixture.open(server.url, table)
    const task = await fixture.task(null, { ...noData, 'heartbeat.interval.ms': '20' })
    const [beat] = await task.take(1)
    await task.stop()
    const offset = { ...beat?.sourceOffset, system_identifier: '7000000000000000001' }
    await assert.rejects(fixture.task(offset, noData), { code: 'CONNECT_POSTGRES_SYSTEM', kind: 'fatal' })
    await (await fixture.task(beat?.sourceOffset ?? null, noData)).stop()
  })

  test('a database of another encoding arrives as UTF-8 in both phases', async () => {
    const create = "TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
    await using fixture = await PostgresFixture.open(server.url, `${table}; INSERT INTO t VALUES (1, 'Zürich')`, {
      create,
    })
    const task = await fixture.task(null)
    await fixture.sql("INSERT INTO t VALUES (2, 'Ärger ß')")
    assert.deepEqual(
      (await task.take(2)).map((record) => rowOf(record)?.['v']),
      ['Zürich', 'Ärger ß'],
    )
  })

  test('a database without an encoding: UTF-8 passes, other bytes halt', async () => {
    const create = "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
    await using fixture = await PostgresFixture.open(server.url, `${table}; INSERT INTO t VALUES (1, 'Zürich')`, {
      create,
    })
    const task = await fixture.task(null)
    await fixture.sql("INSERT INTO t VALUES (2, 'ß')")
    assert.deepEqual(
      (await task.take(2)).map((record) => rowOf(record)?.['v']),
      ['Zürich', 'ß'],
    )
    await fixture.sql("INSERT INTO t VALUES (3, E'\\xff')")
    await assert.rejects(task.take(1), { code: 'CONNECT_POSTGRES_ENCODING', kind: 'fatal' })
  })

  test('5,000 tables: a start in seconds', async () => {
    await using fixture = await PostgresFixture.open(
      server.url,
      `DO $$ BEGIN FOR i IN 1..5000 LOOP EXECUTE format('CREATE TABLE t%s (id int)', i);
         IF i % 500 = 0 THEN COMMIT; END IF; END LOOP; END $$`,
    )
    const started = performance.now()
    const task = await fixture.task(null, noData)
    assert.ok(performance.now() - started < 10_000, 'the start took longer than ten seconds')
    await fixture.sql('INSERT INTO t4999 VALUES (1); INSERT INTO t7 VALUES (2)')
    assert.deepEqual(ids(await task.take(2)), [1, 2])
  })

  test('a row far beyond every queue passes in both phases, and the next ones behind it', async () => {
    const size = 64 * 1024 * 1024
    const big = `repeat('0123456789abcdef', ${size / 16})`
    await using fixture = await PostgresFixture.open(server.url, `${table}; INSERT INTO t VALUES (1, ${big}), (2, 'x')`)
    const task = await fixture.task(null)
    const sizes = (records: readonly SourceRecord[]) => records.map((record) => String(rowOf(record)?.['v']).length)
    assert.deepEqual(sizes(await task.take(2)), [size, 1])
    await fixture.sql(`INSERT INTO t VALUES (3, ${big}), (4, 'y')`)
    assert.deepEqual(sizes(await task.take(2)), [size, 1])
  })

  test('1,600 columns, in both phases', async () => {
    const columns = numbers(2, 1600).map((n) => `c${n} int DEFAULT ${n}`)
    await using fixture = await PostgresFixture.open(
      server.url,
      `CREATE TABLE wide (id int PRIMARY KEY, ${columns.join(', ')}); INSERT INTO wide VALUES (1)`,
    )
    const task = await fixture.task(null)
    await fixture.sql('INSERT INTO wide VALUES (2)')
    const rows = (await task.take(2)).map(rowOf)
    for (const row of rows) {
      assert.equal(Object.keys(row ?? {}).length, 1600)
      assert.equal(row?.['c1600'], 1600)
    }
    assert.deepEqual({ ...rows[0], id: 2 }, rows[1])
  })
})
