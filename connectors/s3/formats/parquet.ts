import type { ByteWriter, KeyValue, ParquetWriter, SchemaElement } from 'hyparquet-writer'
import { type AvroOptions, avroNamespace, compileAvro } from '../../../worker/api/avro-schema.ts'
import { copySchema, makeSchema, type Schema, schemaEquals, type Value } from '../../../worker/api/data.ts'
import { ConfigError, DataError, toError } from '../../../worker/api/errors.ts'
import { isStruct } from '../../../worker/api/values.ts'
import type { ByteTarget, FormatInput, RecordEncoder, RecordFormat } from './format.ts'
import type { MetaColumn } from './meta-fields.ts'
import { mismatch } from './mismatch.ts'
import { openParquetCodec, type ParquetCodec } from './parquet-codecs.ts'
import { type Cost, holdsOptionalItems, type ParquetColumn, ParquetTypes, type ParquetValue } from './parquet-schema.ts'

export interface ParquetFormatOptions {
  /** `parquet.codec`. */
  readonly codec: string
  /** As for Avro, by way of which the Java connector arrives at its columns. */
  readonly avro: Omit<AvroOptions, 'mismatch'>
  /** Rows wait until they hold about this much memory, then become a row group. */
  readonly rowGroupBytes: number
  readonly metaColumns: readonly MetaColumn[]
}

type Library = typeof import('hyparquet-writer')

/**
 * Parquet: one schema per object, that of its first record. Rows wait in columns until they make a row group, which is
 * encoded in one go; the task's memory limit ends row groups early.
 */
export class ParquetFormat implements RecordFormat {
  readonly name = 'parquet'
  readonly extension: string
  readonly library: Library
  readonly codec: ParquetCodec
  readonly options: ParquetFormatOptions

  private constructor(library: Library, codec: ParquetCodec, options: ParquetFormatOptions) {
    this.library = library
    this.codec = codec
    this.options = options
    this.extension = `${codec.suffix}.parquet`
  }

  /** Loads the writer and the codec. @throws ConfigError when one of them is not installed */
  static async create(options: ParquetFormatOptions): Promise<ParquetFormat> {
    let library: Library
    try {
      library = await import('hyparquet-writer')
    } catch (cause) {
      const message = `ParquetFormat needs the package 'hyparquet-writer' (${toError(cause).message}): install it`
      throw new ConfigError([{ option: 'format.class', message }], { cause })
    }
    return new ParquetFormat(library, await openParquetCodec(options.codec), options)
  }

  open(out: ByteTarget): RecordEncoder {
    return new ParquetEncoder(this, out)
  }
}

/** Rows are structs; any other value becomes the only field of one. */
const valueField = 'value'

class ParquetEncoder implements RecordEncoder {
  readonly #format: ParquetFormat
  readonly #out: ByteTarget
  #file: ParquetFile | null = null
  #schema: Schema | null = null
  #pendingBytes = 0
  #lastBytes = 0

  constructor(format: ParquetFormat, out: ByteTarget) {
    this.#format = format
    this.#out = out
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  get isFull(): boolean {
    return this.#pendingBytes >= this.#format.options.rowGroupBytes
  }

  write({ schema, value, record }: FormatInput): void {
    if (schema === null) {
      const remedy =
        'use a converter with schemas (AvroConverter, JsonConverter with schemas.enable=true) or JsonFormat'
      throw new DataError('CONNECT_S3_SCHEMA_MISSING', `ParquetFormat needs records with a schema: ${remedy}`)
    }
    const cost: Cost = { bytes: 0, negativeZero: false }
    const file = this.#file ?? this.#begin(schema)
    if (schema !== this.#schema && !schemaEquals(schema, this.#schema)) {
      throw new DataError('CONNECT_S3_VALUE_MISMATCH', 'The schema is not that of the first record of the object')
    }
    const row = file.convert(value, cost)
    for (const [i, { read }] of this.#format.options.metaColumns.entries()) file.convertMeta(i, read(record), row, cost)
    file.add(row, cost.negativeZero)
    // A file is begun for good with its first row only.
    this.#file = file
    this.#account(cost.bytes)
    this.#lastBytes = cost.bytes
  }

  undo(): void {
    this.#file?.removeLast()
    this.#account(-this.#lastBytes)
  }

  flush(): void {
    this.#file?.writeRowGroup()
    this.#account(-this.#pendingBytes)
  }

  finish(): void {
    this.flush()
    this.#file?.finish()
  }

  #account(bytes: number): void {
    this.#pendingBytes += bytes
    this.#out.account(bytes)
  }

  #begin(schema: Schema): ParquetFile {
    this.#schema = schema
    return new ParquetFile(this.#format, schema, this.#out)
  }
}

/** Columns of the rows that wait, and the file that they go to. */
class ParquetFile {
  readonly #isStruct: boolean
  readonly #columns: readonly ParquetColumn[]
  readonly #meta: readonly ParquetColumn[]
  readonly #stored: readonly SchemaElement[]
  readonly #data: ParquetValue[][]
  readonly #writer: ParquetWriter
  readonly #bytes: ByteWriter
  readonly #out: ByteTarget
  /** Whether a row that waits holds -0. */
  #negativeZero = false

