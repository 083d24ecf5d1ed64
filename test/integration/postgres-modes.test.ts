import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import type { SourceRecord } from '../../worker/api/record.ts'
import { opOf, PostgresFixture, rowOf, valueOf } from '../support/postgres-fixture.ts'
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

  test('a heartbeat ends a snapshot that no stream follows: of empty tables its offset is the only one', async () => {
    await using fixture = await PostgresFixture.open(postgres.settings.url, 'CREATE TABLE t (id int PRIMARY KEY)')
    const options = { 'snapshot.mode': 'initial_only', 'heartbeat.interval.ms': '3600000' }
    const task = await fixture.task(null, options)
    const [beat] = await task.take(1)
    assert.match(beat?.topic ?? '', /^__debezium-heartbeat/)
    assert.deepEqual(Object.keys(beat?.sourceOffset ?? {}).sort(), ['lsn', 'ts_usec', 'txId'])
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

/** Type and additional data of the notifications among records, without the name of the connector. */
function notes(records: readonly SourceRecord[], topic = 'notes'): readonly string[] {
  return records
    .filter((record) => record.topic === topic)
    .map((record) => {
      const { aggregate_type, type, additional_data } = valueOf(record) as {
        readonly aggregate_type: string
        readonly type: string
        readonly additional_data: ReadonlyMap<string, string>
      }
      assert.equal(aggregate_type, 'Initial Snapshot')
      assert.ok(additional_data.has('connector_name'))
      const data = [...additional_data].filter(([name]) => name !== 'connector_name').map((entry) => entry.join('='))
      return [type, ...data.sort()].join(' ')
    })
}

/** What Debezium 3.7 was seen to send, with `snapshot.max.threads` 1 and 2, for these tables. */
suite('notifications of snapshots', { skip: postgres.skip }, () => {
  const tables = `CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b SELECT generate_series(1, 5);
    CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1); CREATE TABLE e (id int PRIMARY KEY);
    CREATE TABLE signals (id varchar(42) PRIMARY KEY, type varchar(32), data varchar(2048))`
  const options = {
    'notification.enabled.channels': 'sink,log',
    'notification.sink.topic.name': 'notes',
    'signal.data.collection': 'public.signals',
  }
  const all = 'data_collections=public.a,public.b,public.e,public.signals'
  const read = 'data_collections=public.a,public.b,public.e'
  const begun = (table: string) => `IN_PROGRESS current_collection_in_progress=public.${table} ${read}`
  const scanned = (table: string, rows: number) =>
    `TABLE_SCAN_COMPLETED ${all} scanned_collection=public.${table} status=SUCCEEDED total_rows_scanned=${rows}`
  const isOver = (records: readonly SourceRecord[]) => notes(records).some((text) => /^(COMPLETED|ABORTED)/.test(text))

  test('each table of the initial snapshot, in order, and of a blocking one (statement P133)', async () => {
    await using fixture = await PostgresFixture.open(postgres.settings.url, tables)
    const task = await fixture.task(null, options)
    const initial = await task.takeUntil(isOver)
    // As Debezium stores it: whoever goes on from the last notification finds no snapshot to take.
    assert.deepEqual(Object.keys(initial.at(-1)?.sourceOffset ?? {}).sort(), ['lsn', 'ts_usec', 'txId'])
    assert.equal(initial.at(-2)?.sourceOffset['snapshot_completed'], true)
    assert.deepEqual(notes(initial), [
      'STARTED',
      `DATA_COLLECTIONS_RESOLVED ${all}`,
      begun('a'),
      scanned('a', 1),
      begun('b'),
      scanned('b', 5),
      begun('e'),
      scanned('e', 0),
      'COMPLETED',
    ])
    const logged = task.context.logger.lines.filter(({ message }) => message === 'Notification')
    assert.equal(logged.length, 9)
    await fixture.sql(
      `INSERT INTO signals VALUES ('1', 'execute-snapshot', '{"data-collections": ["public.b"], "type": "BLOCKING"}')`,
    )
    assert.deepEqual(notes(await task.takeUntil(isOver)), [
      'STARTED',
      'DATA_COLLECTIONS_RESOLVED data_collections=public.b',
      'IN_PROGRESS current_collection_in_progress=public.b data_collections=public.b',
      'TABLE_SCAN_COMPLETED data_collections=public.b scanned_collection=public.b status=SUCCEEDED total_rows_scanned=5',
      'COMPLETED',
    ])
  })

  test('conditions of a blocking snapshot name tables, not patterns; a heartbeat is behind it', async () => {
    await using fixture = await PostgresFixture.open(postgres.settings.url, tables)
    const followed = { 'heartbeat.interval.ms': '3600000', 'xmin.fetch.interval.ms': '1' }
    const task = await fixture.task(null, { ...options, ...followed })
    const isBeat = (topic: string | undefined) => topic?.startsWith('__debezium-heartbeat') === true
    const untilBeat = (records: readonly SourceRecord[]) => isBeat(records.at(-1)?.topic)
    await task.takeUntil(untilBeat)
    const rowsFor = async (collection: string) => {
      const condition = { 'data-collection': collection, filter: 'SELECT * FROM b LIMIT 2' }
      const data = { 'data-collections': ['public.b'], type: 'BLOCKING', 'additional-conditions': [condition] }
      await fixture.sql(
        `INSERT INTO signals VALUES (gen_random_uuid()::text, 'execute-snapshot', '${JSON.stringify(data)}')`,
      )
      const rows = (await task.takeUntil(untilBeat)).filter(({ topic }) => topic.endsWith('.b'))
      // Rows within the stream name what it follows, as its changes do (statement P64).
      for (const row of rows) assert.notEqual((valueOf(row) as { source: { xmin: unknown } }).source.xmin, null)
      return rows.length
    }
    assert.deepEqual(
      [
        await rowsFor('public.b'),
        await rowsFor('"public"."b"'),
        await rowsFor('public\\\\.b'),
        await rowsFor('PUBLIC.B'),
      ],
      [2, 2, 5, 5],
    )
  })

  test('with several readers each range of a table, too', async () => {
    await using fixture = await PostgresFixture.open(postgres.settings.url, tables)
    const task = await fixture.task(null, { ...options, 'snapshot.max.threads': '2' })
    const told = notes(await task.takeUntil(isOver))
    const chunk = (table: string) => [
      `TABLE_CHUNK_IN_PROGRESS chunk_index=0 current_collection_in_progress=public.${table} total_chunks=1 total_rows_scanned=0`,
      `TABLE_CHUNK_COMPLETED chunk_index=0 ${all} scanned_collection=public.${table} status=SUCCEEDED total_chunks=1`,
    ]
    const expected = ['a', 'b', 'e'].flatMap((t, i) => [begun(t), ...chunk(t), scanned(t, [1, 5, 0][i] ?? -1)])
    assert.deepEqual(told.toSorted(), ['STARTED', `DATA_COLLECTIONS_RESOLVED ${all}`, 'COMPLETED', ...expected].sort())
    assert.equal(told.at(-1), 'COMPLETED')
  })

  test('a start that reads nothing says so', async () => {
    await using fixture = await PostgresFixture.open(postgres.settings.url, tables)
    const task = await fixture.task(null, { ...options, 'snapshot.mode': 'no_data' })
    assert.deepEqual(notes(await task.take(1)), ['SKIPPED'])
  })

  test('a table that cannot be read ends the snapshot; the next one goes on behind what was sent', async () => {
    await using fixture = await PostgresFixture.open(postgres.settings.url, tables)
    const failing = {
      'snapshot.select.statement.overrides': 'public.b',
      'snapshot.select.statement.overrides.public.b': 'SELECT 10 / (id - 3) AS id FROM public.b',
    }
    const task = await fixture.task(null, { ...options, ...failing })
    const told = notes(await task.takeUntil(isOver))
    assert.deepEqual(told.slice(-2), [
      'TABLE_SCAN_COMPLETED scanned_collection=public.b status=SQL_EXCEPTION',
      'ABORTED',
    ])
    await task.stop()
    const next = await fixture.task(task.offset, options)
    const rows = (await next.takeUntil(isOver)).filter(({ topic }) => topic !== 'notes')
    assert.deepEqual(rows.map((record) => rowOf(record)?.['id']).slice(-5), [1, 2, 3, 4, 5])
  })
})

suite('changes that cannot be converted', { skip: postgres.skip }, () => {
  // NaN is no Decimal.
  const numbers = 'CREATE TABLE t (id int PRIMARY KEY, n numeric(9, 2)); ALTER TABLE t REPLICA IDENTITY FULL'
  const changes = `INSERT INTO t VALUES (1, 1), (2, 'NaN'), (3, 3); UPDATE t SET n = 4 WHERE id = 2;
    DELETE FROM t WHERE id = 3; UPDATE t SET n = 'NaN', id = 7 WHERE id = 1; INSERT INTO t VALUES (8, 8)`
  const refused = { 'snapshot.mode': 'no_data', 'event.converting.failure.handling.mode': 'fail' }
  const what = (records: readonly SourceRecord[]) =>
    records
      .map((record) => `${record.value === null ? '' : opOf(record)}${(record.key as { id: number }).id}`)
      .join(' ')

  for (const mode of ['warn', 'skip', 'ignore']) {
    test(`event.processing.failure.handling.mode=${mode} leaves out the whole change, and nothing else`, async () => {
      await using fixture = await PostgresFixture.open(postgres.settings.url, numbers)
      const task = await fixture.task(null, { ...refused, 'event.processing.failure.handling.mode': mode })
      await fixture.sql(changes)
      const records = await task.takeUntil((all) => all.some((r) => r.value !== null && rowOf(r)?.['id'] === 8))
      // Neither the row with NaN, nor the update from it, nor any of the three records of the key that changed.
      assert.equal(what(records), 'c1 c3 d3 3 c8')
      const warnings = task.context.logger.lines.filter(
        ({ level, message }) => level === 'warn' && /left out/.test(message),
      )
      assert.equal(warnings.length, mode === 'warn' ? 3 : 0)
    })
  }

  test('event.processing.failure.handling.mode=fail: the record is refused where it is converted', async () => {
    await using fixture = await PostgresFixture.open(postgres.settings.url, numbers)
    const task = await fixture.task(null, refused)
    await fixture.sql(changes)
    await assert.rejects(task.take(3), { kind: 'record', code: 'CONNECT_POSTGRES_VALUE_REFUSED', message: /Field n/ })
  })
})

suite('custom converters', { skip: postgres.skip }, () => {
  const source = `export default () => {
    let unit = ''
    return {
      configure(options) {
        if (options.unit === undefined) throw new Error('unit is missing')
        unit = options.unit
      },
      converterFor(column, registration) {
        if (column.typeExpression !== 'numeric(9,2)') return
        registration.register({ type: 'STRING', name: column.dataCollection, optional: false }, (text) => {
          if (text === 'NaN') throw new Error('no number')
          return text === null ? null : text + unit
        })
      },
    }
  }`
  const setup = `CREATE TABLE t (id int PRIMARY KEY, price numeric(9, 2), tax numeric(9, 2) NOT NULL, other numeric(9, 3), pad text);
    INSERT INTO t VALUES (1, 1.5, 2, 3, 'x'), (2, NULL, 'NaN', 4, 'x')`

  async function withModule(text: string, run: (folder: string) => Promise<void>): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-converter-'))
    try {
      await writeFile(join(folder, 'money.mjs'), text)
      await run(folder)
    } finally {
      await rm(folder, { recursive: true })
    }
  }
  const named = { converters: 'money', 'money.type': 'money.mjs', 'money.unit': ' EUR' }

  test('a module of plugin.path turns the columns that it takes into values of its schema, in both phases', async () => {
    await withModule(source, async (folder) => {
      await using fixture = await PostgresFixture.open(postgres.settings.url, setup)
      const task = await fixture.task(null, named, { pluginPath: [folder] })
      const rows = await task.take(2)
      await fixture.sql("INSERT INTO t VALUES (3, 7, 8, 9, 'y')")
      const [streamed] = await task.take(1)
      const moneyOf = (record: SourceRecord) => [rowOf(record)?.['price'], rowOf(record)?.['tax']]
      assert.deepEqual([...rows, streamed ?? assert.fail()].map(moneyOf), [
        ['1.50 EUR', '2.00 EUR'],
        // What the converter refuses is a value that cannot be converted: null, with a warning.
        [null, null],
        ['7.00 EUR', '8.00 EUR'],
      ])
      const fields = rows[0]?.valueSchema?.fields?.find(({ name }) => name === 'after')?.schema.fields ?? []
      const kinds = fields.map(({ name, schema }) => [name, schema.name, schema.optional])
      assert.deepEqual(kinds.slice(1, 4), [
        ['price', 'public.t', true],
        ['tax', 'public.t', false],
        ['other', 'org.apache.kafka.connect.data.Decimal', true],
      ])
      assert.ok(task.context.logger.lines.some(({ message }) => /could not be converted/.test(message)))
    })
  })

  test('a module elsewhere, one that makes no converter, and refused options fail the start by their option', async () => {
    await withModule(source, async (folder) => {
      await using fixture = await PostgresFixture.open(postgres.settings.url, setup)
      const start = (options: Readonly<Record<string, string>>, pluginPath = [folder]) =>
        fixture.task(null, { ...named, ...options }, { pluginPath })
      await writeFile(join(folder, 'other.mjs'), 'export default () => ({})')
      const at = (message: RegExp) => ({ kind: 'config', message })
      await assert.rejects(start({}, []), at(/money\.type.*There is no module/s))
      await assert.rejects(
        start({ 'money.type': join(folder, 'money.mjs') }, ['/etc/hosts']),
        at(/not below any entry/),
      )
      await assert.rejects(start({ 'money.type': 'other.mjs' }), at(/makes no converter/))
      const { 'money.unit': _unit, ...without } = named
      await assert.rejects(fixture.task(null, without, { pluginPath: [folder] }), at(/unit is missing/))
    })
  })
})

suite('options for special cases', { skip: postgres.skip }, () => {
  test('internal.custom.retriable.exception: an error that it names is tried again, others are not', async () => {
    await using fixture = await PostgresFixture.open(postgres.settings.url, table)
    const start = (pattern: string) =>
      fixture.task(null, { 'publication.autocreate.mode': 'disabled', 'internal.custom.retriable.exception': pattern })
    await assert.rejects(start('.*autocreation is disabled.*'), {
      kind: 'retriable',
      code: 'CONNECT_POSTGRES_PUBLICATION',
    })
    await assert.rejects(start('autocreation'), { kind: 'fatal', code: 'CONNECT_POSTGRES_PUBLICATION' })
  })

  test('internal.create.slot.command.timeout: a transaction that never ends holds a slot off no longer than that', async () => {
    await using fixture = await PostgresFixture.open(postgres.settings.url, table)
    const other = await fixture.session()
    await other.query('BEGIN; INSERT INTO t VALUES (1)')
    await assert.rejects(fixture.task(null, { 'internal.create.slot.command.timeout': '200' }), {
      kind: 'retriable',
      code: 'CONNECT_POSTGRES_BUSY',
      message: /waits for transactions that were open before/,
    })
    await other.query('COMMIT')
    await other.end()
    const task = await fixture.task(null, { 'internal.create.slot.command.timeout': '0' })
    assert.deepEqual(seen(await task.take(1)), ['r1'])
  })

  test('legacy.snapshot.max.threads: each connection reads whole tables', async () => {
    const wide = `CREATE TABLE t (id int PRIMARY KEY, pad text);
      INSERT INTO t SELECT g, repeat('x', 1900) FROM generate_series(1, 4400) g; ANALYZE`
    await using fixture = await PostgresFixture.open(postgres.settings.url, wide)
    const ranges = async (legacy: string) => {
      const task = await fixture.task(null, {
        'snapshot.mode': 'initial_only',
        'snapshot.max.threads': '2',
        'legacy.snapshot.max.threads': legacy,
        'notification.enabled.channels': 'sink',
        'notification.sink.topic.name': 'notes',
      })
      const told = await task.takeUntil((records) => notes(records).includes('COMPLETED'))
      await task.stop()
      return notes(told).filter((text) => text.startsWith('TABLE_CHUNK_COMPLETED')).length
    }
    assert.deepEqual([await ranges('false'), await ranges('true')], [2, 1])
  })

  /** Described on the connection of the first reader, whose COPY waits for its rows to be taken, `b` would stop all. */
  test('several readers: a statement of the user is described while another table is read', async () => {
    const rows = 2000
    await using fixture = await PostgresFixture.open(
      postgres.settings.url,
      `CREATE TABLE a (id int PRIMARY KEY, pad text); CREATE TABLE b (id int PRIMARY KEY, v text);
       INSERT INTO a SELECT g, repeat('x', 1900) FROM generate_series(1, ${rows}) g; INSERT INTO b VALUES (1), (2)`,
    )
    const task = await fixture.task(null, {
      'snapshot.mode': 'initial_only',
      'snapshot.max.threads': '2',
      'max.queue.size.in.bytes': '65536',
      'snapshot.select.statement.overrides': 'public.b',
      'snapshot.select.statement.overrides.public.b': 'SELECT * FROM public.b WHERE id > 1',
    })
    const records = await task.take(rows + 1)
    const ofB = records.filter((record) => record.topic.endsWith('.b'))
    assert.deepEqual([records.length, seen(ofB)], [rows + 1, ['r2']])
  })
})
