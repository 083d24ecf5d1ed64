import { type ConfigOf, defineConfig, nonEmptyList, oneOf } from '../worker/api/config.ts'
import type { Field, Schema, Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import type { ConnectRecord, Header } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import {
  fieldValue,
  keyAndValue,
  member,
  type RecordPart,
  replaceNullOption,
  requireMap,
  requireStruct,
  SchemaCache,
  setMember,
  structLike,
} from './record-part.ts'

const config = defineConfig(
  {
    fields: {
      type: 'LIST',
      importance: 'HIGH',
      valid: nonEmptyList,
      doc: 'Field names in the record whose values are to be copied or moved to headers.',
    },
    headers: {
      type: 'LIST',
      importance: 'HIGH',
      valid: nonEmptyList,
      doc: 'Header names, in the same order as the field names listed in the fields configuration property.',
    },
    operation: {
      type: 'STRING',
      importance: 'HIGH',
      valid: oneOf('move', 'copy'),
      doc: 'Either <code>move</code> if the fields are to be moved to the headers (removed from the key/value), or <code>copy</code> if the fields are to be copied to the headers (retained in the key/value).',
    },
    'replace.null.with.default': replaceNullOption,
  },
  {
    validate(options) {
      if (options.fields.length === options.headers.length) return []
      return [
        {
          option: 'fields',
          message: "'fields' config must have the same number of elements as 'headers' config.",
        },
      ]
    },
  },
)

interface Plan {
  /** Fields that become headers, in the order of the option; a field may be named twice. */
  readonly sources: readonly Field[]
  /** The rest, and its schema: what `move` leaves. */
  readonly kept: readonly Field[]
  readonly schema: Schema
}

/** Copies or moves fields of the key or value into headers. */
class HeaderFrom implements Transformation<ConfigOf<typeof config>> {
  readonly #part: RecordPart
  #fields: readonly string[] = []
  #headers: readonly string[] = []
  #moves = false
  #replaceNull = true
  #plans = new SchemaCache<Plan>((schema) => this.#plan(schema))

  constructor(part: RecordPart) {
    this.#part = part
  }

  configure(options: ConfigOf<typeof config>): void {
    this.#fields = options.fields
    this.#headers = options.headers
    this.#moves = options.operation === 'move'
    this.#replaceNull = options['replace.null.with.default']
    this.#plans = new SchemaCache((schema) => this.#plan(schema))
  }

  apply<R extends ConnectRecord>(record: R): R {
    const schema = this.#part.schema(record)
    const value = this.#part.value(record)
    const purpose = this.#moves ? 'header move' : 'header copy'
    if (schema === null) {
      const map = requireMap(value, purpose)
      const added = this.#fields.map((name) => ({ schema: null, value: member(map, name) }))
      const changed = this.#withHeaders(record, added)
      if (!this.#moves) return changed
      const rest: Record<string, Value> = {}
      for (const [name, item] of Object.entries(map)) if (!this.#fields.includes(name)) setMember(rest, name, item)
      return this.#part.replace(changed, null, rest)
    }
    const struct = requireStruct(value, purpose)
    const plan = this.#plans.get(schema)
    const added = plan.sources.map((field) => ({
      schema: field.schema,
      value: fieldValue(struct, field, this.#replaceNull),
    }))
    const changed = this.#withHeaders(record, added)
    if (!this.#moves) return changed
    const rest: Record<string, Value> = {}
    for (const field of plan.kept) setMember(rest, field.name, fieldValue(struct, field, this.#replaceNull))
    return this.#part.replace(changed, plan.schema, rest)
  }

  #withHeaders<R extends ConnectRecord>(record: R, added: readonly Omit<Header, 'key'>[]): R {
    const headers = added.map((header, i) => ({ key: this.#headers[i] ?? '', ...header }))
    return record.with({ headers: [...record.headers, ...headers] })
  }

  #plan(schema: Schema): Plan {
    const sources = this.#fields.map((name) => {
      const field = schema.fieldsByName.get(name)
      if (field === undefined) throw new DataError('CONNECT_TRANSFORM_FIELD', `Field does not exist: ${name}`)
      return field
    })
    const kept = schema.fields.filter((field) => !this.#fields.includes(field.name))
    return { sources, kept, schema: structLike(schema, kept) }
  }
}

export const headerFrom = keyAndValue({
  name: 'org.apache.kafka.connect.transforms.HeaderFrom',
  config,
  create: (part) => new HeaderFrom(part),
})
