import type { Schema, Struct, Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { expandReplacement, JavaRegex } from '../worker/api/java-regex.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import { type ConnectRecord, type Header, SinkRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct } from '../worker/api/values.ts'
import { debeziumVersion, isEnvelope, rawMember } from './change-event.ts'
import { expandJson, type JsonPayloadRules } from './json-payload.ts'
import { type AdditionalField, additionalFields, type OutboxOptions, outboxConfig } from './outbox-options.ts'
import { fieldValue, requireStruct, setMember, structLike } from './record-part.ts'

/** The inserted row of the outbox table. */
interface OutboxRow {
  readonly schema: Schema
  readonly struct: Struct
}

interface Typed {
  readonly schema: Schema
  readonly value: Value
}

interface FieldOf extends Typed {
  readonly name: string
}

const maxCachedSchemas = 100

/**
 * Debezium's EventRouter (transactional outbox): an inserted row becomes an event with the row's payload as value, in
 * a topic that the row names. Deletes, tombstones and updates go; what is no change event passes unchanged.
 */
class OutboxEventRouter implements Transformation<OutboxOptions> {
  #options: OutboxOptions | null = null
  #additional: readonly AdditionalField[] = []
  /** Whether values are structs with further columns beside the payload. */
  #wraps = false
  #json: JsonPayloadRules = { nulls: 'ignore', emptyArrays: 'ignore', root: 'payload' }
  #ignoresMissing = false
  #regex = new JavaRegex('')
  /** Schemas of values with envelope fields, by row schema, routed value, payload schema and version. */
  #schemas = new WeakMap<Schema, WeakMap<Schema, Map<string, Schema>>>()

  configure(options: OutboxOptions): void {
    this.#options = options
    this.#additional = additionalFields(options)
    this.#wraps = this.#additional.some(({ placement }) => placement === 'envelope')
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
    const routedBy = typed(row, options['route.by.field'], 'control').value
    if (typeof routedBy !== 'string') {
      throw new DataError(
        'CONNECT_TRANSFORM_FIELD',
        `The column of route.by.field is null or no text: ${options['route.by.field']}`,
      )
    }
    const headers: Header[] = [...record.headers, { key: 'id', ...typed(row, options['table.field.event.id']) }]
    // A source leaves the partition to the producer: that of the outbox table says nothing about the new topic.
    let partition = record instanceof SinkRecord ? record.partition : null
    const inEnvelope: FieldOf[] = []
    for (const { column, placement, alias } of this.#additional) {
      if (this.#ignoresMissing && !row.schema.fieldsByName.has(column)) continue
      const field = typed(row, column, placement === 'partition' ? 'control' : 'data')
      if (placement === 'header') headers.push({ key: alias, ...field })
      else if (placement === 'envelope') inEnvelope.push({ name: alias, ...field })
      else partition = partitionOf(column, field) ?? partition
    }
    const payload = this.#payload(row, options)
    const value = this.#wraps ? this.#wrapped(row, payload, inEnvelope, { routedBy, options }) : payload
    const empty = payload.value === null || (typeof payload.value === 'string' && payload.value.trim() === '')
    const isTombstone = empty && options['route.tombstone.on.empty.payload']
    const key = typed(row, options['table.field.event.key'])
    return record.with({
      topic: this.#topic(routedBy, options),
      partition,
      keySchema: key.schema,
      key: key.value,
      valueSchema: isTombstone ? null : value.schema,
      value: isTombstone ? null : value.value,
      timestamp: timestampOf(envelope, row, options),
      headers,
    })
  }

  #topic(routedBy: string, options: OutboxOptions): string {
    const match = this.#regex.match(routedBy)
    return match === null ? routedBy : expandReplacement(options['route.topic.replacement'], match)
  }

  #payload(row: OutboxRow, options: OutboxOptions): Typed {
    const payload = typed(row, options['table.field.event.payload'])
    if (!options['table.expand.json.payload'] || typeof payload.value !== 'string') return payload
    try {
      return expandJson(payload.value, this.#json)
    } catch (error) {
      // What is no JSON stays text, as in Debezium; anything else is a fault of this program.
      if (error instanceof SyntaxError || error instanceof DataError) return payload
      throw error
    }
  }

  /** A struct of the payload and the fields placed in the envelope. */
  #wrapped(
    row: OutboxRow,
    payload: Typed,
    fields: readonly FieldOf[],
    { routedBy, options }: { readonly routedBy: string; readonly options: OutboxOptions },
  ): Typed {
    const value: Record<string, Value> = { payload: payload.value }
    for (const field of fields) setMember(value, field.name, field.value)
    const named = { routedBy, version: versionOf(row, options) }
    const spec = [{ name: 'payload', schema: payload.schema }, ...fields]
    return { schema: this.#envelopeSchema(row.schema, payload.schema, spec, named), value }
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
      const name = row.name?.replace(/([^.]*)$/, (last) => `${named.routedBy}.${last}`) ?? named.routedBy
      schema = structLike({ ...row, name, version: named.version, doc: null, parameters: null }, fields)
      if (known.size >= maxCachedSchemas) known.clear()
      known.set(cacheKey, schema)
    }
    return schema
  }
}

