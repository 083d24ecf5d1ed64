import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ServiceName, StackSettings } from './settings.ts'

/** What is remembered about a started server; one file per service under `.stack/run`. */
export interface RunRecord {
  readonly service: ServiceName
  readonly pid: number
  /** Start time of the process as the kernel gives it: a recycled pid has another one. */
  readonly startTime: string
  readonly port: number
  /** Server and version, for people. */
  readonly version: string
  /** Signal that stops this server cleanly. */
  readonly stopSignal: NodeJS.Signals
  readonly logFile: string
  readonly startedAt: string
}

/** What to spawn; the process is detached and outlives the command. */
export interface SpawnPlan {
  readonly service: ServiceName
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  readonly port: number
  readonly version: string
  readonly stopSignal: NodeJS.Signals
  /** User to run as; only root may change it. */
  readonly user?: { readonly uid: number; readonly gid: number }
}

/** Start time of a process from /proc, or null when there is no such process. */
export function processStartTime(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command name in parentheses may contain spaces; fields are counted from behind it (field 22 of proc(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? null : (fields[19] ?? null)
  } catch {
    return null
  }
}

/** Resident memory in bytes, or null when the process is gone. */
export function residentBytes(pid: number): number | null {
  try {
    const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return match === null ? null : Number(match[1]) * 1024
  } catch {
    return null
  }
}

/** True while the recorded process itself, not a later one with the same pid, is running. */
export function isAlive(record: Pick<RunRecord, 'pid' | 'startTime'>): boolean {
  return processStartTime(record.pid) === record.startTime
}

function recordPath(settings: StackSettings, service: ServiceName): string {
  return join(settings.home, 'run', `${service}.json`)
}

/** The record of a service whose process is still running, else null; a leftover record is removed. */
export function readRecord(settings: StackSettings, service: ServiceName): RunRecord | null {
  const path = recordPath(settings, service)
  let record: RunRecord
  try {
    record = JSON.parse(readFileSync(path, 'utf8')) as RunRecord
  } catch {
    return null
  }
  if (isAlive(record)) return record
  rmSync(path, { force: true })
  return null
}

/** Where standard output and error of a service go. */
export function logPath(settings: StackSettings, service: ServiceName): string {
  return join(settings.home, 'logs', `${service}.log`)
}

/** Last lines of a service's log, for error messages. */
export function logTail(settings: StackSettings, service: ServiceName, lines = 15): string {
  try {
    return readFileSync(logPath(settings, service), 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
  } catch {
    return '(no log)'
  }
}

function spawned(child: ChildProcess, command: string): Promise<number> {
  return new Promise((done, failed) => {
    child.once('error', (cause) => failed(new Error(`cannot start ${command}`, { cause })))
    child.once('spawn', () => {
      if (child.pid === undefined) failed(new Error(`${command} has no process id`))
      else done(child.pid)
    })
  })
}

/** Records a server that is running, so that it can be found and stopped later. */
export function adoptProcess(settings: StackSettings, server: Omit<RunRecord, 'startTime' | 'startedAt'>): RunRecord {
  const record: RunRecord = {
    ...server,
    startTime: processStartTime(server.pid) ?? 'gone',
    startedAt: new Date().toISOString(),
  }
  mkdirSync(join(settings.home, 'run'), { recursive: true })
  writeFileSync(recordPath(settings, server.service), `${JSON.stringify(record, null, 2)}\n`)
  return record
}

/** Starts a detached server with its output in the log file and records it. */
export async function startProcess(settings: StackSettings, plan: SpawnPlan): Promise<RunRecord> {
  mkdirSync(join(settings.home, 'logs'), { recursive: true })
  const logFile = logPath(settings, plan.service)
  const log = openSync(logFile, 'w')
  try {
    const child = spawn(plan.command, plan.args, {
      cwd: plan.cwd,
      env: plan.env,
      detached: true,
      stdio: ['ignore', log, log],
      ...(plan.user === undefined ? {} : { uid: plan.user.uid, gid: plan.user.gid }),
    })
    const pid = await spawned(child, plan.command)
    child.unref()
    const { service, port, version, stopSignal } = plan
    return adoptProcess(settings, { service, pid, port, version, stopSignal, logFile })
  } finally {
    closeSync(log)
  }
}

/**
 * Stops a recorded server: its own signal, then SIGKILL when it has not ended within `timeoutMs`.
 * @returns how it ended
 */
export async function stopProcess(
  settings: StackSettings,
  record: RunRecord,
  timeoutMs = 20_000,
): Promise<'stopped' | 'killed'> {
  let outcome: 'stopped' | 'killed' = 'stopped'
  signal(record, record.stopSignal)
  const deadline = Date.now() + timeoutMs
  while (isAlive(record)) {
    if (Date.now() > deadline) {
      outcome = 'killed'
      signal(record, 'SIGKILL')
    }
    await sleep(50)
  }
  rmSync(recordPath(settings, record.service), { force: true })
  return outcome
}

function signal(record: RunRecord, name: NodeJS.Signals): void {
  if (!isAlive(record)) return
  try {
    process.kill(record.pid, name)
  } catch (error) {
    // It may end between the check and the signal; anything else (EPERM) must be seen.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Who listens on a loopback or wildcard TCP port: "pid 12 (java …)", "another user's process", or null when free. */
export function portHolder(port: number): string | null {
  const inode = listeningInode(port)
  if (inode === null) return null
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      for (const fd of readdirSync(`/proc/${entry}/fd`)) {
        if (readlinkSync(`/proc/${entry}/fd/${fd}`) !== `socket:[${inode}]`) continue
        const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
        return `pid ${entry} (${command.length > 80 ? `${command.slice(0, 79)}…` : command})`
      }
    } catch {
      // Not our process, or it ended meanwhile: neither can be looked into.
    }
  }
  return 'a process of another user'
}

function listeningInode(port: number): string | null {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0')
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    let text: string
    try {
      text = readFileSync(table, 'utf8')
    } catch {
      continue
    }
    for (const line of text.split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/)
      // Columns of proc_net_tcp: 1 local address, 3 state (0A = LISTEN), 9 inode.
      if (fields[3] === '0A' && fields[1]?.endsWith(`:${hexPort}`)) return fields[9] ?? null
    }
  }
  return null
}
