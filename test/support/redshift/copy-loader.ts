import { isUtf8 } from 'node:buffer'
import type { S3Client } from '@aws-sdk/client-s3'
import type { ClientBase } from 'pg'
import { parseAvroRows, parseParquetRows } from './copy-columnar.ts'
import type { CopyCommand } from './copy-command.ts'
import { type BadRow, type JsonMember, memberAt, type ParsedRow, parseCsvRows, parseJsonRows } from './copy-rows.ts'
import { CopyError, type LoadFile, loadFiles, readObject } from './copy-source.ts'
import { convertValue, type TargetColumn, textMember, type ValueContext, ValueError } from './copy-values.ts'
import { quoteIdentifier } from './sql-tokens.ts'

/** A bad row with its place, for the error views. */
export interface LoadError extends BadRow {
  readonly fileName: string
  readonly line: number
}

/** What a COPY did. */
export interface CopyOutcome {
  readonly rowCount: number
  readonly files: readonly { readonly url: string; readonly rowCount: number }[]
  readonly errors: readonly LoadError[]
}

/** A COPY that stops because of bad rows; the message is Redshift's. */
export class LoadFailedError extends Error {
  readonly errors: readonly LoadError[]

  constructor(table: string, errors: readonly LoadError[]) {
    super(`Load into table '${table}' failed.  Check 'sys_load_error_detail' system table for details.`)
    this.errors = errors
  }
}

const rowsPerInsert = 2000

