import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { textOf } from './topic-records.ts'
import { eventually } from './worker-process.ts'

interface EventRecord {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
}

/**
 * A table in a database of its own that remembers each statement run on it, so that a topic of change events can be
 * held against it: `c` created, `u` updated, `d` deleted, `t` tombstone, `r` read by a snapshot.
 */
export class ChangeTable implements AsyncDisposable {
  /** Of database, slot, publication and topic prefix. */
  readonly name: string
  readonly topic: string
  readonly #server: URL
  readonly #client: pg.Client
  /** Row id → its events, oldest first. */
  readonly expected = new Map<number, string>()
  #nextId = 1

  private constructor(server: URL, database: string) {
    this.#server = server
    this.name = database
    this.topic = `${database}.public.orders`
    const url = new URL(server)
    url.pathname = `/${database}`
    this.#client = new pg.Client({ connectionString: url.href })
  }

  static async open(serverUrl: string): Promise<ChangeTable> {
    const table = new ChangeTable(new URL(serverUrl), `takeover_${randomBytes(4).toString('hex')}`)
    await table.#admin(`CREATE DATABASE ${table.name}`)
    await table.#client.connect()
    await table.#client.query('CREATE TABLE orders (id int PRIMARY KEY, name text, n int)')
    return table
  }

  /** Options of Debezium's connector, which ours reads too. */
  connectorConfig(): Readonly<Record<string, string>> {
    return {
      'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
      'tasks.max': '1',
      'database.hostname': this.#server.hostname,
      'database.port': this.#server.port,
      'database.user': decodeURIComponent(this.#server.username),
      'database.password': decodeURIComponent(this.#server.password) || 'none',
      'database.dbname': this.name,
      'topic.prefix': this.name,
      'plugin.name': 'pgoutput',
      'slot.name': this.name,
      'publication.name': this.name,
      'publication.autocreate.mode': 'filtered',
      'table.include.list': 'public.orders',
      'poll.interval.ms': '50',
      'key.converter': 'org.apache.kafka.connect.json.JsonConverter',
      'key.converter.schemas.enable': 'false',
      'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
      'value.converter.schemas.enable': 'false',
    }
  }

  /** Rows that a snapshot will read; before the connector exists. */
  async fill(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const id = this.#nextId++
      await this.#client.query('INSERT INTO orders VALUES ($1, $2, 0)', [id, `row ${id}`])
      this.expected.set(id, 'r')
    }
  }

  /** New rows; every second one is updated, every fifth deleted; some of it in transactions of several statements. */
  async change(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const id = this.#nextId++
      const isTransaction = id % 3 === 0
      if (isTransaction) await this.#client.query('BEGIN')
      await this.#client.query('INSERT INTO orders VALUES ($1, $2, 0)', [id, `row ${id}`])
      let events = 'c'
      if (id % 2 === 0) {
        await this.#client.query('UPDATE orders SET n = n + 1 WHERE id = $1', [id])
        events += 'u'
      }
      if (id % 5 === 0) {
        await this.#client.query('DELETE FROM orders WHERE id = $1', [id])
        events += 'dt'
      }
      if (isTransaction) await this.#client.query('COMMIT')
      this.expected.set(id, events)
    }
  }

  /** Row id → its events as the topic tells them. */
  events(records: readonly EventRecord[]): ReadonlyMap<number, string> {
    const found = new Map<number, string>()
    for (const { key, value } of records) {
      const { id } = JSON.parse(textOf(key) ?? '') as { id: number }
      const event = value === null ? 't' : (JSON.parse(textOf(value) ?? '') as { op: string }).op
      found.set(id, `${found.get(id) ?? ''}${event}`)
    }
    return found
  }

  async #admin(sql: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.#server.href })
    await client.connect()
    try {
      await client.query(sql)
    } finally {
      await client.end()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end()
    const drop = `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '${this.name}'`
    // A worker that was just ended may hold the slot for a moment.
    await eventually(() => this.#admin(drop), 15_000)
    await this.#admin(`DROP DATABASE ${this.name} WITH (FORCE)`)
  }
}
