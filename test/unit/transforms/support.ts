import { builtinTransforms } from '../../../transforms/index.ts'
import type { ConfigDef } from '../../../worker/api/config.ts'
import { makeSchema, type Schema, type Value } from '../../../worker/api/data.ts'
import type { PredicatePlugin, TransformationPlugin } from '../../../worker/api/plugin.ts'
import { SinkRecord, type SinkRecordInit } from '../../../worker/api/record.ts'
import type { Predicate, Transformation } from '../../../worker/api/transform.ts'
import { parseConfig } from '../../../worker/config/config-def.ts'
import { deepFreeze } from '../../conformance/converter.ts'

const connect = 'org.apache.kafka.connect.transforms.'

function find<T extends 'transformation' | 'predicate'>(
  type: T,
  name: string,
): Extract<TransformationPlugin | PredicatePlugin, { type: T }> {
  const plugin = builtinTransforms.find((p) => p.type === type && (p.name === name || p.name === connect + name))
  if (plugin === undefined) throw new Error(`No ${type} ${name}`)
  return plugin as Extract<TransformationPlugin | PredicatePlugin, { type: T }>
}

/** A transform configured from text, as the worker does it. */
export async function transform(
  name: string,
  options: Readonly<Record<string, string>> = {},
): Promise<Transformation<unknown>> {
  const plugin = find('transformation', name)
  const instance = await plugin.create()
  instance.configure(parseConfig(plugin.config as ConfigDef, options))
  return instance
}

export async function predicate(
  name: string,
  options: Readonly<Record<string, string>> = {},
): Promise<Predicate<unknown>> {
  const plugin = find('predicate', `predicates.${name}`)
  const instance = await plugin.create()
  instance.configure(parseConfig(plugin.config as ConfigDef, options))
  return instance
}

/** A sink record whose key, value and headers cannot be changed in place (I5). */
export function record(init: Partial<SinkRecordInit> = {}): SinkRecord {
  return new SinkRecord({
    topic: 'topic',
    partition: 3,
    offset: 9007199254740993n,
    timestamp: 1_700_000_000_000,
    ...init,
    key: deepFreeze(init.key ?? null),
    value: deepFreeze(init.value ?? null),
    headers: deepFreeze(init.headers ?? []),
  })
}

export function struct(
  fields: Readonly<Record<string, Schema>>,
  spec: { name?: string; optional?: boolean } = {},
): Schema {
  return makeSchema({
    type: 'STRUCT',
    fields: Object.entries(fields).map(([name, schema]) => ({ name, schema })),
    ...spec,
  })
}

/** Names and types of a struct schema, `?` for optional. */
export function shape(schema: Schema | null): Record<string, string> | null {
  if (schema === null) return null
  return Object.fromEntries(schema.fields.map((f) => [f.name, `${f.schema.type}${f.schema.optional ? '?' : ''}`]))
}

export type { Value }
