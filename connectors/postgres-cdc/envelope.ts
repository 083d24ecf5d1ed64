/** Change events as views: rows go from replication bytes straight to a `ValueWriter`. */
import { GrowingByteWriter } from '../../worker/api/byte-writer.ts'
import {
  RepeatedValues,
  type Schema,
  type Struct,
  StructView,
  type Value,
  type ValueWriter,
  valueEquals,
  writeRepeated,
} from '../../worker/api/data.ts'
import { DataError } from '../../worker/api/errors.ts'
import { type SnapshotMarker, sourceSchema, transactionBlockSchema } from './event-schemas.ts'
import type { Lsn } from './lsn.ts'
import { isUnchanged, TupleIndex } from './pgoutput.ts'
import type { FieldPlan, RowPlan } from './row-plan.ts'
import { materializeView } from './struct-builder.ts'
import type { TableSchema } from './table-schema.ts'

/** The version that Debezium writes into `source.version`; consumers look at it. */
export const emulatedVersion = '3.7.0.Final'

/** What to do with a value that does not fit its schema: `event.converting.failure.handling.mode`. */
export interface ConversionFailures {
  /** Called once per failed value; throws to fail the task. The field becomes null otherwise. */
  failed(field: string, error: DataError): void
}

/** One clock reading, shared by the events of a batch. */
export class EventTime {
  readonly ms: number
  readonly us: number
  readonly nsText: Buffer
  #ends: Map<Operation, RepeatedValues> | null = null

  /** @param belowUs nanoseconds below the microsecond, of a clock that has them */
  constructor(us: number, belowUs = 0) {
    this.ms = Math.floor(us / 1000)
    this.us = us
    this.nsText = Buffer.from(`${us}${String(belowUs).padStart(3, '0')}`, 'latin1')
  }

  /** What follows the block `transaction` in an event that was emitted at this time. */
  endOf(operation: Operation): RepeatedValues {
    this.#ends ??= new Map()
    let end = this.#ends.get(operation)
    if (end === undefined) {
      end = new RepeatedValues(4, (out) => {
        out.string(operation)
        out.integer(this.ms)
        out.integer(this.us)
        out.integerText(this.nsText, 0, this.nsText.length)
      })
      this.#ends.set(operation, end)
    }
    return end
  }
}

/** What is the same for all events of one connector. */
export interface EventConstants {
  readonly connectorName: string
  readonly logicalName: string
  readonly database: string
  readonly failures: ConversionFailures
}

/** What the events of one transaction have in common; computed once per transaction. */
export interface SourceContext {
  readonly constants: EventConstants
  /** Commit time (stream) or the snapshot transaction's time. */
  readonly time: EventTime
  readonly snapshot: SnapshotMarker | null
  readonly txId: number | null
  /** `["<last commit>",` or `[null,` */
  readonly sequencePrefix: string
  readonly xmin: number | null
  readonly origin: string | null
  readonly originLsn: Lsn | null
}

/** Block `transaction` of an event under `provide.transaction.metadata`. */
export interface TransactionBlock {
  readonly id: string
  readonly totalOrder: number
  readonly dataCollectionOrder: number
}

const newIndex = new TupleIndex()
const oldIndex = new TupleIndex()

function writeField(
  field: FieldPlan,
  bytes: Buffer,
  start: number,
  end: number,
  row: RowSource,
  out: ValueWriter,
): void {
  try {
    field.codec.write(bytes, start, end, out)
  } catch (error) {
    if (!(error instanceof DataError) || error.code !== 'CONNECT_POSTGRES_VALUE') throw error
    row.failures.failed(field.name, error)
    out.null()
  }
}

/** A tuple, with the old one that lends unchanged TOAST values. */
interface RowSource {
  readonly bytes: Buffer
  readonly tuple: number
  /** −1 when there is none. */
  readonly oldTuple: number
  readonly failures: ConversionFailures
}