  constructor({ library, codec, options }: ParquetFormat, schema: Schema, out: ByteTarget) {
    const { avro, metaColumns } = options
    this.#isStruct = schema.type === 'STRUCT'
    const wrapped = makeSchema({ type: 'STRUCT', name: 'RecordValue', fields: [{ name: valueField, schema }] })
    const rows = this.#isStruct ? schema : wrapped
    const types = new ParquetTypes({ ...avro, twoLevelLists: !holdsOptionalItems(rows) })
    this.#columns = types.columns(rows)
    this.#meta = metaColumns.map(({ name, schema: type }) => {
      if (rows.fieldsByName.has(name)) throw taken(name)
      return types.column(name, type)
    })
    const all = [...this.#columns, ...this.#meta]
    const root: SchemaElement = { name: rows.name ?? `${avroNamespace}.ConnectDefault`, num_children: all.length }
    this.#stored = [root, ...all.flatMap(({ stored }) => stored)]
    this.#data = all.map(() => [])
    this.#out = out
    this.#bytes = new library.ByteWriter()
    this.#writer = new library.ParquetWriter({
      writer: this.#bytes,
      schema: [root, ...all.flatMap(({ elements }) => elements)],
      codec: codec.name,
      ...(codec.compress === null ? {} : { compressors: { [codec.name]: codec.compress } }),
      kvMetadata: avroMetadata(rows, options),
      createdBy: 'Sluice (hyparquet-writer)',
    })
  }

  /** One value per column; those of the added fields follow. @throws DataError */
  convert(value: Value, cost: Cost): ParquetValue[] {
    if (!this.#isStruct) return this.#columns.map(({ convert }) => convert(value, cost))
    if (!isStruct(value)) throw new DataError('CONNECT_S3_VALUE_MISMATCH', 'A record without a value is no row')
    return this.#columns.map(({ name, convert }) => convert(value[name] ?? null, cost))
  }

  convertMeta(index: number, value: Value, row: ParquetValue[], cost: Cost): void {
    const column = this.#meta[index]
    if (column !== undefined) row.push(column.convert(value, cost))
  }

  add(row: readonly ParquetValue[], negativeZero: boolean): void {
    this.#negativeZero ||= negativeZero
    for (const [i, value] of row.entries()) this.#data[i]?.push(value)
  }

  removeLast(): void {
    for (const column of this.#data) column.pop()
  }

  writeRowGroup(): void {
    const rowCount = this.#data[0]?.length ?? 0
    if (rowCount === 0) return
    const columns = [...this.#columns, ...this.#meta]
    const columnData = columns.map((column, i) => {
      const data = this.#data[i] ?? []
      // The writer's dictionaries make 0 of -0 (I6).
      return this.#negativeZero && holdsFloats(column)
        ? { name: column.name, data, encoding: 'PLAIN' as const }
        : { name: column.name, data }
    })
    this.#negativeZero = false
    // Without a flush to wait for, the writer is done when it returns.
    void this.#writer.write({ columnData, rowGroupSize: rowCount })
    for (const column of this.#data) column.length = 0
    this.#drain()
  }

  /** Lists may have two levels in the file's own words, which the writer cannot cut values by. */
  finish(): void {
    this.#writer.schema = [...this.#stored]
    const paths = leafPaths(this.#stored)
    for (const { columns } of this.#writer.row_groups) {
      for (const [i, { meta_data }] of columns.entries()) {
        const path = paths[i]
        if (meta_data !== undefined && path !== undefined) meta_data.path_in_schema = [...path]
      }
    }
    void this.#writer.finish()
    this.#drain()
  }

  #drain(): void {
    this.#out.bytes(this.#bytes.getBytes())
    // The position in the file goes on, the buffer begins anew.
    this.#bytes.index = 0
    this.#bytes.buffer = new ArrayBuffer(1024)
    this.#bytes.view = new DataView(this.#bytes.buffer)
  }
}

function holdsFloats({ elements }: ParquetColumn): boolean {
  return elements.some(({ type }) => type === 'FLOAT' || type === 'DOUBLE')
}

/**
 * The schema by which readers that know Avro see the rows, under the names of parquet-avro. Rows that Avro has no schema
 * for (a field `order-id`) are written without, where the Java connector refuses them.
 */
function avroMetadata(rows: Schema, { avro, metaColumns }: ParquetFormatOptions): KeyValue[] {
  const all = metaColumns.length === 0 ? rows : copySchema(rows, { fields: [...rows.fields, ...metaColumns] })
  try {
    const { text } = compileAvro(all, { ...avro, mismatch })
    return [
      { key: 'parquet.avro.schema', value: text },
      { key: 'writer.model.name', value: 'avro' },
    ]
  } catch (error) {
    if (error instanceof DataError) return []
    throw error
  }
}

/** Paths of the columns that hold values, without the root: names from the top down. */
function leafPaths(tree: readonly SchemaElement[]): readonly (readonly string[])[] {
  const paths: (readonly string[])[] = []
  let at = 1
  const visit = (count: number, path: readonly string[]) => {
    for (let i = 0; i < count; i++) {
      const { name = '', num_children } = tree[at++] ?? {}
      if (num_children === undefined) paths.push([...path, name])
      else visit(num_children, [...path, name])
    }
  }
  visit(tree[0]?.num_children ?? 0, [])
  return paths
}

function taken(name: string): DataError {
  return new DataError('CONNECT_S3_META_FIELD_TAKEN', `The value has a field '${name}' of its own: rename one of them`)
}
