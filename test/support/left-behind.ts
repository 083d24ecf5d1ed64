import { readdirSync, readFileSync } from 'node:fs'

/** A process that a test started and did not end. */
export interface LeftBehind {
  readonly pid: number
  /** The start of its command line, for people. */
  readonly command: string
}

function read(pid: number, file: 'environ' | 'cmdline'): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0')
  } catch {
    // It ended meanwhile, or belongs to another user.
    return []
  }
}

/**
 * Processes that inherited the given variable: whatever a run's tests started, directly or not, and nothing else,
 * as long as the value is the run's own. None where there is no /proc.
 */
export function processesWith(variable: string, value: string): readonly LeftBehind[] {
  let entries: readonly string[]
  try {
    entries = readdirSync('/proc')
  } catch {
    return []
  }
  const setting = `${variable}=${value}`
  return entries
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => read(pid, 'environ').includes(setting))
    .map((pid) => ({ pid, command: read(pid, 'cmdline').join(' ').trim().slice(0, 120) }))
}

/**
 * Ends what a run's tests left running; a run that is interrupted ends its test processes before they can stop their
 * own servers. @returns what was ended
 */
export function endProcessesWith(variable: string, value: string): readonly LeftBehind[] {
  const found = processesWith(variable, value)
  for (const { pid } of found) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
  return found
}
