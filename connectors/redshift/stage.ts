import { type FileMessage, isPositional } from './pending-file.ts'
import { identifier } from './sql.ts'
import { type ColumnDefinition, fileColumns, metaColumns, type TableOptions } from './table-definition.ts'

/** A temporary table between the files and the target. */
export interface Stage {
  readonly name: string
  /** Columns that COPY fills, with types of the target where it has them; for positional formats in file order. */
  readonly copied: readonly ColumnDefinition[]
  /** Those of them that the target has. */
  readonly loaded: readonly string[]
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
    const copied = inFiles.map((column) => target.get(column.name) ?? column)
    const loaded = copied.map((column) => column.name).filter((column) => target.has(column) && isWanted(column))
    return { name, copied, loaded }
  }
  const names = [...target.keys()].filter(isWanted)
  const extra = meta.filter((column) => !target.has(column.name))
  const copied = [...names.flatMap((column) => target.get(column) ?? []), ...extra]
  return { name, copied, loaded: names }
}

/** The column list of its definition. */
export function stageDefinition({ copied }: Stage): string {
  return copied.map(({ name, type }) => `${identifier(name)} ${type}`).join(', ')
}
