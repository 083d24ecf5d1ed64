/** Answers signals within the stream: incremental snapshots, blocking ones, log messages. */
import type { Clock, Logger, TopicReader, TopicReaderOptions } from '../../worker/api/context.ts'
import { JavaRegex } from '../../worker/api/java-regex.ts'
import { type SourceOffset, SourceRecord } from '../../worker/api/record.ts'
import type { Catalog } from './catalog.ts'
import { Database } from './connection.ts'
import { EnvelopeView, type EventConstants, EventTime, RowView, SourceBlock } from './envelope.ts'
import { sqlStateOf } from './errors.ts'
import { type ChunkRow, IncrementalSnapshot } from './incremental-snapshot.ts'
import { KafkaSignals } from './kafka-signals.ts'
import type { Lsn } from './lsn.ts'
import { type Notification, Notifications } from './notifications.ts'
import { NotifySignals } from './notify-signals.ts'
import type { StreamPosition } from './offsets.ts'
import { PassedTransactions } from './read-only-watermarks.ts'
import type { Settings } from './settings.ts'
import {
  FileSignals,
  parseSignal,
  type Signal,
  type SignalChannel,
  type SnapshotRequest,
  snapshotRequest,
} from './signals.ts'
import { Snapshot } from './snapshot.ts'
import type { SignalRow, StreamSignals } from './stream-signals.ts'
import type { TableSchema, TableSchemas } from './table-schema.ts'

export interface SignalHandlerOptions {
  readonly settings: Settings
  readonly constants: EventConstants
  readonly clock: Clock
  readonly logger: Logger
  readonly catalog: Catalog
  readonly schemas: TableSchemas
  readonly position: StreamPosition
  readTopic(options: TopicReaderOptions): TopicReader
  nowUs(): number
  /** Puts a record into the stream at its present position. */
  push(record: SourceRecord): void
}

export class SignalHandler implements StreamSignals, AsyncDisposable {
  readonly table: string
  readonly #options: SignalHandlerOptions
  readonly #notifications: Notifications
  readonly #channels: readonly SignalChannel[]
  readonly #kafka: KafkaSignals | null
  readonly #incremental: IncrementalSnapshot | null
  /** Kept only where an incremental snapshot needs it. */
  readonly #passed: PassedTransactions | null
  #blocking: SnapshotRequest[] = []

  constructor(options: SignalHandlerOptions) {
    const { settings, clock, logger } = options
    const { signals, logicalName, partition } = settings
    this.#options = options
    this.table = signals.table === null ? '' : `${signals.table.schema}.${signals.table.table}`
    this.#notifications = new Notifications(settings.notifications, { logicalName, partition, clock, logger })
    this.#kafka = signals.kafka === null ? null : this.#openKafka(signals.kafka)
    this.#channels = [
      ...(signals.file === null ? [] : [new FileSignals(signals.file, signals.pollMs, { clock, logger })]),
      ...(signals.notify === null ? [] : [new NotifySignals(settings.connection, signals.notify, logger)]),
      ...(this.#kafka === null ? [] : [this.#kafka]),
    ]
    const passed = new PassedTransactions()
    this.#passed = signals.readOnly ? passed : null
    if (options.position.txId !== null) passed.add(options.position.txId)
    this.#incremental = signals.table === null && !signals.readOnly ? null : this.#openIncremental(passed)
  }

