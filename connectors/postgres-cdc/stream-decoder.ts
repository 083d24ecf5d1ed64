/** The messages of the replication stream, in order: resume, transactions, filters, signals. */
import { RetriableError } from '../../worker/api/errors.ts'
import type { SourceRecord } from '../../worker/api/record.ts'
import { unknownLabel } from './envelope.ts'
import { type Lsn, readLsn } from './lsn.ts'
import type { MessageType } from './offsets.ts'
import {
  decodeBegin,
  decodeCommit,
  decodeMessage,
  decodeOrigin,
  decodeRelation,
  decodeRowChange,
  decodeTruncate,
  RowChange,
  Tag,
} from './pgoutput.ts'
import type { Segment } from './replication-stream.ts'
import type { ResumeFilter } from './resume.ts'
import { StreamEvents, type StreamEventsOptions } from './stream-events.ts'
import { type StreamSignals, signalRow } from './stream-signals.ts'
import { StreamTables, type StreamTablesOptions } from './stream-tables.ts'
import type { TableSchema } from './table-schema.ts'

export interface DecoderOptions extends StreamEventsOptions, StreamTablesOptions {
  readonly resume: ResumeFilter
  /** Null when no signals are expected. */
  readonly signals: StreamSignals | null
  /** Transactions that commit here or later wait for `passOn`; null lets all pass. */
  readonly until: Lsn | null
}

const copyData = 0x64
const xlogData = 0x77
/** From the start of a CopyData frame to the message behind the XLogData header. */
const headerBytes = 30

/**
 * Decodes one session's stream. `position` always stands behind the last record that was returned, so a failed session
 * can be continued from there.
 */
export class StreamDecoder {
  readonly #options: DecoderOptions
  readonly #tables: StreamTables
  readonly #events: StreamEvents
  readonly #change = new RowChange()
  #segment: Segment | null = null
  #at = 0
  #xid = 0
  #inTransaction = false
  #until: Lsn | null
  #isHeld = false

  constructor(options: DecoderOptions) {
    this.#options = options
    this.#tables = new StreamTables(options)
    this.#events = new StreamEvents(options)
    this.#until = options.until
  }

  /** Whether a transaction has begun and not ended. */
  get inTransaction(): boolean {
    return this.#inTransaction
  }

  /** The next transaction is one that waits for `passOn`. */
  get isHeld(): boolean {
    return this.#isHeld
  }

  passOn(): void {
    this.#until = null
    this.#isHeld = false
  }

  get hasMore(): boolean {
    return this.#segment !== null
  }

  /** Adds a record at the present position. */
  push(record: SourceRecord): void {
    this.#events.push(record)
  }

  /** What `push` has added since the last call of `decode` or of this. */
  takePushed(): readonly SourceRecord[] {
    return this.#events.take()
  }

  /** Continues with the next segment; the one before must be finished. */
  feed(segment: Segment): void {
    this.#segment = segment
    this.#at = segment.start
    this.#events.stamp()
  }

  /** Decodes until the segment ends or `most` records are there. Records may slightly exceed it: a change is not cut. */
  async decode(most: number): Promise<readonly SourceRecord[]> {
    const segment = this.#segment
    if (segment === null) return []
    const { bytes, end } = segment
    const { signals } = this.#options
    while (this.#at < end && this.#events.count < most) {
      const at = this.#at
      // Row changes, the bulk, run without a promise in between.
      if (bytes[at] === copyData && bytes[at + 5] === xlogData) {
        if (this.#until !== null && startsBehind(this.#until, bytes, at + headerBytes)) {
          this.#isHeld = true
          break
        }
        const later = this.#message(bytes, at + headerBytes, at + 6, at + 1 + bytes.readUInt32BE(at + 1))
        if (later !== null) await later
      }
      this.#at = at + 1 + bytes.readUInt32BE(at + 1)
      if (signals !== null && signals.wantsPause && !this.#inTransaction) break
    }
    if (this.#at >= end) this.#segment = null
    return this.#events.take()
  }

  /** @returns a promise only where the catalog must be asked */
  #message(bytes: Buffer, at: number, lsnAt: number, end: number): Promise<void> | null {
    switch (bytes[at]) {
      case Tag.insert:
      case Tag.update:
      case Tag.delete:
        return this.#rowChange(bytes, at, readLsn(bytes, lsnAt))
      case Tag.begin:
        this.#begin(bytes, at, readLsn(bytes, lsnAt))
        return null
      case Tag.commit:
        this.#commit(bytes, at)
        return null
      case Tag.relation:
        return this.#tables.announce(decodeRelation(bytes, at), this.#xid)
      case Tag.origin: {
        const { name, lsn } = decodeOrigin(bytes, at)
        this.#events.origin(name, lsn)
        return null
      }
      case Tag.truncate:
        this.#truncate(bytes, at, readLsn(bytes, lsnAt))
        return null
      case Tag.message:
        this.#logicalMessage(bytes.subarray(0, end), at, readLsn(bytes, lsnAt))
        return null
      default:
        // TYPE messages only name types; the catalog has more.
        return null
    }
  }

  #begin(bytes: Buffer, at: number, position: Lsn): void {
    const begin = decodeBegin(bytes, at)
    const { resume } = this.#options
    const isNew = resume.begin(begin)
    this.#options.signals?.begun(begin.xid)
    this.#xid = begin.xid
    this.#inTransaction = true
    // While the stored position is searched for, the offset stays the stored one: a heartbeat may carry it.
    if (!resume.skipsCommit && !resume.positionMissing) {
      this.#options.position.begin(position, begin.xid, begin.commitTimeUs)
    }
    this.#events.begin(begin, position, isNew)
  }

