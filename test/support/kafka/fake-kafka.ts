/**
 * Kafka in memory behind the interfaces of `worker/kafka/types.ts`, held to the real clients' behaviour by
 * `kafkaConformance`. One `FakeKafka` is one cluster; every factory and client made from it shares its topics, groups
 * and transactional ids. Faults are put in from outside, so sources need no test branches.
 */
import type { KafkaClientFactory } from '../../../worker/kafka/types.ts'
import { systemClock } from '../../../worker/util/clock.ts'
import { FakeAdmin } from './fake-admin.ts'
import { FakeBroker } from './fake-broker.ts'
import { FakeConsumer } from './fake-consumer.ts'
import { FakeGroupMember } from './fake-group-member.ts'
import { FakeProducer } from './fake-producer.ts'

export class FakeKafka extends FakeBroker {
  readonly clients: KafkaClientFactory = {
    producer: (properties) => new FakeProducer(this, properties, systemClock),
    consumer: (properties) => new FakeConsumer(this, properties, systemClock),
    admin: () => new FakeAdmin(this),
    groupMember: (properties, options) =>
      new FakeGroupMember(this, { options, clientId: properties['client.id'] ?? 'sluice', clock: systemClock }),
  }
}