/**
 * A column; of those that become data the default stands in for null, of those that steer it does not, as in Debezium.
 * @throws DataError where there is no such column
 */
function typed(row: OutboxRow, column: string, use: 'data' | 'control' = 'data'): Typed {
  const field = row.schema.fieldsByName.get(column)
  if (field === undefined) {
    throw new DataError('CONNECT_TRANSFORM_FIELD', `Unable to find the column ${column} in the outbox event`)
  }
  return { schema: field.schema, value: fieldValue(row.struct, field, use === 'data') }
}

function partitionOf(
  column: string,
  { schema, value }: { readonly schema: Schema; readonly value: Value },
): number | null {
  if (schema.type === 'INT32' && (typeof value === 'number' || value === null)) return value
  throw new DataError('CONNECT_DATA_TYPE', `The column ${column} is placed in the partition and holds no int32`)
}

/** @throws DataError for a column that holds no int32 */
function versionOf(row: OutboxRow, options: OutboxOptions): number | null {
  const column = options['table.field.event.schema.version']
  if (column === null) return null
  const { schema, value } = typed(row, column, 'control')
  if (schema.type === 'INT32' && (typeof value === 'number' || value === null)) return value
  throw new DataError('CONNECT_DATA_TYPE', `The column ${column} is the version of a schema and holds no int32`)
}

/**
 * Milliseconds since 1970; of a null column the time of the change. Beside what Debezium takes, the types that it gives
 * to `timestamptz` and, with time.precision.mode=connect, to `timestamp`.
 * @throws DataError for a column of another type than a timestamp
 */
function timestampOf(envelope: Struct, row: OutboxRow, options: OutboxOptions): number | null {
  const column = options['table.field.event.timestamp']
  const changedAt = rawMember(envelope, 'ts_ms')
  const fallback = typeof changedAt === 'bigint' ? Number(changedAt) : null
  if (column === null) return fallback
  const { schema, value } = typed(row, column, 'control')
  if (value instanceof Date) return value.getTime()
  const isZoned = schema.name === 'io.debezium.time.ZonedTimestamp'
  if (value === null && (schema.type === 'INT64' || isZoned)) return fallback
  const unit = unitsPerMs[schema.name ?? '']
  if (typeof value === 'bigint' && unit !== undefined) return Number(value / unit)
  const zoned = isZoned && typeof value === 'string' ? Date.parse(value) : Number.NaN
  if (!Number.isNaN(zoned)) return zoned
  throw new DataError('CONNECT_DATA_TYPE', `The column ${column} holds no timestamp that an event can carry`)
}

const unitsPerMs: Readonly<Record<string, bigint | undefined>> = {
  'io.debezium.time.Timestamp': 1n,
  'io.debezium.time.MicroTimestamp': 1000n,
  'io.debezium.time.NanoTimestamp': 1_000_000n,
}

export const outboxEventRouter = defineTransformation({
  name: 'io.debezium.transforms.outbox.EventRouter',
  aliases: [],
  version: debeziumVersion,
  config: outboxConfig,
  create: async () => new OutboxEventRouter(),
})
