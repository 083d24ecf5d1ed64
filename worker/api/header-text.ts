import type { SchemaAndValue } from './converter.ts'
import {
  Decimal,
  decimalSchema,
  Float64,
  LogicalName,
  makeSchema,
  type Schema,
  Schemas,
  type Struct,
  schemaEquals,
  type Value,
} from './data.ts'
import { bigDecimalText, javaDouble, javaFloat, parseDecimal } from './json.ts'

/**
 * The value that a header's text stands for, with the narrowest schema, as Connect's `Values.parseString`; text that
 * is nothing in particular stays a string as it is. Where Connect would drop or change a part of the text (`1,2` read
 * as 1, `2024-13-01` as a day of 2025, blanks at the end of a quoted string), it stays a string (I6).
 */
export function parseHeaderText(text: string): SchemaAndValue {
  if (text === '') return { schema: Schemas.string, value: '' }
  return new HeaderTextParser(text).parse() ?? { schema: Schemas.string, value: text }
}

const timestampPattern = /^(?:\d{4}|-\d{6})-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/
const timePattern = /^\d{2}:\d{2}:\d{2}\.\d{3}Z$/
const datePattern = /^(?:\d{4}|-\d{6})-\d{2}-\d{2}$/
/** A time or timestamp holds colons, which otherwise end a word. */
const withColons = /^(?:(?:\d{4}|-\d{6})-\d{2}-\d{2}T)?\d{2}:\d{2}:\d{2}\.\d{3}Z/
const numberPattern = /^(?:[+-]?\d+(?:\.\d*)?|[+-]\.\d+)(?:[eE][+-]?\d+)?$/

const dateSchema = makeSchema({ type: 'INT32', name: LogicalName.date, version: 1 })
const timeSchema = makeSchema({ type: 'INT32', name: LogicalName.time, version: 1 })
const timestampSchema = makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1 })

function parseTemporal(text: string): SchemaAndValue | null {
  if (timestampPattern.test(text)) return temporal(timestampSchema, text, text)
  if (timePattern.test(text)) return temporal(timeSchema, text, `1970-01-01T${text}`)
  return datePattern.test(text) ? temporal(dateSchema, text, `${text}T00:00:00.000Z`) : null
}

/** JavaScript takes the 31st of February for the 3rd of March; only a text that is written back is a date. */
function temporal(schema: Schema, text: string, iso: string): SchemaAndValue | null {
  const date = isoDate(iso)
  return date !== null && date.toISOString().includes(text) ? { schema, value: date } : null
}

function isoDate(iso: string): Date | null {
  const date = new Date(iso)
  return Number.isNaN(date.getTime()) ? null : date
}

function parseNumber(text: string): Item | null {
  if (!numberPattern.test(text)) return null
  let decimal: Decimal
  try {
    decimal = parseDecimal(text)
  } catch {
    return null
  }
  return integral(decimal) ?? fractional(Number(text), decimal)
}

/** An integer that fits, whatever its notation (`1.0`, `1e3`), takes the narrowest type. */
function integral({ unscaled, scale }: Decimal): SchemaAndValue | null {
  // More zeros than an INT64 has digits.
  if (scale < -19 && unscaled !== 0n) return null
  const power = 10n ** BigInt(Math.abs(scale))
  if (scale > 0 && unscaled % power !== 0n) return null
  const value = scale > 0 ? unscaled / power : unscaled * power
  if (BigInt.asIntN(8, value) === value) return { schema: Schemas.int8, value: Number(value) }
  if (BigInt.asIntN(16, value) === value) return { schema: Schemas.int16, value: Number(value) }
  if (BigInt.asIntN(32, value) === value) return { schema: Schemas.int32, value: Number(value) }
  return BigInt.asIntN(64, value) === value ? { schema: Schemas.int64, value } : null
}

/** An integer that is too large is a Decimal when all its digits are written out, and a float otherwise. */
function fractional(double: number, decimal: Decimal): Item {
  const float = Math.fround(double)
  if (decimal.scale !== 0 && Number.isFinite(float)) {
    return { schema: Schemas.float32, value: float, untyped: untypedFloat(float) }
  }
  if (decimal.scale !== 0 && Number.isFinite(double)) {
    return { schema: Schemas.float64, value: double, untyped: untypedDouble(double) }
  }
  return { schema: decimalSchema(decimal.scale), value: decimal }
}

/** A whole number stays exactly that; a fraction is the double with the same text. */
const untypedFloat = (float: number): Value => untypedDouble(Number.isInteger(float) ? float : Number(javaFloat(float)))

const untypedDouble = (double: number): Value => (Number.isInteger(double) ? new Float64(double) : double)

/** Something parsed, perhaps inside something else. */
interface Item extends SchemaAndValue {
  /** The value where no schema tells its type, e.g. beside a string; absent when it is the same. */
  readonly untyped?: Value
}

