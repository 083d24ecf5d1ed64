/** A record as lines: one per field, with its type, so that a difference of lines is a difference of the record. */
import type { Field, Schema, Struct, Value } from '../../api/data.ts'
import { parseJson, quoteJson, stringifyJson } from '../../api/json.ts'
import type { ConnectRecord } from '../../api/record.ts'
import { isStruct } from '../../api/values.ts'
import { parseConfig } from '../../config/config-def.ts'
import { JsonConverter, jsonConverterConfig } from '../../converters/json.ts'

/** Longest bytes and texts that are shown whole, in characters. */
const maxShown = 2000

export function recordLines(record: ConnectRecord): readonly string[] {
  const { timestamp } = record
  return [
    `topic: ${record.topic}`,
    `partition: ${record.partition ?? 'not set'}`,
    `timestamp: ${timestamp === null ? 'none' : `${timestamp} (${isoText(timestamp)})`}`,
    ...(record.headers.length === 0 ? [] : ['headers:']),
    ...record.headers.flatMap(({ key, schema, value }) => valueLines(key, schema, value, '  ')),
    ...valueLines('key', record.keySchema, record.key, ''),
    ...valueLines('value', record.valueSchema, record.value, ''),
  ]
}

function isoText(ms: number): string {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? 'no date' : date.toISOString()
}

function valueLines(name: string, schema: Schema | null, value: Value, indent: string): readonly string[] {
  const head = `${indent}${name}${schema === null ? '' : ` (${typeText(schema)})`}`
  const inner = `${indent}  `
  if (Array.isArray(value) && value.length > 0) {
    const items = value as readonly Value[]
    const element = schema?.valueSchema ?? null
    return [`${head}:`, ...items.flatMap((item, i) => valueLines(`[${i}]`, element, item, inner))]
  }
  if (value instanceof Map && value.size > 0) {
    const entries = [...(value as ReadonlyMap<Value, Value>)]
    const values = schema?.valueSchema ?? null
    return [`${head}:`, ...entries.flatMap(([k, v]) => valueLines(scalarText(k), values, v, inner))]
  }
  if (isStruct(value) && Object.keys(value).length > 0) {
    return [`${head}:`, ...memberLines(schema, value, inner)]
  }
  return [`${head} = ${scalarText(value)}`]
}

function memberLines(schema: Schema | null, struct: Struct, indent: string): readonly string[] {
  const fields: readonly (Field | { readonly name: string; readonly schema: null })[] =
    schema === null ? Object.keys(struct).map((name) => ({ name, schema: null })) : schema.fields
  return fields.flatMap(({ name, schema: field }) =>
    valueLines(name, field, Object.hasOwn(struct, name) ? (struct[name] ?? null) : null, indent),
  )
}

/** `int64?` for optional, the name of a named schema behind it, a default after `=`. */
function typeText(schema: Schema): string {
  const name = schema.name === null ? '' : ` ${schema.name}${schema.version === null ? '' : ` v${schema.version}`}`
  const fallback = schema.defaultValue === null ? '' : ` = ${scalarText(schema.defaultValue)}`
  return `${schema.type.toLowerCase()}${schema.optional ? '?' : ''}${name}${fallback}`
}

function scalarText(value: Value): string {
  if (value instanceof Date) return isoText(value.getTime())
  const text = value instanceof Uint8Array ? `bytes ${Buffer.from(value).toString('hex')}` : jsonText(value)
  return text.length <= maxShown ? text : `${text.slice(0, maxShown)}… (${text.length} characters)`
}

function jsonText(value: Value): string {
  if (value === null || typeof value === 'string') return value === null ? 'null' : quoteJson(value)
  // Texts of numbers are told apart from texts by the quotes.
  return typeof value === 'object' && 'unscaled' in value ? String(value) : stringifyJson(value)
}

/** JsonConverter with schemas. */
function jsonConverter(): JsonConverter {
  const converter = new JsonConverter()
  converter.configure(parseConfig(jsonConverterConfig, { 'converter.type': 'value' }), 'value')
  return converter
}

/** Key, value or header as it stands in a fixture: plain JSON, or `schema` and `payload` of JsonConverter. */
export function toFixture(schema: Schema | null, value: Value): Value {
  if (schema === null && value === null) return null
  const bytes = jsonConverter().fromConnectData('', [], schema, value)
  const json = bytes === null ? null : parseJson(Buffer.from(bytes).toString('utf8'))
  return schema === null && json !== null && isStruct(json) ? (json['payload'] ?? null) : json
}

/** The other way round. @throws DataError naming what is wrong with the schema or payload */
export function fromFixture(json: Value): { readonly schema: Schema | null; readonly value: Value } {
  const isTyped = isStruct(json) && Object.keys(json).length === 2 && 'schema' in json && 'payload' in json
  if (!isTyped) return { schema: null, value: json }
  return jsonConverter().toConnectData('', [], Buffer.from(stringifyJson(json)))
}
