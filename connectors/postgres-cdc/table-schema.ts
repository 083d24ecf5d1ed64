/** Relation → key, value and envelope schemas with the plan by which rows are written. */
import { makeSchema, type Schema, Schemas } from '../../worker/api/data.ts'
import { ConnectError } from '../../worker/api/errors.ts'
import type { CatalogColumn, CatalogDetails } from './catalog.ts'
import type { ColumnMappers, MappedColumn } from './column-mappers.ts'
import type { CustomConverters } from './custom-converters.ts'
import { envelopeSchemaOf } from './event-schemas.ts'
import type { Filters } from './filters.ts'
import { adjustFieldName, adjustSchemaName, type NameAdjustment, type TopicNames } from './names.ts'
import type { FieldPlan, RowPlan } from './row-plan.ts'
import { columnCodec, type PgType, resolveType, type TypeLookup } from './types.ts'
import { type ReadFrom, stringCodec, type ValueOptions, valueCodec } from './values/codec.ts'
import { schemaDefault } from './values/defaults.ts'

export interface EnumColumn {
  readonly column: number
  readonly typeOid: number
  readonly labels: ReadonlySet<string>
}

/** Everything about a table that its events need; made once per distinct state of the table. */
export interface TableSchema {
  readonly schema: string
  readonly table: string
  /** `schema.table` */
  readonly id: string
  readonly topic: string
  readonly key: RowPlan | null
  readonly value: RowPlan
  readonly envelope: Schema
  /** Columns whose labels may grow while the stream runs. */
  readonly enums: readonly EnumColumn[]
  /** Columns of the primary key, in its order; empty without one. */
  readonly primaryKey: readonly string[]
  /** Names of the tuple's columns that stand in events; the snapshot selects them. */
  readonly columns: readonly string[]
}

/** A column as a tuple has it. */
export interface TupleColumn {
  readonly name: string
  readonly typeOid: number
  readonly typmod: number
}

export interface TableSchemaOptions {
  readonly values: ValueOptions
  readonly filters: Filters
  readonly mappers: ColumnMappers
  /** Null where none are configured. */
  readonly converters: CustomConverters | null
  readonly topics: TopicNames
  readonly schemaNames: NameAdjustment
  readonly fieldNames: NameAdjustment
}

interface TableInput {
  readonly schema: string
  readonly table: string
  readonly tuple: readonly TupleColumn[]
  readonly details: CatalogDetails
  readonly from: ReadFrom
}

/** Builds table schemas; equal states of a table share one object, so converters cache by identity. */
export class TableSchemas {
  readonly #options: TableSchemaOptions
  readonly #lookup: TypeLookup
  readonly #lookupElement: TypeLookup
  readonly #interned = new Map<string, TableSchema>()
  readonly #byEnvelope = new WeakMap<Schema, TableSchema>()

  constructor(options: TableSchemaOptions, types: { readonly type: TypeLookup; readonly element: TypeLookup }) {
    this.#options = options
    this.#lookup = types.type
    this.#lookupElement = types.element
  }

  /** The types of all columns must be loaded. @throws ConnectError when columns differ only by case */
  build(input: TableInput): TableSchema {
    rejectEqualNames(input)
    const fingerprint = this.#fingerprint(input)
    let built = this.#interned.get(fingerprint)
    if (built === undefined) {
      built = this.#make(input)
      this.#interned.set(fingerprint, built)
      this.#byEnvelope.set(built.envelope, built)
    }
    return built
  }

  /** The table of an event by its schema; null for a schema that was not built here. */
  ofEnvelope(envelope: Schema): TableSchema | null {
    return this.#byEnvelope.get(envelope) ?? null
  }

