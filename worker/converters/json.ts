import { GrowingByteWriter } from '../api/byte-writer.ts'
import { type ConfigOf, defineConfig, oneOfIgnoringCase } from '../api/config.ts'
import type { ByteWriter, Converter, ConverterRole, SchemaAndValue } from '../api/converter.ts'
import type { Schema, StructView, Value } from '../api/data.ts'
import { ConfigError, DataError } from '../api/errors.ts'
import { type JsonReadOptions, parseJson, parseJsonBytes } from '../api/json.ts'
import { type JsonWriteOptions, JsonWriter } from '../api/json-writer.ts'
import { PlainJson } from '../api/plain-json.ts'
import type { Headers } from '../api/record.ts'
import { isStruct } from '../api/values.ts'
import { converterTypeOption } from './converter-type.ts'
import { JsonReader } from './json-reader.ts'
import { hasDecimal, schemaFromJson, schemaToJson } from './json-schema.ts'

export const jsonConverterConfig = defineConfig({
  'schemas.enable': {
    type: 'BOOLEAN',
    default: true,
    importance: 'HIGH',
    group: 'Schemas',
    order: 0,
    width: 'MEDIUM',
    displayName: 'Enable Schemas',
    doc: 'Include schemas within each of the serialized values and keys.',
  },
  'schemas.cache.size': {
    type: 'INT',
    default: 1000,
    importance: 'HIGH',
    group: 'Schemas',
    order: 1,
    width: 'MEDIUM',
    displayName: 'Schema Cache Size',
    doc: 'The maximum number of schemas that can be cached in this converter instance.',
  },
  'schema.content': {
    type: 'STRING',
    default: null,
    importance: 'HIGH',
    group: 'Schemas',
    order: 2,
    width: 'MEDIUM',
    displayName: 'Schema Content',
    doc: "When set, this is used as the schema for all messages, and the schemas within each of the message will be ignored.Otherwise, the schema will be included in the content of each message. This configuration applies only 'schemas.enable' is true, and it exclusively affects the sink connector.",
  },
  'decimal.format': {
    type: 'STRING',
    default: 'BASE64',
    importance: 'LOW',
    valid: oneOfIgnoringCase('BASE64', 'NUMERIC'),
    group: 'Serialization',
    order: 0,
    width: 'MEDIUM',
    displayName: 'Decimal Format',
    doc: "Controls which format this converter will serialize decimals in. This value is case insensitive and can be either 'BASE64' (default) or 'NUMERIC'",
  },
  'replace.null.with.default': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    group: 'Serialization',
    order: 1,
    width: 'MEDIUM',
    displayName: 'Replace null with default',
    doc: 'Whether to replace fields that have a default value and that are null to the default value. When set to true, the default value is used, otherwise null is used.',
  },
  'converter.type': converterTypeOption,
})

export type JsonConverterConfig = ConfigOf<typeof jsonConverterConfig>

/** Connect's JsonConverter: JSON with or without schemas. */
export class JsonConverter implements Converter<JsonConverterConfig> {
  readonly copiesBytes = true
  #schemasEnabled = true
  #fixedSchema: Schema | null = null
  #writer = new JsonWriter(writeOptions('BASE64', true))
  #reader = new JsonReader({ replaceNullWithDefault: true })
  #heads = new EnvelopeHeads(1000)
  readonly #envelopes = new WeakMap<Schema, Uint8Array>()
  readonly #scratch = new GrowingByteWriter(1024)