/** The target's columns, in the order of the command's list or of the table. Values arrive as the server's text. */
async function targetColumns(client: ClientBase, command: CopyCommand): Promise<readonly TargetColumn[]> {
  const relation = `${command.schema === null ? '' : `${quoteIdentifier(command.schema)}.`}${quoteIdentifier(command.table)}`
  const found = await client.query<{
    name: string
    cast_type: string
    base_type: string
    max_length: string | null
    not_null: string
    default_sql: string | null
    identity: string
  }>(
    `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS cast_type, format_type(a.atttypid, NULL) AS base_type,
            CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 END AS max_length,
            a.attnotnull AS not_null, pg_get_expr(d.adbin, d.adrelid) AS default_sql, a.attidentity AS identity
       FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
       LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
    [relation],
  )
  const columns = found.rows
    .filter((row) => row.identity === '')
    .map((row) => ({
      name: row.name,
      castType: row.cast_type,
      baseType: row.base_type,
      maxLength: row.max_length === null ? null : Number(row.max_length),
      isNotNull: row.not_null === 't',
      defaultSql: row.default_sql,
    }))
  if (command.columns === null) return columns
  return command.columns.map((name) => {
    const column = columns.find((candidate) => candidate.name === name)
    if (column === undefined) throw new CopyError(`column "${name}" of relation "${command.table}" does not exist`)
    return column
  })
}

/** Rows waiting for one INSERT: per column the values and, where there is a default, whether a value was given. */
class RowBuffer {
  readonly #columns: readonly TargetColumn[]
  readonly #insert: string
  #values: (string | null)[][] = []
  #given: boolean[][] = []
  count = 0

  constructor(command: CopyCommand, columns: readonly TargetColumn[]) {
    this.#columns = columns
    const target = `${command.schema === null ? '' : `${quoteIdentifier(command.schema)}.`}${quoteIdentifier(command.table)}`
    const names = columns.map((column) => quoteIdentifier(column.name)).join(', ')
    const expressions = columns.map((column, index) =>
      column.defaultSql === null
        ? `v${index}::${column.castType}`
        : `CASE WHEN g${index} THEN v${index}::${column.castType} ELSE ${column.defaultSql} END`,
    )
    const arrays = columns.flatMap((_, index) => [`$${2 * index + 1}::text[]`, `$${2 * index + 2}::bool[]`])
    const aliases = columns.flatMap((_, index) => [`v${index}`, `g${index}`])
    this.#insert = `INSERT INTO ${target} (${names}) SELECT ${expressions.join(', ')} FROM unnest(${arrays.join(', ')}) AS r(${aliases.join(', ')})`
    this.#clear()
  }

  #clear(): void {
    this.#values = this.#columns.map(() => [])
    this.#given = this.#columns.map(() => [])
    this.count = 0
  }

  add(values: readonly (string | null | undefined)[]): void {
    for (let index = 0; index < this.#columns.length; index += 1) {
      this.#values[index]?.push(values[index] ?? null)
      this.#given[index]?.push(values[index] !== undefined)
    }
    this.count += 1
  }

  async flush(client: ClientBase): Promise<void> {
    if (this.count === 0) return
    await client.query(
      this.#insert,
      this.#columns.flatMap((_, index) => [this.#values[index], this.#given[index]]),
    )
    this.#clear()
  }
}

/** Finds the value for each column in a parsed row; undefined means that the column is not in the file. */
type Picker = (row: Exclude<ParsedRow, { kind: 'bad' }>) => readonly (JsonMember | undefined)[]

function pickFields(columns: readonly TargetColumn[], fillRecord: boolean): Picker {
  return (row) => {
    if (row.kind !== 'fields') return []
    if (row.fields.length > columns.length) throw new ValueError(1202, 'Extra column(s) found')
    if (row.fields.length < columns.length && !fillRecord) throw new ValueError(1214, 'Delimiter not found')
    return columns.map((_, index) => textMember(row.fields[index] ?? null))
  }
}

async function pickerFor(client: S3Client, command: CopyCommand, columns: readonly TargetColumn[]): Promise<Picker> {
  if (command.format.kind === 'csv') return pickFields(columns, command.format.options.fillRecord)
  if (command.format.kind === 'parquet') return (row) => (row.kind === 'positions' ? row.values : [])
  if (command.format.kind === 'avro') return pickByName(columns, command.format.ignoreCase)
  const mode = command.format.mode
  switch (mode.kind) {
    case 'noshred':
      if (columns.length !== 1 || columns[0]?.baseType !== 'jsonb')
        throw new CopyError('COPY with noshred needs exactly one column of type SUPER')
      return (row) => [{ text: row.raw, source: row.raw, type: 'nested' }]
    case 'jsonpaths': {
      const file = JSON.parse((await readObject(client, mode.url)).toString('utf8')) as {
        readonly jsonpaths?: readonly string[]
      }
      const paths = file.jsonpaths
      // A file with another top-level key is silently taken for nothing, as the service does.
      if (paths === undefined) return pickByName(columns, false)
      if (paths.length !== columns.length)
        throw new CopyError('Number of jsonpaths and the number of columns should match')
      return (row) => paths.map((path) => memberAt(row.raw, path) ?? textMember(null))
    }
    case 'auto':
      return pickByName(columns, mode.ignoreCase)
  }
}

function pickByName(columns: readonly TargetColumn[], ignoreCase: boolean): Picker {
  return (row) => {
    if (row.kind !== 'members') return []
    let members = row.members
    if (ignoreCase) members = new Map([...members].map(([name, member]) => [name.toLowerCase(), member]))
    return columns.map((column) => members.get(column.name))
  }
}

/** Converts one row; a missing column without default counts as NULL. */
function convertRow(
  picked: readonly (JsonMember | undefined)[],
  columns: readonly TargetColumn[],
  context: ValueContext,
): (string | null | undefined)[] {
  return columns.map((column, index) => {
    const member = picked[index]
    try {
      if (member !== undefined) return convertValue(member, column, context)
      return column.defaultSql === null ? convertValue(textMember(null), column, context) : undefined
    } catch (error) {
      if (error instanceof ValueError) throw new ColumnError(error, column)
      throw error
    }
  })
}

/** A value error together with its column. */
class ColumnError extends Error {
  readonly code: number
  readonly column: TargetColumn

  constructor(cause: ValueError, column: TargetColumn) {
    super(cause.message)
    this.code = cause.code
    this.column = column
  }
}

function toLoadError(error: unknown, row: Exclude<ParsedRow, { kind: 'bad' }>, fileName: string): LoadError {
  const place = {
    fileName,
    line: row.line,
    raw: row.raw.slice(0, 1024),
    message: error instanceof Error ? error.message : String(error),
  }
  if (error instanceof ColumnError)
    return { ...place, code: error.code, column: error.column.name, columnType: error.column.baseType }
  if (error instanceof ValueError) return { ...place, code: error.code, column: null, columnType: null }
  throw error
}

/** Rows of a file in the command's format. */
async function parseRows(
  { bytes, url }: LoadFile,
  { format }: CopyCommand,
  columnCount: number,
): Promise<Iterable<ParsedRow>> {
  switch (format.kind) {
    case 'json':
      return parseJsonRows(bytes.toString('utf8'))
    case 'csv':
      return parseCsvRows(bytes.toString('utf8'), format.options)
    case 'parquet':
      return parseParquetRows(bytes, { columnCount, serialise: format.serialise, url })
    case 'avro':
      return parseAvroRows(bytes, url)
  }
}

/**
 * Executes a COPY on an open connection, inside the caller's transaction.
 * @throws LoadFailedError when too many rows are bad, CopyError when a file cannot be read, database errors as they are
 */
export async function executeCopy(client: ClientBase, s3: S3Client, command: CopyCommand): Promise<CopyOutcome> {
  if (command.iamRole?.includes('not-authorized') === true) {
    throw new CopyError(`User arn:aws:redshift:emulator:dbuser is not authorized to assume IAM Role ${command.iamRole}`)
  }
  const columns = await targetColumns(client, command)
  const pick = await pickerFor(s3, command, columns)
  const buffer = new RowBuffer(command, columns)
  const files: { url: string; rowCount: number }[] = []
  const errors: LoadError[] = []
  for await (const file of loadFiles(s3, command)) {
    const isText = command.format.kind === 'json' || command.format.kind === 'csv'
    const context = { ...command, hasInvalidUtf8: isText && !isUtf8(file.bytes) }
    let loaded = 0
    for (const row of await parseRows(file, command, columns.length)) {
      if (row.kind === 'bad') errors.push({ ...row.error, fileName: file.url, line: row.line })
      else {
        try {
          buffer.add(convertRow(pick(row), columns, context))
          loaded += 1
        } catch (error) {
          errors.push(toLoadError(error, row, file.url))
        }
      }
      if (errors.length >= command.maxErrors) throw new LoadFailedError(command.table, errors)
      if (buffer.count >= rowsPerInsert && !command.isDryRun) await buffer.flush(client)
    }
    files.push({ url: file.url, rowCount: loaded })
  }
  if (!command.isDryRun) await buffer.flush(client)
  const rowCount = command.isDryRun ? 0 : files.reduce((sum, file) => sum + file.rowCount, 0)
  return { rowCount, files, errors }
}
