/** Where a sink task stands in each of its partitions, in the consumer's coordinates (KIP-793). */
import { type Offsets, type TopicPartition, TopicPartitionMap } from '../api/topic-partition.ts'

export interface SinkPosition {
  readonly topic: string
  readonly partition: number
  /** Next offset after what was polled, delivered or not. */
  consumed: bigint
  /** Next offset after what `put` has accepted. */
  delivered: bigint
  /** Next offset known to be committed; null before the first commit in this assignment. */
  committed: bigint
  pausedByTask: boolean
  /** Reports of single records that are not durable yet; commits wait for them (KIP-610). */
  readonly reports: Set<Promise<void>>
}

export class SinkPositions {
  readonly #positions = new TopicPartitionMap<SinkPosition>()

  get size(): number {
    return this.#positions.size
  }

  add({ topic, partition }: TopicPartition, position: bigint): void {
    this.#positions.set(topic, partition, {
      topic,
      partition,
      consumed: position,
      delivered: position,
      committed: position,
      pausedByTask: false,
      reports: new Set(),
    })
  }

  get(topic: string, partition: number): SinkPosition | null {
    return this.#positions.get(topic, partition) ?? null
  }

  remove(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) this.#positions.delete(topic, partition)
  }

  all(): readonly SinkPosition[] {
    return [...this.#positions.values()]
  }

  assignment(): readonly TopicPartition[] {
    return [...this.#positions.keys()]
  }

  /** `put` has accepted everything that was polled. */
  markDelivered(): void {
    for (const position of this.#positions.values()) position.delivered = position.consumed
  }

  /** What may be offered to `preCommit`, of these partitions. */
  delivered(partitions: readonly TopicPartition[]): Offsets {
    const offsets = new TopicPartitionMap<bigint>()
    for (const { topic, partition } of partitions) {
      const position = this.#positions.get(topic, partition)
      if (position !== undefined) offsets.set(topic, partition, position.delivered)
    }
    return offsets
  }

  /** Records that were polled and whose offset is not committed. */
  activeCount(): number {
    let count = 0n
    for (const { consumed, committed } of this.#positions.values()) {
      if (consumed > committed) count += consumed - committed
    }
    return Number(count)
  }
}

export type AcceptedOffsets =
  | { readonly kind: 'nothing' }
  /** All equal to what is committed: no call to the broker. */
  | { readonly kind: 'unchanged' }
  | {
      readonly kind: 'commit'
      readonly offsets: Offsets
    }

/**
 * What of `preCommit`'s answer is committed (Connect 6.3): partitions that were asked for and are assigned, offsets
 * not beyond what was delivered. Everything else is told to `onIgnored`.
 */
export function acceptOffsets(
  answer: Offsets,
  asked: Offsets,
  positions: SinkPositions,
  onIgnored: (partition: TopicPartition, offset: bigint, reason: string) => void,
): AcceptedOffsets {
  if (answer.size === 0) return { kind: 'nothing' }
  const accepted = new TopicPartitionMap<bigint>()
  let changed = false
  for (const [tp, offset] of answer) {
    const position = positions.get(tp.topic, tp.partition)
    if (position === null || !asked.has(tp.topic, tp.partition)) {
      onIgnored(tp, offset, 'the partition is not assigned to this task')
    } else if (offset > position.delivered) {
      onIgnored(tp, offset, 'the offset is beyond what was delivered')
    } else {
      accepted.set(tp.topic, tp.partition, offset)
      changed ||= offset !== position.committed
    }
  }
  if (accepted.size === 0) return { kind: 'nothing' }
  return changed ? { kind: 'commit', offsets: accepted } : { kind: 'unchanged' }
}
