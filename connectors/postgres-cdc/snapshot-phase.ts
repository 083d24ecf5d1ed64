/** The snapshot part of a session: the point it is exact at, its connections, its batches until all have been returned. */
import type pg from 'pg'
import type { Clock, Logger, Metrics } from '../../worker/api/context.ts'
import type { SourceOffset, SourceRecord } from '../../worker/api/record.ts'
import type { Catalog } from './catalog.ts'
import { Database, openClient } from './connection.ts'
import type { EventConstants } from './envelope.ts'
import type { Lsn } from './lsn.ts'
import { Notifications } from './notifications.ts'
import type { Settings } from './settings.ts'
import { type CreatedSlot, createSlot, currentLsn } from './slot.ts'
import { Snapshot, type SnapshotOptions } from './snapshot.ts'
import { progressMember } from './snapshot-progress.ts'
import type { SnapshotRest } from './stream-phase.ts'
import type { TableSchemas } from './table-schema.ts'

export interface SnapshotPhaseOptions {
  readonly settings: Settings
  readonly constants: EventConstants
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  /** The session's own connection, which does not read the tables. */
  readonly database: Database
  readonly catalog: Catalog
  readonly schemas: TableSchemas
  /** Aborts when the task stops. */
  readonly life: AbortSignal
  /** Makes the offset durable before any record that follows can be. */
  persist(offset: SourceOffset): Promise<void>
  nowUs(): number
}

/** Where a snapshot is exact: the stream goes on from there. */
interface SnapshotPoint {
  readonly lsn: Lsn
  readonly exported: string | null
}

/** One poll's worth: what a collection of garbage finds alive is one block with its records. */
const snapshotBlockBytes = 64 * 1024

/** Owns its connections. After a failure it is only good for disposal. */
export class SnapshotPhase implements AsyncDisposable {
  readonly #options: SnapshotPhaseOptions
  /** Connection whose temporary slot exports the snapshot; closed once the snapshot is open. */
  #exporter: pg.Client | null = null
  #database: Database | null = null
  /** Whose further connections are to be closed. */
  #snapshot: Snapshot | null = null
  #batches: AsyncGenerator<readonly SourceRecord[], void, void> | null = null
  #pending: Promise<IteratorResult<readonly SourceRecord[], void>> | null = null
  #lsn: Lsn | null = null
  #offset: () => SourceOffset = () => ({})

  constructor(options: SnapshotPhaseOptions) {
    this.#options = options
  }

