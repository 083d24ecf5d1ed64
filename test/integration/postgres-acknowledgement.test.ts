import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { parseLsn } from '../../connectors/postgres-cdc/lsn.ts'
import { confirmable } from '../../connectors/postgres-cdc/offsets.ts'
import type { SourceRecord } from '../../worker/api/record.ts'
import type { Delivery } from '../../worker/kafka/types.ts'
import { SubmittedRecords } from '../../worker/runtime/submitted-records.ts'
import { systemClock } from '../../worker/util/clock.ts'
import { type CdcTask, PostgresFixture, rowOf, until } from '../support/postgres-fixture.ts'
import { seededRandom } from '../support/random.ts'
import { testSeed } from '../support/seed.ts'
import { requireService } from '../support/services.ts'

const postgres = requireService('postgres')
const open = async (setup: string) => await PostgresFixture.open(postgres.settings.url, setup)
const streaming = { 'snapshot.mode': 'no_data', 'status.update.interval.ms': '50' }
const ids = (records: readonly SourceRecord[]) => records.map((record) => rowOf(record)?.['id'])
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

/** Restarts a task behind each record in turn, without anything confirmed in between. @returns what followed each */
async function restartBehindEach(fixture: PostgresFixture, task: CdcTask, count: number) {
  const all = await task.take(count)
  await task.stop()
  const rests: (readonly unknown[])[] = []
  for (const [at, record] of all.entries()) {
    if (at === count - 1) break
    const restarted = await fixture.task(record.sourceOffset, streaming)
    rests.push(ids(await restarted.take(count - at - 1)))
    await restarted.stop()
  }
  return { all, rests }
}

