/** Heartbeats: records that carry the current offset, and the query that may precede them. */
import type { Clock, Logger } from '../../worker/api/context.ts'
import { ConnectError } from '../../worker/api/errors.ts'
import { type SourceOffset, type SourcePartition, SourceRecord } from '../../worker/api/record.ts'
import { type ConnectionOptions, Database } from './connection.ts'
import { classify, sqlStateOf } from './errors.ts'
import { heartbeatKeySchema, heartbeatSchema } from './event-schemas.ts'

export interface HeartbeatOptions {
  /** 0 turns heartbeats off. */
  readonly intervalMs: number
  readonly query: string | null
  readonly topic: string
  readonly logicalName: string
  readonly partition: SourcePartition
  readonly connection: ConnectionOptions
  readonly clock: Clock
  readonly logger: Logger
}

export class Heartbeat implements AsyncDisposable {
  readonly #options: HeartbeatOptions
  #lastMs: number
  #database: Database | null = null

  constructor(options: HeartbeatOptions) {
    this.#options = options
    this.#lastMs = options.clock.monotonicMs()
  }

  /** Milliseconds until the next one; Infinity when they are off. */
  get dueInMs(): number {
    const { intervalMs, clock } = this.#options
    return intervalMs === 0 ? Number.POSITIVE_INFINITY : this.#lastMs + intervalMs - clock.monotonicMs()
  }

  /** Makes the next one due at once. */
  force(): void {
    this.#lastMs = Number.NEGATIVE_INFINITY
  }

  /** @throws ConnectError when the action query cannot work any more */
  async record(offset: SourceOffset): Promise<SourceRecord> {
    const { clock, topic, logicalName, partition, query } = this.#options
    this.#lastMs = clock.monotonicMs()
    if (query !== null) await this.#act(query)
    return new SourceRecord({
      sourcePartition: partition,
      sourceOffset: offset,
      topic,
      partition: 0,
      keySchema: heartbeatKeySchema,
      key: { serverName: logicalName },
      valueSchema: heartbeatSchema,
      value: { ts_ms: BigInt(clock.now()) },
    })
  }

  async #act(query: string): Promise<void> {
    const { connection, logger } = this.#options
    try {
      // A statement of the user's, which writes under the policies of its table.
      this.#database ??= await Database.open({ ...connection, keepsRowSecurity: true }, 'Debezium Heartbeat')
      await this.#database.execute(query)
    } catch (error) {
      const state = sqlStateOf(error)
      await this[Symbol.asyncDispose]()
      if (state === '57P01' || state === '42P01') {
        const remedy = 'Check the table that heartbeat.action.query names.'
        throw new ConnectError('fatal', 'CONNECT_POSTGRES_SETUP', `The heartbeat query failed for good. ${remedy}`, {
          cause: error,
        })
      }
      if (state === '57P03') throw classify(error, { what: 'run the heartbeat query' })
      logger.error({ error, sqlState: state }, 'The heartbeat query failed')
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const database = this.#database
    this.#database = null
    await database?.[Symbol.asyncDispose]()
  }
}
