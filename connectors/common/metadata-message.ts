import { createHash } from 'node:crypto'
import { DataError } from '../../worker/api/errors.ts'

/**
 * The message that says "these objects are durable" (version 1): written by the S3 sink to a metadata topic after
 * the objects are complete and before their offsets are committed, read by the Redshift sink. It is plain JSON, so
 * that other tools can consume it; offsets are decimal strings because JSON readers round integers beyond 2^53.
 */
export interface MetadataMessage {
  readonly v: 1
  readonly type: 's3.file.committed'
  /** Sha-256 in hex of where the files are and which records they hold; equal for a deterministic re-run. */
  readonly id: string
  readonly producer: { readonly connector: string; readonly task: number; readonly host: string }
  readonly role: FileRole
  readonly op: FileOp
  /** Group of the files, usually the name of the target table; null when there is none. */
  readonly eventKey: string | null
  /** Explicit target table; null leaves the choice to the loader. */
  readonly table: string | null
  readonly source: SourceRange
  /** At least one. */
  readonly files: readonly CommittedFile[]
  readonly format: string
  readonly compression: string
  /** In file order; null when unknown. */
  readonly columns: readonly MessageColumn[] | null
  /** Members that the sink added to each row, e.g. `__offset`. */
  readonly metaFields: readonly string[]
  /** `sha256:` and the hash of the columns: equal ids have equal columns. Null without columns. */
  readonly schemaId: string | null
  readonly commitId: string | null
  /** ISO-8601 time in UTC. */
  readonly createdAt: string
}

export type FileRole = 'value' | 'keys' | 'headers' | 'tombstone'
export type FileOp = 'append' | 'upsert' | 'delete'

/** Inclusive offsets of one source partition; fewer records than the span when some were filtered or grouped apart. */
export interface SourceRange {
  readonly topic: string
  readonly partition: number
  readonly firstOffset: bigint
  readonly lastOffset: bigint
  /** Record time in ms since 1970; null when no record had one. */
  readonly minTs: number | null
  readonly maxTs: number | null
}

export interface CommittedFile {
  readonly bucket: string
  readonly key: string
  readonly region: string | null
  /** Exact size of the object. */
  readonly bytes: number
  readonly recordCount: number
  readonly etag: string | null
  readonly versionId: string | null
  /** `ContentHash` of the rows, as decimal digits; null when it was not taken. */
  readonly contentHash: string | null
}

export interface MessageColumn {
  readonly name: string
  /** Connect's schema type in lower case, or the logical types `decimal`, `date`, `time`, `timestamp`. */
  readonly type: ColumnType
  /** Whether the column may hold null. */
  readonly nullable: boolean
  /** Longest text in bytes; null when unknown. */
  readonly length: number | null
  readonly precision: number | null
  readonly scale: number | null
}

const columnTypes = [
  'boolean',
  'int8',
  'int16',
  'int32',
  'int64',
  'float32',
  'float64',
  'string',
  'bytes',
  'decimal',
  'date',
  'time',
  'timestamp',
  'array',
  'map',
  'struct',
] as const
export type ColumnType = (typeof columnTypes)[number]

const roles: readonly FileRole[] = ['value', 'keys', 'headers', 'tombstone']
const ops: readonly FileOp[] = ['append', 'upsert', 'delete']

/** Kafka headers of a message, for routing without opening the body. */
export const metadataHeaders = {
  type: 'kc-type',
  version: 'kc-version',
  id: 'kc-id',
  contentType: 'content-type',
} as const

/**
 * Identity of a set of files: location, source partition, offset range and role. Not the ETag: a rewrite of equal
 * content must stay the same file even when encryption or part size changes its ETag.
 */
export function messageId(
  files: readonly { readonly bucket: string; readonly key: string }[],
  source: Pick<SourceRange, 'topic' | 'partition' | 'firstOffset' | 'lastOffset'>,
  role: FileRole,
): string {
  const { topic, partition, firstOffset, lastOffset } = source
  const lines = files.map((f) => [f.bucket, f.key, topic, partition, firstOffset, lastOffset, role].join('\n'))
  return createHash('sha256').update(lines.sort().join('\n')).digest('hex')
}

