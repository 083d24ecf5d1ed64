import type { Converter, ConverterRole, SchemaAndValue } from '../api/converter.ts'
import { makeSchema, type Schema, type Struct, type Value } from '../api/data.ts'
import { DataError } from '../api/errors.ts'
import { parseJsonBytes, stringifyJson } from '../api/json.ts'
import type { Headers } from '../api/record.ts'
import { isStruct } from '../api/values.ts'
import type { CloudEventsConverterConfig } from './cloud-events-config.ts'
import { JsonConverter } from './json.ts'

const nothing: SchemaAndValue = Object.freeze({ schema: null, value: null })

/** What the attributes of an event are made of: the part of a change event that every connector has. */
interface ChangeEvent {
  readonly source: Struct
  readonly sourceSchema: Schema
  readonly transaction: Struct | null
  readonly op: string
}

/**
 * Change events of Debezium as CloudEvents 1.0 in JSON, and back to their attributes. A value that is no change event
 * is an error: Debezium's converter writes a tombstone in its place, which loses the record (I3, I6); only heartbeats
 * and transaction markers become one here, too.
 */
export class CloudEventsConverter implements Converter<CloudEventsConverterConfig> {
  readonly #data = new JsonConverter()
  readonly #dataSchemas = new WeakMap<Schema, Schema>()
  #extensions = true
  #schemas = true

  configure(config: CloudEventsConverterConfig, role: ConverterRole): void {
    this.#extensions = config['extension.attributes.enable']
    this.#schemas = config['json.schemas.enable']
    const json = {
      'schemas.enable': this.#schemas,
      'schemas.cache.size': 1000,
      'schema.content': null,
      'decimal.format': config['json.decimal.format'],
      'replace.null.with.default': config['json.replace.null.with.default'],
      'converter.type': config['converter.type'],
    }
    this.#data.configure(json, role)
  }

  fromConnectData(topic: string, headers: Headers, schema: Schema | null, value: Value): Uint8Array | null {
    if (value === null) return null
    if (schema !== null && markers.test(schema.name ?? '')) return null
    const event = changeEventOf(schema, value)
    const connector = textOf(event.source, 'connector')
    const attributes: Record<string, Value> = {
      id: idOf(connector, event.source),
      source: `/debezium/${connector}/${textOf(event.source, 'name')}`,
      specversion: '1.0',
      type: `io.debezium.connector.${connector}.DataChangeEvent`,
      time: timeOf(event.source),
      datacontenttype: 'application/json',
    }
    if (this.#extensions) addExtensions(attributes, event)
    const dataSchema = this.#dataSchemaOf(schema as Schema, connector)
    const { before, after } = value as { before: Value; after: Value }
    const data = this.#data.fromConnectData(topic, headers, dataSchema, {
      before: before ?? null,
      after: after ?? null,
    })
    const head = stringifyJson(attributes).slice(0, -1)
    return Buffer.concat([Buffer.from(`${head},"data":`), data ?? Buffer.from('null'), Buffer.from('}')])
  }

  /** Before and after of the row, without the metadata that have become attributes. */
  #dataSchemaOf(schema: Schema, connector: string): Schema {
    let found = this.#dataSchemas.get(schema)
    if (found === undefined) {
      const fields = schema.fields.filter(({ name }) => name === 'before' || name === 'after')
      found = makeSchema({ type: 'STRUCT', name: `io.debezium.connector.${connector}.Data`, fields })
      this.#dataSchemas.set(schema, found)
    }
    return found
  }

  /** The attributes as a schemaless object; the data by their schema where the message has one. */
  toConnectData(topic: string, headers: Headers, bytes: Uint8Array | null): SchemaAndValue {
    if (bytes === null) return nothing
    const event = parsed(bytes)
    if (!this.#schemas || event['data'] === null || event['data'] === undefined) return { schema: null, value: event }
    const text = Buffer.from(stringifyJson(parsed(bytes, 'decimal')['data'] ?? null))
    return { schema: null, value: { ...event, data: this.#data.toConnectData(topic, headers, text).value } }
  }
}

/** Records that Debezium writes beside change events. */
const markers = /^io\.debezium\.connector\.common\.(?:Heartbeat|TransactionMetadataValue)$/

function changeEventOf(schema: Schema | null, value: Value): ChangeEvent {
  const sourceSchema = schema?.fieldsByName.get('source')?.schema
  if (value !== null && isStruct(value) && sourceSchema?.type === 'STRUCT' && schema?.fieldsByName.has('op') === true) {
    const { source = null, op = null, transaction = null } = value
    if (source !== null && isStruct(source) && typeof op === 'string') {
      return {
        source,
        sourceSchema,
        op,
        transaction: transaction !== null && isStruct(transaction) ? transaction : null,
      }
    }
  }
  const message =
    'A value is no change event of Debezium: use CloudEventsConverter as value.converter of such events only, without a transform that takes their envelope away'
  throw new DataError('CONNECT_DATA_TYPE', message)
}

/** Where an event stands in the log of its database. */
function idOf(connector: string, source: Struct): string {
  if (connector === 'postgresql') {
    const part = (name: string): string => plainText(source[name] ?? null) ?? 'null'
    return `name:${part('name')};lsn:${part('lsn')};txId:${part('txId')};sequence:${part('sequence')}`
  }
  throw new DataError('CONNECT_DATA_TYPE', `CloudEventsConverter knows no event id for the connector ${connector}`)
}

function timeOf(source: Struct): string | null {
  const ms = source['ts_ms']
  return typeof ms === 'bigint' || typeof ms === 'number' ? new Date(Number(ms)).toISOString() : null
}

/** All members of the source as text, named as CloudEvents allow: without underscores. */
function addExtensions(
  attributes: Record<string, Value>,
  { source, sourceSchema, op, transaction }: ChangeEvent,
): void {
  attributes['iodebeziumop'] = op
  for (const { name, schema } of sourceSchema.fields) {
    attributes[`iodebezium${name.replaceAll('_', '')}`] = plainText(source[name] ?? schema.defaultValue)
  }
  for (const name of ['id', 'total_order', 'data_collection_order']) {
    attributes[`iodebeziumtx${name.replaceAll('_', '')}`] = plainText(transaction?.[name] ?? null)
  }
}

function plainText(value: Value): string | null {
  if (value === null) return null
  return typeof value === 'object' ? stringifyJson(value) : String(value)
}

function textOf(source: Struct, name: string): string {
  const value = source[name]
  if (typeof value === 'string') return value
  throw new DataError('CONNECT_DATA_TYPE', `The source of a change event has no ${name}`)
}

const required = ['id', 'source', 'specversion', 'type', 'data']

function parsed(bytes: Uint8Array, fractions: 'double' | 'decimal' = 'double'): Struct {
  let json: Value
  try {
    json = parseJsonBytes(bytes, { fractions })
  } catch (error) {
    throw new DataError('CONNECT_DATA_SERIALIZATION', 'A CloudEvent is no JSON', { cause: error })
  }
  if (json !== null && isStruct(json)) {
    const event = json
    if (required.every((name) => Object.hasOwn(event, name))) return event
  }
  throw new DataError('CONNECT_DATA_SERIALIZATION', "A deserialized record's value is not a CloudEvent")
}
