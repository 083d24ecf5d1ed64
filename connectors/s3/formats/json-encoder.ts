import { Decimal, Float64, LogicalName, type Schema, type Struct, type Value } from '../../../worker/api/data.ts'
import { DataError } from '../../../worker/api/errors.ts'
import { headerText } from '../../../worker/api/header-text.ts'
import { inHashOrder } from '../../../worker/api/java-hash.ts'
import { bigDecimalText, doubleJson, floatJson } from '../../../worker/api/json.ts'
import type { SinkRecord } from '../../../worker/api/record.ts'
import { twosComplement } from '../../../worker/api/values.ts'
import { MemberOrder } from './member-order.ts'
import { mismatch } from './mismatch.ts'

/** Headers as a JSON array, values as Connect's header converter prints them. */
export function jsonHeaders(record: SinkRecord): string {
  const items = record.headers.map(({ key, schema, value }) => {
    return `{"key":${quote(key)},"value":${value === null ? 'null' : quote(headerText(schema, value))}}`
  })
  return `[${items.join(',')}]`
}

/** All but what is printed as it is: quotes, backslashes, control characters, halves of surrogate pairs. */
const needsEscape = /[^ !#-[\]-\ud7ff\ue000-\uffff]/
const escaped = /[^ !#-[\]-\ud7ff\ue000-\uffff]/g
const shortEscapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\f': '\\f',
  '\r': '\\r',
}

/** A JSON string as Jackson's UTF-8 generator prints it. */
export function quote(text: string): string {
  return needsEscape.test(text) ? `"${text.replace(escaped, escapeUnit)}"` : `"${text}"`
}

function escapeUnit(unit: string): string {
  return shortEscapes[unit] ?? `\\u${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`
}

const dayMs = 86_400_000

/** JSON as Jackson's UTF-8 generator writes Connect's Java objects. One per role: it remembers orders of members. */
export class JsonEncoder {
  readonly #numericDecimals: boolean
  readonly #order = new MemberOrder()

  constructor(numericDecimals: boolean) {
    this.#numericDecimals = numericDecimals
  }

  /** @throws DataError when the value does not fit its schema */
  encode(schema: Schema | null, value: Value): string {
    // Jackson prints a top-level map or list by its Java values, only structs go through the schema.
    if (schema === null || schema.type !== 'STRUCT') {
      return value === null && schema !== null ? this.#null(schema) : this.#plain(value, schema)
    }
    return this.#typed(schema, value)
  }

  #null(schema: Schema): string {
    if (schema.defaultValue !== null) return this.#typed(schema, schema.defaultValue)
    if (schema.optional) return 'null'
    throw mismatch(schema, 'null for a required field without a default')
  }

  #typed(schema: Schema, value: Value): string {
    if (value === null) return this.#null(schema)
    switch (schema.type) {
      case 'STRING':
        if (typeof value !== 'string') break
        return quote(value)
      case 'BOOLEAN':
        if (typeof value !== 'boolean') break
        return value ? 'true' : 'false'
      case 'INT8':
      case 'INT16':
      case 'INT32':
      case 'INT64':
        return this.#integer(schema, value)
      case 'FLOAT32':
        if (typeof value !== 'number') break
        return floatJson(value)
      case 'FLOAT64':
        if (typeof value !== 'number') break
        return doubleJson(value)
      case 'BYTES':
        if (value instanceof Decimal) return this.#decimal(value)
        if (value instanceof Uint8Array) return base64(value)
        break
      case 'ARRAY':
        if (!Array.isArray(value) || schema.valueSchema === null) break
        return this.#array(schema.valueSchema, value)
      case 'MAP':
        if (!(value instanceof Map)) break
        return this.#map(schema, value)
      case 'STRUCT':
        if (typeof value !== 'object' || Array.isArray(value) || value instanceof Map) break
        return this.#struct(schema, value as Struct)
    }
    throw mismatch(schema, `a ${typeof value}`)
  }

  #integer(schema: Schema, value: Value): string {
    if (typeof value === 'number' || typeof value === 'bigint') return String(value)
    if (value instanceof Date) {
      const ms = value.getTime()
      return String(schema.name === LogicalName.date ? Math.floor(ms / dayMs) : ms)
    }
    throw mismatch(schema, `a ${typeof value}`)
  }

  #decimal(value: Decimal): string {
    return this.#numericDecimals ? bigDecimalText(value) : base64(twosComplement(value.unscaled))
  }

  #array(elements: Schema, values: readonly Value[]): string {
    let text = '['
    for (let i = 0; i < values.length; i++) {
      if (i > 0) text += ','
      text += this.#typed(elements, values[i] ?? null)
    }
    return `${text}]`
  }

  #map(schema: Schema, map: ReadonlyMap<Value, Value>): string {
    const { keySchema, valueSchema } = schema
    if (keySchema === null || valueSchema === null) throw mismatch(schema, 'no schema of keys and values')
    const asObject = keySchema.type === 'STRING'
    const items = inHashOrder([...map]).map(([key, value]) => {
      const member = this.#typed(valueSchema, value)
      return asObject ? `${quote(String(key))}:${member}` : `[${this.#typed(keySchema, key)},${member}]`
    })
    return asObject ? `{${items.join(',')}}` : `[${items.join(',')}]`
  }

  #struct(schema: Schema, struct: Struct): string {
    let text = ''
    for (const field of schema.fields) {
      text += text === '' ? '{' : ','
      text += `${quote(field.name)}:${this.#typed(field.schema, struct[field.name] ?? null)}`
    }
    return text === '' ? '{}' : `${text}}`
  }

  /** A value as Jackson prints the Java object; `schema` only tells FLOAT32 from FLOAT64, also inside containers. */
  #plain(value: Value, schema: Schema | null): string {
    switch (typeof value) {
      case 'string':
        return quote(value)
      case 'boolean':
        return value ? 'true' : 'false'
      case 'bigint':
        return value.toString()
      case 'number':
        return plainNumber(value, schema)
      default:
        return this.#plainObject(value, schema)
    }
  }

  #plainObject(value: Value, schema: Schema | null): string {
    if (value === null) return 'null'
    if (schema?.type === 'STRUCT') return this.#typed(schema, value)
    if (value instanceof Float64) return doubleJson(value.value)
    if (value instanceof Decimal) return bigDecimalText(value)
    if (value instanceof Uint8Array) return base64(value)
    if (value instanceof Date) return String(value.getTime())
    const valueSchema = schema?.valueSchema ?? null
    if (Array.isArray(value)) {
      let text = '['
      for (let i = 0; i < value.length; i++) {
        text += i === 0 ? '' : ','
        text += this.#plain((value as readonly Value[])[i] ?? null, valueSchema)
      }
      return `${text}]`
    }
    if (value instanceof Map) {
      const entries = inHashOrder([...(value as ReadonlyMap<Value, Value>)])
      return `{${entries.map(([k, v]) => `${quote(memberName(k))}:${this.#plain(v, valueSchema)}`).join(',')}}`
    }
    return this.#plainMembers(value as Struct)
  }

  #plainMembers(members: Struct): string {
    let text = ''
    for (const name of this.#order.of(Object.keys(members))) {
      text += text === '' ? '{' : ','
      text += `${quote(name)}:${this.#plain(members[name] ?? null, null)}`
    }
    return text === '' ? '{}' : `${text}}`
  }
}

/** Without a schema an integral number is an INT64 (the data model boxes integral FLOAT64 values). */
function plainNumber(value: number, schema: Schema | null): string {
  if (schema?.type === 'FLOAT32') return floatJson(value)
  if (schema?.type === 'FLOAT64' || !Number.isInteger(value)) return doubleJson(value)
  return Object.is(value, -0) ? '0' : BigInt(value).toString()
}

/** Name of a member whose map key is not text, as Jackson prints it. */
function memberName(key: Value): string {
  if (typeof key === 'string') return key
  if (typeof key === 'boolean' || typeof key === 'bigint' || typeof key === 'number') return String(key)
  throw new DataError('CONNECT_S3_VALUE_MISMATCH', 'A map with null or structured keys cannot be a JSON object')
}

function base64(bytes: Uint8Array): string {
  return `"${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')}"`
}
