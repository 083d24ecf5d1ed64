/** Reads what a connector writes to Kafka, as bytes, while it runs. */
import { createKafkaClientFactory } from '../../../worker/kafka/client.ts'
import type { Admin, Consumer } from '../../../worker/kafka/types.ts'
import type { ActualRecord } from '../../conformance/postgres/normalise.ts'

const pollMs = 100
const refreshMs = 500

/** Follows all topics that a test names; topics may appear at any time. */
export class TopicCollector implements AsyncDisposable {
  readonly records: ActualRecord[] = []
  /** Records of counted topics so far, and when the last of them came (`performance.now()`). */
  count = 0
  lastMs = performance.now()
  readonly topics = new Set<string>()
  readonly #wanted: (topic: string) => boolean
  readonly #counted: (topic: string) => boolean
  readonly #admin: Admin
  readonly #consumer: Consumer
  readonly #end = new AbortController()
  readonly #loop: Promise<void>

  constructor(
    brokers: readonly string[],
    choose: { readonly wanted: (topic: string) => boolean; readonly counted: (topic: string) => boolean },
  ) {
    const client = { 'bootstrap.servers': brokers.join(',') }
    const factory = createKafkaClientFactory()
    this.#wanted = choose.wanted
    this.#counted = choose.counted
    this.#admin = factory.admin(client)
    this.#consumer = factory.consumer({
      ...client,
      'auto.offset.reset': 'earliest',
      'isolation.level': 'read_committed',
      'enable.auto.commit': 'false',
    })
    this.#loop = this.#run()
  }

  /** Ends the reading and deletes the topics: nobody writes to them any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort()
    await this.#loop.catch(() => undefined)
    await this.#consumer.close()
    await this.#admin.deleteTopics([...this.topics]).catch(() => undefined)
    await this.#admin.close()
  }

  /** Throws what ended the reading, if something did. */
  async check(): Promise<void> {
    await Promise.race([this.#loop, Promise.resolve()])
  }

  async #run(): Promise<void> {
    const { signal } = this.#end
    let refreshedMs = Number.NEGATIVE_INFINITY
    while (!signal.aborted) {
      if (performance.now() - refreshedMs > refreshMs) {
        await this.#refresh()
        refreshedMs = performance.now()
      }
      if (this.#consumer.assignment().length === 0) {
        await new Promise((resolve) => setTimeout(resolve, pollMs))
        continue
      }
      for (const { topic, records } of await this.#consumer.poll(pollMs, signal)) {
        for (const { key, value, headers, timestamp } of records) {
          this.records.push({
            topic,
            // The consumer's buffers are used again.
            key: key === null ? null : Uint8Array.from(key),
            value: value === null ? null : Uint8Array.from(value),
            headers: headers.map((header) => [
              header.key,
              header.value === null ? null : Uint8Array.from(header.value),
            ]),
            timestamp: timestamp < 0 ? null : timestamp,
          })
        }
        if (!this.#counted(topic) || records.length === 0) continue
        this.count += records.length
        this.lastMs = performance.now()
      }
    }
  }

  async #refresh(): Promise<void> {
    const fresh = (await this.#admin.listTopics()).filter((topic) => this.#wanted(topic) && !this.topics.has(topic))
    if (fresh.length === 0) return
    const assignment = [...this.#consumer.assignment()]
    for (const topic of fresh) {
      const described = await this.#admin.describeTopic(topic)
      if (described === null) continue
      this.topics.add(topic)
      for (let partition = 0; partition < described.partitions; partition++) assignment.push({ topic, partition })
    }
    this.#consumer.assign(assignment)
  }
}
