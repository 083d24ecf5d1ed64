/** The first read of the tables: one consistent transaction, COPY per table, markers and offsets as Debezium writes them. */
import type { Clock, Logger, Metrics } from '../../worker/api/context.ts'
import { type Headers, type SourceOffset, type SourcePartition, SourceRecord } from '../../worker/api/record.ts'
import type { Catalog, CatalogTable } from './catalog.ts'
import type { Database } from './connection.ts'
import { type CopyLimits, CopyQuery } from './copy-query.ts'
import type { TupleBlock } from './copy-text.ts'
import { EnvelopeView, type EventConstants, EventTime, RowView, SourceBlock, type SourceContext } from './envelope.ts'
import type { SnapshotMarker } from './event-schemas.ts'
import type { Filters } from './filters.ts'
import type { Lsn } from './lsn.ts'
import type { Notifications } from './notifications.ts'
import { snapshotOffset, withoutSnapshot } from './offsets.ts'
import { skipTuple, TupleIndex } from './pgoutput.ts'
import { SnapshotMeter } from './snapshot-meter.ts'
import {
  beginItem,
  type PlannedTable,
  planReads,
  type ReadItem,
  type RowCountOrder,
  type SnapshotPlan,
} from './snapshot-plan.ts'
import { progressMember } from './snapshot-progress.ts'
import { SnapshotReports } from './snapshot-reports.ts'
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
  /** `catalog_xmin` of the slot for a snapshot within the stream that follows it. */
  readonly xmin: number | null
  /** Offset of a record; null makes that of an initial snapshot. */
  readonly offsetOf: ((last: boolean) => SourceOffset) | null
  /** Progress of an interrupted initial snapshot that this one goes on with. */
  readonly stored: string | null
  /** Progress is kept in the offsets: it is the initial snapshot of a connector that streams. */
  readonly resumable: boolean
  /** Makes the offset before the first row durable, so that whatever comes after it is gone on with; null need not. */
  readonly persist: ((offset: SourceOffset) => Promise<void>) | null
  readonly limits: CopyLimits
  readonly order: RowCountOrder
  readonly notifications: Notifications
  /** Connections that read at the same time, this one included. */
  readonly readers: number
  /** Several of them share a large table. */
  readonly sharesTables: boolean
  /** Opens a further one. */
  openReader(): Promise<Database>
  readonly clock: Clock
  readonly logger: Logger
  /** Null for a snapshot that is not the initial one. */
  readonly metrics: Metrics | null
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

/** One block of a statement's rows, or its end (null). */
interface ReadBlock {
  readonly reader: Reader
  readonly read: ItemToRead
  readonly block: TupleBlock | null
}

/** A statement under way. */
interface ItemToRead {
  readonly item: ReadItem
  readonly schema: TableSchema
  readonly copy: CopyQuery
}

interface PendingRow {
  readonly read: ItemToRead
  readonly bytes: Buffer
  readonly tuple: number
  readonly first: boolean
  readonly firstOfTable: boolean
  /** Nothing follows it in its range. */
  readonly ends: boolean
}

/** What a scan by `ctid` relies on. */
const scanSettings = ['SET LOCAL synchronize_seqscans = off', 'SET LOCAL max_parallel_workers_per_gather = 0']

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
export class Snapshot implements AsyncDisposable {
  readonly #options: SnapshotOptions
  #contexts: ReadonlyMap<SnapshotMarker, SourceContext> = new Map()
  #tsUs = 0n
  /** The last row of the table that ended last: the last of all, if nothing follows. */
  #ended: PendingRow | null = null
  #batch: SourceRecord[] = []
  #emitted: EventTime
  #source: SourceBlock | null = null
  #plan: SnapshotPlan | null = null
  /** Of all records but the last of a block: what was emitted before the block. */
  #offset: SourceOffset | null = null
  readonly #schemas = new Map<PlannedTable, Promise<{ schema: TableSchema; columns: string; from: string } | null>>()
  #meter: SnapshotMeter | null = null
  readonly #reports: SnapshotReports
  /** Of the last record that was returned. */
  #returned: SourceOffset | null = null
  readonly #readers: Reader[] = []

