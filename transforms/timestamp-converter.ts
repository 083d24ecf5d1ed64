import { type ConfigOf, defineConfig, oneOf } from '../worker/api/config.ts'
import { copySchema, LogicalName, makeSchema, type Schema, Schemas, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct, javaClass } from '../worker/api/values.ts'
import { DateFormat } from './date-format.ts'
import {
  keyAndValue,
  member,
  type RecordPart,
  replaceNullOption,
  requireMap,
  requireStruct,
  SchemaCache,
  StructCopier,
  setMember,
  structLike,
} from './record-part.ts'

const kinds = ['string', 'unix', 'Date', 'Time', 'Timestamp'] as const
type Kind = (typeof kinds)[number]

const config = defineConfig(
  {
    field: {
      type: 'STRING',
      default: '',
      importance: 'HIGH',
      doc: 'The field containing the timestamp, or empty if the entire value is a timestamp',
    },
    'target.type': {
      type: 'STRING',
      importance: 'HIGH',
      valid: oneOf(...kinds),
      doc: 'The desired timestamp representation: string, unix, Date, Time, or Timestamp',
    },
    format: {
      type: 'STRING',
      default: '',
      importance: 'MEDIUM',
      doc: 'A SimpleDateFormat-compatible format for the timestamp. Used to generate the output when type=string or used to parse the input if the input is a string.',
    },
    'unix.precision': {
      type: 'STRING',
      default: 'milliseconds',
      importance: 'LOW',
      valid: oneOf('nanoseconds', 'microseconds', 'milliseconds', 'seconds'),
      doc: 'The desired Unix precision for the timestamp: seconds, milliseconds, microseconds, or nanoseconds. Used to generate the output when type=unix or used to parse the input if the input is a Long.Note: This SMT will cause precision loss during conversions from, and to, values with sub-millisecond components.',
    },
    'replace.null.with.default': replaceNullOption,
  },
  {
    validate(options) {
      const pattern = options.format
      if (pattern.trim() === '') {
        if (options['target.type'] !== 'string') return []
        const message = 'TimestampConverter requires format option to be specified when using string timestamps'
        return [{ option: 'format', message }]
      }
      try {
        new DateFormat(pattern)
        return []
      } catch (error) {
        const detail = error instanceof Error ? error.message : String(error)
        // Connect mixes up value and message; those who compare answers see the same.
        const message = `Invalid value java.lang.IllegalArgumentException: ${detail} for configuration TimestampConverter requires a SimpleDateFormat-compatible pattern for string timestamps: ${pattern}`
        return [{ option: 'format', message }]
      }
    },
  },
)

const purpose = 'converting timestamp formats'
const dayMs = 86_400_000
/** Beyond it a `Date` has no value, in ms. */
const maxTimeMs = 8_640_000_000_000_000n

/** Units of `unix.precision`: how many make one ms, or how many ms make one. */
const unixUnits: Readonly<Record<string, { readonly perMs: bigint; readonly ms: bigint }>> = {
  nanoseconds: { perMs: 1_000_000n, ms: 1n },
  microseconds: { perMs: 1000n, ms: 1n },
  milliseconds: { perMs: 1n, ms: 1n },
  seconds: { perMs: 1n, ms: 1000n },
}

const targetSchemas: Readonly<Record<Kind, Schema>> = {
  string: Schemas.string,
  unix: Schemas.int64,
  Date: makeSchema({ type: 'INT32', name: LogicalName.date, version: 1 }),
  Time: makeSchema({ type: 'INT32', name: LogicalName.time, version: 1 }),
  Timestamp: makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1 }),
}
const optionalSchemas = Object.fromEntries(
  kinds.map((kind) => [kind, copySchema(targetSchemas[kind], { optional: true })]),
) as Record<Kind, Schema>

const isKind = (text: string): text is Kind => kinds.some((kind) => kind === text)

/** Turns a time, the whole key or value or one field of it, into another representation. */
class TimestampConverter implements Transformation<ConfigOf<typeof config>> {
  readonly #part: RecordPart
  #field = ''
  #target: Kind = 'Timestamp'
  #pattern = ''
  #format: DateFormat | null = null
  #unit = { perMs: 1n, ms: 1n }
  #schemas = new SchemaCache<Schema>((schema) => this.#converted(schema))
  #copiers = new SchemaCache((schema) => new StructCopier(schema, true))

  constructor(part: RecordPart) {
    this.#part = part
  }

  configure(options: ConfigOf<typeof config>): void {
    this.#field = options.field
    this.#target = isKind(options['target.type']) ? options['target.type'] : 'Timestamp'
    this.#pattern = options.format
    this.#format = options.format.trim() === '' ? null : new DateFormat(options.format)
    this.#unit = unixUnits[options['unix.precision']] ?? this.#unit
    this.#schemas = new SchemaCache((schema) => this.#converted(schema))
    this.#copiers = new SchemaCache((schema) => new StructCopier(schema, options['replace.null.with.default']))
  }

  apply<R extends ConnectRecord>(record: R): R {
    const schema = this.#part.schema(record)
    const value = this.#part.value(record)
    if (schema === null) return this.#part.replace(record, null, this.#convertSchemaless(value))
    const converted =
      this.#field === ''
        ? this.#convert(value, kindOf(schema))
        : this.#convertStruct(schema, value, this.#copiers.get(schema))
    return this.#part.replace(record, this.#schemas.get(schema), converted)
  }

