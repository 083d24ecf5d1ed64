import { type ConfigOf, defineConfig, oneOfIgnoringCase } from '../worker/api/config.ts'
import { copySchema, type Field, makeSchema, type Schema, Schemas, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import { type ConnectRecord, type Header, type Headers, noHeaders } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct } from '../worker/api/values.ts'
import { debeziumVersion, EventReader, isEnvelope, isTombstone, rawMember as member } from './change-event.ts'
import { fieldValue, requireStruct, SchemaCache, StructCopier, setMember, structLike } from './record-part.ts'

const config = defineConfig({
  'delete.tombstone.handling.mode': {
    type: 'STRING',
    default: 'tombstone',
    importance: 'MEDIUM',
    valid: oneOfIgnoringCase('drop', 'tombstone', 'rewrite', 'rewrite-with-tombstone', 'delete-to-tombstone'),
    doc: 'What deletes and tombstones become. drop: nothing. tombstone: a null value that keeps its schema. rewrite: the old row with __deleted=true. rewrite-with-tombstone: that and the tombstone. delete-to-tombstone: a true tombstone.',
  },
  'add.fields': {
    type: 'LIST',
    default: [],
    importance: 'LOW',
    doc: 'Metadata to add as fields: op, ts_ms, table (of source), source.lsn, transaction.id and so on, with :newName to rename.',
  },
  'add.fields.prefix': {
    type: 'STRING',
    default: '__',
    importance: 'LOW',
    doc: 'Put before the names of added fields.',
  },
  'add.headers': {
    type: 'LIST',
    default: [],
    importance: 'LOW',
    doc: 'Metadata to add as headers, named as in add.fields.',
  },
  'add.headers.prefix': {
    type: 'STRING',
    default: '__',
    importance: 'LOW',
    doc: 'Put before the names of added headers.',
  },
  'route.by.field': {
    type: 'STRING',
    default: '',
    importance: 'LOW',
    doc: 'Field of the row whose value becomes the topic; empty keeps the topic.',
  },
  'drop.fields.header.name': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    doc: 'Header that lists names of fields to leave out.',
  },
  'drop.fields.from.key': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    doc: 'Whether those fields leave the key too.',
  },
  'drop.fields.keep.schema.compatible': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    doc: 'Whether only optional fields may be left out.',
  },
  'replace.null.with.default': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    doc: 'Whether in the rewrite modes a null column that has a default becomes that default; in the others it stays null.',
  },
})

type Options = ConfigOf<typeof config>

const purpose = 'source field insertion'
const deletedField = '__deleted'
const envelopeFields = new Set(['op', 'ts_ms', 'ts_us', 'ts_ns'])
const transactionFields = new Set(['id', 'total_order', 'data_collection_order'])

/** A piece of metadata to add: where it stands in the envelope and its new name. */
interface Reference {
  /** Envelope member that holds it (`source`, `transaction`); null for the envelope itself. */
  readonly struct: string | null
  readonly field: string
  readonly name: string
}

function parseReference(text: string, prefix: string): Reference {
  const [path = '', newName] = text.trim().split(':')
  const dot = path.indexOf('.')
  if (dot >= 0) {
    const struct = path.slice(0, dot)
    const field = path.slice(dot + 1)
    return { struct, field, name: prefix + (newName ?? `${struct}_${field}`) }
  }
  const struct = envelopeFields.has(path) ? null : transactionFields.has(path) ? 'transaction' : 'source'
  return { struct, field: path, name: prefix + (newName ?? path) }
}

/** The row as it is read and written, for one envelope schema and one side (`before`, `after`). */
interface RowPlan {
  readonly copier: StructCopier
  readonly added: readonly Reference[]
  readonly schema: Schema
}

/**
 * Debezium's "unwrap": a change event becomes the row alone. What is no change event (heartbeats, transaction
 * metadata, messages) passes unchanged.
 */
class ExtractNewRecordState implements Transformation<Options> {
  #mode = 'tombstone'
  #fields: readonly Reference[] = []
  #headers: readonly Reference[] = []
  #routeBy = ''
  #dropHeader: string | null = null
  #dropFromKey = false
  #dropOnlyOptional = true
  #replaceNull = true
  /** Headers of the deletion that came last, and the same with what was added to them. */
  #ofDeletion: { readonly headers: Headers; readonly extended: Headers } | null = null
  #after = new SchemaCache((schema) => this.#plan(schema, 'after'))
  #before = new SchemaCache((schema) => this.#plan(schema, 'before'))

