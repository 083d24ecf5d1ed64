/**
 * The initial snapshot goes on after a kill (an extension over Debezium, whose statement 25 is to read all again), while
 * the tables change under it.
 */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { SourceRecord } from '../../worker/api/record.ts'
import { type CdcTask, opOf, PostgresFixture, rowOf, valueOf } from '../support/postgres-fixture.ts'
import { type Random, seededRandom } from '../support/random.ts'
import { testSeed } from '../support/seed.ts'
import { requireService } from '../support/services.ts'

const postgres = requireService('postgres')
const placeholder = '__debezium_unavailable_value'

interface Row {
  readonly v: number
  readonly big: string | null
}

/** What a consumer makes of the events of one table, one key after another. */
class Replica {
  readonly rows = new Map<number, Row>()
  /** Events after which a row is older than it was, though no delete came between. */
  readonly backwards: string[] = []

  apply(record: SourceRecord): void {
    const after = rowOf(record)
    const before = (valueOf(record)?.['before'] ?? null) as Record<string, unknown> | null
    if (valueOf(record) === null) return
    if (after === null) {
      this.rows.delete(Number(before?.['id']))
      return
    }
    const id = Number(after['id'])
    const v = Number(after['v'])
    const known = this.rows.get(id)
    if (known !== undefined && known.v > v) this.backwards.push(`${id}: ${known.v} to ${v} by ${opOf(record)}`)
    const big = after['big'] === placeholder ? (known?.big ?? placeholder) : (after['big'] as string | null)
    this.rows.set(id, { v, big })
  }
}

/** Updates that leave TOAST values alone and move rows, deletes, inserts, and room made for others in front. */
async function disturb(
  fixture: PostgresFixture,
  random: Random,
  nextId: () => number,
  isStopped = false,
): Promise<void> {
  const most = 4000
  // Moves all rows; a snapshot under way would hold it up.
  if (isStopped && random.next() < 0.3) await fixture.sql('VACUUM FULL t')
  for (let i = random.integer(0, 6); i > 0; i--) {
    const id = random.integer(1, most)
    const action = random.next()
    if (action < 0.6) {
      const length = random.integer(1, 1500)
      await fixture.sql(`UPDATE t SET v = v + 1, pad = repeat('y', ${length}) WHERE id BETWEEN ${id} AND ${id + 5}`)
    } else if (action < 0.75) await fixture.sql(`DELETE FROM t WHERE id BETWEEN ${id} AND ${id + 20}`)
    else if (action < 0.9) await fixture.sql(`INSERT INTO t SELECT ${nextId()}, 0, 'new', repeat(md5('n'), 100)`)
    else await fixture.sql('VACUUM t')
  }
}

async function compare(fixture: PostgresFixture, replica: Replica): Promise<void> {
  const wanted = await fixture.sql('SELECT id, v, big FROM t ORDER BY id')
  const rows = [...replica.rows].sort(([a], [b]) => a - b).map(([id, { v, big }]) => ({ id, v, big }))
  assert.deepEqual(rows, wanted)
}

/** A last change that tells that the stream has come to its end. */
async function drain(fixture: PostgresFixture, task: CdcTask, replica: Replica): Promise<void> {
  await fixture.sql("INSERT INTO t VALUES (-1, 0, 'end', NULL)")
  const isEnd = (record: SourceRecord) => rowOf(record)?.['id'] === -1
  for (const record of await task.takeUntil((records) => records.some(isEnd))) replica.apply(record)
}

const setup = (rows: number, padBytes: number) => `
  CREATE TABLE a_small (id int PRIMARY KEY, v int); INSERT INTO a_small SELECT g, 0 FROM generate_series(1, 30) g;
  CREATE TABLE t (id int PRIMARY KEY, v int, pad text, big text);
  ALTER TABLE t ALTER COLUMN big SET STORAGE EXTERNAL, ALTER COLUMN pad SET STORAGE PLAIN;
  INSERT INTO t SELECT g, 0, repeat('x', ${padBytes}), CASE WHEN g % 5 = 0 THEN repeat(md5(g::text), 80) END
    FROM generate_series(1, ${rows}) g`

