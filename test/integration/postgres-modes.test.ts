import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { SourceRecord } from '../../worker/api/record.ts'
import { opOf, PostgresFixture, rowOf } from '../support/postgres-fixture.ts'
import { requireService } from '../support/services.ts'

const postgres = requireService('postgres')
const table = 'CREATE TABLE t (id int PRIMARY KEY, v text)'
const seen = (records: readonly SourceRecord[]) => records.map((record) => `${opOf(record)}${rowOf(record)?.['id']}`)

suite('snapshot modes', { skip: postgres.skip }, () => {
  const based = 'snapshot.mode.configuration.based'
  const configured = (...flags: readonly string[]) => ({
    'snapshot.mode': 'configuration_based',
    ...Object.fromEntries(flags.map((flag) => [`${based}.${flag}`, 'true'])),
  })

  test('configuration_based with data and stream: the tables at every start, then what changes', async () => {
    await using fixture = await PostgresFixture.open(postgres.settings.url, `${table}; INSERT INTO t VALUES (1)`)
    const both = configured('snapshot.data', 'start.stream')
    const task = await fixture.task(null, both)
    assert.deepEqual(seen(await task.take(1)), ['r1'])
    await fixture.sql('INSERT INTO t VALUES (2)')
    assert.deepEqual(seen(await task.take(1)), ['c2'])
    await task.stop()
    const again = await fixture.task(task.offset, both)
    assert.deepEqual(seen(await again.take(2)), ['r1', 'r2'])
  })

  test('configuration_based with the stream alone reads nothing, with data alone streams nothing', async () => {
    await using fixture = await PostgresFixture.open(postgres.settings.url, `${table}; INSERT INTO t VALUES (1)`)
    const data = await fixture.task(null, configured('snapshot.data'))
    assert.deepEqual(seen(await data.take(1)), ['r1'])
    assert.equal(await fixture.confirmed(), null, 'no slot is made')
    await data.stop()
    const stream = await fixture.task(null, configured('start.stream'))
    await fixture.sql('INSERT INTO t VALUES (2)')
    assert.deepEqual(seen(await stream.take(1)), ['c2'])
  })

  test('configuration_based, position lost: halts, or begins anew where on.data.error says so', async () => {
    await using fixture = await PostgresFixture.open(postgres.settings.url, table)
    const task = await fixture.task(null, configured('start.stream'))
    await fixture.sql('INSERT INTO t VALUES (1)')
    await task.take(1)
    await task.stop()
    await fixture.sql(`SELECT pg_drop_replication_slot('${fixture.slot}')`)
    await assert.rejects(fixture.task(task.offset, configured('start.stream')), { code: 'CONNECT_POSTGRES_POSITION' })
    const anew = await fixture.task(task.offset, configured('snapshot.data', 'start.stream', 'snapshot.on.data.error'))
    assert.deepEqual(seen(await anew.take(1)), ['r1'])
  })

  test('an interrupted snapshot: a mode without rows halts, unless it reads the structure', async () => {
    await using fixture = await PostgresFixture.open(postgres.settings.url, `${table}; INSERT INTO t VALUES (1), (2)`)
    const task = await fixture.task(null)
    await task.take(2)
    await task.stop()
    const [first] = task.context.persisted
    const offset = first?.offset ?? null
    const halted = { code: 'CONNECT_POSTGRES_SNAPSHOT', message: /previous snapshot was incomplete/ }
    await assert.rejects(fixture.task(offset, configured('start.stream')), halted)
    await fixture.sql('INSERT INTO t VALUES (3)')
    const next = await fixture.task(offset, configured('start.stream', 'snapshot.schema'))
    assert.deepEqual(seen(await next.take(1)), ['c3'])
  })

  test('when_needed_no_data, by its name as a custom mode: a lost position is forgotten, and nothing is read', async () => {
    await using fixture = await PostgresFixture.open(postgres.settings.url, `${table}; INSERT INTO t VALUES (1)`)
    const mode = { 'snapshot.mode': 'custom', 'snapshot.mode.custom.name': 'when_needed_no_data' }
    const task = await fixture.task(null, mode)
    await fixture.sql('INSERT INTO t VALUES (2)')
    assert.deepEqual(seen(await task.take(1)), ['c2'])
    await task.stop()
    await fixture.sql(`SELECT pg_drop_replication_slot('${fixture.slot}')`)
    const next = await fixture.task(task.offset, mode)
    await fixture.sql('INSERT INTO t VALUES (3)')
    assert.deepEqual(seen(await next.take(1)), ['c3'])
  })

  test('tables in the order of their estimated rows, when asked', async () => {
    const fill = (name: string, rows: number) =>
      `CREATE TABLE ${name} (id int PRIMARY KEY); INSERT INTO ${name} SELECT generate_series(1, ${rows});`
    await using fixture = await PostgresFixture.open(
      postgres.settings.url,
      `${fill('a', 5)} ${fill('b', 9)} ${fill('c', 2)} ANALYZE`,
    )
    const orderOf = async (order: string) => {
      const options = { 'snapshot.mode': 'initial_only', 'snapshot.tables.order.by.row.count': order }
      const task = await fixture.task(null, options)
      const topics = (await task.take(16)).map(({ topic }) => topic.split('.').at(-1))
      await task.stop()
      return [...new Set(topics)].join('')
    }
    assert.deepEqual(
      [await orderOf('disabled'), await orderOf('ascending'), await orderOf('descending')],
      ['abc', 'cab', 'bac'],
    )
  })
})
