/**
 * What every implementation of `worker/kafka/types.ts` does: exported, and run against the fake and a real broker, so
 * that unit tests over the fake mean something.
 */
import { test } from 'node:test'
import { kafkaAdminConformance } from './kafka-admin.ts'
import { kafkaConsumerConformance } from './kafka-consumer.ts'
import type { OpenKafka } from './kafka-context.ts'
import { kafkaGroupConformance } from './kafka-groups.ts'
import { kafkaProducerConformance } from './kafka-producer.ts'
import { kafkaTopicLogConformance } from './kafka-topic-log.ts'
import { kafkaTransactionConformance } from './kafka-transactions.ts'

/** @param open called once per test; clients are made and closed by the test */
export function kafkaConformance(
  name: string,
  open: OpenKafka,
  options: { readonly skip?: string | false } = {},
): void {
  const skip = options.skip ?? false
  const parts = {
    producer: kafkaProducerConformance,
    consumer: kafkaConsumerConformance,
    groups: kafkaGroupConformance,
    transactions: kafkaTransactionConformance,
    admin: kafkaAdminConformance,
    'topic log': kafkaTopicLogConformance,
  }
  for (const [part, cases] of Object.entries(parts)) {
    for (const [title, run] of Object.entries(cases)) {
      test(`${name}: ${part}: ${title}`, { skip, timeout: 60_000 }, () => run(open))
    }
  }
}