  #openKafka(kafka: NonNullable<Settings['signals']['kafka']>): KafkaSignals {
    const { settings, position, clock, logger } = this.#options
    const { topic, properties } = kafka
    return new KafkaSignals({
      reader: this.#options.readTopic({ topic, partition: 0, properties }),
      topic,
      key: settings.logicalName,
      start: position.signalPosition,
      pollMs: settings.signals.pollMs,
      clock,
      logger,
    })
  }

  #openIncremental(passed: PassedTransactions): IncrementalSnapshot {
    const { settings, catalog, schemas, clock, logger, push, position } = this.#options
    const { signals } = settings
    return new IncrementalSnapshot({
      connection: settings.connection,
      catalog,
      schemas,
      filters: settings.filters,
      signalTable: signals.readOnly ? null : signals.table,
      passed,
      clock,
      chunkRows: signals.chunkRows,
      deletesMarker: signals.deletesMarker,
      // A chunk is read as a whole before the stream goes on, whatever its size.
      limits: { rows: signals.chunkRows, blockBytes: 256 * 1024, maxBytes: Number.MAX_SAFE_INTEGER },
      logger,
      reports: this.#notifications.enabled,
      notify: (notification) => this.notify(notification),
      emit: (row) => push(this.#chunkRecord(row)),
      save: (members) => {
        position.incremental = members
      },
    })
  }

  get wantsPause(): boolean {
    return this.#blocking.length > 0
  }

  /** Milliseconds until a channel or an incremental snapshot is worth a look on an idle stream. */
  get dueInMs(): number {
    const snapshotMs = this.#incremental?.dueInMs ?? Number.POSITIVE_INFINITY
    return this.#channels.reduce((ms, channel) => Math.min(ms, channel.dueInMs), snapshotMs)
  }

  /** Whether an incremental snapshot waits for the stream to come to the end of the log. */
  get awaitsLogEnd(): boolean {
    return this.#incremental?.awaitsLogEnd ?? false
  }

  /** Goes on with the incremental snapshot of a stored offset. */
  async resume(offset: SourceOffset): Promise<void> {
    await this.#incremental?.resume(offset)
  }

  notify(notification: Notification): void {
    const { position, push } = this.#options
    const record = this.#notifications.record(notification, position.offset())
    if (record !== null) push(record)
  }

  endsChunk(row: SignalRow): boolean {
    return this.#options.settings.signals.deletesMarker
      ? row.deleted && row.id.endsWith('-open')
      : row.type === 'snapshot-window-close'
  }

  begun(xid: number): void {
    this.#passed?.add(xid)
  }

  changed(table: TableSchema, bytes: Buffer, oldTuple: number, newTuple: number): void {
    this.#incremental?.changed(table, bytes, [oldTuple, newTuple])
  }

  async handle(row: SignalRow): Promise<void> {
    if (this.endsChunk(row)) await this.#incremental?.closed(row.id)
    else if (row.deleted) return
    else if (row.type === 'snapshot-window-open') this.#incremental?.opened(row.id)
    else if (this.#options.settings.signals.fromTable) {
      const signal = parseSignal(row.id, row.type, row.data)
      if (signal === null)
        this.#options.logger.warn({ signal: row.id }, 'The data of a signal is no JSON object: ignored')
      else await this.#act(signal)
    }
  }

  /**
   * Reads and answers signals that do not come by the stream.
   * @param passed everything before it has been emitted
   */
  async poll(passed: Lsn): Promise<void> {
    for (const channel of this.#channels) for await (const signal of channel.poll()) await this.#act(signal)
    this.#options.position.signalPosition = this.#kafka?.position ?? null
    if (this.#passed !== null) await this.#incremental?.advance(passed)
  }

  /** A source offset with this position in the signal topic is durable. */
  confirmSignals(position: bigint): void {
    this.#kafka?.confirm(position)
  }

  /** The records of the blocking snapshots that were asked for. The stream stands still meanwhile. */
  async *blockingSnapshots(life: AbortSignal): AsyncGenerator<readonly SourceRecord[], void, void> {
    for (let request = this.#blocking.shift(); request !== undefined; request = this.#blocking.shift()) {
      try {
        yield* this.#blockingSnapshot(request, life)
      } catch (error) {
        // As in Debezium: not tried again, the stream goes on.
        if (sqlStateOf(error) === null) throw error
        this.#options.logger.error({ error, signal: request.id }, 'The blocking snapshot failed and is given up')
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const channel of this.#channels) await channel[Symbol.asyncDispose]()
    await this.#incremental?.[Symbol.asyncDispose]()
  }

  async #act(signal: Signal): Promise<void> {
    const { logger, position } = this.#options
    const request = snapshotRequest(signal)
    switch (signal.type) {
      case 'log': {
        const message = typeof signal.data['message'] === 'string' ? signal.data['message'] : ''
        const offset = JSON.stringify(position.offset(), (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v))
        logger.info({ signal: signal.id }, message.replace('{}', offset))
        return
      }
      case 'execute-snapshot':
        if (request.blocking) this.#blocking.push(request)
        else if (this.#incremental === null) {
          logger.error(
            { signal: signal.id },
            'Incremental snapshots need signal.data.collection, or read.only=true: the signal is ignored',
          )
        } else await this.#incremental.start(request)
        return
      case 'stop-snapshot':
        await this.#incremental?.stop(request)
        return
      case 'pause-snapshot':
        this.#incremental?.pause()
        return
      case 'resume-snapshot':
        await this.#incremental?.resumePaused()
        return
      default:
        logger.warn({ signal: signal.id, type: signal.type }, 'A signal of an unknown type: ignored')
    }
  }

  async *#blockingSnapshot(
    request: SnapshotRequest,
    life: AbortSignal,
  ): AsyncGenerator<readonly SourceRecord[], void, void> {
    const { settings, constants, catalog, schemas, position, logger } = this.#options
    const { filters } = settings
    const tables = (await catalog.tables()).map(({ schema, table }) => `${schema}.${table}`)
    const only = new Set(
      request.collections.flatMap((text) => {
        const pattern = new JavaRegex(text)
        return tables.filter((id) => pattern.matches(id))
      }),
    )
    // Debezium takes the tables of these conditions by their ids, where those of an incremental snapshot are patterns.
    const overrides = request.conditions.map(
      ({ collection, filter }) => [collection.replaceAll('"', ''), filter] as const,
    )
    await using database = await Database.open(settings.connection, 'Debezium Blocking Snapshot')
    logger.info({ signal: request.id, tables: [...only] }, 'Blocking snapshot started')
    const snapshot = new Snapshot({
      database,
      catalog,
      schemas,
      filters,
      constants,
      partition: settings.partition,
      headers: settings.headers,
      exportedSnapshot: null,
      isolation: settings.snapshot.isolation,
      lsn: position.eventLsn,
      txId: position.txId,
      overrides: new Map(overrides),
      lock: null,
      signalTable: this.table,
      skipReads: settings.skipped.has('r'),
      limits: { rows: settings.batchRecords, blockBytes: 256 * 1024, maxBytes: settings.queueBytes },
      only,
      sequencePrefix: sequencePrefix(position),
      xmin: position.xmin,
      offsetOf: (last) => ({
        ...position.offset(),
        snapshot: 'BLOCKING',
        last_snapshot_record: last,
        snapshot_completed: last,
      }),
      stored: null,
      resumable: false,
      persist: null,
      order: settings.snapshot.order,
      notifications: this.#notifications,
      clock: this.#options.clock,
      metrics: null,
      readers: settings.snapshot.readers,
      sharesTables: settings.snapshot.sharesTables,
      openReader: () => Database.open(settings.connection, 'Debezium Blocking Snapshot'),
      logger,
      nowUs: this.#options.nowUs,
    })
    await snapshot.open()
    yield* snapshot.batches(life)
    logger.info({ signal: request.id }, 'Blocking snapshot complete')
  }

  #chunkRecord({ schema, bytes, tuple }: ChunkRow): SourceRecord {
    const { settings, constants, position, clock } = this.#options
    const key = schema.key
    const emitted = new EventTime(this.#options.nowUs())
    const belowUs = Math.trunc((clock.monotonicMs() * 1e6) % 1000)
    return new SourceRecord({
      sourcePartition: settings.partition,
      sourceOffset: position.offset(),
      topic: schema.topic,
      keySchema: key?.schema ?? null,
      key: key === null ? null : new RowView(key, { bytes, tuple, oldTuple: -1, failures: constants.failures }),
      valueSchema: schema.envelope,
      value: new EnvelopeView({
        table: schema,
        source: new SourceBlock(
          {
            constants,
            time: new EventTime(emitted.us, belowUs),
            snapshot: 'incremental',
            txId: null,
            sequencePrefix: sequencePrefix(position),
            xmin: null,
            origin: null,
            originLsn: null,
          },
          schema.schema,
          schema.table,
        ),
        operation: 'r',
        lsn: position.eventLsn,
        bytes,
        before: -1,
        after: tuple,
        lender: -1,
        transaction: null,
        emitted,
      }),
      headers: settings.headers,
    })
  }
}

function sequencePrefix({ lsnCommit }: StreamPosition): string {
  return lsnCommit === null ? '[null,' : `["${lsnCommit}",`
}
