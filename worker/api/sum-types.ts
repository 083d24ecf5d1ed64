/**
 * Enumerations and unions as Confluent's converters name them with `generalized.sum.type.support`, the same for Avro,
 * Protobuf and JSON Schema, so that data of one format can be written in another.
 */

import type { Schema } from './data.ts'

/** Parameter of a STRUCT of which one field is set; its value is the union's name. */
export const generalizedUnion = 'org.apache.kafka.connect.data.Union'
/** Parameter of a STRING with the enumeration's name; one per symbol follows, behind a dot, with its number. */
export const generalizedEnum = 'org.apache.kafka.connect.data.Enum'

/** Names of unions, and of their fields, in formats whose unions have none; a number follows. */
export const unnamedUnion = 'connect_union_'
export const unnamedUnionField = 'connect_union_field_'

/** Whether a schema came from a union by `generalized.sum.type.support`. */
export function isGeneralizedUnion({ type, parameters }: Schema): boolean {
  return type === 'STRUCT' && parameters?.has(generalizedUnion) === true
}

/** Whether a schema, or one anywhere in it, is one that `test` looks for. */
export function holdsSchema(schema: Schema, test: (schema: Schema) => boolean): boolean {
  if (test(schema)) return true
  const parts = [schema.keySchema, schema.valueSchema, ...schema.fields.map((field) => field.schema)]
  return parts.some((part) => part !== null && holdsSchema(part, test))
}

/**
 * Symbols of an enumeration and what its parameters say of each, in their order.
 * @param parameter a format's own name for enumerations, beside the general one
 * @returns null when the schema is none
 */
export function enumerationOf(
  { parameters }: Schema,
  parameter: string,
): { readonly name: string; readonly symbols: readonly (readonly [symbol: string, value: string])[] } | null {
  if (parameters === null) return null
  for (const key of [generalizedEnum, parameter]) {
    const name = parameters.get(key)
    if (name === undefined) continue
    const prefix = `${key}.`
    const symbols = [...parameters].filter(([member]) => member.startsWith(prefix))
    return { name, symbols: symbols.map(([member, value]) => [member.slice(prefix.length), value] as const) }
  }
  return null
}
