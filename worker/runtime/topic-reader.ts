/** `context.readTopic`: one partition that a source task reads beside its records. */
import type { TopicReader, TopicReaderOptions, TopicReaderRecord } from '../api/context.ts'
import { type TopicPartition, TopicPartitionMap } from '../api/topic-partition.ts'
import type { Consumer, KafkaClientFactory } from '../kafka/types.ts'

/** Over a consumer that assigns the partition to itself. */
export class KafkaTopicReader implements TopicReader {
  readonly #consumer: Consumer
  readonly #partition: TopicPartition

  constructor(kafka: Pick<KafkaClientFactory, 'consumer'>, { topic, partition, properties }: TopicReaderOptions) {
    this.#partition = { topic, partition }
    this.#consumer = kafka.consumer({
      'auto.offset.reset': 'earliest',
      'isolation.level': 'read_committed',
      ...properties,
      // Positions are stored when the caller says so.
      'enable.auto.commit': 'false',
    })
    this.#consumer.assign([this.#partition])
  }

  async poll(maxWaitMs: number, signal?: AbortSignal): Promise<readonly TopicReaderRecord[]> {
    const batches = await this.#consumer.poll(maxWaitMs, signal)
    // The consumer uses its buffers again.
    const copy = (bytes: Uint8Array | null) => (bytes === null ? null : Uint8Array.from(bytes))
    return batches.flatMap(({ records }) =>
      records.map(({ offset, key, value }) => ({ offset, key: copy(key), value: copy(value) })),
    )
  }

  seek(offset: bigint): void {
    this.#consumer.seek(this.#partition, offset)
  }

  async commit(nextOffset: bigint, signal?: AbortSignal): Promise<void> {
    const offsets = new TopicPartitionMap<bigint>()
    offsets.set(this.#partition.topic, this.#partition.partition, nextOffset)
    await this.#consumer.commit(offsets, signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#consumer.close()
  }
}
