import avro from 'avsc'
import { type FileMetaData, parquetMetadata, parquetReadObjects, parquetSchema } from 'hyparquet'
import { withThreeLevelLists } from '../parquet-lists.ts'
import type { JsonMember, ParsedRow } from './copy-rows.ts'
import { CopyError } from './copy-source.ts'

/** A value of a file as the member of a row that JSON would have. */
function memberOf(value: unknown): JsonMember {
  if (value === null || value === undefined) return { text: null, source: 'null', type: 'null' }
  if (typeof value === 'string') return { text: value, source: JSON.stringify(value), type: 'string' }
  if (typeof value === 'boolean') return { text: String(value), source: String(value), type: 'boolean' }
  if (typeof value === 'number' || typeof value === 'bigint') {
    return { text: String(value), source: String(value), type: 'number' }
  }
  if (value instanceof Date) return memberOf(value.toISOString().replace('T', ' ').replace('Z', ''))
  if (value instanceof Uint8Array) return memberOf(Buffer.from(value).toString('hex'))
  const source = JSON.stringify(value, (_, member: unknown) => {
    if (typeof member === 'bigint') return Number(member)
    return member instanceof Uint8Array ? Buffer.from(member).toString('hex') : member
  })
  return { text: source, source, type: 'nested' }
}

/** Names of the top-level columns, with whether they are structures. */
function columnsOf(metadata: FileMetaData): readonly { readonly name: string; readonly isNested: boolean }[] {
  return parquetSchema(metadata).children.map(({ element, children }) => ({
    name: element.name,
    isNested: children.length > 0,
  }))
}

/**
 * Rows of a Parquet file, whose columns are those of the table in their order.
 * @throws CopyError when there are more or fewer, or structures without SERIALIZETOJSON
 */
export async function parseParquetRows(
  bytes: Buffer,
  { columnCount, serialise, url }: { readonly columnCount: number; readonly serialise: boolean; readonly url: string },
): Promise<readonly ParsedRow[]> {
  const buffer = new Uint8Array(bytes).buffer
  const metadata = withThreeLevelLists(parquetMetadata(buffer))
  const columns = columnsOf(metadata)
  if (columns.length !== columnCount) {
    throw new CopyError(
      `Spectrum Scan Error: File '${url}' has an incompatible Parquet schema: ${columns.length} columns, the table has ${columnCount}`,
    )
  }
  const nested = columns.find(({ isNested }) => isNested)
  if (nested !== undefined && !serialise) {
    throw new CopyError(`Column ${nested.name} is a structure: use SERIALIZETOJSON to load it into SUPER`)
  }
  const rows = await parquetReadObjects({ file: buffer, metadata })
  return rows.map((row, index) => ({
    kind: 'positions',
    line: index + 1,
    raw: '',
    values: columns.map(({ name }) => memberOf(row[name])),
  }))
}

/** int64 without loss; files are only read, the other direction is for completeness of the type. */
const exactLong = avro.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(value)
    return bytes
  },
  fromJSON: (value: unknown) => BigInt(String(value)),
  toJSON: (value: bigint) => String(value),
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (a: bigint, b: bigint) => Number(a > b) - Number(a < b),
})

/** Rows of an Avro object container file. @throws CopyError when it is none */
export async function parseAvroRows(bytes: Buffer, url: string): Promise<readonly ParsedRow[]> {
  const decoder = new avro.streams.BlockDecoder({
    parseHook: (schema) => avro.Type.forSchema(schema, { wrapUnions: false, registry: { long: exactLong } }),
  })
  decoder.end(bytes)
  try {
    const records = (await decoder.toArray()) as readonly Readonly<Record<string, unknown>>[]
    return records.map((record, index) => ({
      kind: 'members',
      line: index + 1,
      raw: '',
      members: new Map(Object.entries(record).map(([name, value]) => [name, memberOf(value)])),
    }))
  } catch (cause) {
    throw new CopyError(`Invalid AVRO file ${url}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    })
  }
}
