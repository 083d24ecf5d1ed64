import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ensureHost } from './host.ts'
import { isAlive, logTail, portHolder, processStartTime, type RunRecord, readRecord, stopProcess } from './processes.ts'
import { since, step } from './progress.ts'
import type { Service } from './service.ts'
import { services } from './services/index.ts'
import {
  defaultPortBase,
  portBase,
  portSpan,
  portsFor,
  type ServiceName,
  type StackSettings,
  serviceNames,
} from './settings.ts'
import { forgetSettings, hasProcesses, rememberSettings } from './state.ts'

/** A port of the stack is taken by something that this checkout did not start. */
export class PortTakenError extends Error {}

/** Waits for the only writer of `.stack`; two `up` at once start each server once. */
async function withLock<T>(settings: StackSettings, body: () => Promise<T>): Promise<T> {
  mkdirSync(settings.home, { recursive: true })
  const path = join(settings.home, 'lock')
  const own = `${process.pid} ${processStartTime(process.pid) ?? ''}`
  let told = false
  for (;;) {
    try {
      writeFileSync(path, own, { flag: 'wx' })
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const [pid, startTime] = readLock(path)
    if (pid !== undefined && startTime !== undefined && isAlive({ pid: Number(pid), startTime })) {
      if (!told) step('stack', `waiting for another stack command of this checkout (pid ${pid})`)
      told = true
      await sleep(200)
    } else if (pid !== undefined) {
      rmSync(path, { force: true })
    }
  }
  try {
    return await body()
  } finally {
    rmSync(path, { force: true })
  }
}

function readLock(path: string): readonly (string | undefined)[] {
  try {
    return readFileSync(path, 'utf8').split(' ')
  } catch {
    return []
  }
}

function checkPorts(settings: StackSettings, service: Service): void {
  for (const port of service.ports(settings)) {
    const holder = portHolder(port)
    if (holder === null) continue
    throw new PortTakenError(
      `${service.name}: port ${port} is held by ${holder}, which is not part of this checkout's stack. ` +
        `Stop it, or choose other ports with SLUICE_STACK_PORT_BASE (default ${defaultPortBase}, ${portSpan} consecutive ports).`,
    )
  }
}

async function answers(service: Service, settings: StackSettings): Promise<boolean> {
  try {
    return await service.probe(settings)
  } catch {
    return false
  }
}

async function waitUntilReady(settings: StackSettings, service: Service, record: RunRecord): Promise<void> {
  const deadline = Date.now() + service.readyTimeoutMs
  while (!(await answers(service, settings))) {
    if (!isAlive(record)) {
      throw new Error(
        `${service.name} ended while starting; last lines of ${record.logFile}:\n${logTail(settings, service.name)}`,
      )
    }
    if (Date.now() > deadline) {
      throw new Error(
        `${service.name} did not answer within ${service.readyTimeoutMs / 1000} s; last lines of ${record.logFile}:\n${logTail(settings, service.name)}`,
      )
    }
    await sleep(100)
  }
}

async function bringUp(settings: StackSettings, service: Service): Promise<boolean> {
  const running = readRecord(settings, service.name)
  if (running !== null && service.isOutdated?.(settings, running) === true) {
    step(service.name, 'its program changed since it started; starting it again')
    await stopProcess(settings, running)
  } else if (running !== null) {
    await waitUntilReady(settings, service, running)
    step(service.name, `already running on 127.0.0.1:${running.port} (pid ${running.pid})`)
    return false
  }
  checkPorts(settings, service)
  const started = Date.now()
  const record = await service.start(settings)
  try {
    await waitUntilReady(settings, service, record)
  } catch (error) {
    await stopProcess(settings, record)
    throw error
  }
  step(service.name, `ready after ${since(started)}: ${record.version} on 127.0.0.1:${record.port} (pid ${record.pid})`)
  return true
}

function withDependencies(names: readonly ServiceName[]): readonly Service[] {
  const wanted = new Set<ServiceName>()
  const add = (name: ServiceName): void => {
    for (const needed of services[name].dependsOn) add(needed)
    wanted.add(name)
  }
  for (const name of names) add(name)
  return serviceNames.filter((name) => wanted.has(name)).map((name) => services[name])
}

/**
 * Starts services and their dependencies that are not running yet, independent ones at the same time, and waits
 * until each answers a real request. A service that fails does not stop the others.
 * @returns the names of those that this call started
 * @throws PortTakenError when a port belongs to somebody else; AggregateError when several services fail
 */
export function up(settings: StackSettings, names: readonly ServiceName[]): Promise<readonly ServiceName[]> {
  if (process.platform !== 'linux') {
    return Promise.reject(
      new Error('Local processes are managed by way of /proc, so they need Linux. Use `npm run stack -- up --docker`.'),
    )
  }
  return withLock(settings, async () => {
    // Servers that run as another user must be able to enter the folders made here.
    process.umask(0o022)
    const wanted = withDependencies(names)
    const absent = wanted.filter((service) => readRecord(settings, service.name) === null)
    for (const service of absent) checkPorts(settings, service)
    await ensureHost({
      needsJava: absent.some((service) => service.needsJava),
      needsPostgres: absent.some((service) => service.name === 'postgres'),
    })
    rememberSettings(settings, 'processes')
    const started = new Map<ServiceName, Promise<boolean>>()
    for (const service of wanted) {
      const dependencies = service.dependsOn.flatMap((name) => started.get(name) ?? [])
      started.set(
        service.name,
        Promise.all(dependencies).then(() => bringUp(settings, service)),
      )
    }
    const outcomes = await Promise.allSettled(started.values())
    const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
    const unique = [...new Set(errors)]
    if (unique.length === 1) throw unique[0]
    if (unique.length > 1) throw new AggregateError(unique, unique.map(String).join('\n'))
    return wanted
      .filter((_, index) => (outcomes[index] as PromiseFulfilledResult<boolean>).value)
      .map((service) => service.name)
  })
}

/** Stops what this checkout started, dependants first; servers of other checkouts are not touched. */
export function down(settings: StackSettings, names: readonly ServiceName[] = serviceNames): Promise<void> {
  return withLock(settings, () => stopAll(settings, names))
}

async function stopAll(settings: StackSettings, names: readonly ServiceName[]): Promise<void> {
  const records = names.flatMap((name) => readRecord(settings, name) ?? [])
  const dependants = records.filter((record) => services[record.service].dependsOn.length > 0)
  const rest = records.filter((record) => services[record.service].dependsOn.length === 0)
  for (const group of [dependants, rest]) {
    await Promise.all(
      group.map(async (record) => {
        const started = Date.now()
        const outcome = await stopProcess(settings, record)
        step(record.service, `${outcome} after ${since(started)} (pid ${record.pid})`)
      }),
    )
  }
  if (!hasProcesses(settings)) forgetSettings(settings)
}

/** Stops the services and deletes their data; downloaded artifacts stay. */
export function reset(settings: StackSettings, names: readonly ServiceName[] = serviceNames): Promise<void> {
  return withLock(settings, async () => {
    await stopAll(settings, names)
    for (const name of names) {
      for (const folder of services[name].dataFolders(settings)) rmSync(folder, { recursive: true, force: true })
    }
    step('stack', 'data deleted')
  })
}

/** Variables of the running services, in a fixed order. */
export function environment(settings: StackSettings): Readonly<Record<string, string>> {
  const variables: Record<string, string> = {}
  for (const name of serviceNames) {
    if (readRecord(settings, name) !== null) Object.assign(variables, services[name].variables(settings))
  }
  return variables
}

/** State of one service as `status` shows it. */
export interface ServiceStatus {
  readonly name: ServiceName
  readonly record: RunRecord | null
  readonly isReady: boolean
  /** Who holds the port when this checkout does not. */
  readonly foreignHolder: string | null
}

/** Looks at every service, with one probe each. */
export function status(settings: StackSettings): Promise<readonly ServiceStatus[]> {
  return Promise.all(
    serviceNames.map(async (name) => {
      const service = services[name]
      const record = readRecord(settings, name)
      const port = service.ports(settings)[0]
      return {
        name,
        record,
        isReady: record !== null && (await answers(service, settings)),
        foreignHolder: record === null && port !== undefined ? portHolder(port) : null,
      }
    }),
  )
}

/**
 * Settings with ports that `up` can use: those in force when they are free or already ours, otherwise the next free
 * block. For callers (tests, quickstart) that may share the machine with another checkout's stack.
 */
export function withFreePorts(settings: StackSettings, env: NodeJS.ProcessEnv = process.env): StackSettings {
  if (hasProcesses(settings)) return settings
  const wanted = portBase(env)
  for (let base = wanted; base < wanted + 40 * 20; base += 20) {
    const ports = portsFor(base, env)
    if (Object.values(ports).some((port) => portHolder(port) !== null)) continue
    if (base !== wanted) step('stack', `port ${wanted} and following are in use by others; using ${base} and following`)
    return { ...settings, ports }
  }
  throw new Error(`no free block of ${portSpan} ports from ${wanted} on; set SLUICE_STACK_PORT_BASE`)
}
