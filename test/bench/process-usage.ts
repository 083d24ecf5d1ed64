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
