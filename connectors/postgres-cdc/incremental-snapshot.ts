/**
 * Incremental snapshots: tables are read chunk by chunk while the stream goes on. Two rows in the signal table bracket
 * the reading of a chunk in the log; an event between them replaces the row of its key that the chunk holds, so that no
 * emitted row is older than an event before it. Where nothing may be written, the bracket is made of positions: the
 * chunk is read while the stream stands still, and ends where the log ended then.
 * @see DBLog: A Watermark Based Change-Data-Capture Framework (Andreakis and Papapanagiotou, 2020)
 */
import { randomUUID } from 'node:crypto'
import type { Clock, Logger } from '../../worker/api/context.ts'
import { JavaRegex } from '../../worker/api/java-regex.ts'
import type { Catalog, CatalogTable } from './catalog.ts'
import { chunkSql, countSql, type KeyText, maximumKeySql } from './chunk-query.ts'
import { type ConnectionOptions, Database } from './connection.ts'
import { type CopyLimits, CopyQuery } from './copy-query.ts'
import { classify, sqlStateOf } from './errors.ts'
import type { Filters } from './filters.ts'
import {
  type Collection,
  type CurrentTable,
  type IncrementalState,
  keyOf,
  offsetMembers,
  openTable,
  stateOf,
} from './incremental-state.ts'
import { type Lsn, parseLsn } from './lsn.ts'
import type { Notification } from './notifications.ts'
import { TupleIndex } from './pgoutput.ts'
import {
  type PassedTransactions,
  parseSnapshot,
  reachableEnd,
  type VisibleTransactions,
} from './read-only-watermarks.ts'
import type { SnapshotRequest } from './signals.ts'
import { qualifiedName } from './sql.ts'
import type { TableSchema, TableSchemas } from './table-schema.ts'

export interface IncrementalOptions {
  readonly connection: ConnectionOptions
  readonly catalog: Catalog
  readonly schemas: TableSchemas
  readonly filters: Filters
  /** Where chunks are bracketed; null is read-only. */
  readonly signalTable: { readonly schema: string; readonly table: string } | null
  /** Transactions that the stream has passed; for read-only snapshots. */
  readonly passed: PassedTransactions
  readonly clock: Clock
  /** Rows of one chunk. */
  readonly chunkRows: number
  /** Strategy INSERT_DELETE: the opening marker is deleted instead of a second one inserted. */
  readonly deletesMarker: boolean
  readonly limits: CopyLimits
  readonly logger: Logger
  /** Whether totals are counted, which reads the table once more. */
  readonly reports: boolean
  notify(notification: Notification): void
  /** Hands over a row of a chunk. */
  emit(row: ChunkRow): void
  /** State of the running snapshot for the following offsets; null when none runs. */
  save(members: Readonly<Record<string, string>> | null): void
}

/** A row of a chunk that no event has replaced. */
export interface ChunkRow {
  readonly schema: TableSchema
  readonly bytes: Buffer
  readonly tuple: number
}

interface Chunk {
  readonly id: string
  readonly openedAt: string
  readonly collection: string
  readonly correlationId: string
  /** By text of the event key. */
  readonly rows: Map<string, ChunkRow>
  /** Key of the last row that was read; null for an empty chunk. */
  end: KeyText | null
  isOpen: boolean
  /** Read-only: the chunk ends when the stream has come here. */
  closesAt: Lsn | null
}

const aggregate = 'Incremental Snapshot'

/** How long the stream stands still for a transaction that it has passed and that no snapshot shows yet. */
const visibilityWaitMs = 1000
const visibilityPauseMs = 10
/** How often a chunk looks whether the stream has come to its end; only on an idle stream. */
const closingPauseMs = 50
const index = new TupleIndex()

