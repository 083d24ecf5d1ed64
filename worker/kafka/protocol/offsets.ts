/** ListOffsets, OffsetCommit, OffsetFetch and OffsetDelete. */
import type { Offsets, TopicPartition } from '../../api/topic-partition.ts'
import type { ApiRequest, VersionedRequest } from '../broker-node.ts'
import { WireWriter } from '../wire.ts'

export const LATEST = -1n
export const EARLIEST = -2n

export interface PartitionResult {
  readonly topic: string
  readonly partition: number
  readonly error: number
}

export interface ListedOffset extends PartitionResult {
  /** -1 when no record is as late as the wanted timestamp. */
  readonly offset: bigint
}

/** @param timestamp milliseconds since 1970, or `LATEST`, `EARLIEST` */
export function listOffsetsRequest(
  partitions: readonly TopicPartition[],
  timestamp: bigint,
  readCommitted: boolean,
): ApiRequest<readonly ListedOffset[]> {
  const body = new WireWriter().int32(-1).int8(readCommitted ? 1 : 0)
  writeByTopic(body, partitions, (p, w) => w.int32(p.partition).int32(-1).int64(timestamp))
  return {
    apiKey: 2,
    apiName: 'ListOffsets',
    apiVersion: 4,
    body: [body.done()],
    decode: (reader) => {
      reader.throttleMs = reader.int32()
      return readByTopic(reader, (topic, r) => {
        const result = { topic, partition: r.int32(), error: r.int16() }
        r.int64() // timestamp
        const offset = r.int64()
        r.int32() // leader epoch
        return { ...result, offset }
      })
    },
  }
}

export interface OffsetCommit {
  readonly groupId: string
  /** -1 and '' commit for a group without members. */
  readonly generation: number
  readonly memberId: string
  readonly offsets: Offsets
}

const OFFSET_COMMIT = { key: 8, name: 'OffsetCommit', least: 6, most: 7 } as const

export function offsetCommitRequest(commit: OffsetCommit): VersionedRequest<readonly PartitionResult[]> {
  return { api: OFFSET_COMMIT, at: (version) => offsetCommitAt(version, commit) }
}

function offsetCommitAt(version: number, commit: OffsetCommit): ApiRequest<readonly PartitionResult[]> {
  const body = new WireWriter().string(commit.groupId).int32(commit.generation).string(commit.memberId)
  if (version >= 7) body.string(null) // no static membership
  const entries = [...commit.offsets.entries()].map(([tp, offset]) => ({ ...tp, offset }))
  writeByTopic(body, entries, (p, w) => w.int32(p.partition).int64(p.offset).int32(-1).string(''))
  return {
    apiKey: OFFSET_COMMIT.key,
    apiName: OFFSET_COMMIT.name,
    apiVersion: version,
    body: [body.done()],
    decode: (reader) => {
      reader.throttleMs = reader.int32()
      return readByTopic(reader, (topic, r) => ({ topic, partition: r.int32(), error: r.int16() }))
    },
  }
}

export interface FetchedOffsets {
  readonly error: number
  /** Offset -1: none committed. */
  readonly partitions: readonly ListedOffset[]
}

/** @param partitions null asks for all that the group has committed */
export function offsetFetchRequest(
  groupId: string,
  partitions: readonly TopicPartition[] | null,
): ApiRequest<FetchedOffsets> {
  const body = new WireWriter().string(groupId)
  if (partitions === null) body.int32(-1)
  else writeByTopic(body, partitions, (p, w) => w.int32(p.partition))
  return {
    apiKey: 9,
    apiName: 'OffsetFetch',
    apiVersion: 5,
    body: [body.done()],
    decode: (reader) => {
      reader.throttleMs = reader.int32()
      const found = readByTopic(reader, (topic, r) => {
        const partition = r.int32()
        const offset = r.int64()
        r.int32() // leader epoch
        r.nullableString() // metadata
        return { topic, partition, offset, error: r.int16() }
      })
      return { partitions: found, error: reader.int16() }
    },
  }
}

export interface DeletedOffsets {
  readonly error: number
  readonly partitions: readonly PartitionResult[]
}

/** KIP-496; kafkajs has no such request. */
export function offsetDeleteRequest(
  groupId: string,
  partitions: readonly TopicPartition[],
): ApiRequest<DeletedOffsets> {
  const body = new WireWriter().string(groupId)
  writeByTopic(body, partitions, (p, w) => w.int32(p.partition))
  return {
    apiKey: 47,
    apiName: 'OffsetDelete',
    apiVersion: 0,
    body: [body.done()],
    decode: (reader) => {
      const error = reader.int16()
      reader.throttleMs = reader.int32()
      // A failed request carries no topics.
      if (error !== 0) return { error, partitions: [] }
      return {
        error,
        partitions: readByTopic(reader, (topic, r) => ({ topic, partition: r.int32(), error: r.int16() })),
      }
    },
  }
}

function writeByTopic<P extends TopicPartition>(
  writer: WireWriter,
  partitions: readonly P[],
  write: (partition: P, writer: WireWriter) => void,
): void {
  writer.array([...Map.groupBy(partitions, (p) => p.topic)], ([topic, group], w) => {
    w.string(topic).array(group, write)
  })
}

type Reader = Parameters<ApiRequest<unknown>['decode']>[0]

function readByTopic<T>(reader: Reader, read: (topic: string, reader: Reader) => T): T[] {
  return reader
    .array((r) => {
      const topic = r.string()
      return r.array((p) => read(topic, p))
    })
    .flat()
}
