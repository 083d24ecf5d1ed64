import { ConnectError } from '../api/errors.ts'
import type {
  ConnectorPlugin,
  ConverterPlugin,
  HeaderConverterPlugin,
  Plugin,
  PredicatePlugin,
  TransformationPlugin,
} from '../api/plugin.ts'
import type { PluginInfo } from '../runtime/worker-types.ts'

/** Interfaces by which plugins are looked up; a name means one thing per interface. */
export type PluginKind = 'connector' | 'transformation' | 'predicate' | 'converter' | 'header_converter'

interface PluginsByKind {
  connector: ConnectorPlugin
  transformation: TransformationPlugin
  predicate: PredicatePlugin
  converter: ConverterPlugin
  header_converter: HeaderConverterPlugin
}

/** Suffixes that may be left out of a class's simple name (`JsonConverter` → `Json`). */
const suffixes: Readonly<Record<PluginKind, string>> = {
  connector: 'Connector',
  transformation: 'Transformation',
  predicate: 'Predicate',
  converter: 'Converter',
  header_converter: 'HeaderConverter',
}

/** Connect's names of the interfaces, for its message of an unknown class. */
const interfaceNames: Readonly<Record<PluginKind, string>> = {
  connector: 'Connector',
  transformation: 'Transformation',
  predicate: 'Predicate',
  converter: 'Converter',
  header_converter: 'HeaderConverter',
}

const kinds = Object.keys(suffixes) as readonly PluginKind[]

export function kindOfPlugin(plugin: Pick<Plugin, 'type'>): PluginKind {
  return plugin.type === 'source' || plugin.type === 'sink' ? 'connector' : plugin.type
}

/** `org.example.Cast$Value` → `Value`, as Java's `Class.getSimpleName`. */
export function simpleName(name: string): string {
  return name.slice(Math.max(name.lastIndexOf('.'), name.lastIndexOf('$')) + 1)
}

/** The simple name without the last occurrence of `suffix`, unless it begins with it (spec of aliases: Connect 4.3). */
export function prunedName(name: string, kind: PluginKind): string {
  const simple = simpleName(name)
  const at = simple.lastIndexOf(suffixes[kind])
  return at > 0 ? simple.slice(0, at) : simple
}

interface Names {
  readonly exact: Map<string, Plugin>
  /** Null: the alias would mean two plugins, so it means none. */
  readonly aliases: Map<string, Plugin | null>
}

/**
 * All plugins of this process, found by full name, by the manifest's further names, by simple name (`FileStreamSinkConnector`) or
 * by pruned simple name (`FileStreamSink`). An alias that would mean two plugins is dropped, as in Connect.
 */
export class PluginRegistry {
  readonly #plugins: readonly Plugin[]
  readonly #names = new Map<PluginKind, Names>()

  /** @throws ConnectError when two plugins of one kind have the same full name */
  constructor(plugins: readonly Plugin[]) {
    this.#plugins = plugins
    for (const kind of kinds) this.#names.set(kind, { exact: new Map(), aliases: new Map() })
    for (const plugin of plugins) this.#add(plugin)
  }

  #add(plugin: Plugin): void {
    const kind = kindOfPlugin(plugin)
    const names = this.#namesOf(kind)
    for (const name of [plugin.name, ...plugin.aliases]) {
      const other = names.exact.get(name)
      if (other !== undefined && other !== plugin) {
        throw new ConnectError(
          'config',
          'CONNECT_PLUGIN_DUPLICATE',
          `Two ${kind} plugins are called ${name}; remove one of them from plugin.path`,
        )
      }
      names.exact.set(name, plugin)
      for (const alias of [simpleName(name), prunedName(name, kind)]) {
        const known = names.aliases.get(alias)
        names.aliases.set(alias, known === undefined || known === plugin ? plugin : null)
      }
    }
  }

  #namesOf(kind: PluginKind): Names {
    const names = this.#names.get(kind)
    if (names === undefined) throw new Error(`no such plugin kind: ${kind}`)
    return names
  }

  find<K extends PluginKind>(kind: K, name: string): PluginsByKind[K] | null {
    const { exact, aliases } = this.#namesOf(kind)
    return (exact.get(name) ?? aliases.get(name) ?? null) as PluginsByKind[K] | null
  }

  /** @throws ConnectError with Connect's text, which lists what there is */
  get<K extends PluginKind>(kind: K, name: string): PluginsByKind[K] {
    const plugin = this.find(kind, name)
    if (plugin !== null) return plugin
    const known = this.#plugins.filter((candidate) => kindOfPlugin(candidate) === kind).map((p) => p.name)
    throw new ConnectError(
      'config',
      'CONNECT_PLUGIN_UNKNOWN',
      `Failed to find any class that implements ${interfaceNames[kind]} and which name matches ${name}, available ` +
        `${kind}s are: ${[...known].sort().join(', ')}`,
    )
  }

  /** A plugin of any kind, for `GET /connector-plugins/{name}/config`; null when there is none. */
  findAny(name: string): Plugin | null {
    for (const kind of kinds) {
      const plugin = this.find(kind, name)
      if (plugin !== null) return plugin
    }
    return null
  }

  all(): readonly Plugin[] {
    return this.#plugins
  }

  /** What `GET /connector-plugins` lists, sorted by type as Connect groups them, then by class. */
  infos(connectorsOnly: boolean): readonly PluginInfo[] {
    const order: readonly PluginInfo['type'][] = [
      'sink',
      'source',
      'converter',
      'header_converter',
      'transformation',
      'predicate',
    ]
    return this.#plugins
      .filter((plugin) => !connectorsOnly || kindOfPlugin(plugin) === 'connector')
      .map((plugin) => ({ class: plugin.name, type: plugin.type, version: plugin.version }))
      .sort((a, b) => order.indexOf(a.type) - order.indexOf(b.type) || (a.class < b.class ? -1 : 1))
  }
}