export class IncrementalSnapshot implements AsyncDisposable {
  readonly #options: IncrementalOptions
  #database: Database | null = null
  /** The tables to read, the current one first. */
  #collections: readonly Collection[] = []
  #current: CurrentTable | null = null
  #chunk: Chunk | null = null
  #paused = false
  /** Of the signal that came last, whichever tables are read: Debezium has one for all. */
  #correlationId = ''
  /** Read-only: state to go on from as soon as a snapshot shows everything that the stream has passed. */
  #delayed: { readonly resumed: IncrementalState | null } | null = null

  constructor(options: IncrementalOptions) {
    this.#options = options
  }

  get isRunning(): boolean {
    return this.#collections.length > 0
  }

  /** Milliseconds until `advance` is worth a call on an idle stream. */
  get dueInMs(): number {
    const waits = this.#delayed !== null || this.#chunk?.closesAt != null
    return waits ? closingPauseMs : Number.POSITIVE_INFINITY
  }

  /** Read-only: whether the end of the log is waited for. */
  get awaitsLogEnd(): boolean {
    return this.#chunk?.closesAt != null
  }

  /** Goes on where a stored offset says; a key that cannot be read starts its table again. */
  async resume(offset: Readonly<Record<string, unknown>>): Promise<void> {
    const state = stateOf(offset)
    if (state === null) return
    this.#collections = state.collections
    this.#correlationId = state.correlationId
    this.#options.logger.info({ tables: state.collections.map(({ id }) => id) }, 'Incremental snapshot goes on')
    await this.#readChunk(state)
  }

  async start(request: SnapshotRequest): Promise<void> {
    const { logger } = this.#options
    if (request.collections.length === 0) {
      logger.warn({ signal: request.id }, 'A signal to execute a snapshot names no data-collections: ignored')
      return
    }
    const wasRunning = this.isRunning
    this.#collections = [...this.#collections, ...(await this.#resolve(request))]
    this.#correlationId = request.id
    this.#notify('STARTED', this.#remaining())
    this.#notify('DATA_COLLECTIONS_RESOLVED', this.#remaining())
    this.#save()
    if (!wasRunning) await this.#readChunk(null)
  }

