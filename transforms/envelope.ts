import { createHash, randomUUID } from 'node:crypto'
import { type ConfigOf, defineConfig, oneOfIgnoringCase, type Validator } from '../worker/api/config.ts'
import type { Clock, Histogram } from '../worker/api/context.ts'
import { LogicalName, makeSchema, type Schema, Schemas, type Struct, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { javaText } from '../worker/api/java-text.ts'
import { stringifyJson } from '../worker/api/json.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import { type ConnectRecord, type Header, lastHeader, SinkRecord, SourceRecord } from '../worker/api/record.ts'
import type { Transformation, TransformationContext } from '../worker/api/transform.ts'
import { isStruct } from '../worker/api/values.ts'
import { FieldPath } from './field-path.ts'
import { keyPart, requireMap, SchemaCache, valuePart } from './record-part.ts'

const placeholder = /\$\{([^}]*)\}/g

const template: Validator = {
  description: 'text with ${topic}, ${value.…}, ${key.…} or ${header.…}',
  check: (_, value) => {
    for (const [whole, name = ''] of String(value).matchAll(placeholder)) {
      if (!/^(?:topic|(?:key|value|header)\..+)$/.test(name)) {
        return `${whole} is unknown; use \${topic}, \${key.field}, \${value.field} or \${header.name}`
      }
    }
    return null
  },
}

const config = defineConfig({
  source: {
    type: 'STRING',
    default: '${topic}',
    importance: 'HIGH',
    valid: template,
    doc: 'Who the record comes from, in header and field `source`: text with ${topic}, ${value.a.b}, ${key.a} or ${header.name}.',
  },
  type: {
    type: 'STRING',
    default: '${topic}',
    importance: 'HIGH',
    valid: template,
    doc: 'Kind of the event, in header and field `type`; text as for source.',
  },
  version: {
    type: 'STRING',
    default: '1',
    importance: 'HIGH',
    valid: template,
    doc: 'Version of the event, in header and field `version`; text as for source.',
  },
  'id.from': {
    type: 'STRING',
    default: 'position',
    importance: 'MEDIUM',
    valid: oneOfIgnoringCase('position', 'random', 'template'),
    doc: 'Id of the record. position: a hash of where it was read, so that a record delivered twice has one id. random: a UUID. template: what id.template gives.',
  },
  'id.template': {
    type: 'STRING',
    default: '${value.id}',
    importance: 'LOW',
    valid: template,
    doc: 'Id for id.from=template; text as for source.',
  },
  'event.time.field': {
    type: 'STRING',
    default: '',
    importance: 'MEDIUM',
    doc: 'Field of the value with the time of the event (path with dots; a Timestamp, or milliseconds since 1970); empty: the timestamp of the record.',
  },
  'header.prefix': {
    type: 'STRING',
    default: 'envelope.',
    importance: 'LOW',
    doc: 'Put before the names of the headers id, accepted, source, type, version and lag.ms.',
  },
  wrap: {
    type: 'BOOLEAN',
    default: true,
    importance: 'MEDIUM',
    doc: 'Whether the value is wrapped into a struct of the same fields and `payload`; false: headers only. Tombstones are never wrapped, so that they stay tombstones.',
  },
})

type Options = ConfigOf<typeof config>

const timestamp = makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1 })
/** Upper bounds of the lag metric, in ms. */
const lagBuckets = [1, 5, 10, 50, 100, 500, 1000, 5000, 10_000, 60_000, 600_000, 3_600_000, 86_400_000]

/**
 * Gives every record an id, the time it was accepted, and its routing (source, type, version), as headers and as
 * fields around the value; and measures the lag from event time to acceptance, as a header and as a metric.
 */
class Envelope implements Transformation<Options> {
  readonly #clock: Pick<Clock, 'now'>
  readonly #lag: Histogram | null
  #options: Options | null = null
  #eventTime: FieldPath | null = null
  #source: Template = (record) => record.topic
  #type: Template = (record) => record.topic
  #version: Template = () => '1'
  #id: Template = positionId
  readonly #schemas = new SchemaCache(envelopeSchema)

  constructor(context: TransformationContext | undefined) {
    this.#clock = context?.clock ?? Date
    this.#lag =
      context?.metrics.histogram(
        'envelope-lag-ms',
        'Time from the event to its acceptance by the Envelope transform.',
        lagBuckets,
      ) ?? null
  }

  configure(options: Options): void {
    this.#options = options
    const field = options['event.time.field']
    this.#eventTime = field === '' ? null : new FieldPath(field, 'V2')
    this.#source = compileTemplate(options.source)
    this.#type = compileTemplate(options.type)
    this.#version = compileTemplate(options.version)
    const idFrom = options['id.from'].toLowerCase()
    if (idFrom === 'random') this.#id = () => randomUUID()
    else this.#id = idFrom === 'position' ? positionId : compileTemplate(options['id.template'])
  }

