import { type AvroOptions, compileAvro } from '../../api/avro-schema.ts'
import { isAvroUnion } from '../../api/avro-unions.ts'
import { copySchema, type Schema, type Struct, StructView, schemaEquals, type Value } from '../../api/data.ts'
import { DataError } from '../../api/errors.ts'
import { holdsSchema } from '../../api/sum-types.ts'
import { avroCanonicalForm } from './avro-canonical.ts'
import type { AvroConverterConfig } from './avro-config.ts'
import { type AvroReadOptions, avroDecoding } from './avro-reader.ts'
import { AvroViewWriter } from './avro-view-writer.ts'
import type { Decoding, Encoding, ReferencedSchema, SchemaFormat } from './format.ts'
import { scrubName } from './scrub.ts'

const noHead = new Uint8Array(0)

/** Avro, with the mapping of Confluent's AvroConverter. */
export class AvroFormat implements SchemaFormat {
  readonly type = 'AVRO'
  readonly #scrub: boolean
  readonly #options: AvroReadOptions & Omit<AvroOptions, 'mismatch'>

  constructor(config: AvroConverterConfig) {
    this.#scrub = config['scrub.invalid.names']
    this.#options = {
      enhanced: config['enhanced.avro.schema.support'],
      connectMetaData: config['connect.meta.data'],
      optionalMapKeys: config['allow.optional.map.keys'],
      flattenSingletonUnions: config['flatten.singleton.unions'],
      generalizedSumTypes: config['generalized.sum.type.support'],
      ignoreDefaults: config['ignore.default.for.nullables'],
      discardTypeDocs: config['discard.type.doc.default'],
    }
  }

  encoding(schema: Schema): Encoding {
    const options = { ...this.#options, mismatch }
    if (this.#scrub) {
      const renamed = scrubbed(schema)
      if (!schemaEquals(renamed, schema)) return renaming(this.#compiled(renamed, options), schema)
    }
    return this.#compiled(schema, options)
  }

  #compiled(schema: Schema, options: AvroOptions): Encoding {
    const own = compileAvro(schema, options)
    const { text } = own
    // A view writes all fields of a struct, a union is one of them.
    const views = holdsSchema(schema, isAvroUnion) ? null : new AvroViewWriter(options)
    return {
      type: 'AVRO',
      text,
      references: [],
      head: noHead,
      recordName: schema.type === 'STRUCT' ? recordName(text) : null,
      write(value, out) {
        if (!(value instanceof StructView)) own.write(value, out)
        else if (views === null) own.write(value.materialize(), out)
        else views.write(value, schema, out)
      },
      isReadableBy: (other) => avroCanonicalForm(other) === avroCanonicalForm(text),
    }
  }

  decoding(text: string, references: readonly ReferencedSchema[], version: number | null): Decoding {
    return avroDecoding(text, references, version, this.#options)
  }
}

/** Values come with the names of `schema`, and are written with scrubbed ones. */
function renaming(encoding: Encoding, schema: Schema): Encoding {
  return {
    ...encoding,
    write(value, out) {
      encoding.write(scrubbedValue(schema, value instanceof StructView ? value.materialize() : value), out)
    },
  }
}

function scrubbedValue(schema: Schema, value: Value): Value {
  const { valueSchema } = schema
  if (value === null) return null
  if (Array.isArray(value) && valueSchema !== null) {
    return (value as readonly Value[]).map((item) => scrubbedValue(valueSchema, item))
  }
  if (value instanceof Map && valueSchema !== null) {
    return new Map([...(value as ReadonlyMap<Value, Value>)].map(([k, v]) => [k, scrubbedValue(valueSchema, v)]))
  }
  if (schema.type !== 'STRUCT' || typeof value !== 'object') return value
  const struct = value as Struct
  return Object.fromEntries(
    schema.fields.map((field) => [scrubName(field.name), scrubbedValue(field.schema, struct[field.name] ?? null)]),
  )
}

function mismatch(schema: Schema, found: string): DataError {
  const name = schema.name === null ? schema.type : `${schema.type} ${schema.name}`
  return new DataError('CONNECT_DATA_TYPE', `Invalid value for ${name}: ${found}`)
}

function recordName(text: string): string | null {
  const json = JSON.parse(text) as unknown
  const record = Array.isArray(json) ? (json as readonly unknown[]).find((branch) => branch !== 'null') : json
  if (typeof record !== 'object' || record === null || !('name' in record)) return null
  const namespace = 'namespace' in record ? `${String(record.namespace)}.` : ''
  return `${namespace}${String(record.name)}`
}

function scrubbed(schema: Schema): Schema {
  return copySchema(schema, {
    name:
      schema.type === 'STRUCT' && schema.name !== null ? schema.name.split('.').map(scrubName).join('.') : schema.name,
    fields: schema.fields.map((field) => ({ name: scrubName(field.name), schema: scrubbed(field.schema) })),
    keySchema: schema.keySchema === null ? null : scrubbed(schema.keySchema),
    valueSchema: schema.valueSchema === null ? null : scrubbed(schema.valueSchema),
    defaultValue: schema.type === 'STRUCT' ? null : schema.defaultValue,
  })
}