  /** Ends the snapshot of these tables, or of all when none is named. */
  async stop(request: SnapshotRequest): Promise<void> {
    if (!this.isRunning) return
    const patterns = request.collections.map((text) => new JavaRegex(text))
    const current = this.#collections[0]
    const all = patterns.length === 0
    if (all) this.#notify('ABORTED', this.#remaining())
    this.#collections = all
      ? []
      : this.#collections.filter(({ id }) => !patterns.some((pattern) => pattern.matches(id)))
    if (this.#collections[0] !== current) {
      this.#current = null
      this.#chunk = null
      this.#delayed = null
    }
    this.#save()
    if (this.isRunning && this.#chunk === null) await this.#readChunk(null)
  }

  pause(): void {
    if (!this.isRunning || this.#paused) return
    this.#paused = true
    this.#notify('PAUSED', this.#remaining())
  }

  async resumePaused(): Promise<void> {
    if (!this.#paused) return
    this.#paused = false
    this.#notify('RESUMED', this.#remaining())
    if (this.#chunk === null && this.#delayed === null) await this.#readChunk(null)
  }

  /** The stream has come to the row that opens a chunk: from here on events replace rows. */
  opened(markerId: string): void {
    if (this.#chunk !== null && markerId === `${this.#chunk.id}-open`) this.#chunk.isOpen = true
  }

  /** The stream has come to the end of a chunk: what is left of it is emitted, and the next one is read. */
  async closed(markerId: string): Promise<void> {
    const chunk = this.#chunk
    const suffix = this.#options.deletesMarker ? 'open' : 'close'
    if (chunk !== null && markerId === `${chunk.id}-${suffix}`) await this.#close(chunk)
  }

  /** Read-only: the stream has emitted everything before `position`. */
  async advance(position: Lsn): Promise<void> {
    const chunk = this.#chunk
    if (chunk !== null && chunk.closesAt !== null && position >= chunk.closesAt) await this.#close(chunk)
    else if (this.#delayed !== null && !this.#paused) {
      const { resumed } = this.#delayed
      this.#delayed = null
      await this.#readChunk(resumed)
    } else if (this.#options.passed.isLarge) {
      this.#options.passed.forget(await visibleTransactions(await this.#connection()))
    }
  }

  async #close(chunk: Chunk): Promise<void> {
    this.#chunk = null
    const rows = [...chunk.rows.values()]
    for (const row of rows.slice(0, -1)) this.#options.emit(row)
    // Only the last row says that the chunk is done: an offset before it reads the chunk again.
    if (this.#current !== null && chunk.end !== null) this.#current = { ...this.#current, lower: chunk.end }
    this.#save()
    const last = rows.at(-1)
    if (last !== undefined) this.#options.emit(last)
    if (!this.#paused) await this.#readChunk(null)
  }

  /** An event of the stream: the rows of its keys are older than it. */
  changed(table: TableSchema, bytes: Buffer, tuples: readonly number[]): void {
    const chunk = this.#chunk
    const current = this.#current
    if (chunk === null || !chunk.isOpen || current === null || table.id !== current.schema.id) return
    const columns = current.eventKey.map((name) => table.columns.indexOf(name))
    for (const tuple of tuples) if (tuple >= 0) chunk.rows.delete(rowKey(bytes, tuple, columns))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const database = this.#database
    this.#database = null
    await database?.[Symbol.asyncDispose]()
  }

  async #resolve(request: SnapshotRequest): Promise<readonly Collection[]> {
    const { catalog, filters, signalTable } = this.#options
    const tables = (await catalog.tables()).filter(
      (t) =>
        filters.capturesTable(t.schema, t.table) &&
        !(t.schema === signalTable?.schema && t.table === signalTable.table),
    )
    const ids = new Set<string>()
    for (const text of request.collections) {
      const pattern = new JavaRegex(text)
      const matching = tables.map((t) => `${t.schema}.${t.table}`).filter((id) => pattern.matches(id))
      for (const id of matching.length > 0 ? matching : [text.replaceAll('"', '')]) ids.add(id)
    }
    return [...ids].map((id) => {
      const condition = request.conditions.find(({ collection }) =>
        new JavaRegex(collection, { ignoreCase: true }).matches(id),
      )
      return { id, condition: condition?.filter ?? '', surrogateKey: request.surrogateKey, correlationId: request.id }
    })
  }

  /** Brackets and reads the next chunk that has rows; tables that have none left are finished on the way. */
  async #readChunk(resumed: IncrementalState | null): Promise<void> {
    const [first] = this.#collections
    if (first === undefined || this.#paused) return
    const database = await this.#connection()
    const chunk: Chunk = {
      id: randomUUID(),
      openedAt: new Date().toISOString(),
      collection: first.id,
      correlationId: first.correlationId,
      rows: new Map(),
      end: null,
      isOpen: this.#options.signalTable === null,
      closesAt: null,
    }
    await this.#mark(database, chunk, 'open')
    let state = resumed
    for (let filled = false; this.isRunning && !filled; state = null) {
      const outcome = await this.#consistently(database, () => this.#fill(database, chunk, state))
      if (outcome === null) {
        this.#delayed = { resumed: state }
        return
      }
      filled = outcome
    }
    if (this.#options.signalTable === null) {
      // Nothing was read from any table: nothing to wait for.
      if (!this.isRunning) return
      chunk.closesAt = await this.#logEnd(database)
    }
    this.#chunk = chunk
    await this.#mark(database, chunk, 'close')
  }

  /**
   * Read-only: runs `read` under one snapshot that shows every transaction that the stream has passed; null when there
   * is none for too long. Otherwise markers in the log do this, and `read` just runs.
   */
  async #consistently(database: Database, read: () => Promise<boolean>): Promise<boolean | null> {
    const { signalTable, passed, clock } = this.#options
    if (signalTable !== null) return await read()
    for (let waitedMs = 0; waitedMs <= visibilityWaitMs; waitedMs += visibilityPauseMs) {
      await database.execute('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY')
      try {
        const visible = await visibleTransactions(database)
        passed.forget(visible)
        if (passed.allIn(visible)) return await read()
      } finally {
        await database.execute('ROLLBACK')
      }
      await clock.sleep(visibilityPauseMs)
    }
    return null
  }

  /** Where the stream has passed every transaction that the chunk's snapshot shows. */
  async #logEnd(database: Database): Promise<Lsn> {
    const [row] = await database.rows<{ at: string; page: string }>(
      `SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END AS at,
              current_setting('wal_block_size') AS page`,
    )
    return reachableEnd(parseLsn(row?.at ?? ''), Number(row?.page ?? 8192))
  }

  /** Reads the next rows of the current table; false when it is finished, and the next table is current. */
  async #fill(database: Database, chunk: Chunk, resumed: IncrementalState | null): Promise<boolean> {
    const [collection] = this.#collections
    if (collection === undefined) return false
    try {
      const current = this.#current ?? (await this.#open(database, collection, resumed))
      if (current === null) return false
      this.#current = current
      const { lower, upper, source } = current
      const copy = CopyQuery.start(
        database.client,
        `COPY (${chunkSql(source, { lower, upper }, this.#options.chunkRows)}) TO STDOUT`,
        this.#options.limits,
      )
      const signal = new AbortController().signal
      let rows = 0
      for (let block = await copy.next(signal); block !== null; block = await copy.next(signal)) {
        for (const tuple of block.tuples) {
          const row = { schema: current.schema, bytes: block.bytes, tuple }
          chunk.rows.set(rowKey(block.bytes, tuple, current.eventKeyColumns), row)
          chunk.end = keyText(block.bytes, tuple, current.orderColumns)
          rows += 1
        }
      }
      if (rows === 0) {
        this.#finish('SUCCEEDED', current)
        return false
      }
      this.#progress(current, chunk.end ?? [], rows)
      return true
    } catch (error) {
      if (passes(error)) throw error
      this.#options.logger.error({ error, table: collection.id }, 'Incremental snapshot of the table failed: skipped')
      this.#finish('SQL_EXCEPTION', this.#current)
      return false
    }
  }

  /** Looks the table up; null when there is nothing to read, which finishes it. */
  async #open(
    database: Database,
    collection: Collection,
    resumed: IncrementalState | null,
  ): Promise<CurrentTable | null> {
    const { catalog, schemas, filters, reports } = this.#options
    const known: CatalogTable | undefined = (await catalog.tables()).find(
      (t) => `${t.schema}.${t.table}` === collection.id,
    )
    if (known === undefined || !filters.capturesTable(known.schema, known.table)) {
      this.#finish('UNKNOWN_SCHEMA', null)
      return null
    }
    const table = await openTable(known, collection, { catalog, schemas, filters })
    if (table === null) {
      this.#finish('NO_PRIMARY_KEY', null)
      return null
    }
    const upper = resumed?.maximum ?? (await maximumKey(database, table.source))
    if (upper === null) {
      this.#finish('EMPTY', null)
      return null
    }
    const stored = resumed?.totalRows ?? null
    const isCounted = reports && stored === null
    const counted = isCounted ? (await database.rows<{ rows: string }>(countSql(table.source)))[0] : undefined
    return {
      ...table,
      lower: resumed?.last ?? null,
      upper,
      totalRows: counted === undefined ? stored : Number(counted.rows),
      chunks: 0,
      rows: 0,
    }
  }

  #progress(current: CurrentTable, end: KeyText, rows: number): void {
    const now = { ...current, chunks: current.chunks + 1, rows: current.rows + rows }
    this.#current = now
    this.#save()
    this.#notify('IN_PROGRESS', {
      current_collection_in_progress: current.schema.id,
      maximum_key: current.upper.join(','),
      last_processed_key: end.join(','),
      ...this.#remaining(),
      chunk_index: String(now.chunks),
      total_chunks: String(Math.ceil((current.totalRows ?? 0) / this.#options.chunkRows)),
      total_rows: String(current.totalRows ?? 0),
    })
  }

