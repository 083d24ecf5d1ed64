import { PlainJson } from '../../worker/api/plain-json.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import type { TopicPartition } from '../../worker/api/topic-partition.ts'
import { ContentHash } from '../common/content-hash.ts'
import type { FileRole, MessageColumn } from '../common/metadata-message.ts'
import { ColumnCollector } from './columns.ts'
import type { RecordEncoder, RecordFormat } from './formats/format.ts'
import type { RecordView } from './formats/record-views.ts'
import { nameOfFile } from './name-template.ts'
import { ObjectUpload, type UploadSettings } from './object-upload.ts'

/** Where objects go and how they are written; one per task. */
export interface FileLayout {
  readonly bucket: string
  readonly topicsDir: string
  readonly directoryDelimiter: string
  readonly fileDelimiter: string
  readonly offsetDigits: number
  /** Whether directories are whole names, by a template, which wait for the offset only. */
  readonly namesByTemplate: boolean
  /** `.gz` and the like, or nothing. */
  readonly compressionSuffix: string
  readonly values: RoleFormat
  /** Null: not stored. */
  readonly keys: RoleFormat | null
  readonly headers: RoleFormat | null
  readonly tombstoneDirectory: string
  /** Order of the columns in the metadata message, empty for that of the rows; null when none are wanted. */
  readonly columnOrder: readonly string[] | null
  /** Whether the rows are fingerprinted for the metadata message. */
  readonly hashContent: boolean
  readonly uploads: UploadSettings
}

/** Name of the files of one directory and start offset, without extension. */
export interface FileName {
  readonly topic: string
  readonly partition: number
  readonly directory: string
  readonly offset: bigint
}

/** `{topics.dir}/{topic}/{directory}/{topic}+{partition}+{offset}`, or by `file.name.template`. */
export function keyStem(layout: FileLayout, { topic, partition, directory, offset }: FileName): string {
  if (layout.namesByTemplate) {
    const name = nameOfFile(directory, offset)
    return layout.topicsDir === '' ? name : `${layout.topicsDir}${layout.directoryDelimiter}${name}`
  }
  const digits = offset.toString().padStart(layout.offsetDigits, '0')
  const name = [topic, partition, digits].join(layout.fileDelimiter)
  const parts = [layout.topicsDir, topic, directory, name]
  return parts.filter((part, i) => i > 0 || part !== '').join(layout.directoryDelimiter)
}

/** What is stored of each record in the objects of one role, and how. */
export interface RoleFormat {
  readonly format: RecordFormat
  readonly view: RecordView
}

/** One object of an open file. */
export class RoleObject {
  readonly role: FileRole
  readonly upload: ObjectUpload
  readonly #encoder: RecordEncoder
  readonly #view: RecordView

  constructor(role: FileRole, { format, view }: RoleFormat, upload: ObjectUpload) {
    this.role = role
    this.upload = upload
    this.#encoder = format.open(upload)
    this.#view = view
  }

  get encodedBytes(): number {
    return this.upload.length + this.#encoder.pendingBytes
  }

  get heldBytes(): number {
    return this.upload.heldBytes + this.pendingBytes
  }

  /** What waits in a block or row group. */
  get pendingBytes(): number {
    return this.#encoder.pendingBytes
  }

  get isFull(): boolean {
    return this.upload.isFull || this.#encoder.isFull
  }

