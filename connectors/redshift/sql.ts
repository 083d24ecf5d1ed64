/** Building blocks of SQL text. The Data API binds values only, and not inside COPY, so literals are written here. */

const maxIdentifierBytes = 127

/** A string literal; in Redshift a backslash escapes, too. */
export function literal(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}

/** Text or NULL. */
export function optionalLiteral(text: string | null): string {
  return text === null ? 'NULL' : literal(text)
}

/** Longest text of one call of the Data API, all statements of a batch together. */
export const maxSqlBytes = 100 * 1024

/** As Redshift folds names, quoted ones too: ASCII letters only. */
export function foldName(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase())
}

/** Whether a folded name can be one of Redshift's; longer ones it cuts without a word. */
export function isNameTooLong(name: string): boolean {
  return Buffer.byteLength(name, 'utf8') > maxIdentifierBytes
}

/** A quoted name; Redshift folds it to lower case all the same. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A name that needs no quotes: lower case, other characters as `_`, at most 127 bytes. */
export function normaliseName(text: string): string {
  const name = text.toLowerCase().replace(/[^a-z0-9_$]/g, '_')
  return name.slice(0, maxIdentifierBytes)
}

/** Schema and table. */
export interface TableName {
  readonly schema: string
  readonly table: string
}

export function qualified({ schema, table }: TableName): string {
  return `${identifier(schema)}.${identifier(table)}`
}
