import type { Value } from '../../../worker/api/data.ts'
import { DataError } from '../../../worker/api/errors.ts'
import type { PlainJson } from '../../../worker/api/plain-json.ts'
import type { SinkRecord } from '../../../worker/api/record.ts'
import { type MetaField, metaFieldNames } from '../config-rules.ts'
import { type ByteTarget, type FormatInput, LineEncoder, type RecordEncoder, type RecordFormat } from './format.ts'
import { JsonEncoder, jsonHeaders, quote } from './json-encoder.ts'
import { operationOf } from './meta-fields.ts'
import { PlainLines } from './plain-lines.ts'

export interface JsonFormatOptions {
  /** Decimals as numbers instead of base64 of the unscaled value. */
  readonly numericDecimals: boolean
  readonly metaFields: readonly MetaField[]
}

/**
 * JSON lines, byte for byte as the Java connector writes them: structs by their schema without an envelope, other
 * values as Jackson prints the Java object, characters outside the basic plane as two escapes, a line feed after
 * each record. Integers beyond 64 bits keep their digits (Java wraps them, I6).
 */
export class JsonFormat implements RecordFormat {
  readonly name = 'json'
  readonly extension = '.json'
  readonly #encoder: JsonEncoder
  readonly #metaFields: readonly MetaField[]

  constructor(options: JsonFormatOptions) {
    this.#encoder = new JsonEncoder(options.numericDecimals)
    this.#metaFields = options.metaFields
  }

  open(out: ByteTarget): RecordEncoder {
    const write = (input: FormatInput, target: ByteTarget) => this.#write(input, target)
    return this.#metaFields.length === 0 ? new JsonLines(out, write) : new LineEncoder(out, write)
  }

  #write({ schema, value, record }: FormatInput, out: ByteTarget): void {
    const text = this.#encoder.encode(schema, value)
    out.text(this.#metaFields.length === 0 ? `${text}\n` : `${this.#withMetaFields(text, value, record)}\n`)
  }

  /** Adds members behind those of the value. A value that has such a member itself is refused, not overwritten (I6). */
  #withMetaFields(text: string, value: Value, record: SinkRecord): string {
    if (!text.startsWith('{')) {
      throw new DataError('CONNECT_S3_VALUE_NOT_OBJECT', 'format.output.meta.fields needs values that are JSON objects')
    }
    let added = ''
    for (const field of this.#metaFields) {
      const name = metaFieldNames[field]
      if (hasMember(value, name)) {
        throw new DataError(
          'CONNECT_S3_META_FIELD_TAKEN',
          `The value has a member '${name}' of its own: rename one of them`,
        )
      }
      added += `,"${name}":${this.#metaField(field, record)}`
    }
    return text === '{}' ? `{${added.slice(1)}}` : `${text.slice(0, -1)}${added}}`
  }

  #metaField(field: MetaField, record: SinkRecord): string {
    switch (field) {
      // Positions are those of the consumed record, whatever transforms did to topic and partition (KIP-793, I5).
      case 'offset':
        return record.offset.toString()
      case 'partition':
        return String(record.originalPartition)
      case 'topic':
        return quote(record.originalTopic)
      case 'timestamp':
        return record.timestamp === null ? 'null' : String(record.timestamp)
      case 'key':
        return this.#encoder.encode(record.keySchema, record.key)
      case 'op':
        return quote(operationOf(record))
      case 'headers':
        return jsonHeaders(record)
    }
  }
}

/** Lines that may be copied from what was read, when nothing is added to them. */
class JsonLines extends LineEncoder {
  readonly #plain = new PlainLines()

  writePlain(json: PlainJson): boolean {
    const { out } = this
    this.begin()
    if (this.#plain.write(json, out)) {
      out.text('\n')
      return true
    }
    this.undo()
    return false
  }
}

function hasMember(value: Value, name: string): boolean {
  if (value instanceof Map) return value.has(name)
  return value !== null && typeof value === 'object' && Object.hasOwn(value, name)
}
