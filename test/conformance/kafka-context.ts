/** What the Kafka conformance tests share: a cluster under test, random names, and small helpers over the clients. */
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { TopicPartition } from '../../worker/api/topic-partition.ts'
import type {
  Admin,
  ClientProperties,
  Consumer,
  ConsumerRecord,
  Delivery,
  KafkaClientFactory,
  Producer,
  ProducerRecord,
  RebalanceListener,
} from '../../worker/kafka/types.ts'

/** One cluster to be held to the interface: the fake or a real one. */
export interface KafkaUnderTest {
  readonly clients: KafkaClientFactory
  /** Connection properties (`bootstrap.servers` and security). */
  readonly properties: ClientProperties
}

export type OpenKafka = () => KafkaUnderTest

/** Longest wait for anything that has to happen. */
export const PATIENCE_MS = 20_000

/** Waits for a condition instead of sleeping. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Did not happen within ${PATIENCE_MS} ms: ${what}`)
    await delay(5)
  }
}

/** Remembers the outcome of every record, in order of arrival. */
export class Outcomes implements Delivery {
  delivered_: { readonly count: number; readonly partition: number; readonly baseOffset: bigint }[] = []
  readonly errors: Error[] = []
  deliveredCount = 0
  failedCount = 0

  delivered(count: number, _topic: string, partition: number, baseOffset: bigint): void {
    this.delivered_.push({ count, partition, baseOffset })
    this.deliveredCount += count
  }

  failed(count: number, error: Error): void {
    this.errors.push(error)
    this.failedCount += count
  }
}

export const noListener: RebalanceListener = {
  onAssigned: () => Promise.resolve(),
  onRevoked: () => Promise.resolve(),
  onLost: () => Promise.resolve(),
}

export const bytes = (text: string): Uint8Array => Buffer.from(text)
export const text = (value: Uint8Array | null): string | null => (value === null ? null : Buffer.from(value).toString())

/** Clients of one test; all are closed and its topics deleted when the test ends. */
export class KafkaTest implements AsyncDisposable {
  readonly name = `conformance-${randomUUID()}`
  readonly admin: Admin
  readonly #kafka: KafkaUnderTest
  readonly #open = new AsyncDisposableStack()
  readonly #topics: string[] = []

  constructor(kafka: KafkaUnderTest) {
    this.#kafka = kafka
    this.admin = kafka.clients.admin(kafka.properties)
  }

  get kafka(): KafkaUnderTest {
    return this.#kafka
  }

  async topic(partitions = 1, configs: Readonly<Record<string, string>> = {}): Promise<string> {
    const topic = `${this.name}-${this.#topics.length}`
    await this.admin.createTopic({ topic, partitions, replicationFactor: 1, configs })
    this.#topics.push(topic)
    return topic
  }

  producer(properties: ClientProperties = {}): Producer {
    return this.#open.use(this.#kafka.clients.producer({ ...this.#kafka.properties, 'linger.ms': '0', ...properties }))
  }

  consumer(properties: ClientProperties = {}): Consumer {
    return this.#open.use(
      this.#kafka.clients.consumer({
        ...this.#kafka.properties,
        'auto.offset.reset': 'earliest',
        'heartbeat.interval.ms': '50',
        'fetch.max.wait.ms': '50',
        ...properties,
      }),
    )
  }

  /** Client that is closed with the test. */
  use<T extends AsyncDisposable>(client: T): T {
    return this.#open.use(client)
  }

  /** Writes values in order and waits for them. */
  async write(topic: string, values: readonly string[], partition = 0): Promise<void> {
    await using producer = this.#kafka.clients.producer({ ...this.#kafka.properties, 'linger.ms': '0' })
    await producer.partitionsOf(topic)
    const outcomes = new Outcomes()
    for (const value of values) producer.append(record(topic, { value: bytes(value), partition }), outcomes)
    await producer.flush()
    if (outcomes.errors[0] !== undefined) throw outcomes.errors[0]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using admin = this.admin
    // Members first: their last commits need the topics.
    await this.#open.disposeAsync()
    await admin.deleteTopics(this.#topics)
  }
}

export function record(topic: string, parts: Partial<ProducerRecord> = {}): ProducerRecord {
  return { topic, partition: 0, key: null, value: null, headers: [], timestamp: null, ...parts }
}

export function partitions(topic: string, count: number): TopicPartition[] {
  return Array.from({ length: count }, (_, partition) => ({ topic, partition }))
}

/** A record as plain data, copied out of the fetch buffer. */
export interface Seen {
  readonly partition: number
  readonly offset: bigint
  readonly key: string | null
  readonly value: string | null
  readonly headers: readonly (readonly [string, string | null])[]
  readonly timestamp: number
}

export function seen(partition: number, { offset, key, value, headers, timestamp }: ConsumerRecord): Seen {
  return {
    partition,
    offset,
    timestamp,
    key: text(key),
    value: text(value),
    headers: headers.map((header) => [header.key, text(header.value)] as const),
  }
}

/** Polls until `count` records came. */
export async function read(consumer: Consumer, count: number): Promise<Seen[]> {
  const records: Seen[] = []
  const deadline = Date.now() + PATIENCE_MS
  while (records.length < count) {
    for (const batch of await consumer.poll(200)) {
      for (const one of batch.records) records.push(seen(batch.partition, one))
    }
    if (Date.now() > deadline) throw new Error(`Only ${records.length} of ${count} records came`)
  }
  return records
}

/** Tests by title. */
export type KafkaCases = Readonly<Record<string, (open: OpenKafka) => Promise<void>>>
