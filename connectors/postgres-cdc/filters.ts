/** Which tables, columns and messages are captured, and what is the key of a table. */
import { JavaRegex } from '../../worker/api/java-regex.ts'
import { PatternList, patternProblem, splitList } from './pattern-list.ts'

export interface FilterOptions {
  readonly schemaInclude: string | null
  readonly schemaExclude: string | null
  readonly tableInclude: string | null
  readonly tableExclude: string | null
  readonly columnInclude: string | null
  readonly columnExclude: string | null
  readonly messagePrefixInclude: string | null
  readonly messagePrefixExclude: string | null
  readonly snapshotTables: string | null
  readonly ignoreBuiltin: boolean
  /** `regex:col,col;regex:col` */
  readonly keyColumns: string | null
  /** `schema.table` that is captured whatever the lists say. */
  readonly signalTable?: string | null
}

type Choice = (identifier: string) => boolean

function choice(include: string | null, exclude: string | null): Choice {
  if (include !== null && splitList(include).length > 0) {
    const list = new PatternList(include)
    return (identifier) => list.matches(identifier)
  }
  if (exclude !== null && splitList(exclude).length > 0) {
    const list = new PatternList(exclude)
    return (identifier) => !list.matches(identifier)
  }
  return () => true
}

function isBuiltin(schema: string, table: string): boolean {
  const folded = schema.toLowerCase()
  return (
    folded === 'pg_catalog' ||
    folded === 'information_schema' ||
    folded.startsWith('pg_temp') ||
    folded.startsWith('pg_toast') ||
    table === 'spatial_ref_sys'
  )
}

const keyItem = /^\s*([^:]+):([^:,]+(?:,[^:,]+)*)\s*$/

/** What an item of `message.key.columns` looks for in `schema.table.column`. */
const keyPatterns = ([, table = '', columns = '']: RegExpExecArray): readonly string[] =>
  columns.split(',').map((column) => `${table}.${column.trim()}`.trim())

/** The first problem of `message.key.columns`, or null. */
export function keyColumnsProblem(text: string): string | null {
  if (text.trim() === '') return 'must not be empty: leave it out instead'
  for (const item of text.split(';')) {
    if (item === '') continue
    const match = keyItem.exec(item)
    if (match === null) return `'${item}' is not of the form <regular expression>:<column>,<column>`
    for (const pattern of keyPatterns(match)) {
      const problem = patternProblem(pattern)
      if (problem !== null) return problem
    }
  }
  return null
}

export class Filters {
  readonly #options: FilterOptions
  readonly #schema: Choice
  readonly #table: Choice
  readonly #column: Choice
  readonly #message: Choice
  readonly #snapshot: PatternList | null
  readonly #tableOrder: PatternList | null
  readonly #keys: readonly JavaRegex[]

  constructor(options: FilterOptions) {
    this.#options = options
    this.#schema = choice(options.schemaInclude, options.schemaExclude)
    this.#table = choice(options.tableInclude, options.tableExclude)
    this.#column = choice(options.columnInclude, options.columnExclude)
    this.#message = choice(options.messagePrefixInclude, options.messagePrefixExclude)
    this.#snapshot = options.snapshotTables === null ? null : new PatternList(options.snapshotTables)
    this.#tableOrder = options.tableInclude === null ? null : new PatternList(options.tableInclude)
    this.#keys = (options.keyColumns ?? '')
      .split(';')
      .map((item) => keyItem.exec(item))
      .filter((match) => match !== null)
      .flatMap(keyPatterns)
      .map((pattern) => new JavaRegex(pattern, { ignoreCase: true }))
  }

  /** Whether no option narrows the captured tables. */
  get capturesEverything(): boolean {
    const { schemaInclude, schemaExclude, tableInclude, tableExclude } = this.#options
    return [schemaInclude, schemaExclude, tableInclude, tableExclude].every((list) => list === null)
  }

  capturesTable(schema: string, table: string): boolean {
    if (`${schema}.${table}` === this.#options.signalTable) return true
    if (this.#options.ignoreBuiltin && isBuiltin(schema, table)) return false
    return this.#schema(schema) && this.#table(`${schema}.${table}`)
  }

  capturesColumn(schema: string, table: string, column: string): boolean {
    return this.#column(`${schema}.${table}.${column}`)
  }

  capturesMessage(prefix: string): boolean {
    return this.#message(prefix)
  }

  snapshotsTable(schema: string, table: string): boolean {
    const list = this.#snapshot
    if (list === null) return true
    return list.matches(`${schema}.${table}`) || list.matches(`"${schema}"."${table}"`)
  }

  /** Captured tables in snapshot order: by item of the include list, then by name. */
  snapshotOrder<T extends { readonly schema: string; readonly table: string }>(tables: readonly T[]): readonly T[] {
    const rank = ({ schema, table }: T) => this.#tableOrder?.indexOf(`${schema}.${table}`) ?? 0
    const id = ({ schema, table }: T) => `${schema}.${table}`
    return tables.toSorted((a, b) => rank(a) - rank(b) || (id(a) < id(b) ? -1 : 1))
  }

  /**
   * Columns of a table that `message.key.columns` names, in its order. Debezium reads each `table:column` as one
   * pattern over `schema.table.column`, so that a column is a pattern, too.
   *
   * @param columns all columns of the table
   * @returns null when there are none: the key is then that of the table
   */
  keyColumns(schema: string, table: string, columns: readonly string[]): readonly string[] | null {
    const chosen = this.#keys.flatMap((key) => columns.filter((column) => key.matches(`${schema}.${table}.${column}`)))
    return chosen.length === 0 ? null : [...new Set(chosen)]
  }
}