suite('snapshot on a real server', { skip: postgres.skip }, () => {
  for (const { name, exact, options, rows, padBytes } of [
    { name: 'killed between transactions of the framework', exact: true, options: {}, rows: 4000, padBytes: 300 },
    { name: 'killed anywhere', exact: false, options: {}, rows: 4000, padBytes: 300 },
    {
      name: 'with three readers on one table, killed between transactions',
      exact: true,
      options: { 'snapshot.max.threads': '3' },
      rows: 9000,
      padBytes: 1900,
    },
  ]) {
    test(`goes on where it stopped, ${name}; rows, their TOAST values and their order are right (I2, I4, I9)`, async (t) => {
      const random = seededRandom(testSeed)
      t.diagnostic(`seed ${random.seed}`)
      await using fixture = await PostgresFixture.open(postgres.settings.url, setup(rows, padBytes))
      let id = 1_000_000
      const extra = { 'max.batch.size': '40', 'table.include.list': 'public.t,public.a_small', ...options }
      const replica = new Replica()
      let task = await fixture.task(null, extra)
      let read = 0
      let kills = 0
      for (let finished = false; !finished; ) {
        const records = await task.poll()
        // What was sent with offsets that did not become durable is sent again, or never was.
        const kept =
          kills < 6 && random.next() < 0.06 ? (exact ? records.length : random.integer(0, records.length)) : -1
        for (const record of kept < 0 ? records : records.slice(0, exact ? kept : undefined)) {
          if (record.topic.endsWith('.t')) replica.apply(record)
          if (opOf(record) === 'r') read += 1
          if (record.sourceOffset['snapshot_completed'] === true) finished = true
        }
        await disturb(fixture, random, () => id++)
        if (kept <= 0 || finished) continue
        kills += 1
        const offset = records[kept - 1]?.sourceOffset ?? null
        await task.stop()
        await disturb(fixture, random, () => id++, true)
        task = await fixture.task(offset, extra)
      }
      await drain(fixture, task, replica)
      await compare(fixture, replica)
      t.diagnostic(`${kills} kills, ${read} rows read of ${rows + 30}`)
      assert.ok(kills > 0, `seed ${random.seed}: no kill`)
      if (exact) assert.deepEqual(replica.backwards, [])
    })
  }

  test('a snapshot that nothing disturbs reads each row once, however often it is killed', async () => {
    await using fixture = await PostgresFixture.open(postgres.settings.url, setup(2000, 300))
    const extra = { 'max.batch.size': '100', 'table.include.list': 'public.t,public.a_small' }
    const ids: unknown[] = []
    let offset: SourceRecord['sourceOffset'] | null = null
    for (let finished = false; !finished; ) {
      const task = await fixture.task(offset, extra)
      for (let turn = 0; turn < 3 && !finished; turn++) {
        const records = await task.poll()
        ids.push(...records.filter((record) => record.topic.endsWith('.t')).map((record) => rowOf(record)?.['id']))
        offset = records.at(-1)?.sourceOffset ?? offset
        finished = offset?.['snapshot_completed'] === true
      }
      // What comes behind the last record ends the snapshot.
      if (finished) {
        await task.poll(AbortSignal.timeout(500))
        const report = task.context.logger.lines.find(({ message }) => message === 'Snapshot progress')
        assert.equal(report?.fields['tablesLeft'], 0)
        assert.ok(Number(report?.fields['rows']) <= 300, 'the rows of the last start only')
      }
      await task.stop()
    }
    assert.deepEqual(
      ids,
      Array.from({ length: 2000 }, (_, i) => i + 1),
    )
  })
})
