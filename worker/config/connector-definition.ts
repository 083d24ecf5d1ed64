/**
 * The definition that one particular connector config is validated against: the framework's options with the worker's
 * defaults and with what this process has to offer, plus the options of its transforms and predicates.
 */
import type { ConfigKey, ConfigKeys, Recommender, Validator } from '../api/config.ts'
import { toError } from '../api/errors.ts'
import type { ConnectorPlugin, Plugin } from '../api/plugin.ts'
import { adviceFor } from '../plugins/advice.ts'
import type { PluginKind, PluginRegistry } from '../plugins/registry.ts'
import { type EvaluateHooks, javaTrim, type RawOptions } from './config-def.ts'
import { connectorKeys } from './connector-config.ts'
import { baseKeys } from './connector-options.ts'
import { compareVersions, versionProblem, versionRequirement } from './plugin-versions.ts'
import { asksForRestarts, restartOptions } from './restart-options.ts'

/** What validation needs to know of the plugins; the registry has it. */
export type PluginLookup = Pick<PluginRegistry, 'find' | 'findAny' | 'all' | 'versions'>

/** Worker options that become defaults of connectors. */
export interface ConverterDefaults {
  readonly 'key.converter': string
  readonly 'value.converter': string
  readonly 'header.converter': string
  readonly 'key.converter.plugin.version': string | null
  readonly 'value.converter.plugin.version': string | null
  readonly 'header.converter.plugin.version': string | null
}

const interfaceNames: Readonly<Record<PluginKind, string>> = {
  connector: 'Connector',
  transformation: 'Transformation',
  predicate: 'Predicate',
  converter: 'Converter',
  header_converter: 'HeaderConverter',
}

const converterKinds = {
  'key.converter': 'converter',
  'value.converter': 'converter',
  'header.converter': 'header_converter',
} as const satisfies Record<string, PluginKind>

export type ConverterOption = keyof typeof converterKinds

export interface Definition {
  readonly keys: ConfigKeys
  readonly hooks: EvaluateHooks
  /** In the order of REST's answer. */
  readonly groups: readonly string[]
}

/** Definition for `raw`, a config of `plugin`. `defaults` null: only what all connectors have (unknown version). */
export function connectorDefinition(
  plugin: ConnectorPlugin,
  raw: RawOptions,
  plugins: PluginLookup,
  defaults: ConverterDefaults | null,
): Definition {
  const keys: Record<string, ConfigKey> = {
    ...(defaults === null ? baseKeys : connectorKeys(plugin.type)),
    ...(asksForRestarts(raw) ? restartOptions.keys : {}),
    'connector.plugin.version': {
      ...baseKeys['connector.plugin.version'],
      ...versionsOf(plugins, 'connector', plugin.name),
    },
  }
  for (const option of ['key.converter', 'value.converter', 'header.converter'] as const) {
    Object.assign(keys, converterKeys(option, raw, plugins, defaults))
  }
  const embedded = new Map<string, string>()
  for (const part of defaults === null ? [] : (['transforms', 'predicates'] as const)) {
    Object.assign(keys, embeddedKeys(part, raw, plugins, embedded))
  }
  return {
    keys,
    groups: distinctGroups(keys),
    hooks: {
      label: (name) => embedded.get(name) ?? name,
      resolveClass: (option, name) => resolveClass(plugins, kindOfOption(option), name),
      adviceFor: (name) =>
        adviceFor(
          name,
          plugins.all().map((known) => known.name),
        ),
    },
  }
}

/** Groups of a definition in order of first appearance. */
export function distinctGroups(keys: ConfigKeys): string[] {
  return [...new Set(Object.values(keys).flatMap((key) => (key.group === undefined ? [] : [key.group])))]
}

function kindOfOption(option: string): PluginKind | null {
  if (option === 'key.converter' || option === 'value.converter' || option === 'header.converter') {
    return converterKinds[option]
  }
  if (/^transforms\..*\.type$/u.test(option)) return 'transformation'
  return /^predicates\..*\.type$/u.test(option) ? 'predicate' : null
}

/**
 * Full class name of a text, or null when there is no such class. A class of another interface, or of Java itself,
 * is found too: its option's validator then says that it is of the wrong kind.
 */
function resolveClass(plugins: PluginLookup, kind: PluginKind | null, name: string): string | null {
  if (kind === null) return name
  const found = plugins.find(kind, name) ?? plugins.findAny(name)
  if (found !== null) return found.name
  return name.startsWith('java.') ? name : null
}

