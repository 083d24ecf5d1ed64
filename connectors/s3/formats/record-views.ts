import { makeSchema, type Schema, Schemas, type Value } from '../../../worker/api/data.ts'
import { DataError } from '../../../worker/api/errors.ts'
import { headerText } from '../../../worker/api/header-text.ts'
import type { SinkRecord } from '../../../worker/api/record.ts'
import { isStruct } from '../../../worker/api/values.ts'

/** The part of a record that goes to the objects of one role. */
export interface RecordView {
  /** @throws DataError CONNECT_S3_KEY_MISSING, CONNECT_S3_HEADERS_MISSING */
  read(record: SinkRecord): { readonly schema: Schema | null; readonly value: Value }
  /** Whether that is the value where there is one, so that it may be taken unread. */
  readonly isValue?: boolean
}

export const valueView: RecordView = {
  isValue: true,
  read: ({ valueSchema, value }) => ({ schema: valueSchema, value }),
}

/** The value, or for a tombstone the fields of the key: a row that says what was deleted. */
export const rowView: RecordView = {
  isValue: true,
  read: (record) => {
    const { keySchema, key, value } = record
    if (value !== null) return { schema: record.valueSchema, value }
    if (isStruct(key) || key instanceof Map) return { schema: keySchema, value: key }
    const { originalTopic: topic, originalPartition: partition, offset } = record
    const message = `The tombstone ${topic}-${partition}@${offset} has no key of fields, so it makes no row`
    throw new DataError('CONNECT_S3_KEY_MISSING', message)
  },
}

export const keyView: RecordView = {
  read: (record) => {
    if (record.key === null) throw missing('CONNECT_S3_KEY_MISSING', 'Key cannot be null', record)
    return { schema: record.keySchema, value: record.key }
  },
}

const headerSchema = makeSchema({
  type: 'STRUCT',
  fields: [
    { name: 'key', schema: Schemas.string },
    { name: 'value', schema: Schemas.string },
  ],
})
const headersSchema = makeSchema({ type: 'ARRAY', valueSchema: headerSchema })

/** Headers as a list of structs, values as the text that Connect's header converter gives them; none may be null. */
export const headersView: RecordView = {
  read: (record) => {
    if (record.headers.length === 0) throw missing('CONNECT_S3_HEADERS_MISSING', 'Headers cannot be null', record)
    const value = record.headers.map(({ key, schema, value: header }) => {
      // The text of `Struct.validate`, by which the Java connector refuses the record.
      if (header === null)
        throw new DataError(
          'CONNECT_S3_HEADERS_MISSING',
          'Invalid value: null used for required field: "value", schema type: STRING',
        )
      return { key, value: headerText(schema, header) }
    })
    return { schema: headersSchema, value }
  },
}

/**
 * What `view` gives as the only field of a struct: for formats whose rows are structs, and for headers in JSON.
 * The names are those of the Java connector: `RecordKey{key}`, `RecordHeaders{headers}`.
 */
export function enveloped(view: RecordView, name: string, field: string): RecordView {
  // Schemas are compared by identity on the way, so each gets one envelope.
  const envelopes = new WeakMap<Schema, Schema>()
  return {
    read(record) {
      const { schema, value } = view.read(record)
      if (schema === null) return { schema: null, value: { [field]: value } }
      let envelope = envelopes.get(schema)
      if (envelope === undefined) {
        envelope = makeSchema({ type: 'STRUCT', name, fields: [{ name: field, schema }] })
        envelopes.set(schema, envelope)
      }
      return { schema: envelope, value: { [field]: value } }
    },
  }
}

function missing(code: 'CONNECT_S3_KEY_MISSING' | 'CONNECT_S3_HEADERS_MISSING', what: string, record: SinkRecord) {
  const { offset, topic, partition } = record
  // The text of the Java connector, which dead letter consumers may know.
  const message = `${what} for SinkRecord: SinkRecord{kafkaOffset=${offset}, topic='${topic}', kafkaPartition=${partition}} `
  return new DataError(code, message)
}