const placeholderMissing = new DataError(
  'CONNECT_POSTGRES_VALUE',
  'The server did not send an unchanged TOAST value and the placeholder does not fit the type. ' +
    'Set REPLICA IDENTITY FULL on the table.',
)

function writeUnchanged(field: FieldPlan, row: RowSource, out: ValueWriter): void {
  if (row.oldTuple >= 0) {
    oldIndex.load(row.bytes, row.oldTuple)
    const start = oldIndex.start(field.column)
    if (start >= 0) {
      writeField(field, row.bytes, start, oldIndex.end(field.column), row, out)
      return
    }
  }
  const { unavailable } = field.codec
  if (unavailable === undefined) {
    row.failures.failed(field.name, placeholderMissing)
    out.null()
  } else if (unavailable === null) out.null()
  else out.value(unavailable)
}

function writeRow(plan: RowPlan, row: RowSource, out: ValueWriter): void {
  const { bytes } = row
  out.beginStruct(plan.schema)
  newIndex.load(bytes, row.tuple)
  const { fields } = plan
  // An iterator and its results would be garbage of every row.
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i] as FieldPlan
    const start = newIndex.start(field.column)
    if (start >= 0) writeField(field, bytes, start, newIndex.end(field.column), row, out)
    else if (start === isUnchanged) writeUnchanged(field, row, out)
    else if (field.onNull === null) out.null()
    else out.value(field.onNull)
  }
  out.endStruct()
}

/** A key or a row by itself. */
export class RowView extends StructView {
  readonly schema: Schema
  readonly #plan: RowPlan
  readonly #row: RowSource

  constructor(plan: RowPlan, row: RowSource) {
    super()
    this.schema = plan.schema
    this.#plan = plan
    this.#row = row
  }

  writeTo(out: ValueWriter): void {
    writeRow(this.#plan, this.#row, out)
  }

  materialize(): Struct {
    return materializeView(this)
  }
}

function writeText(text: string | null, out: ValueWriter): void {
  if (text === null) out.null()
  else out.string(text)
}

function writeInt64(value: bigint, out: ValueWriter): void {
  if (value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER) out.integer(Number(value))
  else out.int64(value)
}

function writeNumber(value: number | null, out: ValueWriter): void {
  if (value === null) out.null()
  else out.integer(value)
}

/** Text of `sequence`: made in one place, since an event needs its digits twice. */
const sequence = new GrowingByteWriter(64)

/**
 * The block `source` of the events of one table in one transaction or snapshot. They differ in their position only,
 * and rows of a snapshot do not even in that.
 */
export class SourceBlock {
  readonly context: SourceContext
  readonly schema: string
  readonly table: string
  readonly #head: RepeatedValues
  readonly #middle: RepeatedValues
  readonly #tail: RepeatedValues
  #at: Lsn | null = null
  #whole: RepeatedValues | null = null

