/** Makes Kafka clients from Java client properties; the real implementation behind `types.ts`. */
import type { Clock, Logger } from '../api/context.ts'
import { systemClock } from '../util/clock.ts'
import type { WorkLease } from '../util/work-lease.ts'
import { KafkaAdmin } from './admin.ts'
import { KafkaConsumer } from './consumer.ts'
import { KafkaGroupMember } from './group-member.ts'
import { KafkaProducer } from './producer.ts'
import type { KafkaClientFactory } from './types.ts'

export interface KafkaClientServices {
  readonly clock?: Clock
  /** Retries and lost connections at debug, lost memberships at warn; null for silence. */
  readonly log?: Logger | null
  /** While it is over, producers send nothing. */
  readonly lease?: WorkLease | null
}

export function createKafkaClientFactory(services: KafkaClientServices = {}): KafkaClientFactory {
  const { clock = systemClock, log = null, lease = null } = services
  return {
    producer: (properties) => new KafkaProducer(properties, clock, log, lease),
    consumer: (properties) => new KafkaConsumer(properties, clock, log),
    admin: (properties) => new KafkaAdmin(properties, clock, log),
    groupMember: (properties, options) => new KafkaGroupMember({ properties, options, clock, log }),
  }
}
