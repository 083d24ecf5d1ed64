/** The first read of the tables: one consistent transaction, COPY per table, markers and offsets as Debezium writes them. */
import type { Logger } from '../../worker/api/context.ts'
import { type Headers, type SourceOffset, type SourcePartition, SourceRecord } from '../../worker/api/record.ts'
import type { Catalog, CatalogTable } from './catalog.ts'
import type { Database } from './connection.ts'
import { type CopyLimits, CopyQuery } from './copy-query.ts'
import type { TupleBlock } from './copy-text.ts'
import { EnvelopeView, type EventConstants, EventTime, RowView, SourceBlock, type SourceContext } from './envelope.ts'
import type { SnapshotMarker } from './event-schemas.ts'
import type { Filters } from './filters.ts'
import type { Lsn } from './lsn.ts'
import { snapshotOffset } from './offsets.ts'
import { skipTuple } from './pgoutput.ts'
import { quoteIdentifier, quoteLiteral } from './sql.ts'
import type { TableSchema, TableSchemas } from './table-schema.ts'

export type IsolationMode = 'serializable' | 'repeatable_read' | 'read_committed' | 'read_uncommitted'

export interface SnapshotOptions {
  readonly database: Database
  readonly catalog: Catalog
  readonly schemas: TableSchemas
  readonly filters: Filters
  readonly constants: EventConstants
  readonly partition: SourcePartition
  readonly headers: Headers
  /** Exported snapshot to read under; null begins one by the isolation mode. */
  readonly exportedSnapshot: string | null
  readonly isolation: IsolationMode
  /** Position that the stream goes on from. */
  readonly lsn: Lsn
  readonly txId: number | null
  /** SELECT statements by `schema.table`. */
  readonly overrides: ReadonlyMap<string, string>
  /** `shared` locks the tables while the transaction opens; milliseconds to wait for the locks. */
  readonly lock: { readonly timeoutMs: number } | null
  /** Table of signals: captured, but its rows are not data. */
  readonly signalTable: string | null
  readonly skipReads: boolean
  /** Names (`schema.table`) of the tables to read; null reads all that the filters select. */
  readonly only: ReadonlySet<string> | null
  /** `["<last commit>",` of a snapshot within the stream, or `[null,` */
  readonly sequencePrefix: string
  /** Offset of a record; null makes that of an initial snapshot. */
  readonly offsetOf: ((last: boolean) => SourceOffset) | null
  readonly limits: CopyLimits
  /** Connections that read at the same time, this one included. */
  readonly readers: number
  /** Opens a further one. */
  openReader(): Promise<Database>
  readonly logger: Logger
  nowUs(): number
}

/** A connection under the snapshot, with the table that it reads. */
interface Reader {
  readonly database: Database
  /** A COPY is under way: the connection answers nothing else before its end. */
  copying: boolean
  /** The last row that was read: it is not known yet whether more follow. */
  held: PendingRow | null
}

/** One block of a table, or its end (null). */
interface ReadBlock {
  readonly reader: Reader
  readonly table: TableToRead
  readonly block: TupleBlock | null
}

interface TableToRead {
  readonly schema: TableSchema
  readonly first: boolean
  readonly copy: CopyQuery
  rows: number
}

interface PendingRow {
  readonly table: TableSchema
  readonly bytes: Buffer
  readonly tuple: number
  readonly first: boolean
  readonly firstOfTable: boolean
}

const isolationSql: Readonly<Record<IsolationMode, string>> = {
  serializable: 'SERIALIZABLE, READ ONLY, DEFERRABLE',
  repeatable_read: 'REPEATABLE READ, READ ONLY',
  read_committed: 'READ COMMITTED, READ ONLY',
  read_uncommitted: 'READ UNCOMMITTED, READ ONLY',
}

/**
 * Reads the snapshot. One row is held back, so that the last one can be marked as such whatever tables follow it.
 * Owns a transaction on the given connection, and ends it.
 */
export class Snapshot {
  readonly #options: SnapshotOptions
  #contexts: ReadonlyMap<SnapshotMarker, SourceContext> = new Map()
  #tsUs = 0n
  /** The last row of the table that ended last: the last of all, if nothing follows. */
  #ended: PendingRow | null = null
  #batch: SourceRecord[] = []
  #emitted: EventTime
  #source: SourceBlock | null = null
  readonly #readers: Reader[] = []

  constructor(options: SnapshotOptions) {
    this.#options = options
    this.#emitted = new EventTime(options.nowUs())
  }

