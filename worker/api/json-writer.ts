import { GrowingByteWriter } from './byte-writer.ts'
import type { ByteWriter } from './converter.ts'
import {
  Decimal,
  Float64,
  LogicalName,
  type RepeatedValues,
  type Schema,
  StructView,
  type Value,
  type ValueWriter,
} from './data.ts'
import { DataError } from './errors.ts'
import { inHashOrder } from './java-hash.ts'
import { bigDecimalText, doubleJson, floatJson, quoteJson, stringifyJson } from './json.ts'
import { writeBase64, writeJsonString, writeJsonUtf8 } from './json-text.ts'
import { isStruct, javaClass, twosComplement } from './values.ts'

export interface JsonWriteOptions {
  /** `base64`: two's complement of the unscaled value; `numeric`: exact number; `double`: rounded to a double. */
  readonly decimals: 'base64' | 'numeric' | 'double' | 'string'
  /**
   * How a MAP looks. `connect`: an object when its keys are STRING, otherwise `[[key,value],…]`; `compact`: the same
   * but `[{"key":…,"value":…},…]` instead of pairs, in the order of a `HashMap`; `entries`: always the latter.
   */
  readonly maps: 'connect' | 'compact' | 'entries'
  /** Whether the pairs of `connect` are in that order, too: the map was read by a converter of Java's. */
  readonly hashedPairs?: boolean
  /** A Date as days since 1970, as Connect writes it (the default), or as a text like `2026-01-31`. */
  readonly dates?: 'days' | 'iso'
  /** Whether a null with a schema default is written as that default; `required`: unless it may be null. */
  readonly replaceNullWithDefault: boolean | 'required'
  /** Structs of which one field is set, and written alone. Views of them must be materialised first. */
  readonly isUnion?: (schema: Schema) => boolean
}

type Write = (value: Value, out: ByteWriter) => void

/** What a null becomes: nothing else but JSON null, the default in its JSON form, or an error. */
type NullRule = { readonly kind: 'bytes'; readonly bytes: Uint8Array } | { readonly kind: 'error' }

/** A STRUCT schema compiled: one entry per field, in order. */
interface StructPlan {
  readonly count: number
  readonly names: readonly string[]
  /** `{"name":` for the first field, `,"name":` for the others. */
  readonly prefixes: readonly Uint8Array[]
  readonly types: readonly Schema['type'][]
  readonly writers: readonly Write[]
  readonly nulls: readonly NullRule[]
}

/** What a `ViewWriter` keeps of values that come again: their bytes at one place of one plan. */
class RepeatedBytes {
  readonly plan: StructPlan
  readonly index: number
  /** Null until they have come a second time: most values of short transactions never do. */
  readonly bytes: Uint8Array | null

  constructor(plan: StructPlan, index: number, bytes: Uint8Array | null) {
    this.plan = plan
    this.index = index
    this.bytes = bytes
  }
}

const nullBytes = Buffer.from('null')
const trueBytes = Buffer.from('true')
const falseBytes = Buffer.from('false')
const dayMs = 86_400_000

/**
 * Writes Connect data as JSON, compiled once per schema: names are encoded beforehand and each field has its own
 * writer. A `StructView` writes itself through the same plans, so both lanes give the same bytes.
 *
 * Rules are those of Connect's JsonConverter: null handling, logical types, error texts.
 */
export class JsonWriter {
  readonly #options: JsonWriteOptions
  // Keyed weakly: a plan lives as long as its schema, so that no bound and no eviction is needed.
  readonly #writers = new WeakMap<Schema, Write>()
  readonly #plans = new WeakMap<Schema, StructPlan>()
  readonly #views: ViewWriter

  constructor(options: JsonWriteOptions) {
    this.#options = options
    this.#views = new ViewWriter((schema) => this.#plan(schema))
  }

  /** @throws DataError; the caller rolls `out` back */
  write(schema: Schema | null, value: Value | StructView, out: ByteWriter): void {
    if (value instanceof StructView) this.#views.write(value, out)
    else if (schema === null) writeSchemaless(value, out)
    else this.#writer(schema)(value, out)
  }

