/** Where plugins are: the modules that the entries of `plugin.path` stand for. Nothing is loaded here. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { toError } from '../api/errors.ts'

export interface FoundModule {
  readonly url: string
  /** Name and version of its package, else its path; for lists and messages. */
  readonly origin: string
  /** Its package says that it holds plugins; otherwise it was found by looking. */
  readonly declared: boolean
}

export interface PluginProblem {
  /** Entry of `plugin.path`, package or module. */
  readonly origin: string
  readonly code: 'CONNECT_PLUGIN_PATH' | 'CONNECT_PLUGIN_LOAD' | 'CONNECT_PLUGIN_DUPLICATE'
  readonly message: string
}

export interface Discovery {
  readonly modules: readonly FoundModule[]
  readonly problems: readonly PluginProblem[]
}

const moduleFile = /\.(?:js|mjs|ts|mts)$/
const indexFiles = ['index.js', 'index.mjs', 'index.ts'] as const
const packageName = /^(?:@[a-z0-9._~-]+\/)?[a-z0-9._~-]+$/i

/**
 * An entry is a module file, a package, a folder of either, a `node_modules` folder, or the name of a package that is
 * installed below the working directory or a folder above it. A package declares its plugins in `package.json`:
 * `"sluice": { "plugins": ["./dist/index.js"] }`; of a `node_modules` folder only such packages count.
 */
export async function discoverPlugins(paths: readonly string[]): Promise<Discovery> {
  const search = new Search()
  for (const path of paths) await search.entry(path)
  return { modules: search.modules, problems: search.problems }
}

class Search {
  readonly modules: FoundModule[] = []
  readonly problems: PluginProblem[] = []

  async entry(entry: string): Promise<void> {
    const path = resolve(entry)
    const kind = await kindOf(path)
    if (kind === 'file') {
      if (!this.#file(path)) this.#fail(entry, `plugin.path names ${entry}, which is no module (.js, .mjs, .ts, .mts)`)
    } else if (kind === 'folder') {
      if (!(await this.#package(path, true))) await this.#folder(path)
    } else {
      const installed = packageName.test(entry) ? await installedPackage(entry) : null
      if (installed === null) this.#fail(entry, `plugin.path names ${entry}, which cannot be read: ${kind.message}`)
      else if (!(await this.#package(installed, true))) {
        this.#fail(entry, `The package ${entry} of plugin.path declares no plugins and has no index file`)
      }
    }
  }

  #fail(origin: string, message: string): void {
    this.problems.push({ origin, code: 'CONNECT_PLUGIN_PATH', message })
  }

  #file(path: string): boolean {
    if (!moduleFile.test(path) || path.endsWith('.d.ts')) return false
    this.#add({ url: pathToFileURL(path).href, origin: path, declared: false })
    return true
  }

  #add(module: FoundModule): void {
    if (!this.modules.some(({ url }) => url === module.url)) this.modules.push(module)
  }

  /** As Connect's plugin folders: each child is a plugin of its own; what is neither package nor module is passed over. */
  async #folder(path: string): Promise<void> {
    const isInstalled = basename(path) === 'node_modules'
    let names: readonly string[]
    try {
      names = (await readdir(path)).filter((name) => !name.startsWith('.')).sort()
    } catch (error) {
      this.#fail(path, `plugin.path names ${path}, which cannot be listed: ${toError(error).message}`)
      return
    }
    for (const name of names) {
      const child = join(path, name)
      const kind = await kindOf(child)
      if (kind === 'file' && !isInstalled) this.#file(child)
      else if (kind === 'folder' && isInstalled && name.startsWith('@')) await this.#scope(child)
      else if (kind === 'folder') await this.#package(child, !isInstalled)
    }
  }

  async #scope(path: string): Promise<void> {
    for (const name of (await readdir(path)).sort()) await this.#package(join(path, name), false)
  }

  /** @param scan takes an index file, too, where nothing is declared. @returns whether this folder is a package of plugins */
  async #package(path: string, scan: boolean): Promise<boolean> {
    const manifest = await readManifest(path)
    if (manifest instanceof Error) {
      this.#fail(path, `${join(path, 'package.json')} cannot be used: ${manifest.message}`)
      return true
    }
    for (const file of manifest?.plugins ?? []) {
      const module = resolve(path, file)
      const declared = { url: pathToFileURL(module).href, origin: manifest?.origin ?? path, declared: true }
      if ((await kindOf(module)) === 'file') this.#add(declared)
      else
        this.#fail(declared.origin, `${declared.origin} declares ${file}, which is not there; build the package first`)
    }
    if (manifest?.plugins !== undefined) return true
    if (!scan) return false
    for (const name of indexFiles) {
      const file = join(path, name)
      if ((await kindOf(file)) === 'file') return this.#file(file)
    }
    return false
  }
}

interface PackageManifest {
  readonly origin: string
  /** Absent when the package does not say. */
  readonly plugins?: readonly string[]
}

/** Null: there is none. */
async function readManifest(path: string): Promise<PackageManifest | Error | null> {
  const file = join(path, 'package.json')
  if ((await kindOf(file)) !== 'file') return null
  try {
    const { name, version, sluice } = JSON.parse(await readFile(file, 'utf8')) as Readonly<Record<string, unknown>>
    const origin = typeof name === 'string' ? `${name}@${String(version ?? '?')}` : path
    if (typeof sluice !== 'object' || sluice === null || !('plugins' in sluice)) return { origin }
    const plugins: readonly unknown[] = Array.isArray(sluice.plugins) ? sluice.plugins : [sluice.plugins]
    if (!plugins.every((item) => typeof item === 'string')) {
      return new Error('"sluice.plugins" must be a path of a module, or a list of them')
    }
    return { origin, plugins }
  } catch (error) {
    return toError(error)
  }
}

async function kindOf(path: string): Promise<'file' | 'folder' | Error> {
  try {
    const found = await stat(path)
    return found.isDirectory() ? 'folder' : 'file'
  } catch (error) {
    return toError(error)
  }
}

/** As Node resolves a package from the working directory; null when it is not installed. */
async function installedPackage(name: string): Promise<string | null> {
  for (let folder = process.cwd(); ; folder = dirname(folder)) {
    const path = join(folder, 'node_modules', name)
    if ((await kindOf(path)) === 'folder') return path
    if (folder === dirname(folder)) return null
  }
}
