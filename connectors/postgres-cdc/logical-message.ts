import { type Schema, type Struct, StructView, type Value, type ValueWriter } from '../../worker/api/data.ts'
import {
  type EventTime,
  SourceBlock,
  type SourceContext,
  type TransactionBlock,
  writeTransactionBlock,
} from './envelope.ts'
import type { Lsn } from './lsn.ts'
import { materializeView } from './struct-builder.ts'

interface Parts {
  readonly context: SourceContext
  readonly lsn: Lsn
  readonly prefix: string
  /** In the form of the binary mode. */
  readonly content: Value
  readonly transaction: TransactionBlock | null
  readonly emitted: EventTime
}

/** Event of `pg_logical_emit_message`. */
export class LogicalMessageView extends StructView {
  readonly schema: Schema
  readonly #parts: Parts

  constructor(schema: Schema, parts: Parts) {
    super()
    this.schema = schema
    this.#parts = parts
  }

  writeTo(out: ValueWriter): void {
    const { context, lsn, prefix, content, transaction, emitted } = this.#parts
    const message = this.schema.fieldsByName.get('message')
    if (message === undefined) throw new RangeError('The schema of logical messages has no field `message`')
    out.beginStruct(this.schema)
    out.string('m')
    out.integer(emitted.ms)
    new SourceBlock(context, '', '').write(lsn, out)
    writeTransactionBlock(transaction, out)
    out.beginStruct(message.schema)
    out.string(prefix)
    out.value(content)
    out.endStruct()
    out.endStruct()
  }

  materialize(): Struct {
    return materializeView(this)
  }
}
