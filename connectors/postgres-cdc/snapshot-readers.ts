/** The connections that read a snapshot, all under one state of the database, and the statements they take in turn. */
import type { CatalogTable } from './catalog.ts'
import type { Database } from './connection.ts'
import { type CopyLimits, CopyQuery } from './copy-query.ts'
import type { TupleBlock } from './copy-text.ts'
import { beginItem, finishItem, type PlannedTable, type ReadItem, type SnapshotPlan } from './snapshot-plan.ts'
import { type SelectOptions, selectOf, type TableSelect } from './snapshot-select.ts'
import { qualifiedName, quoteLiteral } from './sql.ts'
import type { TableSchema } from './table-schema.ts'

export type IsolationMode = 'serializable' | 'repeatable_read' | 'read_committed' | 'read_uncommitted'

export interface SnapshotReadersOptions extends SelectOptions {
  /** The first connection. It stays the caller's; its transaction does not. */
  readonly database: Database
  /** Exported snapshot to read under; null begins one by the isolation mode. */
  readonly exportedSnapshot: string | null
  readonly isolation: IsolationMode
  /** `shared` locks the tables while the transaction opens; milliseconds to wait for the locks. */
  readonly lock: { readonly timeoutMs: number } | null
  /** Connections that read at the same time, the first one included. */
  readonly readers: number
  /** Several of them share a large table. */
  readonly sharesTables: boolean
  /** Opens a further one. */
  openReader(): Promise<Database>
  readonly limits: CopyLimits
}

/** A connection under the snapshot. */
export interface Reader {
  readonly database: Database
  /** A COPY is under way: the connection answers nothing else before its end. */
  copying: boolean
}

/** A statement under way. */
export interface ItemToRead {
  readonly item: ReadItem
  readonly schema: TableSchema
  readonly copy: CopyQuery
}

/** One block of a statement's rows, or its end (null). */
export interface ReadBlock {
  readonly reader: Reader
  readonly read: ItemToRead
  readonly block: TupleBlock | null
}

/** What a scan by `ctid` relies on. */
const scanSettings = ['SET LOCAL synchronize_seqscans = off', 'SET LOCAL max_parallel_workers_per_gather = 0']

const isolationSql: Readonly<Record<IsolationMode, string>> = {
  serializable: 'SERIALIZABLE, READ ONLY, DEFERRABLE',
  repeatable_read: 'REPEATABLE READ, READ ONLY',
  read_committed: 'READ COMMITTED, READ ONLY',
  read_uncommitted: 'READ UNCOMMITTED, READ ONLY',
}

/** Owns a transaction on each of its connections, and the connections but for the first. */
export class SnapshotReaders implements AsyncDisposable {
  readonly #options: SnapshotReadersOptions
  readonly #readers: Reader[] = []
  /** Of the tables that are being read. */
  readonly #selects = new Map<PlannedTable, Promise<TableSelect | null>>()

  constructor(options: SnapshotReadersOptions) {
    this.#options = options
  }

  /**
   * Opens the transactions. An exported snapshot is free to go afterwards.
   * @returns the time of the first one, in microseconds
   */
  async open(): Promise<bigint> {
    const { database, exportedSnapshot, isolation } = this.#options
    if (exportedSnapshot !== null) await beginUnder(exportedSnapshot, database)
    else {
      await database.execute('BEGIN')
      await database.execute(`SET TRANSACTION ISOLATION LEVEL ${isolationSql[isolation]}`)
    }
    const [row] = await database.rows<{ us: string }>(
      `SELECT (extract(epoch FROM CURRENT_TIMESTAMP) * 1000000)::bigint AS us`,
    )
    for (const setting of scanSettings) await database.execute(setting)
    this.#readers.push({ database, copying: false })
    if (this.#options.readers > 1) await this.#openFurther(exportedSnapshot)
    return BigInt(row?.us ?? 0)
  }

  /** Further connections under the same snapshot: together they see one state of the database. */
  async #openFurther(exported: string | null): Promise<void> {
    const { database, readers, openReader } = this.#options
    const [row] =
      exported === null ? await database.rows<{ id: string }>('SELECT pg_export_snapshot() AS id') : [{ id: exported }]
    try {
      while (this.#readers.length < readers) {
        const reader = { database: await openReader(), copying: false }
        this.#readers.push(reader)
        await beginUnder(row?.id ?? '', reader.database)
        for (const setting of scanSettings) await reader.database.execute(setting)
      }
    } catch (error) {
      await this[Symbol.asyncDispose]()
      throw error
    }
  }