  /** The current table is done with; the next one becomes current. */
  #finish(status: string, current: CurrentTable | null): void {
    const [collection, ...rest] = this.#collections
    if (collection === undefined) return
    this.#notify('TABLE_SCAN_COMPLETED', {
      scanned_collection: collection.id,
      total_rows_scanned: String(current?.rows ?? 0),
      ...(current === null ? {} : { total_rows: String(current.totalRows ?? 0) }),
      status,
      ...this.#remaining(),
    })
    this.#options.logger.info(
      { table: collection.id, status, rows: current?.rows ?? 0 },
      'Incremental snapshot of a table',
    )
    this.#collections = rest
    this.#current = null
    this.#save()
    if (rest.length === 0) this.#notify('COMPLETED', {})
  }

  #remaining(): Readonly<Record<string, string>> {
    return { data_collections: this.#collections.map(({ id }) => id).join(',') }
  }

  #notify(type: string, data: Readonly<Record<string, string>>): void {
    this.#options.notify({ aggregate, type, id: this.#correlationId, data })
  }

  #save(): void {
    this.#options.save(this.isRunning ? offsetMembers(this.#collections, this.#current, this.#correlationId) : null)
  }

  async #mark(database: Database, chunk: Chunk, what: 'open' | 'close'): Promise<void> {
    const { signalTable, deletesMarker } = this.#options
    if (signalTable === null) return
    const name = qualifiedName(signalTable)
    if (what === 'close' && deletesMarker) {
      await database.rows(`DELETE FROM ${name} AS marker WHERE marker.id = $1`, [`${chunk.id}-open`])
      return
    }
    const times =
      what === 'open'
        ? `"openWindowTimestamp": "${chunk.openedAt}"`
        : `"openWindowTimestamp": "${chunk.openedAt}", "closeWindowTimestamp": "${new Date().toISOString()}"`
    const ids = `"correlationId": ${JSON.stringify(chunk.correlationId)}, "dataCollectionId": ${JSON.stringify(chunk.collection)}`
    await database.rows(`INSERT INTO ${name} VALUES ($1, $2, $3)`, [
      `${chunk.id}-${what}`,
      `snapshot-window-${what}`,
      `{${times}, ${ids}}`,
    ])
  }

  async #connection(): Promise<Database> {
    this.#database ??= await Database.open(this.#options.connection, 'Debezium Incremental Snapshot')
    return this.#database
  }
}

