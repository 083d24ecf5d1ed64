import { type ConfigOf, defineConfig } from '../worker/api/config.ts'
import { copySchema, type Field, type Schema, type Struct, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct, javaClass } from '../worker/api/values.ts'
import {
  fieldValue,
  keyAndValue,
  type RecordPart,
  requireMap,
  requireStruct,
  SchemaCache,
  setMember,
  structLike,
} from './record-part.ts'

const config = defineConfig({
  delimiter: {
    type: 'STRING',
    default: '.',
    importance: 'MEDIUM',
    doc: 'Delimiter to insert between field names from the input record when generating field names for the output record',
  },
})

const purpose = 'flattening'

/** A field that is not a struct, and the way to it. */
interface Leaf {
  readonly name: string
  readonly path: readonly Field[]
  readonly schema: Schema
}

interface Plan {
  readonly leaves: readonly Leaf[]
  readonly schema: Schema
}

/** What the structs around a field hand down to it. */
interface Parent {
  readonly name: string | null
  readonly path: readonly Field[]
  readonly optional: boolean
  readonly defaults: Struct | null
}

/** Makes nested structs or objects one level deep; names are joined by the delimiter. Arrays stay whole. */
class Flatten implements Transformation<ConfigOf<typeof config>> {
  readonly #part: RecordPart
  #delimiter = '.'
  #plans = new SchemaCache<Plan>((schema) => this.#plan(schema))

  constructor(part: RecordPart) {
    this.#part = part
  }

  configure(options: ConfigOf<typeof config>): void {
    this.#delimiter = options.delimiter
    this.#plans = new SchemaCache((schema) => this.#plan(schema))
  }

  apply<R extends ConnectRecord>(record: R): R {
    const value = this.#part.value(record)
    if (value === null) return record
    const schema = this.#part.schema(record)
    const result: Record<string, Value> = {}
    if (schema === null) {
      this.#flattenMap(requireMap(value, purpose), null, result)
      return this.#part.replace(record, null, result)
    }
    const struct = requireStruct(value, purpose)
    const plan = this.#plans.get(schema)
    for (const leaf of plan.leaves) setMember(result, leaf.name, leafValue(struct, leaf.path))
    return this.#part.replace(record, plan.schema, result)
  }

  #join(prefix: string | null, name: string): string {
    return prefix === null ? name : `${prefix}${this.#delimiter}${name}`
  }

  #flattenMap(map: Struct, prefix: string | null, result: Record<string, Value>): void {
    for (const [key, item] of Object.entries(map)) {
      const name = this.#join(prefix, key)
      if (item !== null && (item instanceof Map || isStruct(item))) {
        this.#flattenMap(requireMap(item, purpose), name, result)
      } else if (item instanceof Date) {
        throw new DataError(
          'CONNECT_TRANSFORM_TYPE',
          `Flatten transformation was passed a value of type ${javaClass(item)} which is not supported by Connect's data API`,
        )
      } else setMember(result, name, item)
    }
  }

  #plan(schema: Schema): Plan {
    const defaults = isStruct(schema.defaultValue) ? schema.defaultValue : null
    const leaves = this.#leaves(schema, { name: null, path: [], optional: schema.optional, defaults })
    return { leaves, schema: structLike(schema, leaves) }
  }

  /** A leaf is optional if any struct around it is; its default is its own, or its part of a default around it. */
  #leaves(schema: Schema, parent: Parent): readonly Leaf[] {
    return schema.fields.flatMap((field): readonly Leaf[] => {
      const name = this.#join(parent.name, field.name)
      const path = [...parent.path, field]
      const optional = parent.optional || field.schema.optional
      const inherited = parent.defaults === null ? null : fieldValue(parent.defaults, field, true)
      const defaultValue = field.schema.defaultValue ?? inherited
      if (field.schema.type === 'STRUCT') {
        const defaults = isStruct(defaultValue) ? defaultValue : null
        return this.#leaves(field.schema, { name, path, optional, defaults })
      }
      if (field.schema.type === 'MAP') {
        throw new DataError(
          'CONNECT_TRANSFORM_TYPE',
          `Flatten transformation does not support MAP for record with schemas (for field ${name}).`,
        )
      }
      return [{ name, path, schema: copySchema(field.schema, { optional, defaultValue }) }]
    })
  }
}

/** Null where a struct on the way is null; a default stands in for a null at the end. */
function leafValue(struct: Struct, path: readonly Field[]): Value {
  let current: Value = struct
  for (const field of path) {
    if (!isStruct(current)) return null
    current = fieldValue(current, field, true)
  }
  return current
}

export const flatten = keyAndValue({
  name: 'org.apache.kafka.connect.transforms.Flatten',
  config,
  create: (part) => new Flatten(part),
})