/** The JSON text of a message, members in a fixed order. */
export function encodeMetadataMessage(message: MetadataMessage): string {
  const { source } = message
  return JSON.stringify({
    v: message.v,
    type: message.type,
    id: message.id,
    producer: message.producer,
    role: message.role,
    op: message.op,
    event_key: message.eventKey,
    table: message.table,
    source: {
      topic: source.topic,
      partition: source.partition,
      first_offset: source.firstOffset.toString(),
      last_offset: source.lastOffset.toString(),
      min_ts: source.minTs,
      max_ts: source.maxTs,
    },
    files: message.files.map((f) => ({
      bucket: f.bucket,
      key: f.key,
      region: f.region,
      bytes: f.bytes,
      record_count: f.recordCount,
      etag: f.etag,
      version_id: f.versionId,
      content_hash: f.contentHash,
    })),
    format: message.format,
    compression: message.compression,
    ...(message.columns === null ? {} : { columns: message.columns.map(encodeColumn) }),
    meta_fields: message.metaFields,
    schema_id: message.schemaId,
    commit_id: message.commitId,
    created_at: message.createdAt,
  })
}

function encodeColumn(c: MessageColumn) {
  return {
    name: c.name,
    type: c.type,
    null: c.nullable,
    ...(c.length === null ? {} : { len: c.length }),
    ...(c.precision === null ? {} : { precision: c.precision }),
    ...(c.scale === null ? {} : { scale: c.scale }),
  }
}

/**
 * Reads a message strictly: a wrong type, a missing member or an unknown major version is an error that names the
 * member; unknown members are ignored, so that version 1 can grow.
 * @param value parsed JSON, as a JSON converter without schemas gives it (integers may be `bigint`)
 * @throws DataError CONNECT_METADATA_MESSAGE_INVALID
 */
export function parseMetadataMessage(value: unknown): MetadataMessage {
  const root = new Reader(value, '')
  const version = root.integer('v')
  if (version !== 1) throw invalid('v', `is ${version}; this version reads 1: upgrade the loader`)
  const type = root.text('type')
  if (type !== 's3.file.committed') throw invalid('type', `is '${type}', expected 's3.file.committed'`)
  const id = root.text('id')
  if (!/^[0-9a-f]{64}$/.test(id)) throw invalid('id', 'is not a sha-256 in lower-case hex')
  const producer = root.object('producer')
  const columns = root.has('columns') ? root.list('columns').map(parseColumn) : null
  const metaFields = root.has('meta_fields') ? root.list('meta_fields').map((item) => item.asText()) : []
  return {
    v: 1,
    type,
    id,
    producer: { connector: producer.text('connector'), task: producer.integer('task'), host: producer.text('host') },
    role: root.oneOf('role', roles),
    op: root.oneOf('op', ops),
    eventKey: root.optionalText('event_key'),
    table: root.optionalText('table'),
    source: parseSource(root.object('source')),
    files: parseFiles(root),
    format: root.text('format'),
    compression: root.text('compression'),
    columns,
    metaFields,
    schemaId: root.optionalText('schema_id'),
    commitId: root.optionalText('commit_id'),
    createdAt: root.text('created_at'),
  }
}

function parseSource(source: Reader): SourceRange {
  const firstOffset = source.offset('first_offset')
  const lastOffset = source.offset('last_offset')
  if (lastOffset < firstOffset)
    throw invalid('source.last_offset', `${lastOffset} is below first_offset ${firstOffset}`)
  return {
    topic: source.boundedText('topic', 255),
    partition: source.partition('partition'),
    firstOffset,
    lastOffset,
    minTs: source.optionalInteger('min_ts'),
    maxTs: source.optionalInteger('max_ts'),
  }
}

function parseFiles(root: Reader): readonly CommittedFile[] {
  const files = root.list('files')
  if (files.length === 0) throw invalid('files', 'is empty')
  const seen = new Set<string>()
  return files.map((file) => {
    const bucket = file.boundedText('bucket', 255)
    const key = file.boundedText('key', 1024)
    if (bucket === '' || key === '') throw invalid(`${file.path}.key`, 'bucket and key must not be empty')
    // A manifest that lists one URL twice loads it twice.
    const url = `${bucket}/${key}`
    if (seen.has(url)) throw invalid(`${file.path}.key`, `'${key}' is listed twice`)
    seen.add(url)
    return {
      bucket,
      key,
      region: file.optionalText('region'),
      bytes: file.count('bytes'),
      recordCount: file.count('record_count'),
      etag: file.has('etag') ? file.boundedText('etag', 128) : null,
      versionId: file.optionalText('version_id'),
      contentHash: file.has('content_hash') ? file.digits('content_hash') : null,
    }
  })
}

