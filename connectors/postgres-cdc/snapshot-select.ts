/** What a snapshot selects of a table, and the schema of the rows that come of it. */
import type { Logger } from '../../worker/api/context.ts'
import type { Catalog, CatalogTable } from './catalog.ts'
import type { Database } from './connection.ts'
import type { Filters } from './filters.ts'
import { qualifiedName, quoteIdentifier } from './sql.ts'
import type { TableSchema, TableSchemas } from './table-schema.ts'

export interface TableSelect {
  readonly schema: TableSchema
  /** The list behind SELECT. */
  readonly columns: string
  /** What stands behind FROM: the table, or the statement that the user gave for it. */
  readonly from: string
}

export interface SelectOptions {
  /** Connection under the snapshot. */
  readonly database: Database
  readonly catalog: Catalog
  readonly schemas: TableSchemas
  readonly filters: Filters
  /** SELECT statements by `schema.table`. */
  readonly overrides: ReadonlyMap<string, string>
  readonly logger: Logger
}

/** Null for a table that has nothing to read. The connection must be idle: a statement of the user's is described on it. */
export async function selectOf(table: CatalogTable, options: SelectOptions): Promise<TableSelect | null> {
  const { catalog, schemas, filters, overrides, database, logger } = options
  const details = await catalog.details(table.oid)
  await catalog.loadTypes(details.columns.map((column) => column.typeOid))
  const override = overrides.get(`${table.schema}.${table.table}`)
  let columns = details.columns.filter((c) => filters.capturesColumn(table.schema, table.table, c.name))
  if (columns.length === 0) columns = [...details.columns]
  if (columns.length === 0) {
    logger.warn({ table: `${table.schema}.${table.table}` }, 'The table has no columns: nothing to snapshot')
    return null
  }
  const build = () =>
    schemas.build({ schema: table.schema, table: table.table, tuple: columns, details, from: 'snapshot' })
  if (override === undefined) {
    const list = columns.map((column) => quoteIdentifier(column.name)).join(', ')
    return { schema: build(), columns: list, from: qualifiedName(table) }
  }
  const sql = override.trim().replace(/;\s*$/, '')
  const described = await database.client.query(`SELECT * FROM (${sql}) AS described LIMIT 0`)
  const byName = new Map(details.columns.map((column) => [column.name, column]))
  columns = described.fields.map(
    (field) =>
      byName.get(field.name) ?? {
        name: field.name,
        typeOid: field.dataTypeID,
        typmod: field.dataTypeModifier,
        notNull: false,
        expression: null,
        generated: false,
      },
  )
  await catalog.loadTypes(columns.map((column) => column.typeOid))
  return { schema: build(), columns: '*', from: `(${sql}) AS overridden` }
}
