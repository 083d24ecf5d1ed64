/** Produce v7–v8: record batches of any number of partitions of one leader. */
import type { ApiRequest } from '../broker-node.ts'
import { WireWriter } from '../wire.ts'

export interface ProducePartition {
  readonly topic: string
  readonly partition: number
  readonly batch: Buffer
}

export interface ProduceAnswer {
  readonly topic: string
  readonly partition: number
  readonly error: number
  readonly message: string | null
  readonly baseOffset: bigint
  readonly logStartOffset: bigint
  /** Positions in the batch of the records that the broker refuses (KIP-467). */
  readonly refused: readonly { readonly index: number; readonly message: string | null }[]
}

export interface ProduceRequest {
  readonly version: number
  readonly transactionalId: string | null
  readonly acks: number
  readonly timeoutMs: number
  readonly partitions: readonly ProducePartition[]
}

export const PRODUCE = { key: 0, name: 'Produce', least: 7, most: 8 } as const

export function produceRequest(request: ProduceRequest): ApiRequest<readonly ProduceAnswer[]> {
  const { version, partitions } = request
  return {
    apiKey: PRODUCE.key,
    apiName: PRODUCE.name,
    apiVersion: version,
    expectResponse: request.acks !== 0,
    body: encode(request),
    decode: (reader) => {
      if (request.acks === 0) {
        const none = { error: 0, message: null, baseOffset: -1n, logStartOffset: -1n, refused: [] }
        return partitions.map(({ topic, partition }) => ({ topic, partition, ...none }))
      }
      const answers = reader.array((r) => {
        const topic = r.string()
        return r.array((p) => {
          const answer = { topic, partition: p.int32(), error: p.int16(), baseOffset: p.int64() }
          p.int64() // append time
          const logStartOffset = p.int64()
          const refused = version >= 8 ? p.array((x) => ({ index: x.int32(), message: x.nullableString() })) : []
          const message = version >= 8 ? p.nullableString() : null
          return { ...answer, logStartOffset, refused, message }
        })
      })
      reader.throttleMs = reader.int32()
      return answers.flat()
    },
  }
}

/** The batches themselves go out as they are; only the frame around them is written here. */
function encode({ transactionalId, acks, timeoutMs, partitions }: ProduceRequest): Uint8Array[] {
  const byTopic = Map.groupBy(partitions, (p) => p.topic)
  const parts: Uint8Array[] = []
  let writer = new WireWriter(128).string(transactionalId).int16(acks).int32(timeoutMs).int32(byTopic.size)
  for (const [topic, group] of byTopic) {
    writer.string(topic).int32(group.length)
    for (const { partition, batch } of group) {
      writer.int32(partition).int32(batch.length)
      parts.push(writer.done(), batch)
      writer = new WireWriter(32)
    }
  }
  if (writer.length > 0) parts.push(writer.done())
  return parts
}
