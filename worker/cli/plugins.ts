/** `sluice plugins`: what is installed, and what is wrong with a plugin. */
import { parseArgs } from 'node:util'
import { toError } from '../api/errors.ts'
import { loadWorkerConfig } from '../config/worker-config.ts'
import { builtinPlugins } from '../plugins/builtin.ts'
import { type UsablePlugins, usablePlugins } from '../plugins/load.ts'
import type { PluginName } from '../plugins/registry.ts'
import { subcommand } from './subcommand.ts'

const usage = `Usage: sluice plugins list  [--plugin-path LIST | --worker FILE] [--json]
       sluice plugins check <module, package or folder> …

list   every plugin that a worker would have: type, class, version, and where it comes from; what is left out, and why.
       --plugin-path LIST  entries as in the worker option plugin.path
       --worker FILE       a worker's config, for its plugin.path and plugin.discovery
check  loads plugins as a worker would, each in a thread of its own, looks at their manifests and creates one of
       everything. The exit code is 1 when something is wrong.
`

interface Row extends PluginName {
  readonly origin: string
}

interface ListOptions {
  readonly json: boolean
  readonly pluginPath: string
  readonly worker: string | null
}

type Command =
  | { readonly kind: 'list'; readonly options: ListOptions }
  | { readonly kind: 'check'; readonly paths: readonly string[] }

/** @returns the exit code: 0, 1 for plugins that cannot be used, 2 for wrong usage */
export async function run(args: readonly string[]): Promise<number> {
  return await subcommand(
    usage,
    () => readArguments(args),
    async (command) => {
      try {
        return await (command.kind === 'list' ? list(command.options) : check(command.paths))
      } catch (error) {
        process.stderr.write(`${toError(error).message}\n`)
        return 1
      }
    },
  )
}

function readArguments(args: readonly string[]): Command | null {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      'plugin-path': { type: 'string', default: '' },
      worker: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return null
  const [kind, ...paths] = positionals
  const { json, 'plugin-path': pluginPath, worker = null } = values
  if (kind === 'list' && paths.length === 0) return { kind, options: { json, pluginPath, worker } }
  if (kind === 'check' && paths.length > 0) return { kind, paths }
  throw new Error('')
}

async function list(options: ListOptions): Promise<number> {
  const { modules, problems } = await found(options)
  const rows: readonly Row[] = [
    ...builtinPlugins.map(({ type, name, aliases, version }) => ({ type, name, aliases, version, origin: 'built in' })),
    ...modules.flatMap(({ plugins, origin }) => plugins.map((plugin) => ({ ...plugin, origin }))),
  ]
  if (options.json) process.stdout.write(`${JSON.stringify({ plugins: rows, problems }, null, 2)}\n`)
  else {
    process.stdout.write(table(rows))
    for (const { origin, message } of problems) process.stderr.write(`left out: ${origin}: ${message}\n`)
  }
  return problems.length === 0 ? 0 : 1
}

async function found({ worker, pluginPath }: ListOptions): Promise<UsablePlugins> {
  if (worker === null) {
    const paths = pluginPath.split(',').map((path) => path.trim())
    return await usablePlugins(paths.filter((path) => path !== ''))
  }
  const { config, providers } = await loadWorkerConfig(worker, 'distributed')
  await providers.close()
  const discovery = config.options['plugin.discovery'].toLowerCase() as 'hybrid_warn'
  return await usablePlugins(config.options['plugin.path'] ?? [], { discovery })
}

async function check(paths: readonly string[]): Promise<number> {
  const { modules, problems, undeclared } = await usablePlugins(paths, { discovery: 'hybrid_warn', create: true })
  for (const { plugins, origin } of modules) {
    for (const { type, name, version } of plugins)
      process.stdout.write(`ok       ${type} ${name} ${version} (${origin})\n`)
  }
  for (const origin of undeclared) {
    process.stdout.write(
      `note     ${origin}: no package.json declares it ("sluice": { "plugins": […] }), so plugin.discovery=service_load does not find it\n`,
    )
  }
  for (const { origin, code, message } of problems) process.stdout.write(`${code}  ${origin}: ${message}\n`)
  if (modules.length + problems.length === 0) process.stdout.write('no plugins there\n')
  return problems.length === 0 && modules.length > 0 ? 0 : 1
}

function table(rows: readonly Row[]): string {
  const cells = [['TYPE', 'CLASS', 'VERSION', 'FROM'], ...rows.map((r) => [r.type, r.name, r.version, r.origin])]
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  return cells.map((row) => `${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}\n`).join('')
}
