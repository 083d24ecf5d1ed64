/** Replication messages → change events: resume, filters, schemas, transactions. */

import type { Logger } from '../../worker/api/context.ts'
import { makeSchema, type Schema, type Value } from '../../worker/api/data.ts'
import { RetriableError } from '../../worker/api/errors.ts'
import { type Header, type Headers, type SourcePartition, SourceRecord } from '../../worker/api/record.ts'
import type { Catalog } from './catalog.ts'
import {
  EnvelopeView,
  type EventConstants,
  EventTime,
  type Operation,
  RowView,
  SourceBlock,
  type SourceContext,
  sameKey,
  sameRow,
  unknownLabel,
} from './envelope.ts'
import { messageKeySchema, messageSchemaOf } from './event-schemas.ts'
import type { Filters } from './filters.ts'
import { LogicalMessageView } from './logical-message.ts'
import { type Lsn, readLsn } from './lsn.ts'
import type { MessageType, StreamPosition } from './offsets.ts'
import {
  decodeBegin,
  decodeCommit,
  decodeMessage,
  decodeOrigin,
  decodeRelation,
  decodeRowChange,
  decodeTruncate,
  type Relation,
  RowChange,
  Tag,
  TupleIndex,
} from './pgoutput.ts'
import type { Segment } from './replication-stream.ts'
import type { ResumeFilter } from './resume.ts'
import type { TableSchema, TableSchemas } from './table-schema.ts'
import { messageCollection, type TransactionMetadata } from './transaction-metadata.ts'
import { type BinaryMode, binarySpec, encodeBinary } from './values/codec.ts'

export interface DecoderOptions {
  readonly catalog: Catalog
  readonly schemas: TableSchemas
  readonly filters: Filters
  readonly constants: EventConstants
  readonly partition: SourcePartition
  /** Context headers of every data record. */
  readonly headers: Headers
  readonly messageTopic: string
  readonly binary: BinaryMode
  /** Letters of `skipped.operations`. */
  readonly skipped: ReadonlySet<string>
  readonly tombstones: boolean
  readonly skipUnchanged: boolean
  readonly position: StreamPosition
  readonly resume: ResumeFilter
  readonly transactions: TransactionMetadata | null
  readonly logger: Logger
  nowUs(): number
  /** `catalog_xmin` of the slot, or null when it is not followed. */
  xmin(): number | null
  /**
   * Resolves when queries see what this transaction wrote; asked once per transaction that announces tables.
   * @throws RetriableError when that takes too long
   */
  shown(xid: number): Promise<void>
  /** Null when no signals are expected. */
  readonly signals: StreamSignals | null
  /** Transactions that commit here or later wait for `passOn`; null lets all pass. */
  readonly until: Lsn | null
}

/** What the stream tells the part that answers signals. */
export interface StreamSignals {
  /** `schema.table` of the signal table. */
  readonly table: string
  /** Whether this row ends a chunk: it is emitted before it is handled, others are handled first. */
  endsChunk(row: SignalRow): boolean
  handle(row: SignalRow): Promise<void>
  /** An event of a captured table, with its old and new tuple (−1: none). */
  changed(table: TableSchema, bytes: Buffer, oldTuple: number, newTuple: number): void
  /** A transaction has come, emitted before or not. */
  begun(xid: number): void
  /** Whether the stream is to stop before the next transaction. */
  readonly wantsPause: boolean
}

/** An inserted or deleted row of the signal table, whose columns count by position. */
export interface SignalRow {
  readonly id: string
  readonly type: string
  readonly data: string | null
  readonly deleted: boolean
}

const copyData = 0x64
const xlogData = 0x77
/** From the start of a CopyData frame to the message behind the XLogData header. */
const headerBytes = 30

const noColumns = Buffer.from([0, 0])

/**
 * Decodes one session's stream. `position` always stands behind the last record that was returned, so a failed session
 * can be continued from there.
 */
export class StreamDecoder {
  readonly #options: DecoderOptions
  readonly #tables = new Map<number, TableSchema | null>()
  readonly #relations = new Map<number, Relation>()
  readonly #change = new RowChange()
  readonly #messageSchema: Schema
  #records: SourceRecord[] = []
  #segment: Segment | null = null
  #at = 0
  #context: SourceContext
  /** Of the last event; most follow one of their own table and transaction. */
  #source: SourceBlock | null = null
  #xid = 0
  /** The transaction that the catalog was last seen to show. */
  #shownXid: number | null = null
  #inTransaction = false
  #time: EventTime
  #emitted: EventTime
  #until: Lsn | null
  #isHeld = false

