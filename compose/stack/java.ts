import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isExecutable } from './settings.ts'

/** A Java runtime of this host. */
export interface JavaHome {
  readonly home: string
  readonly java: string
  /** Feature version: 17, 21, 25 … */
  readonly version: number
}

let found: readonly JavaHome[] | undefined

function featureVersion(home: string): number | null {
  const release = join(home, 'release')
  if (existsSync(release)) {
    const match = /^JAVA_VERSION="(?:1\.)?(\d+)/m.exec(readFileSync(release, 'utf8'))
    if (match !== null) return Number(match[1])
  }
  return null
}

/** All Java runtimes from JAVA_HOME, /usr/lib/jvm and PATH, lowest version first; scanned once. */
export function findJava(): readonly JavaHome[] {
  if (found !== undefined) return found
  const candidates = new Set<string>()
  if (process.env['JAVA_HOME'] !== undefined) candidates.add(process.env['JAVA_HOME'])
  const folder = '/usr/lib/jvm'
  if (existsSync(folder)) for (const name of readdirSync(folder)) candidates.add(join(folder, name))
  const onPath = spawnSync('java', ['-XshowSettings:properties', '-version'], { encoding: 'utf8' })
  const home = /java\.home = (.+)/.exec(`${onPath.stderr ?? ''}`)?.[1]
  if (home !== undefined) candidates.add(home.trim())
  const byVersion = new Map<number, JavaHome>()
  for (const candidate of candidates) {
    const java = join(candidate, 'bin', 'java')
    const version = isExecutable(java) ? featureVersion(candidate) : null
    if (version !== null && !byVersion.has(version)) byVersion.set(version, { home: candidate, java, version })
  }
  found = [...byVersion.values()].sort((a, b) => a.version - b.version)
  return found
}

/** Forgets the scan, after Java was installed. */
export function rescanJava(): void {
  found = undefined
}

/**
 * The lowest runtime at or above a version.
 * @throws Error naming what to install
 */
export function requireJava(minimum: number): JavaHome {
  const java = findJava().find((candidate) => candidate.version >= minimum)
  if (java !== undefined) return java
  const present = findJava().map((candidate) => candidate.version)
  throw new Error(
    `Java ${minimum} or later is needed (found: ${present.length === 0 ? 'none' : present.join(', ')}). ` +
      'Install a JDK, for example `apt-get install default-jdk-headless`, or point JAVA_HOME at one.',
  )
}
