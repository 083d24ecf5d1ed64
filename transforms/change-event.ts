/** What the Debezium transforms share: the shape of a change event. */
import { type Schema, type Struct, StructView, type Value } from '../worker/api/data.ts'
import { type ConnectRecord, SourceRecord } from '../worker/api/record.ts'
import { requireStruct } from './record-part.ts'

/** Version of Debezium whose transforms these are. */
export const debeziumVersion = '3.7.0'

/** Debezium's test for a change event: heartbeats, transaction metadata and messages have other names. */
export function isEnvelope(schema: Schema | null): schema is Schema {
  return schema !== null && schema.type === 'STRUCT' && schema.name !== null && schema.name.endsWith('.Envelope')
}

/** A field as it is, without the schema's default; null when it is absent. */
export function rawMember(struct: Struct, name: string): Value {
  return Object.hasOwn(struct, name) ? (struct[name] ?? null) : null
}

/** Whether a record has no value, without decoding one that has. */
export function isTombstone(record: ConnectRecord): boolean {
  return (record instanceof SourceRecord ? record.rawValue : record.value) === null
}

/** Members of a change event, of which a view decodes only those that are asked for, as far as it can. */
export class EventReader {
  readonly #record: ConnectRecord
  readonly #purpose: string
  readonly #view: StructView | null
  readonly #members = new Map<string, Value>()

  /** @param purpose for the error about a value that is no struct */
  constructor(record: ConnectRecord, purpose: string) {
    this.#record = record
    this.#purpose = purpose
    const raw = record instanceof SourceRecord ? record.rawValue : null
    this.#view = raw instanceof StructView ? raw : null
  }

  /** As it is, without the schema's default; null when it is absent. @throws DataError */
  get(name: string): Value {
    if (this.#view === null) return rawMember(requireStruct(this.#record.value, this.#purpose), name)
    let value = this.#members.get(name)
    if (value === undefined) {
      value = this.#view.member(name)
      value ??= value === null ? null : rawMember(requireStruct(this.#record.value, this.#purpose), name)
      this.#members.set(name, value)
    }
    return value
  }
}
