import { DataError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import type { TopicPartition } from '../../worker/api/topic-partition.ts'
import type { FileRole, MessageColumn } from '../common/metadata-message.ts'
import { ColumnCollector } from './columns.ts'
import type { RecordFormat } from './formats/format.ts'
import { ObjectUpload, type UploadSettings } from './object-upload.ts'

/** Where objects go and how they are written; one per task. */
export interface FileLayout {
  readonly bucket: string
  readonly topicsDir: string
  readonly directoryDelimiter: string
  readonly fileDelimiter: string
  readonly offsetDigits: number
  /** `.gz` or nothing. */
  readonly compressionSuffix: string
  readonly values: RecordFormat
  /** Null: not stored. */
  readonly keys: RecordFormat | null
  readonly headers: RecordFormat | null
  readonly tombstoneDirectory: string
  /** Whether columns are found for the metadata message. */
  readonly collectColumns: boolean
  readonly uploads: UploadSettings
}

/** Name of the files of one directory and start offset, without extension. */
export interface FileName {
  readonly topic: string
  readonly partition: number
  readonly directory: string
  readonly offset: bigint
}

/** `{topics.dir}/{topic}/{directory}/{topic}+{partition}+{offset}`. */
export function keyStem(layout: FileLayout, { topic, partition, directory, offset }: FileName): string {
  const digits = offset.toString().padStart(layout.offsetDigits, '0')
  const name = [topic, partition, digits].join(layout.fileDelimiter)
  const parts = [layout.topicsDir, topic, directory, name]
  return parts.filter((part, i) => i > 0 || part !== '').join(layout.directoryDelimiter)
}

export interface RoleUpload {
  readonly role: FileRole
  readonly upload: ObjectUpload
}

/**
 * The objects of one directory that are being written: values, and beside them keys and headers when these are
 * stored. A tombstone directory has no values.
 */
export class OpenFile {
  readonly directory: string
  readonly topic: string
  readonly source: TopicPartition
  readonly firstOffset: bigint
  lastOffset: bigint
  recordCount = 0
  minTimestamp: number | null = null
  maxTimestamp: number | null = null
  readonly #layout: FileLayout
  readonly #name: FileName
  readonly #values: ObjectUpload | null
  readonly #keys: ObjectUpload | null
  readonly #headers: ObjectUpload | null
  readonly #columns: ColumnCollector | null

  /** `taken`: keys that belong to other objects; the next free offset names the file then. */
  constructor(layout: FileLayout, record: SinkRecord, directory: string, taken: ReadonlySet<string>) {
    this.#layout = layout
    this.directory = directory
    this.topic = record.topic
    this.source = { topic: record.originalTopic, partition: record.originalPartition }
    this.firstOffset = record.offset
    this.lastOffset = record.offset
    const isTombstone = record.value === null && directory === layout.tombstoneDirectory
    this.#name = {
      topic: record.topic,
      partition: record.partition ?? record.originalPartition,
      directory,
      offset: record.offset,
    }
    const stem = freeStem(layout, this.#name, taken)
    const open = (kind: string, format: RecordFormat) => {
      const key = `${stem}${kind}${format.extension}${layout.compressionSuffix}`
      return new ObjectUpload({ bucket: layout.bucket, key }, layout.uploads)
    }
    this.#values = isTombstone ? null : open('', layout.values)
    this.#keys = layout.keys === null ? null : open('.keys', layout.keys)
    this.#headers = layout.headers === null ? null : open('.headers', layout.headers)
    this.#columns = layout.collectColumns && !isTombstone ? new ColumnCollector() : null
  }

  /** In the order in which they become visible: values last, so that who sees values finds their keys. */
  get uploads(): readonly RoleUpload[] {
    const uploads: RoleUpload[] = []
    if (this.#keys !== null) uploads.push({ role: this.#values === null ? 'tombstone' : 'keys', upload: this.#keys })
    if (this.#headers !== null) uploads.push({ role: 'headers', upload: this.#headers })
    if (this.#values !== null) uploads.push({ role: 'value', upload: this.#values })
    return uploads
  }

  /** Keys that the values could have, by offset, from the first record's on; without end. */
  *valueKeys(): Generator<string> {
    for (const stem of stems(this.#layout, this.#name)) yield valueKey(this.#layout, stem)
  }

  get isFull(): boolean {
    return this.#values?.isFull === true || this.#keys?.isFull === true || this.#headers?.isFull === true
  }

  /** Bytes of values (of keys, for tombstones) as encoded. */
  get encodedBytes(): number {
    return (this.#values ?? this.#keys)?.length ?? 0
  }

  get heldBytes(): number {
    return (this.#values?.heldBytes ?? 0) + (this.#keys?.heldBytes ?? 0) + (this.#headers?.heldBytes ?? 0)
  }

  get columns(): readonly MessageColumn[] | null {
    return this.#columns?.columns ?? null
  }

  /** Adds a record to all objects or, when it throws, to none. @throws DataError */
  append(record: SinkRecord): void {
    const marks = [this.#values?.mark() ?? 0, this.#keys?.mark() ?? 0, this.#headers?.mark() ?? 0] as const
    try {
      this.#write(record)
    } catch (error) {
      this.#values?.rollback(marks[0])
      this.#keys?.rollback(marks[1])
      this.#headers?.rollback(marks[2])
      throw error
    }
    this.#columns?.add(record.valueSchema, record.value)
    this.lastOffset = record.offset
    this.recordCount++
    const { timestamp } = record
    if (timestamp === null) return
    if (this.minTimestamp === null || timestamp < this.minTimestamp) this.minTimestamp = timestamp
    if (this.maxTimestamp === null || timestamp > this.maxTimestamp) this.maxTimestamp = timestamp
  }

  /** Gives the memory of a file back that never held a record. */
  discard(): void {
    for (const { upload } of this.uploads) upload.release()
  }

  async drain(): Promise<void> {
    for (const { upload } of this.uploads) await upload.drain()
  }

  #write(record: SinkRecord): void {
    const { keys, headers, values } = this.#layout
    if (keys !== null && this.#keys !== null) {
      if (record.key === null) throw missing('CONNECT_S3_KEY_MISSING', 'Key cannot be null', record)
      keys.write({ schema: record.keySchema, value: record.key, record }, this.#keys)
    }
    if (headers !== null && this.#headers !== null) {
      if (record.headers.length === 0) throw missing('CONNECT_S3_HEADERS_MISSING', 'Headers cannot be null', record)
      headers.write({ schema: null, value: null, record }, this.#headers)
    }
    if (this.#values !== null) values.write({ schema: record.valueSchema, value: record.value, record }, this.#values)
  }
}

/** Names by the offsets from that of the first record on; the first that no other object has is the file's. */
function* stems(layout: FileLayout, name: FileName): Generator<string> {
  for (let { offset } = name; ; offset++) yield keyStem(layout, { ...name, offset })
}

function freeStem(layout: FileLayout, name: FileName, taken: ReadonlySet<string>): string {
  if (taken.size > 0) for (const stem of stems(layout, name)) if (!taken.has(valueKey(layout, stem))) return stem
  return keyStem(layout, name)
}

function valueKey(layout: FileLayout, stem: string): string {
  return `${stem}${layout.values.extension}${layout.compressionSuffix}`
}

function missing(code: 'CONNECT_S3_KEY_MISSING' | 'CONNECT_S3_HEADERS_MISSING', what: string, record: SinkRecord) {
  const { offset, topic, partition } = record
  // The text of the Java connector, which dead letter consumers may know.
  const message = `${what} for SinkRecord: SinkRecord{kafkaOffset=${offset}, topic='${topic}', kafkaPartition=${partition}} `
  return new DataError(code, message)
}
