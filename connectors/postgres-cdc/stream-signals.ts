/** What the stream and the part that answers signals know of each other. */
import { type RowChange, Tag, TupleIndex } from './pgoutput.ts'
import type { TableSchema } from './table-schema.ts'

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

const index = new TupleIndex()

/** Null for an update, and for a row that is no signal. */
export function signalRow(bytes: Buffer, change: RowChange, tag: number): SignalRow | null {
  const tuple = tag === Tag.insert ? change.newTuple : tag === Tag.delete ? change.oldTuple : -1
  if (tuple < 0) return null
  index.load(bytes, tuple)
  const text = (column: number) => {
    const start = index.start(column)
    return start < 0 ? null : bytes.toString('utf8', start, index.end(column))
  }
  const id = text(0)
  return id === null ? null : { id, type: text(1) ?? '', data: text(2), deleted: tag === Tag.delete }
}