  #fingerprint({ schema, table, tuple, details, from }: TableInput): string {
    const labels = tuple.map((column) => resolveType(column.typeOid, column.typmod, this.#lookup)?.base.labels ?? [])
    return JSON.stringify([schema, table, from, tuple, labels, details])
  }

  #make(input: TableInput): TableSchema {
    const { schema, table, details, from } = input
    const { filters, topics, schemaNames } = this.#options
    const captured = (column: string) => filters.capturesColumn(schema, table, column)
    const byName = new Map(details.columns.map((column) => [column.name, column]))
    const topic = topics.table(schema, table)
    const names = (part: string) => adjustSchemaName(`${topic}.${part}`, schemaNames)
    const fields: FieldPlan[] = []
    for (const [index, column] of input.tuple.entries()) {
      if (!captured(column.name)) continue
      const field = this.#field(input, column, index, byName.get(column.name))
      if (field !== null) fields.push(this.#options.mappers.apply(field, this.#mapped(input, column, byName)))
    }
    const value: RowPlan = { schema: structOf(names('Value'), fields, true), fields }
    return {
      schema,
      table,
      id: `${schema}.${table}`,
      topic,
      key: this.#key(input, byName, names('Key')),
      value,
      envelope: envelopeSchemaOf(names('Envelope'), value.schema),
      enums: from === 'stream' ? this.#enums(input, captured) : [],
      primaryKey: details.key?.primary === true ? details.key.columns : [],
      columns: input.tuple.map((column) => column.name),
    }
  }

  #mapped(input: TableInput, column: TupleColumn, catalog: ReadonlyMap<string, CatalogColumn>): MappedColumn {
    const type = this.#lookup(column.typeOid)
    const resolved = resolveType(column.typeOid, column.typmod, this.#lookup)
    return {
      id: `${input.schema}.${input.table}.${column.name}`,
      table: `${input.schema}.${input.table}`,
      name: column.name,
      type,
      from: input.from,
      resolved,
      element: resolved?.base.category === 'A' ? this.#lookup(resolved.base.elementOid) : undefined,
      expression: catalog.get(column.name)?.expression ?? null,
    }
  }

  #field(input: TableInput, column: TupleColumn, index: number, known: CatalogColumn | undefined): FieldPlan | null {
    const { values, fieldNames } = this.#options
    const resolved = resolveType(column.typeOid, column.typmod, this.#lookup)
    if (resolved === null) return null
    const place = { column: index, name: adjustFieldName(column.name, fieldNames) }
    const custom = this.#options.converters?.convert({
      schema: input.schema,
      table: input.table,
      name: column.name,
      typeName: this.#lookup(column.typeOid)?.name ?? resolved.base.name,
      typeOid: column.typeOid,
      resolved,
      isOptional: !(known?.notNull ?? false),
      defaultValue: known?.expression ?? null,
    })
    if (custom != null) return { ...place, ...custom }
    const codec = columnCodec(resolved, {
      options: values,
      lookup: this.#lookup,
      lookupElement: this.#lookupElement,
      from: input.from,
    })
    if (codec === null) return null
    const optional = !(known?.notNull ?? false)
    const expression = known?.expression ?? null
    const defaultValue = expression === null ? null : schemaDefault(expression, resolved, codec)
    const onNull = optional ? null : (defaultValue ?? codec.fallback)
    return {
      ...place,
      // Some shapes are optional whatever their column is.
      schema: makeSchema({ ...codec.spec, optional: optional || codec.spec.optional === true, defaultValue }),
      codec: codec.isUnread === true ? valueCodec(codec, () => onNull) : codec,
      onNull,
    }
  }

  #key(input: TableInput, catalog: ReadonlyMap<string, CatalogColumn>, name: string): RowPlan | null {
    const { schema, table, tuple, details, from } = input
    const names = from === 'snapshot' ? details.columns : tuple
    const custom = this.#options.filters.keyColumns(
      schema,
      table,
      names.map((column) => column.name),
    )
    const columns = custom ?? details.key?.columns ?? []
    const fields: FieldPlan[] = []
    let isKeyed = false
    for (const column of columns) {
      const known = catalog.get(column)
      const index = tuple.findIndex((candidate) => candidate.name === column)
      const inTuple = tuple[index] ?? (from === 'snapshot' ? known : undefined)
      if (inTuple === undefined) continue
      // A key of types that are left out of events has no fields, and is none the less a key.
      isKeyed = true
      // An excluded key column: only its fallback in a snapshot that does not select it; optional in the stream.
      const excluded = !this.#options.filters.capturesColumn(schema, table, column)
      const field = this.#field(input, inTuple, index, excluded && from === 'stream' ? undefined : known)
      if (field !== null) fields.push(field)
    }
    const { origin } = this.#options.topics
    if (origin !== null) fields.push(constantField(origin.name, origin.value(schema, table)))
    return !isKeyed && origin === null ? null : { schema: structOf(name, fields, false), fields }
  }

  #enums(input: TableInput, captured: (column: string) => boolean): readonly EnumColumn[] {
    return input.tuple.flatMap((column, index) => {
      const type: PgType | undefined = resolveType(column.typeOid, column.typmod, this.#lookup)?.base
      if (type?.kind !== 'e' || !captured(column.name)) return []
      return [{ column: index, typeOid: type.oid, labels: new Set(type.labels) }]
    })
  }
}

/** A field that no column has. */
function constantField(name: string, value: string): FieldPlan {
  return { column: -1, name, schema: Schemas.string, codec: stringCodec({}, new Uint8Array()), onNull: value }
}

function structOf(name: string, fields: readonly FieldPlan[], optional: boolean): Schema {
  return makeSchema({
    type: 'STRUCT',
    name,
    optional,
    fields: fields.map((field) => ({ name: field.name, schema: field.schema })),
  })
}

/** Debezium looks columns up without regard to case and refuses tables where that is ambiguous. */
function rejectEqualNames({ schema, table, tuple }: TableInput): void {
  const seen = new Map<string, string>()
  for (const { name } of tuple) {
    const other = seen.get(name.toLowerCase())
    if (other !== undefined) {
      throw new ConnectError(
        'fatal',
        'CONNECT_POSTGRES_COLUMN_NAMES',
        `Table ${schema}.${table} has columns whose names differ only by case: ${other}, ${name}. ` +
          'Rename one of them or exclude the table.',
      )
    }
    seen.set(name.toLowerCase(), name)
  }
}
