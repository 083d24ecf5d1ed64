import type { ByteWriter, SchemaAndValue } from '../../api/converter.ts'
import type { Schema, StructView, Value } from '../../api/data.ts'
import type { NewSchema, SchemaType } from './client.ts'

/** A Connect schema in the form of the registry, and how its values are written. Compiled once per schema. */
export interface Encoding extends NewSchema {
  /** Full name of the record, for subjects; null when it has none. */
  readonly recordName: string | null
  /** Stands between schema id and data: the message indexes of Protobuf. */
  readonly head: Uint8Array
  /** Appends one value; a view gives the same bytes as its struct. @throws DataError; the caller rolls back */
  write(value: Value | StructView, out: ByteWriter): void
  /** Whether what `write` gives can be read by another schema of the registry just as well. */
  isReadableBy(text: string): boolean
}

/** A schema of the registry as a Connect schema, and how its messages are read. */
export interface Decoding {
  /** @param start of the data, behind the schema id @throws DataError */
  read(bytes: Uint8Array, start: number): SchemaAndValue
}

/** A schema that another one names. */
export interface ReferencedSchema {
  readonly name: string
  readonly text: string
}

/** One way to describe and encode data: Avro, Protobuf or JSON Schema. */
export interface SchemaFormat {
  readonly type: SchemaType
  /** Loads the codec's package; called once before anything else. @throws ConnectError CONNECT_CODEC_MISSING */
  load?(): Promise<void>
  /** @throws DataError for a schema that has no counterpart */
  encoding(schema: Schema): Encoding
  /**
   * @param references in an order in which each comes after those that it uses
   * @param version of the subject; it becomes the schema's version where the schema does not give one
   * @throws DataError for a schema that has no counterpart
   */
  decoding(text: string, references: readonly ReferencedSchema[], version: number | null): Decoding
}
