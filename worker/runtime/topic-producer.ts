/** `context.producer`: what a task writes beside its records. */
import type { TopicOptions, TopicProducer, TopicRecord } from '../api/context.ts'
import type { Admin, Delivery, Producer, RecordHeader } from '../kafka/types.ts'
import { orAborted } from './run-state.ts'

const noRecordHeaders: readonly RecordHeader[] = Object.freeze([])

/**
 * Appends records to a producer and waits until all are acknowledged.
 * @throws the first failure, when every record has an outcome; the signal's reason when it aborts
 */
export async function sendAll(
  producer: Producer,
  records: readonly TopicRecord[],
  signal: AbortSignal | undefined,
): Promise<void> {
  if (records.length === 0) return
  for (const topic of new Set(records.map((record) => record.topic))) await producer.partitionsOf(topic, signal)
  let open = records.length
  let failure: Error | null = null
  const outcome = Promise.withResolvers<void>()
  const settle = (count: number): void => {
    open -= count
    if (open > 0) return
    if (failure === null) outcome.resolve()
    else outcome.reject(failure)
  }
  const delivery: Delivery = {
    delivered: settle,
    failed: (count, error) => {
      failure ??= error
      settle(count)
    },
  }
  for (const record of records) {
    await producer.ready(signal)
    producer.append(
      {
        topic: record.topic,
        partition: record.partition ?? null,
        key: record.key,
        value: record.value,
        headers: record.headers ?? noRecordHeaders,
        timestamp: record.timestamp ?? null,
      },
      delivery,
    )
  }
  await (signal === undefined ? outcome.promise : orAborted(outcome.promise, signal))
}

/** Opens its clients on first use. */
export class LazyTopicProducer implements TopicProducer {
  readonly #openProducer: () => Producer
  readonly #openAdmin: () => Admin
  readonly #beforeSend: () => Promise<void>
  #producer: Producer | null = null
  #admin: Admin | null = null

  /** @param clients.beforeSend opens a transaction when the producer needs one */
  constructor(clients: {
    readonly openProducer: () => Producer
    readonly openAdmin: () => Admin
    readonly beforeSend?: () => Promise<void>
  }) {
    this.#openProducer = clients.openProducer
    this.#openAdmin = clients.openAdmin
    this.#beforeSend = clients.beforeSend ?? (async () => undefined)
  }

  async send(records: readonly TopicRecord[], signal?: AbortSignal): Promise<void> {
    this.#producer ??= this.#openProducer()
    await this.#beforeSend()
    await sendAll(this.#producer, records, signal)
  }

  async ensureTopic(topic: string, options: TopicOptions, signal?: AbortSignal): Promise<void> {
    this.#admin ??= this.#openAdmin()
    if ((await this.#admin.describeTopic(topic, signal)) !== null) return
    await this.#admin.createTopic({ topic, ...options }, signal)
  }

  /** @param timeoutMs how long outstanding records may take; null leaves the producer to its owner */
  async close(timeoutMs: number | null): Promise<void> {
    const producer = timeoutMs === null ? undefined : this.#producer?.close(timeoutMs)
    await Promise.allSettled([producer, this.#admin?.close()])
  }
}
