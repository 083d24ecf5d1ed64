/** The streaming part of a session: stream → decoder → batches, heartbeats, confirmation. */
import type { Clock, Logger, Metrics, TopicReader, TopicReaderOptions } from '../../worker/api/context.ts'
import type { SourceOffset, SourceRecord } from '../../worker/api/record.ts'
import type { Catalog } from './catalog.ts'
import type { Database } from './connection.ts'
import type { EventConstants } from './envelope.ts'
import { EventFailures } from './event-failures.ts'
import type { Heartbeat } from './heartbeat.ts'
import { type Lsn, maxLsn } from './lsn.ts'
import { type StoredOffset, StreamPosition } from './offsets.ts'
import type { ReplicationStream, Segment } from './replication-stream.ts'
import { ResumeFilter } from './resume.ts'
import type { Settings } from './settings.ts'
import { SignalHandler } from './signal-handler.ts'
import { progressMember } from './snapshot-progress.ts'
import { StreamDecoder } from './stream-decoder.ts'
import type { TableSchemas } from './table-schema.ts'
import { TransactionMetadata } from './transaction-metadata.ts'
import { requireVisible } from './visibility.ts'

export interface StreamPhaseOptions {
  readonly settings: Settings
  readonly constants: EventConstants
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  readonly stream: ReplicationStream
  readonly stored: StoredOffset | null
  readonly start: Lsn
  readonly distrustXid: number | null
  readonly heartbeat: Heartbeat
  readonly database: Database
  readonly catalog: Catalog
  readonly schemas: TableSchemas
  /** The offset that `stored` was read from; null without one. */
  readonly offset: SourceOffset | null
  /** No initial snapshot came before, in this session. */
  readonly snapshotSkipped: boolean
  /** The rest of an interrupted initial snapshot; null when there is none. */
  readonly rest: SnapshotRest | null
  /** Aborts when the task stops. */
  readonly life: AbortSignal
  /** Which server the positions belong to. */
  readonly systemId: string | null
  /** Which branch of its history. */
  readonly timeline: number | null
  readTopic(options: TopicReaderOptions): TopicReader
  /** The offset has moved without a record. */
  advance(offset: SourceOffset): void
  nowUs(): number
}

/** What of a snapshot is read once the stream has come to where the snapshot is exact; see `SnapshotProgress`. */
export interface SnapshotRest {
  readonly until: Lsn
  /** Progress that is stored until then. */
  readonly progress: string
  /** @param offset position of the stream, which stands still meanwhile */
  batches(offset: () => SourceOffset): AsyncGenerator<readonly SourceRecord[], void, void>
  /** All of it has been returned. */
  end(): Promise<void>
}

const fewRecords = 8
/** Least time between two questions how far the log goes, in ms. */
const askIntervalMs = 100

export class StreamPhase implements AsyncDisposable {
  readonly #options: StreamPhaseOptions
  readonly #decoder: StreamDecoder
  readonly #position: StreamPosition
  readonly #signals: SignalHandler | null
  readonly #failures: EventFailures | null
  #blocking: AsyncGenerator<readonly SourceRecord[], void, void> | null = null
  /** The rest of a snapshot that is still to come, and is being read. */
  #rest: SnapshotRest | null
  #reading: AsyncGenerator<readonly SourceRecord[], void, void> | null = null
  #askedMs = Number.NEGATIVE_INFINITY
  #resumed = false
  /** Segments that the records of the last call, or those to come, refer to. */
  readonly #fed: Segment[] = []
  #xminReadMs = Number.NEGATIVE_INFINITY
  /** Since when there was neither a record nor an offset without one. */
  #idleSinceMs: number
  /** Where the last offset without a record stood. */
  #advancedTo: Lsn

