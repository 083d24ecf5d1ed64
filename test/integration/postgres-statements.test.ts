import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { validateConnection } from '../../connectors/postgres-cdc/connector.ts'
import { plugin } from '../../connectors/postgres-cdc/index.ts'
import { parseLsn } from '../../connectors/postgres-cdc/lsn.ts'
import type { SourceRecord } from '../../worker/api/record.ts'
import { parseConfig } from '../../worker/config/config-def.ts'
import { produceOne } from '../conformance/postgres/produce.ts'
import { opOf, PostgresFixture, rowOf, until, valueOf } from '../support/postgres-fixture.ts'
import { requireService, skipUnless } from '../support/services.ts'

/** What the recorded corpus does not show. */
const postgres = requireService('postgres')
const kafka = requireService('kafka')
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

  test('TLS demanded of a server without it fails by the name of the option (statement P13)', async () => {
    await using fixture = await open(oneTable)
    await assert.rejects(fixture.task(null, { 'database.sslmode': 'require' }), /database\.sslmode=require demands/)
    const raw = fixture.options({ 'database.sslmode': 'verify-full' })
    const [problem] = await validateConnection(parseConfig(plugin.config, raw), raw)
    assert.equal(problem?.option, 'database.hostname')
    assert.match(problem.message, /^Error while validating connector config: .*does not support TLS/)
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

suite('signals of the Postgres source', { skip: postgres.skip }, () => {
  const signalled = `${oneTable}; INSERT INTO t SELECT g, 'row' FROM generate_series(1, 10) g;
    CREATE TABLE signals (id varchar(42) PRIMARY KEY, type varchar(32), data varchar(2048))`
  const log = (id: string) => JSON.stringify({ id, type: 'log', data: { message: `by ${id}` } })

  test('log signals by table, file, NOTIFY and Kafka (statement P121)', {
    skip: skipUnless(postgres, kafka),
  }, async () => {
    await using fixture = await open(signalled)
    const file = join(tmpdir(), `${fixture.name}-signals`)
    await writeFile(file, '')
    const task = await fixture.task(null, {
      ...noData,
      'signal.enabled.channels': 'source,file,notify,kafka',
      'signal.data.collection': 'public.signals',
      'signal.file': file,
      'signal.poll.interval.ms': '50',
      'signal.kafka.bootstrap.servers': kafka.settings.brokers.join(','),
      'signal.kafka.groupId': fixture.name,
    })
    // Listening begins with the first poll.
    await task.takeFor(100)
    await produceOne(kafka.settings.brokers, {
      topic: `${fixture.name}-signal`,
      key: fixture.name,
      value: log('kafka'),
    })
    await writeFile(file, `${log('file')}\nno signal\n`)
    await fixture.sql(`NOTIFY "${fixture.name}-signal", '${log('notify')}'`)
    await fixture.sql(`INSERT INTO signals VALUES ('table', 'log', '{"message": "by table"}')`)
    const said = () => task.context.logger.lines.map(({ message }) => message).filter((text) => text.startsWith('by '))
    await until(async () => {
      await task.poll(AbortSignal.timeout(50))
      return said().length >= 4
    }, 'four log lines')
    assert.deepEqual(said().sort(), ['by file', 'by kafka', 'by notify', 'by table'])
  })

  test('a position in the signal topic is an offset: what it covers is not answered again (statement P121)', {
    skip: skipUnless(postgres, kafka),
  }, async () => {
    await using fixture = await open(oneTable)
    const options = {
      ...noData,
      'signal.enabled.channels': 'kafka',
      'signal.poll.interval.ms': '50',
      'signal.kafka.bootstrap.servers': kafka.settings.brokers.join(','),
      'signal.kafka.groupId': fixture.name,
    }
    const topic = `${fixture.name}-signal`
    await produceOne(kafka.settings.brokers, { topic, key: fixture.name, value: log('first') })
    const first = await fixture.task(null, options)
    const count = (task: typeof first, id: string) =>
      task.context.logger.lines.filter(({ message }) => message === `by ${id}`).length
    await until(async () => {
      await first.poll(AbortSignal.timeout(50))
      return count(first, 'first') === 1
    })
    await fixture.sql('INSERT INTO t VALUES (1)')
    const [record] = await first.take(1)
    assert.equal(record?.sourceOffset['signal_kafka_position'], 1n)
    await first.stop()
    await produceOne(kafka.settings.brokers, { topic, key: fixture.name, value: log('second') })
    const second = await fixture.task(record.sourceOffset, options)
    await until(async () => {
      await second.poll(AbortSignal.timeout(50))
      return count(second, 'second') === 1
    })
    assert.equal(count(second, 'first'), 0)
  })

  test('rows that change while their chunk is read leave it (statement P123)', async () => {
    await using fixture = await open(signalled)
    const task = await fixture.task(null, { ...noData, 'signal.data.collection': 'public.signals' })
    // The chunk is read when the signal comes; the changes stand between its markers.
    await fixture.sql(
      `CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.type = 'snapshot-window-close' THEN
          UPDATE t SET v = 'changed' WHERE id = 3; DELETE FROM t WHERE id = 4; UPDATE t SET id = 50 WHERE id = 5;
        END IF; RETURN NEW; END $$;
      CREATE TRIGGER touch BEFORE INSERT ON signals FOR EACH ROW EXECUTE FUNCTION touch();
      INSERT INTO signals VALUES ('s', 'execute-snapshot', '{"data-collections": ["public\\\\.t"]}')`.replaceAll(
        '\\\\\\\\',
        '\\\\',
      ),
    )
    const records = await task.takeUntil((all) => all.filter((record) => opOf(record) === 'r').length >= 7)
    const read = records.filter((record) => opOf(record) === 'r').map((record) => rowOf(record)?.['id'])
    assert.deepEqual(read, [1, 2, 6, 7, 8, 9, 10])
  })

  test('a restart in the middle goes on behind the last row; insert_delete leaves no marker (statement P124)', async () => {
    await using fixture = await open(signalled)
    const options = {
      ...noData,
      'signal.data.collection': 'public.signals',
      'incremental.snapshot.chunk.size': '3',
      'incremental.snapshot.watermarking.strategy': 'insert_delete',
    }
    const task = await fixture.task(null, options)
    await fixture.sql(`INSERT INTO signals VALUES ('s', 'execute-snapshot', '{"data-collections": ["public.t"]}')`)
    const isRead = (record: SourceRecord) => opOf(record) === 'r'
    const before = await task.takeUntil((all) => all.filter(isRead).length >= 5)
    const [, , , fourth] = before.filter(isRead)
    await task.stop()
    const restarted = await fixture.task(fourth?.sourceOffset ?? null, options)
    const after = (await restarted.takeUntil((all) => all.some((record) => rowOf(record)?.['id'] === 10))).filter(
      isRead,
    )
    assert.deepEqual(ids(after), [4, 5, 6, 7, 8, 9, 10])
    await until(async () => {
      await restarted.poll(AbortSignal.timeout(50))
      return (await fixture.sql("SELECT 1 FROM signals WHERE id LIKE '%-open'")).length === 0
    }, 'the end of the markers')
  })

  test('a chunk has no generated columns, as the stream has none (statement P130)', async () => {
    await using fixture = await open(
      `CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED, c text);
       INSERT INTO t (id, c) VALUES (1, 'a'), (2, 'b');
       CREATE TABLE signals (id varchar(42) PRIMARY KEY, type varchar(32), data varchar(2048))`,
    )
    const task = await fixture.task(null, { ...noData, 'signal.data.collection': 'public.signals' })
    await fixture.sql(`INSERT INTO t (id, c) VALUES (3, 'c')`)
    await fixture.sql(`INSERT INTO signals VALUES ('s', 'execute-snapshot', '{"data-collections": ["public.t"]}')`)
    const records = await task.takeUntil((all) => all.filter((record) => opOf(record) === 'r').length >= 3)
    const rows = records.filter(({ topic }) => topic.endsWith('.t')).map(rowOf)
    assert.deepEqual(rows, [
      { id: 3, c: 'c' },
      { id: 1, c: 'a' },
      { id: 2, c: 'b' },
      { id: 3, c: 'c' },
    ])
  })

  const keyed: Readonly<Record<string, { readonly table: string; readonly rows: string; readonly count: number }>> = {
    composite: {
      table: '(a int, b text, c uuid, d date, PRIMARY KEY (d, b, a, c))',
      rows: "SELECT g % 3, 'k' || g, md5(g::text)::uuid, date '2020-01-01' + g % 2 FROM generate_series(1, 9) g",
      count: 9,
    },
    numeric: {
      table: '(n numeric PRIMARY KEY)',
      rows: "SELECT unnest(ARRAY['-Infinity', '-1.50', '0', '2', '10', 'Infinity', 'NaN']::numeric[])",
      count: 7,
    },
    enum: {
      table: '(e mood PRIMARY KEY)',
      rows: "SELECT unnest(ARRAY['sad', 'ok', 'happy']::mood[])",
      count: 3,
    },
    'a composite type and a domain over it': {
      table: '(n int, p "Pair", d "Other" NOT NULL, PRIMARY KEY (p, d, n))',
      rows: 'SELECT g, row(g % 2, \'a b\')::"Pair", row(g % 3, NULL)::"Pair" FROM generate_series(1, 9) g',
      count: 9,
    },
    text: {
      table: '(x text PRIMARY KEY)',
      rows: "SELECT unnest(ARRAY['', 'a''b', E'back\\\\slash', 'ž', 'Z', 'a'])",
      count: 6,
    },
  }
  for (const [name, { table, rows, count }] of Object.entries(keyed)) {
    test(`chunks over a key of kind ${name} read every row once (statement P125)`, async () => {
      await using fixture = await open(
        `${signalled}; CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE TYPE "Pair" AS (a int, b text);
         CREATE DOMAIN "Other" AS "Pair"; CREATE TABLE k ${table}; INSERT INTO k ${rows}`,
      )
      const task = await fixture.task(null, {
        ...noData,
        'signal.data.collection': 'public.signals',
        'incremental.snapshot.chunk.size': '2',
        'decimal.handling.mode': 'string',
      })
      await fixture.sql(`INSERT INTO signals VALUES ('s', 'execute-snapshot', '{"data-collections": ["public.k"]}')`)
      const records = await task.takeUntil((all) => all.filter((record) => opOf(record) === 'r').length >= count)
      await fixture.sql('INSERT INTO t VALUES (99)')
      const rest = await task.takeUntil((all) => ids(all).includes(99))
      const read = [...records, ...rest].filter((record) => opOf(record) === 'r')
      assert.equal(read.length, count)
      assert.equal(new Set(read.map((record) => JSON.stringify(record.key))).size, count)
    })
  }

  test('a partitioned table and a partition of it are read (statement P129)', async () => {
    await using fixture = await open(`${signalled}; CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
      CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
      INSERT INTO p VALUES (1), (2), (11)`)
    const task = await fixture.task(null, { ...noData, 'signal.data.collection': 'public.signals' })
    const signal = async (id: string, table: string) =>
      await fixture.sql(
        `INSERT INTO signals VALUES ('${id}', 'execute-snapshot', '{"data-collections": ["public.${table}"]}')`,
      )
    const read = async (count: number) => {
      const all = await task.takeUntil((records) => records.filter((record) => opOf(record) === 'r').length >= count)
      return all
        .filter((record) => opOf(record) === 'r')
        .map(({ topic, key }) => [topic.split('.').at(-1), (key as { id: number }).id])
    }
    await signal('a', 'p')
    assert.deepEqual(await read(3), [
      ['p', 1],
      ['p', 2],
      ['p', 11],
    ])
    await signal('b', 'p2')
    assert.deepEqual(await read(1), [['p2', 11]])
  })

  test('read-only snapshots: conditions, several tables, keyless and unknown ones, a restart (statement P131)', async () => {
    await using fixture = await open(`${oneTable}; INSERT INTO t SELECT g, 'row' FROM generate_series(1, 20) g;
      CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1), (2); CREATE TABLE keyless (x int); INSERT INTO keyless VALUES (1)`)
    const file = join(tmpdir(), `${fixture.name}-signals`)
    await writeFile(file, '')
    const options = {
      ...noData,
      'read.only': 'true',
      'signal.enabled.channels': 'file',
      'signal.file': file,
      'signal.poll.interval.ms': '20',
      'incremental.snapshot.chunk.size': '4',
      'notification.enabled.channels': 'log',
    }
    // Sessions of the task cannot write, whatever they try.
    await fixture.sql(`CREATE PUBLICATION ${fixture.publication} FOR ALL TABLES`)
    await fixture.sql(`ALTER DATABASE ${fixture.name} SET default_transaction_read_only = on`)
    const task = await fixture.task(null, options)
    const execute = (data: unknown) => JSON.stringify({ id: 's', type: 'execute-snapshot', data })
    const conditions = [{ 'data-collection': 'public.t', filter: 'id <= 6' }]
    await writeFile(
      file,
      execute({
        'data-collections': ['public.keyless', 'public.nowhere', 'public.t', 'public.u'],
        'additional-conditions': conditions,
      }),
    )
    assert.deepEqual(ids(await task.take(8)), [1, 2, 3, 4, 5, 6, 1, 2])
    const statuses = () =>
      task.context.logger.lines.map(({ fields }) => fields['status']).filter((status) => status !== undefined)
    await until(async () => {
      await task.poll(AbortSignal.timeout(20))
      return statuses().includes('SUCCEEDED')
    })
    assert.ok(statuses().includes('NO_PRIMARY_KEY') && statuses().includes('UNKNOWN_SCHEMA'), statuses().join())
    await writeFile(file, execute({ 'data-collections': ['public.t'] }))
    const some = await task.take(5)
    const cut = some[3]
    assert.ok(cut !== undefined)
    await task.stop()
    const restarted = await fixture.task(cut.sourceOffset, options)
    assert.deepEqual(
      ids(await restarted.take(16)),
      Array.from({ length: 16 }, (_, i) => i + 5),
    )
    await fixture.sql('INSERT INTO u VALUES (3)')
    const [last] = await restarted.take(1)
    assert.deepEqual(
      [rowOf(last as SourceRecord)?.['id'], last?.sourceOffset['incremental_snapshot_collections']],
      [3, undefined],
    )
  })
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