  /** As `lock` says; before anything is read. */
  async lockTables(tables: readonly CatalogTable[]): Promise<void> {
    const { database, lock } = this.#options
    if (lock === null || tables.length === 0) return
    await database.execute(`SET LOCAL lock_timeout = ${lock.timeoutMs}`)
    await database.execute(`LOCK TABLE ${tables.map(qualifiedName).join(', ')} IN ACCESS SHARE MODE`)
  }

  /** Connections that may read one table at the same time. */
  get perTable(): number {
    const { readers, sharesTables } = this.#options
    return sharesTables ? readers : 1
  }

  /**
   * The blocks of all statements: one after another with one reader; several readers take the next statement each, and
   * their blocks come as they are read. With `signal` aborted, ends of statements say nothing of their tables.
   * @param begun called when a statement begins
   */
  async *blocks(
    plan: SnapshotPlan,
    begun: (item: ReadItem) => void,
    signal: AbortSignal,
  ): AsyncGenerator<ReadBlock, void, void> {
    const waiting = plan.tables.flatMap(({ items }) => items)
    const reading = new Map<Reader, Promise<ReadBlock>>()
    const next = (reader: Reader, read: ItemToRead): void => {
      const block = read.copy.next(signal).then((rows) => ({ reader, read, block: rows }))
      // One failure ends the loop: those of the other readers, which a lost server brings as well, find nobody waiting.
      block.catch(() => undefined)
      reading.set(reader, block)
    }
    const start = async (reader: Reader): Promise<void> => {
      for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
        beginItem(item, plan.progress, this.perTable)
        const select = await this.#selectOf(item.table, reader)
        if (select === null) {
          finishItem(item, plan.progress)
          continue
        }
        begun(item)
        next(reader, this.#startItem(reader, item, select))
        return
      }
    }
    for (const reader of this.#readers) await start(reader)
    while (reading.size > 0) {
      // Each promise is new once it has been used, so none gathers reactions.
      const block = await Promise.race(reading.values())
      const { reader, read } = block
      reading.delete(reader)
      if (block.block !== null) next(reader, read)
      else if (!signal.aborted) reader.copying = false
      yield block
      if (block.block !== null || signal.aborted) continue
      if (read.item.table.left === 0) this.#selects.delete(read.item.table)
      await start(reader)
    }
  }

  /** On the connection that is about to read: it is idle, while those that read answer nothing before their end. */
  #selectOf(table: PlannedTable, { database }: Reader): Promise<TableSelect | null> {
    const known = this.#selects.get(table)
    if (known !== undefined) return known
    const select = selectOf(table.table, { ...this.#options, database })
    this.#selects.set(table, select)
    return select
  }

  #startItem(reader: Reader, item: ReadItem, select: TableSelect): ItemToRead {
    const { condition } = item
    const columns = condition === null ? select.columns : `${select.columns}, ctid`
    const where = condition === null || condition === '' ? '' : ` WHERE ${condition}`
    const sql = `COPY (SELECT ${columns} FROM ${select.from}${where}) TO STDOUT`
    reader.copying = true
    return { item, schema: select.schema, copy: CopyQuery.start(reader.database.client, sql, this.#options.limits) }
  }

  /** Ends the transactions, and the further connections; idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const { database, copying } of this.#readers.splice(0)) {
      if (copying) database.destroy()
      else await database.execute('ROLLBACK').catch(() => undefined)
      // The first connection is the caller's.
      if (database !== this.#options.database && !copying) await database[Symbol.asyncDispose]()
    }
  }
}

async function beginUnder(snapshot: string, database: Database): Promise<void> {
  await database.execute('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY')
  await database.execute(`SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshot)}`)
}