const untypedOf = (item: Item): Value => (item.untyped === undefined ? item.value : item.untyped)

/** Deepest nesting; beyond it the text is just a string. */
const maxDepth = 100

const nothing: SchemaAndValue = { schema: null, value: null }

/** Scalars, arrays and maps; null as the result of a method means that the whole text is no such thing. */
class HeaderTextParser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  parse(): SchemaAndValue | null {
    this.#blanks()
    // At the top a quoted text is a string with its quotes.
    if (this.#text[this.#at] === '"') return null
    const parsed = this.#value(0)
    this.#blanks()
    if (parsed === null || this.#at < this.#text.length) return null
    return { schema: parsed.schema, value: parsed.value }
  }

  #blanks(): void {
    while (this.#text.charCodeAt(this.#at) <= 0x20) this.#at++
  }

  #takes(char: string): boolean {
    this.#blanks()
    if (this.#text[this.#at] !== char) return false
    this.#at++
    return true
  }

  #value(depth: number): Item | null {
    if (depth > maxDepth) return null
    this.#blanks()
    const char = this.#text[this.#at]
    if (char === '[') return this.#array(depth)
    if (char === '{') return this.#map(depth)
    return char === '"' ? this.#quoted() : this.#word()
  }

  #word(): Item | null {
    const start = this.#at
    const timeText = withColons.exec(this.#text.slice(start, start + 27))
    if (timeText !== null) this.#at = start + timeText[0].length
    else while (this.#at < this.#text.length && !',:[]{}"'.includes(this.#text[this.#at] as string)) this.#at++
    const word = javaTrimmed(this.#text.slice(start, this.#at))
    if (word === 'null') return nothing
    if (word === 'true' || word === 'false') return { schema: Schemas.boolean, value: word === 'true' }
    return parseTemporal(word) ?? parseNumber(word)
  }

  #quoted(): SchemaAndValue | null {
    let text = ''
    for (let i = this.#at + 1; i < this.#text.length; i++) {
      const char = this.#text[i] as string
      if (char === '"') {
        this.#at = i + 1
        return parseTemporal(text) ?? { schema: Schemas.string, value: text }
      }
      const next = this.#text[i + 1]
      if (char === '\\' && (next === '"' || next === '\\')) {
        text += next
        i++
      } else text += char
    }
    return null
  }

  #array(depth: number): Item | null {
    this.#at++
    const items: Item[] = []
    // A comma may stand behind the last element.
    while (!this.#takes(']')) {
      const item = this.#value(depth + 1)
      if (item === null) return null
      items.push(item)
      if (!this.#takes(',') && !this.#isNext(']')) return null
    }
    const values = aligned(items)
    if (values === null) return null
    const schema = makeSchema({ type: 'ARRAY', valueSchema: values.common })
    return { schema, value: values.values, untyped: values.untyped }
  }

  #isNext(char: string): boolean {
    this.#blanks()
    return this.#text[this.#at] === char
  }

  #map(depth: number): Item | null {
    this.#at++
    const keys: Item[] = []
    const items: Item[] = []
    while (!this.#takes('}')) {
      const key = this.#value(depth + 1)
      if (key === null || key.value === null || !this.#takes(':')) return null
      const item = this.#value(depth + 1)
      if (item === null) return null
      keys.push(key)
      items.push(item)
      // Connect does without the comma.
      this.#takes(',')
    }
    return mapOf(keys, items)
  }
}

/** What Java's `trim` leaves: control characters count as blanks, the blanks of Unicode do not. */
function javaTrimmed(text: string): string {
  let end = text.length
  while (end > 0 && text.charCodeAt(end - 1) <= 0x20) end--
  return text.slice(0, end)
}

/** Keys of several types leave a map without schemas of its keys and values, as in Connect; values only their own. */
function mapOf(keys: readonly Item[], items: readonly Item[]): Item | null {
  const alignedKeys = aligned(keys)
  const keySchema = alignedKeys?.common ?? null
  const alignedItems = keySchema === null ? unaligned(items) : aligned(items)
  if (alignedKeys === null || alignedItems === null) return null
  const schema = makeSchema({ type: 'MAP', keySchema, valueSchema: alignedItems.common })
  const value = new Map(alignedKeys.values.map((key, i) => [key, alignedItems.values[i] ?? null]))
  const untyped = new Map(alignedKeys.untyped.map((key, i) => [key, alignedItems.untyped[i] ?? null]))
  return { schema, value, untyped }
}

interface Aligned {
  /** The schema that holds all values; null when they are of several types, or all null. */
  readonly common: Schema | null
  readonly values: readonly Value[]
  readonly untyped: readonly Value[]
}

function unaligned(items: readonly Item[]): Aligned {
  const untyped = items.map(untypedOf)
  return { common: null, values: untyped, untyped }
}

/**
 * The values in the type that holds all of them. Null when one has no form of that type: a null, since Connect has no
 * optional type here, or a day beside a number.
 */
