import { ElasticsearchIndex } from '../support/elasticsearch-index.ts'
import { groupLag, kafkaFor, recreateTopics } from '../support/kafka-topics.ts'
import type { PipelineRun } from '../support/pipeline.ts'
import { readTopic } from '../support/read-topic.ts'
import { waitFor } from '../support/wait.ts'

const ratings = 300

/** Where a rating should end. */
type End = 'strict' | 'lenient' | 'last'

/**
 * A dead-letter waterfall: what the strict index refuses goes to a lenient one by way of the dead letter queue; what
 * that refuses, too, goes to the last queue.
 */
export class Waterfall {
  readonly #shop: string
  readonly #names: Readonly<Record<string, string>>
  readonly #connectors: readonly (readonly [file: string, name: string, topic: string])[]

  constructor(shop: string, names: Readonly<Record<string, string>>) {
    this.#shop = shop
    this.#names = names
    this.#connectors = [
      ['strict-sink.json', names['search-strict'] ?? '', `${shop}.ratings`],
      ['lenient-sink.json', names['search-lenient'] ?? '', `${shop}.ratings.dlq`],
    ]
  }

  get connectors(): readonly string[] {
    return this.#connectors.map(([, name]) => name)
  }

  async prepare({ services }: PipelineRun): Promise<void> {
    const topics = ['ratings', 'ratings.dlq', 'ratings.last'].map((topic) => [`${this.#shop}.${topic}`, 1] as const)
    await recreateTopics(services.kafkaBrokers, Object.fromEntries(topics))
    const strict = new ElasticsearchIndex(services.esUrl, `${this.#shop}.ratings`)
    await strict.recreate({ dynamic: 'strict', properties: { rating: { type: 'integer' }, note: { type: 'text' } } })
    await new ElasticsearchIndex(services.esUrl, `${this.#shop}.ratings.lenient`).recreate({ enabled: false })
  }

  async execute({ services, connect }: PipelineRun): Promise<void> {
    for (const [file, name] of this.#connectors) {
      await connect.apply(new URL(file, import.meta.url), this.#names)
      await connect.running(name, 1)
    }
    const producer = kafkaFor(services.kafkaBrokers, 'ratings-app').producer()
    await producer.connect()
    const messages = Array.from({ length: ratings }, (_, i) => ({
      key: `rating-${i}`,
      value: JSON.stringify(ratingAt(i)),
    }))
    try {
      await producer.send({ topic: `${this.#shop}.ratings`, messages })
    } finally {
      await producer.disconnect()
    }
    // One after the other: what the second reads, the first has written before it commits.
    for (const [, name, topic] of this.#connectors) {
      await waitFor(`${name} to read ${topic}`, 120_000, async () =>
        (await groupLag(services.kafkaBrokers, `connect-${name}`, topic)) === 0 ? true : null,
      )
    }
  }

  /** @returns what differs, and a line about what came of it */
  async check({ services }: PipelineRun): Promise<{ readonly differences: readonly string[]; readonly note: string }> {
    const ends: Readonly<Record<End, readonly string[]>> = {
      strict: [...(await new ElasticsearchIndex(services.esUrl, `${this.#shop}.ratings`).all()).keys()],
      lenient: [...(await new ElasticsearchIndex(services.esUrl, `${this.#shop}.ratings.lenient`).all()).keys()],
      last: (await readTopic(services.kafkaBrokers, `${this.#shop}.ratings.last`)).map(({ key }) => key ?? ''),
    }
    const differences: string[] = []
    for (const [end, ids] of Object.entries(ends)) {
      const expected = Array.from({ length: ratings }, (_, i) => i).filter((i) => endOf(i) === end)
      const wanted = new Set(expected.map((i) => `rating-${i}`))
      const found = new Set(ids)
      for (const id of wanted) if (!found.has(id)) differences.push(`${id} did not end in ${end}`)
      for (const id of found) if (!wanted.has(id)) differences.push(`${id} ended in ${end}`)
    }
    const refused = await readTopic(services.kafkaBrokers, `${this.#shop}.ratings.dlq`)
    const lost = refused.filter(({ headers }) => headers['__connect.errors.topic'] !== `${this.#shop}.ratings`)
    if (lost.length > 0) differences.push(`${lost.length} dead letters do not say where they came from`)
    const counts = `${ends.strict.length} + ${ends.lenient.length} + ${ends.last.length} of ${ratings}`
    return { differences, note: `waterfall: ${counts} ratings in the strict index, the lenient one, the last queue` }
  }
}

function endOf(i: number): End {
  if (i % 50 === 7) return 'last'
  return i % 10 === 3 || i % 25 === 4 ? 'lenient' : 'strict'
}

/** A number as it should be; a text instead of it; an oversized one; something that is no document at all. */
function ratingAt(i: number): unknown {
  if (i % 50 === 7) return 'no document'
  if (i % 10 === 3) return { rating: 'five stars' }
  if (i % 25 === 4) return { rating: 5, note: 'very good '.repeat(800) }
  return { rating: i % 6, note: i % 7 === 0 ? null : 'fine' }
}