  configure(options: Options): void {
    this.#mode = options['delete.tombstone.handling.mode'].toLowerCase()
    this.#fields = options['add.fields'].map((text) => parseReference(text, options['add.fields.prefix']))
    this.#headers = options['add.headers'].map((text) => parseReference(text, options['add.headers.prefix']))
    this.#routeBy = options['route.by.field']
    this.#dropHeader = options['drop.fields.header.name'] || null
    this.#dropFromKey = options['drop.fields.from.key']
    this.#dropOnlyOptional = options['drop.fields.keep.schema.compatible']
    // Debezium copies a row, and with it puts defaults in place of nulls, only to add the deleted mark to it.
    this.#replaceNull = options['replace.null.with.default'] && this.#mode.startsWith('rewrite')
    this.#after = new SchemaCache((schema) => this.#plan(schema, 'after'))
    this.#before = new SchemaCache((schema) => this.#plan(schema, 'before'))
  }

  apply<R extends ConnectRecord>(record: R): R | null {
    const { valueSchema } = record
    // A delete event came before this tombstone and became what the mode says.
    if (isTombstone(record)) return this.#mode === 'rewrite-with-tombstone' ? this.#passTombstone(record) : null
    if (!isEnvelope(valueSchema)) return record
    const envelope = new EventReader(record, purpose)
    const op = envelope.get('op')
    if (op === 't') return null
    return op === 'd' ? this.#delete(record, valueSchema, envelope) : this.#row(record, valueSchema, envelope, 'after')
  }

