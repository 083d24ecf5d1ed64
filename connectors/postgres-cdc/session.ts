/** One run from connecting to a lost connection or the task's end: start-up checks, snapshot, stream. */

import type pg from 'pg'
import type { Clock, Logger, Metrics, TopicReader, TopicReaderOptions } from '../../worker/api/context.ts'
import { ConnectError } from '../../worker/api/errors.ts'
import type { SourceOffset, SourceRecord } from '../../worker/api/record.ts'
import { Catalog } from './catalog.ts'
import { Database, openClient } from './connection.ts'
import type { EventConstants } from './envelope.ts'
import { classify, sqlStateOf } from './errors.ts'
import { Heartbeat } from './heartbeat.ts'
import type { Lsn } from './lsn.ts'
import { confirmable, type StoredOffset, signalPositionOf, startOf } from './offsets.ts'
import { ensurePublication, setReplicaIdentities } from './publication.ts'
import { ReplicationStream } from './replication-stream.ts'
import { Reselect } from './reselect.ts'
import type { Settings } from './settings.ts'
import {
  type CreatedSlot,
  checkSystem,
  checkTimeline,
  createSlot,
  currentLsn,
  endOfTimeline,
  identifySystem,
  positionLost,
  resumeLsn,
  type SlotState,
  slotState,
} from './slot.ts'
import { SlotMonitor } from './slot-monitor.ts'
import { SnapshotPhase } from './snapshot-phase.ts'
import { capturedTables, checkServer, checkSignalTable, type ServerFacts } from './start-checks.ts'
import { openStreamPhase, type SnapshotRest, type StreamPhase } from './stream-phase.ts'
import { TableSchemas } from './table-schema.ts'

export interface SessionOptions {
  readonly settings: Settings
  readonly clock: Clock
  readonly logger: Logger
  readonly constants: EventConstants
  /** Where to go on; null at the very first start. */
  readonly stored: StoredOffset | null
  /** The offset that `stored` was read from. */
  readonly offset: SourceOffset | null
  /** The first session of a task: `snapshot.mode=always` reads the tables again. */
  readonly first: boolean
  /** Transaction that is to be emitted whole, see `ResumeFilter`. */
  readonly distrustXid: number | null
  /** Timeline of the server that the session before was on; null for the first one. */
  readonly timeline: number | null
  /** Aborts when the task stops. */
  readonly life: AbortSignal
  readonly metrics: Metrics
  readTopic(options: TopicReaderOptions): TopicReader
  /** The offset has moved without a record. */
  advance(offset: SourceOffset): void
  /** The same, before any record that follows can be durable. */
  persist(offset: SourceOffset): Promise<void>
  nowUs(): number
}

const failoverVersion = 170_000
const messagesVersion = 140_000

/** Owns its connections. After a failure it is only good for disposal. */
export class Session implements AsyncDisposable {
  readonly #options: SessionOptions
  readonly #database: Database
  readonly #catalog: Catalog
  readonly #schemas: TableSchemas
  readonly #heartbeat: Heartbeat
  readonly #reselects: readonly Reselect[]
  readonly #monitor: SlotMonitor
  #facts: ServerFacts = { version: 0, walSenderTimeoutMs: 60_000 }
  /** Known where there is a replication connection. */
  #systemId: string | null = null
  #timeline: number | null = null
  /** Replication connection that waits for the stream to start. */
  #client: pg.Client | null = null
  /** Null when this session takes none. */
  #snapshot: SnapshotPhase | null = null
  #stream: StreamPhase | null = null

