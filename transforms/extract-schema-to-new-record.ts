import { type ConfigOf, defineConfig } from '../worker/api/config.ts'
import { makeSchema, type Schema, Schemas, type Struct, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct } from '../worker/api/values.ts'
import { debeziumVersion, isEnvelope, rawMember } from './change-event.ts'
import { fieldValue, requireStruct, SchemaCache, setMember, structLike } from './record-part.ts'

const config = defineConfig({})

const fieldName = 'sourceSchema'
const parameter = '__debezium.source.column.'

const columnSchema = makeSchema({
  type: 'STRUCT',
  name: 'io.debezium.connector.source.schema.Column',
  version: 1,
  fields: [
    { name: 'name', schema: Schemas.string },
    { name: 'typeName', schema: Schemas.string },
    { name: 'length', schema: Schemas.optionalInt32 },
    { name: 'scale', schema: Schemas.optionalInt32 },
    { name: 'comment', schema: Schemas.optionalString },
  ],
})
const tableSchema = makeSchema({
  type: 'STRUCT',
  name: 'io.debezium.connector.source.schema.Table',
  version: 1,
  fields: [{ name: 'columns', schema: makeSchema({ type: 'ARRAY', valueSchema: columnSchema }) }],
})
const sourceSchema = makeSchema({
  type: 'STRUCT',
  name: 'io.debezium.connector.source.Schema',
  version: 1,
  fields: [
    { name: 'id', schema: Schemas.string },
    { name: 'table', schema: tableSchema },
  ],
})

interface Plan {
  readonly schema: Schema
  readonly columns: readonly Struct[]
}

/**
 * Adds to a change event what the source's columns are: name, type, length, scale and comment, as the source put them
 * into the schema under `column.propagate.source.type` or `datatype.propagate.source.type`.
 */
class ExtractSchemaToNewRecord implements Transformation<ConfigOf<typeof config>> {
  readonly #plans = new SchemaCache(planOf)

  configure(): void {}

  apply<R extends ConnectRecord>(record: R): R {
    const { valueSchema } = record
    if (record.value === null || !isEnvelope(valueSchema)) return record
    const envelope = requireStruct(record.value, 'schema extraction')
    // A truncation has no row and so nothing to tell.
    if (rawMember(envelope, 'after') === null && rawMember(envelope, 'before') === null) return record
    const { schema, columns } = this.#plans.get(valueSchema)
    const source = rawMember(envelope, 'source')
    const table = isStruct(source) ? rawMember(source, 'table') : null
    if (typeof table !== 'string') {
      throw new DataError('CONNECT_TRANSFORM_FIELD', 'The change event has no source.table to name its schema after')
    }
    const value: Record<string, Value> = {}
    for (const field of valueSchema.fields) setMember(value, field.name, fieldValue(envelope, field, true))
    setMember(value, fieldName, { id: table, table: { columns } })
    return record.with({ valueSchema: schema, value })
  }
}

function planOf(envelope: Schema): Plan {
  const row = envelope.fieldsByName.get('after')?.schema
  if (row === undefined) throw new DataError('CONNECT_TRANSFORM_FIELD', 'The change event has no field "after"')
  return {
    schema: structLike(envelope, [...envelope.fields, { name: fieldName, schema: sourceSchema }]),
    columns: row.fields.map((field) => column(field.schema.parameters ?? new Map())),
  }
}

function column(parameters: ReadonlyMap<string, string>): Struct {
  const text = (name: string): string | null => parameters.get(parameter + name) ?? null
  const number = (name: string): number | null => {
    const digits = text(name)
    return digits === null ? null : Number.parseInt(digits, 10)
  }
  const name = text('name')
  const typeName = text('type')
  if (name === null || typeName === null) {
    const message =
      'Ensure that enable configurations "column.propagate.source.type" or "datatype.propagate.source.type" and the value is set to ".*"'
    throw new DataError('CONNECT_TRANSFORM_FIELD', message)
  }
  return { name, typeName, length: number('length'), scale: number('scale'), comment: text('comment') }
}

export const extractSchemaToNewRecord = defineTransformation({
  name: 'io.debezium.transforms.ExtractSchemaToNewRecord',
  aliases: [],
  version: debeziumVersion,
  config,
  create: async () => new ExtractSchemaToNewRecord(),
})
