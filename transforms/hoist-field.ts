import { type ConfigOf, defineConfig } from '../worker/api/config.ts'
import { makeSchema, type Value } from '../worker/api/data.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { keyAndValue, type RecordPart, SchemaCache, setMember, structLike } from './record-part.ts'

const config = defineConfig({
  field: {
    type: 'STRING',
    importance: 'MEDIUM',
    doc: 'Field name for the single field that will be created in the resulting Struct or Map.',
  },
})

const plain = makeSchema({ type: 'STRUCT' })

/** Wraps a key or value into a struct, or an object, of one field. */
class HoistField implements Transformation<ConfigOf<typeof config>> {
  readonly #part: RecordPart
  #field = ''
  #schemas = new SchemaCache((schema) => structLike(plain, [{ name: this.#field, schema }]))

  constructor(part: RecordPart) {
    this.#part = part
  }

  configure(options: ConfigOf<typeof config>): void {
    this.#field = options.field
  }

  apply<R extends ConnectRecord>(record: R): R {
    const schema = this.#part.schema(record)
    const wrapped: Record<string, Value> = {}
    setMember(wrapped, this.#field, this.#part.value(record))
    return this.#part.replace(record, schema === null ? null : this.#schemas.get(schema), wrapped)
  }
}

export const hoistField = keyAndValue({
  name: 'org.apache.kafka.connect.transforms.HoistField',
  config,
  create: (part) => new HoistField(part),
})
