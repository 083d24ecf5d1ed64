import { type ConfigOf, defineConfig, distinctList, nonEmptyString } from '../worker/api/config.ts'
import { Decimal, type Field, Float64, type Schema, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { bigDecimalText, parseDecimal } from '../worker/api/json.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct, javaClass } from '../worker/api/values.ts'
import {
  fieldValue,
  keyAndValue,
  member,
  type RecordPart,
  replaceNullOption,
  requireMap,
  requireStruct,
  SchemaCache,
  StructCopier,
  setMember,
} from './record-part.ts'

const config = defineConfig({
  fields: {
    type: 'LIST',
    importance: 'HIGH',
    valid: distinctList({ allowEmpty: false }),
    doc: 'Names of fields to mask.',
  },
  replacement: {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    valid: nonEmptyString,
    doc: "Custom value replacement, that will be applied to all 'fields' values (numeric or non-empty string values only).",
  },
  'replace.null.with.default': replaceNullOption,
})

const purpose = 'mask fields'

interface Plan {
  readonly copier: StructCopier
  /** Those to mask that the schema has. */
  readonly fields: readonly Field[]
}

/** Puts a valid but meaningless value in place of sensitive ones. */
class MaskField implements Transformation<ConfigOf<typeof config>> {
  readonly #part: RecordPart
  #fields: ReadonlySet<string> = new Set()
  #replacement: string | null = null
  #replaceNull = true
  #plans = new SchemaCache<Plan>((schema) => this.#plan(schema))

  constructor(part: RecordPart) {
    this.#part = part
  }

  configure(options: ConfigOf<typeof config>): void {
    this.#fields = new Set(options.fields)
    this.#replacement = options.replacement
    this.#replaceNull = options['replace.null.with.default']
    this.#plans = new SchemaCache((schema) => this.#plan(schema))
  }

  #plan(schema: Schema): Plan {
    const fields = schema.fields.filter((field) => this.#fields.has(field.name))
    return { copier: new StructCopier(schema, this.#replaceNull), fields }
  }

  apply<R extends ConnectRecord>(record: R): R {
    const schema = this.#part.schema(record)
    const value = this.#part.value(record)
    if (schema === null) {
      const masked: Record<string, Value> = { ...requireMap(value, purpose) }
      for (const name of this.#fields) setMember(masked, name, this.#mask(null, member(masked, name)))
      return this.#part.replace(record, null, masked)
    }
    const struct = requireStruct(value, purpose)
    const { copier, fields } = this.#plans.get(schema)
    const masked = copier.copy(struct)
    for (const field of fields) {
      setMember(masked, field.name, this.#mask(field.schema, fieldValue(struct, field, this.#replaceNull)))
    }
    return this.#part.replace(record, schema, masked)
  }

  #mask(schema: Schema | null, value: Value): Value {
    if (value === null) return null
    return this.#replacement === null ? zero(schema, value) : replace(schema, value, this.#replacement)
  }
}

function zero(schema: Schema | null, value: Exclude<Value, null>): Value {
  switch (typeof value) {
    case 'string':
      return ''
    case 'boolean':
      return false
    case 'number':
      // Without a schema a double stays one (I6).
      return schema === null && !Number.isInteger(value) ? new Float64(0) : 0
    case 'bigint':
      return 0n
    default:
  }
  if (value instanceof Float64) return new Float64(0)
  // The scale of the schema: a zero of another scale could not be written.
  if (value instanceof Decimal) return new Decimal(0n, value.scale)
  if (value instanceof Date) return new Date(0)
  if (Array.isArray(value)) return []
  if (value instanceof Map) return new Map()
  if (schema === null && isStruct(value)) return {}
  // Bytes, and structs: an empty struct would not fit its schema.
  throw new DataError('CONNECT_TRANSFORM_MASK', `Cannot mask value of type: ${javaClass(value)}`)
}

function replace(schema: Schema | null, value: Exclude<Value, null>, replacement: string): Value {
  if (typeof value === 'string') return replacement
  if (typeof value === 'number' || typeof value === 'bigint' || value instanceof Float64) {
    return toNumber(schema, value, replacement)
  }
  if (value instanceof Decimal) {
    const parsed = attempt(replacement, () => parseDecimal(replacement))
    return parsed.scale <= value.scale
      ? new Decimal(parsed.unscaled * 10n ** BigInt(value.scale - parsed.scale), value.scale)
      : parsed
  }
  throw new DataError(
    'CONNECT_TRANSFORM_MASK',
    `Cannot mask value of type ${javaClass(value)} with custom replacement.`,
  )
}

const integerBits: Readonly<Partial<Record<Schema['type'], number>>> = { INT8: 8, INT16: 16, INT32: 32, INT64: 64 }

/** As Java converts the text: a decimal, of which an integer keeps the digits before the point and its lowest bits. */
function toNumber(schema: Schema | null, value: number | bigint | Float64, replacement: string): Value {
  const floating =
    schema === null
      ? value instanceof Float64 || (typeof value === 'number' && !Number.isInteger(value))
      : schema.type.startsWith('FLOAT')
  const decimal = attempt(replacement, () => parseDecimal(replacement))
  if (floating) {
    const double = Number(bigDecimalText(decimal))
    if (value instanceof Float64 || (schema === null && Number.isInteger(double))) return new Float64(double)
    return schema?.type === 'FLOAT32' ? Math.fround(double) : double
  }
  const { unscaled, scale } = decimal
  const whole = scale > 0 ? unscaled / 10n ** BigInt(scale) : unscaled * 10n ** BigInt(-scale)
  const integer = BigInt.asIntN(integerBits[schema?.type ?? 'INT64'] ?? 64, whole)
  return typeof value === 'bigint' ? integer : Number(integer)
}

function attempt<T>(replacement: string, convert: () => T): T {
  try {
    return convert()
  } catch (cause) {
    throw new DataError(
      'CONNECT_TRANSFORM_MASK',
      `Unable to convert ${replacement} (class java.lang.String) to number`,
      { cause },
    )
  }
}

export const maskField = keyAndValue({
  name: 'org.apache.kafka.connect.transforms.MaskField',
  config,
  create: (part) => new MaskField(part),
})
