/** Connections: `pg` does start-up, authentication, TLS and queries; every value comes as text. */
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import type { Password } from '../../worker/api/config.ts'
import { ConfigError, toError } from '../../worker/api/errors.ts'
import { pooledSocket, socketOf } from './raw-reads.ts'
import { splitStatements } from './sql.ts'

export interface ConnectionOptions {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: Password | null
  readonly database: string
  readonly sslMode: SslMode
  readonly sslCert: string | null
  readonly sslKey: string | null
  readonly sslPassword: Password | null
  readonly sslRootCert: string | null
  readonly tcpKeepAlive: boolean
  readonly connectTimeoutMs: number
  /** Limit of one query; 0 or absent is none. */
  readonly queryTimeoutMs?: number
  /** Settings of the user's, `-c name=value …`; absent or null is none. */
  readonly startupOptions?: string | null
  /** Run on each ordinary connection; `;` separates statements, `;;` is a literal one. */
  readonly initialStatements: string | null
  /**
   * Row-level security may hide rows from the role. Otherwise, and by default, a read that it would shorten fails:
   * a snapshot would miss rows without a word, which the stream has.
   */
  readonly keepsRowSecurity?: boolean
}

export type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'

/**
 * Settings of every session, the walsender's included, so that the text of values depends neither on the role nor on
 * the database.
 */
const sessionSettings = [
  'datestyle=ISO',
  'timezone=UTC',
  'extra_float_digits=3',
  'intervalstyle=postgres',
  'bytea_output=hex',
  'lc_monetary=C',
]

const ownStartupOptions = sessionSettings.map((setting) => `-c ${setting}`).join(' ')

/**
 * Time limits that a role or a database sets for people, and that would end a long COPY, a snapshot held back, or the
 * session that waits for the slot's transactions, and again at every attempt. Limits of ours are options of their own.
 */
const foreignLimits = [
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
  'transaction_timeout',
]

/**
 * What the role brings along and a connector cannot live with, in one statement that every version understands. What
 * `driver.options` says stays, and so does a session that a pooler has lent: it goes on to somebody else.
 */
async function liftLimits(client: pg.Client, keepsRowSecurity: boolean): Promise<void> {
  const values = [
    ...foreignLimits.map((name) => `('${name}', '0')`),
    ...(keepsRowSecurity ? [] : ["('row_security', 'off')"]),
  ]
  await client.query(
    `SELECT set_config(s.name, wanted.value, false) FROM pg_settings s JOIN (VALUES ${values.join(', ')}) wanted (name, value)
     ON s.name = wanted.name
     WHERE s.setting <> wanted.value AND s.source <> 'client' AND pg_backend_pid() = ${processIdOf(client) ?? 0}`,
  )
}

/** `pg` knows the option, its types do not. */
interface ReplicationConfig extends pg.ClientConfig {
  readonly replication?: 'database'
}

/** Timers of more milliseconds than an int32 holds fire at once. */
const longestTimerMs = 2_147_483_647

const rawText: pg.CustomTypesConfig = { getTypeParser: () => (value: string) => value }

/** Undefined for a path that is left blank, as templates do with those that they do not use. */
async function fileOf(option: string, path: string | null): Promise<Buffer | undefined> {
  if (path === null || path.trim() === '') return undefined
  try {
    return await readFile(path)
  } catch (error) {
    const message = `The file cannot be read by the worker: ${toError(error).message}`
    throw new ConfigError([{ option, message }], { cause: error })
  }
}

async function tlsOptions(options: ConnectionOptions): Promise<pg.ClientConfig['ssl']> {
  const { sslMode } = options
  const [ca, cert, key] = await Promise.all([
    fileOf('database.sslrootcert', options.sslRootCert),
    fileOf('database.sslcert', options.sslCert),
    fileOf('database.sslkey', options.sslKey),
  ])
  const verify = sslMode === 'verify-ca' || sslMode === 'verify-full'
  return {
    rejectUnauthorized: verify,
    // verify-ca checks the chain but not the name in the certificate.
    ...(sslMode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key: isPem(key) ? key : pemOfPkcs8(key) }),
    ...(options.sslPassword === null ? {} : { passphrase: options.sslPassword.reveal() }),
  }
}

function isPem(key: Buffer): boolean {
  return key.subarray(0, 10).toString('latin1').startsWith('-----BEGIN')
}

/** JDBC users have their key as PKCS #8 in DER (`.pk8`). */
function pemOfPkcs8(der: Buffer): string {
  const lines = der.toString('base64').replace(/(.{64})/g, '$1\n')
  return `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`
}

/** Whether a failed attempt says that the server has no TLS. `pg` gives that error no code. */
function isTlsRefused(error: unknown): boolean {
  return error instanceof Error && error.message === 'The server does not support SSL connections'
}

