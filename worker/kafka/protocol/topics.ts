/** CreateTopics and DeleteGroups: kafkajs's own stop at versions without defaults (KIP-464) or hide the codes. */
import type { ApiRequest } from '../broker-node.ts'
import type { NewTopic } from '../types.ts'
import { WireWriter } from '../wire.ts'

export interface TopicResult {
  readonly topic: string
  readonly error: number
  readonly message: string | null
}

export function createTopicRequest(topic: NewTopic, timeoutMs: number): ApiRequest<readonly TopicResult[]> {
  const body = new WireWriter()
    .array([topic], (t, w) => {
      w.string(t.topic)
        .int32(t.partitions)
        .int16(t.replicationFactor)
        .int32(0) // no assignment by hand
        .array(Object.entries(t.configs ?? {}), ([name, value], x) => x.string(name).string(value))
    })
    .int32(timeoutMs)
    .bool(false)
  return {
    apiKey: 19,
    apiName: 'CreateTopics',
    apiVersion: 4,
    timeoutMs: timeoutMs + 5000,
    body: [body.done()],
    decode: (reader) => {
      reader.throttleMs = reader.int32()
      return reader.array((r) => ({ topic: r.string(), error: r.int16(), message: r.nullableString() }))
    },
  }
}

/** @returns the error code of the answer */
export function deleteGroupRequest(groupId: string): ApiRequest<number> {
  return {
    apiKey: 42,
    apiName: 'DeleteGroups',
    apiVersion: 1,
    body: [new WireWriter().array([groupId], (id, w) => w.string(id)).done()],
    decode: (reader) => {
      reader.throttleMs = reader.int32()
      const codes = reader.array((r) => {
        r.string()
        return r.int16()
      })
      return codes[0] ?? 0
    },
  }
}
