import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { LogicalReplicationService, PgoutputPlugin } from 'pg-logical-replication'
import { systemClock } from '../../worker/util/clock.ts'
import { PostgresFixture, rowOf, until } from '../support/postgres-fixture.ts'
import { requireService } from '../support/services.ts'

const postgres = requireService('postgres')
suite('postgres-cdc on a real server', { skip: postgres.skip }, () => {
  test('only commit() confirms positions to the slot (I1)', async () => {
    await using fixture = await PostgresFixture.open(
      postgres.settings.url,
      'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)',
    )
    const task = await fixture.task(null, { 'status.update.interval.ms': '50' })
    await task.take(1)
    for (const id of [2, 3, 4]) await fixture.sql(`INSERT INTO t VALUES (${id})`)
    const records = await task.take(3)
    const before = await fixture.confirmed()
    await systemClock.sleep(300)
    await task.commit()
    assert.equal(await fixture.confirmed(), before)
    const [, , last] = records
    assert.ok(last !== undefined)
    await task.commit(last)
    await until(async () => (await fixture.confirmed()) !== before)
  })

  test('reading held back for longer than wal_sender_timeout costs neither connection nor records (statement P84)', async () => {
    await using fixture = await PostgresFixture.open(
      postgres.settings.url,
      'CREATE TABLE t (id int PRIMARY KEY, pad text)',
    )
    await fixture.sql(`ALTER DATABASE ${fixture.name} SET wal_sender_timeout = '1500ms'`)
    const limits = { 'max.batch.size': '10', 'max.queue.size': '20', 'max.queue.size.in.bytes': '4096' }
    const task = await fixture.task(null, { ...limits, 'snapshot.mode': 'no_data' })
    await fixture.sql(`INSERT INTO t SELECT g, repeat('x', 2000) FROM generate_series(1, 5000) g`)
    const first = await task.take(10)
    const walsender = `SELECT active_pid FROM pg_replication_slots WHERE slot_name = '${fixture.slot}'`
    const pid = await fixture.sql(walsender)
    await systemClock.sleep(4000)
    assert.deepEqual(await fixture.sql(walsender), pid)
    const ids = [...first, ...(await task.take(5000 - first.length))].map((record) => rowOf(record)?.['id'])
    assert.deepEqual(
      ids,
      Array.from({ length: 5000 }, (_, i) => i + 1),
    )
  })

  test('a walsender that the server ends is replaced; nothing is lost or doubled (statement P83)', async () => {
    await using fixture = await PostgresFixture.open(postgres.settings.url, 'CREATE TABLE t (id int PRIMARY KEY)')
    const task = await fixture.task(null, { 'snapshot.mode': 'no_data' })
    const ids: unknown[] = []
    for (let round = 0; round < 3; round++) {
      await fixture.sql(`INSERT INTO t SELECT g FROM generate_series(${round * 100}, ${round * 100 + 99}) g`)
      ids.push(...(await task.take(100)).map((record) => rowOf(record)?.['id']))
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
    await using fixture = await PostgresFixture.open(
      postgres.settings.url,
      'CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,2))',
    )
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
    const ours = (await task.take(200)).map((record) => {
      const row = rowOf(record)
      return [row?.['id'], row?.['v'], String(row?.['n'])]
    })
    await until(async () => theirs.length >= 200)
    await peer.stop()
    assert.deepEqual(ours, theirs)
  })
})