  constructor(context: SourceContext, schema: string, table: string) {
    this.context = context
    this.schema = schema
    this.table = table
    const { constants, time } = context
    this.#head = new RepeatedValues(6, (out) => {
      out.string(emulatedVersion)
      out.string('postgresql')
      out.string(constants.logicalName)
      out.integer(time.ms)
      writeText(context.snapshot, out)
      out.string(constants.database)
    })
    this.#middle = new RepeatedValues(5, (out) => {
      out.integer(time.us)
      out.integerText(time.nsText, 0, time.nsText.length)
      out.string(schema)
      out.string(table)
      writeNumber(context.txId, out)
    })
    this.#tail = new RepeatedValues(3, (out) => {
      writeNumber(context.xmin, out)
      writeText(context.origin, out)
      if (context.originLsn === null) out.null()
      else writeInt64(context.originLsn, out)
    })
  }

  write(at: Lsn, out: ValueWriter): void {
    out.beginStruct(sourceSchema)
    if (at === this.#at) {
      this.#whole ??= new RepeatedValues(sourceSchema.fields.length, (writer) => this.#write(at, writer))
      writeRepeated(this.#whole, out)
    } else {
      this.#at = at
      this.#whole = null
      this.#write(at, out)
    }
    out.endStruct()
  }

  #write(at: Lsn, out: ValueWriter): void {
    const { sequencePrefix, snapshot } = this.context
    writeRepeated(this.#head, out)
    sequence.reset()
    sequence.ascii(sequencePrefix)
    sequence.byte(0x22)
    const start = sequence.length
    // LSNs stay exact as numbers up to 8 PiB of log.
    if (at <= Number.MAX_SAFE_INTEGER) sequence.decimal(Number(at))
    else sequence.ascii(at.toString())
    const end = sequence.length
    sequence.ascii('"]')
    const text = sequence.reserve(0)
    out.utf8(text, 0, sequence.length)
    writeRepeated(this.#middle, out)
    // A row of an incremental snapshot was read, not logged.
    if (snapshot === 'incremental') out.null()
    else out.integerText(text, start, end)
    writeRepeated(this.#tail, out)
  }
}

export function writeTransactionBlock(block: TransactionBlock | null, out: ValueWriter): void {
  if (block === null) {
    out.null()
    return
  }
  out.beginStruct(transactionBlockSchema)
  out.string(block.id)
  out.integer(block.totalOrder)
  out.integer(block.dataCollectionOrder)
  out.endStruct()
}

export type Operation = 'c' | 'u' | 'd' | 'r' | 't'

/** Where the rows of an event stand. */
export interface EventRows {
  readonly bytes: Buffer
  /** Old row or key; −1: `before` is null. */
  readonly before: number
  /** New row; −1: `after` is null. */
  readonly after: number
  /** Old row that lends unchanged TOAST values to the new one; −1 when there is none. */
  readonly lender: number
}

/** What one change event is made of. */
export interface EventParts extends EventRows {
  readonly table: TableSchema
  readonly source: SourceBlock
  readonly operation: Operation
  readonly lsn: Lsn
  readonly transaction: TransactionBlock | null
  readonly emitted: EventTime
}

/** A whole change event. */
export class EnvelopeView extends StructView {
  readonly schema: Schema
  readonly #plan: RowPlan
  readonly #source: SourceBlock
  readonly #operation: Operation
  readonly #lsn: Lsn
  readonly #bytes: Buffer
  readonly #before: number
  readonly #after: number
  readonly #lender: number
  readonly #transaction: TransactionBlock | null
  readonly #emitted: EventTime

  constructor(parts: EventParts) {
    super()
    this.schema = parts.table.envelope
    this.#plan = parts.table.value
    this.#source = parts.source
    this.#operation = parts.operation
    this.#lsn = parts.lsn
    this.#bytes = parts.bytes
    this.#before = parts.before
    this.#after = parts.after
    this.#lender = parts.lender
    this.#transaction = parts.transaction
    this.#emitted = parts.emitted
  }

  writeTo(out: ValueWriter): void {
    const bytes = this.#bytes
    const { failures } = this.#source.context.constants
    out.beginStruct(this.schema)
    if (this.#before < 0) out.null()
    else writeRow(this.#plan, { bytes, tuple: this.#before, oldTuple: -1, failures }, out)
    if (this.#after < 0) out.null()
    else writeRow(this.#plan, { bytes, tuple: this.#after, oldTuple: this.#lender, failures }, out)
    this.#source.write(this.#lsn, out)
    writeTransactionBlock(this.#transaction, out)
    writeRepeated(this.#emitted.endOf(this.#operation), out)
    out.endStruct()
  }

  materialize(): Struct {
    return materializeView(this)
  }

  /** A row alone, for who takes the event apart: the rest of it costs more than the row. */
  override member(name: string): Value | undefined {
    if (name === 'op') return this.#operation
    if (name !== 'before' && name !== 'after') return undefined
    const isAfter = name === 'after'
    const tuple = isAfter ? this.#after : this.#before
    if (tuple < 0) return null
    const { failures } = this.#source.context.constants
    const oldTuple = isAfter ? this.#lender : -1
    return new RowView(this.#plan, { bytes: this.#bytes, tuple, oldTuple, failures }).materialize()
  }

  /** Of the stream, by 32 bits of its number; null in a snapshot, whose rows show to all. */
  get transactionId(): number | null {
    const { snapshot, txId } = this.#source.context
    return snapshot === null ? txId : null
  }

  get rows(): EventRows {
    return { bytes: this.#bytes, before: this.#before, after: this.#after, lender: this.#lender }
  }

  /** The same event with other rows. @param table the one it is of */
  withRows(table: TableSchema, rows: EventRows): EnvelopeView {
    return new EnvelopeView({
      ...rows,
      table,
      source: this.#source,
      operation: this.#operation,
      lsn: this.#lsn,
      transaction: this.#transaction,
      emitted: this.#emitted,
    })
  }
}

/** Whether two tuples of one table give the same key. */
export function sameKey(
  plan: RowPlan,
  bytes: Buffer,
  oldTuple: number,
  newTuple: number,
  constants: EventConstants,
): boolean {
  oldIndex.load(bytes, oldTuple)
  newIndex.load(bytes, newTuple)
  const equalText = plan.fields.every((field) => sameText(bytes, field.column))
  if (equalText) return true
  const { failures } = constants
  const before = new RowView(plan, { bytes, tuple: oldTuple, oldTuple: -1, failures }).materialize()
  const after = new RowView(plan, { bytes, tuple: newTuple, oldTuple, failures }).materialize()
  return valueEquals(before, after)
}

/**
 * Whether the old row and the new one agree in every captured column, as events show it: cut, masked, in bytes. An old
 * row of nothing but its identity has nulls elsewhere, as Debezium compares it.
 */
export function sameRow(plan: RowPlan, bytes: Buffer, oldTuple: number, newTuple: number): boolean {
  oldIndex.load(bytes, oldTuple)
  newIndex.load(bytes, newTuple)
  return plan.fields.every((field) => {
    const { column } = field
    if (newIndex.start(column) === isUnchanged) return oldIndex.start(column) >= 0
    return sameText(bytes, column) || sameValue(field, bytes)
  })
}

/** Different texts may be one value: bits '01' and '1', and texts that differ behind where they are cut. */
function sameValue(field: FieldPlan, bytes: Buffer): boolean {
  try {
    return valueEquals(valueIn(oldIndex, field, bytes), valueIn(newIndex, field, bytes))
  } catch {
    // The event of the change tells of a value that cannot be converted.
    return false
  }
}

function valueIn(index: TupleIndex, { codec, column, onNull }: FieldPlan, bytes: Buffer): Value {
  const start = index.start(column)
  return start < 0 ? onNull : codec.read(bytes, start, index.end(column))
}

function sameText(bytes: Buffer, column: number): boolean {
  const start = newIndex.start(column)
  const oldStart = oldIndex.start(column)
  if (start === isUnchanged) return true
  if (start < 0 || oldStart < 0) return start === oldStart
  const end = newIndex.end(column)
  const oldEnd = oldIndex.end(column)
  return end - start === oldEnd - oldStart && bytes.compare(bytes, oldStart, oldEnd, start, end) === 0
}

/** The first column of an enum type whose label the schema does not list, or null. */
export function unknownLabel(table: TableSchema, bytes: Buffer, tuple: number): number | null {
  newIndex.load(bytes, tuple)
  for (const { column, labels, typeOid } of table.enums) {
    const start = newIndex.start(column)
    if (start >= 0 && !labels.has(bytes.toString('utf8', start, newIndex.end(column)))) return typeOid
  }
  return null
}
