/**
 * `npm run docs`: writes the reference of options and error codes into the READMEs, between markers, from the same
 * definitions that parse and validate. `--check` changes nothing and fails when a README is stale.
 */
import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type ErrorCodes, toError } from '../api/errors.ts'
import type { Plugin } from '../api/plugin.ts'
import { errorCodeTable, type GeneratedSection, optionTables, putSection } from '../config/config-docs.ts'
import { sinkConnectorOptions, sourceConnectorOptions } from '../config/connector-config.ts'
import { baseKeys } from '../config/connector-options.ts'
import { distributedOptions } from '../config/distributed-options.ts'
import { restartOptions } from '../config/restart-options.ts'
import { standaloneOptions } from '../config/worker-options.ts'
import { builtinPlugins } from '../plugins/builtin.ts'
import { type BuiltinModule, builtinModules } from '../plugins/builtin-modules.ts'
import { builtinPluginsOf } from '../plugins/catalog.ts'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

interface Document {
  /** From the root of the repository. */
  readonly path: string
  readonly title: string
  readonly sections: readonly GeneratedSection[]
}

/** Every document with its generated parts, from the sources as they are. */
export async function documents(): Promise<readonly Document[]> {
  const codes = await allErrorCodes()
  const connectors = await connectorDocuments()
  const transforms = builtinPlugins.filter((p) => p.type === 'transformation' || p.type === 'predicate')
  const converters = builtinPlugins.filter((p) => p.type === 'converter' || p.type === 'header_converter')
  return [
    ...connectors,
    {
      path: 'transforms/README.md',
      title: 'Transforms and predicates',
      sections: [{ name: 'options', heading: '## Options', content: pluginSections(transforms) }],
    },
    {
      path: 'worker/config/README.md',
      title: 'Options and error codes',
      sections: [
        { name: 'worker-options', heading: '## Worker', content: workerSections() },
        { name: 'connector-options', heading: '## Connectors', content: connectorSections() },
        { name: 'converter-options', heading: '## Converters', content: pluginSections(converters) },
        { name: 'error-codes', heading: '## Error codes', content: errorCodeTable(codes) },
      ],
    },
  ]
}

function workerSections(): string {
  const standaloneOnly = without(standaloneOptions.keys, distributedOptions.keys)
  return [
    'Options of `sluice distributed`; those of both modes work for `sluice standalone` too.\n',
    optionTables(distributedOptions, '###'),
    '### Standalone only\n',
    optionTables({ keys: standaloneOnly }, '####'),
  ].join('\n')
}

function connectorSections(): string {
  return [
    '### Every connector\n',
    optionTables({ keys: baseKeys }, '####'),
    '### Restarts of failed tasks\n',
    optionTables(restartOptions, '####'),
    '### Every source connector\n',
    optionTables({ keys: without(sourceConnectorOptions.keys, baseKeys) }, '####'),
    '### Every sink connector\n',
    optionTables({ keys: without(sinkConnectorOptions.keys, baseKeys) }, '####'),
  ].join('\n')
}

function without<V>(keys: Readonly<Record<string, V>>, others: Readonly<Record<string, unknown>>): Record<string, V> {
  return Object.fromEntries(Object.entries(keys).filter(([name]) => !Object.hasOwn(others, name)))
}

/** One section per plugin; key and value variants of a transform, and converters of two roles, share one. */
function pluginSections(plugins: readonly Plugin[]): string {
  const byBase = new Map<string, Plugin[]>()
  for (const plugin of plugins) {
    const base = plugin.name.replace(/\$(?:Key|Value)$/u, '')
    byBase.set(base, [...(byBase.get(base) ?? []), plugin])
  }
  return [...byBase.values()].map(pluginSection).join('\n')
}

function pluginSection(variants: readonly Plugin[]): string {
  const [plugin] = variants
  if (plugin === undefined) return ''
  const names = [...new Set(variants.flatMap((p) => [p.name, ...p.aliases]))].map((name) => `\`${name}\``)
  const types = [...new Set(variants.map((p) => p.type.replace('_', ' ')))].join(', ')
  const simple = plugin.name.replace(/\$(?:Key|Value)$/u, '').replace(/^.*\./u, '')
  return `### ${simple}\n\n${types}: ${names.join(', ')}\n\n${optionTables(plugin.config, '####')}`
}

/** One document per folder below `connectors/` that has a manifest. */
async function connectorDocuments(): Promise<Document[]> {
  const result: Document[] = []
  for (const entry of (await readdir(join(root, 'connectors'), { withFileTypes: true })).sort(byName)) {
    const manifest = join(root, 'connectors', entry.name, 'index.ts')
    if (!entry.isDirectory() || !existsSync(manifest)) continue
    const plugins = exportedPlugins(await load(manifest))
    const own = await errorCodesBelow(join(root, 'connectors', entry.name))
    result.push({
      path: `connectors/${entry.name}/README.md`,
      title: entry.name,
      sections: [
        { name: 'options', heading: '## Options', content: pluginSections(plugins) },
        { name: 'error-codes', heading: '## Error codes', content: errorCodeTable(own) },
      ],
    })
  }
  return result
}

