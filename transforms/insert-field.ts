import { type ConfigOf, defineConfig } from '../worker/api/config.ts'
import { copySchema, LogicalName, makeSchema, type Schema, Schemas, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { type ConnectRecord, SinkRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import {
  keyAndValue,
  type RecordPart,
  replaceNullOption,
  requireMap,
  requireStruct,
  SchemaCache,
  StructCopier,
  setMember,
  structLike,
} from './record-part.ts'

const suffixes =
  'Suffix with <code>!</code> to make this a required field, or <code>?</code> to keep it optional (the default).'
const config = defineConfig(
  {
    'topic.field': {
      type: 'STRING',
      default: null,
      importance: 'MEDIUM',
      doc: `Field name for Kafka topic. ${suffixes}`,
    },
    'partition.field': {
      type: 'STRING',
      default: null,
      importance: 'MEDIUM',
      doc: `Field name for Kafka partition. ${suffixes}`,
    },
    'offset.field': {
      type: 'STRING',
      default: null,
      importance: 'MEDIUM',
      doc: `Field name for Kafka offset - only applicable to sink connectors.<br/>${suffixes}`,
    },
    'timestamp.field': {
      type: 'STRING',
      default: null,
      importance: 'MEDIUM',
      doc: `Field name for record timestamp. ${suffixes}`,
    },
    'static.field': {
      type: 'STRING',
      default: null,
      importance: 'MEDIUM',
      doc: `Field name for static data field. ${suffixes}`,
    },
    'static.value': {
      type: 'STRING',
      default: null,
      importance: 'MEDIUM',
      doc: 'Static field value, if field name configured.',
    },
    'replace.null.with.default': replaceNullOption,
  },
  {
    validate(options) {
      const names = [
        options['topic.field'],
        options['partition.field'],
        options['offset.field'],
        options['timestamp.field'],
      ]
      const field = options['static.field']
      if (field === null && names.every((name) => name === null)) {
        return [{ option: 'topic.field', message: 'No field insertion configured' }]
      }
      if (field === null || options['static.value'] !== null) return []
      return [
        {
          option: 'static.value',
          message: `Invalid value null for configuration static.value: No value specified for static field: ${field}`,
        },
      ]
    },
  },
)

const purpose = 'field insertion'
const timestampSchema = makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1 })

/** One field to add; a null value is left out. */
interface Insertion {
  readonly name: string
  readonly optional: boolean
  readonly schema: Schema
  value(record: ConnectRecord, typed: boolean): Value
}

interface Plan {
  readonly copier: StructCopier
  readonly schema: Schema
}

/** Adds fields from the record's coordinates, or a fixed text. */
class InsertField implements Transformation<ConfigOf<typeof config>> {
  readonly #part: RecordPart
  #insertions: readonly Insertion[] = []
  #replaceNull = true
  #plans = new SchemaCache<Plan>((schema) => this.#plan(schema))

  constructor(part: RecordPart) {
    this.#part = part
  }

  configure(options: ConfigOf<typeof config>): void {
    this.#replaceNull = options['replace.null.with.default']
    const staticValue = options['static.value']
    this.#insertions = [
      insertion(options['topic.field'], Schemas.string, (record) => record.topic),
      insertion(options['partition.field'], Schemas.int32, (record) => record.partition),
      insertion(options['offset.field'], Schemas.int64, sinkOffset),
      insertion(options['timestamp.field'], timestampSchema, (record, typed) =>
        record.timestamp !== null && typed ? new Date(record.timestamp) : record.timestamp,
      ),
      insertion(options['static.field'], Schemas.string, () => staticValue),
    ].filter((i) => i !== null)
    this.#plans = new SchemaCache((schema) => this.#plan(schema))
  }

  apply<R extends ConnectRecord>(record: R): R {
    const value = this.#part.value(record)
    if (value === null) return record
    const schema = this.#part.schema(record)
    if (schema === null) {
      const copy: Record<string, Value> = { ...requireMap(value, purpose) }
      this.#insert(record, copy, false)
      return this.#part.replace(record, null, copy)
    }
    const struct = requireStruct(value, purpose)
    const plan = this.#plans.get(schema)
    const result = plan.copier.copy(struct)
    this.#insert(record, result, true)
    return this.#part.replace(record, plan.schema, result)
  }

  #insert(record: ConnectRecord, target: Record<string, Value>, typed: boolean): void {
    for (const { name, value } of this.#insertions) {
      const item = value(record, typed)
      if (item !== null || typed) setMember(target, name, item)
    }
  }

  #plan(schema: Schema): Plan {
    const added = this.#insertions.map(({ name, optional, schema: s }) => ({
      name,
      schema: optional ? copySchema(s, { optional: true }) : s,
    }))
    return {
      copier: new StructCopier(schema, this.#replaceNull),
      schema: structLike(schema, [...schema.fields, ...added]),
    }
  }
}

function insertion(option: string | null, schema: Schema, value: Insertion['value']): Insertion | null {
  if (option === null) return null
  const suffix = option.at(-1)
  const name = suffix === '!' || suffix === '?' ? option.slice(0, -1) : option
  return { name, optional: suffix !== '!', schema, value }
}

function sinkOffset(record: ConnectRecord): Value {
  if (record instanceof SinkRecord) return record.offset
  throw new DataError(
    'CONNECT_TRANSFORM_RECORD',
    'Only SinkRecord supported for [field insertion], found: org.apache.kafka.connect.source.SourceRecord',
  )
}

export const insertField = keyAndValue({
  name: 'org.apache.kafka.connect.transforms.InsertField',
  config,
  create: (part) => new InsertField(part),
})
