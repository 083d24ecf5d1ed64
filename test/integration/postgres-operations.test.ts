/** What people who run the database do to a connector, or ask of it. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { type CdcTask, PostgresFixture, rowOf } from '../support/postgres-fixture.ts'
import { requireService } from '../support/services.ts'

const postgres = requireService('postgres')

/** A database, and a role of its own that may read the table `t` and its publication. */
async function withRole(setup: string): Promise<{ fixture: PostgresFixture; role: string } & AsyncDisposable> {
  const fixture = await PostgresFixture.open(postgres.settings.url, setup)
  const role = `${fixture.name}_r`
  await fixture.sql(
    `CREATE ROLE ${role} LOGIN REPLICATION; GRANT SELECT ON t TO ${role}; CREATE PUBLICATION ${fixture.publication} FOR TABLE t`,
  )
  return {
    fixture,
    role,
    [Symbol.asyncDispose]: async () => {
      await fixture.sql(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
      await fixture[Symbol.asyncDispose]()
    },
  }
}

suite('operations', { skip: postgres.skip }, () => {
  test('rows that row-level security hides halt the snapshot; BYPASSRLS reads them', async () => {
    await using subject = await withRole(
      `CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3);
       ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (id < 3)`,
    )
    const { fixture, role } = subject
    const options = { 'database.user': role }
    const refused = await fixture.task(null, options)
    await assert.rejects(refused.take(1), { code: 'CONNECT_POSTGRES_PRIVILEGE', message: /BYPASSRLS/ })
    await refused.stop()
    // Somebody wants it so: the policy says what is read, and the stream still has every row.
    const chosen = await fixture.task(null, { ...options, 'driver.options': '-c row_security=on' })
    assert.deepEqual(
      (await chosen.take(2)).map((record) => rowOf(record)?.['id']),
      [1, 2],
    )
    await chosen.stop()
    await fixture.sql(`ALTER ROLE ${role} BYPASSRLS`)
    const task = await fixture.task(null, options)
    assert.deepEqual(
      (await task.take(3)).map((record) => rowOf(record)?.['id']),
      [1, 2, 3],
    )
  })

  test('time limits of the role end neither a snapshot nor its slot; those of driver.options hold', async () => {
    await using subject = await withRole('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)')
    const { fixture, role } = subject
    for (const limit of ["statement_timeout='3s'", "lock_timeout='3s'", "idle_in_transaction_session_timeout='200ms'"])
      await fixture.sql(`ALTER ROLE ${role} SET ${limit}`)
    const holds = (what: string) => `DO $$ BEGIN ASSERT ${what};; END $$`
    const none = "current_setting('statement_timeout') = '0' AND current_setting('lock_timeout') = '0'"
    // The exported snapshot waits idle in its transaction for longer than the role may.
    const options = { 'database.user': role, 'snapshot.delay.ms': '600' }
    const task = await fixture.task(null, { ...options, 'database.initial.statements': holds(none) })
    assert.equal((await task.take(1)).length, 1)
    await task.stop()
    const chosen = {
      ...options,
      'driver.options': '-c statement_timeout=7s',
      'database.initial.statements': holds("current_setting('statement_timeout') = '7s'"),
    }
    await (await fixture.task(task.offset, chosen)).stop()
  })

  test('captured tables that no stream can have are named; partitions of a published table are none', async () => {
    await using fixture = await PostgresFixture.open(
      postgres.settings.url,
      `CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE forgotten (id int PRIMARY KEY); INSERT INTO forgotten VALUES (1);
       CREATE UNLOGGED TABLE fleeting (id int PRIMARY KEY); INSERT INTO fleeting VALUES (1);
       CREATE TABLE whole (id int PRIMARY KEY) PARTITION BY RANGE (id);
       CREATE TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (9)`,
    )
    await fixture.sql(`CREATE PUBLICATION ${fixture.publication} FOR TABLE t, whole`)
    const warnings = (task: CdcTask) =>
      task.context.logger.lines.filter(({ level, message }) => level === 'warn' && /streamed/.test(message))
    const task = await fixture.task(null)
    const told = warnings(task).map(({ message }) => /tables ("[^:]*?)(?::| are)/.exec(message)?.[1])
    assert.deepEqual(told, ['"public"."forgotten"', '"public"."fleeting"'])
    const topics = (await task.take(2)).map(({ topic }) => topic.split('.').at(-1))
    assert.deepEqual(topics.sort(), ['fleeting', 'forgotten'])
    await task.stop()
    // A publication of ours leaves out what the server would refuse.
    const own = { 'publication.name': `${fixture.publication}_own`, 'slot.name': `${fixture.slot}_own` }
    const filtered = { ...own, 'publication.autocreate.mode': 'filtered', 'table.exclude.list': 'public.part' }
    const second = await fixture.task(null, filtered)
    assert.deepEqual(warnings(second).length, 1)
    await fixture.sql('INSERT INTO forgotten VALUES (2)')
    assert.deepEqual((await second.take(3)).map((record) => rowOf(record)?.['id']).sort(), [1, 1, 2])
  })
})