function implementsInterface(plugins: PluginLookup, kind: PluginKind): Validator {
  return {
    description: `class that implements ${interfaceNames[kind]}`,
    complete: true,
    check: (_, value) => {
      if (value === null || plugins.find(kind, String(value)) !== null) return null
      return `Class class ${String(value)} does not implement the ${interfaceNames[kind]} interface`
    },
  }
}

/** What is wrong with a plugin's version, at its class and at its version. */
interface VersionProblems {
  readonly class: string | null
  readonly version: string | null
}

/** @param className null: the plugin is not known, so only the notation is judged */
function versionProblems(plugins: PluginLookup, className: string | null, wanted: string | null): VersionProblems {
  try {
    if (className === null) {
      versionRequirement(wanted)
      return { class: null, version: null }
    }
    // A class of two kinds is listed with each, as in Connect.
    const available = plugins.all().flatMap((plugin) => (plugin.name === className ? [plugin.version] : []))
    available.sort(compareVersions)
    const problem = versionProblem(className, wanted, available)
    return { class: problem, version: problem }
  } catch (error) {
    return { class: null, version: toError(error).message }
  }
}

function fixedProblem(problem: string | null): Validator {
  return { description: 'version or range of versions', complete: true, check: () => problem }
}

function inOrder(first: Validator, second: Validator): Validator {
  return { ...first, check: (option, value) => first.check(option, value) ?? second.check(option, value) }
}

function classesOf(plugins: PluginLookup, kind: PluginKind): string[] {
  return [
    ...new Set(
      plugins
        .all()
        .filter((p) => p.type === kind)
        .map((p) => p.name),
    ),
  ].sort()
}

function fixedValues(values: readonly string[], visible = true): Recommender {
  return { validValues: () => values, visible: () => visible }
}

/** Default and recommended values of a version: the newest, and all that are here. @param className null: not known */
function versionsOf(plugins: PluginLookup, kind: PluginKind, className: string | null) {
  const versions = className === null ? [] : plugins.versions(kind, className).map(({ version }) => version)
  return { default: versions.at(-1) ?? null, recommender: fixedValues([...new Set(versions)]) }
}

/** A converter's class and version; the worker's converter is the default, with its version. */
function converterKeys(
  option: ConverterOption,
  raw: RawOptions,
  plugins: PluginLookup,
  defaults: ConverterDefaults | null,
): ConfigKeys {
  const kind = converterKinds[option]
  const byDefault = defaults === null ? null : (resolveClass(plugins, kind, defaults[option]) ?? defaults[option])
  const given = raw[option] ?? byDefault
  const className = given === null ? null : resolveClass(plugins, kind, javaTrim(given))
  const versions = versionsOf(plugins, kind, className)
  const isShown = className !== null && raw[option] !== null
  const versionOption = `${option}.plugin.version` as const
  const isOwn = (raw[option] ?? null) !== null
  const wrongVersion = versionProblems(plugins, isOwn ? className : null, raw[versionOption] ?? null)
  return {
    [option]: {
      ...baseKeys[option],
      default: byDefault,
      valid: inOrder(implementsInterface(plugins, kind), fixedProblem(wrongVersion.class)),
      recommender: fixedValues(defaults === null ? [] : classesOf(plugins, kind)),
    },
    [versionOption]: {
      ...baseKeys[versionOption],
      default: (isOwn ? null : defaults?.[versionOption]) ?? versions.default,
      valid: fixedProblem(wrongVersion.version),
      recommender: isShown ? versions.recommender : fixedValues([], false),
    },
  }
}

const partNames = { transforms: 'Transformation', predicates: 'Predicate' } as const
const partKinds = { transforms: 'transformation', predicates: 'predicate' } as const
const partGroups = { transforms: 'Transforms', predicates: 'Predicates' } as const

/** Options that every transform has besides its own. */
const stageKeys = {
  predicate: {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    doc: 'The alias of a predicate used to determine whether to apply this transformation.',
  },
  negate: {
    type: 'BOOLEAN',
    default: false,
    importance: 'MEDIUM',
    doc: 'Whether the configured predicate should be negated.',
  },
} as const satisfies ConfigKeys

/**
 * Options below `transforms.A.` or `predicates.P.` for every alias of the config.
 * @param labels gets the names under which validators of embedded options report
 */
