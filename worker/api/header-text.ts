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
  type Value,
} from './data.ts'
import { bigDecimalText, javaDouble, javaFloat, parseDecimal } from './json.ts'

/**
 * The value that a header's text stands for, with the narrowest schema, as Connect's `Values.parseString`; text that
 * is nothing in particular stays a string as it is.
 */
export function parseHeaderText(text: string): SchemaAndValue {
  const blankless = text.trim()
  if (blankless === 'null') return { schema: null, value: null }
  if (blankless === 'true') return { schema: Schemas.boolean, value: true }
  if (blankless === 'false') return { schema: Schemas.boolean, value: false }
  if (blankless.startsWith('[') || blankless.startsWith('{')) {
    const parser = new HeaderTextParser(blankless)
    const parsed = parser.parse()
    return parsed ?? { schema: Schemas.string, value: text }
  }
  return parseScalar(blankless) ?? { schema: Schemas.string, value: text }
}

const timestampPattern = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/
const timePattern = /^\d{2}:\d{2}:\d{2}\.\d{3}Z$/
const datePattern = /^\d{4}-\d{2}-\d{2}$/
const numberPattern = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/

const dateSchema = makeSchema({ type: 'INT32', name: LogicalName.date, version: 1 })
const timeSchema = makeSchema({ type: 'INT32', name: LogicalName.time, version: 1 })
const timestampSchema = makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1 })

function parseScalar(text: string): SchemaAndValue | null {
  return parseTemporal(text) ?? parseNumber(text)
}

function parseTemporal(text: string): SchemaAndValue | null {
  if (timestampPattern.test(text)) return temporal(timestampSchema, text)
  if (timePattern.test(text)) return temporal(timeSchema, `1970-01-01T${text}`)
  return datePattern.test(text) ? temporal(dateSchema, `${text}T00:00:00.000Z`) : null
}

function temporal(schema: Schema, iso: string): SchemaAndValue | null {
  const value = new Date(iso)
  return Number.isNaN(value.getTime()) ? null : { schema, value }
}

function parseNumber(text: string): SchemaAndValue | null {
  if (!numberPattern.test(text)) return null
  let decimal: Decimal
  try {
    decimal = parseDecimal(text)
  } catch {
    return null
  }
  return integral(decimal) ?? fractional(text, decimal)
}

/** An integer that fits, whatever its notation (`1.0`, `1e3`), takes the narrowest type. */
function integral(decimal: Decimal): SchemaAndValue | null {
  const { unscaled, scale } = decimal
  if (scale > 0 && unscaled % 10n ** BigInt(scale) !== 0n) return null
  if (scale < -30) return null
  const value = scale > 0 ? unscaled / 10n ** BigInt(scale) : unscaled * 10n ** BigInt(-scale)
  if (BigInt.asIntN(8, value) === value) return { schema: Schemas.int8, value: Number(value) }
  if (BigInt.asIntN(16, value) === value) return { schema: Schemas.int16, value: Number(value) }
  if (BigInt.asIntN(32, value) === value) return { schema: Schemas.int32, value: Number(value) }
  if (BigInt.asIntN(64, value) === value) return { schema: Schemas.int64, value }
  return { schema: decimalSchema(scale), value: decimal }
}

function fractional(text: string, decimal: Decimal): SchemaAndValue {
  const float = Math.fround(Number(text))
  if (Number.isFinite(float)) return { schema: Schemas.float32, value: float }
  const double = Number(text)
  if (Number.isFinite(double)) return { schema: Schemas.float64, value: double }
  return { schema: decimalSchema(decimal.scale), value: decimal }
}

/** Deepest nesting; beyond it the text is just a string. */
const maxDepth = 100