  apply<R extends ConnectRecord>(record: R): R {
    const options = this.#options
    if (options === null) return record
    const accepted = this.#clock.now()
    const eventTime = this.#timeOf(record)
    const lagMs = eventTime === null ? null : accepted - eventTime
    const source = this.#source(record)
    const type = this.#type(record)
    const version = this.#version(record)
    const id = this.#id(record)
    const text = (name: string, value: string): Header => ({
      key: options['header.prefix'] + name,
      schema: Schemas.string,
      value,
    })
    const headers = [...record.headers, text('id', id), this.#time(options, accepted)]
    headers.push(text('source', source), text('type', type), text('version', version))
    if (lagMs !== null) {
      this.#lag?.observe(lagMs)
      headers.push({ key: `${options['header.prefix']}lag.ms`, schema: Schemas.int64, value: BigInt(lagMs) })
    }
    if (!options.wrap || record.value === null) return record.with({ headers })
    const common = { id, accepted: new Date(accepted), source, type, version }
    const { valueSchema } = record
    if (valueSchema === null) {
      // Without a schema a Date has no JSON form; times are numbers there.
      return record.with({
        headers,
        value: { ...common, accepted: BigInt(accepted), lag_ms: bigintOf(lagMs), payload: record.value },
      })
    }
    const value: Struct = { ...common, lag_ms: bigintOf(lagMs), payload: record.value }
    return record.with({ headers, valueSchema: this.#schemas.get(valueSchema), value })
  }

  #time(options: Options, accepted: number): Header {
    return { key: `${options['header.prefix']}accepted`, schema: timestamp, value: new Date(accepted) }
  }

  /** Null when the record has no time. @throws DataError when the field holds something else */
  #timeOf(record: ConnectRecord): number | null {
    if (this.#eventTime === null || record.value === null) return record.timestamp
    const value = fieldOf(this.#eventTime, record.valueSchema, record.value)
    if (value === null) return record.timestamp
    if (value instanceof Date) return value.getTime()
    const ms = typeof value === 'bigint' || typeof value === 'number' ? Number(value) : Number.NaN
    if (Number.isSafeInteger(ms)) return ms
    throw new DataError(
      'CONNECT_TRANSFORM_TIMESTAMP',
      `The field ${this.#options?.['event.time.field']} of event.time.field holds neither a Timestamp nor milliseconds`,
    )
  }
}

const bigintOf = (value: number | null): bigint | null => (value === null ? null : BigInt(value))

function envelopeSchema(payload: Schema): Schema {
  return makeSchema({
    type: 'STRUCT',
    name: `${payload.name ?? 'sluice'}.Accepted`,
    version: 1,
    fields: [
      { name: 'id', schema: Schemas.string },
      { name: 'accepted', schema: timestamp },
      { name: 'source', schema: Schemas.string },
      { name: 'type', schema: Schemas.string },
      { name: 'version', schema: Schemas.string },
      { name: 'lag_ms', schema: Schemas.optionalInt64 },
      { name: 'payload', schema: payload },
    ],
  })
}

function fieldOf(path: FieldPath, schema: Schema | null, value: Value): Value {
  if (schema === null) return path.valueFromMap(requireMap(value, 'envelope'))
  return isStruct(value) ? path.valueFromStruct(schema, value, true) : null
}

/** Text of a record; throws a DataError for a placeholder that the record has nothing for. */
type Template = (record: ConnectRecord) => string

function compileTemplate(text: string): Template {
  const parts: (string | { readonly whole: string; readonly lookUp: (record: ConnectRecord) => string | null })[] = []
  let end = 0
  for (const match of text.matchAll(placeholder)) {
    parts.push(text.slice(end, match.index), { whole: match[0], lookUp: compileLookUp(match[1] ?? '') })
    end = match.index + match[0].length
  }
  parts.push(text.slice(end))
  return (record) => {
    let filled = ''
    for (const part of parts) {
      const found = typeof part === 'string' ? part : part.lookUp(record)
      if (found === null) {
        const placeholderText = typeof part === 'string' ? '' : part.whole
        throw new DataError('CONNECT_TRANSFORM_FIELD', `Envelope finds nothing for ${placeholderText} in the record`)
      }
      filled += found
    }
    return filled
  }
}

function compileLookUp(name: string): (record: ConnectRecord) => string | null {
  if (name === 'topic') return (record) => record.topic
  const dot = name.indexOf('.')
  const [holder, field] = [name.slice(0, dot), name.slice(dot + 1)]
  if (holder === 'header') {
    return (record) => {
      const header = lastHeader(record.headers, field)
      return header === null || header.value === null ? null : javaText(header.schema, header.value)
    }
  }
  const path = new FieldPath(field, 'V2')
  const part = holder === 'key' ? keyPart : valuePart
  return (record) => {
    const schema = part.schema(record)
    const value = part.value(record)
    const found = value === null ? null : fieldOf(path, schema, value)
    return found === null ? null : javaText(schema === null ? null : (path.fieldFrom(schema)?.schema ?? null), found)
  }
}

/** A UUID (version 8) that the same record of the same place gets again, whatever transforms ran before. */
function positionId(record: ConnectRecord): string {
  const hash = createHash('sha256')
  if (record instanceof SinkRecord) {
    hash.update(`${record.originalTopic}\0${record.originalPartition}\0${record.offset}`)
  } else if (record instanceof SourceRecord) {
    // Records of one source offset differ in key, and a delete from its tombstone in being one. Values hold times of
    // reading, which a second delivery changes, so that they count only where there is no key.
    hash.update(stringifyJson([record.sourcePartition, record.sourceOffset, record.topic, record.value === null]))
    const [schema, value] = record.key === null ? [record.valueSchema, record.value] : [record.keySchema, record.key]
    hash.update(`\0${javaText(schema, value, (bytes) => Buffer.from(bytes).toString('base64'))}`)
  }
  const bytes = hash.digest().subarray(0, 16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

export const envelope = defineTransformation({
  name: 'sluice.transforms.Envelope',
  aliases: ['Envelope'],
  version: '1.0.0',
  config,
  create: async (context) => new Envelope(context),
})
