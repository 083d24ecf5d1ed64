import { Decimal, Float64, LogicalName, type Schema, type Value } from '../../worker/api/data.ts'
import type { ColumnType, MessageColumn } from '../common/metadata-message.ts'
import { isJsonObject } from './field-access.ts'

/** Members beyond which rows are taken for maps with ids as names, not for rows of a table. */
const maxColumns = 1600

const unsized = { length: null, precision: null, scale: null } as const

interface Found {
  /** Null while only nulls were seen. */
  type: ColumnType | null
  nullable: boolean
}

/**
 * Columns of the rows of one object: of the value schema where there is one, else found in the JSON objects
 * themselves. Types that differ between rows widen: integers to float64, scalars to string, anything else to struct
 * (a column that takes every JSON value).
 */
export class ColumnCollector {
  #schema: Schema | null = null
  #fromSchema: readonly MessageColumn[] | null = null
  readonly #found = new Map<string, Found>()
  #rows = 0
  #isTable = true
  readonly #order: readonly string[]

  /** `order`: the columns that the format writes, in this order; empty when the rows decide. */
  constructor(order: readonly string[]) {
    this.#order = order
  }

  add(schema: Schema | null, value: Value): void {
    if (!this.#isTable) return
    this.#rows++
    if (schema !== null) {
      if (schema === this.#schema) return
      this.#schema = schema
      if (schema.type === 'STRUCT') this.#fromSchema = schema.fields.map((f) => columnOf(f.name, f.schema))
      else this.#isTable = false
      return
    }
    if (isJsonObject(value)) this.#addMembers(value)
    else this.#isTable = false
  }

  /** Null when the rows are no table. */
  get columns(): readonly MessageColumn[] | null {
    const columns = this.#unordered
    if (columns === null || this.#order.length === 0) return columns
    const byName = new Map(columns.map((column) => [column.name, column]))
    // Text takes whatever later rows may bring.
    return this.#order.map((name) => byName.get(name) ?? { name, type: 'string', nullable: true, ...unsized })
  }

  get #unordered(): readonly MessageColumn[] | null {
    if (!this.#isTable || this.#rows === 0) return null
    if (this.#fromSchema !== null) return this.#found.size === 0 ? this.#fromSchema : null
    const columns: MessageColumn[] = []
    for (const [name, { type, nullable }] of this.#found) {
      // A column in which only nulls were seen is left for a later file to type.
      if (type !== null) columns.push({ name, type, nullable, ...unsized })
    }
    return columns
  }

  #addMembers(members: Readonly<Record<string, Value>>): void {
    for (const name in members) {
      const value = members[name] ?? null
      const found = this.#found.get(name)
      if (found === undefined) {
        // Rows before this one did not have the member.
        this.#found.set(name, { type: typeOf(value), nullable: true })
        if (this.#found.size > maxColumns) this.#isTable = false
      } else if (value !== null) {
        const type = typeOf(value)
        if (type !== found.type) found.type = widen(found.type, type)
      }
    }
  }
}

function typeOf(value: Value): ColumnType | null {
  switch (typeof value) {
    case 'string':
      return 'string'
    case 'boolean':
      return 'boolean'
    case 'bigint':
      return BigInt.asIntN(64, value) === value ? 'int64' : 'decimal'
    case 'number':
      return Number.isInteger(value) ? 'int64' : 'float64'
    default:
      if (value === null) return null
      if (value instanceof Float64) return 'float64'
      if (value instanceof Decimal) return 'decimal'
      if (value instanceof Date) return 'int64'
      if (value instanceof Uint8Array) return 'string'
      return Array.isArray(value) ? 'array' : 'struct'
  }
}

const numeric: ReadonlySet<ColumnType> = new Set(['int64', 'decimal', 'float64'])
const structured: ReadonlySet<ColumnType> = new Set(['array', 'struct'])

function widen(a: ColumnType | null, b: ColumnType | null): ColumnType | null {
  if (a === null || b === null || a === b) return a ?? b
  if (structured.has(a) || structured.has(b)) return 'struct'
  return numeric.has(a) && numeric.has(b) ? 'float64' : 'string'
}

function columnOf(name: string, schema: Schema): MessageColumn {
  const nullable = schema.optional || schema.defaultValue !== null
  return { name, type: schemaType(schema), nullable, length: null, precision: null, scale: scaleOf(schema) }
}

function scaleOf(schema: Schema): number | null {
  return schema.name === LogicalName.decimal ? Number(schema.parameters?.get('scale') ?? 0) : null
}

function schemaType(schema: Schema): ColumnType {
  switch (schema.name) {
    case LogicalName.decimal:
      return 'decimal'
    case LogicalName.date:
      return 'date'
    case LogicalName.time:
      return 'time'
    case LogicalName.timestamp:
      return 'timestamp'
    default:
      return schema.type.toLowerCase() as ColumnType
  }
}