/** Arrays and maps; null as the result of a method means that the whole text is no such thing. */
class HeaderTextParser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  parse(): SchemaAndValue | null {
    const parsed = this.#value(0)
    this.#blanks()
    return this.#at === this.#text.length ? parsed : null
  }

  #blanks(): void {
    while (/\s/.test(this.#text[this.#at] ?? '')) this.#at++
  }

  #takes(char: string): boolean {
    this.#blanks()
    if (this.#text[this.#at] !== char) return false
    this.#at++
    return true
  }

  #value(depth: number): SchemaAndValue | null {
    if (depth > maxDepth) return null
    this.#blanks()
    const char = this.#text[this.#at]
    if (char === '[') return this.#array(depth)
    if (char === '{') return this.#map(depth)
    if (char === '"') return this.#quoted()
    return this.#word()
  }

  #word(): SchemaAndValue | null {
    const start = this.#at
    while (this.#at < this.#text.length && !',:[]{}"'.includes(this.#text[this.#at] as string)) this.#at++
    // A time or timestamp holds colons.
    const rest = this.#text.slice(start)
    const temporalText = /^(?:\d{4}-\d{2}-\d{2}T)?\d{2}:\d{2}:\d{2}\.\d{3}Z/.exec(rest)
    if (temporalText !== null) this.#at = start + temporalText[0].length
    const word = this.#text.slice(start, this.#at).trim()
    if (word === 'null') return { schema: null, value: null }
    if (word === 'true' || word === 'false') return { schema: Schemas.boolean, value: word === 'true' }
    return parseScalar(word)
  }

  #quoted(): SchemaAndValue | null {
    let text = ''
    for (let i = this.#at + 1; i < this.#text.length; i++) {
      const char = this.#text[i] as string
      if (char === '"') {
        this.#at = i + 1
        return parseTemporal(text) ?? { schema: Schemas.string, value: text }
      }
      text += char === '\\' ? (this.#text[++i] ?? '') : char
    }
    return null
  }

  #array(depth: number): SchemaAndValue | null {
    this.#at++
    const items: SchemaAndValue[] = []
    if (!this.#takes(']')) {
      do {
        const item = this.#value(depth + 1)
        if (item === null) return null
        items.push(item)
      } while (this.#takes(','))
      if (!this.#takes(']')) return null
    }
    const element = commonSchema(items)
    if (element === undefined) return null
    return {
      schema: element === null ? null : makeSchema({ type: 'ARRAY', valueSchema: element }),
      value: items.map((item) => widen(item, element)),
    }
  }

  #map(depth: number): SchemaAndValue | null {
    this.#at++
    const keys: SchemaAndValue[] = []
    const items: SchemaAndValue[] = []
    if (!this.#takes('}')) {
      do {
        const key = this.#value(depth + 1)
        if (key === null || key.value === null || !this.#takes(':')) return null
        const item = this.#value(depth + 1)
        if (item === null) return null
        keys.push(key)
        items.push(item)
      } while (this.#takes(','))
      if (!this.#takes('}')) return null
    }
    const keySchema = commonSchema(keys)
    const valueSchema = commonSchema(items)
    if (keySchema === undefined || valueSchema === undefined) return null
    const map = new Map<Value, Value>()
    keys.forEach((key, i) => map.set(widen(key, keySchema), widen(items[i] as SchemaAndValue, valueSchema)))
    const typed = keySchema !== null && valueSchema !== null
    return { schema: typed ? makeSchema({ type: 'MAP', keySchema, valueSchema }) : null, value: map }
  }
}

const widths: readonly Schema['type'][] = ['INT8', 'INT16', 'INT32', 'INT64', 'FLOAT32', 'FLOAT64']

/** The schema that holds all items: null when there are only nulls (or nothing), undefined when there is none. */
function commonSchema(items: readonly SchemaAndValue[]): Schema | null | undefined {
  let common: Schema | null = null
  let nullable = false
  for (const { schema, value } of items) {
    if (value === null) {
      nullable = true
      continue
    }
    if (schema === null) return undefined
    if (common === null) {
      common = schema
      continue
    }
    const merged = mergeSchemas(common, schema)
    if (merged === null) return undefined
    common = merged
  }
  return common !== null && nullable ? makeSchema({ ...common, optional: true }) : common
}

function mergeSchemas(a: Schema, b: Schema): Schema | null {
  const left = a.name === null ? widths.indexOf(a.type) : -1
  const right = b.name === null ? widths.indexOf(b.type) : -1
  if (left >= 0 && right >= 0) return left >= right ? a : b
  if (a.type !== b.type || a.name !== b.name) return null
  if (a.type !== 'ARRAY' && a.type !== 'MAP') return a
  const valueSchema = a.valueSchema && b.valueSchema && mergeSchemas(a.valueSchema, b.valueSchema)
  const keySchema = a.keySchema && b.keySchema && mergeSchemas(a.keySchema, b.keySchema)
  if (valueSchema === null || (a.type === 'MAP' && keySchema === null)) return null
  return makeSchema({ type: a.type, keySchema, valueSchema })
}

/** An INT8 beside an INT64 becomes a bigint, since that is what INT64 holds. */
function widen(item: SchemaAndValue, schema: Schema | null): Value {
  const { value } = item
  if (schema?.type === 'INT64' && schema.name === null && typeof value === 'number') return BigInt(value)
  const floating = schema?.type === 'FLOAT32' || schema?.type === 'FLOAT64'
  return floating && typeof value === 'bigint' ? Number(value) : value
}

const dayMs = 86_400_000

/** Text of a date as in headers: below one day a time, whole days a date, anything else a timestamp; in UTC. */
export function temporalText(date: Date): string {
  const ms = date.getTime()
  const iso = date.toISOString()
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
  const entries: string[] = []
  if (value instanceof Map) {
    for (const [k, v] of value as ReadonlyMap<Value, Value>) {
      entries.push(
        `${headerText(schema?.keySchema ?? null, k, true)}:${headerText(schema?.valueSchema ?? null, v, true)}`,
      )
    }
  } else {
    for (const [k, v] of Object.entries(value as Struct)) {
      entries.push(`"${k}":${headerText(schema?.fieldsByName.get(k)?.schema ?? null, v, true)}`)
    }
  }
  return `{${entries.join(',')}}`
}