  constructor(options: DecoderOptions) {
    this.#options = options
    this.#until = options.until
    this.#emitted = new EventTime(options.nowUs())
    this.#time = this.#emitted
    this.#messageSchema = messageSchemaOf(makeSchema(binarySpec(options.binary)))
    this.#context = this.#newContext(null)
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
    this.#records.push(record)
  }

  /** What `push` has added since the last call of `decode` or of this. */
  takePushed(): readonly SourceRecord[] {
    const records = this.#records
    this.#records = []
    return records
  }

  /** Continues with the next segment; the one before must be finished. */
  feed(segment: Segment): void {
    this.#segment = segment
    this.#at = segment.start
    this.#emitted = new EventTime(this.#options.nowUs())
  }

  /** Decodes until the segment ends or `most` records are there. Records may slightly exceed it: a change is not cut. */
  async decode(most: number): Promise<readonly SourceRecord[]> {
    const segment = this.#segment
    if (segment === null) return []
    const { bytes, end } = segment
    const { signals } = this.#options
    while (this.#at < end && this.#records.length < most) {
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
    const records = this.#records
    this.#records = []
    return records
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
        return this.#relation(bytes, at)
      case Tag.origin: {
        const origin = decodeOrigin(bytes, at)
        this.#context = { ...this.#context, origin: origin.name, originLsn: origin.lsn }
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

  #newContext(txId: number | null): SourceContext {
    const { constants, position } = this.#options
    return {
      constants,
      time: this.#time,
      snapshot: null,
      txId,
      sequencePrefix: position.lsnCommit === null ? '[null,' : `["${position.lsnCommit}",`,
      xmin: this.#options.xmin(),
      origin: null,
      originLsn: null,
    }
  }

  #begin(bytes: Buffer, at: number, position: Lsn): void {
    const begin = decodeBegin(bytes, at)
    const { transactions, resume } = this.#options
    const isNew = resume.begin(begin)
    this.#options.signals?.begun(begin.xid)
    this.#xid = begin.xid
    this.#inTransaction = true
    this.#time = new EventTime(Number(begin.commitTimeUs))
    // While the stored position is searched for, the offset stays the stored one: a heartbeat may carry it.
    if (!resume.skipsCommit && !resume.positionMissing) {
      this.#options.position.begin(position, begin.xid, begin.commitTimeUs)
    }
    this.#context = this.#newContext(begin.xid)
    if (isNew && transactions !== null) this.#records.push(transactions.begin(begin.xid, position, this.#time.ms))
  }

  #commit(bytes: Buffer, at: number): void {
    const { resume, transactions, position } = this.#options
    const { endLsn } = decodeCommit(bytes, at)
    this.#inTransaction = false
    if (resume.skipsCommit) return
    if (resume.positionMissing) throw new PositionMissingError(this.#xid)
    position.commit(endLsn)
    if (transactions === null) return
    // The offset of END is the finished transaction's, without its counters.
    this.#records.push(transactions.end(this.#xid, endLsn, this.#time.ms))
  }

  async #relation(bytes: Buffer, at: number): Promise<void> {
    const relation = decodeRelation(bytes, at)
    this.#relations.set(relation.oid, relation)
    await this.#loadTable(relation)
  }

