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
import { pickFrom, quoted } from './types.ts'

/** Statements that are sent one after another; one that the server refuses is passed over. */
export interface ScriptStep {
  readonly statements: readonly string[]
  /** One transaction: with a refused statement none of them counts. */
  readonly isAtomic: boolean
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
  if (chance < 0.94) return `TRUNCATE ${nameOf(table)}`
  if (chance < 0.95) return `TRUNCATE ${database.tables.slice(0, 3).map(nameOf).join(', ')} CASCADE`
  const prefix = random.pick(['audit', 'Other prefix', ''])
  const transactional = random.next() < 0.5
  return `SELECT pg_logical_emit_message(${transactional}, ${quoted(prefix)}, ${quoted(random.pick(['', 'content', 'ünï']))})`
}

function replace(database: RandomDatabase, old: Table, columns: readonly Column[], key = old.key): void {
  const index = database.tables.indexOf(old)
  database.tables[index] = { ...old, columns, key }
}

type Definition = (random: Random, database: RandomDatabase, table: Table) => readonly string[]

const alter = (table: Table, what: string): string => `ALTER TABLE ${nameOf(table)} ${what}`
const plainColumns = (table: Table): readonly Column[] => table.columns.filter(({ name }) => !table.key.includes(name))

let added = 0
const definitions: readonly Definition[] = [
  (random, database, table) => {
    const type = anyType(random, database)
    const column = { name: `added${added++}`, type, isNotNull: false, isGenerated: false }
    replace(database, table, [...table.columns, column])
    return [alter(table, `ADD COLUMN ${columnSql(random, column, false)}`)]
  },
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
    const name = `renamed${added++}`
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
  (random, database) => {
    const { table, sql } = randomTable(random, database, { schema: 'public', name: `new_t${added++}` })
    database.tables.push(table)
    return [...sql, insertSql(random, table)]
  },
  (_random, database, table) => {
    if (database.tables.length < 2) return []
    database.tables.splice(database.tables.indexOf(table), 1)
    return [`DROP TABLE ${nameOf(table)}`]
  },
]

/** Changes of rows, without any of tables. */
export function someChanges(random: Random, database: RandomDatabase): readonly string[] {
  return Array.from({ length: random.integer(1, 4) }, () => changeSql(random, database))
}

/** The changes of one round; what they define is kept in `database`. */
export function* randomScript(random: Random, database: RandomDatabase): Generator<ScriptStep> {
  added = 0
  for (let i = 0, count = random.integer(8, 16); i < count; i++) {
    if (random.next() < 0.25) {
      const statements = pickFrom(random, definitions)(random, database, pickFrom(random, database.tables))
      if (statements.length > 0) yield { statements, isAtomic: false, changesCatalog: true }
    } else {
      const isAtomic = random.next() < 0.5
      const length = isAtomic ? random.integer(1, 6) : random.integer(1, 4)
      const statements = Array.from({ length }, () => changeSql(random, database))
      if (isAtomic && random.next() < 0.05) statements.push('SELECT 1 / 0')
      yield { statements, isAtomic, changesCatalog: false }
    }
  }
}
