import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import { createTopicLog } from '../../worker/kafka/topic-log.ts'
import type { TopicLogRecord } from '../../worker/kafka/types.ts'

/** Everything that is in a topic now, partition by partition in offset order, without uncommitted transactions. */
export async function topicRecords(brokers: readonly string[], topic: string): Promise<readonly TopicLogRecord[]> {
  const client = { 'bootstrap.servers': brokers.join(',') }
  const records: TopicLogRecord[] = []
  await using log = createTopicLog(createKafkaClientFactory(), {
    topic,
    consumer: { ...client, 'isolation.level': 'read_committed' },
    producer: null,
    admin: client,
    onRecord: (record) => records.push(record),
    onError: () => undefined,
  })
  await log.start(AbortSignal.timeout(20_000))
  return records.sort((a, b) => a.partition - b.partition || Number(a.offset - b.offset))
}

/** Key or value as text; null for a tombstone or a missing key. */
export function textOf(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString('utf8')
}