  async #loadTable(relation: Relation): Promise<void> {
    const { filters, catalog, schemas } = this.#options
    const { schema, table, oid, columns } = relation
    if (!filters.capturesTable(schema, table)) {
      this.#tables.set(oid, null)
      return
    }
    // One that made or changed the table is sent before queries see it: they would miss its key, or the table.
    if (this.#shownXid !== this.#xid) await this.#options.shown(this.#xid)
    this.#shownXid = this.#xid
    const details = await catalog.details(oid)
    await catalog.loadTypes(columns.map((column) => column.typeOid))
    const tuple = columns.map(({ name, typeOid, typmod }) => ({ name, typeOid, typmod }))
    this.#tables.set(oid, schemas.build({ schema, table, tuple, details, from: 'stream' }))
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

  /** A label that the schema does not list: ALTER TYPE … ADD VALUE sends no relation message. */
  async #refreshThenEmit(bytes: Buffer, at: number, position: Lsn, typeOid: number): Promise<void> {
    const relation = this.#relations.get(this.#change.relationOid)
    if (relation !== undefined && (await this.#options.catalog.refreshEnums([typeOid]))) await this.#loadTable(relation)
    decodeRowChange(bytes, at, this.#change)
    this.#apply(this.#tables.get(this.#change.relationOid) ?? null, bytes, at, position)
  }

  #apply(table: TableSchema | null, bytes: Buffer, at: number, position: Lsn): void {
    if (this.#options.resume.admitsChange(position)) this.#applyAdmitted(table, bytes, at, position)
  }

  #applyAdmitted(table: TableSchema | null, bytes: Buffer, at: number, position: Lsn): void {
    const tag = bytes[at]
    const type: MessageType = tag === Tag.insert ? 'INSERT' : tag === Tag.update ? 'UPDATE' : 'DELETE'
    this.#options.position.change(position, type)
    if (table === null) return
    const { newTuple, oldTuple } = this.#change
    this.#options.signals?.changed(table, bytes, oldTuple, newTuple)
    if (tag === Tag.insert)
      this.#emit({ table, operation: 'c', bytes, position, before: -1, after: newTuple, keyFrom: newTuple })
    else if (tag === Tag.delete) this.#delete(table, bytes, position, oldTuple, [])
    else this.#update(table, bytes, position)
  }

  #update(table: TableSchema, bytes: Buffer, position: Lsn): void {
    const { newTuple, oldTuple, oldIsFull } = this.#change
    const { constants, skipUnchanged } = this.#options
    // Before the key is looked at: a key that no captured column shows changes nothing.
    if (skipUnchanged && oldTuple >= 0 && sameRow(table.value, bytes, oldTuple, newTuple)) return
    if (table.key !== null && oldTuple >= 0 && !sameKey(table.key, bytes, oldTuple, newTuple, constants)) {
      const { failures } = constants
      const oldKey = new RowView(table.key, { bytes, tuple: oldTuple, oldTuple: -1, failures }).materialize()
      const newKey = new RowView(table.key, { bytes, tuple: newTuple, oldTuple, failures }).materialize()
      const header = (key: string, value: Value): Header => ({ key, schema: table.key?.schema ?? null, value })
      this.#delete(table, bytes, position, oldTuple, [header('__debezium.newkey', newKey)])
      const headers = [header('__debezium.oldkey', oldKey)]
      this.#emit({
        table,
        operation: 'c',
        bytes,
        position,
        before: -1,
        after: newTuple,
        keyFrom: newTuple,
        lender: oldIsFull ? oldTuple : -1,
        headers,
      })
      return
    }
    this.#emit({
      table,
      operation: 'u',
      bytes,
      position,
      before: oldTuple,
      after: newTuple,
      keyFrom: newTuple,
      lender: oldIsFull ? oldTuple : -1,
    })
  }

  #delete(table: TableSchema, bytes: Buffer, position: Lsn, oldTuple: number, headers: Headers): void {
    const deleted = this.#emit({
      table,
      operation: 'd',
      bytes,
      position,
      before: oldTuple,
      after: -1,
      keyFrom: oldTuple,
      headers,
    })
    if (deleted === null || !this.#options.tombstones) return
    this.#records.push(
      new SourceRecord({
        sourcePartition: deleted.sourcePartition,
        sourceOffset: deleted.sourceOffset,
        topic: deleted.topic,
        keySchema: deleted.keySchema,
        key: deleted.rawKey,
        headers: deleted.headers,
      }),
    )
  }

  #emit(event: EmittedEvent): SourceRecord | null {
    const { table, operation, bytes, position, keyFrom } = event
    const { skipped, partition, headers, constants, transactions } = this.#options
    if (skipped.has(operation)) return null
    const lender = event.lender ?? -1
    const own = event.headers ?? []
    const hasKey = table.key !== null && keyFrom >= 0
    const transaction = transactions?.next(table.id, this.#xid, position) ?? null
    const record = new SourceRecord({
      sourcePartition: partition,
      sourceOffset: this.#options.position.offset(),
      topic: table.topic,
      keySchema: hasKey ? table.key.schema : null,
      key: hasKey
        ? new RowView(table.key, { bytes, tuple: keyFrom, oldTuple: lender, failures: constants.failures })
        : null,
      valueSchema: table.envelope,
      value: new EnvelopeView({
        table,
        source: this.#sourceOf(table),
        operation,
        lsn: position,
        bytes,
        before: event.before,
        after: event.after,
        lender,
        transaction,
        emitted: this.#emitted,
      }),
      // Those of a deletion are its own and its tombstone's: transforms tell by them which two belong together.
      headers: own.length === 0 && operation !== 'd' ? headers : [...own, ...headers],
    })
    this.#records.push(record)
    return record
  }

  #sourceOf(table: TableSchema): SourceBlock {
    let source = this.#source
    if (source?.context !== this.#context || source.schema !== table.schema || source.table !== table.table) {
      source = new SourceBlock(this.#context, table.schema, table.table)
      this.#source = source
    }
    return source
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
      if (table == null) continue
      this.#emit({ table, operation: 't', bytes: noColumns, position, before: -1, after: -1, keyFrom: -1 })
    }
  }

  #logicalMessage(bytes: Buffer, at: number, position: Lsn): void {
    const { resume, filters, position: progress, transactions, partition, messageTopic } = this.#options
    const message = decodeMessage(bytes, at)
    if (!resume.admitsMessage(position, message.transactional)) return
    if (message.transactional) progress.transactionalMessage(position)
    else {
      this.#time = this.#emitted
      progress.freeMessage(position, BigInt(this.#emitted.us))
    }
    if (!filters.capturesMessage(message.prefix)) return
    // An origin counts until the next transaction begins: the server names none for a message outside of them.
    const { origin, originLsn } = this.#context
    const context = message.transactional ? this.#context : { ...this.#newContext(null), origin, originLsn }
    const counted = message.transactional ? transactions : null
    this.#records.push(
      new SourceRecord({
        sourcePartition: partition,
        sourceOffset: progress.offset(),
        topic: messageTopic,
        keySchema: messageKeySchema,
        key: { prefix: message.prefix },
        valueSchema: this.#messageSchema,
        value: new LogicalMessageView(this.#messageSchema, {
          context,
          lsn: position,
          prefix: message.prefix,
          content: encodeBinary(message.content, this.#options.binary),
          transaction: counted?.next(messageCollection, this.#xid, position) ?? null,
          emitted: this.#emitted,
        }),
      }),
    )
  }
}

