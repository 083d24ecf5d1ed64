/** Holds what the slot was told to forget against what Kafka has at the same time (R4, I1). */
import { setTimeout as sleep } from 'node:timers/promises'
import type { kafkaFor } from '../../compose/pipelines/support/kafka-topics.ts'
import { waitFor } from '../../compose/pipelines/support/wait.ts'
import type { TopicPartition } from '../../worker/api/topic-partition.ts'
import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import type { Admin } from '../../worker/kafka/types.ts'
import type { Change, ChaosSource } from './postgres-source.ts'

type Kafka = ReturnType<typeof kafkaFor>

/** Where a record stands in Kafka. */
export interface Place {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}

/** A position of the slot, and how far each partition went when it had been read. */
interface Sample {
  readonly confirmed: bigint
  readonly ends: ReadonlyMap<string, bigint>
}

/** A source offset in the offset topic: how far it lets the slot go. */
interface StoredPosition {
  readonly lsn: bigint
  readonly place: Place
}

const intervalMs = 20
const topicMs = 60_000

const partitionOf = ({ topic, partition }: Pick<Place, 'topic' | 'partition'>) => `${topic}/${partition}`
const isBefore = (place: Place, ends: ReadonlyMap<string, bigint>) =>
  place.offset < (ends.get(partitionOf(place)) ?? 0n)

export class SlotWatch implements AsyncDisposable {
  readonly #source: ChaosSource
  readonly #partitions: readonly TopicPartition[]
  readonly #admin: Admin
  readonly #consumer: ReturnType<Kafka['consumer']>
  readonly #stored: StoredPosition[] = []
  #samples: Sample[] = []
  #confirmed: bigint | null = null
  #taken = 0
  #isOver = false
  #loop: Promise<void> = Promise.resolve()

  private constructor(parts: {
    readonly source: ChaosSource
    readonly partitions: readonly TopicPartition[]
    readonly admin: Admin
    readonly consumer: ReturnType<Kafka['consumer']>
  }) {
    this.#source = parts.source
    this.#partitions = parts.partitions
    this.#admin = parts.admin
    this.#consumer = parts.consumer
  }

  /** @param topics of the tables; the workers must have made the offset topic */
  static async open(options: {
    readonly brokers: string
    readonly kafka: Kafka
    readonly source: ChaosSource
    readonly topics: readonly string[]
    readonly offsetTopic: string
  }): Promise<SlotWatch> {
    const { brokers, kafka, source, topics, offsetTopic } = options
    const admin = createKafkaClientFactory().admin({ 'bootstrap.servers': brokers })
    const partitions: TopicPartition[] = []
    for (const topic of [...topics, offsetTopic]) {
      // The broker that is asked may hear of a new topic later than the one that made it.
      const count = await waitFor(
        `the topic ${topic}`,
        topicMs,
        async () => (await admin.describeTopic(topic))?.partitions ?? null,
      )
      for (let partition = 0; partition < count; partition++) partitions.push({ topic, partition })
    }
    const consumer = kafka.consumer({ groupId: `${source.name}-offsets`, maxWaitTimeInMs: 100 })
    const watch = new SlotWatch({ source, partitions, admin, consumer })
    await consumer.connect()
    await consumer.subscribe({ topics: [offsetTopic], fromBeginning: true })
    await consumer.run({
      eachMessage: async ({ topic, partition, message }) => {
        const [connector] = JSON.parse(message.key?.toString() ?? '[]') as readonly [string?]
        if (connector !== source.name || message.value === null) return
        const lsn = furthest(message.value.toString())
        watch.#stored.push({ lsn, place: { topic, partition, offset: BigInt(message.offset) } })
      },
    })
    watch.#loop = watch.#run()
    return watch
  }

  /** Positions of the slot that have been looked at. */
  get samples(): number {
    return this.#taken
  }

  /** Where the first offset stands that was durable: everything behind it is an event. Null before there is one. */
  get firstOffset(): bigint | null {
    return this.#stored[0]?.lsn ?? null
  }

  async #look(): Promise<void> {
    const confirmed = await this.#source.confirmed()
    if (confirmed === null || confirmed === this.#confirmed) return
    // The position first: what Kafka has by then was durable no earlier than it was confirmed, or it was not. Up to the
    // high watermark: the markers of a committed transaction reach its partitions in their own time.
    const offsets = await this.#admin.listOffsets(this.#partitions, 'latest', 'read_uncommitted')
    const ends = new Map([...offsets].map(([partition, end]) => [partitionOf(partition), end]))
    this.#confirmed = confirmed
    this.#taken += 1
    this.#samples.push({ confirmed, ends })
  }

  /**
   * What was confirmed before it was durable, since `forget` was called.
   * @param places of the changes by their versions, each where it came first
   */
  check(history: readonly Change[], places: ReadonlyMap<number, Place>): readonly string[] {
    const first = this.firstOffset
    if (first === null) return this.#samples.length > 1 ? ['the slot was confirmed without any offset'] : []
    const from = this.#source.lastThatMayBeBefore(first)
    const differences: string[] = []
    for (const { confirmed, ends } of this.#samples) {
      // The position that the slot was created with needs no offset.
      if (confirmed <= first) continue
      if (!this.#stored.some(({ lsn, place }) => lsn >= confirmed && isBefore(place, ends)))
        differences.push(`the slot was confirmed up to ${confirmed} when the offset topic did not hold that`)
      const until = this.#source.lastBefore(confirmed)
      const early = history.find(({ seq, v }) => {
        if (seq <= from || seq > until || v === null) return false
        const place = places.get(v)
        return place === undefined || !isBefore(place, ends)
      })
      if (early !== undefined)
        differences.push(`confirmed up to ${confirmed}, but not in Kafka then: ${early.table} ${early.key} ${early.v}`)
    }
    return differences
  }

  /** What has been looked at so far is settled. */
  forget(): void {
    this.#samples = []
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      // The server is away at times.
      await this.#look().catch(() => undefined)
      await sleep(intervalMs)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    await this.#loop
    await this.#consumer.disconnect()
    await this.#admin.close()
  }
}

/** No position that the connector confirms for this offset lies behind it. */
function furthest(offset: string): bigint {
  const positions = [...offset.matchAll(/"lsn(?:_proc|_commit|_idle)?":(\d+)/g)].map(([, digits]) =>
    BigInt(digits ?? 0),
  )
  return positions.reduce((most, at) => (at > most ? at : most), 0n)
}