suite('what is confirmed, and what comes again', { skip: postgres.skip }, () => {
  test('rows of one COPY share a position: a restart behind any of them goes on with the next (statement P70)', async () => {
    await using fixture = await open('CREATE TABLE t (id int PRIMARY KEY, v text)')
    const task = await fixture.task(null, streaming)
    await fixture.sql("INSERT INTO t VALUES (1, 'before')")
    await fixture.sql('COPY t FROM PROGRAM \'seq -f "%g,copied" 2 6\' WITH (FORMAT csv)')
    const { all, rests } = await restartBehindEach(fixture, task, 6)
    const positions = new Set(all.slice(1).map((record) => record.sourceOffset['lsn']))
    assert.ok(positions.size < 5, 'the rows do not share a position: the test shows nothing')
    assert.deepEqual(
      rests,
      upTo(5).map((at) => upTo(6).slice(at)),
    )
  })

  test('rows of one INSERT: the rest of the transaction, once (statements P41, P67, P69)', async () => {
    await using fixture = await open('CREATE TABLE t (id int PRIMARY KEY)')
    const task = await fixture.task(null, streaming)
    await fixture.sql('INSERT INTO t VALUES (1), (2), (3)')
    await fixture.sql('INSERT INTO t VALUES (4)')
    const { all, rests } = await restartBehindEach(fixture, task, 4)
    assert.deepEqual(ids(all), upTo(4))
    assert.deepEqual(rests, [[2, 3, 4], [3, 4], [4]])
  })

  test('a transaction open across a restart arrives whole, behind the ones that committed before (statements P68, P71)', async () => {
    await using fixture = await open('CREATE TABLE t (id int PRIMARY KEY)')
    const task = await fixture.task(null, streaming)
    const long = await fixture.session()
    await long.query('BEGIN; INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)')
    await fixture.sql('INSERT INTO t VALUES (10)')
    const [first] = await task.take(1)
    assert.ok(first !== undefined)
    await task.commit(first)
    await fixture.sql('INSERT INTO t VALUES (11)')
    const [second] = await task.take(1)
    assert.ok(second !== undefined)
    await task.commit(second)
    await until(async () => parseLsn((await fixture.confirmed()) ?? '') >= (confirmable(second.sourceOffset) ?? 0n))
    await task.stop()
    await long.query('INSERT INTO t VALUES (3)')
    const restarted = await fixture.task(second.sourceOffset, streaming)
    await long.query('INSERT INTO t VALUES (4); COMMIT')
    await long.end()
    await fixture.sql('INSERT INTO t VALUES (12)')
    assert.deepEqual(ids(await restarted.take(5)), [1, 2, 3, 4, 12])
  })

  test('acknowledgements out of order: the slot never passes a record that Kafka does not have (I1, I2)', async () => {
    await using fixture = await open('CREATE TABLE t (id int PRIMARY KEY)')
    const task = await fixture.task(null, streaming)
    for (const id of upTo(30)) await fixture.sql(`INSERT INTO t VALUES (${id})`)
    const records = await task.take(30)
    const submitted = new SubmittedRecords({ onDelivered: () => undefined, onFailed: () => false })
    const waiting = records.map((record, at): { readonly at: number; readonly delivery: Delivery } => {
      const delivery = submitted.submit(record.sourcePartition, record.sourceOffset)
      submitted.seal()
      return { at, delivery }
    })
    const random = seededRandom(testSeed)
    const onTheirWay = new Set(waiting.map(({ at }) => at))
    while (waiting.length > 0) {
      const [next] = waiting.splice(random.integer(0, waiting.length - 1), 1)
      next?.delivery.delivered(1, 't', 0, 0n)
      onTheirWay.delete(next?.at ?? -1)
      const committable = submitted.takeCommittable()
      await task.commit(
        ...committable.map(({ offset }) => records.find((record) => record.sourceOffset === offset) as SourceRecord),
      )
      const oldest = records[Math.min(...onTheirWay)]
      const confirmed = parseLsn((await fixture.confirmed()) ?? '')
      if (oldest !== undefined) {
        const limit = BigInt(String(oldest.sourceOffset['lsn']))
        assert.ok(confirmed <= limit, `seed ${random.seed}: ${confirmed} was confirmed while ${limit} is on its way`)
      }
    }
    const last = confirmable(records.at(-1)?.sourceOffset ?? {})
    await until(async () => parseLsn((await fixture.confirmed()) ?? '') === last, 'the last confirmation')
  })

  test('mode connector confirms what is committed, also with metadata; manual nothing (statement P75)', async () => {
    await using fixture = await open('CREATE TABLE t (id int PRIMARY KEY)')
    const task = await fixture.task(null, { ...streaming, 'provide.transaction.metadata': 'true' })
    const before = await fixture.confirmed()
    await fixture.sql('INSERT INTO t VALUES (1)')
    const records = await task.take(3)
    await systemClock.sleep(200)
    assert.equal(await fixture.confirmed(), before)
    const end = records.at(-1)
    assert.ok(end !== undefined)
    await task.commit(end)
    await until(async () => parseLsn((await fixture.confirmed()) ?? '') === confirmable(end.sourceOffset))
    await task.stop()
    const manual = await fixture.task(end.sourceOffset, { ...streaming, 'lsn.flush.mode': 'manual' })
    await fixture.sql('INSERT INTO t VALUES (2)')
    const held = await fixture.confirmed()
    await manual.commit(...(await manual.take(1)))
    await systemClock.sleep(300)
    await manual.stop()
    assert.equal(await fixture.confirmed(), held)
  })

  test('other tables: connector leaves the slot to heartbeats, connector_and_driver follows the log (statement P76)', async () => {
    await using fixture = await open('CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int)')
    const options = { ...streaming, 'table.include.list': 'public.t', 'slot.idle.advance.interval.ms': '0' }
    const task = await fixture.task(null, options)
    const fill = async () => await fixture.sql('INSERT INTO other SELECT generate_series(1, 5000)')
    await fill()
    const before = await fixture.confirmed()
    assert.deepEqual(await task.takeFor(500), [])
    await task.commitAdvanced()
    assert.deepEqual(task.context.advanced, [])
    assert.equal(await fixture.confirmed(), before)
    await task.stop()
    const driver = await fixture.task(null, { ...options, 'lsn.flush.mode': 'connector_and_driver' })
    await fill()
    const [row] = await fixture.sql('SELECT pg_current_wal_lsn()::text AS at')
    const written = parseLsn(String(row?.['at']))
    await until(async () => {
      assert.deepEqual(await driver.poll(AbortSignal.timeout(50)), [])
      await driver.commitAdvanced()
      return parseLsn((await fixture.confirmed()) ?? '') >= written
    }, 'following the log')
  })

  test('an idle stream lets the log go without a record, behind a durable offset, and goes on from there', async () => {
    await using fixture = await open('CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int)')
    const options = { ...streaming, 'table.include.list': 'public.t', 'slot.idle.advance.interval.ms': '50' }
    const task = await fixture.task(null, options)
    await fixture.sql('INSERT INTO t VALUES (1)')
    const [first] = await task.take(1)
    assert.ok(first !== undefined)
    await fixture.sql('INSERT INTO other SELECT generate_series(1, 5000)')
    const before = await fixture.confirmed()
    await until(async () => {
      await task.poll(AbortSignal.timeout(50))
      return task.context.advanced.length > 0
    }, 'an offset without a record')
    assert.equal(await fixture.confirmed(), before, 'not durable yet')
    await task.commitAdvanced()
    await until(async () => (await fixture.confirmed()) !== before)
    const offset = task.context.advanced.at(-1)?.offset ?? {}
    assert.match(String(offset['system_identifier']), /^\d{15,20}$/)
    assert.equal(offset['lsn_commit'], confirmable({ ...offset, lsn_proc: offset['lsn_commit'] ?? null }))
    await task.stop()
    await fixture.sql('INSERT INTO t VALUES (2)')
    const restarted = await fixture.task(offset, options)
    assert.deepEqual(ids(await restarted.take(1)), [2])
    // A lost connection of a task whose slot is further than its last record: no gap is suspected.
    await until(async () => {
      await restarted.poll(AbortSignal.timeout(50))
      return restarted.context.advanced.length > 0
    })
    await restarted.commitAdvanced()
    await fixture.sql(
      `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '${fixture.slot}'`,
    )
    await fixture.sql('INSERT INTO t VALUES (3)')
    assert.deepEqual(ids(await restarted.take(1)), [3])
  })

  test('transactions without captured rows move the offset by heartbeats (statement P66)', async () => {
    await using fixture = await open('CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)')
    const options = { ...streaming, 'heartbeat.interval.ms': '50', 'table.include.list': 'public.t' }
    const task = await fixture.task(null, options)
    await fixture.sql('INSERT INTO t VALUES (1)')
    await task.takeUntil((records) => records.some((record) => rowOf(record) !== null))
    await fixture.sql('TRUNCATE t; ALTER TABLE t ADD COLUMN v text; INSERT INTO other VALUES (1)')
    const [row] = await fixture.sql('SELECT pg_current_wal_lsn()::text AS at')
    const written = parseLsn(String(row?.['at']))
    const beats = await task.takeUntil(
      (records) => (confirmable(records.at(-1)?.sourceOffset ?? { lsn: 0 }) ?? 0n) >= written,
    )
    assert.deepEqual([...new Set(beats.map(({ topic }) => topic))], [`__debezium-heartbeat.${fixture.name}`])
  })
})
