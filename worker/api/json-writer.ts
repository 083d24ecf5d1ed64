import { GrowingByteWriter } from './byte-writer.ts'
import type { ByteWriter } from './converter.ts'
import { Decimal, LogicalName, type Schema, StructView, type Value } from './data.ts'
import { DataError } from './errors.ts'
import { inHashOrder } from './java-hash.ts'
import { bigDecimalText, doubleJson, floatJson, quoteJson } from './json.ts'
import { type NullRule, type StructPlan, type Write, writeNull } from './json-plan.ts'
import { writeBase64, writeJsonString } from './json-text.ts'
import {
  asDouble,
  asMap,
  dateMs,
  integerWriter,
  invalidType,
  stringKey,
  writeBoolean,
  writeDate,
  writeInt64,
  writeIsoDate,
  writeMembers,
  writeSchemaless,
  writeTime,
} from './json-values.ts'
import { JsonViewWriter } from './json-view-writer.ts'
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

const nullBytes = Buffer.from('null')

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
  readonly #views: JsonViewWriter

  constructor(options: JsonWriteOptions) {
    this.#options = options
    this.#views = new JsonViewWriter((schema) => this.#plan(schema))
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