function parseColumn(column: Reader): MessageColumn {
  const name = column.text('name')
  if (name === '') throw invalid(`${column.path}.name`, 'must not be empty')
  return {
    name,
    type: column.oneOf('type', columnTypes),
    nullable: column.has('null') ? column.boolean('null') : true,
    length: column.optionalInteger('len'),
    precision: column.optionalInteger('precision'),
    scale: column.optionalInteger('scale'),
  }
}

function invalid(path: string, detail: string): DataError {
  return new DataError('CONNECT_METADATA_MESSAGE_INVALID', `Metadata message: '${path}' ${detail}`, {
    context: { field: path },
  })
}

/** What Kafka counts with: int32 and int64. */
const maxPartition = 2 ** 31 - 1
const maxOffset = 2n ** 63n - 1n

function textOf(value: unknown, path: string): string {
  if (typeof value !== 'string') throw invalid(path, 'must be a string')
  // No database, nor S3, takes it in a name.
  if (value.includes('\u0000')) throw invalid(path, 'must not hold the character NUL')
  return value
}

/** One JSON value with the path that leads to it. */
class Reader {
  readonly path: string
  readonly #value: unknown

  constructor(value: unknown, path: string) {
    this.path = path
    this.#value = value
  }

  has(name: string): boolean {
    const value = this.#member(name)
    return value !== undefined && value !== null
  }

  object(name: string): Reader {
    const child = new Reader(this.#member(name), this.#child(name))
    child.#members()
    return child
  }

  list(name: string): readonly Reader[] {
    const value = this.#member(name)
    if (!Array.isArray(value)) throw invalid(this.#child(name), 'must be an array')
    return value.map((item: unknown, i) => new Reader(item, `${this.#child(name)}[${i}]`))
  }

  asText(): string {
    return textOf(this.#value, this.path)
  }

  text(name: string): string {
    return textOf(this.#member(name), this.#child(name))
  }

  /** Readers keep these texts in columns of this length: what is longer is no such name anyway. */
  boundedText(name: string, maxBytes: number): string {
    const text = this.text(name)
    if (Buffer.byteLength(text, 'utf8') > maxBytes) throw invalid(this.#child(name), `is longer than ${maxBytes} bytes`)
    return text
  }

  /** A number too large for the number types of JSON readers; sums of a hundred of them have 38 digits. */
  digits(name: string): string {
    const text = this.text(name)
    if (!/^[0-9]{1,36}$/.test(text)) throw invalid(this.#child(name), 'must be a number as 1 to 36 decimal digits')
    return text
  }

  optionalText(name: string): string | null {
    return this.has(name) ? this.text(name) : null
  }

  boolean(name: string): boolean {
    const value = this.#member(name)
    if (typeof value !== 'boolean') throw invalid(this.#child(name), 'must be true or false')
    return value
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T {
    const value = this.text(name)
    const found = values.find((v) => v === value)
    if (found === undefined) throw invalid(this.#child(name), `is '${value}', expected one of ${values.join(', ')}`)
    return found
  }

  integer(name: string): number {
    const value = this.#member(name)
    const number = typeof value === 'bigint' ? Number(value) : value
    if (typeof number !== 'number' || !Number.isSafeInteger(number)) {
      throw invalid(this.#child(name), 'must be an integer within ±2^53')
    }
    return number
  }

  optionalInteger(name: string): number | null {
    return this.has(name) ? this.integer(name) : null
  }

  count(name: string): number {
    const value = this.integer(name)
    if (value < 0) throw invalid(this.#child(name), 'must not be negative')
    return value
  }

  partition(name: string): number {
    const value = this.count(name)
    if (value > maxPartition) throw invalid(this.#child(name), `must not be above ${maxPartition}`)
    return value
  }

  offset(name: string): bigint {
    const text = this.text(name)
    const offset = /^(0|[1-9][0-9]{0,18})$/.test(text) ? BigInt(text) : null
    if (offset === null || offset > maxOffset)
      throw invalid(this.#child(name), 'must be an offset below 2^63 as a decimal string')
    return offset
  }

  #member(name: string): unknown {
    const members = this.#members()
    return Object.hasOwn(members, name) ? members[name] : undefined
  }

  #members(): Readonly<Record<string, unknown>> {
    const value = this.#value
    if (value === null || typeof value !== 'object' || Array.isArray(value)) {
      throw invalid(this.path === '' ? '(message)' : this.path, 'must be a JSON object')
    }
    return value as Readonly<Record<string, unknown>>
  }

  #child(name: string): string {
    return this.path === '' ? name : `${this.path}.${name}`
  }
}
