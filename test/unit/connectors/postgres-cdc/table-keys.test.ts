/** What is the key of a table's events, as Debezium 3.7 was seen to choose it (`npm run parity postgres-live`). */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { CatalogDetails } from '../../../../connectors/postgres-cdc/catalog.ts'
import { ColumnMappers } from '../../../../connectors/postgres-cdc/column-mappers.ts'
import { Filters, keyColumnsProblem } from '../../../../connectors/postgres-cdc/filters.ts'
import { topicNames } from '../../../../connectors/postgres-cdc/names.ts'
import { type TableSchema, TableSchemas } from '../../../../connectors/postgres-cdc/table-schema.ts'
import type { PgType } from '../../../../connectors/postgres-cdc/types.ts'
import type { ReadFrom } from '../../../../connectors/postgres-cdc/values/codec.ts'
import { defaultValueOptions } from '../../../support/postgres-values.ts'

const type = (oid: number, name: string): PgType => ({
  oid,
  name,
  kind: 'b',
  category: 'U',
  elementOid: 0,
  delimiter: ',',
  baseOid: 0,
  typmod: -1,
  labels: [],
})
const types = new Map(
  [type(23, 'int4'), type(25, 'text'), type(19, 'name'), type(4000, 'lquery')].map((t) => [t.oid, t]),
)
const columns = [
  { name: 'id', typeOid: 23 },
  { name: 'path', typeOid: 4000 },
  { name: 'c1', typeOid: 25 },
  { name: 'c2', typeOid: 25 },
  { name: 'owner', typeOid: 19 },
  { name: 'keeper', typeOid: 19 },
].map((column) => ({
  ...column,
  typmod: -1,
  notNull: column.name === 'id' || column.name === 'owner',
  expression: null,
  generated: false,
}))

interface Choice {
  /** `message.key.columns` */
  readonly option: string | null
  readonly from?: ReadFrom
  readonly primary?: readonly string[]
  readonly columnExclude?: string
}

function tableOf({ option, from = 'stream', primary = ['id'], columnExclude }: Choice): TableSchema {
  const filters = new Filters({
    schemaInclude: null,
    schemaExclude: null,
    tableInclude: null,
    tableExclude: null,
    columnInclude: null,
    columnExclude: columnExclude ?? null,
    messagePrefixInclude: null,
    messagePrefixExclude: null,
    snapshotTables: null,
    ignoreBuiltin: true,
    keyColumns: option,
  })
  const lookup = (oid: number) => types.get(oid)
  const schemas = new TableSchemas(
    {
      values: defaultValueOptions('gone'),
      filters,
      topics: topicNames({
        prefix: 'p',
        delimiter: '.',
        heartbeatPrefix: 'hb',
        heartbeatName: null,
        transaction: 'tx',
      }),
      mappers: new ColumnMappers({}),
      converters: null,
      schemaNames: 'none',
      fieldNames: 'none',
    },
    { type: lookup, element: lookup },
  )
  const key: CatalogDetails['key'] = primary.length === 0 ? null : { columns: primary, primary: true }
  const tuple = columns.filter(({ name }) => from === 'stream' || filters.capturesColumn('public', 't', name))
  return schemas.build({ schema: 'public', table: 't', tuple, details: { columns, key }, from })
}

/** What a column of this name gives for the text `a`. */
function valueOf(name: string, from: ReadFrom): unknown {
  const field = tableOf({ option: null, from }).value.fields.find((candidate) => candidate.name === name)
  return field?.codec.read(Buffer.from('a'), 0, 1)
}

/** Names of the fields; null without a key. */
const keyOf = (choice: Choice): readonly string[] | null => tableOf(choice).key?.fields.map(({ name }) => name) ?? null

suite('keys of tables', () => {
  test('columns are patterns, without regard to case, in the order of the option', () => {
    assert.deepEqual(keyOf({ option: 'public.t:c2,C1' }), ['c2', 'c1'])
    assert.deepEqual(keyOf({ option: 'public.t:c.' }), ['c1', 'c2'])
    assert.deepEqual(keyOf({ option: 'other.t:c1; (.*)\\.T:c2' }), ['c2'])
  })

  test('a column that is no pattern is told of before anything runs', () => {
    assert.equal(keyColumnsProblem('public.t:c1,c.'), null)
    assert.match(keyColumnsProblem('public.t:c1,c(') ?? '', /c\(/)
    assert.match(keyColumnsProblem('public.(t:c1') ?? '', /public/)
  })

  test('columns that the table does not have leave it its own key', () => {
    assert.deepEqual(keyOf({ option: 'public.t:none' }), ['id'])
    assert.equal(keyOf({ option: 'public.t:none', primary: [] }), null)
    assert.deepEqual(keyOf({ option: 'public.t:none,c1' }), ['c1'])
  })

  test('a column of a type that events leave out makes a key without fields', () => {
    for (const from of ['stream', 'snapshot'] as const) {
      assert.deepEqual(keyOf({ option: 'public.t:path', from }), [])
      assert.deepEqual(keyOf({ option: 'public.t:path,c1', from }), ['c1'])
    }
    assert.equal(tableOf({ option: 'public.t:path' }).key?.schema.name, 'p.public.t.Key')
    assert.deepEqual(keyOf({ option: null, primary: ['path'] }), [])
    assert.equal(keyOf({ option: null, primary: [] }), null)
  })

  test('a column that events exclude is part of the key in snapshot and stream', () => {
    for (const from of ['stream', 'snapshot'] as const) {
      assert.deepEqual(keyOf({ option: 'public.t:c1', columnExclude: 'public.t.c1', from }), ['c1'])
    }
  })
})

test('the stream passes over a name: null, and of a column that is NOT NULL the fallback, as for any null', () => {
  assert.deepEqual([valueOf('keeper', 'stream'), valueOf('owner', 'stream')], [null, ''])
  assert.deepEqual([valueOf('keeper', 'snapshot'), valueOf('owner', 'snapshot')], ['a', 'a'])
})
