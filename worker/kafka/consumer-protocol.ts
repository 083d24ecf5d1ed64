/**
 * Bytes of the `consumer` group protocol: what members tell the leader, what the leader hands out. Wire compatible
 * with the Java consumer, so groups may be mixed.
 *
 * @see org.apache.kafka.clients.consumer.internals.ConsumerProtocol; KIP-429 (owned partitions), KIP-792 (generation)
 */
import type { TopicPartition } from '../api/topic-partition.ts'
import { WireReader, WireWriter } from './wire.ts'

export interface MemberSubscription {
  readonly topics: readonly string[]
  /** What the member holds now; only cooperative members tell it. */
  readonly owned: readonly TopicPartition[]
  /** Generation in which `owned` was assigned; -1 when unknown. */
  readonly generation: number
}

/** Version 2 is the newest that carries all we use; readers of other versions skip what they do not know. */
const SUBSCRIPTION_VERSION = 2
const ASSIGNMENT_VERSION = 1

export function encodeSubscription(subscription: MemberSubscription): Buffer {
  const writer = new WireWriter()
    .int16(SUBSCRIPTION_VERSION)
    .array([...subscription.topics].sort(), (topic, w) => w.string(topic))
    .bytes(null)
  writePartitions(writer, subscription.owned)
  return writer.int32(subscription.generation).done()
}

export function decodeSubscription(bytes: Uint8Array): MemberSubscription {
  const reader = new WireReader(bytes, 'the subscription of a group member')
  const version = reader.int16()
  const topics = reader.array((r) => r.string())
  reader.nullableBytes()
  const owned = version >= 1 && reader.remaining > 0 ? readPartitions(reader) : []
  const generation = version >= 2 && reader.remaining >= 4 ? reader.int32() : -1
  return { topics, owned, generation }
}

export function encodeAssignment(partitions: readonly TopicPartition[]): Buffer {
  const writer = new WireWriter().int16(ASSIGNMENT_VERSION)
  writePartitions(writer, partitions)
  return writer.bytes(null).done()
}

/** No bytes mean no partitions: a leader may leave a member out. */
export function decodeAssignment(bytes: Uint8Array): TopicPartition[] {
  if (bytes.length === 0) return []
  const reader = new WireReader(bytes, 'the assignment of a group member')
  reader.int16()
  return readPartitions(reader)
}

function writePartitions(writer: WireWriter, partitions: readonly TopicPartition[]): void {
  writer.array([...Map.groupBy(partitions, (p) => p.topic)], ([topic, group], w) => {
    w.string(topic).array(group, (p, x) => x.int32(p.partition))
  })
}

function readPartitions(reader: WireReader): TopicPartition[] {
  return reader
    .array((r) => {
      const topic = r.string()
      return r.array((p) => ({ topic, partition: p.int32() }))
    })
    .flat()
}
