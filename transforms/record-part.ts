import type { ConfigDef, ConfigKeys, ConfigOf } from '../worker/api/config.ts'
import { type Field, makeSchema, type Schema, type SchemaSpec, type Struct, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { defineTransformation, type TransformationPlugin } from '../worker/api/plugin.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct, javaClass } from '../worker/api/values.ts'

/** The half of a record that a `$Key` or `$Value` variant works on. */
export interface RecordPart {
  schema(record: ConnectRecord): Schema | null
  value(record: ConnectRecord): Value
  replace<R extends ConnectRecord>(record: R, schema: Schema | null, value: Value): R
}

export const keyPart: RecordPart = {
  schema: (record) => record.keySchema,
  value: (record) => record.key,
  replace: (record, keySchema, key) => record.with({ keySchema, key }),
}

export const valuePart: RecordPart = {
  schema: (record) => record.valueSchema,
  value: (record) => record.value,
  replace: (record, valueSchema, value) => record.with({ valueSchema, value }),
}

/** Version of Connect whose transforms these are. */
export const transformsVersion = '4.3.0'

interface VariantSpec<K extends ConfigKeys> {
  /** Class name without `$Key` or `$Value`. */
  readonly name: string
  readonly config: ConfigDef<K>
  /** Absent: one of Connect's own. */
  readonly version?: string
  create(part: RecordPart): Transformation<ConfigOf<ConfigDef<K>>>
}

/** The two plugins of a transform that exists for keys and for values. */
export function keyAndValue<K extends ConfigKeys>(spec: VariantSpec<K>): readonly TransformationPlugin[] {
  const variant = (suffix: string, part: RecordPart): TransformationPlugin =>
    defineTransformation({
      name: `${spec.name}$${suffix}`,
      aliases: [],
      version: spec.version ?? transformsVersion,
      config: spec.config,
      create: async () => spec.create(part),
    })
  return [variant('Key', keyPart), variant('Value', valuePart)]
}

/**
 * The members of a value without a schema.
 * @throws DataError with Connect's text
 */
export function requireMap(value: Value, purpose: string): Struct {
  if (isStruct(value)) return value
  if (value instanceof Map) return textKeyed(value as ReadonlyMap<Value, Value>, purpose)
  throw new DataError(
    'CONNECT_DATA_TYPE',
    `Only Map objects supported in absence of schema for [${purpose}], found: ${className(value)}`,
  )
}

function textKeyed(map: ReadonlyMap<Value, Value>, purpose: string): Struct {
  const members: Record<string, Value> = {}
  for (const [key, value] of map) {
    // A number made a text would be another key (I6).
    if (typeof key !== 'string') {
      const message = `Only Map objects with String keys supported for [${purpose}], found: ${className(key)}`
      throw new DataError('CONNECT_DATA_TYPE', message)
    }
    setMember(members, key, value)
  }
  return members
}

/** @throws DataError with Connect's text */
export function requireStruct(value: Value, purpose: string): Struct {
  if (isStruct(value)) return value
  throw new DataError('CONNECT_DATA_TYPE', `Only Struct objects supported for [${purpose}], found: ${className(value)}`)
}

function className(value: Value): string {
  return javaClass(value).replace('class ', '')
}

/** Name, version, doc and parameters of a schema, for a new required struct without a default. */
export function schemaBasics(schema: Schema): Pick<SchemaSpec, 'name' | 'version' | 'doc' | 'parameters'> {
  return { name: schema.name, version: schema.version, doc: schema.doc, parameters: schema.parameters }
}

/** A struct schema with the basics of `like`. @throws DataError when a field has no name or two have one */
export function structLike(
  like: Schema,
  fields: readonly { readonly name: string; readonly schema: Schema }[],
): Schema {
  const names = new Set<string>()
  for (const { name } of fields) {
    if (name === '') throw new DataError('CONNECT_DATA_SCHEMA', 'fieldName cannot be null.')
    if (names.has(name)) {
      throw new DataError('CONNECT_DATA_SCHEMA', `Cannot create field because of field name duplication ${name}`)
    }
    names.add(name)
  }
  return makeSchema({ ...schemaBasics(like), type: 'STRUCT', fields })
}

/** A field's value; with `replaceNull` the schema's default stands in for null, as in Connect's `Struct.get`. */
export function fieldValue(struct: Struct, field: Field, replaceNull: boolean): Value {
  const value = Object.hasOwn(struct, field.name) ? (struct[field.name] ?? null) : null
  return value === null && replaceNull ? field.schema.defaultValue : value
}

/** A member of a schemaless object; null when it is absent. */
export function member(map: Struct, name: string): Value {
  return Object.hasOwn(map, name) ? (map[name] ?? null) : null
}

/** Builds structs member by member; a name such as `__proto__` is a name like any other. */
export function setMember(target: Record<string, Value>, name: string, value: Value): void {
  if (name === '__proto__') {
    Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true })
  } else target[name] = value
}

/**
 * Copies of structs of one schema, to be changed (I5): what a loop over the fields would give, at the price of copying
 * an object whose shape the engine knows.
 */
export class StructCopier {
  /** Fields that a default may have to stand in for. */
  readonly #defaulted: readonly Field[]

  constructor(schema: Schema, replaceNull: boolean) {
    this.#defaulted = replaceNull ? schema.fields.filter((field) => field.schema.defaultValue !== null) : []
  }

  copy(struct: Struct): Record<string, Value> {
    const copy: Record<string, Value> = { ...struct }
    for (const field of this.#defaulted) {
      if ((copy[field.name] ?? null) === null) setMember(copy, field.name, field.schema.defaultValue)
    }
    return copy
  }
}

/**
 * What a transform derives from an input schema, made once per schema. Keyed weakly: an entry lives as long as its
 * schema, which bounds the cache by what is in use.
 */
export class SchemaCache<T> {
  readonly #entries = new WeakMap<Schema, T>()
  readonly #derive: (schema: Schema) => T

  constructor(derive: (schema: Schema) => T) {
    this.#derive = derive
  }

  get(schema: Schema): T {
    let entry = this.#entries.get(schema)
    if (entry === undefined) {
      entry = this.#derive(schema)
      this.#entries.set(schema, entry)
    }
    return entry
  }
}

/** Option of the transforms that copy fields. */
export const replaceNullOption = {
  type: 'BOOLEAN',
  default: true,
  importance: 'MEDIUM',
  doc: 'Whether to replace fields that have a default value and that are null to the default value. When set to true, the default value is used, otherwise null is used.',
} as const
