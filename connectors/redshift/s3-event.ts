import { createHash } from 'node:crypto'
import { DataError } from '../../worker/api/errors.ts'
import type { FileMessage } from './pending-file.ts'

/**
 * Files from an S3 event notification (`{"Records":[…]}`, event version 2). S3 knows neither the records in a file nor
 * their number, so a file is told from its rewrite by its ETag, counts are not checked and overlaps not seen.
 * @param topic of the event, which stands in for the topic of the records
 * @returns a set per object that was created; none for other events, for S3's test event, and for our own manifests
 * @throws DataError when the message is not such an event, or a file's format cannot be told from its name
 */
export function parseS3Event(
  json: unknown,
  topic: string,
  { manifestPrefix }: { readonly manifestPrefix: string },
): readonly FileMessage[] {
  const root = objectOf(json, '(message)')
  if (root['Event'] === 's3:TestEvent') return []
  const { Records: records } = root
  if (!Array.isArray(records)) throw invalid('Records', 'must be an array')
  return records.flatMap((record: unknown, i) => {
    const path = `Records[${i}]`
    const event = objectOf(record, path)
    if (!textOf(event['eventName'], `${path}.eventName`).replace(/^s3:/, '').startsWith('ObjectCreated:')) return []
    const s3 = objectOf(event['s3'], `${path}.s3`)
    const bucket = textOf(objectOf(s3['bucket'], `${path}.s3.bucket`)['name'], `${path}.s3.bucket.name`)
    const object = objectOf(s3['object'], `${path}.s3.object`)
    const key = decodeKey(textOf(object['key'], `${path}.s3.object.key`), `${path}.s3.object.key`)
    if (key.endsWith('/') || isManifest(bucket, key, manifestPrefix)) return []
    const bytes = Number(object['size'] ?? Number.NaN)
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw invalid(`${path}.s3.object.size`, 'must be a size in bytes')
    const etag = typeof object['eTag'] === 'string' ? object['eTag'] : null
    const region = typeof event['awsRegion'] === 'string' ? event['awsRegion'] : null
    const file = { bucket, key, region, bytes, recordCount: null, etag, versionId: null, contentHash: null }
    return [{ ...plain, ...formatOf(key, path), id: fileId(bucket, key, etag), topic, files: [file] }]
  })
}

/** What S3 says nothing about. */
const plain = {
  role: 'value',
  op: 'append',
  eventKey: null,
  table: null,
  columns: null,
  metaFields: [],
  source: null,
} as const satisfies Partial<FileMessage>

/** A space comes as a plus, everything else percent-encoded. */
function decodeKey(text: string, path: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw invalid(path, 'is not URL-encoded')
  }
}

function isManifest(bucket: string, key: string, prefix: string): boolean {
  if (!key.endsWith('.manifest')) return false
  return `s3://${bucket}/${key}`.startsWith(prefix === '' ? `s3://${bucket}/_manifests/` : prefix)
}

const formats: readonly (readonly [RegExp, string])[] = [
  [/\.(json|jsonl|ndjson)$/i, 'json'],
  [/\.csv$/i, 'csv'],
  [/\.parquet$/i, 'parquet'],
  [/\.avro$/i, 'avro'],
]

function formatOf(key: string, path: string): Pick<FileMessage, 'format' | 'compression'> {
  const compression = /\.gz$/i.test(key) ? 'gzip' : /\.zst$/i.test(key) ? 'zstd' : 'none'
  const name = compression === 'none' ? key : key.slice(0, key.lastIndexOf('.'))
  const found = formats.find(([pattern]) => pattern.test(name))
  if (found === undefined) {
    throw invalid(`${path}.s3.object.key`, `'${key}' does not end in .json, .csv, .parquet or .avro (with .gz or .zst)`)
  }
  return { format: found[1], compression }
}

function fileId(bucket: string, key: string, etag: string | null): string {
  return createHash('sha256')
    .update([bucket, key, etag ?? ''].join('\n'))
    .digest('hex')
}

function objectOf(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw invalid(path, 'must be a JSON object')
  return value as Readonly<Record<string, unknown>>
}

function textOf(value: unknown, path: string): string {
  if (typeof value !== 'string' || value === '') throw invalid(path, 'must be a string that is not empty')
  // Also as `%00`: neither S3 nor a database takes it in a name.
  if (value.includes('\u0000') || value.includes('%00')) throw invalid(path, 'must not hold the character NUL')
  return value
}

function invalid(path: string, detail: string): DataError {
  return new DataError('CONNECT_METADATA_MESSAGE_INVALID', `S3 event: '${path}' ${detail}`, {
    context: { field: path },
  })
}