/**
 * Nothing is wrong with the table: the connection, a lock, a deadlock or a conflict with a standby's replay, a server
 * short of something. The next session reads the chunk again; to skip the table would miss its rows.
 */
function passes(error: unknown): boolean {
  const { kind, code } = classify(error, { what: 'read a chunk' })
  return sqlStateOf(error) === null || (kind === 'retriable' && code !== 'CONNECT_POSTGRES_SERVER')
}

async function visibleTransactions(database: Database): Promise<VisibleTransactions> {
  const [row] = await database.rows<{ visible: string }>('SELECT pg_current_snapshot() AS visible')
  return parseSnapshot(row?.visible ?? '')
}

async function maximumKey(database: Database, source: CurrentTable['source']): Promise<KeyText | null> {
  const [row] = await database.rows<Record<string, string | null>>(maximumKeySql(source))
  return row === undefined ? null : keyOf(source).map((name) => row[name] ?? null)
}

function keyText(bytes: Buffer, tuple: number, columns: readonly number[]): KeyText {
  index.load(bytes, tuple)
  return columns.map((column) => {
    const start = index.start(column)
    return start < 0 ? null : bytes.toString('utf8', start, index.end(column))
  })
}

function rowKey(bytes: Buffer, tuple: number, columns: readonly number[]): string {
  return JSON.stringify(keyText(bytes, tuple, columns))
}
