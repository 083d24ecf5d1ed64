/**
 * References to values kept elsewhere, `${provider:path:key}` or `${provider:key}` (KIP-297). They are resolved in
 * memory when something starts; what is stored and shown is always the raw text (I8).
 */
import { readdir, readFile, realpath } from 'node:fs/promises'
import { join, resolve as resolvePath, sep } from 'node:path'
import type { ConfigProvider, ConfigProviderPlugin, ProvidedValues } from '../api/config-provider.ts'
import type { RawConfig } from '../api/connector.ts'
import { ConfigError, toError } from '../api/errors.ts'
import { JavaRegex } from '../api/java-regex.ts'
import { exportedLists } from '../plugins/exported-lists.ts'
import { simpleName } from '../plugins/registry.ts'
import { parseList } from '../util/text-list.ts'
import type { RawOptions } from './config-def.ts'
import { decodeProperties, parseProperties } from './properties.ts'

export type ConfigProviderFactory = (params: Readonly<Record<string, string>>) => ConfigProvider

const javaPackage = 'org.apache.kafka.common.config.provider.'

/** Built-in providers by Java class name; the simple name and the name without its suffix mean the same. */
const factories: Readonly<Record<string, ConfigProviderFactory>> = {
  EnvVarConfigProvider: (params) => envProvider(params, process.env),
  FileConfigProvider: fileProvider,
  DirectoryConfigProvider: directoryProvider,
}

function factoryOf(className: string): ConfigProviderFactory | null {
  const simple = className.startsWith(javaPackage) ? className.slice(javaPackage.length) : className
  return factories[simple] ?? factories[`${simple}ConfigProvider`] ?? null
}

/** Environment variables. `allowlist.pattern`: names that may be read, as a full match (default `.*`). */
export function envProvider(
  params: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string | undefined>>,
): ConfigProvider {
  const allowed = new JavaRegex(params['allowlist.pattern'] ?? '.*')
  return {
    async get(path, keys) {
      // The variables have no folders: with a path nothing is found, and the reference stays as it is.
      if (path !== '') return { values: {}, ttlMs: null }
      const values: Record<string, string> = {}
      for (const key of keys) {
        const value = env[key]
        if (value !== undefined && allowed.matches(key)) values[key] = value
      }
      return { values, ttlMs: null }
    },
  }
}

/** Properties of a `.properties` file. `allowed.paths`: folders or files that may be read, all when absent. */
function fileProvider(params: Readonly<Record<string, string>>): ConfigProvider {
  return {
    async get(path, keys) {
      if (path === '' || !(await isAllowed(path, params))) return { values: {}, ttlMs: null }
      const all = parseProperties(decodeProperties(await readFile(path)))
      return {
        values: Object.fromEntries([...keys].filter((k) => Object.hasOwn(all, k)).map((k) => [k, all[k] ?? ''])),
        ttlMs: null,
      }
    },
  }
}

/** Files of a folder, one value each (Kubernetes secrets); the content is the value as it stands. */
function directoryProvider(params: Readonly<Record<string, string>>): ConfigProvider {
  return {
    async get(path, keys) {
      if (path === '' || !(await isAllowed(path, params))) return { values: {}, ttlMs: null }
      const values: Record<string, string> = {}
      for (const entry of await readdir(path, { withFileTypes: true })) {
        // Secrets mounted by Kubernetes are symbolic links: only folders are left out.
        if (!keys.has(entry.name) || entry.isDirectory()) continue
        values[entry.name] = decodeProperties(await readFile(join(path, entry.name)))
      }
      return { values, ttlMs: null }
    },
  }
}

async function isAllowed(path: string, params: Readonly<Record<string, string>>): Promise<boolean> {
  const allowed = (params['allowed.paths'] ?? '').split(',').filter((p) => p.trim() !== '')
  if (allowed.length === 0) return true
  const real = await canonical(path)
  for (const entry of allowed) {
    const root = await canonical(entry.trim())
    if (real === root || real.startsWith(root.endsWith(sep) ? root : root + sep)) return true
  }
  return false
}

/** Without symbolic links, so that a link cannot lead out of the allowed paths. */
async function canonical(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch {
    return resolvePath(path)
  }
}

const referencePattern = /\$\{([^}]*?):(?:([^}]*?):)?([^}]*?)\}/gu

/** Whether a value holds something that looks like a reference; whether it resolves is another question. */
export function hasReference(text: string): boolean {
  return text.search(referencePattern) >= 0
}

export interface ResolvedConfig<C> {
  readonly config: C
  /** The shortest time to live of what was read, in ms: with `config.action.reload=restart` the connector is restarted then. */
  readonly ttlMs: number | null
}

/** All providers of a worker. Immutable; holds no values between calls. */
export class ConfigProviders implements AsyncDisposable {
  readonly #providers: ReadonlyMap<string, ConfigProvider>
  #closed: Promise<void> | null = null

  constructor(providers: ReadonlyMap<string, ConfigProvider>) {
    this.#providers = providers
  }

  static readonly none = new ConfigProviders(new Map())

