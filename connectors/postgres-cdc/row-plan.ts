import type { Schema, Value } from '../../worker/api/data.ts'
import type { ValueCodec } from './values/codec.ts'

/** How one field of a struct is made from a tuple. */
export interface FieldPlan {
  /** Column of the tuple; −1 when the tuple has none. */
  readonly column: number
  readonly name: string
  readonly schema: Schema
  readonly codec: ValueCodec
  /** Value where the tuple has null or nothing: null, a mask, or the fallback of a NOT NULL column. */
  readonly onNull: Value
}

export interface RowPlan {
  readonly schema: Schema
  readonly fields: readonly FieldPlan[]
}
