import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { Catalog } from '../../../../connectors/postgres-cdc/catalog.ts'
import { ColumnMappers } from '../../../../connectors/postgres-cdc/column-mappers.ts'
import type { Database } from '../../../../connectors/postgres-cdc/connection.ts'
import { Filters } from '../../../../connectors/postgres-cdc/filters.ts'
import { lsn } from '../../../../connectors/postgres-cdc/lsn.ts'
import { topicNames } from '../../../../connectors/postgres-cdc/names.ts'
import { StreamPosition } from '../../../../connectors/postgres-cdc/offsets.ts'
import { ResumeFilter } from '../../../../connectors/postgres-cdc/resume.ts'
import { StreamDecoder } from '../../../../connectors/postgres-cdc/stream-decoder.ts'
import { TableSchemas } from '../../../../connectors/postgres-cdc/table-schema.ts'
import type { ValueOptions } from '../../../../connectors/postgres-cdc/values/codec.ts'
import type { Struct } from '../../../../worker/api/data.ts'
import type { SourceRecord } from '../../../../worker/api/record.ts'
import { parseConfig } from '../../../../worker/config/config-def.ts'
import { JsonConverter, jsonConverterConfig } from '../../../../worker/converters/json.ts'
import { GrowingByteWriter } from '../../../../worker/util/byte-writer.ts'
import { defaultValueOptions } from '../../../support/postgres-values.ts'
import {
  begin,
  type CellText,
  commit,
  freeMessage,
  insert,
  origin,
  relation,
  remove,
  update,
  xlogData,
} from './pgoutput-messages.ts'

const types = [
  [23, 'int4', 'N'],
  [20, 'int8', 'N'],
  [25, 'text', 'S'],
  [1700, 'numeric', 'N'],
  [16, 'bool', 'B'],
  [1114, 'timestamp', 'D'],
  [17, 'bytea', 'U'],
  [701, 'float8', 'N'],
] as const
const columns = types.map(([oid, name], i) => ({
  name: `${name}_${i}`,
  oid,
  typmod: oid === 1700 ? 655366 : -1,
  key: i === 0,
}))

/** Answers the catalog's queries for one table. */
const asked: string[] = []
const database = {
  rows: async (sql: string) => {
    if (sql.includes('pg_attribute a JOIN pg_type')) {
      asked.push('columns')
      return columns.map((c) => ({
        attname: c.name,
        atttypid: String(c.oid),
        atttypmod: String(c.typmod),
        notnull: c.key ? 't' : 'f',
        dflt: null,
        generated: 'f',
      }))
    }
    if (sql.includes('pg_index')) return [{ relname: 't_pkey', indisprimary: 't', attname: columns[0]?.name ?? null }]
    return types.map(([oid, typname, typcategory]) => ({
      oid: String(oid),
      typname,
      typcategory,
      typtype: 'b',
      typelem: '0',
      typdelim: ',',
      typbasetype: '0',
      typtypmod: '-1',
      labels: null,
    }))
  },
} as unknown as Database

const none = { schemaInclude: null, schemaExclude: null, tableInclude: null, tableExclude: null, columnInclude: null }
const noFilters = { columnExclude: null, messagePrefixInclude: null, messagePrefixExclude: null, snapshotTables: null }

function decoder(skipUnchanged: boolean): StreamDecoder {
  const filters = new Filters({ ...none, ...noFilters, ignoreBuiltin: true, keyColumns: null })
  const values: ValueOptions = defaultValueOptions('unavailable')
  const names = { prefix: 'p', delimiter: '.', heartbeatPrefix: 'hb', heartbeatName: null, transaction: 'tx' }
  const topics = topicNames(names)
  const catalog = new Catalog(database)
  const adjust = { schemaNames: 'none', fieldNames: 'none' } as const
  const silent = () => undefined
  return new StreamDecoder({
    catalog,
    schemas: new TableSchemas(
      { values, filters, topics, mappers: new ColumnMappers({}), converters: null, ...adjust },
      catalog,
    ),
    filters,
    constants: { connectorName: 'c', logicalName: 'p', database: 'd', failures: { failed: silent } },
    partition: { server: 'p' },
    headers: [],
    messageTopic: 'p.message',
    binary: 'bytes',
    skipped: new Set(['t']),
    tombstones: true,
    skipUnchanged,
    position: new StreamPosition(null, lsn(0n)),
    resume: new ResumeFilter(null, null),
    transactions: null,
    nowUs: () => 1_700_000_000_000_000,
    xmin: () => null,
    shown: async (xid) => void asked.push(`transaction ${xid}`),
    signals: null,
    until: null,
  })
}

