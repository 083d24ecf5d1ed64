import { type ConfigOf, defineConfig, distinctList } from '../worker/api/config.ts'
import { type Field, makeSchema, type Schema, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import {
  fieldValue,
  member,
  replaceNullOption,
  requireMap,
  requireStruct,
  SchemaCache,
  setMember,
  transformsVersion,
} from './record-part.ts'

const config = defineConfig({
  fields: {
    type: 'LIST',
    importance: 'HIGH',
    valid: distinctList({ allowEmpty: false }),
    doc: 'Field names on the record value to extract as the record key.',
  },
  'replace.null.with.default': replaceNullOption,
})

const purpose = 'copying fields from value to key'

/** Makes the key out of fields of the value. */
class ValueToKey implements Transformation<ConfigOf<typeof config>> {
  #fields: readonly string[] = []
  #replaceNull = true
  #plans = new SchemaCache((schema) => this.#plan(schema))

  configure(options: ConfigOf<typeof config>): void {
    this.#fields = options.fields
    this.#replaceNull = options['replace.null.with.default']
    this.#plans = new SchemaCache((schema) => this.#plan(schema))
  }

  apply<R extends ConnectRecord>(record: R): R {
    const key: Record<string, Value> = {}
    if (record.valueSchema === null) {
      const map = requireMap(record.value, purpose)
      for (const name of this.#fields) setMember(key, name, member(map, name))
      return record.with({ keySchema: null, key })
    }
    const struct = requireStruct(record.value, purpose)
    const { fields, schema } = this.#plans.get(record.valueSchema)
    for (const field of fields) setMember(key, field.name, fieldValue(struct, field, this.#replaceNull))
    return record.with({ keySchema: schema, key })
  }

  #plan(valueSchema: Schema): { readonly fields: readonly Field[]; readonly schema: Schema } {
    const fields = this.#fields.map((name) => {
      const field = valueSchema.fieldsByName.get(name)
      if (field === undefined) throw new DataError('CONNECT_TRANSFORM_FIELD', `Field does not exist: ${name}`)
      return field
    })
    return { fields, schema: makeSchema({ type: 'STRUCT', fields }) }
  }
}

export const valueToKey = defineTransformation({
  name: 'org.apache.kafka.connect.transforms.ValueToKey',
  aliases: [],
  version: transformsVersion,
  config,
  create: async () => new ValueToKey(),
})
