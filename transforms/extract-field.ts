import { type ConfigOf, defineConfig } from '../worker/api/config.ts'
import type { Schema } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { FieldPath, fieldSyntaxOption } from './field-path.ts'
import {
  keyAndValue,
  type RecordPart,
  replaceNullOption,
  requireMap,
  requireStruct,
  SchemaCache,
} from './record-part.ts'

const config = defineConfig(
  {
    field: { type: 'STRING', importance: 'MEDIUM', doc: 'Field name to extract.' },
    'field.syntax.version': fieldSyntaxOption,
    'replace.null.with.default': replaceNullOption,
  },
  {
    validate: (options) =>
      options.field === '' && options['field.syntax.version'] === 'V2'
        ? [{ option: 'field', message: 'A path of field.syntax.version=V2 has at least one step' }]
        : [],
  },
)

const purpose = 'field extraction'

/** Replaces a key or value by one of its fields. */
class ExtractField implements Transformation<ConfigOf<typeof config>> {
  readonly #part: RecordPart
  #name = ''
  #path = new FieldPath('', 'V1')
  #replaceNull = true
  #schemas = new SchemaCache<Schema>((schema) => this.#fieldSchema(schema))

  constructor(part: RecordPart) {
    this.#part = part
  }

  configure(options: ConfigOf<typeof config>): void {
    this.#name = options.field
    this.#path = new FieldPath(options.field, options['field.syntax.version'])
    this.#replaceNull = options['replace.null.with.default']
    this.#schemas = new SchemaCache((schema) => this.#fieldSchema(schema))
  }

  apply<R extends ConnectRecord>(record: R): R {
    const schema = this.#part.schema(record)
    const value = this.#part.value(record)
    if (schema === null) {
      return this.#part.replace(
        record,
        null,
        value === null ? null : this.#path.valueFromMap(requireMap(value, purpose)),
      )
    }
    // First, as in Connect: of a key that is a text or a number, the field is not what is missing.
    const struct = value === null ? null : requireStruct(value, purpose)
    const fieldSchema = this.#schemas.get(schema)
    if (struct === null) return this.#part.replace(record, fieldSchema, null)
    return this.#part.replace(record, fieldSchema, this.#path.valueFromStruct(schema, struct, this.#replaceNull))
  }

  #fieldSchema(schema: Schema): Schema {
    const field = this.#path.fieldFrom(schema)
    if (field === null) throw new DataError('CONNECT_TRANSFORM_FIELD', `Unknown field: ${this.#name}`)
    return field.schema
  }
}

export const extractField = keyAndValue({
  name: 'org.apache.kafka.connect.transforms.ExtractField',
  config,
  create: (part) => new ExtractField(part),
})
