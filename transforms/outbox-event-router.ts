import { makeSchema, type Schema, type Struct, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { expandReplacement, JavaRegex } from '../worker/api/java-regex.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord, Header } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct } from '../worker/api/values.ts'
import { debeziumVersion, isEnvelope, rawMember } from './change-event.ts'
import { expandJson, type JsonPayloadRules } from './json-payload.ts'
import { type AdditionalField, type OutboxOptions, outboxConfig, parseAdditionalField } from './outbox-options.ts'
import { fieldValue, requireStruct, setMember } from './record-part.ts'

/** The inserted row of the outbox table. */
interface OutboxRow {
  readonly schema: Schema
  readonly struct: Struct
}

interface Typed {
  readonly schema: Schema | null
  readonly value: Value
}

const maxCachedSchemas = 100

/**
 * Debezium's EventRouter (transactional outbox): an inserted row becomes an event with the row's payload as value, in
 * a topic that the row names. Deletes, tombstones and updates go; what is no change event passes unchanged.
 */
class OutboxEventRouter implements Transformation<OutboxOptions> {
  #options: OutboxOptions | null = null
  #additional: readonly AdditionalField[] = []
  #json: JsonPayloadRules = { nulls: 'ignore', emptyArrays: 'ignore', root: 'payload' }
  #ignoresMissing = false
  #regex = new JavaRegex('')
  /** Schemas of values with envelope fields, by row schema, routed value, payload schema and version. */
  #schemas = new WeakMap<Schema, WeakMap<Schema, Map<string, Schema>>>()

  configure(options: OutboxOptions): void {
    this.#options = options
    this.#additional = options['table.fields.additional.placement']
      .map(parseAdditionalField)
      .filter((field) => field !== null)
    this.#ignoresMissing = options['table.field.additional.missing'].toLowerCase() === 'ignore'
    this.#json = {
      nulls: options['table.json.payload.null.behavior'].toLowerCase() === 'ignore' ? 'ignore' : 'optional_bytes',
      emptyArrays:
        options['table.json.payload.empty.array.behavior'].toLowerCase() === 'ignore' ? 'ignore' : 'optional_string',
      root: 'payload',
    }
    this.#regex = new JavaRegex(options['route.topic.regex'])
    this.#schemas = new WeakMap()
  }

  apply<R extends ConnectRecord>(record: R): R | null {
    const options = this.#options
    if (options === null || record.value === null) return null
    const { valueSchema } = record
    if (!isEnvelope(valueSchema)) return record
    const envelope = requireStruct(record.value, 'read outbox event')
    const op = rawMember(envelope, 'op')
    if (op === 'u' && options['table.op.invalid.behavior'].toLowerCase() === 'fatal') {
      throw new DataError('CONNECT_TRANSFORM_RECORD', 'Unexpected update of the outbox table: rows are only inserted', {
        context: { topic: record.topic },
      })
    }
    const struct = rawMember(envelope, 'after')
    const schema = valueSchema.fieldsByName.get('after')?.schema
    if ((op !== 'c' && op !== 'r') || !isStruct(struct) || schema === undefined) return null
    return this.#event(record, envelope, { schema, struct }, options)
  }

  #event<R extends ConnectRecord>(record: R, envelope: Struct, row: OutboxRow, options: OutboxOptions): R {
    const routedBy = typed(row, options['route.by.field']).value
    if (typeof routedBy !== 'string') {
      throw new DataError(
        'CONNECT_TRANSFORM_FIELD',
        `The column of route.by.field is null or no text: ${options['route.by.field']}`,
      )
    }
    const id = typed(row, options['table.field.event.id'], false)
    const headers: Header[] = [...record.headers, { key: 'id', ...id }]
    let partition = record.partition
    const inEnvelope: { readonly name: string; readonly schema: Schema; readonly value: Value }[] = []
    for (const { column, placement, alias } of this.#additional) {
      if (this.#ignoresMissing && !row.schema.fieldsByName.has(column)) continue
      const { schema, value } = typed(row, column)
      if (placement === 'header') headers.push({ key: alias, schema, value })
      else if (placement === 'envelope') inEnvelope.push({ name: alias, schema, value })
      else partition = partitionOf(column, value)
    }
    const payload = this.#payload(row, options)
    const empty = payload.value === null || (typeof payload.value === 'string' && payload.value.trim() === '')
    const key = row.schema.fieldsByName.has(options['table.field.event.key'])
      ? typed(row, options['table.field.event.key'])
      : { schema: record.keySchema, value: record.key }
    return record.with({
      topic: this.#topic(routedBy, options),
      partition,
      keySchema: key.schema,
      key: key.value,
      ...(options['route.tombstone.on.empty.payload'] && empty
        ? { valueSchema: null, value: null }
        : this.#value(row, payload, inEnvelope, { routedBy, version: versionOf(row, options) })),
      timestamp: timestampOf(envelope, row, options),
      headers,
    })
  }

  #topic(routedBy: string, options: OutboxOptions): string {
    const match = this.#regex.match(routedBy)
    return match === null ? routedBy : expandReplacement(options['route.topic.replacement'], match)
  }

  #payload(row: OutboxRow, options: OutboxOptions): Typed {
    const payload = typed(row, options['table.field.event.payload'], false)
    if (!options['table.expand.json.payload'] || typeof payload.value !== 'string') return payload
    try {
      return expandJson(payload.value, this.#json)
    } catch (error) {
      // What is no JSON stays text, as in Debezium; anything else is a fault of this program.
      if (error instanceof SyntaxError || error instanceof DataError) return payload
      throw error
    }
  }

  /** The payload alone, or a struct of it and the fields placed in the envelope. */
  #value(
    row: OutboxRow,
    payload: Typed,
    fields: readonly { readonly name: string; readonly schema: Schema; readonly value: Value }[],
    named: { readonly routedBy: string; readonly version: number | null },
  ): { readonly valueSchema: Schema | null; readonly value: Value } {
    if (fields.length === 0 || payload.schema === null) return { valueSchema: payload.schema, value: payload.value }
    const value: Record<string, Value> = { payload: payload.value }
    for (const field of fields) setMember(value, field.name, field.value)
    const spec = [{ name: 'payload', schema: payload.schema }, ...fields]
    return { valueSchema: this.#envelopeSchema(row.schema, payload.schema, spec, named), value }
  }

  #envelopeSchema(
    row: Schema,
    payload: Schema,
    fields: readonly { readonly name: string; readonly schema: Schema }[],
    named: { readonly routedBy: string; readonly version: number | null },
  ): Schema {
    const byPayload = this.#schemas.get(row) ?? new WeakMap<Schema, Map<string, Schema>>()
    this.#schemas.set(row, byPayload)
    const known = byPayload.get(payload) ?? new Map<string, Schema>()
    byPayload.set(payload, known)
    const cacheKey = `${named.version}:${named.routedBy}`
    let schema = known.get(cacheKey)
    if (schema === undefined) {
      // "shop.public.outbox.Value" and "Order" give "shop.public.outbox.Order.Value".
      const name = (row.name ?? 'Value').replace(/([^.]*)$/, (last) => `${named.routedBy}.${last}`)
      schema = makeSchema({ type: 'STRUCT', name, version: named.version, fields })
      if (known.size >= maxCachedSchemas) known.clear()
      known.set(cacheKey, schema)
    }
    return schema
  }
}