async function connect(
  options: ConnectionOptions,
  applicationName: string,
  replication: boolean,
  ssl: pg.ClientConfig['ssl'],
): Promise<pg.Client> {
  const config: ReplicationConfig = {
    host: options.host.replace(/^\[(.*)\]$/, '$1'),
    port: options.port,
    user: options.user,
    database: options.database,
    ...(options.password === null ? {} : { password: options.password.reveal() }),
    application_name: applicationName,
    // The last one of a name counts.
    options: `${options.startupOptions ?? ''} ${ownStartupOptions}`.trim(),
    // Under TLS the reads are the TLS layer's.
    ...(ssl === false ? { stream: pooledSocket } : {}),
    keepAlive: options.tcpKeepAlive,
    connectionTimeoutMillis: Math.min(options.connectTimeoutMs, longestTimerMs),
    types: rawText,
    ...(options.queryTimeoutMs === undefined || options.queryTimeoutMs === 0 || replication
      ? {}
      : { query_timeout: options.queryTimeoutMs }),
    client_encoding: 'UTF8',
    ...(ssl === undefined ? {} : { ssl }),
    ...(replication ? { replication: 'database' as const } : {}),
  }
  const client = new pg.Client(config)
  // A lost idle connection is reported by the next query; without a listener it would end the process.
  client.on('error', () => undefined)
  try {
    await client.connect()
    await liftLimits(client, options.keepsRowSecurity ?? false)
  } catch (error) {
    // Else a connection that the server has taken, and whose certificate we refuse, stays open.
    socketOf(client).destroy()
    throw error
  }
  return client
}

/** `pg_hba.conf` has no line for a connection with, or without, TLS. */
function isModeRefused(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '28000'
}

/**
 * Opens a client. As in libpq, `prefer` tries TLS first and `allow` tries without it first; either goes on the other way
 * where the server refuses the first.
 */
export async function openClient(
  options: ConnectionOptions,
  applicationName: string,
  replication = false,
): Promise<pg.Client> {
  const { sslMode } = options
  const plainly = async () => await connect(options, applicationName, replication, false)
  if (sslMode === 'disable') return await plainly()
  const ssl = await tlsOptions(options)
  const encrypted = async () => await connect(options, applicationName, replication, ssl)
  if (sslMode === 'allow') {
    try {
      return await plainly()
    } catch (error) {
      if (!isModeRefused(error)) throw error
      return await encrypted()
    }
  }
  try {
    return await encrypted()
  } catch (error) {
    if (sslMode === 'prefer' && (isTlsRefused(error) || isModeRefused(error))) return await plainly()
    if (!isTlsRefused(error)) throw error
    const message = `The server does not support TLS, which database.sslmode=${sslMode} demands. Turn on ssl at the server, or set database.sslmode=prefer.`
    throw new ConfigError([{ option: 'database.sslmode', message }], { cause: error })
  }
}

/** Of the server's process that serves the connection; its types leave it out. */
function processIdOf(client: pg.Client): number | null {
  return (client as unknown as { readonly processID: number | null }).processID
}

/** An ordinary connection. Rows are objects of text. */
export class Database implements AsyncDisposable {
  readonly client: pg.Client
  /** Why the connection has ended, once it has, by whomever. */
  readonly ended: Promise<Error>

  private constructor(client: pg.Client) {
    this.client = client
    this.ended = new Promise((resolve) => {
      client.once('error', resolve)
      client.once('end', () => resolve(Object.assign(new Error('The connection was closed'), { code: 'ECONNRESET' })))
    })
  }

  static async open(options: ConnectionOptions, applicationName: string): Promise<Database> {
    const database = new Database(await openClient(options, applicationName))
    try {
      for (const statement of splitStatements(options.initialStatements ?? '')) await database.client.query(statement)
    } catch (error) {
      await database[Symbol.asyncDispose]()
      throw new ConfigError(
        [{ option: 'database.initial.statements', message: `A statement failed: ${(error as Error).message}` }],
        { cause: error },
      )
    }
    return database
  }

  async rows<Row extends object>(sql: string, values: readonly (string | number)[] = []): Promise<readonly Row[]> {
    const result = await this.client.query(sql, values.map(String))
    return result.rows as Row[]
  }

  /**
   * Whether the session is the server's own. A pooler answers with a process id that is none, and lends sessions by
   * the transaction: settings, snapshots and replication do not survive that.
   */
  async isDirect(): Promise<boolean> {
    const [row] = await this.rows<{ pid: string }>('SELECT pg_backend_pid() AS pid')
    return row?.pid === String(processIdOf(this.client))
  }

  /** Ends the statement that another session of the same role runs; it fails with SQLSTATE 57014. */
  async cancel(client: pg.Client): Promise<void> {
    await this.rows('SELECT pg_cancel_backend($1::int)', [processIdOf(client) ?? 0])
  }

  /** Drops the connection without waiting for a statement that runs. */
  destroy(): void {
    socketOf(this.client).destroy()
  }

  async execute(sql: string): Promise<void> {
    await this.client.query(sql)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.end().catch(() => undefined)
  }
}
