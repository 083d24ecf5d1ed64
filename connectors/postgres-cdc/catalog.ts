/** What the connector reads from PostgreSQL's catalog, on the ordinary connection. */
import type { Database } from './connection.ts'
import type { PgType } from './types.ts'

export interface CatalogColumn {
  readonly name: string
  readonly typeOid: number
  readonly typmod: number
  readonly notNull: boolean
  /** `pg_get_expr` of the default or of the generation expression; null without one. */
  readonly expression: string | null
  readonly generated: boolean
}

export interface CatalogTable {
  readonly oid: number
  readonly schema: string
  readonly table: string
  /** Its changes are not in the log, so that no stream has them. */
  readonly unlogged: boolean
}

/** Columns and key of one table as they are now. */
export interface CatalogDetails {
  readonly columns: readonly CatalogColumn[]
  /** Primary key in index order, else the first unique index of plain columns; null when there is neither. */
  readonly key: { readonly columns: readonly string[]; readonly primary: boolean } | null
}

interface TableRow {
  oid: string
  nspname: string
  relname: string
  unlogged: string
}

interface ColumnRow {
  attname: string
  atttypid: string
  atttypmod: string
  notnull: string
  dflt: string | null
  generated: string
}

interface IndexRow {
  relname: string
  indisprimary: string
  attname: string | null
}

interface TypeRow {
  oid: string
  typname: string
  typtype: string
  typcategory: string
  typelem: string
  typdelim: string
  typbasetype: string
  typtypmod: string
  labels: string | null
}

/**
 * A default refers to no column, and is asked for without its table: with it the server goes through all columns for
 * each of them, which takes seconds for a wide table.
 */
const columnsSql = `
SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull OR (t.typtype = 'd' AND t.typnotnull) AS notnull,
       pg_get_expr(d.adbin, CASE WHEN a.attgenerated = '' THEN 0::oid ELSE d.adrelid END) AS dflt, a.attgenerated <> '' AS generated
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

const indexesSql = `
SELECT ic.relname, i.indisprimary, a.attname
FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid
CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(attnum, ord)
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0
WHERE i.indrelid = $1 AND i.indisunique AND k.ord <= i.indnkeyatts
ORDER BY i.indisprimary DESC, ic.relname, k.ord`

const typesSql = `
SELECT t.oid, t.typname, t.typtype, t.typcategory, t.typelem, t.typdelim, t.typbasetype, t.typtypmod,
       (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid) AS labels
FROM pg_type t WHERE t.oid = ANY($1::oid[])`

const sqlNameSql = `
SELECT quote_ident(n.nspname) || '.' || quote_ident(t.typname) AS name
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = $1`

const tablesSql = `
SELECT c.oid, n.nspname, c.relname, c.relpersistence = 'u' AS unlogged FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY n.nspname, c.relname`

export class Catalog {
  readonly #database: Database
  readonly #types = new Map<number, PgType>()
  readonly #firstSeen = new Map<number, PgType>()

  constructor(database: Database) {
    this.#database = database
  }

  /** A type as it was when it was loaded first. */
  element = (oid: number): PgType | undefined => this.#firstSeen.get(oid)

  /** A type that was loaded by `loadTypes`. */
  type = (oid: number): PgType | undefined => this.#types.get(oid)

  /** Ordinary and partitioned tables outside the system schemas. */
  async tables(): Promise<readonly CatalogTable[]> {
    const rows = await this.#database.rows<TableRow>(tablesSql)
    return rows.map((row) => ({
      oid: Number(row.oid),
      schema: row.nspname,
      table: row.relname,
      unlogged: row.unlogged === 't',
    }))
  }

  async details(oid: number): Promise<CatalogDetails> {
    const columns = await this.#database.rows<ColumnRow>(columnsSql, [oid])
    const indexes = await this.#database.rows<IndexRow>(indexesSql, [oid])
    return {
      columns: columns.map((row) => ({
        name: row.attname,
        typeOid: Number(row.atttypid),
        typmod: Number(row.atttypmod),
        notNull: row.notnull === 't',
        expression: row.dflt,
        generated: row.generated === 't',
      })),
      key: firstKey(indexes),
    }
  }

  /** Loads these types and what they are made of: base types of domains, elements of arrays. Known ones are kept. */
  async loadTypes(oids: readonly number[]): Promise<void> {
    let missing = [...new Set(oids)].filter((oid) => oid !== 0 && !this.#types.has(oid))
    while (missing.length > 0) {
      const loaded = await this.#readTypes(missing)
      missing = loaded
        .flatMap((type) => [type.elementOid, type.baseOid])
        .filter((oid) => oid !== 0 && !this.#types.has(oid))
    }
  }

  /** A type as SQL names it, whatever the search path is. */
  async sqlName(oid: number): Promise<string> {
    const [row] = await this.#database.rows<{ name: string }>(sqlNameSql, [oid])
    if (row === undefined) throw new Error(`No type has the OID ${oid} any more`)
    return row.name
  }

  /** Reads the labels of enum types again. @returns whether any of them changed */
  async refreshEnums(oids: readonly number[]): Promise<boolean> {
    const before = new Map(oids.map((oid) => [oid, this.#types.get(oid)?.labels.join(',')]))
    const now = oids.length === 0 ? [] : await this.#readTypes(oids)
    return now.some((type) => before.get(type.oid) !== type.labels.join(','))
  }

  async #readTypes(oids: readonly number[]): Promise<readonly PgType[]> {
    const rows = await this.#database.rows<TypeRow>(typesSql, [`{${oids.join(',')}}`])
    const types = rows.map(
      (row): PgType => ({
        oid: Number(row.oid),
        name: row.typname,
        kind: row.typtype,
        category: row.typcategory,
        elementOid: Number(row.typelem),
        delimiter: row.typdelim,
        baseOid: Number(row.typbasetype),
        typmod: Number(row.typtypmod),
        labels: row.labels === null ? [] : (JSON.parse(row.labels) as string[]),
      }),
    )
    for (const type of types) {
      this.#types.set(type.oid, type)
      if (!this.#firstSeen.has(type.oid)) this.#firstSeen.set(type.oid, type)
    }
    return types
  }
}

function firstKey(rows: readonly IndexRow[]): CatalogDetails['key'] {
  const indexes = new Map<string, IndexRow[]>()
  for (const row of rows) {
    const columns = indexes.get(row.relname)
    if (columns === undefined) indexes.set(row.relname, [row])
    else columns.push(row)
  }
  for (const columns of indexes.values()) {
    const names = columns.map((row) => row.attname).filter((name) => name !== null)
    // An expression among the elements makes a unique index useless as a key.
    if (names.length === columns.length) return { columns: names, primary: columns[0]?.indisprimary === 't' }
  }
  return null
}
