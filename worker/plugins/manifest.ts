import type { ConfigDef } from '../api/config.ts'
import { toError } from '../api/errors.ts'
import type { Plugin } from '../api/plugin.ts'
import { evaluate, missingRequired } from '../config/config-def.ts'

/** Functions that each type of plugin must have. */
const factories: Readonly<Record<Plugin['type'], readonly string[]>> = {
  source: ['createConnector', 'createTask'],
  sink: ['createConnector', 'createTask'],
  transformation: ['create'],
  predicate: ['create'],
  converter: ['create'],
  header_converter: ['create'],
}

export const pluginTypes: ReadonlySet<unknown> = new Set(Object.keys(factories))

export function isPlugin(value: unknown): value is Plugin {
  return (
    typeof value === 'object' && value !== null && 'type' in value && pluginTypes.has(value.type) && 'name' in value
  )
}

/** Plugins that a module exports, as `plugin` or as `plugins`. @throws Error when it exports none */
export function exportedPlugins(url: string, exports: object): readonly Plugin[] {
  const { plugin, plugins } = exports as { readonly plugin?: unknown; readonly plugins?: unknown }
  const all: readonly unknown[] = Array.isArray(plugins) ? plugins : [plugin]
  if (all.every(isPlugin)) return all
  // A module may hold REST extensions or config providers and nothing else.
  const hasOthers = 'restExtensions' in exports || 'configProviders' in exports
  if (plugin === undefined && plugins === undefined && hasOthers) return []
  const script = 'default' in exports || 'transform' in exports
  const hint = script ? ' (a script of the Script transform stands in a folder below an entry of plugin.path)' : ''
  throw new Error(`The module ${url} exports neither a plugin as \`plugin\` nor a list of them as \`plugins\`${hint}`)
}

/** What is wrong with a manifest as a value, without calling anything of it; for plugins written without types. */
export function manifestProblems(plugin: Plugin): readonly string[] {
  // Whoever wrote it may not have had a compiler.
  const given = plugin as unknown as Readonly<Record<string, unknown>>
  const problems: string[] = []
  const isText = (name: string): boolean => typeof given[name] === 'string' && given[name] !== ''
  for (const name of ['name', 'version', ...(plugin.type === 'source' || plugin.type === 'sink' ? ['taskName'] : [])]) {
    if (!isText(name)) problems.push(`"${name}" must be a text`)
  }
  const { aliases } = given
  if (!Array.isArray(aliases) || !aliases.every((alias) => typeof alias === 'string')) {
    problems.push('"aliases" must be a list of names, which may be empty')
  }
  for (const name of factories[plugin.type]) {
    if (typeof given[name] !== 'function') problems.push(`"${name}" must be a function that makes one`)
  }
  return [...problems, ...configProblems(given['config'])]
}

function configProblems(config: unknown): readonly string[] {
  if (typeof config !== 'object' || config === null || !('keys' in config)) {
    return ['"config" must be a definition made by defineConfig']
  }
  const { keys } = config as ConfigDef
  const problems = Object.entries(keys).flatMap(([name, { doc, importance, type }]) =>
    [doc, importance, type].every((text) => typeof text === 'string')
      ? []
      : [`option "${name}" needs "type", "importance" and "doc"`],
  )
  if (problems.length > 0) return problems
  try {
    // Defaults must pass their own validators.
    return [...evaluate(keys, {}).values()].flatMap(({ name, errors }) =>
      errors.filter((error) => error !== missingRequired(name) && keys[name]?.default !== undefined),
    )
  } catch (error) {
    return [`a validator or recommender threw: ${toError(error).message}`]
  }
}
