import type { SinkRecord } from '../../worker/api/record.ts'
import { type Offsets, type TopicPartition, TopicPartitionMap } from '../../worker/api/topic-partition.ts'

/** One delivered record; `done` once its effect is durable, or was reported or skipped. */
export interface OffsetSlot {
  /** Where it was consumed from (KIP-793): one object for all records of a partition. */
  readonly source: TopicPartition
  readonly offset: bigint
  done: boolean
}

/** Slots of one partition in the order of delivery; `head` is the first that may be pending. */
interface Progress {
  readonly source: TopicPartition
  slots: OffsetSlot[]
  head: number
}

/** Slots kept behind the head before the array is cut. */
const compactAfter = 4096

/**
 * Which records are done, by the coordinates they were consumed at (KIP-793). Requests finish in any order; what may
 * be committed is the unbroken prefix only (I2).
 */
export class OffsetTracker {
  readonly #partitions = new TopicPartitionMap<Progress>()

  /** Notes a delivered record as pending. */
  add(record: SinkRecord): OffsetSlot {
    const { originalTopic: topic, originalPartition: partition, offset } = record
    let progress = this.#partitions.get(topic, partition)
    if (progress === undefined) {
      progress = { source: { topic, partition }, slots: [], head: 0 }
      this.#partitions.set(topic, partition, progress)
    }
    const last = progress.slots.at(-1)
    if (last !== undefined && offset <= last.offset) {
      // The position went back: everything from here on is delivered again, so older slots decide nothing any more.
      progress.slots = progress.slots.slice(progress.head).filter((slot) => slot.offset < offset && !slot.done)
      progress.head = 0
    }
    const slot = { source: progress.source, offset, done: false }
    progress.slots.push(slot)
    return slot
  }

  /**
   * Offsets that may be committed: the first record not yet done, or `current` where all are. Partitions that are
   * unknown here have had no record and stay at `current`.
   */
  committable(current: Offsets): TopicPartitionMap<bigint> {
    const offsets = new TopicPartitionMap<bigint>()
    for (const [{ topic, partition }, next] of current.entries()) {
      const progress = this.#partitions.get(topic, partition)
      const pending = progress === undefined ? undefined : firstPending(progress)
      offsets.set(topic, partition, pending === undefined || pending.offset > next ? next : pending.offset)
    }
    return offsets
  }

  /** Records from the first that is not done on, of all partitions: what is kept of them is memory. */
  heldCount(): number {
    let count = 0
    for (const progress of this.#partitions.values()) {
      if (firstPending(progress) !== undefined) count += progress.slots.length - progress.head
    }
    return count
  }

  /** Forgets partitions that were given away, or begins them anew. */
  drop(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) this.#partitions.delete(topic, partition)
  }
}

function firstPending(progress: Progress): OffsetSlot | undefined {
  const { slots } = progress
  while (progress.head < slots.length && slots[progress.head]?.done === true) progress.head++
  if (progress.head === slots.length) {
    // The last slot stays, to notice a position that went back.
    progress.slots = slots.slice(-1)
    progress.head = progress.slots.length
  } else if (progress.head >= compactAfter) {
    progress.slots = slots.slice(progress.head)
    progress.head = 0
  }
  return progress.slots[progress.head]
}
