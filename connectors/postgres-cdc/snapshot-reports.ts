/** Notifications of an initial or a blocking snapshot, as Debezium 3.7 sends them. */
import type { SourceOffset, SourceRecord } from '../../worker/api/record.ts'
import type { CatalogTable } from './catalog.ts'
import type { Notification, Notifications } from './notifications.ts'
import type { PlannedTable, ReadItem } from './snapshot-plan.ts'

export interface StartedSnapshot {
  /** Offset that a notification carries now. */
  readonly offset: () => SourceOffset
  /** Those that are to be read, the table of signals included. */
  readonly resolved: readonly CatalogTable[]
  /** Those that are read. */
  readonly tables: readonly CatalogTable[]
}

const named = (tables: readonly CatalogTable[]): string =>
  tables
    .map(({ schema, table }) => `${schema}.${table}`)
    .sort()
    .join(',')

export class SnapshotReports {
  readonly #notifications: Notifications
  readonly #parallel: boolean
  readonly #push: (record: SourceRecord) => void
  readonly #begun = new Set<PlannedTable>()
  #state: 'new' | 'running' | 'over' = 'new'
  #offset: () => SourceOffset = () => ({})
  #resolved = ''
  #read = ''

  /** @param options.parallel several connections read: their ranges are told, too */
  constructor(options: {
    readonly notifications: Notifications
    readonly parallel: boolean
    readonly push: (record: SourceRecord) => void
  }) {
    this.#notifications = options.notifications
    this.#parallel = options.parallel
    this.#push = options.push
  }

  started({ offset, resolved, tables }: StartedSnapshot): void {
    this.#offset = offset
    this.#resolved = named(resolved)
    this.#read = named(tables)
    this.#state = 'running'
    this.#notify('STARTED', {})
    this.#notify('DATA_COLLECTIONS_RESOLVED', { data_collections: this.#resolved })
  }

  /** A statement begins. */
  reads(item: ReadItem): void {
    const { table } = item
    if (!this.#begun.has(table)) {
      this.#begun.add(table)
      this.#notify('IN_PROGRESS', { current_collection_in_progress: table.id, data_collections: this.#read })
    }
    if (!this.#parallel) return
    this.#notify('TABLE_CHUNK_IN_PROGRESS', {
      current_collection_in_progress: table.id,
      ...chunkOf(item),
      total_rows_scanned: String(table.rows),
    })
  }

  /** A statement is over; of a table, the last one when none is left. */
  hasRead(item: ReadItem): void {
    const { table } = item
    const scanned = { scanned_collection: table.id, data_collections: this.#resolved, status: 'SUCCEEDED' }
    if (this.#parallel) this.#notify('TABLE_CHUNK_COMPLETED', { ...scanned, ...chunkOf(item) })
    if (table.left > 0) return
    this.#begun.delete(table)
    this.#notify('TABLE_SCAN_COMPLETED', { ...scanned, total_rows_scanned: String(table.rows) })
  }

  completed(): void {
    this.#state = 'over'
    this.#notify('COMPLETED', {})
  }

  /** A statement failed: the tables that were being read, and the snapshot. */
  failed(): void {
    if (this.#state !== 'running') return
    this.#state = 'over'
    for (const { id } of this.#begun)
      this.#notify('TABLE_SCAN_COMPLETED', { scanned_collection: id, status: 'SQL_EXCEPTION' })
    this.#notify('ABORTED', {})
  }

  /** The snapshot is given up, and no record is taken any more: a log line at most. */
  ended(): void {
    if (this.#state !== 'running') return
    this.#state = 'over'
    this.#notifications.record({ aggregate: 'Initial Snapshot', type: 'ABORTED' }, this.#offset())
  }

  #notify(type: string, data: NonNullable<Notification['data']>): void {
    if (!this.#notifications.enabled) return
    const record = this.#notifications.record({ aggregate: 'Initial Snapshot', type, data }, this.#offset())
    if (record !== null) this.#push(record)
  }
}

/** Ranges are counted from 0. What was moved between two snapshots counts as the first. */
function chunkOf({ table, chunk }: ReadItem): Readonly<Record<string, string>> {
  return { chunk_index: String(chunk ?? 0), total_chunks: String(table.items.length) }
}
