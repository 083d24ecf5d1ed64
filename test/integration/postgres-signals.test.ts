/** Signals and what they lead to, where the recorded corpus does not show it. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import type { SourceRecord } from '../../worker/api/record.ts'
import { produceOne } from '../conformance/postgres/produce.ts'
import { opOf, PostgresFixture, rowOf, until } from '../support/postgres-fixture.ts'
import { requireService, skipUnless } from '../support/services.ts'

const postgres = requireService('postgres')
const kafka = requireService('kafka')
const open = async (setup: string) => await PostgresFixture.open(postgres.settings.url, setup)
const oneTable = 'CREATE TABLE t (id int PRIMARY KEY, v text)'
const noData = { 'snapshot.mode': 'no_data' }
const ids = (records: readonly SourceRecord[]) => records.map((record) => rowOf(record)?.['id'])

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

  test('while a snapshot runs another is asked for: what follows has the id of the later signal, as in Debezium', async () => {
    await using fixture = await open(signalled)
    const task = await fixture.task(null, {
      ...noData,
      'signal.data.collection': 'public.signals',
      'incremental.snapshot.chunk.size': '2',
      'notification.enabled.channels': 'sink',
      'notification.sink.topic.name': 'notices',
    })
    const execute = `'execute-snapshot', '{"data-collections": ["public.t"]}'`
    // In one transaction: the second comes before the first has read all of its chunks.
    await fixture.sql(`INSERT INTO signals VALUES ('first', ${execute}), ('second', ${execute})`)
    const records = await task.takeUntil((all) => all.filter((record) => opOf(record) === 'r').length >= 20)
    const notices = records.flatMap(({ topic, value }) =>
      topic === 'notices' ? [value as { id: string; aggregate_type: string; type: string }] : [],
    )
    const told = notices.filter((notice) => notice.aggregate_type === 'Incremental Snapshot')
    const [started, ...later] = told.slice(told.findIndex(({ type, id }) => type === 'STARTED' && id === 'second'))
    assert.equal(started?.id, 'second')
    assert.ok(later.length > 5)
    assert.deepEqual(new Set(later.map(({ id }) => id)), new Set(['second']))
    const members = records.map(({ sourceOffset }) => sourceOffset['incremental_snapshot_correlation_id'])
    assert.ok(members.includes('second'))
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
