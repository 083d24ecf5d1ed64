/** The database of the chaos scenario *postgres*: changes that write their own history, and what should come of them. */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { PrivatePostgres } from '../support/private-postgres.ts'
import type { Random } from '../support/random.ts'

export const tables = ['orders', 'lines', 'notes'] as const
export type Table = (typeof tables)[number]

/** One change as the history has it: `op` as in events, `v` null for a delete. */
export interface Change {
  readonly seq: number
  readonly table: Table
  readonly key: number
  readonly op: 'c' | 'u' | 'd'
  readonly v: number | null
}

const keys = 400

/** Triggers note each change in the order of its transaction; the history itself is not captured. */
const setup = (prefilled: number) => `
CREATE SEQUENCE versions;
CREATE TABLE history (seq bigserial PRIMARY KEY, tab text, key int, op text, v bigint);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO history (tab, key, op, v) VALUES (TG_TABLE_NAME,
    CASE WHEN TG_OP = 'DELETE' THEN OLD.id ELSE NEW.id END,
    CASE TG_OP WHEN 'INSERT' THEN 'c' WHEN 'UPDATE' THEN 'u' ELSE 'd' END,
    CASE WHEN TG_OP = 'DELETE' THEN NULL ELSE NEW.v END);
  RETURN NULL;
END $$;
${tables
  .map(
    (table) => `
CREATE TABLE ${table} (id int PRIMARY KEY, v bigint, pad text);
INSERT INTO ${table} SELECT g, 0, repeat('x', 200) FROM generate_series(1, ${prefilled}) g;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION note();`,
  )
  .join('\n')}
ALTER TABLE notes REPLICA IDENTITY FULL;`

type Row = Readonly<Record<string, string>>

/** A connection that is made anew when the server has been away; one query at a time. */
class Session {
  readonly #url: string
  #client: pg.Client | null = null

  constructor(url: string) {
    this.#url = url
  }

  /** Once; throws when the server is away. */
  async query(sql: string): Promise<readonly Row[]> {
    const client = this.#client ?? (await this.#connect())
    try {
      return (await client.query(sql)).rows as Row[]
    } catch (error) {
      this.#client = null
      await client.end().catch(() => undefined)
      throw error
    }
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.#url, connectionTimeoutMillis: 2000 })
    client.on('error', () => {
      this.#client = null
    })
    await client.connect()
    this.#client = client
    return client
  }

  async close(): Promise<void> {
    await this.#client?.end().catch(() => undefined)
    this.#client = null
  }
}

/** One database on a server that is not there all the time. */
export class ChaosSource {
  readonly name: string
  readonly #random: Random
  /** What is written and compared, and beside it what is asked all the time. */
  readonly #session: Session
  readonly #watcher: Session
  /** End of the log behind a commit that the server confirmed, with its last change. */
  #marks: { readonly lsn: bigint; readonly seq: number }[] = []

  private constructor(server: PrivatePostgres, name: string, random: Random) {
    const url = new URL(server.url)
    url.pathname = `/${name}`
    this.name = name
    this.#random = random
    this.#session = new Session(url.href)
    this.#watcher = new Session(url.href)
  }

  /** @param prefilled rows of each table before the first change */
  static async create(
    { server, name, random }: { readonly server: PrivatePostgres; readonly name: string; readonly random: Random },
    prefilled: number,
  ): Promise<ChaosSource> {
    const admin = new pg.Client({ connectionString: server.url })
    await admin.connect()
    await admin.query(`CREATE DATABASE ${name}`)
    await admin.end()
    const source = new ChaosSource(server, name, random)
    await source.query(setup(prefilled))
    return source
  }

  /** Once; throws when the server is away. */
  async query(sql: string): Promise<readonly Row[]> {
    return await this.#session.query(sql)
  }

  /** Transactions of one to thirty changes until `isOver`; those that fail with the server are not repeated. */
  async write(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      try {
        const statements = Array.from({ length: this.#random.integer(1, 30) }, () => this.#change())
        await this.query(`BEGIN; ${statements.join('; ')}; ${this.#random.next() < 0.1 ? 'ROLLBACK' : 'COMMIT'}`)
        await this.mark()
      } catch {
        await sleep(50)
      }
      await sleep(this.#random.integer(0, 10))
    }
  }

  #change(): string {
    const table = this.#random.pick(tables)
    const id = this.#random.integer(1, keys)
    if (this.#random.next() < 0.25) return `DELETE FROM ${table} WHERE id = ${id}`
    return `INSERT INTO ${table} VALUES (${id}, nextval('versions'), 'y') ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v`
  }

  /** Everything in the history up to now ends before the present end of the log. */
  async mark(): Promise<void> {
    const [row] = await this.query(
      "SELECT (SELECT coalesce(max(seq), 0) FROM history) AS seq, (pg_current_wal_insert_lsn() - '0/0')::text AS lsn",
    )
    this.#marks.push({ seq: Number(row?.['seq']), lsn: BigInt(row?.['lsn'] ?? 0) })
  }

  /** Number of the last change that lies before a position of the log for certain; 0 without one. */
  lastBefore(lsn: bigint): number {
    return this.#marks.findLast((mark) => mark.lsn <= lsn)?.seq ?? 0
  }

  /** Changes with greater numbers lie behind a position of the log for certain. */
  lastThatMayBeBefore(lsn: bigint): number {
    return this.#marks.find((mark) => mark.lsn >= lsn)?.seq ?? Number.MAX_SAFE_INTEGER
  }

  /** All changes that were committed, in their order. */
  async history(): Promise<readonly Change[]> {
    const rows = await this.query('SELECT seq, tab, key, op, v FROM history ORDER BY seq')
    return rows.map(({ seq, tab, key, op, v }) => ({
      seq: Number(seq),
      table: tab as Table,
      key: Number(key),
      op: op as Change['op'],
      v: v == null ? null : Number(v),
    }))
  }

  /** Rows as they are, by key. */
  async rows(table: Table): Promise<ReadonlyMap<number, number>> {
    const rows = await this.query(`SELECT id, v FROM ${table}`)
    return new Map(rows.map(({ id, v }) => [Number(id), Number(v)]))
  }

  /** Position that the slot has been confirmed up to; null without a slot. */
  async confirmed(): Promise<bigint | null> {
    const [row] = await this.#watcher.query(
      `SELECT (confirmed_flush_lsn - '0/0')::text AS lsn FROM pg_replication_slots WHERE slot_name = '${this.name}'`,
    )
    return row?.['lsn'] == null ? null : BigInt(row['lsn'])
  }

  async close(): Promise<void> {
    await this.#session.close()
    await this.#watcher.close()
  }
}