  /** Opens the transaction. The exported snapshot is free to go afterwards. */
  async open(): Promise<void> {
    const { database, exportedSnapshot, isolation } = this.#options
    if (exportedSnapshot !== null) {
      await database.execute('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY')
      await database.execute(`SET TRANSACTION SNAPSHOT ${quoteLiteral(exportedSnapshot)}`)
    } else {
      await database.execute('BEGIN')
      await database.execute(`SET TRANSACTION ISOLATION LEVEL ${isolationSql[isolation]}`)
    }
    const [row] = await database.rows<{ us: string }>(
      `SELECT (extract(epoch FROM CURRENT_TIMESTAMP) * 1000000)::bigint AS us`,
    )
    this.#tsUs = BigInt(row?.us ?? 0)
    this.#contexts = this.#contextsFor(Number(this.#tsUs))
    this.#readers.push({ database, copying: false, held: null })
    if (this.#options.readers > 1) await this.#openReaders(exportedSnapshot)
  }

  /** Further connections under the same snapshot: together they see one state of the database. */
  async #openReaders(exported: string | null): Promise<void> {
    const { database, readers, openReader } = this.#options
    const [row] =
      exported === null ? await database.rows<{ id: string }>('SELECT pg_export_snapshot() AS id') : [{ id: exported }]
    try {
      while (this.#readers.length < readers) {
        const reader = { database: await openReader(), copying: false, held: null }
        this.#readers.push(reader)
        await reader.database.execute('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY')
        await reader.database.execute(`SET TRANSACTION SNAPSHOT ${quoteLiteral(row?.id ?? '')}`)
      }
    } catch (error) {
      await this.#close()
      throw error
    }
  }

  /**
   * Records batch by batch; the last one carries the final offset. Ends early, without it, when `signal` (the task's
   * life) aborts.
   */
  async *batches(signal: AbortSignal): AsyncGenerator<readonly SourceRecord[], void, void> {
    const { catalog, filters, logger } = this.#options
    try {
      const captured = (await catalog.tables()).filter((t) => filters.capturesTable(t.schema, t.table))
      const wanted = captured.filter(
        (t) =>
          (this.#options.only?.has(`${t.schema}.${t.table}`) ?? true) &&
          filters.snapshotsTable(t.schema, t.table) &&
          `${t.schema}.${t.table}` !== this.#options.signalTable,
      )
      const tables = filters.snapshotOrder(wanted)
      await this.#lockTables(tables)
      for await (const read of this.#blocks(tables, signal)) {
        if (signal.aborted) return
        this.#take(read)
        if (read.block === null) logger.info({ table: read.table.schema.id }, 'Snapshot of the table is complete')
        if (this.#batch.length > 0) yield this.#takeBatch()
        // Whoever asks for the next batch is done with this one.
        if (read.block !== null) read.table.copy.release(read.block)
      }
      if (signal.aborted) return
      if (this.#ended !== null) this.#emit(this.#ended, 'last')
      this.#ended = null
      if (this.#batch.length > 0) yield this.#takeBatch()
    } finally {
      await this.#close()
    }
  }

  async #close(): Promise<void> {
    for (const { database, copying } of this.#readers) {
      if (copying) database.destroy()
      else await database.execute('ROLLBACK').catch(() => undefined)
      // The first connection is the caller's.
      if (database !== this.#options.database && !copying) await database[Symbol.asyncDispose]()
    }
  }

  /**
   * The blocks of all tables: in order within a table, and table after table with one reader; several readers take the
   * next table each, and their blocks come as they are read.
   */
  async *#blocks(tables: readonly CatalogTable[], signal: AbortSignal): AsyncGenerator<ReadBlock, void, void> {
    const waiting = tables.map((table, index) => ({ table, first: index === 0 }))
    const reading = new Map<Reader, Promise<ReadBlock>>()
    const next = async (reader: Reader, table: TableToRead): Promise<ReadBlock> => ({
      reader,
      table,
      block: await table.copy.next(signal),
    })
    const start = async (reader: Reader): Promise<void> => {
      for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
        const read = await this.#tableSchema(item.table)
        if (read === null) continue
        const copy = CopyQuery.start(reader.database.client, `COPY (${read.sql}) TO STDOUT`, this.#options.limits)
        reader.copying = true
        reading.set(reader, next(reader, { schema: read.schema, first: item.first, copy, rows: 0 }))
        return
      }
    }
    for (const reader of this.#readers) await start(reader)
    while (reading.size > 0) {
      // Each promise is new once it has been used, so none gathers reactions.
      const read = await Promise.race(reading.values())
      reading.delete(read.reader)
      if (read.block === null && !signal.aborted) read.reader.copying = false
      else if (read.block !== null) reading.set(read.reader, next(read.reader, read.table))
      yield read
      if (read.block === null && !signal.aborted) await start(read.reader)
    }
  }

  #take({ reader, table, block }: ReadBlock): void {
    const { skipReads, nowUs } = this.#options
    if (block === null) {
      // An empty table follows nothing.
      if (reader.held !== null) this.#replaceEnded(reader.held)
      reader.held = null
      return
    }
    this.#emitted = new EventTime(nowUs())
    for (const tuple of block.tuples) {
      if (!skipReads) {
        const firstOfTable = table.rows === 0
        const held = reader.held
        if (held !== null) this.#emit(held, markerOf(held, false))
        else this.#replaceEnded(null)
        reader.held = {
          table: table.schema,
          bytes: block.bytes,
          tuple,
          first: table.first && firstOfTable,
          firstOfTable,
        }
      }
      table.rows += 1
    }
    if (reader.held !== null) reader.held = ownCopy(reader.held)
  }

  /** Something follows the row that was the last of its table: it is not the last of all. */
  #replaceEnded(row: PendingRow | null): void {
    if (this.#ended !== null) this.#emit(this.#ended, markerOf(this.#ended, true))
    this.#ended = row
  }

  #contextsFor(tsUs: number): ReadonlyMap<SnapshotMarker, SourceContext> {
    const time = new EventTime(tsUs)
    const markers: readonly SnapshotMarker[] = [
      'first',
      'first_in_data_collection',
      'true',
      'last_in_data_collection',
      'last',
    ]
    return new Map(
      markers.map((snapshot) => [
        snapshot,
        {
          constants: this.#options.constants,
          time,
          snapshot,
          txId: this.#options.txId,
          sequencePrefix: this.#options.sequencePrefix,
          xmin: null,
          origin: null,
          originLsn: null,
        },
      ]),
    )
  }

  async #lockTables(tables: readonly CatalogTable[]): Promise<void> {
    const { database, lock } = this.#options
    if (lock === null || tables.length === 0) return
    await database.execute(`SET LOCAL lock_timeout = ${lock.timeoutMs}`)
    const names = tables.map((t) => `${quoteIdentifier(t.schema)}.${quoteIdentifier(t.table)}`)
    await database.execute(`LOCK TABLE ${names.join(', ')} IN ACCESS SHARE MODE`)
  }

  /** Schema of a table as the snapshot reads it, with the statement; null for a table that has nothing to read. */
  async #tableSchema(table: CatalogTable): Promise<{ schema: TableSchema; sql: string } | null> {
    const { catalog, schemas, filters, overrides, database, logger } = this.#options
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
      const from = `${quoteIdentifier(table.schema)}.${quoteIdentifier(table.table)}`
      return { schema: build(), sql: `SELECT ${list} FROM ${from}` }
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
    return { schema: build(), sql }
  }

