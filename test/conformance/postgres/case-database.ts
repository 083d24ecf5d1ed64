import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import type { Step } from './golden-case.ts'
import type { Json } from './normalise.ts'
import { runScript } from './sql-script.ts'

/** What cases are played against. */
export interface Servers {
  readonly pgUrl: string
  /** Empty where no case needs Kafka. */
  readonly brokers: readonly string[]
}

/** The database of one run of a case, and the names that the files of the case leave open. */
export class CaseDatabase {
  /** Names of this run that differ from those of the recording. */
  readonly names: { readonly prefix: string; readonly db: string; readonly slot: string }
  readonly #folder: string
  readonly #server: URL
  readonly #variables: Readonly<Record<string, string>>
  readonly #sessions = new Map<string, pg.Client>()

  /** @param id tells the runs of a case apart */
  constructor(folder: string, { pgUrl, brokers }: Servers, id: string) {
    this.#folder = folder
    this.#server = new URL(pgUrl)
    this.names = { prefix: `g${id}`, db: `g_${id}_db`, slot: `g_${id}_slot` }
    this.#variables = {
      ...this.names,
      pgHost: this.#server.hostname,
      pgPort: this.#server.port,
      pgUser: decodeURIComponent(this.#server.username),
      pgPassword: decodeURIComponent(this.#server.password),
      bootstrap: brokers.join(','),
    }
  }

  /** Puts the names of this run into a text of the case. */
  fill(text: string): string {
    return text.replace(/\$\{(\w+)\}/g, (all, name: string) => this.#variables[name] ?? all)
  }

  #url(database: string): string {
    const url = new URL(this.#server)
    url.pathname = `/${database}`
    return url.toString()
  }

  /** Rows as lists of text. */
  async query(sql: string, database = this.names.db): Promise<readonly (readonly Json[])[]> {
    const client = new pg.Client({ connectionString: this.#url(database) })
    await client.connect()
    try {
      const types = { getTypeParser: () => (text: string) => text }
      return (await client.query({ text: sql, rowMode: 'array', types })).rows as Json[][]
    } finally {
      await client.end()
    }
  }

  async create(): Promise<void> {
    const { db } = this.names
    await this.query(`CREATE DATABASE ${db}`, 'postgres')
    await this.query(`ALTER DATABASE ${db} SET timezone = 'UTC'`, 'postgres')
    await this.query(`ALTER DATABASE ${db} SET synchronous_commit = 'on'`, 'postgres')
    await runScript(this.#url(db), await readFile(join(this.#folder, 'setup.sql'), 'utf8').catch(() => ''))
  }

  /** A file of statements. */
  async script(file: string): Promise<void> {
    await runScript(this.#url(this.names.db), await readFile(join(this.#folder, file), 'utf8'))
  }

  /** Statements of a session that stays open under its name, and with it its transaction. */
  async inSession(name: string, sql: string): Promise<void> {
    let client = this.#sessions.get(name)
    if (client === undefined) {
      client = new pg.Client({ connectionString: this.#url(this.names.db) })
      await client.connect()
      this.#sessions.set(name, client)
    }
    for (const statement of sql.split(';')) if (statement.trim() !== '') await client.query(statement)
  }

  async closeSessions(): Promise<void> {
    for (const client of this.#sessions.values()) await client.end().catch(() => undefined)
  }

  /** Options of the connector: the case's own, then `extra`, where null removes one. */
  async config(extra: Readonly<Record<string, string | null>>): Promise<Readonly<Record<string, string>>> {
    const text = await readFile(join(this.#folder, 'connector.json'), 'utf8')
    const own = JSON.parse(text) as Record<string, string | null>
    const merged = Object.entries({ ...own, ...extra }).filter((entry): entry is [string, string] => entry[1] !== null)
    return Object.fromEntries(merged.map(([name, value]) => [name, this.fill(value)]))
  }

  /** A row of the table of signals. @param id where the step has none */
  async signal(step: Step, id: string): Promise<void> {
    const text = (value: string | null) => (value === null ? 'NULL' : `'${value.replaceAll("'", "''")}'`)
    const data = step.data == null ? null : spacedJson(step.data)
    const values = [step.id ?? id, step.type ?? '', data].map(text)
    await this.query(`INSERT INTO ${step.table ?? 'public.signals'} VALUES (${values.join(', ')})`)
  }

  /** The record that a step writes to a topic. */
  recordOf(step: Step): { readonly topic: string; readonly key: string; readonly value: string } {
    const value = typeof step.value === 'string' ? step.value : spacedJson(step.value)
    return { topic: this.fill(step.topic ?? ''), key: this.fill(step.key ?? ''), value: this.fill(value) }
  }

  async dropSlot(): Promise<void> {
    await this.query(`SELECT pg_drop_replication_slot('${this.names.slot}')`)
  }

  async drop(): Promise<void> {
    await this.query(`DROP DATABASE IF EXISTS ${this.names.db} WITH (FORCE)`, 'postgres')
  }
}

/** JSON with the spaces that the recording has behind colons and commas. */
function spacedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spacedJson).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{${Object.entries(value)
    .map(([key, member]) => `${JSON.stringify(key)}: ${spacedJson(member)}`)
    .join(', ')}}`
}
