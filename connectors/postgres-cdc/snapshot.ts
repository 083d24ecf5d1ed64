/** The first read of the tables: one consistent transaction, COPY per table, markers and offsets as Debezium writes them. */
import type { Clock, Metrics } from '../../worker/api/context.ts'
import { type Headers, type SourceOffset, type SourcePartition, SourceRecord } from '../../worker/api/record.ts'
import type { CatalogTable } from './catalog.ts'
import type { TupleBlock } from './copy-text.ts'
import { EnvelopeView, type EventConstants, EventTime, RowView, SourceBlock, type SourceContext } from './envelope.ts'
import type { SnapshotMarker } from './event-schemas.ts'
import type { Lsn } from './lsn.ts'
import type { Notifications } from './notifications.ts'
import { snapshotOffset, withoutSnapshot } from './offsets.ts'
import { skipTuple, TupleIndex } from './pgoutput.ts'
import { SnapshotMeter } from './snapshot-meter.ts'
import { finishItem, planReads, type ReadItem, type RowCountOrder, type SnapshotPlan } from './snapshot-plan.ts'
import { progressMember } from './snapshot-progress.ts'
import { type ItemToRead, type Reader, SnapshotReaders, type SnapshotReadersOptions } from './snapshot-readers.ts'
import { SnapshotReports } from './snapshot-reports.ts'
import type { TableSchema } from './table-schema.ts'

export interface SnapshotOptions extends SnapshotReadersOptions {
  readonly constants: EventConstants
  readonly partition: SourcePartition
  readonly headers: Headers
  /** Position that the stream goes on from. */
  readonly lsn: Lsn
  readonly txId: number | null
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
  readonly order: RowCountOrder
  readonly notifications: Notifications
  readonly clock: Clock
  /** Null for a snapshot that is not the initial one. */
  readonly metrics: Metrics | null
  nowUs(): number
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

/**
 * Reads the snapshot. One row is held back, so that the last one can be marked as such whatever tables follow it.
 * Owns the transactions of its readers, and ends them.
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
  #meter: SnapshotMeter | null = null
  readonly #reports: SnapshotReports
  /** Of the last record that was returned. */
  #returned: SourceOffset | null = null
  readonly #readers: SnapshotReaders
  /** The last row that each one read of its range: it is not known yet whether more follow. */
  readonly #held = new Map<Reader, PendingRow>()

  constructor(options: SnapshotOptions) {
    this.#options = options
    this.#readers = new SnapshotReaders(options)
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

  /** Opens the transactions. The exported snapshot is free to go afterwards. */
  async open(): Promise<void> {
    this.#tsUs = await this.#readers.open()
    this.#contexts = this.#contextsFor(Number(this.#tsUs))
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
      await this.#readers.lockTables(tables)
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
      const begun = (item: ReadItem) => reports.reads(item)
      for await (const { reader, read, block } of this.#readers.blocks(plan, begun, signal)) {
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

  async #planReads(tables: readonly CatalogTable[]): Promise<SnapshotPlan> {
    const { database, overrides, stored, order, clock, logger, metrics } = this.#options
    const readers = this.#readers.perTable
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
    await this.#readers[Symbol.asyncDispose]()
  }

  #take(reader: Reader, read: ItemToRead, block: TupleBlock): void {
    const { skipReads, nowUs } = this.#options
    const { table } = read.item
    this.#emitted = new EventTime(nowUs())
    const { tuples } = block
    this.#meter?.read(tuples.length)
    if (skipReads) {
      table.rows += tuples.length
      return
    }
    let held = this.#held.get(reader) ?? null
    for (let i = 0; i < tuples.length; i++) {
      const firstOfTable = table.rows === 0 && table.fresh
      if (held !== null) this.#emit(held, markerOf(held, false), i === tuples.length - 1)
      else this.#replaceEnded(null)
      const first = table.first && firstOfTable
      held = { read, bytes: block.bytes, tuple: tuples[i] as number, first, firstOfTable, ends: false }
      table.rows += 1
    }
    if (held !== null) this.#held.set(reader, ownCopy(held))
  }

  /** The row that was held back is the last of its range, and of its table when that was its last range. */
  #endItem(reader: Reader, { item }: ItemToRead): void {
    const { table } = item
    const held = this.#held.get(reader)
    this.#held.delete(reader)
    table.left -= 1
    if (held === undefined) this.#finishChunk(item)
    else if (table.left === 0) this.#replaceEnded({ ...held, ends: true })
    else this.#emit({ ...held, ends: true }, markerOf(held, false), true)
    this.#reports.hasRead(item)
    if (table.left > 0) return
    this.#options.logger.info({ table: table.id, rows: table.rows }, 'Snapshot of the table is complete')
  }

  #finishChunk(item: ReadItem): void {
    if (this.#plan !== null) finishItem(item, this.#plan.progress)
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
