import type { Logger } from '../api/context.ts'
import { toError } from '../api/errors.ts'
import type { SourceOffset, SourcePartition } from '../api/record.ts'
import type { TopicLog, TopicLogFactory, TopicLogOptions, TopicLogRecord } from '../kafka/types.ts'
import { decodeOffsetKey, decodeOffsetValue, partitionIdentity } from './offset-format.ts'
import type { OffsetRecord, OffsetSink } from './offset-writer.ts'

export interface StoredOffset {
  readonly partition: SourcePartition
  /** Null after a reset. */
  readonly offset: SourceOffset | null
}

/** Reads source offsets, on the main thread; task threads ask through the host protocol. */
export interface OffsetStoreReader {
  /** Durable offsets, one per partition in the order asked; reads to the end first. */
  read(
    connector: string,
    partitions: readonly SourcePartition[],
    signal?: AbortSignal,
  ): Promise<readonly (SourceOffset | null)[]>
  /** Everything known of a connector, with partitions that were reset; reads to the end first. */
  partitions(connector: string, signal?: AbortSignal): Promise<readonly StoredOffset[]>
  /** Key bytes last seen for this partition; null when it never had an offset. */
  rawKey(connector: string, partition: SourcePartition): Uint8Array | null
}

/** The worker's own store: reader, and a sink for offsets that are written outside a task (alter, standalone). */
export interface OffsetStore extends OffsetStoreReader, OffsetSink, AsyncDisposable {
  start(signal?: AbortSignal): Promise<void>
  close(): Promise<void>
}

interface Known extends StoredOffset {
  readonly rawKey: Uint8Array
}

/** Connector → partition identity → what the newest record says. */
export class OffsetTable {
  readonly #connectors = new Map<string, Map<string, Known>>()

  /** @returns false for a key that is not an offset key */
  apply(key: Uint8Array, value: Uint8Array | null): boolean {
    const decoded = decodeOffsetKey(key)
    if (decoded === null) return false
    const { connector, partition } = decoded
    let known = this.#connectors.get(connector)
    if (known === undefined) {
      known = new Map()
      this.#connectors.set(connector, known)
    }
    known.set(partitionIdentity(partition), { partition, offset: decodeOffsetValue(value), rawKey: key })
    return true
  }

  get(connector: string, partition: SourcePartition): Known | null {
    return this.#connectors.get(connector)?.get(partitionIdentity(partition)) ?? null
  }

  partitions(connector: string): readonly StoredOffset[] {
    const known = this.#connectors.get(connector)
    return known === undefined ? [] : Array.from(known.values(), ({ partition, offset }) => ({ partition, offset }))
  }

  *entries(): IterableIterator<{ readonly key: Uint8Array; readonly offset: SourceOffset | null }> {
    for (const known of this.#connectors.values()) {
      for (const { rawKey, offset } of known.values()) yield { key: rawKey, offset }
    }
  }
}

/** Source offsets in a compacted topic, in Connect's format. */
export class KafkaOffsetStore implements OffsetStore {
  readonly #table = new OffsetTable()
  readonly #log: TopicLog
  readonly #logger: Logger

  constructor(options: {
    readonly createLog: TopicLogFactory
    readonly clients: Pick<TopicLogOptions, 'topic' | 'consumer' | 'producer' | 'admin'>
    readonly logger: Logger
  }) {
    this.#logger = options.logger
    this.#log = options.createLog({
      ...options.clients,
      onRecord: (record) => this.#apply(record),
      onError: (error) => this.#logger.warn({ error }, 'reading the offset topic failed; it is tried again'),
    })
  }

  start(signal?: AbortSignal): Promise<void> {
    return this.#log.start(signal)
  }

  async read(
    connector: string,
    partitions: readonly SourcePartition[],
    signal?: AbortSignal,
  ): Promise<readonly (SourceOffset | null)[]> {
    await this.#log.readToEnd(signal)
    return partitions.map((partition) => this.#table.get(connector, partition)?.offset ?? null)
  }

  async partitions(connector: string, signal?: AbortSignal): Promise<readonly StoredOffset[]> {
    await this.#log.readToEnd(signal)
    return this.#table.partitions(connector)
  }

  rawKey(connector: string, partition: SourcePartition): Uint8Array | null {
    return this.#table.get(connector, partition)?.rawKey ?? null
  }

  write(records: readonly OffsetRecord[], signal?: AbortSignal): Promise<void> {
    return this.#log.send(records, signal)
  }

  close(): Promise<void> {
    return this.#log.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #apply(record: TopicLogRecord): void {
    const { key, value, partition, offset } = record
    try {
      if (key !== null && this.#table.apply(key, value)) return
      this.#logger.warn(
        { partition, offset },
        'ignoring a record of the offset topic: its key is not ["connector",{…}]',
      )
    } catch (error) {
      this.#logger.error(
        { partition, offset, error: toError(error) },
        'ignoring an unreadable record of the offset topic',
      )
    }
  }
}
