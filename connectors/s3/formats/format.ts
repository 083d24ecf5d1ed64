import type { Schema, Value } from '../../../worker/api/data.ts'
import type { SinkRecord } from '../../../worker/api/record.ts'

/** Where a format puts the bytes of one object; grows on demand. */
export interface ByteTarget {
  readonly length: number
  text(text: string): void
  bytes(bytes: Uint8Array): void
}

/** One part of a record that goes to an object of its own. */
export interface FormatInput {
  readonly schema: Schema | null
  readonly value: Value
  readonly record: SinkRecord
}

/**
 * Writes records into an object. An instance belongs to one task; it keeps no state between objects. A call that
 * throws has written nothing, so the record can be reported and the object goes on.
 */
export interface RecordFormat {
  /** With the dot, before the suffix of the compression. */
  readonly extension: string
  /** Name in the metadata message. */
  readonly name: 'json' | 'bytes'
  /** @throws DataError */
  write(input: FormatInput, out: ByteTarget): void
}