  #commit(bytes: Buffer, at: number): void {
    const { resume, position } = this.#options
    const { endLsn } = decodeCommit(bytes, at)
    this.#inTransaction = false
    if (resume.skipsCommit) return
    if (resume.positionMissing) throw new PositionMissingError(this.#xid)
    position.commit(endLsn)
    this.#events.commit(endLsn)
  }

  #rowChange(bytes: Buffer, at: number, position: Lsn): Promise<void> | null {
    const change = this.#change
    decodeRowChange(bytes, at, change)
    const table = this.#tables.get(change.relationOid)
    if (table === undefined) {
      // The server announces every relation before its first change.
      throw new RetriableError(
        'CONNECT_POSTGRES_PROTOCOL',
        `A change of relation ${change.relationOid} came unannounced`,
      )
    }
    if (table !== null && table.enums.length > 0 && change.newTuple >= 0) {
      const unknown = unknownLabel(table, bytes, change.newTuple)
      if (unknown !== null) return this.#refreshThenEmit(bytes, at, position, unknown)
    }
    if (table !== null && table.id === this.#options.signals?.table) return this.#signal(table, bytes, at, position)
    this.#apply(table, bytes, at, position)
    return null
  }

  /**
   * A row of the signal table. A request is handled before its row is emitted, so that no offset passes it without the
   * state that it leads to; the end of a chunk after its row, since the rows of the chunk stand behind it.
   */
  async #signal(table: TableSchema, bytes: Buffer, at: number, position: Lsn): Promise<void> {
    const { signals, resume } = this.#options
    if (signals === null || !resume.admitsChange(position)) return
    const row = signalRow(bytes, this.#change, bytes[at] as number)
    if (row === null || signals.endsChunk(row)) this.#applyAdmitted(table, bytes, at, position)
    if (row === null) return
    await signals.handle(row)
    if (signals.endsChunk(row)) return
    decodeRowChange(bytes, at, this.#change)
    this.#applyAdmitted(table, bytes, at, position)
  }

  async #refreshThenEmit(bytes: Buffer, at: number, position: Lsn, typeOid: number): Promise<void> {
    const { relationOid } = this.#change
    await this.#tables.refreshEnum(relationOid, typeOid, this.#xid)
    decodeRowChange(bytes, at, this.#change)
    this.#apply(this.#tables.get(relationOid) ?? null, bytes, at, position)
  }

  #apply(table: TableSchema | null, bytes: Buffer, at: number, position: Lsn): void {
    if (this.#options.resume.admitsChange(position)) this.#applyAdmitted(table, bytes, at, position)
  }

  #applyAdmitted(table: TableSchema | null, bytes: Buffer, at: number, position: Lsn): void {
    const tag = bytes[at] as number
    const type: MessageType = tag === Tag.insert ? 'INSERT' : tag === Tag.update ? 'UPDATE' : 'DELETE'
    this.#options.position.change(position, type)
    if (table === null) return
    this.#options.signals?.changed(table, bytes, this.#change.oldTuple, this.#change.newTuple)
    this.#events.change(table, tag, bytes, position, this.#change)
  }

  #truncate(bytes: Buffer, at: number, position: Lsn): void {
    if (!this.#options.resume.admitsChange(position)) return
    const { position: progress } = this.#options
    const oids = decodeTruncate(bytes, at)
    for (const [index, oid] of oids.entries()) {
      // Only the last table of the message moves lsn_proc: an offset before it repeats the message.
      if (index === oids.length - 1) progress.change(position, 'TRUNCATE')
      else progress.partialTruncate(position)
      const table = this.#tables.get(oid)
      if (table != null) this.#events.truncate(table, position)
    }
  }

  #logicalMessage(bytes: Buffer, at: number, position: Lsn): void {
    const { resume, filters, position: progress } = this.#options
    const message = decodeMessage(bytes, at)
    if (!resume.admitsMessage(position, message.transactional)) return
    if (message.transactional) progress.transactionalMessage(position)
    else progress.freeMessage(position, BigInt(this.#events.emittedUs))
    if (filters.capturesMessage(message.prefix)) this.#events.logicalMessage(message, position)
  }
}

/** Whether the message begins something that commits at `until` or later. */
function startsBehind(until: Lsn, bytes: Buffer, at: number): boolean {
  if (bytes[at] === Tag.begin) return decodeBegin(bytes, at).finalLsn >= until
  const isFree = bytes[at] === Tag.message && ((bytes[at + 1] as number) & 1) === 0
  return isFree && readLsn(bytes, at + 2) >= until
}

/** The offset's position did not come in its transaction: the session starts over and emits the transaction whole. */
export class PositionMissingError extends RetriableError {
  readonly xid: number

  constructor(xid: number) {
    super(
      'CONNECT_POSTGRES_RESUME',
      `The stored position was not found in transaction ${xid}; it is emitted again as a whole`,
      { retryAfterMs: 0 },
    )
    this.xid = xid
  }
}
