/** SQL of the chunks of an incremental snapshot. Keys are the text that the server sent. */
import { qualifiedName, quoteIdentifier, quoteLiteral } from './sql.ts'

export interface ChunkTable {
  readonly schema: string
  readonly table: string
  /** Columns to read, in the table's order. */
  readonly columns: readonly string[]
  /** Columns to order by. */
  readonly key: readonly ChunkKeyColumn[]
  /** SQL of the condition; empty without one. */
  readonly condition: string
}

export interface ChunkKeyColumn {
  readonly name: string
  readonly nullable: boolean
  /** Type to give to literals; null where the server finds it out from the column. */
  readonly literalType: string | null
}

export type KeyText = readonly (string | null)[]

const list = (names: readonly string[]): string => names.map(quoteIdentifier).join(', ')

const literal = (text: string, type: string | null): string =>
  type === null ? quoteLiteral(text) : `${quoteLiteral(text)}::${type}`

function from(table: ChunkTable): string {
  return `FROM ${qualifiedName(table)}`
}

function where(conditions: readonly string[]): string {
  const given = conditions.filter((condition) => condition !== '')
  return given.length === 0 ? '' : ` WHERE ${given.map((condition) => `(${condition})`).join(' AND ')}`
}

/** Whether a row stands behind `bound` in the order of the key, in which nulls come last. */
function behind(key: ChunkTable['key'], bound: KeyText): string {
  if (key.every(({ nullable }, i) => !nullable && bound[i] !== null)) {
    const values = key.map(({ literalType }, i) => literal(bound[i] ?? '', literalType)).join(', ')
    const names = key.map(({ name }) => name)
    // A row comparison uses the index of the key as a whole.
    return key.length === 1 ? `${list(names)} > ${values}` : `ROW(${list(names)}) > ROW(${values})`
  }
  const equal = ({ name, literalType }: ChunkKeyColumn, value: string | null) =>
    value === null ? `${quoteIdentifier(name)} IS NULL` : `${quoteIdentifier(name)} = ${literal(value, literalType)}`
  const greater = ({ name, nullable, literalType }: ChunkKeyColumn, value: string | null) => {
    if (value === null) return 'FALSE'
    const more = `${quoteIdentifier(name)} > ${literal(value, literalType)}`
    return nullable ? `(${more} OR ${quoteIdentifier(name)} IS NULL)` : more
  }
  const alternatives = key.map((column, i) =>
    [...key.slice(0, i).map((before, j) => equal(before, bound[j] ?? null)), greater(column, bound[i] ?? null)].join(
      ' AND ',
    ),
  )
  return alternatives.map((alternative) => `(${alternative})`).join(' OR ')
}

/** The greatest key, in one row at most. */
export function maximumKeySql(table: ChunkTable): string {
  const order = table.key.map(({ name }) => `${quoteIdentifier(name)} DESC`).join(', ')
  return `SELECT ${list(table.key.map(({ name }) => name))} ${from(table)}${where([table.condition])} ORDER BY ${order} LIMIT 1`
}

export function countSql(table: ChunkTable): string {
  return `SELECT count(*) AS rows ${from(table)}${where([table.condition])}`
}

/** The rows behind `lower` and not behind `upper`; a null `lower` begins with the first. */
export function chunkSql(
  table: ChunkTable,
  bounds: { readonly lower: KeyText | null; readonly upper: KeyText },
  size: number,
): string {
  const conditions = [
    bounds.lower === null ? '' : behind(table.key, bounds.lower),
    `NOT (${behind(table.key, bounds.upper)})`,
    table.condition,
  ]
  const order = list(table.key.map(({ name }) => name))
  return `SELECT ${list(table.columns)} ${from(table)}${where(conditions)} ORDER BY ${order} LIMIT ${size}`
}