  configure(config: JsonConverterConfig, _role: ConverterRole): void {
    this.#schemasEnabled = config['schemas.enable']
    this.#writer = new JsonWriter(writeOptions(config['decimal.format'], config['replace.null.with.default']))
    this.#reader = new JsonReader({ replaceNullWithDefault: config['replace.null.with.default'] })
    this.#heads = new EnvelopeHeads(config['schemas.cache.size'])
    const content = config['schema.content']
    if (!this.#schemasEnabled || content === null || content === '') return
    try {
      this.#fixedSchema = this.#schemaFromJson(parseJson(content, { fractions: 'decimal' }))
    } catch (error) {
      throw new ConfigError([{ option: 'schema.content', message: 'is not a schema in JSON form' }], { cause: error })
    }
  }

  fromConnectData(topic: string, headers: Headers, schema: Schema | null, value: Value): Uint8Array | null {
    this.#scratch.reset()
    if (!this.write(topic, headers, schema, value, this.#scratch)) return null
    return Uint8Array.from(this.#scratch.since(0))
  }

  /** Typed nulls are not tombstones: with a schema the result is never null, as in Connect. */
  write(_topic: string, _headers: Headers, schema: Schema | null, value: Value | StructView, out: ByteWriter): boolean {
    if (schema === null && value === null) return false
    if (!this.#schemasEnabled) {
      this.#writer.write(schema, value, out)
      return true
    }
    out.bytes(schema === null ? untypedHead : this.#envelopeHead(schema))
    this.#writer.write(schema, value, out)
    out.byte(0x7d)
    return true
  }

  #envelopeHead(schema: Schema): Uint8Array {
    let head = this.#envelopes.get(schema)
    if (head === undefined) {
      head = Buffer.from(`{"schema":${schemaToJson(schema, (s) => this.#defaultJson(s))},"payload":`)
      this.#envelopes.set(schema, head)
    }
    return head
  }

  #defaultJson(schema: Schema): string {
    const out = new GrowingByteWriter(64)
    this.#writer.write(schema, schema.defaultValue, out)
    return Buffer.from(out.since(0)).toString('utf8')
  }

  toConnectData(_topic: string, _headers: Headers, bytes: Uint8Array | null): SchemaAndValue {
    if (bytes === null) return nothing
    if (isBlank(bytes)) return this.#blank(bytes)
    if (!this.#schemasEnabled) return { schema: null, value: readJson(bytes) }
    if (this.#fixedSchema !== null) return this.#payload(this.#fixedSchema, bytes)
    const head = this.#heads.find(bytes)
    if (head !== null) {
      const payload = bytes.subarray(head.bytes.length, bytes.length - 1)
      try {
        return this.#payload(head.schema, payload)
      } catch (error) {
        // More members than two, say, end up here too: the slow path words the error.
        if (!(error instanceof DataError) || error.code !== 'CONNECT_DATA_SERIALIZATION') throw error
      }
    }
    return this.#envelope(bytes)
  }

  toPlainJson(bytes: Uint8Array): PlainJson | null {
    return this.#schemasEnabled ? null : PlainJson.of(bytes)
  }

  /** A text without a token is no value in Connect: without schemas it is null, as a tombstone is. */
  #blank(bytes: Uint8Array): SchemaAndValue {
    if (!this.#schemasEnabled) return nothing
    if (this.#fixedSchema !== null) return this.#payload(this.#fixedSchema, bytes)
    throw noEnvelope()
  }

  #payload(schema: Schema, bytes: Uint8Array): SchemaAndValue {
    const json = readJson(bytes, hasDecimalCached(schema))
    return { schema, value: this.#reader.read(schema, json) }
  }

  #envelope(bytes: Uint8Array): SchemaAndValue {
    // Decimals need the scale as written; otherwise a double keeps the sign of its zero.
    const exact = mayHoldDecimal(bytes)
    const envelope = readJson(bytes, exact)
    if (!isEnvelope(envelope)) throw noEnvelope()
    const schema = this.#schemaFromJson(envelope.schema)
    if (schema === null || (exact && !hasDecimal(schema))) return this.#inexactEnvelope(bytes, schema)
    const known = this.#heads.remember(bytes, schema)
    return { schema: known, value: this.#reader.read(known, envelope.payload) }
  }

  /** An envelope in which `Decimal` was only a word. */
  #inexactEnvelope(bytes: Uint8Array, schema: Schema | null): SchemaAndValue {
    const envelope = readJson(bytes)
    const payload = isEnvelope(envelope) ? envelope.payload : null
    if (schema === null) return { schema, value: payload }
    const known = this.#heads.remember(bytes, schema)
    return { schema: known, value: this.#reader.read(known, payload) }
  }

  #schemaFromJson(json: Value): Schema | null {
    return schemaFromJson(json, (schema, value) => this.#reader.read(schema, value))
  }
}

const nothing: SchemaAndValue = Object.freeze({ schema: null, value: null })
const untypedHead = Buffer.from('{"schema":null,"payload":')

function writeOptions(decimalFormat: string, replaceNullWithDefault: boolean): JsonWriteOptions {
  const decimals = decimalFormat.toUpperCase() === 'NUMERIC' ? 'numeric' : 'base64'
  return { decimals, maps: 'connect', replaceNullWithDefault }
}

interface Envelope {
  readonly schema: Value
  readonly payload: Value
}

function noEnvelope(): DataError {
  return new DataError(
    'CONNECT_DATA_ENVELOPE',
    'JsonConverter with schemas.enable requires "schema" and "payload" fields and may not contain additional fields. ' +
      'If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration.',
  )
}

/** Whether there is nothing but white space (RFC 8259). */
function isBlank(bytes: Uint8Array): boolean {
  return (
    (bytes[0] ?? 0x20) <= 0x20 &&
    bytes.every((byte) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09)
  )
}

function isEnvelope(json: Value): json is Envelope & { readonly [member: string]: Value } {
  return (
    isStruct(json) && Object.keys(json).length === 2 && Object.hasOwn(json, 'schema') && Object.hasOwn(json, 'payload')
  )
}

// Connect reads fractions as BigDecimal first, which knows no negative zero.
const rounded: JsonReadOptions = { negativeZero: false }
const exact: JsonReadOptions = { fractions: 'decimal' }

function readJson(bytes: Uint8Array, exactDecimals = false): Value {
  try {
    return parseJsonBytes(bytes, exactDecimals ? exact : rounded)
  } catch (error) {
    throw new DataError(
      'CONNECT_DATA_SERIALIZATION',
      'Converting byte[] to Kafka Connect data failed due to serialization error: ',
      { cause: error },
    )
  }
}

/** Whether the name of a Decimal schema may occur, be it written with escapes. */
function mayHoldDecimal(bytes: Uint8Array): boolean {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return buffer.includes('data.Decimal') || buffer.includes('\\u')
}

const decimalSchemas = new WeakMap<Schema, boolean>()

function hasDecimalCached(schema: Schema): boolean {
  let known = decimalSchemas.get(schema)
  if (known === undefined) {
    known = hasDecimal(schema)
    decimalSchemas.set(schema, known)
  }
  return known
}

interface EnvelopeHead {
  /** `{"schema":…,"payload":` */
  readonly bytes: Uint8Array
  readonly schema: Schema
}

const headStart = Buffer.from('{"schema":{')
const payloadStart = Buffer.from(',"payload":')

/**
 * Heads of envelopes seen so far, most recent first: producers repeat the same bytes in every message, so comparing
 * them replaces parsing the schema. Only heads as JsonConverter writes them are remembered; anything else is parsed.
 */
class EnvelopeHeads {
  readonly #limit: number
  readonly #heads: EnvelopeHead[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  find(bytes: Uint8Array): EnvelopeHead | null {
    if (bytes[bytes.length - 1] !== 0x7d) return null
    for (let i = 0; i < this.#heads.length; i++) {
      const head = this.#heads[i] as EnvelopeHead
      if (!startsWith(bytes, head.bytes)) continue
      if (i > 0) {
        this.#heads.splice(i, 1)
        this.#heads.unshift(head)
      }
      return head
    }
    return null
  }

  /** @returns the schema to use: one instance per head */
  remember(bytes: Uint8Array, schema: Schema): Schema {
    const length = headLength(bytes)
    if (length === null || this.#limit === 0) return schema
    this.#heads.unshift({ bytes: Uint8Array.from(bytes.subarray(0, length)), schema })
    if (this.#heads.length > this.#limit) this.#heads.pop()
    return schema
  }
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  if (bytes.length < start.length) return false
  return Buffer.compare(bytes.subarray(0, start.length), start) === 0
}

/** Length of `{"schema":{…},"payload":`, or null when the message does not begin like that. */
function headLength(bytes: Uint8Array): number | null {
  if (!startsWith(bytes, headStart)) return null
  let depth = 0
  let inString = false
  for (let i = headStart.length - 1; i < bytes.length; i++) {
    const byte = bytes[i]
    if (inString) {
      if (byte === 0x5c) i++
      else if (byte === 0x22) inString = false
    } else if (byte === 0x22) inString = true
    else if (byte === 0x7b) depth++
    else if (byte === 0x7d && --depth === 0) {
      return startsWith(bytes.subarray(i + 1), payloadStart) ? i + 1 + payloadStart.length : null
    }
  }
  return null
}