function embeddedKeys(
  part: 'transforms' | 'predicates',
  raw: RawOptions,
  plugins: PluginLookup,
  labels: Map<string, string>,
): ConfigKeys {
  const keys: Record<string, ConfigKey> = {}
  const list = javaTrim(raw[part] ?? '')
  // An empty alias among others is an alias, as in Connect.
  for (const alias of new Set(list === '' ? [] : list.split(/\s*,\s*/u))) {
    const prefix = `${part}.${alias}.`
    const className = raw[`${prefix}type`] ?? null
    const plugin = className === null ? null : plugins.find(partKinds[part], javaTrim(className))
    const group = `${partGroups[part]}: ${alias}`
    const wanted = raw[`${prefix}plugin.version`] ?? null
    const { version } = versionProblems(plugins, plugin?.name ?? null, wanted)
    const wrongVersion = { class: version, version }
    Object.assign(keys, typeKeys(part, alias, { plugins, plugin, raw, group, wrongVersion }))
    const chosen = plugin === null ? null : plugins.find(partKinds[part], plugin.name, wanted)
    if (chosen === null) continue
    let order = 2
    const own = part === 'transforms' ? { ...chosen.config.keys, ...stageKeys } : chosen.config.keys
    for (const [name, key] of sortedKeys(own)) {
      labels.set(prefix + name, name)
      keys[prefix + name] = {
        ...key,
        displayName: key.displayName ?? name,
        group: key.group === undefined ? group : `${group}: ${key.group}`,
        order: order++,
        dependents: (key.dependents ?? []).map((dependent) => prefix + dependent),
      }
    }
  }
  return keys
}

interface TypeKeysInput {
  readonly plugins: PluginLookup
  readonly plugin: Plugin | null
  readonly raw: RawOptions
  readonly group: string
  readonly wrongVersion: VersionProblems
}

function typeKeys(part: 'transforms' | 'predicates', alias: string, input: TypeKeysInput): ConfigKeys {
  const { plugins, plugin, raw, group, wrongVersion } = input
  const kind = partKinds[part]
  const noun = partNames[part]
  const prefix = `${part}.${alias}.`
  const isKind = implementsInterface(plugins, kind)
  const versions = versionsOf(plugins, kind, plugin?.name ?? null)
  return {
    [`${prefix}type`]: {
      type: 'CLASS',
      valid: {
        ...isKind,
        check: (option, value) =>
          (part === 'transforms' ? negateProblem(prefix, raw) : null) ??
          isKind.check(option, value) ??
          wrongVersion.class,
      },
      importance: 'HIGH',
      group,
      order: 0,
      width: 'LONG',
      displayName: `${noun} type for ${alias}`,
      doc: `Class for the '${alias}' ${noun.toLowerCase()}.`,
      recommender: fixedValues(classesOf(plugins, kind)),
    },
    [`${prefix}plugin.version`]: {
      type: 'STRING',
      ...versions,
      valid: fixedProblem(wrongVersion.version),
      importance: 'HIGH',
      group,
      order: 1,
      width: 'LONG',
      displayName: `${noun} version for ${alias}`,
      doc: `Version of the '${alias}' ${noun.toLowerCase()}.`,
    },
  }
}

function negateProblem(prefix: string, raw: RawOptions): string | null {
  if (!Object.hasOwn(raw, `${prefix}negate`) || Object.hasOwn(raw, `${prefix}predicate`)) return null
  return `Config '${prefix}negate' was provided but there is no config '${prefix}predicate' defining a predicate to be negated.`
}

const importances = ['HIGH', 'MEDIUM', 'LOW'] as const

/** Order of embedded options, as `ConfigDef.sortedConfigs`: by group and order, required first, importance, name. */
function sortedKeys(keys: ConfigKeys): [string, ConfigKey][] {
  const groups = distinctGroups(keys)
  const rank = (key: ConfigKey): number => (key.group === undefined ? -1 : groups.indexOf(key.group))
  return Object.entries(keys).sort(
    ([nameA, a], [nameB, b]) =>
      rank(a) - rank(b) ||
      (a.order ?? -1) - (b.order ?? -1) ||
      Number(a.default !== undefined) - Number(b.default !== undefined) ||
      importances.indexOf(a.importance) - importances.indexOf(b.importance) ||
      (nameA < nameB ? -1 : 1),
  )
}
