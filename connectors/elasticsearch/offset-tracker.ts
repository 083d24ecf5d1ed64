import type { SinkRecord } from '../../worker/api/record.ts'
import { type Offsets, type TopicPartition, TopicPartitionMap } from '../../worker/api/topic-partition.ts'

/** One delivered record. */
export interface OffsetSlot {
  readonly partition: PartitionOffsets
  /** Its number among the deliveries of the partition, 0 for the first; the next delivery has the next number. */
  readonly sequence: number
}

/** A superseded record was delivered again: it decides nothing any more, but something is still under way for it. */
const states = { pending: 0, superseded: 1, done: 2 } as const
/** Deliveries that there is room for at first; all sizes are powers of two. */
const leastRoom = 64

/**
 * Deliveries of one partition, from the first that is not done on, in rings of 9 bytes a record: thousands of records
 * wait for their requests, and an object for each would move to the old generation before it is done with.
 */
export class PartitionOffsets {
  /** Where the records were consumed from (KIP-793). */
  readonly source: TopicPartition
  #offsets = new BigInt64Array(leastRoom)
  #states = new Uint8Array(leastRoom)
  /** Everything before it is done. */
  #head = 0
  #next = 0
  #last: bigint | null = null

  constructor(source: TopicPartition) {
    this.source = source
  }

  /** Notes a delivery as pending. @returns its sequence number */
  add(offset: bigint): number {
    if (this.#last !== null && offset <= this.#last) this.#supersede(offset)
    this.#last = offset
    if (this.#next - this.#head === this.#states.length) this.#makeRoom()
    const sequence = this.#next++
    const at = this.#at(sequence)
    this.#offsets[at] = offset
    this.#states[at] = states.pending
    return sequence
  }

  /** The effect of `count` deliveries is durable, or they were reported or skipped. */
  finish(sequence: number, count: number): void {
    const end = sequence + count
    for (let i = Math.max(sequence, this.#head); i < end; i++) this.#states[this.#at(i)] = states.done
  }

  /** Offset of a delivery that is not done. */
  offsetOf(sequence: number): bigint {
    return this.#offsets[this.#at(sequence)] as bigint
  }

  /** Offset of the first delivery that is pending; null when there is none. */
  firstPending(): bigint | null {
    this.#skipDone()
    for (let i = this.#head; i < this.#next; i++) {
      if (this.#states[this.#at(i)] === states.pending) return this.offsetOf(i)
    }
    return null
  }

  /** Deliveries from the first that is not done on; 0 when none is pending. */
  heldCount(): number {
    return this.firstPending() === null ? 0 : this.#next - this.#head
  }

  #at(sequence: number): number {
    return sequence & (this.#states.length - 1)
  }

  #skipDone(): void {
    while (this.#head < this.#next && this.#states[this.#at(this.#head)] === states.done) this.#head++
  }

  /** The position went back: everything from `offset` on is delivered again. */
  #supersede(offset: bigint): void {
    // Offsets rise between two such moments, and what was pending above a lower one was superseded before.
    for (let i = this.#next - 1; i >= this.#head && this.offsetOf(i) >= offset; i--) {
      const at = this.#at(i)
      if (this.#states[at] === states.pending) this.#states[at] = states.superseded
    }
  }

  #makeRoom(): void {
    this.#skipDone()
    const held = this.#next - this.#head
    if (held <= this.#states.length >> 1) return
    const offsets = new BigInt64Array(2 * this.#states.length)
    const kept = new Uint8Array(offsets.length)
    for (let i = this.#head; i < this.#next; i++) {
      const to = i & (offsets.length - 1)
      offsets[to] = this.offsetOf(i)
      kept[to] = this.#states[this.#at(i)] as number
    }
    this.#offsets = offsets
    this.#states = kept
  }
}

/**
 * Which records are done, by the coordinates they were consumed at (KIP-793). Requests finish in any order; what may
 * be committed is the unbroken prefix only (I2).
 */
export class OffsetTracker {
  readonly #partitions = new TopicPartitionMap<PartitionOffsets>()

  /** Notes a delivered record as pending, until its slot is finished. */
  add(record: SinkRecord): OffsetSlot {
    const { originalTopic: topic, originalPartition, offset } = record
    let partition = this.#partitions.get(topic, originalPartition)
    if (partition === undefined) {
      partition = new PartitionOffsets({ topic, partition: originalPartition })
      this.#partitions.set(topic, originalPartition, partition)
    }
    return { partition, sequence: partition.add(offset) }
  }

  /**
   * Offsets that may be committed: the first record not yet done, or `current` where all are. Partitions that are
   * unknown here have had no record and stay at `current`.
   */
  committable(current: Offsets): TopicPartitionMap<bigint> {
    const offsets = new TopicPartitionMap<bigint>()
    for (const [{ topic, partition }, next] of current.entries()) {
      const pending = this.#partitions.get(topic, partition)?.firstPending() ?? null
      offsets.set(topic, partition, pending === null || pending > next ? next : pending)
    }
    return offsets
  }

  /** Records from the first that is not done on, of all partitions: what is kept of them is memory. */
  heldCount(): number {
    let count = 0
    for (const partition of this.#partitions.values()) count += partition.heldCount()
    return count
  }

  /** Forgets partitions that were given away, or begins them anew. */
  drop(partitions: readonly TopicPartition[]): void {
    for (const { topic, partition } of partitions) this.#partitions.delete(topic, partition)
  }
}