  #emit(row: PendingRow, marker: SnapshotMarker): void {
    const { constants, partition, headers, lsn, txId, offsetOf } = this.#options
    const context = this.#contexts.get(marker)
    if (context === undefined) throw new RangeError(`No snapshot context for ${marker}`)
    const { table, bytes, tuple } = row
    const source = { bytes, tuple, oldTuple: -1, failures: constants.failures }
    this.#batch.push(
      new SourceRecord({
        sourcePartition: partition,
        sourceOffset:
          offsetOf?.(marker === 'last') ?? snapshotOffset({ lsn, txId, tsUs: this.#tsUs, last: marker === 'last' }),
        topic: table.topic,
        keySchema: table.key?.schema ?? null,
        key: table.key === null ? null : new RowView(table.key, source),
        valueSchema: table.envelope,
        value: new EnvelopeView({
          table,
          source: this.#sourceOf(context, table),
          operation: 'r',
          lsn,
          bytes,
          before: -1,
          after: tuple,
          lender: -1,
          transaction: null,
          emitted: this.#emitted,
        }),
        headers,
      }),
    )
  }

  /** Nearly all rows of a table have one marker, so the block of the last row does again. */
  #sourceOf(context: SourceContext, table: TableSchema): SourceBlock {
    let source = this.#source
    if (source?.context !== context || source.schema !== table.schema || source.table !== table.table) {
      source = new SourceBlock(context, table.schema, table.table)
      this.#source = source
    }
    return source
  }

  #takeBatch(): readonly SourceRecord[] {
    const batch = this.#batch
    this.#batch = []
    return batch
  }
}

/** A row that outlives its block. */
function ownCopy(row: PendingRow): PendingRow {
  return { ...row, bytes: Buffer.from(row.bytes.subarray(row.tuple, skipTuple(row.bytes, row.tuple))), tuple: 0 }
}

/** Precedence: first, last of its table, first of its table. `last` is the caller's. */
function markerOf(row: PendingRow, lastOfTable: boolean): SnapshotMarker {
  if (row.first) return 'first'
  if (lastOfTable) return 'last_in_data_collection'
  return row.firstOfTable ? 'first_in_data_collection' : 'true'
}
