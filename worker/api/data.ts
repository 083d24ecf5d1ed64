/**
 * Connect's data model (`org.apache.kafka.connect.data`) in plain TypeScript values.
 *
 * | Schema type | Value |
 * |---|---|
 * | INT8 INT16 INT32, FLOAT32 FLOAT64 | `number` |
 * | INT64 | `bigint` |
 * | BOOLEAN, STRING | `boolean`, `string` |
 * | BYTES | `Uint8Array` |
 * | ARRAY, MAP, STRUCT | readonly array, `ReadonlyMap`, plain object in schema field order |
 * | Decimal (BYTES) | `Decimal` |
 * | Date, Time (INT32), Timestamp (INT64) | `Date`; days as `bigint` where a Date lies beyond it (year 275760) |
 *
 * Null is `null`, never `undefined`. Without a schema: JSON objects are plain objects; an integral `number` or a
 * `bigint` is an INT64, a non-integral `number` is a FLOAT64, an integral FLOAT64 is a `Float64` box (so that `1.0`
 * does not become `1`, I6).
 */
export type SchemaType =
  | 'INT8'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'FLOAT32'
  | 'FLOAT64'
  | 'BOOLEAN'
  | 'STRING'
  | 'BYTES'
  | 'ARRAY'
  | 'MAP'
  | 'STRUCT'

export interface Field {
  readonly name: string
  readonly index: number
  readonly schema: Schema
}

/** Immutable. All properties are always present, so that every schema has one hidden class. */
export interface Schema {
  readonly type: SchemaType
  readonly optional: boolean
  /** Null means that there is no default (Connect does not tell the two apart). */
  readonly defaultValue: Value
  readonly name: string | null
  readonly version: number | null
  readonly doc: string | null
  /** In insertion order; null when there are none. */
  readonly parameters: ReadonlyMap<string, string> | null
  /** STRUCT only; empty otherwise. */
  readonly fields: readonly Field[]
  readonly fieldsByName: ReadonlyMap<string, Field>
  /** MAP only. */
  readonly keySchema: Schema | null
  /** MAP: values; ARRAY: elements. */
  readonly valueSchema: Schema | null
}

export class Decimal {
  readonly unscaled: bigint
  readonly scale: number

  constructor(unscaled: bigint, scale: number) {
    this.unscaled = unscaled
    this.scale = scale
  }

  /** Plain notation without exponent, as Java's `BigDecimal.toPlainString`. */
  toString(): string {
    const { unscaled, scale } = this
    if (scale <= 0) return `${unscaled * 10n ** BigInt(-scale)}`
    const sign = unscaled < 0n ? '-' : ''
    const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0')
    return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
  }
}

/** A schemaless FLOAT64 whose value is integral, e.g. the JSON text `1.0`. */
export class Float64 {
  readonly value: number

  constructor(value: number) {
    this.value = value
  }
}

export type Struct = { readonly [field: string]: Value }

export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Date
  | Decimal
  | Float64
  | readonly Value[]
  | ReadonlyMap<Value, Value>
  | Struct

/** What a caller gives to make a schema; absent properties take Connect's defaults. */
export interface SchemaSpec {
  readonly type: SchemaType
  readonly optional?: boolean
  readonly defaultValue?: Value
  readonly name?: string | null
  readonly version?: number | null
  readonly doc?: string | null
  readonly parameters?: ReadonlyMap<string, string> | Readonly<Record<string, string>> | null
  readonly fields?: readonly { readonly name: string; readonly schema: Schema }[]
  readonly keySchema?: Schema | null
  readonly valueSchema?: Schema | null
}

const noFields: readonly Field[] = Object.freeze([])
const noFieldsByName: ReadonlyMap<string, Field> = new Map()

/** Makes an immutable schema. Schemas are compared by identity on hot paths: make each once and keep it. */
export function makeSchema(spec: SchemaSpec): Schema {
  const fields = spec.fields ? spec.fields.map((f, index) => ({ name: f.name, index, schema: f.schema })) : noFields
  const parameters =
    spec.parameters == null
      ? null
      : spec.parameters instanceof Map
        ? (spec.parameters as ReadonlyMap<string, string>)
        : new Map(Object.entries(spec.parameters))
  return {
    type: spec.type,
    optional: spec.optional ?? false,
    defaultValue: spec.defaultValue ?? null,
    name: spec.name ?? null,
    version: spec.version ?? null,
    doc: spec.doc ?? null,
    parameters: parameters && parameters.size > 0 ? parameters : null,
    fields,
    fieldsByName: fields.length === 0 ? noFieldsByName : new Map(fields.map((f) => [f.name, f])),
    keySchema: spec.keySchema ?? null,
    valueSchema: spec.valueSchema ?? null,
  }
}

const primitive = (type: SchemaType, optional: boolean) => makeSchema({ type, optional })

/** The required and optional schemas of the primitive types, one instance each. */
export const Schemas = {
  int8: primitive('INT8', false),
  int16: primitive('INT16', false),
  int32: primitive('INT32', false),
  int64: primitive('INT64', false),
  float32: primitive('FLOAT32', false),
  float64: primitive('FLOAT64', false),
  boolean: primitive('BOOLEAN', false),
  string: primitive('STRING', false),
  bytes: primitive('BYTES', false),
  optionalInt8: primitive('INT8', true),
  optionalInt16: primitive('INT16', true),
  optionalInt32: primitive('INT32', true),
  optionalInt64: primitive('INT64', true),
  optionalFloat32: primitive('FLOAT32', true),
  optionalFloat64: primitive('FLOAT64', true),
  optionalBoolean: primitive('BOOLEAN', true),
  optionalString: primitive('STRING', true),
  optionalBytes: primitive('BYTES', true),
} as const

