import { DataError } from '../../api/errors.ts'

type Json = string | number | readonly Json[] | { readonly [name: string]: Json }

/** What decides how bytes are read, in this order; all else (docs, defaults, Connect's properties) is left out. */
const kept = ['name', 'type', 'fields', 'symbols', 'items', 'values', 'size'] as const

/** Avro's Parsing Canonical Form: two schemas with the same one read and write the same bytes. */
export function avroCanonicalForm(text: string): string {
  try {
    return JSON.stringify(canonical(JSON.parse(text) as Json, ''))
  } catch (error) {
    throw new DataError('CONNECT_REGISTRY_SCHEMA', 'An Avro schema is no JSON', { cause: error })
  }
}

const primitives = new Set(['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'])

function canonical(schema: Json, namespace: string): Json {
  if (typeof schema === 'string') return primitives.has(schema) ? schema : fullName(schema, namespace)
  if (Array.isArray(schema)) return (schema as readonly Json[]).map((branch) => canonical(branch, namespace))
  if (typeof schema !== 'object') return schema
  const node = schema as { readonly [name: string]: Json }
  const { type, name } = node
  if (typeof type === 'string' && primitives.has(type)) return type
  const own = node['namespace']
  const full = typeof name === 'string' ? fullName(name, typeof own === 'string' ? own : namespace) : null
  const inner = full !== null && full.includes('.') ? full.slice(0, full.lastIndexOf('.')) : namespace
  const result: Record<string, Json> = {}
  for (const key of kept) {
    const value = node[key]
    if (value === undefined) continue
    if (key === 'name') result[key] = full ?? value
    else if (key === 'fields')
      result[key] = (value as readonly { name: string; type: Json }[]).map((field) => fieldOf(field, inner))
    else if (key === 'items' || key === 'values' || (key === 'type' && typeof value !== 'string'))
      result[key] = canonical(value, inner)
    else result[key] = value
  }
  return result
}

function fieldOf(field: { readonly name: string; readonly type: Json }, namespace: string): Json {
  return { name: field.name, type: canonical(field.type, namespace) }
}

function fullName(name: string, namespace: string): string {
  return name.includes('.') || namespace === '' ? name : `${namespace}.${name}`
}
