/** Plugins of modules named by `plugin.path`, and all of them with the built-in ones. */
import { ConnectError, toError } from '../api/errors.ts'
import type { Plugin } from '../api/plugin.ts'
import { builtinNames } from './builtin-index.ts'
import { discoverPlugins, type FoundModule, type PluginProblem } from './discover.ts'
import { exportedPlugins } from './manifest.ts'
import { probeModule } from './probe.ts'
import { ClaimedNames, type PluginName, PluginRegistry } from './registry.ts'

/**
 * The manifests of all plugins.
 * @param modules URLs of modules that export `plugin` or `plugins`
 * @throws ConnectError naming the module that cannot be loaded, or that exports no plugin
 */
export async function loadRegistry(modules: readonly string[]): Promise<PluginRegistry> {
  const { builtinPlugins } = await import('./builtin.ts')
  const found: Plugin[] = [...builtinPlugins]
  for (const url of modules) found.push(...(await loadModule(url)))
  return new PluginRegistry(found)
}

/** @throws ConnectError naming the module that cannot be loaded, or that exports no plugin */
export async function loadModule(url: string): Promise<readonly Plugin[]> {
  try {
    return exportedPlugins(url, (await import(url)) as object)
  } catch (error) {
    const message = `Cannot load the plugin module ${url}: ${toError(error).message}; correct it or plugin.path`
    throw new ConnectError('config', 'CONNECT_PLUGIN_LOAD', message, { cause: error })
  }
}

/**
 * Module URLs of `plugin.path`, not looked into.
 * @throws ConnectError for an entry that does not exist or cannot be used
 */
export async function pluginModules(paths: readonly string[]): Promise<readonly string[]> {
  const { modules, problems } = await discoverPlugins(paths)
  const [problem] = problems
  if (problem !== undefined) throw new ConnectError('config', problem.code, problem.message)
  return modules.map(({ url }) => url)
}

/** How Connect finds plugins: declared ones (KIP-898), ones found by looking, or both. */
export type PluginDiscovery = 'only_scan' | 'hybrid_warn' | 'hybrid_fail' | 'service_load'

export interface UsableModule extends FoundModule {
  readonly plugins: readonly PluginName[]
}

export interface UsablePlugins {
  readonly modules: readonly UsableModule[]
  /** Modules that are left out, each with the reason. */
  readonly problems: readonly PluginProblem[]
  /** Found by looking although their packages do not declare them; `hybrid_fail` refuses to start with these. */
  readonly undeclared: readonly string[]
}

/**
 * The modules of `plugin.path` that can be used; broken ones are told, not fatal. Each was loaded once, in a thread of
 * its own.
 * @param options.create creates one of everything, too
 */
export async function usablePlugins(
  paths: readonly string[],
  options: { readonly discovery: PluginDiscovery; readonly create?: boolean } = { discovery: 'hybrid_warn' },
): Promise<UsablePlugins> {
  const { modules: found, problems: unreadable } = await discoverPlugins(paths)
  const wanted = options.discovery === 'service_load' ? found.filter(({ declared }) => declared) : found
  const problems = [...unreadable]
  const modules: UsableModule[] = []
  const names = new ClaimedNames()
  names.claim(Object.values(builtinNames).flat())
  const create = options.create ?? false
  const probed = await Promise.all(wanted.map(({ url }) => probeModule({ url, create })))
  for (const [i, module] of wanted.entries()) {
    const { plugins = [], problems: faults = [] } = probed[i] ?? {}
    const { origin } = module
    problems.push(...faults.map((message) => ({ origin, code: 'CONNECT_PLUGIN_LOAD' as const, message })))
    const taken = faults.length > 0 ? [] : names.claim(plugins)
    if (taken.length > 0) {
      const message = `${taken.join(', ')}: a plugin of this name is there already; remove one of them from plugin.path`
      problems.push({ origin, code: 'CONNECT_PLUGIN_DUPLICATE', message })
    }
    if (faults.length > 0 || taken.length > 0) continue
    modules.push({ ...module, plugins })
  }
  const undeclared = modules.filter(({ declared }) => !declared).map(({ origin }) => origin)
  return { modules, problems, undeclared }
}
