import { type ConfigOf, defineConfig, type Validator } from '../worker/api/config.ts'
import { copySchema, LogicalName, makeSchema, type Schema, type Value } from '../worker/api/data.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct } from '../worker/api/values.ts'
import { type CastType, castTypes, castValue } from './cast-value.ts'
import {
  keyAndValue,
  member,
  type RecordPart,
  replaceNullOption,
  requireMap,
  requireStruct,
  SchemaCache,
  StructCopier,
  schemaBasics,
  setMember,
  structLike,
} from './record-part.ts'

const schemaTypes = new Set<string>([...castTypes, 'BYTES', 'ARRAY', 'MAP', 'STRUCT'])
const isCastType = (text: string): text is CastType => castTypes.some((type) => type === text)

/** What a `spec` asks for: types by field, or one for the whole value. */
interface CastSpec {
  readonly whole: CastType | null
  readonly fields: ReadonlyMap<string, CastType>
}

/** The spec, or what is wrong with it in Connect's words. */
function parseSpec(entries: readonly string[]): CastSpec | string {
  if (entries.length === 0) return 'Must specify at least one field to cast.'
  const fields = new Map<string, CastType>()
  let whole: CastType | null = null
  for (const entry of entries) {
    const parts = entry.split(':').map((part) => part.trim())
    const [first = '', second] = parts
    if (parts.length > 2) return `Invalid rename mapping: ${entry}`
    const type = parseType(second ?? first)
    if (!isCastType(type)) return type
    if (second === undefined) whole = type
    else fields.set(first, type)
  }
  if (whole === null || entries.length === 1) return { whole, fields }
  return 'Cast transformations that specify a type to cast the entire value to may ony specify a single cast in their spec'
}

/** A type to cast to, or what is wrong with the name. */
function parseType(name: string): string {
  const upper = name.toUpperCase()
  if (isCastType(upper)) return upper
  if (!schemaTypes.has(upper)) {
    return `Invalid value java.lang.IllegalArgumentException: No enum constant org.apache.kafka.connect.data.Schema.Type.${upper} for configuration Invalid type found in casting spec: ${name}`
  }
  return `Cast transformation does not support casting to ${upper}; supported types are [${castTypes.join(', ')}]`
}

const validSpec: Validator = {
  description:
    'list of colon-delimited pairs, e.g. <code>foo:bar,abc:xyz</code>, or one type for the whole key or value',
  complete: true,
  check: (_, value) => {
    const spec = parseSpec((value ?? []) as readonly string[])
    return typeof spec === 'string' ? spec : null
  },
}

const config = defineConfig({
  spec: {
    type: 'LIST',
    importance: 'HIGH',
    valid: validSpec,
    doc: 'List of fields and the type to cast them to of the form field1:type,field2:type to cast fields of Maps or Structs. A single type to cast the entire value. Valid types are int8, int16, int32, int64, float32, float64, boolean, and string. Note that binary fields can only be cast to string.',
  },
  'replace.null.with.default': replaceNullOption,
})

const purpose = 'cast types'
const logicalNames = new Set<string>(Object.values(LogicalName))

/** Casts fields, or the whole key or value, to primitive types as Java does. */
class Cast implements Transformation<ConfigOf<typeof config>> {
  readonly #part: RecordPart
  #spec: CastSpec = { whole: null, fields: new Map() }
  #schemas = new SchemaCache<Schema>((schema) => this.#casted(schema))
  #copiers = new SchemaCache((schema) => new StructCopier(schema, true))

  constructor(part: RecordPart) {
    this.#part = part
  }

  configure(options: ConfigOf<typeof config>): void {
    const spec = parseSpec(options.spec)
    // The validator has refused it before.
    if (typeof spec === 'string') throw new TypeError(spec)
    this.#spec = spec
    this.#schemas = new SchemaCache((schema) => this.#casted(schema))
    this.#copiers = new SchemaCache((schema) => new StructCopier(schema, options['replace.null.with.default']))
  }

  apply<R extends ConnectRecord>(record: R): R {
    const value = this.#part.value(record)
    if (value === null) return record
    const schema = this.#part.schema(record)
    if (schema === null) return this.#part.replace(record, null, this.#castSchemaless(value))
    return this.#part.replace(
      record,
      this.#schemas.get(schema),
      this.#castTyped(schema, value, this.#copiers.get(schema)),
    )
  }

  #castSchemaless(value: Value): Value {
    const { whole, fields } = this.#spec
    if (whole !== null) return castValue(null, value, whole)
    const result: Record<string, Value> = { ...requireMap(value, purpose) }
    for (const [name, type] of fields) setMember(result, name, castValue(null, member(result, name), type))
    return result
  }

  #castTyped(schema: Schema, value: Value, copier: StructCopier): Value {
    const { whole, fields } = this.#spec
    if (whole !== null) return castValue(schema, value, whole)
    const result = copier.copy(requireStruct(value, purpose))
    for (const [name, type] of fields) {
      const field = schema.fieldsByName.get(name)
      if (field !== undefined) setMember(result, name, castValue(field.schema, member(result, name), type))
    }
    return result
  }

  #casted(schema: Schema): Schema {
    const { whole, fields } = this.#spec
    const { optional } = schema
    if (whole !== null) {
      const basics = schemaBasics(schema)
      const defaultValue = castValue(schema, schema.defaultValue, whole)
      // The value is no longer a Decimal, Date, Time or Timestamp; under that name no converter could write it.
      const isLogical = schema.name !== null && logicalNames.has(schema.name)
      const typed = makeSchema({ ...basics, type: whole, optional, defaultValue })
      return isLogical ? copySchema(typed, { name: null, version: null, parameters: null }) : typed
    }
    const target = structLike(
      schema,
      schema.fields.map((field) => {
        const type = fields.get(field.name)
        return { name: field.name, schema: type === undefined ? field.schema : fieldSchema(field.schema, type) }
      }),
    )
    const value = schema.defaultValue
    return copySchema(target, {
      optional,
      defaultValue: isStruct(value) ? this.#castTyped(schema, value, new StructCopier(schema, true)) : null,
    })
  }
}

/** Of a field only that it is optional, and its default, outlive the cast. */
function fieldSchema(schema: Schema, type: CastType): Schema {
  return makeSchema({ type, optional: schema.optional, defaultValue: castValue(schema, schema.defaultValue, type) })
}

export const cast = keyAndValue({
  name: 'org.apache.kafka.connect.transforms.Cast',
  config,
  create: (part) => new Cast(part),
})