  constructor(options: StreamPhaseOptions) {
    const { settings, stored, start } = options
    this.#options = options
    this.#idleSinceMs = options.clock.monotonicMs()
    this.#advancedTo = start
    this.#position = new StreamPosition(stored, start)
    this.#failures =
      settings.processingFailures === 'fail'
        ? null
        : new EventFailures(
            settings.processingFailures,
            options.logger,
            options.metrics.counter('erroneous-events-total', 'Records that were left out since a value was refused'),
          )
    this.#rest = options.rest
    this.#position.snapshotProgress = options.rest?.progress ?? null
    const transactions = settings.transactionMetadata
      ? new TransactionMetadata({ topic: settings.topics.transaction, partition: settings.partition }, this.#position)
      : null
    const push = (record: SourceRecord) => this.#decoder.push(record)
    this.#signals = settings.signals.wanted ? new SignalHandler({ ...options, position: this.#position, push }) : null
    this.#decoder = new StreamDecoder({
      catalog: options.catalog,
      schemas: options.schemas,
      filters: settings.filters,
      constants: options.constants,
      partition: settings.partition,
      headers: settings.headers,
      messageTopic: settings.topics.message,
      binary: settings.tableOptions.values.binary,
      skipped: settings.skipped,
      tombstones: settings.tombstones,
      skipUnchanged: settings.skipUnchanged,
      position: this.#position,
      resume: new ResumeFilter(stored, options.distrustXid),
      transactions,
      nowUs: options.nowUs,
      xmin: () => this.#position.xmin,
      shown: (xid) => requireVisible(xid, options),
      signals: this.#signals,
      until: options.rest?.until ?? null,
    })
  }

  async poll(signal: AbortSignal): Promise<readonly SourceRecord[]> {
    const { stream, settings, heartbeat } = this.#options
    for (;;) {
      this.#releaseSpent()
      await this.#followXmin()
      const answered = await this.#answerSignals()
      if (answered.length > 0) return answered
      if (this.#rest !== null) {
        const rows = await this.#readRest(this.#rest)
        if (rows !== null) return rows
      }
      if (!this.#decoder.hasMore) {
        const segment = stream.take()
        if (segment !== null) this.#feed(segment)
      }
      if (this.#decoder.hasMore) {
        const decoded = await this.#decode()
        const records = this.#failures?.passed(decoded) ?? decoded
        if (heartbeat.dueInMs <= 0) return [...records, ...(await this.#beat())]
        if (records.length > 0) {
          this.#idleSinceMs = this.#options.clock.monotonicMs()
          return records
        }
        if (signal.aborted) return []
        continue
      }
      if (heartbeat.dueInMs <= 0) {
        const beat = await this.#beat()
        if (beat.length > 0) return beat
      }
      // Returned, so that a transaction of the framework ends here.
      if (this.#advanceIdle() || signal.aborted) return []
      const waitMs = Math.min(settings.pollIntervalMs, heartbeat.dueInMs, this.#signals?.dueInMs ?? heartbeat.dueInMs)
      await stream.wait(Math.max(1, waitMs), signal)
      if (stream.isEmpty && signal.aborted) return []
    }
  }

  /** Null until the stream has come to where the rest of the snapshot belongs. */
  async #readRest(rest: SnapshotRest): Promise<readonly SourceRecord[] | null> {
    const { stream, clock, heartbeat } = this.#options
    if (this.#reading === null) {
      if (!this.#decoder.isHeld && !(this.#isIdle && stream.walEnd >= rest.until)) {
        if (this.#isIdle && clock.monotonicMs() - this.#askedMs >= askIntervalMs) {
          this.#askedMs = clock.monotonicMs()
          stream.requestKeepalive()
        }
        return null
      }
      // Everything that committed before has been emitted.
      this.#position.idle(rest.until)
      this.#reading = rest.batches(() => this.#position.offset())
    }
    const batch = await this.#reading.next()
    if (batch.done !== true) {
      // Offsets of other records must not fall behind.
      const progress = batch.value.at(-1)?.sourceOffset[progressMember]
      if (typeof progress === 'string') this.#position.snapshotProgress = progress
      return batch.value
    }
    if (this.#options.life.aborted) return []
    this.#reading = null
    this.#rest = null
    this.#position.snapshotProgress = null
    this.#decoder.passOn()
    await rest.end()
    heartbeat.force()
    return []
  }

  #feed(segment: Segment): void {
    this.#fed.push(segment)
    this.#decoder.feed(segment)
  }

  /** Views of the records of the last call are no longer used: its segments are, but for one that is not finished. */
  #releaseSpent(): void {
    const unfinished = this.#decoder.hasMore ? 1 : 0
    while (this.#fed.length > unfinished) this.#options.stream.release(this.#fed.shift() as Segment)
  }

  /** One segment; after a short one, as the message between two reads makes, the next one too. */
  async #decode(): Promise<readonly SourceRecord[]> {
    const { stream, settings } = this.#options
    const records = await this.#decoder.decode(settings.batchRecords)
    if (records.length > fewRecords || this.#decoder.hasMore || stream.isEmpty) return records
    const segment = stream.take()
    if (segment === null) return records
    this.#feed(segment)
    const more = await this.#decoder.decode(Math.max(1, settings.batchRecords - records.length))
    return records.length === 0 ? more : [...records, ...more]
  }

  /** Where the stream stands. */
  get offset(): SourceOffset {
    return this.#position.offset()
  }

  /** @see ReplicationStream.confirm */
  confirm(position: Lsn): void {
    this.#options.stream.confirm(position)
  }

  /** @see SignalHandler.confirmSignals */
  confirmSignals(position: bigint): void {
    this.#signals?.confirmSignals(position)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#blocking?.return()
    await this.#reading?.return()
    await this.#signals?.[Symbol.asyncDispose]()
    await this.#options.stream[Symbol.asyncDispose]()
  }

  /** What signals lead to apart from the stream: the snapshot of a stored offset, a blocking one, notifications. */
  async #answerSignals(): Promise<readonly SourceRecord[]> {
    const signals = this.#signals
    if (signals === null) return []
    const { offset, snapshotSkipped, life } = this.#options
    if (!this.#resumed) {
      this.#resumed = true
      if (snapshotSkipped) signals.notify({ aggregate: 'Initial Snapshot', type: 'SKIPPED' })
      if (offset !== null) await signals.resume(offset)
    }
    await signals.poll(this.#passed)
    if (signals.awaitsLogEnd && this.#isIdle) this.#options.stream.requestKeepalive()
    if (signals.wantsPause && !this.#decoder.inTransaction) this.#blocking ??= signals.blockingSnapshots(life)
    const pushed = this.#decoder.takePushed()
    if (pushed.length > 0 || this.#blocking === null) return pushed
    const batch = await this.#blocking.next()
    if (batch.done !== true) return batch.value
    this.#blocking = null
    // As behind any snapshot.
    this.#options.heartbeat.force()
    return []
  }

  /** Nothing has come that is not decoded, and no transaction is open. */
  get #isIdle(): boolean {
    return this.#options.stream.isEmpty && !this.#decoder.hasMore && !this.#decoder.inTransaction
  }

  /** Everything that ends before has been emitted. */
  get #passed(): Lsn {
    const { lsnCommit } = this.#position
    const { stream, start } = this.#options
    return maxLsn(lsnCommit ?? start, this.#isIdle ? stream.walEnd : start)
  }

  /** The offset of an idle stream follows the end of the log; once it is durable, the slot does (I1). */
  #advanceIdle(): boolean {
    const { settings, clock, stream } = this.#options
    const { idleAdvanceMs } = settings
    if (!settings.confirms || idleAdvanceMs === 0 || clock.monotonicMs() - this.#idleSinceMs < idleAdvanceMs)
      return false
    this.#idleSinceMs = clock.monotonicMs()
    // Not only the end of the log: commits that left no record move the position, too.
    const reached = maxLsn(stream.walEnd, this.#position.lsn)
    if (!this.#isIdle || reached <= this.#advancedTo) return false
    this.#advancedTo = reached
    this.#position.idle(reached)
    this.#nameServer()
    this.#options.advance(this.#position.offset())
    return true
  }

  /** A heartbeat record; none inside a transaction that is only partly decoded, nor before any offset exists. */
  async #beat(): Promise<readonly SourceRecord[]> {
    const { stream, heartbeat, stored } = this.#options
    // Nothing that the slot would send lies before the log's end: once this record is durable, the slot may advance.
    if (this.#isIdle && stream.walEnd > this.#position.lsn) this.#position.idle(stream.walEnd)
    if (
      this.#position.messageType === null &&
      stored === null &&
      this.#position.lsnCommit === null &&
      this.#options.start === 0n
    )
      return []
    this.#nameServer()
    return [await heartbeat.record(this.#position.offset())]
  }

  #nameServer(): void {
    this.#position.systemId = this.#options.systemId
    this.#position.timeline = this.#options.timeline
  }

  async #followXmin(): Promise<void> {
    const { settings, clock, database } = this.#options
    if (settings.xminIntervalMs === 0 || clock.monotonicMs() - this.#xminReadMs < settings.xminIntervalMs) return
    this.#xminReadMs = clock.monotonicMs()
    const [row] = await database.rows<{ catalog_xmin: string | null }>(
      'SELECT catalog_xmin FROM pg_replication_slots WHERE slot_name = $1',
      [settings.slot],
    )
    this.#position.xmin = row?.catalog_xmin == null ? null : Number(row.catalog_xmin)
  }
}

export function openStreamPhase(options: StreamPhaseOptions): StreamPhase {
  return new StreamPhase(options)
}