  /**
   * Providers named by `config.providers`, each with `config.providers.NAME.class` and `….param.KEY`: built-in ones,
   * and those that modules of `plugin.path` export.
   * @throws ConfigError a provider without a class, or of a class that is not here
   */
  static async fromWorkerConfig(raw: RawOptions): Promise<ConfigProviders> {
    const chosen = parseList(raw['config.providers'] ?? '').map((name) => {
      return {
        name,
        option: `config.providers.${name}.class`,
        className: (raw[`config.providers.${name}.class`] ?? '').trim(),
      }
    })
    // Modules are loaded only for a provider that is not built in: who needs none is not held up by any.
    const needsModules = chosen.some(({ className }) => factoryOf(className) === null)
    const paths = needsModules ? parseList(raw['plugin.path'] ?? '') : []
    const exported = await exportedLists<ConfigProviderPlugin>(paths, 'configProviders')
    const providers = new Map<string, ConfigProvider>()
    await using stack = new AsyncDisposableStack()
    for (const { name, option, className } of chosen) {
      const plugin = exported.find((known) => known.name === className || simpleName(known.name) === className)
      const factory = factoryOf(className) ?? plugin?.create
      if (factory === undefined) {
        const known = [...Object.keys(factories).map((k) => javaPackage + k), ...exported.map((other) => other.name)]
        const message =
          className === '' ? `Missing required configuration "${option}"` : `Class ${className} could not be found`
        throw new ConfigError([{ option, message: `${message}; config providers here: ${known.join(', ')}` }])
      }
      const provider = factory(withPrefixCut(raw, `config.providers.${name}.param.`))
      providers.set(name, provider)
      stack.defer(async () => await provider.close?.())
    }
    stack.move()
    return new ConfigProviders(providers)
  }

  /**
   * Replaces the references in every value, in one pass (a replacement is not searched again). What cannot be
   * resolved (unknown provider, no such key) stays as it is.
   * @throws ConfigError naming the option when a provider cannot read (file missing, not permitted)
   */
  async resolve<C extends RawOptions>(raw: C, except: ReadonlySet<string> = new Set()): Promise<ResolvedConfig<C>> {
    if (this.#providers.size === 0) return { config: raw, ttlMs: null }
    const wanted = this.#references(raw, except)
    const found = new Map<string, string>()
    let ttlMs: number | null = null
    for (const { provider, name, path, keys, option } of wanted.values()) {
      const data = await read(provider, name, path, keys, option)
      for (const [key, value] of Object.entries(data.values)) found.set(`${name}:${path}:${key}`, value)
      if (data.ttlMs !== null) ttlMs = Math.min(ttlMs ?? data.ttlMs, data.ttlMs)
    }
    const replace = (text: string): string =>
      text.replaceAll(referencePattern, (whole, name: string, path: string | undefined, key: string) => {
        return found.get(`${name}:${path ?? ''}:${key}`) ?? whole
      })
    const entries = Object.entries(raw).map(([k, v]) => [k, v === null || except.has(k) ? v : replace(v)])
    return { config: Object.fromEntries(entries) as C, ttlMs }
  }

  /** Closes every provider, once, also when one of them fails. @throws AggregateError with what they threw */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    const outcomes = await Promise.allSettled(Array.from(this.#providers.values(), async (one) => await one.close?.()))
    const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
    if (failures.length > 0) throw new AggregateError(failures, 'config providers could not be closed')
  }

  #references(raw: RawOptions, except: ReadonlySet<string>): Map<string, Wanted> {
    const wanted = new Map<string, Wanted>()
    for (const [option, text] of Object.entries(raw)) {
      if (text === null || except.has(option)) continue
      for (const [, name = '', path = '', key = ''] of text.matchAll(referencePattern)) {
        const provider = this.#providers.get(name)
        if (provider === undefined) continue
        const id = `${name}:${path}`
        const entry = wanted.get(id) ?? { provider, name, path, option, keys: new Set<string>() }
        entry.keys.add(key)
        wanted.set(id, entry)
      }
    }
    return wanted
  }
}

interface Wanted {
  readonly provider: ConfigProvider
  readonly name: string
  readonly path: string
  readonly option: string
  readonly keys: Set<string>
}

async function read(
  provider: ConfigProvider,
  name: string,
  path: string,
  keys: ReadonlySet<string>,
  option: string,
): Promise<ProvidedValues> {
  try {
    return await provider.get(path, keys)
  } catch (error) {
    const message = `Could not read '${path}' for config provider '${name}': ${toError(error).message}`
    throw new ConfigError([{ option, message }], { cause: error })
  }
}

/**
 * Puts references back into task configs before they are stored: for every option whose raw connector value holds a
 * reference, the raw text replaces what the connector copied from its resolved config (KIP-297, I8).
 */
export function reverseTransform(connectorRaw: RawConfig, taskConfig: RawConfig): RawConfig {
  const result: Record<string, string> = { ...taskConfig }
  for (const [option, text] of Object.entries(connectorRaw)) {
    if (Object.hasOwn(result, option) && text !== null && hasReference(text)) result[option] = text
  }
  return result
}

/** Options below `prefix`, with the prefix cut off; options without a value left out. */
export function withPrefixCut(raw: RawOptions, prefix: string): Record<string, string> {
  const result: Record<string, string> = {}
  for (const [key, value] of Object.entries(raw)) {
    if (key.startsWith(prefix) && key.length > prefix.length && value !== null) result[key.slice(prefix.length)] = value
  }
  return result
}
