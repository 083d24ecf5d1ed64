import { Decimal, Float64, type Schema, type SchemaType, type Struct, type Value } from '../../../worker/api/data.ts'
import { javaFloat } from '../../../worker/api/json.ts'

/** A value with its Java type, as `ConnectData.java` reads and writes it; 64-bit numbers are text or bits. */
export type WireValue = null | readonly [type: string, content: WireContent, more?: number | WireSchema]
type WireContent = string | number | boolean | readonly WireValue[] | readonly (readonly [WireValue, WireValue])[]

export interface WireSchema {
  readonly type: SchemaType
  readonly optional: boolean
  readonly name: string | null
  readonly version: number | null
  readonly doc: string | null
  readonly parameters: readonly (readonly [string, string])[]
  readonly default: WireValue
  readonly keys: WireSchema | null
  readonly values: WireSchema | null
  readonly fields: readonly (readonly [string, WireSchema])[]
}

/** A schema for the harness, or for comparison with one of its answers. */
export function schemaToWire(schema: Schema): WireSchema
export function schemaToWire(schema: Schema | null): WireSchema | null
export function schemaToWire(schema: Schema | null): WireSchema | null {
  if (schema === null) return null
  return {
    type: schema.type,
    optional: schema.optional,
    name: schema.name,
    version: schema.version,
    doc: schema.doc,
    parameters: schema.parameters === null ? [] : [...schema.parameters],
    default: valueToWire(schema, schema.defaultValue),
    keys: schemaToWire(schema.keySchema),
    values: schemaToWire(schema.valueSchema),
    fields: schema.fields.map((f) => [f.name, schemaToWire(f.schema)] as const),
  }
}

const integerTags: Partial<Record<SchemaType, readonly [tag: string, limit: number]>> = {
  INT8: ['i8', 2 ** 7],
  INT16: ['i16', 2 ** 15],
  INT32: ['i32', 2 ** 31],
}

/** A value for the harness. Without a schema integers are Longs, as in our data model. */
export function valueToWire(schema: Schema | null, value: Value): WireValue {
  switch (typeof value) {
    case 'string':
      return ['str', value]
    case 'boolean':
      return ['bool', value]
    case 'bigint':
      return ['i64', value.toString()]
    case 'number':
      return numberToWire(schema, value)
    default:
  }
  if (value === null) return null
  if (value instanceof Float64) return ['f64', doubleBits(value.value)]
  if (value instanceof Decimal) return ['dec', value.unscaled.toString(), value.scale]
  if (value instanceof Date) return ['date', String(value.getTime())]
  if (value instanceof Uint8Array) return ['bytes', Buffer.from(value).toString('base64')]
  if (Array.isArray(value)) {
    return ['list', (value as readonly Value[]).map((v) => valueToWire(schema?.valueSchema ?? null, v))]
  }
  if (value instanceof Map) {
    const keys = schema?.keySchema ?? null
    const values = schema?.valueSchema ?? null
    const entries = [...(value as ReadonlyMap<Value, Value>)]
    return ['map', entries.map(([k, v]) => [valueToWire(keys, k), valueToWire(values, v)] as const)]
  }
  const struct = value as Struct
  if (schema?.type !== 'STRUCT') {
    return ['map', Object.entries(struct).map(([k, v]) => [['str', k], valueToWire(null, v)] as const)]
  }
  return [
    'struct',
    schema.fields.map((f) => valueToWire(f.schema, Object.hasOwn(struct, f.name) ? (struct[f.name] ?? null) : null)),
  ]
}

function numberToWire(schema: Schema | null, value: number): WireValue {
  if (schema?.type === 'FLOAT32') return ['f32', floatBits(value)]
  if (schema?.type === 'FLOAT64' || !Number.isInteger(value)) return ['f64', doubleBits(value)]
  // Java has no integer of that size; only a test that gives a wrong value comes here.
  if (!Number.isSafeInteger(value)) return ['f64', doubleBits(value)]
  const [tag, limit] = (schema === null ? undefined : integerTags[schema.type]) ?? ['i64', 0]
  return value >= -limit && value < limit ? [tag, value] : ['i64', BigInt(value).toString()]
}

const bits = new DataView(new ArrayBuffer(8))

function doubleBits(value: number): string {
  bits.setFloat64(0, value)
  return bits.getBigUint64(0).toString(16)
}

function floatBits(value: number): string {
  bits.setFloat32(0, value)
  return bits.getUint32(0).toString(16)
}

/** The double of 64 bits in hexadecimal. */
export function doubleOf(hex: string): number {
  bits.setBigUint64(0, BigInt(`0x${hex}`))
  return bits.getFloat64(0)
}

function floatOf(hex: string): number {
  bits.setUint32(0, Number.parseInt(hex, 16))
  return bits.getFloat32(0)
}

const integerTypes = new Set(['i8', 'i16', 'i32'])

/**
 * A form in which equal data is equal text: the order of a map's entries counts for nothing, as in Java.
 * @param widths whether the width of a number without a schema counts; our data model has only Long and Double there
 */
export function canonical(value: WireValue, widths: 'count' | 'ignore' = 'count'): WireValue {
  if (value === null) return null
  const [type, content] = value
  if (type === 'list' || type === 'struct') {
    return [type, (content as readonly WireValue[]).map((item) => canonical(item, widths))]
  }
  if (type === 'map') {
    const entries = (content as readonly (readonly [WireValue, WireValue])[]).map(
      ([k, v]) => [canonical(k, widths), canonical(v, widths)] as const,
    )
    const text = new Map(entries.map((entry) => [entry, JSON.stringify(entry[0])]))
    return [type, [...entries].sort((a, b) => ((text.get(a) ?? '') < (text.get(b) ?? '') ? -1 : 1))]
  }
  if (widths === 'count') return value
  if (integerTypes.has(type)) return ['i64', String(content)]
  if (type !== 'f32' && type !== 'f64') return value
  const number = type === 'f32' ? floatOf(String(content)) : doubleOf(String(content))
  // Of a fraction the double that has the same text as the float.
  const isFloat = Math.fround(number) === number && !Number.isInteger(number)
  return ['f64', doubleBits(isFloat ? Number(javaFloat(number)) : number)]
}
