import type { FieldDef } from 'pg'

/** One value of a result in the Data API's union. */
export type Field =
  | { readonly isNull: true }
  | { readonly booleanValue: boolean }
  /** A number of any size, written digit by digit. */
  | { readonly longValue: unknown }
  | { readonly doubleValue: number }
  | { readonly stringValue: string }

/** Rows kept for GetStatementResult. */
export interface ResultTable {
  readonly columns: readonly ResultColumn[]
  /** Values as PostgreSQL's text format gives them. */
  readonly rows: readonly (readonly (string | null)[])[]
}

/** Name and PostgreSQL type of a result column. */
export interface ResultColumn {
  readonly name: string
  readonly typeOid: number
  readonly typeModifier: number
}

// Object ids of PostgreSQL's built-in types.
const boolOid = 16
const longOids = new Set([20, 21, 23, 26])
const doubleOids = new Set([700, 701])
const typeNames: Readonly<Record<number, string>> = {
  16: 'bool',
  17: 'varbyte',
  20: 'int8',
  21: 'int2',
  23: 'int4',
  25: 'varchar',
  700: 'float4',
  701: 'float8',
  1042: 'bpchar',
  1043: 'varchar',
  1082: 'date',
  1083: 'time',
  1114: 'timestamp',
  1184: 'timestamptz',
  1700: 'numeric',
  3802: 'super',
}

/** Parser table for `pg` that leaves every value as the server's text. */
export const textTypes = { getTypeParser: () => (value: string | Buffer) => value.toString() }

/** Columns from the driver's field list. */
export function resultColumns(fields: readonly FieldDef[]): readonly ResultColumn[] {
  return fields.map((field) => ({ name: field.name, typeOid: field.dataTypeID, typeModifier: field.dataTypeModifier }))
}

// ECMAScript's JSON.rawJSON; the library types of TypeScript do not have it yet.
const rawJson = (JSON as unknown as { readonly rawJSON: (text: string) => unknown }).rawJSON

/** int8 beyond 2^53 would lose digits in `longValue` on the wire of a JavaScript server, so numbers stay text until written. */
function toField(value: string | null, column: ResultColumn): Field {
  if (value === null) return { isNull: true }
  if (column.typeOid === boolOid) return { booleanValue: value === 't' }
  if (longOids.has(column.typeOid)) return { longValue: rawJson(value) }
  if (doubleOids.has(column.typeOid)) return { doubleValue: Number(value) }
  return { stringValue: value }
}

/** Rows per answer of GetStatementResult. */
export const pageSize = 1000

/** One page of a result. */
export function resultPage(table: ResultTable, offset: number): readonly (readonly Field[])[] {
  return table.rows.slice(offset, offset + pageSize).map((row) =>
    row.map((value, index) => {
      const column = table.columns[index]
      return column === undefined ? { isNull: true } : toField(value, column)
    }),
  )
}

/** ColumnMetadata of a result. */
export function columnMetadata(table: ResultTable): readonly Readonly<Record<string, unknown>>[] {
  return table.columns.map((column) => ({
    name: column.name,
    label: column.name,
    typeName: typeNames[column.typeOid] ?? 'varchar',
    length: 0,
    nullable: 1,
    precision: column.typeOid === 1700 && column.typeModifier > 4 ? (column.typeModifier - 4) >> 16 : 0,
    scale: column.typeOid === 1700 && column.typeModifier > 4 ? (column.typeModifier - 4) & 0xffff : 0,
    isCaseSensitive: false,
    isCurrency: false,
    isSigned: longOids.has(column.typeOid),
    schemaName: '',
    tableName: '',
  }))
}

/** Size of a result in bytes, −1 when there is none. */
export function resultBytes(table: ResultTable | null): number {
  if (table === null) return -1
  let bytes = 0
  for (const row of table.rows) for (const value of row) bytes += value === null ? 4 : Buffer.byteLength(value)
  return bytes
}