  #convertSchemaless(value: Value): Value {
    if (value === null) return null
    if (this.#field === '') return this.#convert(value, inferredKind(value))
    const result: Record<string, Value> = { ...requireMap(value, purpose) }
    const item = member(result, this.#field)
    setMember(result, this.#field, item === null ? null : this.#convert(item, inferredKind(item)))
    return result
  }

  #convertStruct(schema: Schema, value: Value, copier: StructCopier): Value {
    if (value === null) return null
    const result = copier.copy(requireStruct(value, purpose))
    const field = schema.fieldsByName.get(this.#field)
    if (field !== undefined) {
      setMember(result, field.name, this.#convert(member(result, field.name), kindOf(field.schema)))
    }
    return result
  }

  #targetSchema(optional: boolean): Schema {
    return optional ? optionalSchemas[this.#target] : targetSchemas[this.#target]
  }

  #converted(schema: Schema): Schema {
    if (this.#field === '') return this.#targetSchema(schema.optional)
    if (schema.type !== 'STRUCT') throw new DataError('CONNECT_DATA_SCHEMA', 'Cannot list fields on non-struct type')
    const fields = schema.fields.map((field) => ({
      name: field.name,
      schema: field.name === this.#field ? this.#targetSchema(field.schema.optional) : field.schema,
    }))
    const defaultValue = isStruct(schema.defaultValue)
      ? this.#convertStruct(schema, schema.defaultValue, new StructCopier(schema, true))
      : null
    return copySchema(structLike(schema, fields), { optional: schema.optional, defaultValue })
  }

  #convert(value: Value, kind: Kind): Value {
    if (value === null) return null
    const ms = this.#milliseconds(value, kind)
    switch (this.#target) {
      case 'string':
        return (this.#format as DateFormat).format(ms)
      case 'unix':
        return this.#toUnix(ms)
      case 'Date':
        return new Date(Math.floor(ms / dayMs) * dayMs)
      case 'Time':
        return new Date(((ms % dayMs) + dayMs) % dayMs)
      default:
        return new Date(ms)
    }
  }

  #toUnix(ms: number): bigint {
    const unix = (BigInt(ms) * this.#unit.perMs) / this.#unit.ms
    if (BigInt.asIntN(64, unix) === unix) return unix
    // Connect gives the greatest long there is, which is another time (I6).
    throw new DataError('CONNECT_TRANSFORM_TIMESTAMP', `The time ${ms} ms has no unix timestamp of this precision`)
  }

  #milliseconds(value: Exclude<Value, null>, kind: Kind): number {
    if (kind === 'string') return this.#parsed(value)
    if (kind === 'unix') return this.#fromUnix(value)
    if (!(value instanceof Date)) throw unexpected(`Expected ${kind} to be a java.util.Date, but found`, value)
    return value.getTime()
  }

  #parsed(value: Exclude<Value, null>): number {
    if (typeof value !== 'string') throw unexpected('Expected string timestamp to be a String, but found', value)
    const ms = this.#format?.parse(value) ?? null
    if (ms !== null && !Number.isNaN(ms)) return ms
    throw new DataError(
      'CONNECT_TRANSFORM_TIMESTAMP',
      `Could not parse timestamp: value (${value}) does not match pattern (${this.#pattern})`,
    )
  }

  /** What is finer than a millisecond is lost, towards zero. */
  #fromUnix(value: Exclude<Value, null>): number {
    const isLong = typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value))
    if (!isLong) throw unexpected('Expected Unix timestamp to be a Long, but found', value)
    const ms = (BigInt(value) * this.#unit.ms) / this.#unit.perMs
    if (ms >= -maxTimeMs && ms <= maxTimeMs) return Number(ms)
    // A Date would silently become invalid (I6).
    throw new DataError('CONNECT_TRANSFORM_TIMESTAMP', `Unix timestamp ${value} is beyond the year 275760`)
  }
}

function unexpected(text: string, value: Value): DataError {
  return new DataError('CONNECT_TRANSFORM_TIMESTAMP', `${text} ${javaClass(value)}`)
}

function kindOf(schema: Schema): Kind {
  switch (schema.name) {
    case LogicalName.timestamp:
      return 'Timestamp'
    case LogicalName.date:
      return 'Date'
    case LogicalName.time:
      return 'Time'
    default:
  }
  if (schema.type === 'STRING') return 'string'
  // If not otherwise specified, longs are treated as Unix time.
  if (schema.type === 'INT64') return 'unix'
  const text = schema.name === null ? schema.type : `${schema.name}:${schema.type}`
  throw new DataError(
    'CONNECT_TRANSFORM_TIMESTAMP',
    `Schema Schema{${text}} does not correspond to a known timestamp type format`,
  )
}

function inferredKind(value: Exclude<Value, null>): Kind {
  if (value instanceof Date) return 'Timestamp'
  if (typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value))) return 'unix'
  if (typeof value === 'string') return 'string'
  throw new DataError(
    'CONNECT_TRANSFORM_TIMESTAMP',
    `TimestampConverter does not support ${javaClass(value)} objects as timestamps`,
  )
}

export const timestampConverter = keyAndValue({
  name: 'org.apache.kafka.connect.transforms.TimestampConverter',
  config,
  create: (part) => new TimestampConverter(part),
})
