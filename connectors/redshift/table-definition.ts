import type { MessageColumn } from '../common/metadata-message.ts'
import type { FileMessage } from './pending-file.ts'
import { foldName, identifier, qualified, type TableName } from './sql.ts'

export interface TableOptions {
  readonly varcharBytes: number
  readonly primaryKey: readonly string[]
  readonly distKey: string
  readonly sortKey: readonly string[]
  /** Columns to load, folded; empty loads all. */
  readonly fields: readonly string[]
  readonly distStyle: string
  /** One SUPER column instead of the message's columns. */
  readonly noshred: boolean
}

/** Types of the members that the S3 sink adds to rows (`format.output.meta.fields`). */
const metaTypes: Readonly<Record<string, string>> = {
  __offset: 'BIGINT',
  __partition: 'INTEGER',
  __ts: 'BIGINT',
  __topic: 'VARCHAR(255)',
  __key: 'VARCHAR(4096)',
  __op: 'VARCHAR(1)',
  __headers: 'SUPER',
}

export interface ColumnDefinition {
  readonly name: string
  readonly type: string
}

/**
 * Columns of the table for a message's files, names folded as Redshift does: those to load, and what the S3 sink
 * added. Null when the message has none.
 */
export function columnDefinitions(message: FileMessage, options: TableOptions): readonly ColumnDefinition[] | null {
  if (options.noshred) return [{ name: 'doc', type: 'SUPER' }]
  const columns = fileColumns(message, options)
  const meta = metaColumns(message)
  const isLoaded = ({ name }: ColumnDefinition) =>
    options.fields.length === 0 || options.fields.includes(name) || meta.some((added) => added.name === name)
  return columns?.filter(isLoaded) ?? null
}

/** Columns of a message's files in their order, its own and those that the S3 sink added. */
export function fileColumns(message: FileMessage, options: TableOptions): readonly ColumnDefinition[] | null {
  if (message.columns === null) return null
  const columns = new Map<string, ColumnDefinition>()
  for (const column of message.columns) {
    const name = foldName(column.name)
    if (!columns.has(name)) columns.set(name, { name, type: columnType(column, message.format, options) })
  }
  for (const column of metaColumns(message)) if (!columns.has(column.name)) columns.set(column.name, column)
  return [...columns.values()]
}

/** Columns that the S3 sink added to the rows of a message's files. */
export function metaColumns({ metaFields }: FileMessage): readonly ColumnDefinition[] {
  return metaFields.map((name) => ({ name: foldName(name), type: metaTypes[name] ?? 'VARCHAR(4096)' }))
}

const timeTypes: Readonly<Record<string, string>> = { date: 'DATE', time: 'TIME', timestamp: 'TIMESTAMP' }

/**
 * Redshift's type of a column. Parquet has times of its own; in the other formats they are numbers (epoch) and stay
 * numbers, because COPY has one format for all time columns.
 */
function columnType(column: MessageColumn, format: string, { varcharBytes }: TableOptions): string {
  const timeType = timeTypes[column.type]
  if (format === 'parquet' && timeType !== undefined) return timeType
  switch (column.type) {
    case 'boolean':
      return 'BOOLEAN'
    case 'int8':
    case 'int16':
      return 'SMALLINT'
    case 'int32':
    case 'date':
    case 'time':
      return 'INTEGER'
    case 'int64':
    case 'timestamp':
      return 'BIGINT'
    case 'float32':
      return 'REAL'
    case 'float64':
      return 'DOUBLE PRECISION'
    case 'decimal':
      return decimalType(column)
    case 'string':
    case 'bytes':
      return `VARCHAR(${textBytes(column) ?? varcharBytes})`
    case 'array':
    case 'map':
    case 'struct':
      return 'SUPER'
  }
}

/** Connect's decimals may have a scale below 0, or more digits after the point than in all; Redshift's may not. */
function decimalType({ precision, scale }: MessageColumn): string {
  const digitsAfter = Math.min(Math.max(scale ?? 0, 0), 37)
  const digits = precision === null || precision < 1 || (scale ?? 0) < 0 ? 38 : Math.min(precision, 38)
  return `DECIMAL(${Math.max(digits, digitsAfter)},${digitsAfter})`
}

/** Longest text of a column in bytes, as far as a VARCHAR goes; null when the message does not tell. */
export function textBytes({ length }: MessageColumn): number | null {
  return length === null || length < 1 ? null : Math.min(length, 65_535)
}

export function createTable(table: TableName, columns: readonly ColumnDefinition[], options: TableOptions): string {
  const keys = options.primaryKey.map(foldName)
  const lines = columns.map(({ name, type }) => `${identifier(name)} ${type}${keys.includes(name) ? ' NOT NULL' : ''}`)
  if (keys.length > 0) lines.push(`PRIMARY KEY (${keys.map(identifier).join(', ')})`)
  // Rows of one key on one node: joins and upserts by the key stay local.
  const spread = options.distKey === '' && options.distStyle === '' ? (keys[0] ?? '') : options.distKey
  const distKey = spread === '' ? '' : ` DISTKEY(${identifier(foldName(spread))})`
  const distStyle = options.distStyle === '' ? '' : ` DISTSTYLE ${options.distStyle.toUpperCase()}`
  const sortColumns = options.sortKey.map((name) => identifier(foldName(name)))
  const sortKey = sortColumns.length === 0 ? '' : ` SORTKEY(${sortColumns.join(', ')})`
  return `CREATE TABLE IF NOT EXISTS ${qualified(table)} (${lines.join(', ')})${distStyle}${distKey}${sortKey}`
}

/** One column per statement: Redshift has no list of columns here, and no IF NOT EXISTS. */
export function addColumn(table: TableName, { name, type }: ColumnDefinition): string {
  return `ALTER TABLE ${qualified(table)} ADD COLUMN ${identifier(name)} ${type}`
}

/** By itself only: it cannot run inside of a transaction. */
export function widenColumn(table: TableName, { name, type }: ColumnDefinition): string {
  return `ALTER TABLE ${qualified(table)} ALTER COLUMN ${identifier(name)} TYPE ${type}`
}