function aligned(items: readonly Item[]): Aligned | null {
  let common: Schema | null = null
  for (const { schema } of items) {
    if (schema === null) continue
    common = common === null ? schema : commonSchema(common, schema)
    if (common === null) break
  }
  if (common === null) return unaligned(items)
  const isLogical = common.name !== null
  if (items.some(({ schema }) => schema === null || (schema.name !== null) !== isLogical)) return null
  const values = items.map((item) => widen(item, common))
  return { common, values, untyped: items.map((item, i) => untypedWidened(item, values[i] ?? null, common)) }
}

const widths: readonly Schema['type'][] = ['INT8', 'INT16', 'INT32', 'INT64', 'FLOAT32', 'FLOAT64']

/**
 * The wider of two numbers, be they the numbers below a date or a time; otherwise the later of one type, also where it
 * is a list whose elements have another type than those of the earlier one: so does Connect.
 */
function commonSchema(earlier: Schema, later: Schema): Schema | null {
  if (earlier.type === later.type) return later
  const left = widths.indexOf(earlier.type)
  const right = widths.indexOf(later.type)
  if (left < 0 || right < 0) return null
  return left > right ? earlier : later
}

/** An INT8 beside an INT64 becomes a bigint, since that is what INT64 holds; a long beside a float becomes one. */
function widen(item: Item, schema: Schema): Value {
  const { value } = item
  if (typeof value === 'object') return schemaEquals(item.schema, schema) ? value : untypedOf(item)
  if (schema.type === 'INT64' && typeof value === 'number') return BigInt(value)
  if (schema.type === 'FLOAT32') return Math.fround(Number(value))
  return schema.type === 'FLOAT64' ? Number(value) : value
}

/** An integer that has become a float keeps its fraction without a schema, too. */
function untypedWidened(item: Item, widened: Value, schema: Schema): Value {
  if (typeof widened !== 'number') return untypedOf(item)
  if (schema.type === 'FLOAT32') return untypedFloat(widened)
  return schema.type === 'FLOAT64' ? untypedDouble(widened) : untypedOf(item)
}

const dayMs = 86_400_000

/**
 * Text of a date as in headers: below one day a time, whole days a date, anything else a timestamp; in UTC. Connect
 * writes only the time of what lies before 1970; here it keeps its day (I6).
 */
export function temporalText(date: Date): string {
  const ms = date.getTime()
  // Years beyond 9999 stand there as they are.
  const iso = date.toISOString().replace(/^\+0*/, '')
  if (ms >= 0 && ms < dayMs) return iso.slice(11)
  return ms % dayMs === 0 ? iso.slice(0, iso.indexOf('T')) : iso
}

/**
 * Text form of a value in a header, as Connect's `Values.convertToString`: `[a,b]`, `{k:v}` without blanks, strings
 * quoted only inside others.
 * @param nested whether the value stands inside an array, map or struct
 */
export function headerText(schema: Schema | null, value: Value, nested = false): string {
  switch (typeof value) {
    case 'string':
      return nested ? `"${value.replaceAll(/[\\"]/g, String.raw`\$&`)}"` : value
    case 'boolean':
    case 'bigint':
      return String(value)
    case 'number':
      if (schema?.type === 'FLOAT32') return javaFloat(value)
      return schema?.type === 'FLOAT64' || !Number.isInteger(value) ? javaDouble(value) : String(value)
    default:
  }
  if (value === null) return 'null'
  if (value instanceof Float64) return javaDouble(value.value)
  if (value instanceof Decimal) return bigDecimalText(value)
  if (value instanceof Date) return temporalText(value)
  if (value instanceof Uint8Array) {
    const base64 = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
    return nested ? `"${base64}"` : base64
  }
  if (Array.isArray(value)) {
    return `[${(value as readonly Value[]).map((v) => headerText(schema?.valueSchema ?? null, v, true)).join(',')}]`
  }
  return `{${entriesOf(schema, value as ReadonlyMap<Value, Value> | Struct).join(',')}}`
}

function entriesOf(schema: Schema | null, value: ReadonlyMap<Value, Value> | Struct): readonly string[] {
  if (value instanceof Map) {
    const { keySchema = null, valueSchema = null } = schema ?? {}
    const entries = [...(value as ReadonlyMap<Value, Value>)]
    return entries.map(([k, v]) => `${headerText(keySchema, k, true)}:${headerText(valueSchema, v, true)}`)
  }
  const struct = value as Struct
  if (schema === null || schema.fields.length === 0) {
    return Object.entries(struct).map(([k, v]) => `${headerText(null, k, true)}:${headerText(null, v, true)}`)
  }
  // A null with a default is written as that default.
  return schema.fields.map((field) => {
    const item = (Object.hasOwn(struct, field.name) ? struct[field.name] : null) ?? field.schema.defaultValue
    return `${headerText(null, field.name, true)}:${headerText(field.schema, item, true)}`
  })
}
