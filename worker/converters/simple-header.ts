import { defineConfig } from '../api/config.ts'
import type { HeaderConverter, SchemaAndValue } from '../api/converter.ts'
import { Decimal, Float64, type Schema, Schemas, type Struct, type Value } from '../api/data.ts'
import { parseHeaderText, temporalText } from '../api/header-text.ts'
import { bigDecimalText, javaDouble, javaFloat } from '../api/json.ts'

export const simpleHeaderConverterConfig = defineConfig({})

/**
 * Connect's default header converter: text whose type is guessed on reading (numbers, booleans, dates, `[…]`, `{…}`).
 * What cannot be read as text stays bytes; nothing is ever refused.
 */
export class SimpleHeaderConverter implements HeaderConverter<unknown> {
  configure(): void {}

  fromConnectHeader(_topic: string, _key: string, schema: Schema | null, value: Value): Uint8Array | null {
    if (value === null) return null
    return Buffer.from(headerText(schema, value, false), 'utf8')
  }

  toConnectHeader(_topic: string, _key: string, bytes: Uint8Array | null): SchemaAndValue {
    if (bytes === null) return { schema: null, value: null }
    let text: string
    try {
      text = decoder.decode(bytes)
    } catch {
      // Text would not read back as the same bytes (I6).
      return { schema: Schemas.bytes, value: bytes }
    }
    return parseHeaderText(text)
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Text form of a value in a header: `[a,b]`, `{k:v}` without blanks, strings quoted only inside others.
 * @param nested whether the value stands inside an array, map or struct
 */
export function headerText(schema: Schema | null, value: Value, nested: boolean): string {
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