  #writer(schema: Schema): Write {
    let write = this.#writers.get(schema)
    if (write === undefined) {
      write = this.#nullable(schema)
      this.#writers.set(schema, write)
    }
    return write
  }

  #nullable(schema: Schema): Write {
    const write = this.#compile(schema)
    const rule = this.#nullRule(schema, write)
    return (value, out) => {
      if (value === null) writeNull(rule, out)
      else write(value, out)
    }
  }

  #nullRule(schema: Schema, write: Write): NullRule {
    const { replaceNullWithDefault } = this.#options
    const replaces = replaceNullWithDefault === 'required' ? !schema.optional : replaceNullWithDefault
    if (schema.defaultValue !== null && replaces) {
      const bytes = new GrowingByteWriter(64)
      write(schema.defaultValue, bytes)
      return { kind: 'bytes', bytes: bytes.since(0) }
    }
    return schema.optional ? { kind: 'bytes', bytes: nullBytes } : { kind: 'error' }
  }

  #compile(schema: Schema): Write {
    switch (schema.name) {
      case LogicalName.decimal:
        return this.#decimal(schema)
      case LogicalName.date:
        return this.#options.dates === 'iso' ? writeIsoDate : writeDate
      case LogicalName.time:
        return writeTime
      case LogicalName.timestamp:
        // Java's Date holds any int64 of milliseconds; beyond the range of ours they come as the bare number.
        return (value, out) => out.ascii(String(typeof value === 'bigint' ? value : dateMs(value, 'Timestamp')))
      default:
    }
    switch (schema.type) {
      case 'INT8':
      case 'INT16':
      case 'INT32':
        return integerWriter(schema.type)
      case 'INT64':
        return writeInt64
      case 'FLOAT32':
        return (value, out) => out.ascii(floatJson(asDouble(value, 'FLOAT32')))
      case 'FLOAT64':
        return (value, out) => out.ascii(doubleJson(asDouble(value, 'FLOAT64')))
      case 'BOOLEAN':
        return writeBoolean
      case 'STRING':
        return (value, out) => {
          if (typeof value !== 'string') throw invalidType('STRING', value)
          writeJsonString(value, out)
        }
      case 'BYTES':
        return (value, out) => {
          if (!(value instanceof Uint8Array)) throw invalidType('BYTES', value)
          writeBase64(value, out)
        }
      case 'ARRAY':
        return this.#array(schema)
      case 'MAP':
        return this.#map(schema)
      case 'STRUCT':
        return this.#options.isUnion?.(schema) === true ? this.#union(schema) : this.#struct(schema)
    }
  }

  #decimal(schema: Schema): Write {
    const format = this.#options.decimals
    const scale = Number(schema.parameters?.get('scale') ?? Number.NaN)
    if (!Number.isInteger(scale)) {
      throw new DataError('CONNECT_DATA_SCHEMA', 'Invalid Decimal schema: no integer parameter "scale"')
    }
    return (value, out) => {
      if (!(value instanceof Decimal)) {
        throw new DataError(
          'CONNECT_DATA_TYPE',
          `Invalid type for Decimal, expected BigDecimal but was ${javaClass(value)}`,
        )
      }
      if (format === 'numeric') out.ascii(bigDecimalText(value))
      else if (format === 'string') out.ascii(`"${value}"`)
      else if (format === 'double') out.ascii(doubleJson(Number(value.toString())))
      else {
        if (value.scale !== scale) {
          throw new DataError(
            'CONNECT_DATA_TYPE',
            `Decimal value has mismatching scale for given Decimal schema. Schema has scale ${scale}, value has scale ${value.scale}.`,
          )
        }
        writeBase64(twosComplement(value.unscaled), out)
      }
    }
  }

  #array(schema: Schema): Write {
    const element = this.#member(schema.valueSchema, 'Array schema did not specify the element type')
    return (value, out) => {
      if (!Array.isArray(value)) throw invalidType('ARRAY', value)
      out.byte(0x5b)
      for (let i = 0; i < value.length; i++) {
        if (i > 0) out.byte(0x2c)
        element((value as readonly Value[])[i] ?? null, out)
      }
      out.byte(0x5d)
    }
  }

  #map(schema: Schema): Write {
    const writeKey = this.#member(schema.keySchema, 'Map schema did not specify the key type')
    const writeItem = this.#member(schema.valueSchema, 'Map schema did not specify the value type')
    const { maps, hashedPairs = maps !== 'connect' } = this.#options
    const stringKeys = schema.keySchema?.type === 'STRING'
    if (stringKeys && maps !== 'entries') {
      return (value, out) => {
        writeMembers(asMap(value), '{', '}', out, (key, item) => {
          // As in Connect, a null key becomes the text "null".
          writeJsonString(key === null ? 'null' : stringKey(key), out)
          out.byte(0x3a)
          writeItem(item, out)
        })
      }
    }
    const [open, between, close] = maps === 'connect' ? ['[', ',', ']'] : ['{"key":', ',"value":', '}']
    return (value, out) => {
      const map = asMap(value)
      const ordered = hashedPairs ? new Map(inHashOrder([...map], undefined, schema.keySchema?.type)) : map
      writeMembers(ordered, '[', ']', out, (key, item) => {
        out.ascii(open as string)
        writeKey(key, out)
        out.ascii(between as string)
        writeItem(item, out)
        out.ascii(close as string)
      })
    }
  }

  #member(schema: Schema | null, message: string): Write {
    if (schema === null) throw new DataError('CONNECT_DATA_SCHEMA', message)
    return this.#writer(schema)
  }

  #struct(schema: Schema): Write {
    const plan = this.#plan(schema)
    return (value, out) => {
      if (!isStruct(value)) throw invalidType('STRUCT', value)
      const { count, names, prefixes, writers, nulls } = plan
      if (count === 0) out.byte(0x7b)
      for (let i = 0; i < count; i++) {
        out.bytes(prefixes[i] as Uint8Array)
        const field = value[names[i] as string]
        if (field === null || field === undefined) writeNull(nulls[i] as NullRule, out, names[i])
        else (writers[i] as Write)(field, out)
      }
      out.byte(0x7d)
    }
  }

  #union(schema: Schema): Write {
    const branches = schema.fields.map((field) => ({ name: field.name, write: this.#compile(field.schema) }))
    return (value, out) => {
      if (!isStruct(value)) throw invalidType('STRUCT', value)
      for (const { name, write } of branches) {
        const item = value[name] ?? null
        if (item !== null) return write(item, out)
      }
      throw new DataError('CONNECT_DATA_NULL', 'Invalid union: none of its fields is set')
    }
  }

  #plan(schema: Schema): StructPlan {
    let plan = this.#plans.get(schema)
    if (plan === undefined) {
      const { fields } = schema
      const writers = fields.map((f) => this.#compile(f.schema))
      plan = {
        count: fields.length,
        names: fields.map((f) => f.name),
        prefixes: fields.map((f, i) => Buffer.from(`${i === 0 ? '{' : ','}${quoteJson(f.name)}:`)),
        types: fields.map((f) => f.schema.type),
        writers,
        nulls: fields.map((f, i) => this.#nullRule(f.schema, writers[i] as Write)),
      }
      this.#plans.set(schema, plan)
    }
    return plan
  }
}

/** Takes a view's values one after another; nesting is a stack of plans. */
class ViewWriter implements ValueWriter {
  readonly #planOf: (schema: Schema) => StructPlan
  /** Plans and indexes of the structs around the present one; their storage is used again. */
  readonly #outerPlans: StructPlan[] = []
  readonly #outerIndexes: number[] = []
  #depth = 0
  #out: ByteWriter = new GrowingByteWriter(0)
  #plan: StructPlan | null = null
  #index = 0

  constructor(planOf: (schema: Schema) => StructPlan) {
    this.#planOf = planOf
  }

  write(view: StructView, out: ByteWriter): void {
    this.#out = out
    // A view that failed in the middle has left its plans here.
    this.#depth = 0
    this.#plan = null
    this.#index = 0
    view.writeTo(this)
  }

  /** Writes the name of the next field. */
  #next(): StructPlan {
    const plan = this.#plan
    const prefix = plan?.prefixes[this.#index]
    if (plan === null || prefix === undefined) {
      throw new DataError('CONNECT_DATA_SCHEMA', 'A view wrote more values than its schema has fields')
    }
    this.#out.bytes(prefix)
    this.#index++
    return plan
  }

  beginStruct(schema: Schema): void {
    if (this.#plan !== null) {
      this.#next()
      this.#outerPlans[this.#depth] = this.#plan
      this.#outerIndexes[this.#depth] = this.#index
      this.#depth++
    }
    this.#plan = this.#planOf(schema)
    this.#index = 0
    if (this.#plan.count === 0) this.#out.byte(0x7b)
  }

  endStruct(): void {
    if (this.#plan === null || this.#index !== this.#plan.count) {
      throw new DataError('CONNECT_DATA_SCHEMA', 'A view wrote fewer values than its schema has fields')
    }
    this.#out.byte(0x7d)
    if (this.#depth === 0) {
      this.#plan = null
      this.#index = 0
      return
    }
    this.#depth--
    this.#plan = this.#outerPlans[this.#depth] ?? null
    this.#index = this.#outerIndexes[this.#depth] ?? 0
  }

  null(): void {
    const plan = this.#next()
    writeNull(plan.nulls[this.#index - 1] as NullRule, this.#out, plan.names[this.#index - 1])
  }

  boolean(value: boolean): void {
    this.#next()
    this.#out.bytes(value ? trueBytes : falseBytes)
  }

  integer(value: number): void {
    this.#next()
    this.#out.decimal(value)
  }

  int64(value: bigint): void {
    this.#next()
    this.#out.ascii(value.toString())
  }

  float(value: number): void {
    const plan = this.#next()
    this.#out.ascii(plan.types[this.#index - 1] === 'FLOAT32' ? floatJson(value) : doubleJson(value))
  }

  string(value: string): void {
    this.#next()
    writeJsonString(value, this.#out)
  }

  integerText(bytes: Uint8Array, start: number, end: number): void {
    this.#next()
    this.#out.bytes(bytes, start, end)
  }

  utf8(bytes: Uint8Array, start: number, end: number): void {
    this.#next()
    writeJsonUtf8(bytes, start, end, this.#out)
  }

  value(value: Value): void {
    const plan = this.#next()
    const at = this.#index - 1
    if (value === null) writeNull(plan.nulls[at] as NullRule, this.#out, plan.names[at])
    else (plan.writers[at] as Write)(value, this.#out)
  }

  /** A plan belongs to one writer and its options, so whose memo it is shows in its plan. */
  repeated(values: RepeatedValues): void {
    const plan = this.#plan
    const index = this.#index
    if (plan === null) throw new RangeError('No struct was begun')
    const memo = values.memo
    const own = memo instanceof RepeatedBytes && memo.plan === plan && memo.index === index
    if (own && memo.bytes !== null) {
      this.#out.bytes(memo.bytes)
      this.#index = index + values.count
      return
    }
    const mark = this.#out.mark()
    values.writeTo(this)
    if (this.#plan !== plan || this.#index !== index + values.count) {
      throw new RangeError('Repeated values wrote another number of values than they said')
    }
    values.memo = new RepeatedBytes(plan, index, own ? Uint8Array.from(this.#out.since(mark)) : null)
  }
}

function writeNull(rule: NullRule, out: ByteWriter, field?: string): void {
  if (rule.kind === 'bytes') out.bytes(rule.bytes)
  else {
    throw new DataError(
      'CONNECT_DATA_NULL',
      'Conversion error: null value for field that is required and has no default value',
      { context: { field } },
    )
  }
}

/** JSON of a value without a schema, as `stringifyJson`. @throws DataError for what Connect has no schemaless form of */
export function writeSchemaless(value: Value, out: ByteWriter): void {
  refuseLogical(value)
  out.utf8(stringifyJson(value))
}

/** Without a schema nobody could tell a date or a decimal from a number when reading it. */
function refuseLogical(value: Value): void {
  if (value === null || typeof value !== 'object') return
  if (value instanceof Decimal || value instanceof Date) {
    const message = `Java class ${javaClass(value)} does not have corresponding schema type.`
    throw new DataError('CONNECT_DATA_TYPE', message)
  }
  if (Array.isArray(value)) for (const item of value as readonly Value[]) refuseLogical(item)
  else if (value instanceof Map) {
    for (const [key, item] of value as ReadonlyMap<Value, Value>) {
      refuseLogical(key)
      refuseLogical(item)
    }
  } else if (isStruct(value)) for (const key in value) refuseLogical(value[key] ?? null)
}

const integerBounds = { INT8: 0x7f, INT16: 0x7fff, INT32: 0x7fffffff } as const

function integerWriter(type: keyof typeof integerBounds): Write {
  const max = integerBounds[type]
  return (value, out) => {
    if (typeof value !== 'number' || !Number.isInteger(value)) throw invalidType(type, value)
    if (value > max || value < -max - 1) {
      throw new DataError('CONNECT_DATA_RANGE', `Value is out of range for ${type}`)
    }
    out.ascii(String(value))
  }
}

const writeInt64: Write = (value, out) => {
  if (typeof value !== 'bigint' && !(typeof value === 'number' && Number.isSafeInteger(value))) {
    throw invalidType('INT64', value)
  }
  if (typeof value === 'bigint' && BigInt.asIntN(64, value) !== value) {
    throw new DataError('CONNECT_DATA_RANGE', 'Value is out of range for INT64')
  }
  out.ascii(value.toString())
}

const writeBoolean: Write = (value, out) => {
  if (typeof value !== 'boolean') throw invalidType('BOOLEAN', value)
  out.bytes(value ? trueBytes : falseBytes)
}

const writeDate: Write = (value, out) => {
  // Days that no `Date` reaches; see the table of worker/api/data.ts.
  const isFar = typeof value === 'bigint' && BigInt.asIntN(32, value) === value
  out.ascii(isFar ? value.toString() : String(dateOf(value) / dayMs))
}

const writeIsoDate: Write = (value, out) => {
  const [day = ''] = new Date(dateOf(value)).toISOString().split('T')
  out.ascii(`"${day}"`)
}

/** In ms since 1970. */
function dateOf(value: Value): number {
  const ms = dateMs(value, 'Date')
  if (ms % dayMs === 0) return ms
  throw new DataError(
    'CONNECT_DATA_TYPE',
    'Kafka Connect Date type should not have any time fields set to non-zero values.',
  )
}

const writeTime: Write = (value, out) => {
  const ms = dateMs(value, 'Time')
  // Connect admits 24:00:00, the end of the day.
  if (ms < 0 || ms > dayMs) {
    throw new DataError(
      'CONNECT_DATA_TYPE',
      'Kafka Connect Time type should not have any date fields set to non-zero values.',
    )
  }
  out.ascii(String(ms))
}

function dateMs(value: Value, type: string): number {
  if (!(value instanceof Date) || Number.isNaN(value.getTime())) {
    throw new DataError('CONNECT_DATA_TYPE', `Invalid type for ${type}, expected Date but was ${javaClass(value)}`)
  }
  return value.getTime()
}

function asDouble(value: Value, type: string): number {
  if (typeof value === 'number') return value
  if (value instanceof Float64) return value.value
  throw invalidType(type, value)
}

function asMap(value: Value): ReadonlyMap<Value, Value> {
  if (value instanceof Map) return value as ReadonlyMap<Value, Value>
  throw invalidType('MAP', value)
}

function stringKey(key: Value): string {
  if (typeof key !== 'string') throw invalidType('STRING', key)
  return key
}

function writeMembers(
  map: ReadonlyMap<Value, Value>,
  open: string,
  close: string,
  out: ByteWriter,
  write: (key: Value, item: Value) => void,
): void {
  out.ascii(open)
  let first = true
  for (const [key, item] of map) {
    if (!first) out.byte(0x2c)
    first = false
    write(key, item)
  }
  out.ascii(close)
}

function invalidType(type: string, value: Value): DataError {
  return new DataError('CONNECT_DATA_TYPE', `Invalid type for ${type}: ${javaClass(value)}`)
}
