/** Fetch, without fetch sessions: record batches as raw bytes per partition. */
import type { ApiRequest, VersionedRequest } from '../broker-node.ts'
import { WireWriter } from '../wire.ts'

export interface FetchPartition {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly maxBytes: number
}

export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: bigint
}

export interface FetchAnswer {
  readonly topic: string
  readonly partition: number
  readonly error: number
  readonly highWatermark: bigint
  readonly lastStableOffset: bigint
  readonly logStartOffset: bigint
  /** In order of `firstOffset`; only with `read_committed`. */
  readonly aborted: readonly AbortedTransaction[]
  /** A view of the answer: it keeps the whole answer in memory. */
  readonly records: Buffer
}

export interface FetchRequest {
  readonly maxWaitMs: number
  readonly minBytes: number
  readonly maxBytes: number
  readonly readCommitted: boolean
  readonly rack: string
  readonly requestTimeoutMs: number
  readonly partitions: readonly FetchPartition[]
}

/** Version 10 brought zstd, version 11 reading from the nearest replica (KIP-392). */
const FETCH = { key: 1, name: 'Fetch', least: 10, most: 11 } as const

export function fetchRequest(request: FetchRequest): VersionedRequest<readonly FetchAnswer[]> {
  return { api: FETCH, at: (version) => fetchAt(version, request) }
}

function fetchAt(version: number, request: FetchRequest): ApiRequest<readonly FetchAnswer[]> {
  const byTopic = Map.groupBy(request.partitions, (p) => p.topic)
  const body = new WireWriter(64 + 40 * request.partitions.length)
    .int32(-1) // replica: a consumer
    .int32(request.maxWaitMs)
    .int32(request.minBytes)
    .int32(request.maxBytes)
    .int8(request.readCommitted ? 1 : 0)
    .int32(0) // no session
    .int32(-1)
    .array([...byTopic], ([topic, partitions], w) => {
      w.string(topic).array(partitions, (p, x) => {
        x.int32(p.partition).int32(-1).int64(p.offset).int64(-1n).int32(p.maxBytes)
      })
    })
    .int32(0) // forgotten topics
  if (version >= 11) body.string(request.rack)
  return {
    apiKey: FETCH.key,
    apiName: FETCH.name,
    apiVersion: version,
    timeoutMs: request.maxWaitMs + request.requestTimeoutMs,
    body: [body.done()],
    decode: (reader) => {
      reader.throttleMs = reader.int32()
      const error = reader.int16()
      reader.int32() // session
      const answers = reader
        .array((r) => {
          const topic = r.string()
          return r.array((p) => {
            const head = {
              topic,
              partition: p.int32(),
              error: p.int16(),
              highWatermark: p.int64(),
              lastStableOffset: p.int64(),
              logStartOffset: p.int64(),
            }
            const aborted = p.array((x) => ({ producerId: x.int64(), firstOffset: x.int64() }))
            if (version >= 11) p.int32() // preferred read replica
            return { ...head, aborted, records: p.bytes() }
          })
        })
        .flat()
      // A failure of the whole request counts for each partition that was asked for.
      return error === 0 ? answers : request.partitions.map((p) => failedAnswer(p, error))
    },
  }
}

function failedAnswer({ topic, partition }: FetchPartition, error: number): FetchAnswer {
  const none = { highWatermark: -1n, lastStableOffset: -1n, logStartOffset: -1n, aborted: [] }
  return { topic, partition, error, ...none, records: Buffer.alloc(0) }
}
