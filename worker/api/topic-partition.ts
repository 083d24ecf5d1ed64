export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** A map keyed by topic and partition, in insertion order of topics, then of partitions. */
export class TopicPartitionMap<V> {
  readonly #topics = new Map<string, Map<number, V>>()

  static from<V>(entries: Iterable<readonly [TopicPartition, V]>): TopicPartitionMap<V> {
    const map = new TopicPartitionMap<V>()
    for (const [tp, value] of entries) map.set(tp.topic, tp.partition, value)
    return map
  }

  get size(): number {
    let size = 0
    for (const partitions of this.#topics.values()) size += partitions.size
    return size
  }

  get(topic: string, partition: number): V | undefined {
    return this.#topics.get(topic)?.get(partition)
  }

  has(topic: string, partition: number): boolean {
    return this.#topics.get(topic)?.has(partition) ?? false
  }

  set(topic: string, partition: number, value: V): this {
    let partitions = this.#topics.get(topic)
    if (partitions === undefined) {
      partitions = new Map()
      this.#topics.set(topic, partitions)
    }
    partitions.set(partition, value)
    return this
  }

  delete(topic: string, partition: number): boolean {
    const partitions = this.#topics.get(topic)
    if (partitions === undefined || !partitions.delete(partition)) return false
    if (partitions.size === 0) this.#topics.delete(topic)
    return true
  }

  clear(): void {
    this.#topics.clear()
  }

  *entries(): IterableIterator<[TopicPartition, V]> {
    for (const [topic, partitions] of this.#topics) {
      for (const [partition, value] of partitions) yield [{ topic, partition }, value]
    }
  }

  *keys(): IterableIterator<TopicPartition> {
    for (const [tp] of this.entries()) yield tp
  }

  *values(): IterableIterator<V> {
    for (const partitions of this.#topics.values()) yield* partitions.values()
  }

  [Symbol.iterator](): IterableIterator<[TopicPartition, V]> {
    return this.entries()
  }
}

/** What a receiver may read but not change. */
export type ReadonlyTopicPartitionMap<V> = Omit<TopicPartitionMap<V>, 'set' | 'delete' | 'clear'>

/** Next offset to read per partition (last done + 1). */
export type Offsets = ReadonlyTopicPartitionMap<bigint>