/** Names of Connect's logical types; each has version 1. */
export const LogicalName = {
  decimal: 'org.apache.kafka.connect.data.Decimal',
  date: 'org.apache.kafka.connect.data.Date',
  time: 'org.apache.kafka.connect.data.Time',
  timestamp: 'org.apache.kafka.connect.data.Timestamp',
} as const

export function decimalSchema(scale: number, spec: Partial<SchemaSpec> = {}): Schema {
  return makeSchema({
    ...spec,
    type: 'BYTES',
    name: LogicalName.decimal,
    version: 1,
    parameters: { scale: String(scale), ...Object.fromEntries(Object.entries(spec.parameters ?? {})) },
  })
}

/** A copy of `schema` with some properties replaced. */
export function copySchema(schema: Schema, changes: Partial<SchemaSpec>): Schema {
  return makeSchema({ ...schema, ...changes })
}

/** Structural equality in the sense of Connect's `Schema.equals` (doc included). */
export function schemaEquals(a: Schema | null, b: Schema | null): boolean {
  if (a === b) return true
  if (a === null || b === null) return false
  return (
    a.type === b.type &&
    a.optional === b.optional &&
    a.name === b.name &&
    a.version === b.version &&
    a.doc === b.doc &&
    valueEquals(a.defaultValue, b.defaultValue) &&
    parametersEqual(a.parameters, b.parameters) &&
    a.fields.length === b.fields.length &&
    a.fields.every((f, i) => f.name === b.fields[i]?.name && schemaEquals(f.schema, b.fields[i].schema)) &&
    schemaEquals(a.keySchema, b.keySchema) &&
    schemaEquals(a.valueSchema, b.valueSchema)
  )
}

function parametersEqual(a: Schema['parameters'], b: Schema['parameters']): boolean {
  if (a === b) return true
  if (a === null || b === null || a.size !== b.size) return false
  for (const [key, value] of a) if (b.get(key) !== value) return false
  return true
}

/** Deep equality of values of the data model. */
export function valueEquals(a: Value, b: Value): boolean {
  if (a === b || Object.is(a, b)) return true
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return false
  if (a instanceof Uint8Array) return b instanceof Uint8Array && Buffer.compare(a, b) === 0
  if (a instanceof Date) return b instanceof Date && a.getTime() === b.getTime()
  if (a instanceof Decimal) return b instanceof Decimal && a.scale === b.scale && a.unscaled === b.unscaled
  if (a instanceof Float64) return b instanceof Float64 && Object.is(a.value, b.value)
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((v, i) => valueEquals(v, b[i]))
  if (a instanceof Map) {
    if (!(b instanceof Map) || a.size !== b.size) return false
    for (const [key, value] of a) if (!b.has(key) || !valueEquals(value, b.get(key))) return false
    return true
  }
  if (Array.isArray(b) || b instanceof Map) return false
  const left = a as Struct
  const right = b as Struct
  const keys = Object.keys(left)
  return (
    keys.length === Object.keys(right).length &&
    keys.every((key) => Object.hasOwn(right, key) && valueEquals(left[key] as Value, right[key] as Value))
  )
}

/**
 * A struct that has not been decoded: it can write itself field by field, and becomes a plain object only when
 * somebody looks inside. This is how a source hands bytes to a converter without an object per row.
 *
 * A view may refer to a buffer that its source will reuse: it is valid until the batch it came in has been encoded.
 * Who keeps it longer materialises it.
 */
export abstract class StructView {
  abstract readonly schema: Schema
  /** Writes every field, in schema order, to `out`; the two lanes give the same bytes. */
  abstract writeTo(out: ValueWriter): void
  abstract materialize(): Struct

  /** One field by itself; undefined when the view cannot give it without the others (`materialize` can). */
  member(_name: string): Value | undefined {
    return undefined
  }
}

/**
 * Receives one value after another in schema order. A converter implements it to take a `StructView` without
 * decoding. Numbers may come as the decimal text that the source already holds.
 */
export interface ValueWriter {
  /** `schema.fields.length` values follow, then `endStruct`. */
  beginStruct(schema: Schema): void
  endStruct(): void
  null(): void
  boolean(value: boolean): void
  /** INT8, INT16, INT32, and INT64 within ±2^53. */
  integer(value: number): void
  int64(value: bigint): void
  float(value: number): void
  string(value: string): void
  /** Decimal text of an INT8…INT64, ASCII digits with an optional minus, as it stands in `bytes[start, end)`. */
  integerText(bytes: Uint8Array, start: number, end: number): void
  /** UTF-8 text of a STRING, not escaped. */
  utf8(bytes: Uint8Array, start: number, end: number): void
  /** Anything else, as a plain value of the field's schema. */
  value(value: Value): void
  /** Optional short cut of `writeRepeated`: the same values, perhaps as kept from the last time. */
  repeated?(values: RepeatedValues): void
}

/**
 * Values of consecutive fields of one struct that many structs have in common, such as what all events of a
 * transaction say of their source. Made once and written with each of them, so that a writer encodes them once.
 */
export class RepeatedValues {
  /** Number of values, at the level of the struct that they stand in. */
  readonly count: number
  readonly writeTo: (out: ValueWriter) => void
  /** What the last writer keeps of them. It is the writer's own: another one must know that it is not its. */
  memo: unknown = null

  constructor(count: number, writeTo: (out: ValueWriter) => void) {
    this.count = count
    this.writeTo = writeTo
  }
}

/** Writes values that are the same in many structs. */
export function writeRepeated(values: RepeatedValues, out: ValueWriter): void {
  if (out.repeated === undefined) values.writeTo(out)
  else out.repeated(values)
}
