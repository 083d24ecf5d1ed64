import { createHash } from 'node:crypto'
import type { CommittedFile, MetadataMessage } from '../common/metadata-message.ts'

/** One message of the metadata topic that waits to be loaded: all its files, or none, take effect. */
export interface FileSet {
  readonly message: MetadataMessage
  /** Called once the set is loaded, was loaded before, or is reported. */
  readonly done: () => void
  /** Reports the message that cannot be loaded. */
  readonly reject: (error: Error) => Promise<void>
  /** Ms by the monotonic clock. */
  readonly arrivedAt: number
}

/** Bucket and directory: overlaps count only between files of one. */
export function directoryOf(file: CommittedFile): string {
  return `${file.bucket}/${file.key.slice(0, file.key.lastIndexOf('/') + 1)}`
}

/** Directories of the files of a message, in order, each once. */
export function directoriesOf(message: MetadataMessage): readonly string[] {
  return [...new Set(message.files.map(directoryOf))].sort()
}

export function bytesOf(message: MetadataMessage): number {
  return message.files.reduce((sum, file) => sum + file.bytes, 0)
}

export function recordsOf(message: MetadataMessage): number {
  return message.files.reduce((sum, file) => sum + file.recordCount, 0)
}

/** What one COPY can load together: one format, compression and region. */
export function groupOf(message: MetadataMessage): string {
  return [message.format, message.compression, message.files[0]?.region ?? '', message.op].join('\n')
}

/** Identity of a batch, equal for equal files in any order. */
export function batchId(messages: readonly MetadataMessage[]): string {
  const ids = messages.map((m) => m.id).sort()
  return createHash('sha256').update(ids.join('\n')).digest('hex').slice(0, 32)
}

/** Whether two sets hold offsets of one source partition in one directory that intersect. */
export function overlaps(a: MetadataMessage, b: MetadataMessage): boolean {
  const { source: left } = a
  const { source: right } = b
  if (left.topic !== right.topic || left.partition !== right.partition) return false
  if (left.firstOffset > right.lastOffset || right.firstOffset > left.lastOffset) return false
  const directories = new Set(directoriesOf(a))
  return directoriesOf(b).some((directory) => directories.has(directory))
}
