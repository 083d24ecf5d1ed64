/** Statements on the Postgres source that the recorded corpus does not show. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { validateConnection } from '../../connectors/postgres-cdc/connector.ts'
import { plugin } from '../../connectors/postgres-cdc/index.ts'
import { parseLsn } from '../../connectors/postgres-cdc/lsn.ts'
import type { SourceRecord } from '../../worker/api/record.ts'
import { parseConfig } from '../../worker/config/config-def.ts'
import { opOf, PostgresFixture, rowOf, until, valueOf } from '../support/postgres-fixture.ts'
import { requireService } from '../support/services.ts'

const postgres = requireService('postgres')
const open = async (setup: string) => await PostgresFixture.open(postgres.settings.url, setup)
const oneTable = 'CREATE TABLE t (id int PRIMARY KEY, v text)'
const noData = { 'snapshot.mode': 'no_data' }
const ids = (records: readonly SourceRecord[]) => records.map((record) => rowOf(record)?.['id'])
const sourceOf = (record: SourceRecord | undefined) =>
  (record === undefined ? {} : (valueOf(record)?.['source'] ?? {})) as Record<string, unknown>

suite('start of the Postgres source', { skip: postgres.skip }, () => {
  test('a role without the rights passes validation and fails the task (statement P6)', async () => {
    await using fixture = await open(oneTable)
    const role = `${fixture.name}_r`
    await fixture.sql(`CREATE ROLE ${role} LOGIN; GRANT SELECT ON t TO ${role}`)
    try {
      const raw = fixture.options({ 'database.user': role, 'publication.autocreate.mode': 'disabled' })
      await fixture.sql(`CREATE PUBLICATION ${fixture.publication} FOR TABLE t`)
      assert.deepEqual(await validateConnection(parseConfig(plugin.config, raw), raw), [])
      await assert.rejects(fixture.task(null, { 'database.user': role }), { code: 'CONNECT_POSTGRES_PRIVILEGE' })
    } finally {
      await fixture.sql(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
    }
  })

  test('initial statements run on every ordinary connection; two semicolons are one (statement P7)', async () => {
    await using fixture = await open(`${oneTable}; CREATE TABLE log (said text)`)
    const statements = "SET search_path TO public; INSERT INTO log SELECT 'a;;b' || current_setting('application_name')"
    await fixture.task(null, { 'database.initial.statements': statements })
    const said = (await fixture.sql('SELECT DISTINCT said FROM log')).map((row) => row['said'])
    assert.ok(said.includes('a;bDebezium General'), said.join())
    assert.ok(!said.some((name) => String(name).includes('Streaming')), said.join())
    await assert.rejects(
      fixture.task(null, { 'database.initial.statements': 'SELECT nonsense' }),
      /database\.initial\.statements/,
    )
  })

  test('a missing or odd signal table is reported, and streaming goes on (statement P8)', async () => {
    await using fixture = await open(`${oneTable}; CREATE TABLE odd (id text)`)
    for (const [table, text] of [
      ['public.missing', /does not exist/],
      ['public.odd', /has 1 columns/],
    ] as const) {
      const task = await fixture.task(null, { ...noData, 'signal.data.collection': table })
      const errors = task.context.logger.lines.filter(({ level }) => level === 'error')
      assert.match(errors.map(({ message }) => message).join(), text)
      await fixture.sql("INSERT INTO odd VALUES ('x'); INSERT INTO t VALUES ((SELECT count(*) FROM t))")
      await task.takeUntil((records) => records.some(({ topic }) => topic.endsWith('.t')))
      await task.stop()
    }
  })

  test('more captured tables than allowed warn or fail; as many as allowed do not (statement P9)', async () => {
    await using fixture = await open(`${oneTable}; CREATE TABLE u (id int PRIMARY KEY)`)
    const warnings = async (max: string) => {
      const task = await fixture.task(null, { ...noData, 'guardrail.collections.max': max })
      await task.stop()
      return task.context.logger.lines.filter(({ message }) => message.includes('guardrail')).length
    }
    assert.equal(await warnings('2'), 0)
    assert.equal(await warnings('1'), 1)
    const fails = { 'guardrail.collections.max': '1', 'guardrail.collections.limit.action': 'fail' }
    await assert.rejects(fixture.task(null, fails), /guardrail\.collections\.max=1/)
  })

  test('filters that match nothing are a warning (statement P11)', async () => {
    await using fixture = await open(oneTable)
    const task = await fixture.task(null, { ...noData, 'table.include.list': 'public.nothing' })
    assert.ok(task.context.logger.lines.some(({ level, message }) => level === 'warn' && /No table/.test(message)))
  })

  test('TLS demanded of a server without it fails with the option in the text (statement P13)', async () => {
    await using fixture = await open(oneTable)
    await assert.rejects(fixture.task(null, { 'database.sslmode': 'require' }), /database\.sslmode=require demands/)
    const raw = fixture.options({ 'database.sslmode': 'verify-full' })
    const [problem] = await validateConnection(parseConfig(plugin.config, raw), raw)
    // Under the host's name, as any connection that fails (Debezium), with the option in the text.
    assert.equal(problem?.option, 'database.hostname')
    assert.match(problem.message, /^Error while validating .*does not support TLS, which database\.sslmode=verify-full/)
  })

  test('a slot of another plugin, and one of another database, are told apart (statement P81)', async () => {
    await using fixture = await open(oneTable)
    await fixture.sql(`SELECT pg_create_logical_replication_slot('${fixture.slot}', 'test_decoding')`)
    await assert.rejects(fixture.task(null), /uses the plugin test_decoding, not pgoutput/)
    await using other = await open(oneTable)
    await other.sql(`SELECT pg_create_logical_replication_slot('${other.slot}', 'pgoutput')`)
    await assert.rejects(fixture.task(null, { 'slot.name': other.slot }), /belongs to the database/)
  })

  test('the slot is dropped on stop when asked, else kept (statement P82)', async () => {
    await using fixture = await open(oneTable)
    await (await fixture.task(null, noData)).stop()
    assert.equal(await fixture.slotColumn('active'), 'false')
    await (await fixture.task(null, { ...noData, 'slot.drop.on.stop': 'true' })).stop()
    assert.equal(await fixture.slotColumn('active'), null)
  })

  test('a publication is made for a slot that is there already (statement P89)', async () => {
    await using fixture = await open(oneTable)
    await fixture.sql(`SELECT pg_create_logical_replication_slot('${fixture.slot}', 'pgoutput')`)
    const task = await fixture.task(null, noData)
    await fixture.sql('INSERT INTO t VALUES (1)')
    assert.deepEqual(ids(await task.take(1)), [1])
    const rows = await fixture.sql(`SELECT puballtables FROM pg_publication WHERE pubname = '${fixture.publication}'`)
    assert.deepEqual(rows, [{ puballtables: true }])
  })

  test('offsets of older releases go on as a stream (statement P79)', async () => {
    await using fixture = await open(`${oneTable}; INSERT INTO t VALUES (1)`)
    await fixture.sql(`CREATE PUBLICATION ${fixture.publication} FOR TABLE t`)
    await fixture.sql(`SELECT pg_create_logical_replication_slot('${fixture.slot}', 'pgoutput')`)
    const at = parseLsn((await fixture.confirmed()) ?? '')
    const task = await fixture.task({ lsn: at, txId: 1, ts_usec: 1, snapshot: true, last_snapshot_record: true })
    await fixture.sql('INSERT INTO t VALUES (2)')
    const records = await task.take(1)
    assert.deepEqual([opOf(records[0] as SourceRecord), ids(records)], ['c', [2]])
  })
})

suite('snapshot of the Postgres source', { skip: postgres.skip }, () => {
  test('one time, position and transaction; only the last offset is complete (statements P17, P19)', async () => {
    await using fixture = await open(`${oneTable}; INSERT INTO t SELECT generate_series(1, 5)`)
    const task = await fixture.task(null)
    const confirmed = await fixture.confirmed()
    const records = await task.take(5)
    const distinct = (name: string) => [...new Set(records.map((record) => sourceOf(record)[name]))]
    for (const name of ['ts_ms', 'ts_us', 'lsn', 'txId']) assert.equal(distinct(name).length, 1, name)
    assert.equal(distinct('lsn')[0], parseLsn(confirmed ?? ''))
    assert.ok(BigInt(String(distinct('txId')[0])) > 0n)
    for (const record of records) {
      assert.ok(BigInt(String(valueOf(record)?.['ts_us'])) >= BigInt(String(sourceOf(record)['ts_us'])))
    }
    const complete = records.map(({ sourceOffset }) => sourceOffset['snapshot_completed'])
    assert.deepEqual(complete, [false, false, false, false, true])
    assert.deepEqual(
      complete,
      records.map(({ sourceOffset }) => sourceOffset['last_snapshot_record']),
    )
  })

  test('an interrupted snapshot of Debezium starts over (statement P25)', async () => {
    await using fixture = await open(`${oneTable}; INSERT INTO t VALUES (1), (2)`)
    await fixture.sql(`SELECT pg_create_logical_replication_slot('${fixture.slot}', 'pgoutput')`)
    const lsn = parseLsn((await fixture.confirmed()) ?? '')
    const offset = { lsn, snapshot: 'INITIAL', last_snapshot_record: false, snapshot_completed: false }
    const task = await fixture.task(offset)
    const records = await task.take(2)
    assert.deepEqual(ids(records), [1, 2])
    assert.deepEqual(records.map(opOf), ['r', 'r'])
    await fixture.task(offset, noData).then(
      () => assert.fail('no_data cannot take it again'),
      (error: unknown) => assert.match(String(error), /previous snapshot was incomplete/),
    )
  })

  test('what commits between the slot and the reading is streamed, not read (statement P27)', async () => {
    await using fixture = await open(`${oneTable}; INSERT INTO t VALUES (1)`)
    const starting = fixture.task(null, { 'snapshot.delay.ms': '400' })
    // A slot is listed before it is consistent: until then what commits belongs to its snapshot.
    await until(async () => (await fixture.slotColumn('confirmed_flush_lsn')) !== null, 'the slot')
    await fixture.sql("INSERT INTO t VALUES (2); UPDATE t SET v = 'new' WHERE id = 1")
    const task = await starting
    const seen = (await task.take(3)).map((record) => [opOf(record), rowOf(record)?.['id'], rowOf(record)?.['v']])
    assert.deepEqual(seen, [
      ['r', 1, null],
      ['c', 2, null],
      ['u', 1, 'new'],
    ])
  })

  test('a table without columns does no harm, in the snapshot or the stream (statement P33)', async () => {
    await using fixture = await open(
      `${oneTable}; INSERT INTO t VALUES (1); CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES`,
    )
    const task = await fixture.task(null)
    assert.deepEqual(ids(await task.take(1)), [1])
    await fixture.sql('INSERT INTO bare DEFAULT VALUES; INSERT INTO t VALUES (2)')
    await task.takeUntil((records) => ids(records).includes(2))
  })

  const levels = {
    serializable: ['serializable', 'on', 'on'],
    repeatable_read: ['repeatable read', 'on', 'off'],
    read_committed: ['read committed', 'on', 'off'],
    read_uncommitted: ['read uncommitted', 'on', 'off'],
  }
  for (const [mode, expected] of Object.entries(levels)) {
    test(`isolation ${mode} without an exported snapshot (statement P38)`, async () => {
      await using fixture = await open(
        `${oneTable}; CREATE TABLE seen (id int PRIMARY KEY, level text, ro text, wait text)`,
      )
      const setting = (name: string) => `current_setting('transaction_${name}')`
      const task = await fixture.task(null, {
        'snapshot.mode': 'initial_only',
        'snapshot.isolation.mode': mode,
        'snapshot.select.statement.overrides': 'public.seen',
        'snapshot.select.statement.overrides.public.seen': `SELECT 1 AS id, ${setting('isolation')} AS level, ${setting('read_only')} AS ro, ${setting('deferrable')} AS wait`,
      })
      const [row] = (await task.take(1)).map(rowOf)
      assert.deepEqual([row?.['level'], row?.['ro'], row?.['wait']], expected)
    })
  }
})

suite('types of extensions that the server does not have', { skip: postgres.skip }, () => {
  /** A type of that name whose values are the text that the extension would send. */
  const standIn = (name: string) => `CREATE TYPE ${name};
    CREATE FUNCTION ${name}_in(cstring) RETURNS ${name} LANGUAGE internal IMMUTABLE STRICT AS 'textin';
    CREATE FUNCTION ${name}_out(${name}) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
    CREATE TYPE ${name} (INPUT = ${name}_in, OUTPUT = ${name}_out, LIKE = text);`

  test('PostGIS: SRID of EWKB, which is kept; geography; arrays; in both phases alike (statement P105)', async () => {
    const ewkb = '0101000020730C00001C7C613255DE6540787AA52C435C42C0'
    const insert = (id: number) =>
      `INSERT INTO g VALUES (${id}, '${ewkb}', '${ewkb}', ARRAY['${ewkb}', NULL]::geometry[])`
    await using fixture = await open(`${standIn('geometry')} ${standIn('geography')}
      CREATE TABLE g (id int PRIMARY KEY, g geometry, gg geography, ga geometry[]); ${insert(1)}`)
    const task = await fixture.task(null)
    await fixture.sql(insert(2))
    const [read, streamed] = (await task.take(2)).map(rowOf)
    const geometry = { wkb: new Uint8Array(Buffer.from(ewkb, 'hex')), srid: 3187 }
    for (const row of [read, streamed]) {
      const { g, gg, ga } = row as Record<string, { wkb: Uint8Array; srid: number }> & { ga: unknown[] }
      assert.deepEqual({ wkb: new Uint8Array(g?.wkb ?? []), srid: g?.srid }, geometry)
      assert.deepEqual({ wkb: new Uint8Array(gg?.wkb ?? []), srid: gg?.srid }, geometry)
      assert.equal(ga.length, 2)
      assert.equal(ga[1], null)
    }
  })

  test('pgvector: vector, halfvec, sparsevec, in both phases alike (statement P107)', async () => {
    const insert = (id: number) => `INSERT INTO v VALUES (${id}, '[1,2.5,-3]', '[0.5,1]', '{1:1.5,3:2}/5')`
    await using fixture = await open(`${standIn('vector')} ${standIn('halfvec')} ${standIn('sparsevec')}
      CREATE TABLE v (id int PRIMARY KEY, v vector, h halfvec, s sparsevec); ${insert(1)}`)
    const task = await fixture.task(null)
    await fixture.sql(insert(2))
    for (const row of (await task.take(2)).map(rowOf)) {
      assert.deepEqual(row?.['v'], [1, 2.5, -3])
      assert.deepEqual(row['h'], [0.5, 1])
      const sparse = row['s'] as { dimensions: number; vector: ReadonlyMap<number, number> }
      assert.deepEqual(
        [sparse.dimensions, [...sparse.vector]],
        [
          5,
          [
            [1, 1.5],
            [3, 2],
          ],
        ],
      )
    }
  })

  test("a placeholder of one's own, also as hexadecimal bytes (statement P114)", async () => {
    await using fixture = await open(`CREATE TABLE d (id int PRIMARY KEY, small int, body text, raw bytea);
      ALTER TABLE d ALTER body SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTERNAL`)
    for (const [option, text] of [
      ['(gone)', '(gone)'],
      ['hex:c5be21', 'ž!'],
    ] as const) {
      const task = await fixture.task(null, { ...noData, 'unavailable.value.placeholder': option })
      await fixture.sql(
        "TRUNCATE d; INSERT INTO d VALUES (1, 1, repeat('x', 5000), convert_to(repeat('y', 5000), 'UTF8'))",
      )
      await fixture.sql('UPDATE d SET small = 2')
      const row = rowOf((await task.take(2))[1] as SourceRecord)
      assert.equal(row?.['body'], text)
      assert.equal(Buffer.from(row?.['raw'] as Uint8Array).toString(), text)
      await task.stop()
      await fixture.sql(`SELECT pg_drop_replication_slot('${fixture.slot}')`)
    }
  })
})

test('every heartbeat of a fresh stream carries an offset (statement P118)', { skip: postgres.skip }, async () => {
  await using fixture = await open(oneTable)
  const task = await fixture.task(null, { ...noData, 'heartbeat.interval.ms': '20' })
  for (const { topic, sourceOffset } of await task.take(3)) {
    assert.equal(topic, `__debezium-heartbeat.${fixture.name}`)
    assert.equal(typeof sourceOffset['lsn'], 'bigint')
  }
})
