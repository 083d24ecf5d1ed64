import { chownSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { runsAsRoot } from './settings.ts'

/** Numeric ids of a user of this host. */
export interface UserIds {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** The first of these users that exists on this host. */
function lookUp(names: readonly string[]): UserIds {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  for (const name of names) {
    const fields = lines.find((line) => line.startsWith(`${name}:`))?.split(':')
    if (fields !== undefined) return { name, uid: Number(fields[2]), gid: Number(fields[3]) }
  }
  throw new Error(`none of the users ${names.join(', ')} exists; start the stack as an ordinary user instead of root`)
}

/** The user for servers that refuse uid 0; undefined when this process is an ordinary user already. */
export function serverUser(...preferred: string[]): UserIds | undefined {
  return runsAsRoot() ? lookUp([...preferred, 'nobody']) : undefined
}

/** Creates a folder that only the server's user can enter. */
export function makeOwnedFolder(path: string, user: UserIds | undefined, mode = 0o700): void {
  // Parents stay enterable: `recursive` would give the mode to each of them.
  mkdirSync(dirname(path), { recursive: true })
  mkdirSync(path, { recursive: true, mode })
  if (user !== undefined) chownSync(path, user.uid, user.gid)
}
