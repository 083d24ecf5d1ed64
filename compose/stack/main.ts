import { spawn } from 'node:child_process'
import { composeDown, composeEnvironment, composeUp } from './docker.ts'
import { down, environment, reset, type ServiceStatus, status, up, withFreePorts } from './lifecycle.ts'
import { logPath, residentBytes } from './processes.ts'
import { megabytes } from './progress.ts'
import { defaultServices, type ServiceName, type StackSettings, serviceNames } from './settings.ts'
import { isDockerMode, loadSettings } from './state.ts'

const usage = `usage: npm run stack -- <command> [service …]

  up [service …]     start (default: ${defaultServices.join(' ')}); running ones stay as they are
                     --free-ports  the next free block when others hold the ports
                     --docker      the same endpoints from images, by compose/compose.yaml
  down [service …]   stop what this checkout started
  status             process, port, memory and readiness of each service
  env                NAME=value lines for tests and pipelines
  logs <service>     follow a service's log
  reset [service …]  stop and delete the data

services: ${serviceNames.join(' ')}
ports: SLUICE_STACK_PORT_BASE moves all, SLUICE_KAFKA_PORT and the like one of them`

class UsageError extends Error {}

function parseServices(words: readonly string[]): ServiceName[] {
  return words.map((word) => {
    const name = serviceNames.find((candidate) => candidate === word)
    if (name === undefined) throw new UsageError(`unknown service "${word}"`)
    return name
  })
}

function statusLine({ name, record, isReady, foreignHolder }: ServiceStatus): string {
  if (record === null) {
    const note = foreignHolder === null ? '' : `  (its port is held by ${foreignHolder})`
    return `${name.padEnd(14)} stopped${note}`
  }
  const memory = residentBytes(record.pid)
  return [
    name.padEnd(14),
    (isReady ? 'ready' : 'not ready').padEnd(10),
    `127.0.0.1:${record.port}`.padEnd(16),
    `pid ${record.pid}`.padEnd(12),
    (memory === null ? '' : megabytes(memory)).padStart(8),
    ` ${record.version}`,
  ].join(' ')
}

async function showStatus(settings: StackSettings): Promise<void> {
  for (const line of await status(settings)) console.log(statusLine(line))
}

function followLog(settings: StackSettings, name: ServiceName): Promise<void> {
  const child = spawn('tail', ['-n', '100', '-F', logPath(settings, name)], { stdio: 'inherit' })
  return new Promise((done, failed) => {
    child.once('error', failed)
    child.once('close', () => done())
  })
}

function printEnvironment(settings: StackSettings): void {
  const variables = isDockerMode(settings) ? composeEnvironment(settings) : environment(settings)
  for (const [name, value] of Object.entries(variables)) console.log(`${name}=${value}`)
  if (Object.keys(variables).length === 0)
    throw new Error('no service is running; start them with `npm run stack -- up`')
}

async function main(words: readonly string[]): Promise<void> {
  const settings = loadSettings()
  const flags = new Set(words.filter((word) => word.startsWith('--')))
  for (const flag of flags)
    if (flag !== '--docker' && flag !== '--free-ports') throw new UsageError(`unknown option ${flag}`)
  const [command, ...rest] = words.filter((word) => !flags.has(word))
  const named = parseServices(rest)
  const chosen = named.length === 0 ? undefined : named
  switch (command) {
    case 'up':
      if (flags.has('--docker')) await composeUp(settings, chosen ?? defaultServices)
      else await up(flags.has('--free-ports') ? withFreePorts(settings) : settings, chosen ?? defaultServices)
      return
    case 'down':
      if (isDockerMode(settings)) await composeDown(settings, { deleteData: false })
      return down(settings, chosen)
    case 'reset':
      if (isDockerMode(settings)) await composeDown(settings, { deleteData: true })
      return reset(settings, chosen)
    case 'status':
      return showStatus(settings)
    case 'env':
      return printEnvironment(settings)
    case 'logs':
      if (named[0] === undefined) throw new UsageError('logs needs the name of a service')
      return followLog(settings, named[0])
    default:
      throw new UsageError(command === undefined ? 'no command' : `unknown command "${command}"`)
  }
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  if (error instanceof UsageError) console.error(`${error.message}\n\n${usage}`)
  else console.error(error instanceof Error ? `stack: ${error.message}` : error)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
