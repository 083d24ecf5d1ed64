/** CreateTopics and DeleteGroups: kafkajs's own stop at versions without defaults (KIP-464) or hide the codes. */
import type { ApiRequest, VersionedRequest } from '../broker-node.ts'
import type { NewTopic } from '../types.ts'
import { WireWriter } from '../wire.ts'

export interface TopicResult {
  readonly topic: string
  readonly error: number
  readonly message: string | null
}

/** Brokers before 2.4 know no defaults of their own. */
const CREATE_TOPICS = { key: 19, name: 'CreateTopics', most: 4 } as const

/** @returns a message that a broker without version 4 does not get when it is to choose partitions or replicas itself */
export function createTopicRequest(topic: NewTopic, timeoutMs: number): VersionedRequest<readonly TopicResult[]> {
  const needsDefaults = topic.partitions < 0 || topic.replicationFactor < 0
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
  const request = {
    apiKey: CREATE_TOPICS.key,
    apiName: CREATE_TOPICS.name,
    timeoutMs: timeoutMs + 5000,
    body: [body.done()],
    decode: (reader: Parameters<ApiRequest<unknown>['decode']>[0]) => {
      reader.throttleMs = reader.int32()
      return reader.array((r) => ({ topic: r.string(), error: r.int16(), message: r.nullableString() }))
    },
  }
  return {
    api: { ...CREATE_TOPICS, least: needsDefaults ? 4 : 3 },
    at: (apiVersion) => ({ ...request, apiVersion }),
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