  /** Where the stream goes on from; known once it has been opened. */
  get lsn(): Lsn {
    if (this.#lsn === null) throw new RangeError('The snapshot has not been opened')
    return this.#lsn
  }

  /** Of the place behind the snapshot, once it is over. */
  get offset(): SourceOffset {
    return this.#offset()
  }

  /** Everything has been returned. */
  get isOver(): boolean {
    return this.#batches === null
  }

  /** Reads everything. @param created slot that exports the snapshot; null opens one of its own */
  async start(created: CreatedSlot | null): Promise<void> {
    const { logger, life } = this.#options
    const point =
      created === null ? await this.#choosePoint() : { lsn: created.consistentPoint, exported: created.snapshotName }
    const snapshot = await this.#open(point, { stored: null, offsetOf: null })
    this.#batches = snapshot.batches(life)
    this.#offset = () => snapshot.offset
    logger.info({ lsn: point.lsn, exported: point.exported !== null }, 'Snapshot started')
  }

  /** Opens the rest of an interrupted snapshot, which the stream reads when it has come that far. */
  async resume(progress: string): Promise<SnapshotRest> {
    let position: (() => SourceOffset) | null = null
    const offsetOf = (last: boolean): SourceOffset => {
      const { [progressMember]: _progress, ...offset } = position?.() ?? {}
      return { ...offset, snapshot: 'INITIAL', last_snapshot_record: last, snapshot_completed: last }
    }
    const point = await this.#choosePoint()
    const snapshot = await this.#open(point, { stored: progress, offsetOf })
    return {
      until: point.lsn,
      progress,
      batches: (offset) => {
        position = offset
        return snapshot.batches(this.#options.life)
      },
      end: () => this.#end(),
    }
  }

  /** The next records, `[]` when `signal` aborts before; null when all have been returned. */
  async poll(signal: AbortSignal): Promise<readonly SourceRecord[] | null> {
    if (this.#batches === null) return null
    // A batch that is being read when poll is interrupted belongs to the next poll.
    this.#pending ??= this.#batches.next()
    const result = await unlessAborted(this.#pending, signal)
    if (result === null) return []
    this.#pending = null
    if (result.done !== true) return result.value
    if (this.#options.life.aborted) return []
    this.#batches = null
    await this.#end()
    return null
  }

  /**
   * Beside an existing slot a temporary one exports a snapshot that is exact at its consistent point, so that no
   * transaction falls between snapshot and stream. Without a stream the current position does.
   */
  async #choosePoint(): Promise<SnapshotPoint> {
    const { settings, clock, database } = this.#options
    if (!settings.snapshot.policy.streams) return { lsn: await currentLsn(database), exported: null }
    const client = await openClient(settings.connection, 'Debezium Snapshot Slot', true)
    this.#exporter = client
    const slot = `${settings.slot.slice(0, 40)}_${Math.trunc(clock.now()).toString(36)}`
    const creation = { slot, temporary: true, failover: false, timeoutMs: settings.ddlTimeoutMs }
    const created = await createSlot(client, creation, database)
    return { lsn: created.consistentPoint, exported: created.snapshotName }
  }

  async #open(point: SnapshotPoint, resume: Pick<SnapshotOptions, 'stored' | 'offsetOf'>): Promise<Snapshot> {
    const { settings, constants, catalog, schemas, clock, logger, life, database, metrics } = this.#options
    const { policy, ...rules } = settings.snapshot
    const signals = settings.signals.table
    await clock.sleep(rules.delayMs, life)
    const [row] = await database.rows<{ xid: string | null }>(
      'SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE txid_current() END AS xid',
    )
    this.#database = await Database.open(settings.connection, 'Debezium General')
    const snapshot = new Snapshot({
      database: this.#database,
      catalog,
      schemas,
      filters: settings.filters,
      constants,
      partition: settings.partition,
      headers: settings.headers,
      exportedSnapshot: point.exported,
      isolation: rules.isolation,
      lsn: point.lsn,
      txId: row?.xid == null ? null : Number(row.xid),
      overrides: rules.overrides,
      lock: rules.lock,
      signalTable: signals === null ? null : `${signals.schema}.${signals.table}`,
      only: null,
      sequencePrefix: '[null,',
      xmin: null,
      ...resume,
      resumable: policy.streams,
      persist: resume.stored === null && policy.streams ? this.#options.persist : null,
      order: rules.order,
      notifications: new Notifications(settings.notifications, { ...settings, clock, logger }),
      clock,
      metrics,
      readers: rules.readers,
      sharesTables: rules.sharesTables,
      openReader: () => Database.open(settings.connection, 'Debezium Snapshot'),
      skipReads: settings.skipped.has('r'),
      limits: { rows: settings.batchRecords, blockBytes: snapshotBlockBytes, maxBytes: settings.queueBytes },
      logger,
      nowUs: this.#options.nowUs,
    })
    await snapshot.open()
    this.#lsn = point.lsn
    this.#snapshot = snapshot
    await this.#exporter?.end()
    this.#exporter = null
    return snapshot
  }

  async #end(): Promise<void> {
    this.#snapshot = null
    await this.#database?.[Symbol.asyncDispose]()
    this.#database = null
    this.#options.logger.info({}, 'Snapshot complete')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using closing = new AsyncDisposableStack()
    closing.defer(() => this.#database?.destroy())
    closing.use(this.#snapshot)
    closing.defer(() => this.#exporter?.end())
  }
}

/** The promise's value, or null when `signal` aborts before; the promise goes on. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  if (signal.aborted) return null
  return await new Promise<T | null>((resolve, reject) => {
    const aborted = () => resolve(null)
    signal.addEventListener('abort', aborted, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted))
  })
}