/** @param useDefault whether a default stands in for null, as in Connect's `Struct.get` */
function typed(row: OutboxRow, column: string, useDefault = true): { readonly schema: Schema; readonly value: Value } {
  const field = row.schema.fieldsByName.get(column)
  if (field === undefined) {
    throw new DataError('CONNECT_TRANSFORM_FIELD', `Unable to find the column ${column} in the outbox event`)
  }
  return { schema: field.schema, value: fieldValue(row.struct, field, useDefault) }
}

function partitionOf(column: string, value: Value): number {
  if (typeof value === 'number' && Number.isInteger(value)) return value
  throw new DataError('CONNECT_DATA_TYPE', `The column ${column} is placed in the partition and holds no int32`)
}

function versionOf(row: OutboxRow, options: OutboxOptions): number | null {
  const column = options['table.field.event.schema.version']
  if (column === null) return null
  const { value } = typed(row, column)
  return typeof value === 'number' ? value : null
}

/** Milliseconds since 1970. @throws DataError for a column of another type than a timestamp */
function timestampOf(envelope: Struct, row: OutboxRow, options: OutboxOptions): number | null {
  const column = options['table.field.event.timestamp']
  if (column === null) {
    const at = rawMember(envelope, 'ts_ms')
    return typeof at === 'bigint' ? Number(at) : null
  }
  const { schema, value } = typed(row, column)
  if (value instanceof Date) return value.getTime()
  if (typeof value === 'bigint') {
    if (schema.name === 'io.debezium.time.MicroTimestamp') return Number(value / 1000n)
    return Number(schema.name === 'io.debezium.time.NanoTimestamp' ? value / 1_000_000n : value)
  }
  const zoned = typeof value === 'string' ? Date.parse(value) : Number.NaN
  if (!Number.isNaN(zoned)) return zoned
  throw new DataError('CONNECT_DATA_TYPE', `The column ${column} holds no timestamp that an event can carry`)
}

export const outboxEventRouter = defineTransformation({
  name: 'io.debezium.transforms.outbox.EventRouter',
  aliases: [],
  version: debeziumVersion,
  config: outboxConfig,
  create: async () => new OutboxEventRouter(),
})