  constructor(options: SnapshotOptions) {
    this.#options = options
    this.#emitted = new EventTime(options.nowUs())
    this.#reports = new SnapshotReports({
      notifications: options.notifications,
      parallel: options.readers > 1,
      push: (record) => this.#batch.push(record),
    })
  }

  /** Of a record that would come now; once all batches are out, of the place behind the snapshot. */
  get offset(): SourceOffset {
    return this.#offset ?? this.#offsetNow(false)
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
    for (const setting of scanSettings) await database.execute(setting)
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
        for (const setting of scanSettings) await reader.database.execute(setting)
      }
    } catch (error) {
      await this[Symbol.asyncDispose]()
      throw error
    }
  }

  /**
   * Records batch by batch; the last one carries the final offset. Ends early, without it, when `signal` (the task's
   * life) aborts.
   */
  async *batches(signal: AbortSignal): AsyncGenerator<readonly SourceRecord[], void, void> {
    const { catalog, filters } = this.#options
    const reports = this.#reports
    try {
      const { only, signalTable } = this.#options
      const nameOf = ({ schema, table }: CatalogTable) => `${schema}.${table}`
      const captured = (await catalog.tables()).filter((t) => filters.capturesTable(t.schema, t.table))
      // What a blocking snapshot is asked for is read whatever snapshot.include.collection.list says, as in Debezium.
      const resolved = captured.filter((t) => only?.has(nameOf(t)) ?? filters.snapshotsTable(t.schema, t.table))
      const tables = filters.snapshotOrder(resolved.filter((t) => nameOf(t) !== signalTable))
      await this.#lockTables(tables)
      const plan = await this.#planReads(tables)
      this.#returned = this.#offsetNow(false)
      // A row without an offset would outlive its deletion: a start without offsets reads what is there then.
      await this.#options.persist?.(this.#returned)
      reports.started({
        offset: () => this.offset,
        resolved,
        tables,
      })
      if (this.#batch.length > 0) yield this.#takeBatch()
      for await (const { reader, read, block } of this.#blocks(plan, signal)) {
        if (signal.aborted) return
        if (block === null) this.#endItem(reader, read)
        else this.#take(reader, read, block)
        if (this.#batch.length > 0) yield this.#takeBatch()
        // Whoever asks for the next batch is done with this one.
        if (block !== null) read.copy.release(block)
      }
      if (signal.aborted) return
      if (this.#ended !== null) this.#emit(this.#ended, 'last', true)
      this.#ended = null
      // All rows are out: what comes behind them is no part of the snapshot, even where no row was emitted.
      this.#offset = withoutSnapshot(this.#offsetNow(true))
      reports.completed()
      if (this.#batch.length > 0) yield this.#takeBatch()
      this.#meter?.end()
    } catch (error) {
      // Rows that were not returned are read again: no offset may tell otherwise.
      this.#batch = []
      this.#offset = this.#returned
      reports.failed()
      if (this.#batch.length > 0) yield this.#takeBatch()
      throw error
    } finally {
      await this[Symbol.asyncDispose]()
    }
  }

  get #readersPerTable(): number {
    const { readers, sharesTables } = this.#options
    return sharesTables ? readers : 1
  }

  async #planReads(tables: readonly CatalogTable[]): Promise<SnapshotPlan> {
    const { database, overrides, stored, order, clock, logger, metrics } = this.#options
    const readers = this.#readersPerTable
    const plan = await planReads({ database, tables, overridden: overrides, readers, stored, order })
    this.#plan = plan
    this.#meter = new SnapshotMeter({ plan, clock, logger, metrics })
    this.#offset = this.#offsetNow(false)
    if (plan.resumed) {
      logger.info({ tables: plan.tables.length, of: tables.length }, 'The snapshot goes on with what had not been read')
    } else if (stored !== null) {
      logger.warn({}, 'The tables of the interrupted snapshot were others; all tables are read again')
    }
    return plan
  }

  /** Ends the transactions, and the further connections; idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#reports.ended()
    for (const { database, copying } of this.#readers.splice(0)) {
      if (copying) database.destroy()
      else await database.execute('ROLLBACK').catch(() => undefined)
      // The first connection is the caller's.
      if (database !== this.#options.database && !copying) await database[Symbol.asyncDispose]()
    }
  }

  /**
   * The blocks of all statements: one after another with one reader; several readers take the next statement each, and
   * their blocks come as they are read.
   */
  async *#blocks(plan: SnapshotPlan, signal: AbortSignal): AsyncGenerator<ReadBlock, void, void> {
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
        beginItem(item, plan.progress, this.#readersPerTable)
        const read = await this.#startItem(reader, item)
        if (read === null) {
          this.#finishChunk(item)
          continue
        }
        next(reader, read)
        return
      }
    }
    for (const reader of this.#readers) await start(reader)
    while (reading.size > 0) {
      // Each promise is new once it has been used, so none gathers reactions.
      const block = await Promise.race(reading.values())
      reading.delete(block.reader)
      if (block.block === null && !signal.aborted) block.reader.copying = false
      else if (block.block !== null) next(block.reader, block.read)
      yield block
      if (block.block === null && !signal.aborted) await start(block.reader)
    }
  }

  async #startItem(reader: Reader, item: ReadItem): Promise<ItemToRead | null> {
    const { table, condition } = item
    let described = this.#schemas.get(table)
    if (described === undefined) {
      described = this.#tableSchema(table.table)
      this.#schemas.set(table, described)
    }
    const source = await described
    if (source === null) return null
    const columns = condition === null ? source.columns : `${source.columns}, ctid`
    const where = condition === null || condition === '' ? '' : ` WHERE ${condition}`
    const sql = `COPY (SELECT ${columns} FROM ${source.from}${where}) TO STDOUT`
    reader.copying = true
    this.#reports.reads(item)
    return { item, schema: source.schema, copy: CopyQuery.start(reader.database.client, sql, this.#options.limits) }
  }

  #take(reader: Reader, read: ItemToRead, block: TupleBlock): void {
    const { skipReads, nowUs } = this.#options
    const { table } = read.item
    this.#emitted = new EventTime(nowUs())
    const { tuples } = block
    this.#meter?.read(tuples.length)
    for (let i = 0; i < tuples.length; i++) {
      if (!skipReads) {
        const firstOfTable = table.rows === 0 && table.fresh
        const held = reader.held
        if (held !== null) this.#emit(held, markerOf(held, false), i === tuples.length - 1)
        else this.#replaceEnded(null)
        const first = table.first && firstOfTable
        reader.held = { read, bytes: block.bytes, tuple: tuples[i] as number, first, firstOfTable, ends: false }
      }
      table.rows += 1
    }
    if (reader.held !== null) reader.held = ownCopy(reader.held)
  }

  /** The row that was held back is the last of its range, and of its table when that was its last range. */
  #endItem(reader: Reader, { item }: ItemToRead): void {
    const { table } = item
    const { held } = reader
    reader.held = null
    table.left -= 1
    if (held === null) this.#finishChunk(item)
    else if (table.left === 0) this.#replaceEnded({ ...held, ends: true })
    else this.#emit({ ...held, ends: true }, markerOf(held, false), true)
    this.#reports.hasRead(item)
    if (table.left > 0) return
    this.#schemas.delete(table)
    this.#options.logger.info({ table: table.id, rows: table.rows }, 'Snapshot of the table is complete')
  }

  #finishChunk({ table, chunk }: ReadItem): void {
    if (table.opened !== null && chunk !== null) this.#plan?.progress.finished(table.opened, chunk)
  }

  /** Something follows the row that was the last of its table: it is not the last of all. */
  #replaceEnded(row: PendingRow | null): void {
    if (this.#ended !== null) this.#emit(this.#ended, markerOf(this.#ended, true), true)
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
          xmin: this.#options.xmin,
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

  /** Schema of a table as the snapshot reads it, with what to select; null for a table that has nothing to read. */
  async #tableSchema(table: CatalogTable): Promise<{ schema: TableSchema; columns: string; from: string } | null> {
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
      return { schema: build(), columns: list, from }
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

  /** @param exact the record's offset covers the record itself, and not only what was emitted before its block */
  #emit(row: PendingRow, marker: SnapshotMarker, exact: boolean): void {
    const { constants, partition, headers, lsn } = this.#options
    const context = this.#contexts.get(marker)
    if (context === undefined) throw new RangeError(`No snapshot context for ${marker}`)
    const { bytes, tuple } = row
    const { schema: table, item } = row.read
    if (exact) this.#reach(row)
    if (row.ends) this.#finishChunk(item)
    if (exact) this.#offset = this.#offsetNow(marker === 'last')
    const source = { bytes, tuple, oldTuple: -1, failures: constants.failures }
    this.#batch.push(
      new SourceRecord({
        sourcePartition: partition,
        sourceOffset: this.#offset ?? this.#offsetNow(false),
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

  /** Notes where a row stands: all rows of its range up to it have been emitted. */
  #reach({ read, bytes, tuple }: PendingRow): void {
    const { table, chunk, condition } = read.item
    if (table.opened === null || chunk === null || condition === null) return
    placeIndex.load(bytes, tuple)
    const column = placeIndex.columnCount - 1
    table.opened.reached.set(chunk, bytes.toString('latin1', placeIndex.start(column), placeIndex.end(column)))
  }

  #offsetNow(last: boolean): SourceOffset {
    const { lsn, txId, offsetOf, resumable } = this.#options
    const offset = offsetOf?.(last) ?? snapshotOffset({ lsn, txId, tsUs: this.#tsUs, last })
    if (last || !resumable || this.#plan === null) return offset
    return { ...offset, [progressMember]: this.#plan.progress.toText() }
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
    this.#returned = batch.at(-1)?.sourceOffset ?? this.#returned
    return batch
  }
}

const placeIndex = new TupleIndex()

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
