/** Random changes of random tables: rows, transactions, definitions, messages. */
import type { Random } from '../../../support/random.ts'
import {
  anyType,
  anyValue,
  type Column,
  columnSql,
  insertSql,
  named,
  nameOf,
  type RandomDatabase,
  randomTable,
  type Table,
} from './tables.ts'
import { type ColumnType, pickFrom, quoted } from './types.ts'

/** Statements that are sent one after another; one that the server refuses is passed over. */
export interface ScriptStep {
  readonly statements: readonly string[]
  /** One transaction: with a refused statement none of them counts. */
  readonly isAtomic: boolean
  /** Of an atomic step: what another session commits before it does. */
  readonly beside?: readonly string[]
  /** The catalog changes: events before it must have been read by then, as connectors read the catalog of now. */
  readonly changesCatalog: boolean
}

const someRow = (random: Random, table: Table): string =>
  `(tableoid, ctid) IN (SELECT tableoid, ctid FROM ${nameOf(table)} OFFSET ${random.integer(0, 3)} LIMIT 1)`

function updateSql(random: Random, table: Table): string {
  const columns = table.columns.filter(
    ({ isGenerated, name }) => !isGenerated && (!table.key.includes(name) || random.next() < 0.2),
  )
  if (columns.length === 0) return insertSql(random, table)
  const chosen = new Set(Array.from({ length: random.integer(1, 2) }, () => pickFrom(random, columns)))
  const sets = Array.from(chosen, (column) => `${named(column.name)} = ${anyValue(random, column)}`)
  return `UPDATE ${nameOf(table)} SET ${sets.join(', ')} WHERE ${someRow(random, table)}`
}

function changeSql(random: Random, database: RandomDatabase): string {
  const table = pickFrom(random, database.tables)
  const chance = random.next()
  if (chance < 0.45) return insertSql(random, table)
  if (chance < 0.8) return updateSql(random, table)
  if (chance < 0.92) return `DELETE FROM ${nameOf(table)} WHERE ${someRow(random, table)}`
  if (chance < 0.93) return `TRUNCATE ${nameOf(table)}`
  if (chance < 0.94) return wideSql(random, table)
  if (chance < 0.95) return `TRUNCATE ${database.tables.slice(0, 3).map(nameOf).join(', ')} CASCADE`
  const prefix = random.pick(['audit', 'Other prefix', ''])
  const transactional = random.next() < 0.5
  return `SELECT pg_logical_emit_message(${transactional}, ${quoted(prefix)}, ${quoted(random.pick(['', 'content', 'ünï']))})`
}

/** Many rows at once, an update that changes nothing, rows that are read from the table itself. */
function wideSql(random: Random, table: Table): string {
  const column = table.columns.find(({ isGenerated }) => !isGenerated)
  const name = column === undefined ? null : named(column.name)
  if (name === null || random.next() < 0.3) return `DELETE FROM ${nameOf(table)}`
  return `UPDATE ${nameOf(table)} SET ${name} = ${name}`
}

function replace(database: RandomDatabase, old: Table, columns: readonly Column[], key = old.key): void {
  const index = database.tables.indexOf(old)
  database.tables[index] = { ...old, columns, key }
}

type Definition = (random: Random, database: RandomDatabase, table: Table) => readonly string[]

const alter = (table: Table, what: string): string => `ALTER TABLE ${nameOf(table)} ${what}`
const plainColumns = (table: Table): readonly Column[] => table.columns.filter(({ name }) => !table.key.includes(name))

let added = 0
/** Whether the server refuses to drop a table: one inherits from it. */
const hasChild = ({ schema, name }: Table, { tables }: RandomDatabase): boolean =>
  tables.some((table) => table.schema === schema && table.name === `${name}_child`)

/** A new column. */
export const addColumn: Definition = (random, database, table) => {
  const type = anyType(random, database)
  const column = { name: `added${added++}`, type, isNotNull: false, isGenerated: false }
  replace(database, table, [...table.columns, column])
  return [alter(table, `ADD COLUMN ${columnSql(random, column, false)}`)]
}

