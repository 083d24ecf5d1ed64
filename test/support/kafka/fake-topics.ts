/** Topics of the fake: logs in memory with offsets, transactions and their markers. */
import { DataError } from '../../../worker/api/errors.ts'
import { brokerError } from '../../../worker/kafka/errors.ts'
import type { RecordHeader } from '../../../worker/kafka/types.ts'

export interface FakeRecord {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly RecordHeader[]
  readonly timestamp: number
}

/** State of one transaction; shared by its records, so ending it shows in all of them. */
export interface FakeTransaction {
  state: 'open' | 'committed' | 'aborted'
}

interface Entry {
  readonly offset: bigint
  /** Null: the marker that ends a transaction. */
  readonly record: FakeRecord | null
  readonly transaction: FakeTransaction | null
}

export interface FakeRead {
  readonly records: readonly (FakeRecord & { readonly offset: bigint })[]
  readonly nextOffset: bigint
  readonly endOffset: bigint
}

export class FakePartition {
  #entries: Entry[] = []
  #startOffset = 0n
  #endOffset = 0n

  get startOffset(): bigint {
    return this.#startOffset
  }

  get endOffset(): bigint {
    return this.#endOffset
  }

  /** First offset of the oldest open transaction, or the end. */
  get stableOffset(): bigint {
    return this.#entries.find((entry) => entry.transaction?.state === 'open')?.offset ?? this.#endOffset
  }

  append(record: FakeRecord | null, transaction: FakeTransaction | null): bigint {
    const offset = this.#endOffset++
    this.#entries.push({ offset, record, transaction })
    return offset
  }

  /** At most `maxRecords` visible records from `from` on; the position passes over what is hidden. */
  read(from: bigint, maxRecords: number, readCommitted: boolean): FakeRead {
    const endOffset = readCommitted ? this.stableOffset : this.#endOffset
    const records: (FakeRecord & { readonly offset: bigint })[] = []
    let nextOffset = from
    for (const { offset, record, transaction } of this.#entries) {
      if (offset < from) continue
      if (offset >= endOffset || records.length >= maxRecords) break
      nextOffset = offset + 1n
      if (record === null || (readCommitted && transaction?.state === 'aborted')) continue
      records.push({ ...record, offset })
    }
    if (records.length < maxRecords && nextOffset < endOffset) nextOffset = endOffset
    return { records, nextOffset, endOffset }
  }

  /** First offset whose record is at least as late; -1 when there is none. */
  offsetAt(timestampMs: number): bigint {
    return this.#entries.find(({ record }) => record !== null && record.timestamp >= timestampMs)?.offset ?? -1n
  }

  /** Keeps the last record of each key, as log compaction does; offsets stay. */
  compact(): void {
    const last = new Map<string, bigint>()
    for (const { offset, record } of this.#entries) {
      if (record?.key) last.set(Buffer.from(record.key).toString('hex'), offset)
    }
    this.#entries = this.#entries.filter(
      ({ offset, record }) =>
        record === null || record.key === null || last.get(Buffer.from(record.key).toString('hex')) === offset,
    )
  }

  /** Drops what lies before an offset, as retention does. */
  truncateBefore(offset: bigint): void {
    this.#startOffset = offset
    this.#entries = this.#entries.filter((entry) => entry.offset >= offset)
  }
}

export interface FakeTopic {
  readonly name: string
  readonly partitions: readonly FakePartition[]
  readonly configs: ReadonlyMap<string, string>
}

const UNKNOWN_TOPIC = 3

export class FakeTopics {
  readonly #topics = new Map<string, FakeTopic>()
  readonly #waiters = new Set<() => void>()

  get(name: string): FakeTopic | undefined {
    return this.#topics.get(name)
  }

  names(): string[] {
    return [...this.#topics.keys()]
  }

  create(name: string, partitionCount: number, configs: Readonly<Record<string, string>>): boolean {
    if (this.#topics.has(name)) return false
    const partitions = Array.from({ length: partitionCount < 0 ? 1 : partitionCount }, () => new FakePartition())
    this.#topics.set(name, {
      name,
      partitions,
      configs: new Map(Object.entries({ 'cleanup.policy': 'delete', ...configs })),
    })
    this.changed()
    return true
  }

  delete(name: string): void {
    this.#topics.delete(name)
    this.changed()
  }

  /** @throws RetriableError `CONNECT_KAFKA_UNKNOWN_TOPIC` */
  partition(topic: string, partition: number): FakePartition {
    const found = this.#topics.get(topic)?.partitions[partition]
    if (found === undefined) throw brokerError(UNKNOWN_TOPIC, `use ${topic}-${partition}`, { topic, partition })
    return found
  }

  /** Largest record batch of a topic, as the broker checks it. */
  checkSize(topic: string, bytes: number): void {
    const limit = Number(this.#topics.get(topic)?.configs.get('max.message.bytes') ?? 1_048_588)
    if (bytes > limit)
      throw new DataError('CONNECT_KAFKA_RECORD_TOO_LARGE', `A record of ${bytes} bytes; ${topic} takes ${limit}`)
  }

  /** Tells waiting consumers that there may be something to read. */
  changed(): void {
    for (const wake of this.#waiters) wake()
  }

  onChange(wake: () => void): () => void {
    this.#waiters.add(wake)
    return () => this.#waiters.delete(wake)
  }
}
