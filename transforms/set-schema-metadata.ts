import { type ConfigOf, defineConfig } from '../worker/api/config.ts'
import { copySchema, type Schema, type Struct, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct } from '../worker/api/values.ts'
import { fieldValue, keyAndValue, type RecordPart, replaceNullOption, SchemaCache, setMember } from './record-part.ts'

const config = defineConfig(
  {
    'schema.name': { type: 'STRING', default: null, importance: 'HIGH', doc: 'Schema name to set.' },
    'schema.version': { type: 'INT', default: null, importance: 'HIGH', doc: 'Schema version to set.' },
    'replace.null.with.default': replaceNullOption,
  },
  {
    validate(options) {
      if (options['schema.name'] !== null || options['schema.version'] !== null) return []
      return [{ option: 'schema.name', message: 'Neither schema name nor version configured' }]
    },
  },
)

/** Gives the schema of the key or value another name or version; everything else of it stays. */
class SetSchemaMetadata implements Transformation<ConfigOf<typeof config>> {
  readonly #part: RecordPart
  #name: string | null = null
  #version: number | null = null
  #replaceNull = true
  #schemas = new SchemaCache<Schema>((schema) => this.#renamed(schema))

  constructor(part: RecordPart) {
    this.#part = part
  }

  configure(options: ConfigOf<typeof config>): void {
    this.#name = options['schema.name']
    this.#version = options['schema.version']
    this.#replaceNull = options['replace.null.with.default']
    this.#schemas = new SchemaCache((schema) => this.#renamed(schema))
  }

  apply<R extends ConnectRecord>(record: R): R {
    const schema = this.#part.schema(record)
    const value = this.#part.value(record)
    if (schema === null) {
      if (value === null) return record
      throw new DataError('CONNECT_DATA_SCHEMA', 'Schema required for [updating schema metadata]')
    }
    return this.#part.replace(record, this.#schemas.get(schema), this.#copied(schema, value))
  }

  /** As in Connect, a struct is copied field by field, which puts defaults in place of nulls. */
  #copied(schema: Schema, value: Value): Value {
    if (schema.type !== 'STRUCT' || !isStruct(value) || !this.#replaceNull) return value
    const result: Record<string, Value> = {}
    for (const field of schema.fields) setMember(result, field.name, fieldValue(value, field, true))
    return result satisfies Struct
  }

  #renamed(schema: Schema): Schema {
    // Connect's transform asks every schema for its fields, so that it works on structs alone.
    if (schema.type !== 'STRUCT') throw new DataError('CONNECT_DATA_SCHEMA', 'Cannot list fields on non-struct type')
    return copySchema(schema, { name: this.#name ?? schema.name, version: this.#version ?? schema.version })
  }
}

export const setSchemaMetadata = keyAndValue({
  name: 'org.apache.kafka.connect.transforms.SetSchemaMetadata',
  config,
  create: (part) => new SetSchemaMetadata(part),
})
