import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, realpathSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Names of the local services, in the order in which they are shown. */
export const serviceNames = ['kafka', 'postgres', 'elasticsearch', 's3', 'redshift', 'registry'] as const
export type ServiceName = (typeof serviceNames)[number]

/** Services that `up` starts when none is named; the others start on request only. */
export const defaultServices: readonly ServiceName[] = ['kafka', 'postgres', 'elasticsearch', 's3', 'redshift']

/** First of the consecutive default ports; `SLUICE_STACK_PORT_BASE` moves all of them. */
export const defaultPortBase = 19_090

/** TCP ports of the stack, all on the loopback interface. */
export interface StackPorts {
  readonly kafka: number
  readonly kafkaController: number
  readonly postgres: number
  readonly elasticsearch: number
  readonly elasticsearchTransport: number
  readonly s3: number
  readonly redshift: number
  readonly registry: number
  readonly registryManagement: number
}

/** Offset from the port base, and the variable that sets this one port. */
const portTable: Readonly<Record<keyof StackPorts, readonly [offset: number, variable: string]>> = {
  kafka: [0, 'SLUICE_KAFKA_PORT'],
  kafkaController: [1, 'SLUICE_KAFKA_CONTROLLER_PORT'],
  postgres: [2, 'SLUICE_POSTGRES_PORT'],
  elasticsearch: [3, 'SLUICE_ELASTICSEARCH_PORT'],
  elasticsearchTransport: [4, 'SLUICE_ELASTICSEARCH_TRANSPORT_PORT'],
  s3: [5, 'SLUICE_S3_PORT'],
  redshift: [6, 'SLUICE_REDSHIFT_PORT'],
  registry: [7, 'SLUICE_REGISTRY_PORT'],
  registryManagement: [8, 'SLUICE_REGISTRY_MANAGEMENT_PORT'],
}

/** Number of consecutive ports counted from the base. */
export const portSpan = Object.keys(portTable).length

/** What the parts of the stack need to know; made once per command. */
export interface StackSettings {
  /** Root folder of this checkout. */
  readonly root: string
  /** `.stack` in the root: state, logs, downloaded artifacts. Ignored by git. */
  readonly home: string
  /** Data of servers that run as another user; equals `home` unless that user cannot reach it. */
  readonly dataHome: string
  readonly ports: StackPorts
  readonly s3AccessKey: string
  readonly s3SecretKey: string
  /** Options of the broker over those of the stack, for brokers of tests. */
  readonly kafkaProperties?: Readonly<Record<string, string>>
}

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

function portFrom(variable: string, text: string): number {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new Error(`${variable}=${text} is not a port number (1 to 65535)`)
  }
  return port
}

/** The port base from the environment, else the default. */
export function portBase(env: NodeJS.ProcessEnv): number {
  const given = env['SLUICE_STACK_PORT_BASE']
  return given === undefined || given === '' ? defaultPortBase : portFrom('SLUICE_STACK_PORT_BASE', given)
}

/** Ports for a base, with single ports overridden by their own variables. */
export function portsFor(base: number, env: NodeJS.ProcessEnv): StackPorts {
  const ports: Partial<Record<keyof StackPorts, number>> = {}
  for (const [name, [offset, variable]] of Object.entries(portTable) as [
    keyof StackPorts,
    readonly [number, string],
  ][]) {
    const own = env[variable]
    ports[name] =
      own === undefined || own === ''
        ? portFrom('SLUICE_STACK_PORT_BASE', String(base + offset))
        : portFrom(variable, own)
  }
  return ports as Record<keyof StackPorts, number>
}

/**
 * Whether every parent folder can be entered by users other than the owner. PostgreSQL and Elasticsearch refuse
 * uid 0; started by root they run as an ordinary user, who must be able to reach binaries and data.
 */
export function isReachableByOthers(path: string): boolean {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    if (existsSync(folder) && (statSync(folder).mode & 0o001) === 0) return false
    if (folder === dirname(folder)) return true
  }
}

/** True when servers must be started under another user because this process is root. */
export function runsAsRoot(): boolean {
  return process.getuid?.() === 0
}

/** Settings from the environment alone; creates nothing. */
export function settingsFrom(env: NodeJS.ProcessEnv): StackSettings {
  // Where a link leads: servers started by way of it must outlive the checkout that it lies in.
  const link = join(root, '.stack')
  const home = existsSync(link) ? realpathSync(link) : link
  const suffix = createHash('sha256').update(root).digest('hex').slice(0, 12)
  const dataHome = runsAsRoot() && !isReachableByOthers(root) ? `/var/tmp/sluice-stack-${suffix}` : home
  return {
    root,
    home,
    dataHome,
    ports: portsFor(portBase(env), env),
    s3AccessKey: env['SLUICE_S3_ACCESS_KEY'] ?? 'sluice',
    s3SecretKey: env['SLUICE_S3_SECRET_KEY'] ?? 'sluice-secret',
  }
}

/** True when the file exists and may be executed by this process. */
export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
