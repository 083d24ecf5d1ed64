import type { Schema, Value } from '../../../worker/api/data.ts'
import type { PlainJson } from '../../../worker/api/plain-json.ts'
import type { SinkRecord } from '../../../worker/api/record.ts'

/** Where a format puts the bytes of one object; grows on demand. */
export interface ByteTarget {
  /** Key of the object. */
  readonly name: string
  text(text: string): void
  bytes(bytes: Uint8Array): void
  /** The bytes of `[start, end)`. */
  slice(bytes: Buffer, start: number, end: number): void
  /** For `rollback`; valid until the upload goes on. */
  mark(): number
  rollback(mark: number): void
  /** Memory in bytes that the encoder holds beside the target, for the task's limit; negative gives back. */
  account(bytes: number): void
}

/** One part of a record that goes to an object of its own. */
export interface FormatInput {
  readonly schema: Schema | null
  readonly value: Value
  readonly record: SinkRecord
}

export type FormatName = 'json' | 'bytes' | 'csv' | 'avro' | 'parquet'

/** How records become the bytes of objects; one per task and role. */
export interface RecordFormat {
  /** With the dot, before the suffix of the compression. */
  readonly extension: string
  /** Name in the metadata message. */
  readonly name: FormatName
  /** Begins an object. Nothing is written before the first record. */
  open(out: ByteTarget): RecordEncoder
}

/** Writes one object. */
export interface RecordEncoder {
  /** A call that throws has written nothing, so the record can be reported and the object goes on. @throws DataError */
  write(input: FormatInput): void
  /** Fast lane of `write`, same bytes. @returns false when `write` must do it; nothing is written then */
  writePlain?(json: PlainJson): boolean
  /** Takes back the record of the last `write` or `writePlain`; only directly after it. */
  undo(): void
  /** Bytes that wait here, not in the target: an estimate of their memory. */
  readonly pendingBytes: number
  /** Whether what waits is a block or row group of the wanted size. */
  readonly isFull: boolean
  /** Moves what waits to the target. */
  flush(): void
  /** What waits, and the end of the file. Called once, after the last record. */
  finish(): void
}

/** An encoder of a format whose records are independent of each other: nothing waits. */
export class LineEncoder implements RecordEncoder {
  readonly pendingBytes = 0
  readonly isFull = false
  protected readonly out: ByteTarget
  readonly #writeTo: (input: FormatInput, out: ByteTarget) => void
  #mark = 0

  /** `writeTo` may write a part and then throw: the part is taken back. */
  constructor(out: ByteTarget, writeTo: (input: FormatInput, out: ByteTarget) => void) {
    this.out = out
    this.#writeTo = writeTo
  }

  write(input: FormatInput): void {
    this.begin()
    try {
      this.#writeTo(input, this.out)
    } catch (error) {
      this.undo()
      throw error
    }
  }

  /** What follows is one record. */
  protected begin(): void {
    this.#mark = this.out.mark()
  }

  undo(): void {
    this.out.rollback(this.#mark)
  }

  flush(): void {}

  finish(): void {}
}
