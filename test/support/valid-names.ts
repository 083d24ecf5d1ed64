import { copySchema, type Schema, type Struct, type Value } from '../../worker/api/data.ts'

/**
 * The same data with names that Avro and Protobuf allow: fields `f0`, `f1` …, every struct with a name of its own, and
 * no other annotations than those of logical types.
 */
export class ValidNames {
  #structs = 0

  schema(schema: Schema): Schema {
    const isLogical = schema.name?.startsWith('org.apache.kafka.connect.data.') === true
    const name = schema.type === 'STRUCT' ? `com.example.S${this.#structs++}` : isLogical ? schema.name : null
    return copySchema(schema, {
      name,
      version: isLogical ? schema.version : null,
      doc: null,
      parameters: isLogical ? schema.parameters : null,
      fields: schema.fields.map((field, i) => ({ name: `f${i}`, schema: this.schema(field.schema) })),
      keySchema: schema.keySchema === null ? null : this.schema(schema.keySchema),
      valueSchema: schema.valueSchema === null ? null : this.schema(schema.valueSchema),
    })
  }

  /** A value of `from` with the names of its new schema. */
  static value(from: Schema, value: Value): Value {
    const { keySchema, valueSchema } = from
    if (Array.isArray(value) && valueSchema !== null) {
      return (value as readonly Value[]).map((item) => ValidNames.value(valueSchema, item))
    }
    if (value instanceof Map && valueSchema !== null && keySchema !== null) {
      return new Map([...(value as ReadonlyMap<Value, Value>)].map(([k, v]) => [k, ValidNames.value(valueSchema, v)]))
    }
    if (from.type !== 'STRUCT' || value === null) return value
    const struct = value as Struct
    return Object.fromEntries(
      from.fields.map((field, i) => [`f${i}`, ValidNames.value(field.schema, struct[field.name] ?? null)]),
    )
  }
}

/** A value as it is read back: null stands for a default where there is one. */
export function present(schema: Schema, value: Value): Value {
  if (value === null) return schema.defaultValue === null ? null : present(schema, schema.defaultValue)
  const { valueSchema } = schema
  if (Array.isArray(value)) return (value as readonly Value[]).map((item) => present(valueSchema as Schema, item))
  if (value instanceof Map) {
    return new Map([...(value as ReadonlyMap<Value, Value>)].map(([k, v]) => [k, present(valueSchema as Schema, v)]))
  }
  if (schema.type !== 'STRUCT') return value
  const struct = value as { readonly [f: string]: Value }
  return Object.fromEntries(schema.fields.map((f) => [f.name, present(f.schema, struct[f.name] ?? null)]))
}

/** Two lists of entries in one schema would have the same name; Avro's JSON has no default that is not finite. */
export function isAvro(schema: Schema): boolean {
  const entries: Schema[] = []
  const visit = (s: Schema): boolean => {
    if (!isWellFormed(s.defaultValue)) return false
    // Keys that are objects are the same only by identity.
    if (s.keySchema?.type === 'BYTES') return false
    if (s.type === 'MAP' && (s.keySchema?.type !== 'STRING' || s.keySchema.optional)) entries.push(s)
    if (s.defaultValue !== null && (s.type.startsWith('FLOAT') || s.type === 'ARRAY' || s.type === 'MAP')) return false
    return [...s.fields.map((f) => f.schema), s.keySchema, s.valueSchema].every((part) => part === null || visit(part))
  }
  return visit(schema) && entries.length <= 1
}

/** Whether all texts are Unicode. */
export function isWellFormed(value: Value): boolean {
  if (typeof value === 'string') return value.isWellFormed()
  if (Array.isArray(value)) return (value as readonly Value[]).every(isWellFormed)
  if (value instanceof Map) return [...(value as ReadonlyMap<Value, Value>)].every((entry) => entry.every(isWellFormed))
  if (value === null || typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype) return true
  return Object.values(value as { readonly [f: string]: Value }).every(isWellFormed)
}
