import { existsSync, readFileSync } from 'node:fs'
import { exec } from './exec.ts'
import { findJava, rescanJava } from './java.ts'
import { since, step } from './progress.ts'
import { isExecutable, runsAsRoot } from './settings.ts'

/** True when a command of this name is on PATH. */
export function isOnPath(command: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => folder !== '' && isExecutable(`${folder}/${command}`))
}

function isDebian(): boolean {
  if (!existsSync('/etc/os-release')) return false
  return /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(readFileSync('/etc/os-release', 'utf8'))
}

/** True when PostgreSQL of the distribution is installed. */
export function hasDebianPostgres(): boolean {
  return existsSync('/usr/lib/postgresql')
}

/**
 * Makes sure that Java ≥ 17 and Maven are there, installing Debian's packages where this process may do so.
 * PostgreSQL with contrib modules is installed on the same occasion; without it the npm package's server is used.
 * @throws Error naming the packages where they cannot be installed from here
 */
export async function ensureHost(options: {
  readonly needsJava: boolean
  readonly needsPostgres: boolean
}): Promise<void> {
  const missing: string[] = []
  if (options.needsJava) {
    if (!findJava().some((java) => java.version >= 17)) missing.push('default-jdk-headless')
    if (!isOnPath('mvn')) missing.push('maven')
  }
  const mayInstall = runsAsRoot() && isDebian() && isOnPath('apt-get')
  const wantsPostgres = options.needsPostgres && !hasDebianPostgres() && mayInstall
  if (missing.length === 0 && !wantsPostgres) return
  if (!mayInstall) {
    throw new Error(
      `The local stack needs Java 17 or later and Maven. Missing here: ${missing.join(', ')}. ` +
        `On Debian or Ubuntu: sudo apt-get install -y ${missing.join(' ')}. ` +
        'Elsewhere install a JDK and Maven with your package manager, or use `npm run stack -- up --docker`.',
    )
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const started = Date.now()
  step('host', 'apt-get update …')
  await exec('apt-get', ['update', '-q'], { env })
  if (missing.length > 0) {
    step('host', `apt-get install ${missing.join(' ')} …`)
    await exec('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...missing], { env })
    rescanJava()
  }
  if (wantsPostgres) await installPostgres(env)
  step('host', `packages installed in ${since(started)}`)
}

async function installPostgres(env: NodeJS.ProcessEnv): Promise<void> {
  step('host', 'apt-get install postgresql postgresql-contrib …')
  try {
    // The package would create and start a cluster of its own on port 5432.
    await exec('apt-get', ['install', '-y', '-q', '--no-install-recommends', 'postgresql-common'], { env })
    await exec('sed', [
      '-i',
      's/^#\\?create_main_cluster.*/create_main_cluster = false/',
      '/etc/postgresql-common/createcluster.conf',
    ])
    await exec('apt-get', ['install', '-y', '-q', '--no-install-recommends', 'postgresql', 'postgresql-contrib'], {
      env,
    })
  } catch (error) {
    step(
      'host',
      `PostgreSQL packages not installed, using the server of the npm package (${String(error).split('\n')[0]})`,
    )
  }
}