const byName = (a: { readonly name: string }, b: { readonly name: string }): number => (a.name < b.name ? -1 : 1)

type Exports = Readonly<Record<string, unknown>>

async function load(path: string): Promise<Exports> {
  return (await import(pathToFileURL(path).href)) as Exports
}

function exportedPlugins(exports: Exports): Plugin[] {
  const values = Object.values(exports).flatMap((value: unknown): unknown[] => (Array.isArray(value) ? value : [value]))
  return [...new Set(values.filter(isPlugin))].sort(byName)
}

function isPlugin(value: unknown): value is Plugin {
  return typeof value === 'object' && value !== null && 'type' in value && 'config' in value && 'aliases' in value
}

/**
 * Codes of the whole repository, joined.
 * @throws Error when two places define one code differently
 */
export async function allErrorCodes(): Promise<ErrorCodes> {
  const all: Record<string, ErrorCodes[keyof ErrorCodes]> = {}
  for (const folder of ['worker', 'connectors', 'transforms']) {
    for (const [code, entry] of Object.entries(await errorCodesBelow(join(root, folder)))) {
      const known = all[code]
      if (known !== undefined && known.meaning !== entry.meaning) {
        throw new Error(`Error code ${code} is defined twice; give one of them another name`)
      }
      all[code] = entry
    }
  }
  return all
}

/** Codes defined in the sources below a folder: whatever they export that `defineErrorCodes` made. */
async function errorCodesBelow(folder: string): Promise<ErrorCodes> {
  const codes: Record<string, ErrorCodes[keyof ErrorCodes]> = {}
  for (const path of await sourcesBelow(folder)) {
    if (!/^export const \w+ = defineErrorCodes\(/mu.test(await readFile(path, 'utf8'))) continue
    for (const value of Object.values(await load(path))) {
      if (isErrorCodes(value)) Object.assign(codes, value)
    }
  }
  return codes
}

export async function sourcesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

function isErrorCodes(value: unknown): value is ErrorCodes {
  if (typeof value !== 'object' || value === null) return false
  const keys = Object.keys(value)
  return keys.length > 0 && keys.every((key) => key.startsWith('CONNECT_'))
}

const indexPath = 'worker/plugins/builtin-index.ts'

/** The source of `builtin-index.ts`: what a thread has to know of plugins whose manifests it does not load. */
export async function builtinIndexSource(): Promise<string> {
  const modules: string[] = []
  for (const module of Object.keys(builtinModules) as BuiltinModule[]) {
    const lines = (await builtinPluginsOf(module)).map(({ type, name, aliases, version }) => {
      const list = aliases.map((alias) => `'${alias}'`).join(', ')
      return `    { type: '${type}', name: '${name}', aliases: [${list}], version: '${version}' },\n`
    })
    modules.push(`  '${module}': [\n${lines.join('')}  ],\n`)
  }
  return `/** Written by \`npm run docs\` from the manifests of the built-in plugins; do not edit. */
import type { BuiltinModule } from './builtin-modules.ts'
import type { PluginName } from './registry.ts'

export const builtinNames: Readonly<Record<BuiltinModule, readonly PluginName[]>> = {
${modules.join('')}}
`
}

/**
 * Brings the documents, and what else is generated, up to date.
 * @param check only look
 * @returns paths that were stale
 */
export async function updateDocuments(check: boolean): Promise<readonly string[]> {
  const stale: string[] = []
  const update = async (path: string, before: string, after: string): Promise<void> => {
    if (after === before) return
    stale.push(relative(root, join(root, path)))
    if (!check) await writeFile(join(root, path), after)
  }
  for (const { path, title, sections } of await documents()) {
    const before = await textOf(path, `# ${title}\n`)
    let after = before
    for (const section of sections) after = putSection(after, section)
    await update(path, before, after)
  }
  await update(indexPath, await textOf(indexPath, ''), await builtinIndexSource())
  return stale
}

async function textOf(path: string, absent: string): Promise<string> {
  const file = join(root, path)
  return existsSync(file) ? await readFile(file, 'utf8') : absent
}

/** @returns the exit code */
export async function run(args: readonly string[]): Promise<number> {
  const check = args.includes('--check')
  if (args.some((arg) => arg !== '--check')) {
    process.stderr.write('Usage: sluice docs [--check]\n')
    return 1
  }
  const stale = await updateDocuments(check)
  for (const path of stale) process.stdout.write(`${check ? 'stale' : 'written'}: ${path}\n`)
  if (check && stale.length > 0) process.stderr.write('Run `npm run docs` and commit the result.\n')
  return check && stale.length > 0 ? 1 : 0
}

if (import.meta.main) {
  try {
    process.exitCode = await run(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${toError(error).stack ?? toError(error).message}\n`)
    process.exitCode = 1
  }
}
