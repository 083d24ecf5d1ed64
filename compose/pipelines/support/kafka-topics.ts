// The pipelines' own programs stand for the users' applications, so they use a Kafka client as users do.
import { Kafka, logLevel } from 'kafkajs'
import { waitFor } from './wait.ts'

export function kafkaFor(brokers: string, clientId: string): Kafka {
  return new Kafka({ brokers: brokers.split(','), clientId, logLevel: logLevel.NOTHING, retry: { retries: 20 } })
}

// Both ends are compared in full, and events may carry time stamps of the past: by the default the broker deletes
// segments whose newest record is older than a week, within minutes and before a sink has read them.
const keepsAll = [{ name: 'retention.ms', value: '-1' }]

/**
 * Deletes and creates topics, which keep what is written; also waits until every partition has a leader.
 * @param config of the topics, beyond the broker's and the retention
 */
export async function recreateTopics(
  brokers: string,
  topics: Readonly<Record<string, number>>,
  config: Readonly<Record<string, string>> = {},
): Promise<void> {
  const admin = kafkaFor(brokers, 'pipelines').admin()
  await admin.connect()
  try {
    const existing = new Set(await admin.listTopics())
    const doomed = Object.keys(topics).filter((topic) => existing.has(topic))
    if (doomed.length > 0) {
      await admin.deleteTopics({ topics: doomed })
      await waitFor('topics to be deleted', 30_000, async () => {
        const left = new Set(await admin.listTopics())
        return doomed.every((topic) => !left.has(topic)) ? true : null
      })
    }
    const configEntries = [...keepsAll, ...Object.entries(config).map(([name, value]) => ({ name, value }))]
    await admin.createTopics({
      // The client's own waiting gives up when a busy broker does not know the topic yet.
      waitForLeaders: false,
      topics: Object.entries(topics).map(([topic, numPartitions]) => {
        return { topic, numPartitions, replicationFactor: 1, configEntries }
      }),
    })
    await waitFor('the leaders of new topics', 30_000, async () => {
      const { topics: known } = await admin.fetchTopicMetadata({ topics: Object.keys(topics) })
      const isLed = known.every(
        ({ name, partitions }) => partitions.length === topics[name] && partitions.every(({ leader }) => leader >= 0),
      )
      return isLed && known.length === Object.keys(topics).length ? true : null
    })
  } finally {
    await admin.disconnect()
  }
}

export async function deleteGroups(brokers: string, groups: readonly string[]): Promise<void> {
  const admin = kafkaFor(brokers, 'pipelines').admin()
  await admin.connect()
  try {
    const known = new Set((await admin.listGroups()).groups.map((group) => group.groupId))
    const doomed = groups.filter((group) => known.has(group))
    if (doomed.length > 0) await admin.deleteGroups(doomed)
  } finally {
    await admin.disconnect()
  }
}

/** Records still to be read by a group: end offsets minus committed ones; -1 when it has committed nothing yet. */
export async function groupLag(brokers: string, groupId: string, topic: string): Promise<number> {
  const admin = kafkaFor(brokers, 'pipelines').admin()
  await admin.connect()
  try {
    const [ends, groups] = await Promise.all([
      admin.fetchTopicOffsets(topic),
      admin.fetchOffsets({ groupId, topics: [topic] }),
    ])
    const committed = new Map(groups[0]?.partitions.map((p) => [p.partition, BigInt(p.offset)]))
    let lag = 0n
    for (const end of ends) {
      const at = committed.get(end.partition) ?? -1n
      if (at < 0n && BigInt(end.high) > 0n) return -1
      lag += BigInt(end.high) - (at < 0n ? 0n : at)
    }
    return Number(lag)
  } finally {
    await admin.disconnect()
  }
}
