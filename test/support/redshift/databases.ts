import pg from 'pg'
import { bootstrapDatabase, sessionSettings } from './catalog.ts'
import { textTypes } from './results.ts'

/** Prefix of the PostgreSQL databases that stand for Redshift databases. */
const prefix = 'redshift_'

/** Databases that exist from the start. */
const initialDatabases = ['dev'] as const

/** A database that does not exist; reported like Redshift does when a statement connects. */
export class UnknownDatabaseError extends Error {}

/** Connections to the PostgreSQL databases behind the emulator. */
export class Databases {
  readonly #serverUrl: string
  readonly #ready = new Map<string, Promise<void>>()

  constructor(serverUrl: string) {
    this.#serverUrl = serverUrl
  }

  /** Creates the databases that exist from the start. */
  async open(): Promise<void> {
    for (const name of initialDatabases) await this.create(name)
  }

  /** Creates a database, or prepares the one that is there. */
  create(name: string): Promise<void> {
    const known = this.#ready.get(name)
    if (known !== undefined) return known
    const created = this.#create(name)
    this.#ready.set(name, created)
    // A failed attempt is not remembered: the server may have been starting.
    created.catch(() => this.#ready.delete(name))
    return created
  }

  /** A new session with Redshift's settings. */
  async connect(name: string): Promise<pg.Client> {
    if (!this.#ready.has(name)) throw new UnknownDatabaseError(`FATAL: database "${name}" does not exist`)
    await this.#ready.get(name)
    const client = this.#client(prefix + name)
    await client.connect()
    await client.query(sessionSettings)
    return client
  }

  /** Cancels what a session is doing. */
  async cancel(backendPid: number): Promise<void> {
    await this.#onServer((client) => client.query('SELECT pg_cancel_backend($1)', [backendPid]))
  }

  #client(database: string): pg.Client {
    const url = new URL(this.#serverUrl)
    url.pathname = `/${database}`
    const client = new pg.Client({
      connectionString: url.href,
      types: textTypes,
      application_name: 'redshift-emulator',
    })
    // Without a listener a connection that breaks while idle would end the process; the next query reports it.
    client.on('error', () => undefined)
    return client
  }

  async #onServer(work: (client: pg.Client) => Promise<unknown>): Promise<void> {
    const client = new pg.Client({ connectionString: this.#serverUrl })
    client.on('error', () => undefined)
    await client.connect()
    try {
      await work(client)
    } finally {
      await client.end()
    }
  }

  async #create(name: string): Promise<void> {
    await this.#onServer(async (client) => {
      const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [prefix + name])
      if (found.rowCount !== 0) return
      try {
        await client.query(
          `CREATE DATABASE ${client.escapeIdentifier(prefix + name)} TEMPLATE template0 ENCODING 'UTF8'`,
        )
      } catch (error) {
        // Another emulator on the same server was faster: 42P04 duplicate_database, or the catalog's unique index.
        const code = (error as { readonly code?: string }).code
        if (code !== '42P04' && code !== '23505') throw error
      }
    })
    const client = this.#client(prefix + name)
    await client.connect()
    try {
      await bootstrapDatabase(client)
    } finally {
      await client.end()
    }
  }
}
