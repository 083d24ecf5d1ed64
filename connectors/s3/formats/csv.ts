import { Decimal, Float64, LogicalName, type Schema, type Value } from '../../../worker/api/data.ts'
import { DataError } from '../../../worker/api/errors.ts'
import { temporalText } from '../../../worker/api/header-text.ts'
import { doubleJson, floatJson } from '../../../worker/api/json.ts'
import { isStruct } from '../../../worker/api/values.ts'
import { type ByteTarget, type FormatInput, LineEncoder, type RecordEncoder, type RecordFormat } from './format.ts'
import { JsonEncoder } from './json-encoder.ts'
import type { MetaColumn } from './meta-fields.ts'

export interface CsvFormatOptions {
  /** Empty: the fields of the first record's schema. */
  readonly columns: readonly string[]
  readonly header: boolean
  readonly metaColumns: readonly MetaColumn[]
}

/**
 * CSV as in RFC 4180, but lines end with a line feed alone, since Hive's reader takes a carriage return for data.
 * Null is an empty field, empty text a quoted one. Structures inside a row are JSON, bytes base64, decimals plain,
 * dates and times ISO 8601 in UTC.
 */
export class CsvFormat implements RecordFormat {
  readonly name = 'csv'
  readonly extension = '.csv'
  readonly #options: CsvFormatOptions
  readonly #json = new JsonEncoder(true)

  constructor(options: CsvFormatOptions) {
    this.#options = options
  }

  open(out: ByteTarget): RecordEncoder {
    // The first record that is written fixes the columns of the object.
    let columns: readonly string[] | null = null
    return new LineEncoder(out, (input, target) => {
      const names = columns ?? this.#columnsOf(input.schema)
      const row = this.#row(names, input)
      if (columns === null && this.#options.header) target.text(`${this.#headerOf(names)}\n`)
      target.text(`${row}\n`)
      columns = names
    })
  }

  #columnsOf(schema: Schema | null): readonly string[] {
    const { columns, metaColumns } = this.#options
    const names = columns.length > 0 ? columns : (schema?.fields.map(({ name }) => name) ?? [])
    if (names.length === 0) {
      throw new DataError('CONNECT_S3_SCHEMA_MISSING', 'CsvFormat needs structs with a schema, or csv.columns')
    }
    for (const { name } of metaColumns) {
      if (!names.includes(name)) continue
      const message = `The value has a field '${name}' of its own: rename one of them`
      throw new DataError('CONNECT_S3_META_FIELD_TAKEN', message)
    }
    return names
  }

  #headerOf(names: readonly string[]): string {
    return [...names, ...this.#options.metaColumns.map(({ name }) => name)].map(quoteField).join(',')
  }

  #row(names: readonly string[], { schema, value, record }: FormatInput): string {
    if (!isStruct(value) && !(value instanceof Map)) {
      throw new DataError('CONNECT_S3_VALUE_NOT_OBJECT', 'CsvFormat needs structs, maps or JSON objects as values')
    }
    let row = ''
    for (const [i, name] of names.entries()) {
      if (i > 0) row += ','
      const field = schema?.fieldsByName.get(name)?.schema ?? schema?.valueSchema ?? null
      const found = value instanceof Map ? value.get(name) : Object.hasOwn(value, name) ? value[name] : null
      row += this.#field(field, (found as Value | undefined) ?? field?.defaultValue ?? null)
    }
    for (const { schema: type, read } of this.#options.metaColumns) row += `,${this.#field(type, read(record))}`
    return row
  }

  #field(schema: Schema | null, value: Value): string {
    switch (typeof value) {
      case 'string':
        return quoteField(value)
      case 'boolean':
      case 'bigint':
        return String(value)
      case 'number':
        return numberField(schema, value)
      default:
    }
    if (value === null) return ''
    if (value instanceof Date) return dateField(schema, value)
    if (value instanceof Decimal) return value.toString()
    if (value instanceof Float64) return numberField(null, value.value)
    if (value instanceof Uint8Array) {
      return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
    }
    return quoteField(this.#json.encode(schema, value))
  }
}

const needsQuotes = /[",\r\n]|^\s|\s$|^$/

function quoteField(text: string): string {
  return needsQuotes.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function numberField(schema: Schema | null, value: number): string {
  if (schema?.type === 'FLOAT32') return floatJson(value).replaceAll('"', '')
  return Number.isFinite(value) ? String(value) : doubleJson(value).replaceAll('"', '')
}

function dateField(schema: Schema | null, date: Date): string {
  if (schema?.name === LogicalName.timestamp) return date.toISOString()
  if (schema?.name === LogicalName.date) return date.toISOString().slice(0, 10)
  return schema?.name === LogicalName.time ? date.toISOString().slice(11, 23) : temporalText(date)
}
