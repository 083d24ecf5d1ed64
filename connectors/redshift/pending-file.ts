import { createHash } from 'node:crypto'
import type { CommittedFile, MetadataMessage, SourceRange } from '../common/metadata-message.ts'

/** A file to load. */
export type PendingFile = Omit<CommittedFile, 'recordCount'> & {
  /** Null when nobody said. */
  readonly recordCount: number | null
}

/**
 * What the loader knows of a set of files: a message of the S3 sink, or less (an event of S3 itself tells neither
 * offsets nor counts nor columns).
 */
export type FileMessage = Pick<
  MetadataMessage,
  'id' | 'role' | 'op' | 'eventKey' | 'table' | 'format' | 'compression' | 'columns' | 'metaFields'
> & {
  /** Topic that the table may be named after: that of the records, or of the messages where that is not known. */
  readonly topic: string
  readonly source: SourceRange | null
  readonly files: readonly PendingFile[]
}

/** One message of the metadata topic that waits to be loaded: all its files, or none, take effect. */
export interface FileSet {
  readonly message: FileMessage
  /** Called once the set is loaded, was loaded before, or is reported. */
  readonly done: () => void
  /** Reports the message that cannot be loaded. */
  readonly reject: (error: Error) => Promise<void>
  /** Ms by the monotonic clock. */
  readonly arrivedAt: number
}

/** Bucket and directory: overlaps count only between files of one. */
export function directoryOf(file: PendingFile): string {
  return `${file.bucket}/${file.key.slice(0, file.key.lastIndexOf('/') + 1)}`
}

/** Directories of the files of a message, in order, each once. */
export function directoriesOf(message: FileMessage): readonly string[] {
  return [...new Set(message.files.map(directoryOf))].sort()
}

export function bytesOf(message: FileMessage): number {
  return message.files.reduce((sum, file) => sum + file.bytes, 0)
}

/** Null when a file's count is not known. */
export function recordsOf({ files }: Pick<FileMessage, 'files'>): number | null {
  let sum = 0
  for (const { recordCount } of files) {
    if (recordCount === null) return null
    sum += recordCount
  }
  return sum
}

/** Whether columns of a format are matched by position instead of name. */
export function isPositional(format: string): boolean {
  return format === 'csv' || format === 'parquet'
}

/** What one COPY can load together: one format, compression, region, and columns where it counts them off. */
export function groupOf({ format, compression, op, files, columns, metaFields }: FileMessage): string {
  const layout = isPositional(format) ? (columns ?? []).map(({ name, type }) => `${name} ${type}`) : []
  return [format, compression, files[0]?.region ?? '', op, ...metaFields, ...layout].join('\n')
}

/** Identity of a batch, equal for equal files in any order. */
export function batchId(messages: readonly FileMessage[]): string {
  const ids = messages.map((m) => m.id).sort()
  return createHash('sha256').update(ids.join('\n')).digest('hex').slice(0, 32)
}

/** Whether two sets hold offsets of one source partition in one directory that intersect. */
export function overlaps(a: FileMessage, b: FileMessage): boolean {
  const { source: left } = a
  const { source: right } = b
  if (left === null || right === null) return false
  if (left.topic !== right.topic || left.partition !== right.partition) return false
  if (left.firstOffset > right.lastOffset || right.firstOffset > left.lastOffset) return false
  const directories = new Set(directoriesOf(a))
  return directoriesOf(b).some((directory) => directories.has(directory))
}
