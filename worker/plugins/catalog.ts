/**
 * Plugins by name, whose manifests load one by one: all of them together, with the code that they share, take 4 MB of
 * heap in every thread.
 */
import { ConnectError } from '../api/errors.ts'
import type { Plugin } from '../api/plugin.ts'
import { builtinNames } from './builtin-index.ts'
import { type BuiltinModule, builtinModules } from './builtin-modules.ts'
import { loadModule, loadRegistry } from './load.ts'
import { isPlugin } from './manifest.ts'
import { PluginIndex, type PluginName, type PluginRegistry } from './registry.ts'

/** A module of `plugin.path`, and what it was found to hold. */
export interface PluginModule {
  readonly url: string
  readonly plugins: readonly PluginName[]
}

interface CatalogEntry extends PluginName {
  /** For messages. */
  readonly origin: string
  /** The plugins of its module; a module is loaded once per thread. */
  readonly module: () => Promise<readonly Plugin[]>
}

/** The built-in plugins and those of `plugin.path`; nothing is loaded before it is asked for. */
export class PluginCatalog extends PluginIndex<CatalogEntry> {
  readonly #modules: readonly PluginModule[]
  #complete: Promise<PluginRegistry> | null = null

  /** @throws ConnectError when a name means two classes of one kind, or two plugins are one version of a class */
  constructor(modules: readonly PluginModule[]) {
    super([...builtinEntries(), ...modules.flatMap(moduleEntries)])
    this.#modules = modules
  }

  protected override async manifestOf({ type, name, version, origin, module }: CatalogEntry): Promise<Plugin> {
    const found = (await module()).find((p) => p.type === type && p.name === name && p.version === version)
    if (found !== undefined) return found
    const message = `${origin} does not hold ${name} ${version} any more, as it did when the worker started; restart it`
    throw new ConnectError('config', 'CONNECT_PLUGIN_LOAD', message)
  }

  override async complete(): Promise<PluginRegistry> {
    this.#complete ??= loadRegistry(this.#modules.map(({ url }) => url))
    return await this.#complete
  }
}

function* builtinEntries(): Generator<CatalogEntry> {
  for (const [origin, names] of Object.entries(builtinNames)) {
    const module = () => builtinPluginsOf(origin as BuiltinModule)
    for (const name of names) yield { ...name, origin, module }
  }
}

function moduleEntries({ url, plugins }: PluginModule): readonly CatalogEntry[] {
  return plugins.map((name) => ({ ...name, origin: `The plugin module ${url}`, module: () => loadModule(url) }))
}

/** The manifests of one module of built-in plugins. */
export async function builtinPluginsOf(module: BuiltinModule): Promise<readonly Plugin[]> {
  const exports: readonly unknown[] = Object.values(await builtinModules[module]())
  return [...new Set(exports.flat())].filter(isPlugin)
}