  private constructor(options: SessionOptions, database: Database) {
    this.#options = options
    this.#database = database
    this.#catalog = new Catalog(database)
    this.#schemas = new TableSchemas(options.settings.tableOptions, this.#catalog)
    const { settings, clock, logger } = options
    const schemas = this.#schemas
    const { slot, monitor } = settings
    this.#monitor = new SlotMonitor({ database, slot, ...monitor, metrics: options.metrics, clock, logger })
    this.#reselects = settings.reselects.map((rules) => new Reselect(rules, { database, schemas, logger, clock }))
    this.#heartbeat = new Heartbeat({
      intervalMs: settings.heartbeatMs,
      query: settings.heartbeatQuery,
      topic: settings.topics.heartbeat,
      logicalName: settings.logicalName,
      partition: settings.partition,
      connection: settings.connection,
      clock,
      logger,
    })
  }

  /** Connects, checks, prepares slot and publication, and opens the snapshot or the stream. */
  static async open(options: SessionOptions): Promise<Session> {
    const { connection, queryTimeoutMs } = options.settings
    const session = new Session(options, await Database.open({ ...connection, queryTimeoutMs }, 'Debezium General'))
    try {
      await session.#start()
    } catch (error) {
      await session[Symbol.asyncDispose]()
      throw error
    }
    return session
  }

  /** Next records; `[]` when `signal` aborts or a wait is over. */
  async poll(signal: AbortSignal): Promise<readonly SourceRecord[]> {
    this.#monitor.look()
    let records = await this.#next(signal)
    for (const reselect of this.#reselects) records = await reselect.apply(records)
    return records
  }

  async #next(signal: AbortSignal): Promise<readonly SourceRecord[]> {
    if (this.#stream === null && this.#snapshot !== null && !this.#snapshot.isOver) {
      const records = (await this.#snapshot.poll(signal)) ?? (await this.#endSnapshot(this.#snapshot, signal))
      if (records !== null) return records
    }
    if (this.#stream === null) {
      await this.#options.clock.sleep(this.#options.settings.pollIntervalMs, signal)
      return []
    }
    return await this.#stream.poll(signal)
  }

  /** An offset is durable downstream (I1). */
  confirm(offset: SourceOffset): void {
    const position = confirmable(offset)
    if (position !== null && this.#options.settings.confirms) this.#stream?.confirm(position)
    const signals = signalPositionOf(offset)
    if (signals !== null) this.#stream?.confirmSignals(signals)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closing = [
      () => this.#stream?.[Symbol.asyncDispose](),
      () => this.#client?.end(),
      () => this.#snapshot?.[Symbol.asyncDispose](),
      () => this.#heartbeat[Symbol.asyncDispose](),
      () => this.#database[Symbol.asyncDispose](),
    ]
    for (const close of closing) {
      try {
        await close()
      } catch (error) {
        this.#options.logger.debug({ error }, 'Closing a connection failed')
      }
    }
  }

  async #start(): Promise<void> {
    const { settings, logger } = this.#options
    const catalog = this.#catalog
    this.#facts = await checkServer(this.#database)
    const captured = await capturedTables({ settings, catalog, logger })
    await checkSignalTable(captured, { settings, catalog, logger })
    const { streams } = settings.snapshot.policy
    if (streams) {
      this.#client = await openClient(settings.connection, 'Debezium Streaming', true)
      await this.#checkSystem(this.#client)
    }
    const state = await slotState(this.#database, settings.slot)
    const decision = await this.#decide(state)
    if (streams) {
      await ensurePublication(this.#database, {
        ...settings.publication,
        captured,
        timeoutMs: settings.ddlTimeoutMs,
        logger,
      })
      if (settings.identities !== null)
        await setReplicaIdentities(this.#database, settings.identities, captured, logger)
    }
    const created = streams && state === null ? await this.#createSlot(this.#client) : null
    if (decision.snapshot && state !== null && (await this.#resumeSnapshot(state))) return
    if (decision.snapshot) {
      await this.#newSnapshot().start(created)
      return
    }
    if (!streams) return
    const start =
      decision.start ??
      created?.consistentPoint ??
      state?.confirmedFlushLsn ??
      state?.restartLsn ??
      (await currentLsn(this.#database))
    await this.#openStream(decision.stored, start)
  }

  async #checkSystem(client: pg.Client): Promise<void> {
    const identity = await identifySystem(client)
    this.#systemId = identity.systemId
    this.#timeline = identity.timeline
    const { stored, settings } = this.#options
    if (stored === null || stored.snapshotUnfinished) return
    checkSystem(identity, stored, settings.mismatch)
    const was = this.#options.timeline ?? stored.timeline
    const is = identity.timeline
    if (was === null || was === is) return
    checkTimeline(stored, { was, is, end: await endOfTimeline(client, is, was) }, settings.mismatch)
  }

  /** Timeline that the server was on; null before that is known. */
  get timeline(): number | null {
    return this.#timeline
  }

  /** Whether to snapshot, and where the stream starts otherwise. */
  async #decide(
    state: SlotState | null,
  ): Promise<{ snapshot: boolean; stored: StoredOffset | null; start: Lsn | null }> {
    const { stored, first, settings, logger } = this.#options
    const { policy } = settings.snapshot
    const fresh = { snapshot: policy.readsData('none'), stored: null, start: null }
    if (stored === null) return fresh
    if (stored.snapshotUnfinished) {
      if (policy.readsData('unfinished')) return { snapshot: true, stored: null, start: null }
      if (!policy.passesUnfinished) throw neverSnapshots()
    } else if (first && policy.readsData('finished')) return { snapshot: true, stored: null, start: null }
    if (!policy.streams) return { snapshot: false, stored, start: null }
    const check = { database: this.#database, slot: settings.slot, strategy: settings.mismatch, logger }
    try {
      return { snapshot: false, stored, start: await resumeLsn(stored, state, check) }
    } catch (error) {
      if (!policy.forgetsLostPosition || !(error instanceof ConnectError) || error.code !== 'CONNECT_POSTGRES_POSITION')
        throw error
      logger.warn({ error }, 'The stored position is gone; snapshot.mode says to begin anew')
      return fresh
    }
  }

  async #createSlot(client: pg.Client | null): Promise<CreatedSlot> {
    const { settings, stored, first, logger } = this.#options
    if (client === null) throw new RangeError('No replication connection')
    // After a lost connection the slot must still be there: a new one would hide a gap.
    if (stored !== null && !first && !stored.snapshotUnfinished && !settings.snapshot.policy.forgetsLostPosition) {
      throw positionLost(settings.slot, stored.lsn, 'the replication slot does not exist')
    }
    const failover = settings.failover && this.#facts.version >= failoverVersion
    if (settings.failover && !failover) logger.warn({}, 'slot.failover needs PostgreSQL 17 or newer and has no effect')
    const created = await createSlot(
      client,
      { slot: settings.slot, temporary: false, failover, timeoutMs: settings.ddlTimeoutMs },
      this.#database,
    )
    logger.info({ slot: settings.slot, consistentPoint: created.consistentPoint }, 'Created the replication slot')
    return created
  }

  #newSnapshot(): SnapshotPhase {
    const own = { database: this.#database, catalog: this.#catalog, schemas: this.#schemas }
    this.#snapshot = new SnapshotPhase({ ...this.#options, ...own })
    return this.#snapshot
  }

  /**
   * Goes on with the initial snapshot that the stored offset tells of: the stream up to a new snapshot, the rest under
   * it, and the stream again (see `SnapshotProgress`). False when that cannot be, and everything is to be read.
   */
  async #resumeSnapshot(state: SlotState): Promise<boolean> {
    const { stored, settings, logger } = this.#options
    if (stored === null || !stored.snapshotUnfinished || stored.snapshotProgress === null) return false
    if (!settings.snapshot.policy.streams) return false
    const start = startOf(stored)
    const sameServer = stored.systemId === null || this.#systemId === null || stored.systemId === this.#systemId
    if (!sameServer || (state.confirmedFlushLsn ?? start) > start || (state.restartLsn ?? start) > start) {
      logger.warn(
        { slot: settings.slot },
        'The slot no longer has what follows the interrupted snapshot; it begins anew',
      )
      return false
    }
    const rest = await this.#newSnapshot().resume(stored.snapshotProgress)
    await this.#openStream(stored, start, rest)
    logger.info({ lsn: start, until: rest.until }, 'The interrupted snapshot goes on after the changes since it')
    return true
  }

  /** What follows a snapshot: the stream, whose records the answer null leaves to come, or nothing but a heartbeat. */
  async #endSnapshot(snapshot: SnapshotPhase, signal: AbortSignal): Promise<readonly SourceRecord[] | null> {
    const { settings, clock } = this.#options
    if (!settings.snapshot.policy.streams) {
      // The heartbeat's offset is the only one of tables without rows.
      const beats = this.#heartbeat.dueInMs !== Number.POSITIVE_INFINITY
      return beats ? [await this.#heartbeat.record(snapshot.offset)] : null
    }
    await clock.sleep(settings.snapshot.streamingDelayMs, signal)
    await this.#openStream(null, snapshot.lsn)
    this.#heartbeat.force()
    return null
  }

  async #openStream(stored: StoredOffset | null, start: Lsn, rest: SnapshotRest | null = null): Promise<void> {
    const { settings, constants, clock, logger, distrustXid, life } = this.#options
    const stream = await this.#startReplication(start)
    // A server that shuts down ends the ordinary sessions first, and then waits for the clients of its walsenders.
    void this.#database.ended.then((reason) => stream.leave(reason))
    this.#stream = openStreamPhase({
      settings,
      constants,
      clock,
      logger,
      stream,
      stored,
      start,
      distrustXid,
      heartbeat: this.#heartbeat,
      offset: stored === null ? null : this.#options.offset,
      snapshotSkipped: this.#snapshot === null,
      rest,
      life,
      database: this.#database,
      catalog: this.#catalog,
      schemas: this.#schemas,
      nowUs: this.#options.nowUs,
      readTopic: this.#options.readTopic,
      systemId: this.#systemId,
      timeline: this.#timeline,
      metrics: this.#options.metrics,
      advance: this.#options.advance,
    })
    // Without an offset the next start would begin where the slot then is, or make a new one.
    if (this.#options.stored === null && this.#snapshot === null) await this.#options.persist(this.#stream.offset)
  }

  async #startReplication(start: Lsn): Promise<ReplicationStream> {
    const { settings, clock, logger, life } = this.#options
    for (let attempt = 0; ; attempt++) {
      const client = this.#client ?? (await openClient(settings.connection, 'Debezium Streaming', true))
      this.#client = null
      try {
        await client.query('SET statement_timeout = 0')
        return await ReplicationStream.start(client, {
          slot: settings.slot,
          publication: settings.publication.name,
          startLsn: start,
          parameters: settings.streamParameters,
          logicalMessages: this.#facts.version >= messagesVersion,
          maxBytes: settings.queueBytes,
          maxMessages: settings.queueMessages,
          statusIntervalMs: settings.statusIntervalMs,
          serverTimeoutMs: this.#facts.walSenderTimeoutMs,
          clock,
          logger,
        })
      } catch (error) {
        await client.end().catch(() => undefined)
        // Another process still holds the slot: often our own predecessor on its way out.
        if (sqlStateOf(error) !== '55006' || attempt >= settings.slotAttempts || life.aborted) {
          throw classify(error, { what: 'start the replication stream', slot: settings.slot })
        }
        logger.warn({ slot: settings.slot, attempt }, 'The replication slot is in use; trying again')
        await clock.sleep(Math.min(settings.slotRetryMs, 500 * 2 ** attempt), life)
      }
    }
  }
}

function neverSnapshots(): ConnectError {
  return new ConnectError(
    'fatal',
    'CONNECT_POSTGRES_SNAPSHOT',
    'The previous snapshot was incomplete, and snapshot.mode now takes none. Use initial or when_needed, or remove the ' +
      "connector's offset.",
  )
}
