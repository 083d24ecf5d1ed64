import { type Schema, type SchemaType, type Struct, schemaEquals, type Value } from '../../worker/api/data.ts'
import { DataError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import { generalizedEnum } from '../../worker/api/sum-types.ts'
import type { SchemaCompatibility } from './config-rules.ts'

/**
 * Whether a record needs a new object, given the schema that the current one was begun with.
 * @throws DataError CONNECT_S3_SCHEMA_PROJECTION when the mode needs versions and a schema has none
 */
export function needsNewObject(mode: SchemaCompatibility, schema: Schema | null, current: Schema | null): boolean {
  if (schema === current) return false
  if (schema === null || current === null) return true
  if (mode === 'NONE') return !schemaEquals(schema, current)
  if (schema.version === null || current.version === null) {
    throw failure(`Schema version required for ${mode} compatibility`)
  }
  if (mode === 'FORWARD' ? schema.version < current.version : schema.version > current.version) return true
  return !isProjectable(schema, current)
}

/** Answers per pair of schemas; schemas live as long as their converter keeps them. */
const projectable = new WeakMap<Schema, WeakMap<Schema, boolean>>()

/** Whether every value of `source` has a form in `target`; one that has not starts a new object, as in Java. */
function isProjectable(source: Schema, target: Schema): boolean {
  let answers = projectable.get(source)
  if (answers === undefined) {
    answers = new WeakMap()
    projectable.set(source, answers)
  }
  let answer = answers.get(target)
  if (answer === undefined) {
    answer = compareSchemas(source, target)
    answers.set(target, answer)
  }
  return answer
}

function compareSchemas(source: Schema, target: Schema): boolean {
  if (source.name !== target.name) return false
  if (source.type !== target.type && !isPromotable(source, target)) return false
  if (!parametersFit(source, target)) return false
  if (source.optional && !target.optional && target.defaultValue === null) return false
  for (const field of target.fields) {
    const from = source.fieldsByName.get(field.name)
    if (from === undefined ? !hasDefault(field.schema) : !compareSchemas(from.schema, field.schema)) return false
  }
  return compareParts(source.keySchema, target.keySchema) && compareParts(source.valueSchema, target.valueSchema)
}

function compareParts(source: Schema | null, target: Schema | null): boolean {
  return source === null || target === null ? source === target : compareSchemas(source, target)
}

/** Says that a schema is an enumeration, whose symbols the other parameters are. */
const enumParameters: readonly string[] = [
  generalizedEnum,
  'io.confluent.connect.avro.Enum',
  'io.confluent.connect.protobuf.Enum',
]
const documentation: readonly string[] = ['connect.record.doc', 'connect.record.aliases', 'connect.record.namespace']
const fieldDocumentation = 'io.confluent.connect.avro.field.doc.'

/**
 * Equal parameters but for documentation, as the scale of a decimal is one of them: a value of another scale has no
 * form in this file. An enumeration takes those of fewer symbols.
 */
function parametersFit({ parameters: source }: Schema, { parameters: target }: Schema): boolean {
  if (source === target) return true
  const given = meaningOf(source)
  const wanted = meaningOf(target)
  for (const [name, value] of given) if (wanted.get(name) !== value) return false
  return given.size === wanted.size || (isEnumeration(given) && isEnumeration(wanted))
}

function meaningOf(parameters: Schema['parameters']): ReadonlyMap<string, string> {
  const isMeant = (name: string) => !documentation.includes(name) && !name.startsWith(fieldDocumentation)
  return new Map([...(parameters ?? [])].filter(([name]) => isMeant(name)))
}

function isEnumeration(parameters: ReadonlyMap<string, string>): boolean {
  return enumParameters.some((name) => parameters.has(name))
}

function hasDefault(schema: Schema): boolean {
  return schema.optional || schema.defaultValue !== null
}

/** The record with its value in the form of `target`. @throws DataError CONNECT_S3_SCHEMA_PROJECTION */
export function projectRecord(mode: SchemaCompatibility, record: SinkRecord, target: Schema | null): SinkRecord {
  const schema = record.valueSchema
  if (mode === 'NONE' || schema === null || target === null || schema === target || schemaEquals(schema, target)) {
    return record
  }
  return record.with({ valueSchema: target, value: project(schema, record.value, target) })
}

const numberRank: Readonly<Partial<Record<SchemaType, number>>> = {
  INT8: 0,
  INT16: 1,
  INT32: 2,
  INT64: 3,
  FLOAT32: 4,
  FLOAT64: 5,
}

/** Connect's `SchemaProjector`. */
function project(source: Schema, value: Value, target: Schema): Value {
  if (source.optional && !target.optional) {
    if (target.defaultValue === null)
      throw failure('Writer schema is optional, however, target schema does not provide a default value')
    if (value === null) return target.defaultValue
  }
  if (value === null) return null
  checkNames(source, target)
  if (source.type === 'STRUCT') return projectStruct(source, value as Struct, target)
  const { valueSchema: from, keySchema: fromKey } = source
  const { valueSchema: to, keySchema: toKey } = target
  if (source.type === 'ARRAY' && from !== null && to !== null) {
    return (value as readonly Value[]).map((item) => project(from, item, to))
  }
  if (source.type === 'MAP' && from !== null && to !== null && fromKey !== null && toKey !== null) {
    const entries = [...(value as ReadonlyMap<Value, Value>)]
    return new Map(entries.map(([k, v]) => [project(fromKey, k, toKey), project(from, v, to)]))
  }
  return promote(source, value, target)
}

function checkNames(source: Schema, target: Schema): void {
  if (source.name !== target.name)
    throw failure(`Schema name mismatch. source name: ${source.name} and target name: ${target.name}`)
  if (source.type !== target.type && !isPromotable(source, target)) {
    throw failure(`Schema type mismatch. source type: ${source.type} and target type: ${target.type}`)
  }
}

function isPromotable(source: Schema, target: Schema): boolean {
  const from = numberRank[source.type]
  const to = numberRank[target.type]
  return from !== undefined && to !== undefined && from <= to
}

function promote(source: Schema, value: Value, target: Schema): Value {
  if (source.type === target.type || value instanceof Date) return value
  if (target.type === 'INT64') return typeof value === 'number' ? BigInt(value) : value
  const number = typeof value === 'bigint' ? Number(value) : value
  return target.type === 'FLOAT32' && typeof number === 'number' ? Math.fround(number) : number
}

function projectStruct(source: Schema, value: Struct, target: Schema): Struct {
  const projected: Record<string, Value> = {}
  for (const field of target.fields) {
    const from = source.fieldsByName.get(field.name)
    if (from !== undefined) projected[field.name] = project(from.schema, value[field.name] ?? null, field.schema)
    else if (hasDefault(field.schema)) projected[field.name] = field.schema.defaultValue
    else throw failure(`Required field ${field.name} is missing from source schema: ${source.name}`)
  }
  return projected
}

function failure(message: string): DataError {
  return new DataError('CONNECT_S3_SCHEMA_PROJECTION', message)
}
