import { type ConfigOf, defineConfig } from '../worker/api/config.ts'
import type { Schema, Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct } from '../worker/api/values.ts'
import { debeziumVersion, rawMember } from './change-event.ts'
import { expandJson } from './json-payload.ts'
import { fieldValue, requireStruct, SchemaCache, setMember, structLike } from './record-part.ts'

const config = defineConfig({
  'fields.null.include': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    doc: 'Whether null members of the content become fields, of optional bytes.',
  },
})

const messageSchema = 'io.debezium.connector.postgresql.MessageValue'
/** Shapes of content per message schema, each with its schema. */
const maxShapes = 1000

/**
 * Makes an insert event out of a logical decoding message (`pg_logical_emit_message`) whose content is a JSON object,
 * so that the outbox EventRouter can take it from there. Everything else passes.
 */
class DecodeLogicalDecodingMessageContent implements Transformation<ConfigOf<typeof config>> {
  #includeNulls = false
  /** Contents of one shape give one schema, so that converters and transforms behind compile it once. */
  readonly #shapes = new SchemaCache(() => new Map<string, Schema>())

  configure(options: ConfigOf<typeof config>): void {
    this.#includeNulls = options['fields.null.include']
  }

  apply<R extends ConnectRecord>(record: R): R {
    const { valueSchema } = record
    if (record.value === null || valueSchema?.name !== messageSchema) return record
    const event = requireStruct(record.value, 'Retrieve a record value')
    const message = requireStruct(rawMember(event, 'message'), 'Retrieve content of a logical decoding message')
    const content = this.#decode(rawMember(message, 'content'))
    const schema = this.#schema(valueSchema, content.schema)
    const value: Record<string, Value> = {}
    for (const field of valueSchema.fields) {
      if (field.name === 'message') continue
      setMember(value, field.name, field.name === 'op' ? 'c' : fieldValue(event, field, true))
    }
    setMember(value, 'after', content.value)
    // The key of a message is its prefix, which means nothing to an event.
    return record.with({ keySchema: null, key: null, valueSchema: schema, value })
  }

  #decode(content: Value): { readonly schema: Schema; readonly value: Value } {
    if (!(content instanceof Uint8Array)) {
      throw new DataError(
        'CONNECT_DATA_TYPE',
        'The content of a logical decoding message is non-binary: the source needs binary.handling.mode=bytes',
      )
    }
    const text = Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString('utf8')
    const nulls = this.#includeNulls ? 'optional_bytes' : 'ignore'
    let cause: unknown = null
    try {
      const expanded = expandJson(text, { nulls, emptyArrays: 'ignore', root: null })
      if (isStruct(expanded.value)) return expanded
    } catch (error) {
      cause = error
    }
    // The text stays out of the message (I8).
    const message = `Unable to parse the content of a logical decoding message (${content.length} bytes) as a JSON object`
    throw new DataError('CONNECT_DATA_TYPE', message, { cause })
  }

  #schema(valueSchema: Schema, content: Schema): Schema {
    const shapes = this.#shapes.get(valueSchema)
    const key = shapeKey(content)
    let schema = shapes.get(key)
    if (schema === undefined) {
      const fields = valueSchema.fields.filter((field) => field.name !== 'message')
      const base = { ...valueSchema, name: `${valueSchema.name}.Envelope`, version: null, doc: null, parameters: null }
      schema = structLike(base, [...fields, { name: 'after', schema: content }])
      if (shapes.size >= maxShapes) shapes.clear()
      shapes.set(key, schema)
    }
    return schema
  }
}

/** Equal for equal schemas that `expandJson` made. */
function shapeKey(schema: Schema): string {
  const inner = schema.valueSchema === null ? '' : `[${shapeKey(schema.valueSchema)}]`
  const fields = schema.fields.map((field) => `${JSON.stringify(field.name)}:${shapeKey(field.schema)}`)
  return `${schema.type}${schema.optional ? '?' : ''}${inner}${schema.type === 'STRUCT' ? `{${fields.join()}}` : ''}`
}

export const decodeMessageContent = defineTransformation({
  name: 'io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent',
  aliases: [],
  version: debeziumVersion,
  config,
  create: async () => new DecodeLogicalDecodingMessageContent(),
})
