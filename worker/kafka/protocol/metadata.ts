/** Metadata and coordinator look-up messages. */
import type { ApiRequest } from '../broker-node.ts'
import { WireWriter } from '../wire.ts'

export interface PartitionMetadata {
  readonly partition: number
  readonly error: number
  /** Node id; -1 while there is no leader. */
  readonly leader: number
}

export interface TopicMetadata {
  readonly topic: string
  readonly error: number
  readonly internal: boolean
  readonly partitions: readonly PartitionMetadata[]
}

export interface ClusterMetadata {
  readonly clusterId: string | null
  readonly controllerId: number
  readonly brokers: readonly { readonly id: number; readonly host: string; readonly port: number }[]
  readonly topics: readonly TopicMetadata[]
}

/** @param topics null asks for all topics, an empty list for none */
export function metadataRequest(topics: readonly string[] | null, autoCreate: boolean): ApiRequest<ClusterMetadata> {
  const body = new WireWriter()
  if (topics === null) body.int32(-1)
  else body.array(topics, (topic, w) => w.string(topic))
  return {
    apiKey: 3,
    apiName: 'Metadata',
    apiVersion: 5,
    body: [body.bool(autoCreate).done()],
    decode: (reader) => {
      reader.throttleMs = reader.int32()
      const brokers = reader.array((r) => {
        const broker = { id: r.int32(), host: r.string(), port: r.int32() }
        r.nullableString() // rack
        return broker
      })
      const clusterId = reader.nullableString()
      const controllerId = reader.int32()
      const topicList = reader.array((r) => ({
        error: r.int16(),
        topic: r.string(),
        internal: r.bool(),
        partitions: r.array((p) => {
          const partition = { error: p.int16(), partition: p.int32(), leader: p.int32() }
          p.array((x) => x.int32()) // replicas
          p.array((x) => x.int32()) // in-sync replicas
          p.array((x) => x.int32()) // offline replicas
          return partition
        }),
      }))
      return { clusterId, controllerId, brokers, topics: topicList }
    },
  }
}
