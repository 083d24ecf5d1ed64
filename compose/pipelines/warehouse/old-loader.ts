import { kafkaFor } from '../support/kafka-topics.ts'
import type { Services } from '../support/pipeline.ts'
import { Warehouse } from './warehouse-client.ts'

/** SQL of one INSERT, below the 100 KB of the Data API. */
const maxSqlChars = 90_000

/** Session of its consumer in ms: an INSERT of a busy warehouse must fit in. */
export const oldSessionMs = 120_000

/**
 * The pipeline that is to be replaced: one consumer that inserts row by row what it reads, one statement after the
 * other, with the same rules (debug events dropped, e-mail and IBAN masked).
 */
export class OldLoader implements AsyncDisposable {
  readonly #warehouse: Warehouse
  readonly #schema: string
  readonly #rows = new Map<string, string[]>()
  readonly #sizes = new Map<string, number>()
  #seen = 0
  readonly #consumer: ReturnType<ReturnType<typeof kafkaFor>['consumer']>

  constructor(services: Services, schema: string) {
    this.#warehouse = new Warehouse(services)
    this.#schema = schema
    // It inserts between two heartbeats, and cannot take rows back that it inserted: it must not lose its membership.
    this.#consumer = kafkaFor(services.kafkaBrokers, schema).consumer({ groupId: schema, sessionTimeout: oldSessionMs })
  }

  /** Reads a topic from its beginning until it has seen so many events, loaded or dropped. */
  async load(topic: string, events: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    await this.#consumer.connect()
    await this.#consumer.subscribe({ topic, fromBeginning: true })
    await this.#consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch, heartbeat }) => {
        try {
          for (const { value, headers } of batch.messages) {
            this.#seen++
            if (headers?.['debug'] === undefined) await this.#add(String(value))
          }
          await heartbeat()
          if (this.#seen < events) return
          await this.#flushAll()
          resolve()
        } catch (error) {
          reject(error)
          throw error
        }
      },
    })
    await promise
  }

  async #add(text: string): Promise<void> {
    const event = JSON.parse(text) as Readonly<Record<string, unknown>>
    const kind = String(event['kind'])
    const attributes =
      event['attributes'] === undefined ? 'NULL' : `JSON_PARSE(${quoted(JSON.stringify(event['attributes']))})`
    const row = `(${quoted(event['event_id'])},${quoted(kind)},${event['company_id']},${event['employee_id']},'****','****',${event['amount']},${event['occurred_at']},${attributes})`
    const size = (this.#sizes.get(kind) ?? 0) + Buffer.byteLength(row) + 1
    if (size > maxSqlChars) await this.#flush(kind)
    this.#sizes.set(kind, (this.#sizes.get(kind) ?? 0) + Buffer.byteLength(row) + 1)
    const rows = this.#rows.get(kind)
    if (rows === undefined) this.#rows.set(kind, [row])
    else rows.push(row)
  }

  async #flushAll(): Promise<void> {
    for (const kind of this.#rows.keys()) await this.#flush(kind)
  }

  async #flush(kind: string): Promise<void> {
    const rows = this.#rows.get(kind) ?? []
    if (rows.length > 0) await this.#warehouse.execute(`INSERT INTO ${this.#schema}.${kind} VALUES ${rows.join(',')}`)
    this.#rows.set(kind, [])
    this.#sizes.set(kind, 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#consumer.disconnect()
    this.#warehouse.close()
  }
}

/** A literal as Redshift reads it: a backslash escapes. */
function quoted(value: unknown): string {
  return `'${String(value).replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}
