import { hash } from 'node:crypto'
import { hostname } from 'node:os'
import type { Clock, TopicProducer, TopicRecord } from '../../worker/api/context.ts'
import { RetriableError } from '../../worker/api/errors.ts'
import {
  encodeMetadataMessage,
  type FileOp,
  type FileRole,
  type MetadataMessage,
  messageId,
  metadataHeaders,
} from '../common/metadata-message.ts'
import type { CommittedFiles, CommittedRole } from './committed-files.ts'
import type { OpenFile } from './open-file.ts'

export interface MetadataTopicOptions {
  readonly topic: string
  readonly granularity: 'file' | 'commit'
  readonly key: 'group' | 'topic-partition' | 'object'
  /** Event key of a directory; null when it has none. */
  readonly groupOf: (file: OpenFile) => string | null
  readonly timeoutMs: number
  readonly region: string
  readonly compression: string
  readonly metaFields: readonly string[]
  readonly formatOf: (role: FileRole) => string
  readonly connector: string
  readonly task: number
}

/**
 * Publishes which objects a commit has made durable. Messages of a repeated commit have the same ids, so a reader
 * that remembers ids sees each file set once.
 */
export class MetadataTopic {
  readonly #options: MetadataTopicOptions
  readonly #producer: TopicProducer
  readonly #clock: Clock

  constructor(options: MetadataTopicOptions, producer: TopicProducer, clock: Clock) {
    this.#options = options
    this.#producer = producer
    this.#clock = clock
  }

  /**
   * Resolves when all in-sync replicas have the messages of this commit.
   * @throws RetriableError also when `notify.timeout.ms` passed: call again with the same files
   */
  async publish(files: readonly CommittedFiles[]): Promise<void> {
    const records = this.#messages(files).map((message) => this.#record(message))
    const timeout = AbortSignal.timeout(this.#options.timeoutMs)
    try {
      await this.#producer.send(records, timeout)
    } catch (error) {
      if (!timeout.aborted) throw error
      throw this.#timedOut(error)
    }
    // A producer may take an aborted signal as an answer; without acknowledgement nothing counts (I1).
    if (timeout.aborted) throw this.#timedOut(timeout.reason)
  }

  #timedOut(cause: unknown): RetriableError {
    const { topic, timeoutMs } = this.#options
    const message = `Messages to ${topic} were not acknowledged within notify.timeout.ms=${timeoutMs}`
    return new RetriableError('CONNECT_S3_NOTIFY_TIMEOUT', message, { cause })
  }

  #messages(files: readonly CommittedFiles[]): readonly MetadataMessage[] {
    const groups = new Map<string, { role: FileRole; members: Member[] }>()
    for (const { file, objects } of files) {
      for (const { role, object } of objects) {
        const group = this.#options.groupOf(file)
        const id = this.#options.granularity === 'file' ? object.at.key : `${role}\n${group ?? ''}`
        const found = groups.get(id)
        if (found === undefined) groups.set(id, { role, members: [{ file, object }] })
        else found.members.push({ file, object })
      }
    }
    return [...groups.values()].map(({ role, members }) => this.#message(role, members))
  }

  #message(role: FileRole, members: readonly Member[]): MetadataMessage {
    const { options, file } = { options: this.#options, file: firstOf(members) }
    const opened = members.map((m) => m.file)
    const first = opened.reduce((min, f) => (f.firstOffset < min ? f.firstOffset : min), file.firstOffset)
    const last = opened.reduce((max, f) => (f.lastOffset > max ? f.lastOffset : max), file.lastOffset)
    const times = opened.flatMap((f) => [f.minTimestamp, f.maxTimestamp]).filter((t) => t !== null)
    const source = {
      ...file.source,
      firstOffset: first,
      lastOffset: last,
      minTs: times.length === 0 ? null : times.reduce((a, b) => Math.min(a, b)),
      maxTs: times.length === 0 ? null : times.reduce((a, b) => Math.max(a, b)),
    }
    const op: FileOp = role === 'tombstone' ? 'delete' : 'append'
    const files = members.map(({ file: f, object }) => ({
      bucket: object.at.bucket,
      key: object.at.key,
      region: options.region === '' ? null : options.region,
      bytes: object.bytes,
      recordCount: f.recordCount,
      etag: object.etag,
      versionId: object.versionId,
      // Keys and headers beside values have no rows of their own.
      contentHash: role === 'value' || role === 'tombstone' ? f.contentHash : null,
    }))
    // Files with different columns are told apart by their own messages; a merged list would be a guess.
    const columns = role === 'value' && members.length === 1 ? file.columns : null
    return {
      v: 1,
      type: 's3.file.committed',
      id: messageId(files, source, role),
      producer: { connector: options.connector, task: options.task, host: hostname() },
      role,
      op,
      eventKey: options.groupOf(file),
      table: null,
      source,
      files,
      format: options.formatOf(role),
      compression: options.compression,
      columns,
      metaFields: role === 'value' ? options.metaFields : [],
      schemaId: columns === null ? null : `sha256:${hash('sha256', JSON.stringify(columns))}`,
      commitId: `${file.source.topic}-${file.source.partition}-${last}`,
      createdAt: new Date(this.#clock.now()).toISOString(),
    }
  }

  #record(message: MetadataMessage): TopicRecord {
    const header = (key: string, value: string) => ({ key, value: Buffer.from(value, 'utf8') })
    return {
      topic: this.#options.topic,
      key: Buffer.from(this.#keyOf(message), 'utf8'),
      value: Buffer.from(encodeMetadataMessage(message), 'utf8'),
      headers: [
        header(metadataHeaders.type, message.type),
        header(metadataHeaders.version, String(message.v)),
        header(metadataHeaders.id, message.id),
        header(metadataHeaders.contentType, 'application/json'),
      ],
    }
  }

  #keyOf({ eventKey, source, files }: MetadataMessage): string {
    switch (this.#options.key) {
      case 'group':
        return eventKey ?? source.topic
      case 'topic-partition':
        return `${source.topic}-${source.partition}`
      case 'object':
        return files[0]?.key ?? source.topic
    }
  }
}

interface Member {
  readonly file: OpenFile
  readonly object: CommittedRole['object']
}

function firstOf(members: readonly Member[]): OpenFile {
  const first = members[0]
  if (first === undefined) throw new TypeError('a message needs at least one object')
  return first.file
}

/**
 * Event key from the value of a `name=value` directory: of the segment called `name`, or of the first one when
 * `name` is null. `isEncoded`: values are percent-encoded, by KeyPartitioner or HeaderPartitioner.
 */
export function groupFromDirectory(
  directory: string,
  delimiter: string,
  { name, isEncoded }: { readonly name: string | null; readonly isEncoded: boolean },
): string | null {
  for (const segment of directory.split(delimiter)) {
    const at = segment.indexOf('=')
    if (at < 0 || (name !== null && segment.slice(0, at) !== name)) continue
    const value = segment.slice(at + 1)
    // The directory of a schema's name stands beside the encoded ones.
    return isEncoded && !segment.startsWith('schema_name=') ? decodeURIComponent(value) : value
  }
  return null
}
