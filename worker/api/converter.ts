import type { Schema, StructView, Value } from './data.ts'
import type { PlainJson } from './plain-json.ts'
import type { Headers } from './record.ts'

export interface SchemaAndValue {
  readonly schema: Schema | null
  readonly value: Value
}

/**
 * Growing byte buffer that serialisers write into. `mark` and `rollback` undo a conversion that failed half way, so
 * that a tolerated error leaves no bytes behind.
 */
export interface ByteWriter {
  /** Bytes written so far. */
  readonly length: number
  byte(value: number): void
  bytes(source: Uint8Array, start?: number, end?: number): void
  /** ASCII only: one byte per character, unchecked. */
  ascii(text: string): void
  utf8(text: string): void
  /** An integer within ±2^53, as decimal text. */
  decimal(value: number): void
  /**
   * Storage with room for `count` more bytes from `length` on, for loops that write bytes themselves; `advance` says
   * how many they were. Valid until the next call.
   */
  reserve(count: number): Uint8Array
  advance(count: number): void
  mark(): number
  rollback(mark: number): void
  /** The bytes from `mark` on; a view that the next write may invalidate. */
  since(mark: number): Uint8Array
}

export type ConverterRole = 'key' | 'value' | 'header'

/**
 * Translates between Connect data and bytes. An instance serves one role of one task; configuration happens once.
 * Calls are synchronous; a converter that needs I/O first (a schema registry) does it in `prepare`.
 */
export interface Converter<C> {
  /**
   * Whether nothing that `toConnectData` gives is a view of its bytes: their storage is then used for what is read
   * next, which saves the collection of it. Default false.
   */
  readonly copiesBytes?: boolean
  configure(config: C, role: ConverterRole): void
  /** Bytes for a record; null is a null key or a tombstone. @throws DataError */
  fromConnectData(topic: string, headers: Headers, schema: Schema | null, value: Value): Uint8Array | null
  /** @throws DataError */
  toConnectData(topic: string, headers: Headers, bytes: Uint8Array | null): SchemaAndValue
  /**
   * Fast lane of `toConnectData`: a schemaless value without reading it into objects; what it parses to is what
   * `toConnectData` gives. @returns null when that one must decide
   */
  toPlainJson?(bytes: Uint8Array): PlainJson | null
  /**
   * Fast lane of `fromConnectData`: writes the same bytes to `out`, taking a view without decoding it.
   * @returns false when the result is null (nothing was written)
   */
  write?(topic: string, headers: Headers, schema: Schema | null, value: Value | StructView, out: ByteWriter): boolean
  /**
   * Called with the records' schemas (write side) or bytes (read side) before a batch is converted, when the last
   * synchronous call reported `needsPrepare`. May do I/O.
   */
  prepare?(topic: string, item: Schema | Uint8Array | null, signal: AbortSignal): Promise<void>
  /** Whether `prepare` must run before this item can be converted. */
  needsPrepare?(topic: string, item: Schema | Uint8Array | null): boolean
  close?(): Promise<void>
}

/** Converts header values; each header by itself. */
export interface HeaderConverter<C> {
  /** As `Converter.copiesBytes`, of `toConnectHeader`. */
  readonly copiesBytes?: boolean
  configure(config: C): void
  fromConnectHeader(topic: string, key: string, schema: Schema | null, value: Value): Uint8Array | null
  toConnectHeader(topic: string, key: string, bytes: Uint8Array | null): SchemaAndValue
  close?(): Promise<void>
}