interface EmittedEvent {
  readonly table: TableSchema
  readonly operation: Operation
  readonly bytes: Buffer
  readonly position: Lsn
  readonly before: number
  readonly after: number
  /** Tuple that the key is taken from; −1: no key. */
  readonly keyFrom: number
  readonly lender?: number
  readonly headers?: Headers
}

/** Whether the message begins something that commits at `until` or later. */
function startsBehind(until: Lsn, bytes: Buffer, at: number): boolean {
  if (bytes[at] === Tag.begin) return decodeBegin(bytes, at).finalLsn >= until
  const isFree = bytes[at] === Tag.message && ((bytes[at + 1] as number) & 1) === 0
  return isFree && readLsn(bytes, at + 2) >= until
}

const signalIndex = new TupleIndex()

/** Null for an update, and for a row that is no signal. */
function signalRow(bytes: Buffer, change: RowChange, tag: number): SignalRow | null {
  const tuple = tag === Tag.insert ? change.newTuple : tag === Tag.delete ? change.oldTuple : -1
  if (tuple < 0) return null
  signalIndex.load(bytes, tuple)
  const text = (column: number) => {
    const start = signalIndex.start(column)
    return start < 0 ? null : bytes.toString('utf8', start, signalIndex.end(column))
  }
  const id = text(0)
  return id === null ? null : { id, type: text(1) ?? '', data: text(2), deleted: tag === Tag.delete }
}

/** The offset's position did not come in its transaction: the session starts over and emits the transaction whole. */
export class PositionMissingError extends RetriableError {
  readonly xid: number

  constructor(xid: number) {
    super(
      'CONNECT_POSTGRES_RESUME',
      `The stored position was not found in transaction ${xid}; it is emitted again as a whole`,
      {
        retryAfterMs: 0,
      },
    )
    this.xid = xid
  }
}