async function decode(frames: readonly Buffer[], skipUnchanged = false): Promise<readonly SourceRecord[]> {
  const bytes = Buffer.concat(frames)
  const stream = decoder(skipUnchanged)
  stream.feed({ bytes, start: 0, end: bytes.length, count: frames.length })
  const records: SourceRecord[] = []
  while (stream.hasMore) records.push(...(await stream.decode(3)))
  return records
}

const optional = (cell: fc.Arbitrary<string>) => fc.oneof(fc.constant(null), fc.constant(undefined), cell)
const row: fc.Arbitrary<readonly CellText[]> = fc.tuple(
  fc.integer({ min: -5, max: 5 }).map(String),
  optional(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String)),
  optional(fc.string({ unit: 'grapheme' })),
  optional(fc.integer({ min: -99_999, max: 99_999 }).map((n) => (n / 100).toFixed(2))),
  optional(fc.constantFrom('t', 'f')),
  optional(fc.constantFrom('2024-02-29 01:02:03.000004', '0044-03-15 12:00:00 BC', 'infinity', '20000-01-01 00:00:00')),
  optional(fc.uint8Array().map((b) => `\\x${Buffer.from(b).toString('hex')}`)),
  optional(fc.oneof(fc.double().map(String), fc.constantFrom('NaN', '-Infinity', '1e+300'))),
)
/** An old row has no unchanged values. */
const oldRow = row.map((cells) => cells.map((cell) => cell ?? null))

