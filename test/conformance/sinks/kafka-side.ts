/** Topics, records and committed offsets of one played case. */
import type { TopicPartition } from '../../../worker/api/topic-partition.ts'
import { createKafkaClientFactory } from '../../../worker/kafka/client.ts'
import type { Admin, ClientProperties, ConsumerRecord, Delivery, Producer } from '../../../worker/kafka/types.ts'
import { until } from './connect-side.ts'
import type { CaseRecord, SinkCase, TopicPlan } from './corpus.ts'
import { isJsonObject, type Json, type JsonObject } from './exact-json.ts'
import type { Normaliser } from './normalise.ts'

/** Connections to the broker that all cases of a run share. */
export class KafkaConnections implements AsyncDisposable {
  readonly properties: ClientProperties
  readonly clients = createKafkaClientFactory()
  readonly admin: Admin

  constructor(brokers: readonly string[]) {
    this.properties = { 'bootstrap.servers': brokers.join(','), 'client.id': 'sink-cases' }
    this.admin = this.clients.admin(this.properties)
  }

  /** One per use: a producer that goes on asking for the topics of finished cases has the broker create them anew. */
  producer(): Producer {
    // Cases with large records exist.
    return this.clients.producer({ ...this.properties, 'max.request.size': '20000000', 'linger.ms': '5' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.admin.close()
  }
}

/** Headers of dead letter records that name classes and stack frames; every implementation has its own. */
const ownHeaders = new Set([
  '__connect.errors.exception.stacktrace',
  '__connect.errors.class.name',
  '__connect.errors.exception.class.name',
])

export class CaseTopics {
  readonly #kafka: KafkaConnections
  readonly #topics: Readonly<Record<string, TopicPlan>>
  readonly #records: readonly CaseRecord[]
  readonly #group: string

  constructor(kafka: KafkaConnections, { topics, records }: SinkCase, group: string) {
    this.#kafka = kafka
    this.#topics = topics
    this.#records = records
    this.#group = group
  }

  async create(): Promise<void> {
    await Promise.all(
      Object.entries(this.#topics).map(([topic, { partitions = 1, config }]) => {
        // Records with timestamps of long ago must not expire.
        const configs = { 'retention.ms': '-1', ...config }
        return this.#kafka.admin.createTopic({ topic, partitions, replicationFactor: 1, configs })
      }),
    )
  }

  async delete(): Promise<void> {
    // A consumer that is still there would ask for its topics and so have the broker create them anew.
    const isLeft = async () => (await this.#kafka.admin.groupMembers(this.#group).catch(() => 0)) === 0
    await until('end of the consumer group', 30_000, isLeft)
    await this.#kafka.admin.deleteTopics(Object.keys(this.#topics))
    await this.#kafka.admin.deleteGroup(this.#group).catch(() => undefined)
  }

  async produce(phase: number): Promise<void> {
    await using producer = this.#kafka.producer()
    const records = this.#records.filter((record) => record.phase === phase)
    let failure: Error | null = null
    const delivery: Delivery = {
      delivered: () => {},
      failed: (_count, error) => {
        failure ??= error
      },
    }
    await Promise.all([...new Set(records.map(({ topic }) => topic))].map((topic) => producer.partitionsOf(topic)))
    for (const record of records) {
      await producer.ready()
      producer.append(record, delivery)
    }
    await producer.flush()
    if (failure !== null) throw failure
  }

  /** Committed offsets by `topic-partition`; 0 says the same as nothing. */
  async offsets(): Promise<Readonly<Record<string, number>>> {
    const offsets = await this.#kafka.admin.listGroupOffsets(this.#group)
    const entries = [...offsets.entries()].filter(([, offset]) => offset > 0n)
    return Object.fromEntries(
      entries.map(([{ topic, partition }, offset]) => [`${topic}-${partition}`, Number(offset)]),
    )
  }

  get deadLetterTopics(): readonly string[] {
    return Object.keys(this.#topics).filter((topic) => this.#topics[topic]?.dlq === true)
  }

  async #ends(topic: string): Promise<readonly (readonly [TopicPartition, bigint])[]> {
    const count = this.#topics[topic]?.partitions ?? 1
    const partitions = Array.from({ length: count }, (_, partition) => ({ topic, partition }))
    const ends = await this.#kafka.admin.listOffsets(partitions, 'latest', 'read_uncommitted')
    return [...ends.entries()]
  }

  async deadLetterCount(): Promise<number> {
    const ends = await Promise.all(this.deadLetterTopics.map((topic) => this.#ends(topic)))
    return ends.flat().reduce((sum, [, end]) => sum + Number(end), 0)
  }

  /** Dead letter records, ordered by where their originals were read. */
  async deadLetters(normaliser: Normaliser): Promise<readonly JsonObject[]> {
    const found: JsonObject[] = []
    for (const topic of this.deadLetterTopics) {
      for (const record of await this.#read(topic)) {
        const headers = record.headers.filter(({ key }) => !ownHeaders.has(key))
        found.push({
          topic: normaliser.text(topic),
          key: normaliser.bytes(record.key),
          value: normaliser.bytes(record.value),
          headers: headers.map(({ key, value }) => [key, normaliser.bytes(value)]),
        })
      }
    }
    return found.sort((a, b) => (position(a) < position(b) ? -1 : 1))
  }

  async #read(topic: string): Promise<readonly ConsumerRecord[]> {
    const ends = (await this.#ends(topic)).filter(([, end]) => end > 0n)
    if (ends.length === 0) return []
    await using consumer = this.#kafka.clients.consumer({ ...this.#kafka.properties, 'auto.offset.reset': 'earliest' })
    consumer.assign(ends.map(([partition]) => partition))
    for (const [partition] of ends) consumer.seek(partition, 0n)
    const missing = new Map(ends.map(([partition, end]) => [partition.partition, end]))
    const records: ConsumerRecord[] = []
    const deadline = performance.now() + 30_000
    while (missing.size > 0) {
      if (performance.now() > deadline) throw new Error(`${topic} could not be read to its end`)
      for (const batch of await consumer.poll(500)) {
        records.push(...batch.records.map(copyRecord))
        if (batch.nextOffset >= (missing.get(batch.partition) ?? 0n)) missing.delete(batch.partition)
      }
    }
    return records
  }
}

/** Key, value and headers are views of the fetch buffer: what is kept is copied. */
function copyRecord({ offset, timestamp, timestampType, key, value, headers }: ConsumerRecord): ConsumerRecord {
  const copy = (bytes: Uint8Array | null) => (bytes === null ? null : Uint8Array.from(bytes))
  return {
    offset,
    timestamp,
    timestampType,
    key: copy(key),
    value: copy(value),
    headers: headers.map((header) => ({ key: header.key, value: copy(header.value) })),
  }
}

/** Sorts by source topic, partition and offset. */
function position(record: JsonObject): string {
  const headers = new Map(record['headers'] as readonly (readonly [string, Json])[])
  const part = (name: string) => String(headers.get(`__connect.errors.${name}`) ?? '')
  return `${part('topic')}\n${part('partition').padStart(10, '0')}\n${part('offset').padStart(20, '0')}`
}

/** Leaves the class names out of recorded dead letter records, too. */
export function withoutOwnHeaders(outcome: Json): Json {
  if (!isJsonObject(outcome) || !Array.isArray(outcome['dlq'])) return outcome
  const dlq = (outcome['dlq'] as readonly JsonObject[]).map((record) => ({
    ...record,
    headers: (record['headers'] as readonly (readonly [string, Json])[]).filter(([name]) => !ownHeaders.has(name)),
  }))
  return { ...outcome, dlq }
}