  /**
   * Debezium's connectors give a deletion and its tombstone one and the same headers, and Debezium's transform adds to
   * them in place: what it added to the deletion stands on the tombstone too, before the operation. Here they are one
   * as long as nothing has replaced them on the way; `noHeaders`, which unrelated records share, never are.
   */
  #passTombstone<R extends ConnectRecord>(record: R): R {
    const deletion = this.#ofDeletion
    this.#ofDeletion = null
    const isShared = deletion?.headers === record.headers && record.headers !== noHeaders
    const headers = isShared ? deletion.extended : record.headers
    const op = this.#headers.find((reference) => reference.struct === null && reference.field === 'op')
    const more = op === undefined ? [] : [{ key: op.name, schema: Schemas.string, value: 'd' }]
    return headers === record.headers && more.length === 0 ? record : record.with({ headers: [...headers, ...more] })
  }

  #delete<R extends ConnectRecord>(record: R, schema: Schema, envelope: EventReader): R | null {
    if (this.#mode === 'drop') return null
    if (this.#mode.startsWith('rewrite')) {
      const rewritten = this.#row(record, schema, envelope, 'before')
      this.#ofDeletion = { headers: record.headers, extended: rewritten.headers }
      return rewritten
    }
    const keepsSchema = this.#mode === 'tombstone'
    const deleted = record.with({
      ...this.#route(schema, envelope, 'before'),
      headers: this.#withHeaders(record, schema, envelope),
      // In Debezium's mode "tombstone" the schema stays, so that JsonConverter writes an envelope or the text null.
      valueSchema: keepsSchema ? (schema.fieldsByName.get('after')?.schema ?? null) : null,
      value: null,
    })
    return this.#dropFields(record, deleted)
  }

  #row<R extends ConnectRecord>(record: R, schema: Schema, envelope: EventReader, side: 'before' | 'after'): R {
    const row = envelope.get(side)
    const headers = this.#withHeaders(record, schema, envelope)
    const routed = this.#route(schema, envelope, side)
    if (row === null) {
      const empty = record.with({
        ...routed,
        headers,
        valueSchema: schema.fieldsByName.get(side)?.schema ?? null,
        value: null,
      })
      return this.#dropFields(record, empty)
    }
    const plan = (side === 'after' ? this.#after : this.#before).get(schema)
    const source = requireStruct(row, purpose)
    const value = plan.copier.copy(source)
    if (this.#mode.startsWith('rewrite')) value[deletedField] = side === 'before' ? 'true' : 'false'
    for (const reference of plan.added) setMember(value, reference.name, referenced(envelope, reference))
    return this.#dropFields(record, record.with({ ...routed, headers, valueSchema: plan.schema, value }))
  }

  /** A null or empty field leaves the topic. @throws DataError for a field that is not there, or no text */
  #route(schema: Schema, envelope: EventReader, side: 'before' | 'after'): { readonly topic?: string } {
    const row = envelope.get(side)
    if (this.#routeBy === '' || !isStruct(row)) return {}
    const field = schema.fieldsByName.get(side)?.schema.fieldsByName.get(this.#routeBy)
    if (field?.schema.type !== 'STRING') {
      throw new DataError(
        'CONNECT_TRANSFORM_FIELD',
        `The field of route.by.field holds no topic name: ${this.#routeBy}`,
      )
    }
    const topic = fieldValue(row, field, this.#replaceNull && side === 'after')
    // Blank as Java trims: control characters too.
    return typeof topic === 'string' && /[^\0-\x20]/.test(topic) ? { topic } : {}
  }

  #withHeaders(record: ConnectRecord, schema: Schema, envelope: EventReader): readonly Header[] {
    if (this.#headers.length === 0) return record.headers
    const headers = [...record.headers]
    for (const reference of this.#headers) {
      const added = referencedSchema(schema, reference)
      if (added !== null) headers.push({ key: reference.name, schema: added, value: referenced(envelope, reference) })
    }
    return headers
  }

  #plan(envelope: Schema, side: 'before' | 'after'): RowPlan {
    const rowSchema = envelope.fieldsByName.get(side)?.schema
    if (rowSchema === undefined || rowSchema.type !== 'STRUCT') {
      throw new DataError('CONNECT_DATA_SCHEMA', `The change event has no struct "${side}"`)
    }
    const deleted = this.#mode.startsWith('rewrite') ? [{ name: deletedField, schema: Schemas.optionalString }] : []
    const known: Reference[] = []
    const added: { name: string; schema: Schema }[] = []
    for (const reference of this.#fields) {
      const schema = referencedSchema(envelope, reference)
      if (schema === null) continue
      known.push(reference)
      added.push({ name: reference.name, schema })
    }
    const schema = structLike(rowSchema, [...rowSchema.fields, ...deleted, ...added])
    return { copier: new StructCopier(rowSchema, this.#replaceNull), added: known, schema }
  }

  /** Leaves out of `changed` the fields that a header of the record lists. */
  #dropFields<R extends ConnectRecord>(record: R, changed: R): R {
    const header = this.#dropHeader
    if (header === null) return changed
    const listed = record.headers.find(({ key }) => key === header)?.value ?? null
    if (listed === null) return changed
    if (!Array.isArray(listed)) {
      throw new DataError('CONNECT_DATA_TYPE', `The header ${header} of drop.fields.header.name holds no list`)
    }
    if (listed.length === 0) return changed
    const names = new Set((listed as readonly Value[]).map(String))
    const [valueSchema, value] = this.#without(changed.valueSchema, changed.value, names)
    if (!this.#dropFromKey) return changed.with({ valueSchema, value })
    const [keySchema, key] = this.#without(changed.keySchema, changed.key, names)
    return changed.with({ valueSchema, value, keySchema, key })
  }

  #without(schema: Schema | null, value: Value, names: ReadonlySet<string>): readonly [Schema | null, Value] {
    if (schema === null || !isStruct(value)) return [schema, value]
    const kept = schema.fields.filter(
      (field) => !names.has(field.name) || (this.#dropOnlyOptional && !field.schema.optional),
    )
    const isWhole = kept.length === schema.fields.length
    if (isWhole && this.#dropOnlyOptional) return [schema, value]
    // What Debezium copies gets the defaults in place of nulls; it copies also where no field of the list is there.
    const result: Record<string, Value> = {}
    for (const field of kept) setMember(result, field.name, fieldValue(value, field, true))
    return [isWhole ? schema : this.#trimmed(schema, kept), result]
  }

  /** The same fields dropped from one schema give one schema, so that converters serialise it once. */
  readonly #trimmedSchemas = new SchemaCache(() => new Map<string, Schema>())

  #trimmed(schema: Schema, kept: readonly Field[]): Schema {
    const known = this.#trimmedSchemas.get(schema)
    const key = kept.map((field) => field.index).join(',')
    let trimmed = known.get(key)
    if (trimmed === undefined) {
      trimmed = makeSchema({ ...schema, fields: kept })
      if (known.size >= 100) known.clear()
      known.set(key, trimmed)
    }
    return trimmed
  }
}

function referenced(envelope: EventReader, { struct, field }: Reference): Value {
  if (struct === null) return envelope.get(field)
  const holder = envelope.get(struct)
  return isStruct(holder) ? member(holder, field) : null
}

/**
 * Schema of an added field or header: optional, and without the default of the original. Null where a part of the event
 * has none, which leaves it out; of the transaction, or of a part that no event has, that is an error, as in Debezium.
 */
function referencedSchema(envelope: Schema, { struct, field }: Reference): Schema | null {
  const holder = struct === null ? envelope : envelope.fieldsByName.get(struct)?.schema
  const schema = holder?.fieldsByName.get(field)?.schema
  if (schema !== undefined) return copySchema(schema, { optional: true, defaultValue: null })
  if (struct !== 'transaction' && holder !== undefined) return null
  throw new DataError('CONNECT_TRANSFORM_FIELD', `Unexpected field name: ${struct}.${field}: the change event has none`)
}

export const extractNewRecordState = defineTransformation({
  name: 'io.debezium.transforms.ExtractNewRecordState',
  aliases: [],
  version: debeziumVersion,
  config,
  create: async () => new ExtractNewRecordState(),
})
