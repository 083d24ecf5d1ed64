import type { MessageColumn } from '../common/metadata-message.ts'
import type { FileMessage } from './pending-file.ts'
import { identifier, normaliseName, qualified, type TableName } from './sql.ts'

export interface TableOptions {
  readonly varcharBytes: number
  readonly primaryKey: readonly string[]
  readonly distKey: string
  readonly sortKey: string
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

/** Columns of the table for a message's files, names folded as Redshift does; null when the message has none. */
export function columnDefinitions(message: FileMessage, options: TableOptions): readonly ColumnDefinition[] | null {
  return options.noshred ? [{ name: 'doc', type: 'SUPER' }] : fileColumns(message, options)
}

/** Columns of a message's files in their order, its own and those that the S3 sink added. */
export function fileColumns(message: FileMessage, options: TableOptions): readonly ColumnDefinition[] | null {
  if (message.columns === null) return null
  const columns = new Map<string, ColumnDefinition>()
  for (const column of message.columns) {
    const name = column.name.toLowerCase()
    if (!columns.has(name)) columns.set(name, { name, type: columnType(column, message.format, options) })
  }
  for (const column of metaColumns(message)) if (!columns.has(column.name)) columns.set(column.name, column)
  return [...columns.values()]
}

/** Columns that the S3 sink added to the rows of a message's files. */
export function metaColumns({ metaFields }: FileMessage): readonly ColumnDefinition[] {
  return metaFields.map((name) => ({ name: name.toLowerCase(), type: metaTypes[name] ?? 'VARCHAR(4096)' }))
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
      return `DECIMAL(${Math.min(column.precision ?? 38, 38)},${Math.min(column.scale ?? 0, 37)})`
    case 'string':
    case 'bytes':
      return `VARCHAR(${Math.min(column.length ?? varcharBytes, 65_535)})`
    case 'array':
    case 'map':
    case 'struct':
      return 'SUPER'
  }
}

export function createTable(table: TableName, columns: readonly ColumnDefinition[], options: TableOptions): string {
  const keys = options.primaryKey.map((name) => name.toLowerCase())
  const lines = columns.map(({ name, type }) => `${identifier(name)} ${type}${keys.includes(name) ? ' NOT NULL' : ''}`)
  if (keys.length > 0) lines.push(`PRIMARY KEY (${keys.map(identifier).join(', ')})`)
  // Rows of one key on one node: joins and upserts by the key stay local.
  const spread = options.distKey === '' && options.distStyle === '' ? (keys[0] ?? '') : options.distKey
  const distKey = spread === '' ? '' : ` DISTKEY(${identifier(normaliseName(spread))})`
  const distStyle = options.distStyle === '' ? '' : ` DISTSTYLE ${options.distStyle.toUpperCase()}`
  const sortKey = options.sortKey === '' ? '' : ` SORTKEY(${identifier(normaliseName(options.sortKey))})`
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

/** Table of a message. `map` wins over the format; names are normalised in this one place. */
export function tableFor(message: FileMessage, format: string, map: ReadonlyMap<string, string>): string {
  const eventKey = message.eventKey ?? message.topic
  const mapped = map.get(eventKey) ?? map.get(message.topic)
  if (mapped !== undefined) return normaliseName(mapped)
  const values: Readonly<Record<string, string>> = {
    table: message.table ?? eventKey,
    event_key: eventKey,
    topic: message.topic,
    bucket: message.files[0]?.bucket ?? '',
  }
  return normaliseName(format.replaceAll(/\$\{(\w+)\}/g, (text, name: string) => values[name] ?? text))
}
