/** Decoded changes → records, in the context of the transaction that is being read. */
import { makeSchema, type Schema, type Value } from '../../worker/api/data.ts'
import { type Header, type Headers, type SourcePartition, SourceRecord } from '../../worker/api/record.ts'
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
} from './envelope.ts'
import { messageKeySchema, messageSchemaOf } from './event-schemas.ts'
import { LogicalMessageView } from './logical-message.ts'
import type { Lsn } from './lsn.ts'
import type { StreamPosition } from './offsets.ts'
import { type Begin, type LogicalMessage, type RowChange, Tag } from './pgoutput.ts'
import type { TableSchema } from './table-schema.ts'
import { messageCollection, type TransactionMetadata } from './transaction-metadata.ts'
import { type BinaryMode, binarySpec, encodeBinary } from './values/codec.ts'

export interface StreamEventsOptions {
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
  /** Gives each record its offset; moved by whoever decodes, before the record is made. */
  readonly position: StreamPosition
  readonly transactions: TransactionMetadata | null
  nowUs(): number
  /** `catalog_xmin` of the slot, or null when it is not followed. */
  xmin(): number | null
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

const noColumns = Buffer.from([0, 0])

/** Makes the records of one session's stream, and keeps them until they are taken. */
export class StreamEvents {
  readonly #options: StreamEventsOptions
  readonly #messageSchema: Schema
  #records: SourceRecord[] = []
  #context: SourceContext
  /** Of the last event; most follow one of their own table and transaction. */
  #source: SourceBlock | null = null
  #xid = 0
  #emitted: EventTime

  constructor(options: StreamEventsOptions) {
    this.#options = options
    this.#emitted = new EventTime(options.nowUs())
    this.#messageSchema = messageSchemaOf(makeSchema(binarySpec(options.binary)))
    this.#context = this.#newContext(null, this.#emitted)
  }

  /** Records that wait to be taken. */
  get count(): number {
    return this.#records.length
  }

  take(): readonly SourceRecord[] {
    const records = this.#records
    this.#records = []
    return records
  }

  /** Adds a record that is made elsewhere. */
  push(record: SourceRecord): void {
    this.#records.push(record)
  }

  /** From here on records are emitted now. */
  stamp(): void {
    this.#emitted = new EventTime(this.#options.nowUs())
  }

  /** When the records of now are emitted, in microseconds. */
  get emittedUs(): number {
    return this.#emitted.us
  }

  /** @param isNew its BEGIN has not been emitted before */
  begin({ xid, commitTimeUs }: Begin, position: Lsn, isNew: boolean): void {
    const { transactions } = this.#options
    const time = new EventTime(Number(commitTimeUs))
    this.#xid = xid
    this.#context = this.#newContext(xid, time)
    if (isNew && transactions !== null) this.#records.push(transactions.begin(xid, position, time.ms))
  }

  /** The offset of END is the finished transaction's, without its counters. */
  commit(endLsn: Lsn): void {
    const { transactions } = this.#options
    if (transactions !== null) this.#records.push(transactions.end(this.#xid, endLsn, this.#context.time.ms))
  }

  /** What follows in the transaction was first written at another server. */
  origin(name: string, originLsn: Lsn): void {
    this.#context = { ...this.#context, origin: name, originLsn }
  }

  /** @param tag insert, update or delete */
  change(table: TableSchema, tag: number, bytes: Buffer, position: Lsn, change: RowChange): void {
    const { newTuple, oldTuple } = change
    if (tag === Tag.insert)
      this.#emit({ table, operation: 'c', bytes, position, before: -1, after: newTuple, keyFrom: newTuple })
    else if (tag === Tag.delete) this.#delete(table, bytes, position, oldTuple, [])
    else this.#update(table, bytes, position, change)
  }

  truncate(table: TableSchema, position: Lsn): void {
    this.#emit({ table, operation: 't', bytes: noColumns, position, before: -1, after: -1, keyFrom: -1 })
  }

  logicalMessage(message: LogicalMessage, position: Lsn): void {
    const { transactions, partition, messageTopic, binary } = this.#options
    // An origin counts until the next transaction begins: the server names none for a message outside of them.
    const { origin, originLsn } = this.#context
    const { transactional, prefix } = message
    const context = transactional ? this.#context : { ...this.#newContext(null, this.#emitted), origin, originLsn }
    const counted = transactional ? transactions : null
    this.#records.push(
      new SourceRecord({
        sourcePartition: partition,
        sourceOffset: this.#options.position.offset(),
        topic: messageTopic,
        keySchema: messageKeySchema,
        key: { prefix },
        valueSchema: this.#messageSchema,
        value: new LogicalMessageView(this.#messageSchema, {
          context,
          lsn: position,
          prefix,
          content: encodeBinary(message.content, binary),
          transaction: counted?.next(messageCollection, this.#xid, position) ?? null,
          emitted: this.#emitted,
        }),
      }),
    )
  }

  #newContext(txId: number | null, time: EventTime): SourceContext {
    const { constants, position } = this.#options
    return {
      constants,
      time,
      snapshot: null,
      txId,
      sequencePrefix: position.lsnCommit === null ? '[null,' : `["${position.lsnCommit}",`,
      xmin: this.#options.xmin(),
      origin: null,
      originLsn: null,
    }
  }

  #update(table: TableSchema, bytes: Buffer, position: Lsn, change: RowChange): void {
    const { newTuple, oldTuple, oldIsFull } = change
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
}
