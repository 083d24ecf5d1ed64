import { readFileSync } from 'node:fs'

/** What the operating system has charged to one process, threads included. */
export interface ProcessUsage {
  readonly cpuSeconds: number
  readonly rssBytes: number
  /** Highest resident set since the process began. */
  readonly peakRssBytes: number
}

// USER_HZ is 100 on every Linux that Node supports; it is no run-time setting.
const ticksPerSecond = 100

/** Reads `/proc`. @throws Error when the process is gone */
export function usageOf(pid: number): ProcessUsage {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The command name may hold spaces and parentheses: fields count from behind the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0)
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
    rssBytes: kilobytes('VmRSS') * 1024,
    peakRssBytes: kilobytes('VmHWM') * 1024,
  }
}

/**
 * Starts watching the machine as a whole; the answer is the share of its CPU time, 0 to 1, that nobody has used since.
 * Time that the host of a virtual machine took away counts as used.
 */
export function machineIdle(): () => number {
  const read = () => {
    // user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of user and nice.
    const fields =
      readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]?.trim().split(/\s+/).slice(1, 9).map(Number) ?? []
    return { idle: (fields[3] ?? 0) + (fields[4] ?? 0), all: fields.reduce((sum, value) => sum + value, 0) }
  }
  const from = read()
  return () => {
    const to = read()
    return (to.idle - from.idle) / (to.all - from.all)
  }
}
