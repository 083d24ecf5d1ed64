import { type FileMessage, isPositional } from './pending-file.ts'
import { identifier } from './sql.ts'
import { type ColumnDefinition, fileColumns, metaColumns, type TableOptions } from './table-definition.ts'

/** A temporary table between the files and the target. */
export interface Stage {
  readonly name: string
  /** Columns that COPY fills, with types of the target where it has them; for positional formats in file order. */
  readonly copied: readonly ColumnDefinition[]
  /** Those of them that the target has. */
  readonly loaded: readonly StagedColumn[]
}

export interface StagedColumn {
  readonly name: string
  /** Whether the stage holds the JSON text of what the target has as a document. */
  readonly isJsonText: boolean
}

/** What a stage is made from. */
export interface StageSource {
  readonly name: string
  readonly messages: readonly FileMessage[]
  readonly target: ReadonlyMap<string, ColumnDefinition>
  /** Columns to load; empty loads all. */
  readonly fields: readonly string[]
  readonly options: TableOptions
}

/**
 * Columns of the stage. All of them take null: rows that only delete carry nothing but the key. Null when the format
 * has no names of columns and the messages do not tell them.
 */
export function stageOf({ name, messages, target, fields, options }: StageSource): Stage | null {
  const [first] = messages
  if (first === undefined) return null
  const meta = metaColumns(first)
  const isMeta = (column: string) => meta.some(({ name: added }) => added === column)
  const isWanted = (column: string) => fields.length === 0 || fields.includes(column) || isMeta(column)
  if (isPositional(first.format)) {
    const inFiles = fileColumns(first, options)
    if (inFiles === null) return null
    const columns = inFiles.map((column) => target.get(column.name) ?? column)
    // In CSV a document is text, which is parsed on its way into the target.
    const isJsonText = ({ type }: ColumnDefinition) => first.format === 'csv' && /^super$/i.test(type)
    const loaded = columns.filter((column) => target.has(column.name) && isWanted(column.name))
    return {
      name,
      copied: columns.map((column) => (isJsonText(column) ? { ...column, type: 'VARCHAR(65535)' } : column)),
      loaded: loaded.map((column) => ({ name: column.name, isJsonText: isJsonText(column) })),
    }
  }
  const names = [...target.keys()].filter(isWanted)
  const extra = meta.filter((column) => !target.has(column.name))
  const copied = [...names.flatMap((column) => target.get(column) ?? []), ...extra]
  return { name, copied, loaded: names.map((column) => ({ name: column, isJsonText: false })) }
}

/** The column list of its definition. */
export function stageDefinition({ copied }: Stage): string {
  return copied.map(({ name, type }) => `${identifier(name)} ${type}`).join(', ')
}

/** What goes into the target for a column, from rows of the stage under an alias. */
export function stagedValue(alias: string, { name, isJsonText }: StagedColumn): string {
  const column = `${alias}.${identifier(name)}`
  return isJsonText ? `JSON_PARSE(${column})` : column
}
