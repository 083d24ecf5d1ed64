/** Consumer properties under Java's names and with Java's defaults (Kafka 4.3). */

import { kafkaError } from './errors.ts'
import type { FetchConfig } from './fetcher.ts'
import { assignorNamed, type PartitionAssignor } from './partition-assignors.ts'
import type { PropertyReader } from './property-reader.ts'

/** Our own property, not one of Java's: no other living consumer of the group has this `client.id`. */
export const soleClientIdProperty = 'sluice.client.id.sole'

/**
 * Our own property: about how many bytes of keys, values and headers one `poll` hands out at most, decompressed; one
 * record at least. `max.poll.records` alone says nothing about memory: what a sink decodes out of one poll lives until
 * `put` returns, and beyond this size it outlives the young generation of its thread, which costs more than decoding it.
 */
export const maxPollBytesProperty = 'sluice.max.poll.bytes'
/**
 * Decoded, JSON takes three times its bytes, until `put` returns. A sink's young generation has two halves of 2 MiB:
 * what one poll makes must be a small part of one half, or each collection copies it and the next one takes it for
 * long-lived. Polls of four times this size cost half as much CPU again, and twice the collections of the whole heap.
 */
const DEFAULT_POLL_BYTES = 128 * 1024

export interface ConsumerConfig {
  readonly groupId: string | null
  readonly maxPollRecords: number
  readonly maxPollBytes: number
  readonly maxPollIntervalMs: number
  readonly sessionTimeoutMs: number
  readonly heartbeatIntervalMs: number
  /** See `GroupMemberOptions.soleClientId`. */
  readonly soleClientId: boolean
  readonly offsetReset: 'earliest' | 'latest' | 'none'
  readonly assignors: readonly PartitionAssignor[]
  readonly excludeInternalTopics: boolean
  readonly fetch: FetchConfig
}

/** Full match, like Java's `Pattern.matches`. */
export function matchesPattern(pattern: RegExp): (text: string) => boolean {
  const full = new RegExp(`^(?:${pattern.source})$`, pattern.flags.replace(/[gy]/g, ''))
  return (text) => full.test(text)
}

export function readConsumerConfig(reader: PropertyReader): ConsumerConfig {
  const names = reader.list('partition.assignment.strategy') ?? ['range', 'cooperative-sticky']
  const assignors = names.map((name) => {
    const assignor = assignorNamed(name)
    if (assignor !== null) return assignor
    throw kafkaError(
      'CONNECT_KAFKA_CONFIG',
      `The client property partition.assignment.strategy names ${name}; RangeAssignor, RoundRobinAssignor and CooperativeStickyAssignor are supported`,
    )
  })
  return {
    groupId: reader.text('group.id'),
    maxPollRecords: reader.integer('max.poll.records', 500, 1),
    maxPollBytes: reader.integer(maxPollBytesProperty, DEFAULT_POLL_BYTES, 1),
    maxPollIntervalMs: reader.integer('max.poll.interval.ms', 300_000, 1),
    sessionTimeoutMs: reader.integer('session.timeout.ms', 45_000, 1),
    heartbeatIntervalMs: reader.integer('heartbeat.interval.ms', 3000, 1),
    soleClientId: reader.boolean(soleClientIdProperty, false),
    offsetReset: reader.choice('auto.offset.reset', ['earliest', 'latest', 'none'], 'latest'),
    assignors,
    excludeInternalTopics: reader.boolean('exclude.internal.topics', true),
    fetch: {
      maxWaitMs: reader.integer('fetch.max.wait.ms', 500),
      minBytes: reader.integer('fetch.min.bytes', 1),
      maxBytes: reader.integer('fetch.max.bytes', 52_428_800, 1),
      partitionMaxBytes: reader.integer('max.partition.fetch.bytes', 1_048_576, 1),
      readCommitted:
        reader.choice('isolation.level', ['read_uncommitted', 'read_committed'], 'read_uncommitted') ===
        'read_committed',
      rack: reader.text('client.rack') ?? '',
    },
  }
}
