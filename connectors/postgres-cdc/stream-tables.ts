/** The tables that the stream has announced, and the schemas of their rows. */
import type { Catalog } from './catalog.ts'
import type { Filters } from './filters.ts'
import type { Relation } from './pgoutput.ts'
import type { TableSchema, TableSchemas } from './table-schema.ts'

export interface StreamTablesOptions {
  readonly catalog: Catalog
  readonly schemas: TableSchemas
  readonly filters: Filters
  /**
   * Resolves when queries see what this transaction wrote; asked once per transaction that announces tables.
   * @throws RetriableError when that takes too long
   */
  shown(xid: number): Promise<void>
}

/** One session's: the server announces a relation before its first change, and again when it has changed. */
export class StreamTables {
  readonly #options: StreamTablesOptions
  readonly #tables = new Map<number, TableSchema | null>()
  readonly #relations = new Map<number, Relation>()
  /** The transaction that the catalog was last seen to show. */
  #shownXid: number | null = null

  constructor(options: StreamTablesOptions) {
    this.#options = options
  }

  /** Null for a table that is not captured, undefined for one that was not announced. */
  get(oid: number): TableSchema | null | undefined {
    return this.#tables.get(oid)
  }

  /** @param xid the transaction that announces it */
  async announce(relation: Relation, xid: number): Promise<void> {
    this.#relations.set(relation.oid, relation)
    await this.#load(relation, xid)
  }

  /** A label that the schema does not list: ALTER TYPE … ADD VALUE announces nothing. */
  async refreshEnum(oid: number, typeOid: number, xid: number): Promise<void> {
    const relation = this.#relations.get(oid)
    if (relation !== undefined && (await this.#options.catalog.refreshEnums([typeOid]))) await this.#load(relation, xid)
  }

  async #load(relation: Relation, xid: number): Promise<void> {
    const { filters, catalog, schemas } = this.#options
    const { schema, table, oid, columns } = relation
    if (!filters.capturesTable(schema, table)) {
      this.#tables.set(oid, null)
      return
    }
    // One that made or changed the table is sent before queries see it: they would miss its key, or the table.
    if (this.#shownXid !== xid) await this.#options.shown(xid)
    this.#shownXid = xid
    const details = await catalog.details(oid)
    await catalog.loadTypes(columns.map((column) => column.typeOid))
    const tuple = columns.map(({ name, typeOid, typmod }) => ({ name, typeOid, typmod }))
    this.#tables.set(oid, schemas.build({ schema, table, tuple, details, from: 'stream' }))
  }
}