suite('stream decoder', () => {
  test('views and their structs give the same bytes', async () => {
    const json = new JsonConverter()
    json.configure(parseConfig(jsonConverterConfig, { 'converter.type': 'value' }), 'value')
    const change = fc.oneof(
      row.map((now) =>
        insert(
          9,
          now.map((cell) => cell ?? null),
        ),
      ),
      fc.tuple(oldRow, row).map(([old, now]) => update(9, { kind: 'O', row: old }, now)),
      row.map((now) => update(9, null, now)),
      oldRow.map((old) => remove(9, 'O', old)),
    )
    const out = new GrowingByteWriter()
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 8 }), async (changes) => {
        const frames = [begin(900n, 7), relation(9, 'public', 't', columns), ...changes, commit(900n, 950n)]
        const records = await decode(frames.map((message, i) => xlogData(BigInt(100 + i), message)))
        assert.ok(records.length >= changes.length)
        for (const record of records) {
          for (const [schema, raw, plain] of [
            [record.keySchema, record.rawKey, record.key],
            [record.valueSchema, record.rawValue, record.value],
          ] as const) {
            out.reset()
            const written = json.write(record.topic, [], schema, raw, out)
            const slow = json.fromConnectData(record.topic, [], schema, plain)
            assert.equal(written, slow !== null)
            if (slow !== null) assert.equal(Buffer.from(out.since(0)).toString(), Buffer.from(slow).toString())
          }
        }
      }),
      { verbose: true },
    )
  })

  test('a key change is delete, tombstone and create, each with the other key in a header', async () => {
    const rest: readonly CellText[] = columns.slice(1).map(() => null)
    const messages = [
      begin(900n, 7),
      relation(9, 'public', 't', columns),
      update(9, { kind: 'K', row: ['1', ...rest] }, ['2', ...rest]),
    ]
    const records = await decode(messages.map((message, i) => xlogData(BigInt(100 + i), message)))
    assert.deepEqual(
      records.map((r) => [
        (r.value as { op?: string } | null)?.op ?? null,
        Object.values(r.key as object)[0],
        r.headers[0]?.key,
      ]),
      [
        ['d', 1, '__debezium.newkey'],
        [null, 1, '__debezium.newkey'],
        ['c', 2, '__debezium.oldkey'],
      ],
    )
  })

  test('a deletion shares its headers with its tombstone, by which transforms know it, and with nothing else', async () => {
    const gone = remove(
      9,
      'K',
      columns.map((_, i) => (i === 0 ? '1' : null)),
    )
    const messages = [begin(900n, 7), relation(9, 'public', 't', columns), gone, gone]
    const records = await decode(messages.map((message, i) => xlogData(BigInt(100 + i), message)))
    const [first, tombstone, second] = records
    assert.deepEqual(
      records.map(({ valueSchema }) => valueSchema === null),
      [false, true, false, true],
    )
    assert.equal(first?.headers, tombstone?.headers)
    assert.notEqual(first?.headers, second?.headers)
  })

  test('skip.messages.without.change: an update is none when each value is what it was, whatever its text', async () => {
    const old: readonly CellText[] = ['1', '2', 'x', '1.50', 't', null, '\\x00', '1e1']
    const updates = [
      old,
      old.with(7, '10'),
      old.with(2, undefined),
      old.with(7, '11'),
      old.with(5, '2024-02-29 01:02:03'),
      old.with(2, null),
    ]
    const messages = [
      begin(900n, 7),
      relation(9, 'public', 't', columns),
      ...updates.map((now) => update(9, { kind: 'O', row: old }, now)),
    ]
    const frames = messages.map((message, i) => xlogData(BigInt(100 + i), message))
    assert.equal((await decode(frames)).length, updates.length)
    const records = await decode(frames, true)
    const changed = records.map((record) => {
      const { before, after } = record.value as { before: Struct; after: Struct }
      return Object.keys(after).filter((name) => after[name] !== before[name] && typeof after[name] !== 'object')
    })
    assert.equal(records.length, 3)
    assert.deepEqual(changed[0], ['float8_7'])
  })

  test('skip.messages.without.change: a changed key counts as far as the old row shows it', async () => {
    const old: readonly CellText[] = ['1', ...columns.slice(1).map(() => null)]
    const changes = [old.with(0, '2'), old, old.with(2, undefined)]
    const messages = [
      begin(900n, 7),
      relation(9, 'public', 't', columns),
      ...changes.map((now) => update(9, { kind: 'K', row: old }, now)),
    ]
    const records = await decode(
      messages.map((message, i) => xlogData(BigInt(100 + i), message)),
      true,
    )
    // Delete, tombstone and create; nothing; an update of a value that the old row does not have.
    const operations = records.map((record) => (record.value as { op?: string } | null)?.op ?? null)
    assert.deepEqual(operations, ['d', null, 'c', 'u'])
  })

  test('the catalog is asked once it shows the transaction that a table is announced in, which may have made it', async () => {
    asked.length = 0
    const rest: readonly CellText[] = columns.slice(1).map(() => null)
    const announced = relation(9, 'public', 't', columns)
    const messages = [
      [begin(900n, 7), announced, announced, insert(9, ['1', ...rest]), commit(900n, 950n)],
      [begin(960n, 8), insert(9, ['2', ...rest]), commit(960n, 970n)],
      [begin(980n, 9), announced, insert(9, ['3', ...rest]), commit(980n, 990n)],
    ]
    await decode(messages.flat().map((message, i) => xlogData(BigInt(100 + i), message)))
    assert.deepEqual(asked, ['transaction 7', 'columns', 'columns', 'transaction 9', 'columns'])
  })

  test('an origin counts until the next transaction begins, for a message behind it, too (statement P65)', async () => {
    const rest: readonly CellText[] = columns.slice(1).map(() => null)
    const messages = [
      begin(900n, 7),
      origin(5n, 'there'),
      relation(9, 'public', 't', columns),
      insert(9, ['1', ...rest]),
      commit(900n, 950n),
      freeMessage(955n, 'x', 'y'),
      begin(960n, 8),
      insert(9, ['2', ...rest]),
      commit(960n, 970n),
      freeMessage(975n, 'x', 'y'),
    ]
    const records = await decode(messages.map((message, i) => xlogData(BigInt(100 + i), message)))
    const origins = records.map((record) => (record.value as { source: { origin: string | null } }).source.origin)
    assert.deepEqual(origins, ['there', 'there', null, null])
  })

  test('a change of a relation that was not announced ends the session', async () => {
    await assert.rejects(decode([xlogData(1n, insert(5, ['1']))]), {
      code: 'CONNECT_POSTGRES_PROTOCOL',
      kind: 'retriable',
    })
  })
})