  write(record: SinkRecord): void {
    const { rawValue } = record
    if (rawValue instanceof PlainJson && this.#view.isValue && this.#encoder.writePlain?.(rawValue)) return
    const { schema, value } = this.#view.read(record)
    this.#encoder.write({ schema, value, record })
  }

  undo(): void {
    this.#encoder.undo()
  }

  /** Ends the file; `upload.complete` may follow. */
  finish(): void {
    this.#encoder.finish()
  }

  async drain(): Promise<void> {
    if (this.#encoder.isFull) this.#encoder.flush()
    await this.upload.drain()
  }

  /** Ends the block or row group that is being filled. */
  flush(): void {
    this.#encoder.flush()
  }
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
  /** In the order in which they become visible: values last, so that who sees values finds their keys. */
  readonly objects: readonly RoleObject[]
  readonly #layout: FileLayout
  readonly #name: FileName
  readonly #columns: ColumnCollector | null
  readonly #hash: ContentHash | null
  readonly #isTombstone: boolean
  #finished = false

  /** `taken`: keys that belong to other objects; the next free offset names the file then. */
  constructor(layout: FileLayout, record: SinkRecord, directory: string, taken: ReadonlySet<string>) {
    this.#layout = layout
    this.directory = directory
    this.topic = record.topic
    this.source = { topic: record.originalTopic, partition: record.originalPartition }
    this.firstOffset = record.offset
    this.lastOffset = record.offset
    const isTombstone = record.rawValue === null && directory === layout.tombstoneDirectory
    this.#name = {
      topic: record.topic,
      partition: record.partition ?? record.originalPartition,
      directory,
      offset: record.offset,
    }
    const stem = freeStem(layout, this.#name, taken)
    const open = (role: FileRole, kind: string, format: RoleFormat) => {
      const key = `${stem}${kind}${format.format.extension}${layout.compressionSuffix}`
      return new RoleObject(role, format, new ObjectUpload({ bucket: layout.bucket, key }, layout.uploads))
    }
    const objects: RoleObject[] = []
    if (layout.keys !== null) objects.push(open(isTombstone ? 'tombstone' : 'keys', '.keys', layout.keys))
    if (layout.headers !== null) objects.push(open('headers', '.headers', layout.headers))
    if (!isTombstone) objects.push(open('value', '', layout.values))
    this.objects = objects
    this.#columns = layout.columnOrder === null || isTombstone ? null : new ColumnCollector(layout.columnOrder)
    this.#hash = layout.hashContent ? new ContentHash() : null
    this.#isTombstone = isTombstone
  }

  /** Keys that the values would have with this file's start offset and with each later one. */
  *valueKeys(): Generator<string> {
    for (const stem of stems(this.#layout, this.#name)) yield valueKey(this.#layout, stem)
  }

  get isFull(): boolean {
    return this.objects.some((object) => object.isFull)
  }

  /** Bytes of values (of keys in a tombstone directory) as encoded, before compression. */
  get encodedBytes(): number {
    return this.objects.at(-1)?.encodedBytes ?? 0
  }

  get heldBytes(): number {
    return this.objects.reduce((sum, object) => sum + object.heldBytes, 0)
  }

  get columns(): readonly MessageColumn[] | null {
    return this.#columns?.columns ?? null
  }

  /** Fingerprint of the values, of the keys in a tombstone directory; null when none is wanted. */
  get contentHash(): string | null {
    return this.#hash?.digits ?? null
  }

  /** Adds a record to all objects or, when it throws, to none. @throws DataError */
  append(record: SinkRecord): void {
    let written = 0
    try {
      for (; written < this.objects.length; written++) this.objects[written]?.write(record)
    } catch (error) {
      for (const object of this.objects.slice(0, written)) object.undo()
      throw error
    }
    this.#describe(record)
    this.lastOffset = record.offset
    this.recordCount++
    const { timestamp } = record
    if (timestamp === null) return
    if (this.minTimestamp === null || timestamp < this.minTimestamp) this.minTimestamp = timestamp
    if (this.maxTimestamp === null || timestamp > this.maxTimestamp) this.maxTimestamp = timestamp
  }

  /** Takes note of what the metadata message tells of the rows. */
  #describe(record: SinkRecord): void {
    if (this.#columns === null && this.#hash === null) return
    if (this.#isTombstone) {
      this.#hash?.add(record.keySchema, record.key)
      return
    }
    const { schema, value } = this.#layout.values.view.read(record)
    // A row that deletes has the fields of the key alone, which are not what the table's columns are made from.
    if (record.rawValue !== null) this.#columns?.add(schema, value)
    this.#hash?.add(schema, value)
  }

  /** Gives the memory of a file back that never held a record. */
  discard(): void {
    for (const { upload } of this.objects) upload.release()
  }

  async drain(): Promise<void> {
    for (const object of this.objects) await object.drain()
  }

  /** No record follows; the uploads may be completed. Idempotent. */
  finish(): void {
    if (this.#finished) return
    this.#finished = true
    for (const object of this.objects) object.finish()
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
  return `${stem}${layout.values.format.extension}${layout.compressionSuffix}`
}