const definitions: readonly Definition[] = [
  addColumn,
  (random, database, table) => {
    const plain = plainColumns(table)
    if (plain.length < 2) return []
    const gone = pickFrom(random, plain)
    replace(
      database,
      table,
      table.columns.filter((column) => column !== gone),
    )
    return [alter(table, `DROP COLUMN ${named(gone.name)}`)]
  },
  (random, database, table) => {
    const old = pickFrom(random, table.columns)
    const name = `${old.name.startsWith('gen') ? 'gen_' : ''}renamed${added++}`
    replace(
      database,
      table,
      table.columns.map((column) => (column === old ? { ...column, name } : column)),
      table.key.map((key) => (key === old.name ? name : key)),
    )
    return [alter(table, `RENAME COLUMN ${named(old.name)} TO ${named(name)}`)]
  },
  (random, database, table) => {
    const plain = plainColumns(table).filter(({ type }) => type.isCompound !== true)
    if (plain.length === 0) return []
    const old = pickFrom(random, plain)
    const type = { sql: 'text', values: ['as text', ''], odd: [], isPlain: true }
    replace(
      database,
      table,
      table.columns.map((column) => (column === old ? { ...column, type } : column)),
    )
    const column = named(old.name)
    return [alter(table, `ALTER COLUMN ${column} DROP DEFAULT, ALTER COLUMN ${column} TYPE text USING ${column}::text`)]
  },
  (random, _database, table) => {
    const column = pickFrom(random, table.columns)
    const change = random.pick([
      `SET DEFAULT ${quoted(column.type.values[0] ?? '')}`,
      'DROP DEFAULT',
      'SET NOT NULL',
      'DROP NOT NULL',
    ])
    return [alter(table, `ALTER COLUMN ${named(column.name)} ${change}`)]
  },
  (random, database, table) => {
    const name = `renamed_t${added++}`
    database.tables[database.tables.indexOf(table)] = { ...table, name }
    return random.next() < 0.9 ? [alter(table, `RENAME TO ${named(name)}`)] : []
  },
  (random, _database, table) => [
    alter(table, `REPLICA IDENTITY ${random.pick(['FULL', 'DEFAULT', 'NOTHING', 'FULL'])}`),
  ],
  (_random, database, table) => {
    replace(database, table, table.columns, [])
    return [
      `DO $$ DECLARE c name; BEGIN SELECT conname INTO c FROM pg_constraint WHERE contype = 'p' AND conrelid = ${quoted(nameOf(table))}::regclass; ` +
        `IF c IS NOT NULL THEN EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', ${quoted(nameOf(table))}, c); END IF; END $$`,
    ]
  },
  (random, _database, table) => {
    const column = pickFrom(random, table.columns)
    return [`CREATE UNIQUE INDEX ON ${nameOf(table)} (${named(column.name)})`]
  },
  (random, database) => {
    if (database.enums.length === 0) return []
    const label = quoted(`label ${added++}`)
    return [
      `ALTER TYPE ${pickFrom(random, database.enums)} ADD VALUE ${label}${random.next() < 0.5 ? " BEFORE 'one'" : ''}`,
    ]
  },
  // Of another type that takes the same values.
  (random, database, table) => {
    const wider: Readonly<Record<string, readonly string[]>> = {
      smallint: ['integer', 'bigint', 'numeric'],
      integer: ['bigint', 'double precision', 'numeric(20,4)'],
      bigint: ['numeric', 'text'],
      real: ['double precision'],
      text: ['character varying'],
      'character varying': ['text'],
      timestamp: ['timestamp(3)', 'timestamp with time zone'],
      date: ['timestamp'],
      json: ['jsonb'],
    }
    const plain = plainColumns(table).filter(({ type, isGenerated }) => !isGenerated && wider[type.sql] !== undefined)
    if (plain.length === 0) return []
    const old = pickFrom(random, plain)
    const sql = pickFrom(random, wider[old.type.sql] ?? [])
    const { values } = old.type
    const type: ColumnType = {
      sql,
      values: values.filter((value) => value !== '9007199254740993'),
      odd: [],
      isPlain: true,
    }
    replace(
      database,
      table,
      table.columns.map((column) => (column === old ? { ...column, type } : column)),
    )
    const column = named(old.name)
    return [
      alter(table, `ALTER COLUMN ${column} DROP DEFAULT, ALTER COLUMN ${column} TYPE ${sql} USING ${column}::${sql}`),
    ]
  },
  // Gone, and there again as something else.
  (random, database, table) => {
    const plain = plainColumns(table)
    if (plain.length === 0) return []
    const { name } = pickFrom(random, plain)
    if (name.startsWith('gen')) return []
    const column = { name, type: anyType(random, database), isNotNull: false, isGenerated: false }
    replace(database, table, [...table.columns.filter((old) => old.name !== name), column])
    return [alter(table, `DROP COLUMN ${named(name)}, ADD COLUMN ${columnSql(random, column, false)}`)]
  },
  // A primary key, of what is NOT NULL: rows may be in its way.
  (random, _database, table) => {
    const columns = table.columns.filter(({ isNotNull, type }) => isNotNull && type.isPlain)
    if (columns.length === 0 || table.key.length > 0) return []
    return [alter(table, `ADD PRIMARY KEY (${named(pickFrom(random, columns).name)})`)]
  },
  (random, _database, table) => {
    const numbers = plainColumns(table).filter(({ type }) => /^(?:smallint|integer|bigint)$/.test(type.sql))
    if (numbers.length === 0) return []
    const name = named(pickFrom(random, numbers).name)
    const how = random.pick(['ADD GENERATED BY DEFAULT AS IDENTITY', 'DROP IDENTITY IF EXISTS', 'DROP DEFAULT'])
    return [alter(table, `ALTER COLUMN ${name} ${how}`)]
  },
  (random, database, table) => {
    const schema = random.pick(['public', 'other', 'Odd Schema'])
    if (schema === table.schema) return []
    database.tables[database.tables.indexOf(table)] = { ...table, schema }
    return [alter(table, `SET SCHEMA ${named(schema)}`)]
  },
  (random, _database, table) => [
    `COMMENT ON TABLE ${nameOf(table)} IS 'told'`,
    `COMMENT ON COLUMN ${nameOf(table)}.${named(pickFrom(random, table.columns).name)} IS 'told'`,
  ],
  (random, _database, table) => [
    alter(table, `ALTER COLUMN ${named(pickFrom(random, table.columns).name)} SET STORAGE EXTERNAL`),
  ],
  (random, database) => {
    if (database.enums.length === 0) return []
    return [`ALTER TYPE ${pickFrom(random, database.enums)} RENAME VALUE 'one' TO ${quoted(`value ${added++}`)}`]
  },
  // A table that has the name of one that was there.
  (random, database, old) => {
    if (hasChild(old, database)) return []
    const { table, sql } = randomTable(random, database, { schema: old.schema, name: old.name })
    database.tables[database.tables.indexOf(old)] = table
    return [`DROP TABLE ${nameOf(old)}`, ...sql, insertSql(random, table)]
  },
  (random, database) => {
    const { table, sql } = randomTable(random, database, { schema: 'public', name: `new_t${added++}` })
    database.tables.push(table)
    return [...sql, insertSql(random, table)]
  },
  (_random, database, table) => {
    if (database.tables.length < 2 || hasChild(table, database)) return []
    database.tables.splice(database.tables.indexOf(table), 1)
    return [`DROP TABLE ${nameOf(table)}`]
  },
]

