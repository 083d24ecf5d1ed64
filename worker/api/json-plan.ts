/** What is known of a schema before its values come: how `JsonWriter` and `JsonViewWriter` share their work. */
import type { ByteWriter } from './converter.ts'
import type { Schema, Value } from './data.ts'
import { DataError } from './errors.ts'

/** Writes a value that is not null. */
export type Write = (value: Value, out: ByteWriter) => void

/** What a null is written as: `null`, the default in its JSON form, or not at all. */
export type NullRule = { readonly kind: 'bytes'; readonly bytes: Uint8Array } | { readonly kind: 'error' }

/** A STRUCT schema compiled: one entry per field, in order. */
export interface StructPlan {
  readonly count: number
  readonly names: readonly string[]
  /** `{"name":` for the first field, `,"name":` for the others. */
  readonly prefixes: readonly Uint8Array[]
  readonly types: readonly Schema['type'][]
  readonly writers: readonly Write[]
  readonly nulls: readonly NullRule[]
}

/** @param field name that the error gives, where there is one */
export function writeNull(rule: NullRule, out: ByteWriter, field?: string): void {
  if (rule.kind === 'bytes') out.bytes(rule.bytes)
  else {
    throw new DataError(
      'CONNECT_DATA_NULL',
      'Conversion error: null value for field that is required and has no default value',
      { context: { field } },
    )
  }
}
