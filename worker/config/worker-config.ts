/** The worker's own config: read from a file, references resolved, parsed, and what follows from it. */
import { readFile } from 'node:fs/promises'
import type { ConfigOf } from '../api/config.ts'
import type { RawConfig } from '../api/connector.ts'
import { ConfigError, ConnectError, toError } from '../api/errors.ts'
import { parseConfig } from './config-def.ts'
import { ConfigProviders, withPrefixCut } from './config-provider.ts'
import { distributedOptions } from './distributed-options.ts'
import { type Listener, parseListener } from './listeners.ts'
import { decodeProperties, parseProperties } from './properties.ts'
import { standaloneOptions } from './worker-options.ts'

export type WorkerMode = 'distributed' | 'standalone'
export type DistributedOptions = ConfigOf<typeof distributedOptions>
export type StandaloneOptions = ConfigOf<typeof standaloneOptions>

/** Parsed worker config. Only `mode` and `raw` cross threads: the other side calls `parseWorkerConfig` again. */
export type WorkerConfig =
  | { readonly mode: 'distributed'; readonly raw: RawConfig; readonly options: DistributedOptions }
  | { readonly mode: 'standalone'; readonly raw: RawConfig; readonly options: StandaloneOptions }

export interface LoadedWorkerConfig {
  readonly config: WorkerConfig
  /** For connector configs too. */
  readonly providers: ConfigProviders
}

/** Keys where references are not resolved (spec 1.1). */
const unresolved: ReadonlySet<string> = new Set(['plugin.path'])

/**
 * Reads a worker file, `.json` (a flat object) or Java properties, and resolves its references.
 * @throws ConfigError with all problems; ConnectError (`CONNECT_CONFIG_FILE`) when it cannot be read
 */
export async function loadWorkerConfig(path: string, mode: WorkerMode): Promise<LoadedWorkerConfig> {
  return await resolveWorkerConfig(await readWorkerFile(path), mode)
}

/** As `loadWorkerConfig`, from options already at hand. */
export async function resolveWorkerConfig(written: RawConfig, mode: WorkerMode): Promise<LoadedWorkerConfig> {
  const providers = await ConfigProviders.fromWorkerConfig(written)
  await using stack = new AsyncDisposableStack()
  stack.use(providers)
  const { config: raw } = await providers.resolve(written, unresolved)
  const config = parseWorkerConfig(raw, mode)
  stack.move()
  return { config, providers }
}

/** Pure part. @throws ConfigError with all problems */
export function parseWorkerConfig(raw: RawConfig, mode: WorkerMode): WorkerConfig {
  return mode === 'distributed'
    ? { mode, raw, options: parseConfig(distributedOptions, raw) }
    : { mode, raw, options: parseConfig(standaloneOptions, raw) }
}

async function readWorkerFile(path: string): Promise<RawConfig> {
  let text: string
  try {
    text = decodeProperties(await readFile(path))
  } catch (error) {
    const message = `Cannot read the worker config ${path}: ${toError(error).message}`
    throw new ConnectError('fatal', 'CONNECT_CONFIG_FILE', message, { cause: error })
  }
  try {
    return path.endsWith('.json') ? flatJson(JSON.parse(text)) : parseProperties(text)
  } catch (error) {
    if (error instanceof ConfigError) throw error
    const message = `Cannot understand the worker config ${path}: ${toError(error).message}`
    throw new ConnectError('fatal', 'CONNECT_CONFIG_FILE', message, { cause: error })
  }
}

/** Option map of a JSON object: scalars as text, arrays of scalars as lists, null as absent. */
function flatJson(json: unknown): Record<string, string> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new Error('a worker config in JSON is one flat object of options')
  }
  const result: Record<string, string> = {}
  for (const [option, value] of Object.entries(json)) {
    if (value === null) continue
    const parts: readonly unknown[] = Array.isArray(value) ? value : [value]
    if (parts.some((part) => typeof part === 'object')) {
      throw new ConfigError([{ option, message: 'nested objects are not options; write the full option name as key' }])
    }
    result[option] = parts.map(String).join(',')
  }
  return result
}

/** Listeners of the main REST server, at least one. */
export function restListeners(config: WorkerConfig): Listener[] {
  return config.options.listeners.map(parseListener)
}

/** Null: admin endpoints on the main listeners; empty: none; else on listeners of their own. */
export function adminListeners(config: WorkerConfig): Listener[] | null {
  return config.options['admin.listeners']?.map(parseListener) ?? null
}

/**
 * TLS options of listeners or of the inter-worker client: all options below `prefix` when there is at least one,
 * otherwise the unprefixed `ssl.*`. All or nothing, as in Connect.
 */
export function tlsOptions(raw: RawConfig, prefix: 'listeners.https.' | 'admin.listeners.https.'): RawConfig {
  const own = withPrefixCut(raw, prefix)
  if (Object.keys(own).length > 0) return own
  return Object.fromEntries(Object.entries(raw).filter(([key]) => key.startsWith('ssl.')))
}

const topicKeySuffixes = new Set(['topic', 'partitions', 'replication.factor', 'cleanup.policy'])

/** Topic options for the creation of an internal topic: every other `<which>.storage.X`; compaction is not negotiable. */
export function storageTopicConfigs(raw: RawConfig, which: 'config' | 'offset' | 'status'): Record<string, string> {
  const all = Object.entries(withPrefixCut(raw, `${which}.storage.`))
  return Object.fromEntries(all.filter(([key]) => !topicKeySuffixes.has(key)))
}

/** `G-` or `G-<client.id>-`: what the ids of the worker's own clients begin with. */
export function clientIdBase(options: DistributedOptions): string {
  const id = options['client.id'].trim()
  return `${options['group.id']}-${id === '' ? '' : `${id}-`}`
}

/** Transactional id of the leader's producer for the config topic; null when it writes without transactions. */
export function leaderTransactionalId(options: DistributedOptions): string | null {
  const support = exactlyOnceSupport(options)
  return support === 'disabled' ? null : `connect-cluster-${options['group.id']}`
}

export type ExactlyOnceMode = 'disabled' | 'preparing' | 'enabled'

export function exactlyOnceSupport(options: DistributedOptions): ExactlyOnceMode {
  const mode = options['exactly.once.source.support'].toLowerCase()
  return mode === 'enabled' || mode === 'preparing' ? mode : 'disabled'
}
