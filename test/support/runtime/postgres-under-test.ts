/** A database of its own for tests that run the Postgres source; its slots go with it. */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { eventually } from './eventually.ts'

export class PostgresUnderTest implements AsyncDisposable {
  readonly name = `rt_${randomBytes(5).toString('hex')}`
  readonly #server: URL
  readonly #client: pg.Client

  private constructor(server: URL) {
    this.#server = server
    const own = new URL(server)
    own.pathname = `/${this.name}`
    this.#client = new pg.Client({ connectionString: own.toString() })
  }

  /** @param setup SQL to run in the new database */
  static async open(url: string, setup: string): Promise<PostgresUnderTest> {
    const database = new PostgresUnderTest(new URL(url))
    await database.#admin(`CREATE DATABASE ${database.name}`)
    await database.#client.connect()
    await database.sql(setup)
    return database
  }

  async sql(text: string): Promise<readonly Record<string, unknown>[]> {
    return (await this.#client.query(text)).rows as Record<string, unknown>[]
  }

  /** Options of a connector that reads all tables of this database. */
  sourceOptions(): Record<string, string> {
    return {
      'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
      'tasks.max': '1',
      'database.hostname': this.#server.hostname,
      'database.port': this.#server.port,
      'database.user': decodeURIComponent(this.#server.username),
      'database.password': decodeURIComponent(this.#server.password),
      'database.dbname': this.name,
      'topic.prefix': this.name,
      'plugin.name': 'pgoutput',
      'slot.name': `${this.name}_slot`,
      'publication.name': `${this.name}_pub`,
      'poll.interval.ms': '50',
    }
  }

  async #admin(text: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.#server.toString() })
    await client.connect()
    try {
      await client.query(text)
    } finally {
      await client.end()
    }
  }

  /** Waits until the slot's reader is gone: a slot in use cannot be dropped. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await eventually(async () => {
        const where = `database = '${this.name}'`
        await this.sql(`SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE ${where} AND active`)
        await this.sql(
          `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE ${where} AND NOT active`,
        )
        if ((await this.sql(`SELECT 1 FROM pg_replication_slots WHERE ${where}`)).length > 0)
          throw new Error('slot in use')
      }, 20_000)
    } finally {
      await this.#client.end()
      await this.#admin(`DROP DATABASE IF EXISTS ${this.name} WITH (FORCE)`)
    }
  }
}
