/** Channel `notify`: signals by PostgreSQL's NOTIFY, for operators with no right to write to a table. */
import type { Logger } from '../../worker/api/context.ts'
import { type ConnectionOptions, Database } from './connection.ts'
import { type Signal, type SignalChannel, signalOf } from './signals.ts'
import { quoteIdentifier } from './sql.ts'

/**
 * Listens on a connection of its own. What is notified while nobody listens is gone: PostgreSQL keeps no notifications.
 * A lost connection is made again, by the next `poll`.
 */
export class NotifySignals implements SignalChannel {
  readonly #connection: ConnectionOptions
  readonly #channel: string
  readonly #logger: Logger
  #database: Database | null = null
  #received: Signal[] = []
  #lost = false

  constructor(connection: ConnectionOptions, channel: string, logger: Logger) {
    this.#connection = connection
    this.#channel = channel
    this.#logger = logger
  }

  get dueInMs(): number {
    return this.#received.length > 0 ? 0 : Number.POSITIVE_INFINITY
  }

  /** @throws the driver's error when listening is impossible, e.g. on a standby */
  async *poll(): AsyncGenerator<Signal, void, void> {
    await this.#listen()
    for (let signal = this.#received.shift(); signal !== undefined; signal = this.#received.shift()) yield signal
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const database = this.#database
    this.#database = null
    await database?.[Symbol.asyncDispose]()
  }

  async #listen(): Promise<void> {
    if (this.#database !== null && !this.#lost) return
    await this[Symbol.asyncDispose]()
    const database = await Database.open(this.#connection, 'Debezium Signals')
    this.#database = database
    this.#lost = false
    const lost = () => {
      this.#lost = true
    }
    database.client.on('error', lost)
    database.client.on('end', lost)
    database.client.on('notification', ({ payload }) => {
      const signal = signalOf(payload ?? '')
      if (signal === null) this.#logger.warn({ channel: this.#channel }, 'A notification is no signal: ignored')
      else this.#received.push(signal)
    })
    await database.execute(`LISTEN ${quoteIdentifier(this.#channel)}`)
  }
}
