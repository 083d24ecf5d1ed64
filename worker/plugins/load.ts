/** Plugins of this thread: the built-in ones, and those of modules named by `plugin.path`. */
import { readdir, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ConnectError, toError } from '../api/errors.ts'
import type { Plugin } from '../api/plugin.ts'
import { builtinPlugins } from './builtin.ts'
import { PluginRegistry } from './registry.ts'

/**
 * @param modules URLs of modules that export `plugin` or `plugins`
 * @throws ConnectError naming the module that cannot be loaded, or that exports no plugin
 */
export async function loadRegistry(modules: readonly string[]): Promise<PluginRegistry> {
  const found: Plugin[] = [...builtinPlugins]
  for (const url of modules) found.push(...(await loadModule(url)))
  return new PluginRegistry(found)
}

async function loadModule(url: string): Promise<readonly Plugin[]> {
  let exports: { readonly plugin?: unknown; readonly plugins?: unknown }
  try {
    exports = (await import(url)) as typeof exports
  } catch (error) {
    const message = `Cannot load the plugin module ${url}: ${toError(error).message}; correct it or plugin.path`
    throw new ConnectError('config', 'CONNECT_PLUGIN_LOAD', message, { cause: error })
  }
  const plugins: readonly unknown[] = Array.isArray(exports.plugins) ? exports.plugins : [exports.plugin]
  if (!plugins.every(isPlugin)) {
    const message = `The module ${url} exports neither a plugin as \`plugin\` nor a list of them as \`plugins\``
    throw new ConnectError('config', 'CONNECT_PLUGIN_LOAD', message)
  }
  return plugins
}

const types: ReadonlySet<unknown> = new Set([
  'source',
  'sink',
  'transformation',
  'predicate',
  'converter',
  'header_converter',
])

function isPlugin(value: unknown): value is Plugin {
  return typeof value === 'object' && value !== null && 'type' in value && types.has(value.type) && 'name' in value
}

/**
 * Module URLs of `plugin.path`: an entry is a module file, a package folder, or a folder of either (as Connect's
 * plugin folders).
 * @throws ConnectError for an entry that does not exist
 */
export async function pluginModules(paths: readonly string[]): Promise<readonly string[]> {
  const urls: string[] = []
  for (const path of paths) {
    const found = await modulesAt(resolve(path))
    if (found !== null) {
      urls.push(...found)
      continue
    }
    for (const entry of (await readdir(path)).sort()) urls.push(...((await modulesAt(resolve(path, entry))) ?? []))
  }
  return urls
}

/** Null for a folder that is not a package itself. */
async function modulesAt(path: string): Promise<readonly string[] | null> {
  let isFolder: boolean
  try {
    isFolder = (await stat(path)).isDirectory()
  } catch (error) {
    const message = `plugin.path names ${path}, which cannot be read: ${toError(error).message}`
    throw new ConnectError('config', 'CONNECT_PLUGIN_PATH', message, { cause: error })
  }
  if (!isFolder) return /\.(?:js|mjs|ts|mts)$/.test(path) ? [pathToFileURL(path).href] : []
  for (const name of ['index.js', 'index.mjs', 'index.ts']) {
    const file = join(path, name)
    if (await exists(file)) return [pathToFileURL(file).href]
  }
  return null
}

async function exists(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile()
  } catch {
    // Absent, or not readable: either way there is no module to load here.
    return false
  }
}