/** What a subscription might write: changes that name where they came from, and when they were committed there. */
function replicatedSql(random: Random, database: RandomDatabase): readonly string[] {
  const name = 'current_database()'
  return [
    `SELECT pg_replication_origin_create(${name}) WHERE NOT EXISTS (SELECT FROM pg_replication_origin WHERE roname = ${name})`,
    `SELECT pg_replication_origin_session_setup(${name})`,
    changeSql(random, database),
    'BEGIN',
    `SELECT pg_replication_origin_xact_setup('${random.integer(0, 9)}/AB${random.integer(10, 99)}', '2020-01-02 03:04:05.678901+00')`,
    changeSql(random, database),
    changeSql(random, database),
    'COMMIT',
    'SELECT pg_replication_origin_session_reset()',
  ]
}

/** Changes of rows, without any of tables. */
export function someChanges(random: Random, database: RandomDatabase): readonly string[] {
  return Array.from({ length: random.integer(1, 4) }, () => changeSql(random, database))
}

/** Looking for its place in the log, Debezium passes over messages outside of transactions; ours sends them. */
export function changesWhileStopped(random: Random, database: RandomDatabase): readonly string[] {
  return someChanges(random, database).filter((sql) => !sql.startsWith('SELECT pg_logical_emit_message(false'))
}

const moves = /^ALTER TABLE .* (?:RENAME TO|SET SCHEMA) "/

/**
 * The changes of one round; what they define is kept in `database`.
 * @param mayMove tables get other names; where those are left out by a list, Debezium goes on under the old one until it
 * is restarted, and ours stops
 */
export function* randomScript(random: Random, database: RandomDatabase, mayMove: boolean): Generator<ScriptStep> {
  added = 0
  for (let i = 0, count = random.integer(8, 16); i < count; i++) {
    if (random.next() < 0.25) {
      const before = [...database.tables]
      const statements = pickFrom(random, definitions)(random, database, pickFrom(random, database.tables))
      if (!mayMove && statements.some((sql) => moves.test(sql))) {
        database.tables.splice(0, database.tables.length, ...before)
        continue
      }
      // Not in one transaction with changes: Debezium may read the catalog before it shows that transaction.
      if (statements.length > 0) yield { statements, isAtomic: false, changesCatalog: true }
    } else {
      const isAtomic = random.next() < 0.5
      const length = isAtomic ? random.integer(1, 6) : random.integer(1, 4)
      const statements = Array.from({ length }, () => changeSql(random, database))
      if (random.next() < 0.05) {
        yield { statements: replicatedSql(random, database), isAtomic: false, changesCatalog: false }
        continue
      }
      if (isAtomic && random.next() < 0.05) statements.push('SELECT 1 / 0')
      if (isAtomic && random.next() < 0.1) {
        statements.splice(1, 0, 'SAVEPOINT s', changeSql(random, database), 'ROLLBACK TO SAVEPOINT s')
      }
      const beside = isAtomic && random.next() < 0.25 ? someChanges(random, database) : []
      yield { statements, isAtomic, beside, changesCatalog: false }
    }
  }
}
