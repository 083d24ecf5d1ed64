import { ConnectError, NotFoundError } from '../api/errors.ts'
import type { Plugin } from '../api/plugin.ts'
import { chooseVersion, compareVersions } from '../config/plugin-versions.ts'
import type { PluginInfo } from '../runtime/worker-types.ts'
import { adviceFor } from './advice.ts'

/** Interfaces by which plugins are looked up; a name means one thing per interface. */
export type PluginKind = 'connector' | 'transformation' | 'predicate' | 'converter' | 'header_converter'

/** Options of a connector config that choose its plugin. */
export interface ConnectorChoice {
  readonly 'connector.class'?: string | null | undefined
  readonly 'connector.plugin.version'?: string | null | undefined
}

/** What a plugin is known by before its manifest is loaded. */
export interface PluginName {
  readonly type: Plugin['type']
  /** Class name that REST lists. */
  readonly name: string
  /** Further names by which configs may call it. */
  readonly aliases: readonly string[]
  readonly version: string
}

/** Of plugins of any kind, those of one. */
export type OfKind<E, K extends PluginKind> = E & {
  readonly type: K extends 'connector' ? 'source' | 'sink' : Exclude<K, 'connector'>
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

export function kindOfPlugin(plugin: Pick<PluginName, 'type'>): PluginKind {
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

/**
 * Names that plugins go by. One means one class per kind; a class may be here in several versions (KIP-891), each once.
 */
export class ClaimedNames {
  /** Class per kind and name. */
  #classes = new Map<string, string>()
  #versions = new Set<string>()

  /** @returns what is taken already, kind and name; nothing is claimed unless this is empty */
  claim(plugins: readonly PluginName[]): readonly string[] {
    const taken: string[] = []
    const classes = new Map(this.#classes)
    const versions = new Set(this.#versions)
    for (const plugin of plugins) {
      const kind = kindOfPlugin(plugin)
      for (const name of [plugin.name, ...plugin.aliases]) {
        const key = `${kind} ${name}`
        if ((classes.get(key) ?? plugin.name) !== plugin.name) taken.push(key)
        classes.set(key, plugin.name)
      }
      const version = `${kind} ${plugin.name} ${plugin.version}`
      if (versions.has(version)) taken.push(version)
      versions.add(version)
    }
    if (taken.length > 0) return taken
    this.#classes = classes
    this.#versions = versions
    return []
  }
}

interface Names<E> {
  /** Full names and further ones → class. */
  readonly exact: Map<string, string>
  /** Null: the alias would mean two classes, so it means none. */
  readonly aliases: Map<string, string | null>
  /** Versions of one class, oldest first; never empty. */
  readonly classes: Map<string, readonly E[]>
}

/**
 * Plugins by their names, `E` being what is known of one: its manifest (`PluginRegistry`), or where its manifest loads
 * from (`PluginCatalog`). They are found by full name, by the manifest's further names, by simple name
 * (`FileStreamSinkConnector`) or by pruned simple name (`FileStreamSink`). An alias that would mean two classes is dropped, as in Connect. Of a class
 * that is here in several versions the newest is meant, unless a version is asked for (KIP-891).
 */
export abstract class PluginIndex<E extends PluginName = PluginName> {
  readonly #plugins: readonly E[]
  readonly #names = new Map<PluginKind, Names<E>>()

  /** @throws ConnectError when a name means two classes of one kind, or two plugins are one version of a class */
  constructor(plugins: readonly E[]) {
    this.#plugins = plugins
    for (const kind of kinds) this.#names.set(kind, { exact: new Map(), aliases: new Map(), classes: new Map() })
    const [taken] = new ClaimedNames().claim(plugins)
    if (taken !== undefined) {
      const message = `Two plugins are called ${taken}; remove one of them from plugin.path`
      throw new ConnectError('config', 'CONNECT_PLUGIN_DUPLICATE', message)
    }
    for (const plugin of plugins) this.#add(plugin)
  }

  /** @throws ConnectError when its module cannot be loaded */
  protected abstract manifestOf(entry: E): Promise<Plugin>

  /** All manifests, for what looks at every plugin; a module that cannot be loaded is an error. */
  abstract complete(): Promise<PluginRegistry>

  /** As `get`, with the manifest. @throws ConnectError also when it cannot be loaded */
  async load<K extends PluginKind>(kind: K, name: string, wanted?: string | null): Promise<OfKind<Plugin, K>> {
    return (await this.manifestOf(this.get(kind, name, wanted))) as OfKind<Plugin, K>
  }

  /** As `getConnector`, with the manifest. */
  async loadConnector(config: ConnectorChoice): Promise<OfKind<Plugin, 'connector'>> {
    return await this.load('connector', config['connector.class'] ?? '', config['connector.plugin.version'])
  }

  /** As `getAny`, with the manifest. */
  async loadAny(name: string, wanted: string | null): Promise<Plugin> {
    return await this.manifestOf(this.getAny(name, wanted))
  }

  #add(plugin: E): void {
    const kind = kindOfPlugin(plugin)
    const { exact, aliases, classes } = this.#namesOf(kind)
    const versions = [...(classes.get(plugin.name) ?? []), plugin]
    classes.set(
      plugin.name,
      versions.sort((a, b) => compareVersions(a.version, b.version)),
    )
    for (const name of [plugin.name, ...plugin.aliases]) {
      exact.set(name, plugin.name)
      for (const alias of [simpleName(name), prunedName(name, kind)]) {
        const known = aliases.get(alias)
        aliases.set(alias, known === undefined || known === plugin.name ? plugin.name : null)
      }
    }
  }

  #namesOf(kind: PluginKind): Names<E> {
    const names = this.#names.get(kind)
    if (names === undefined) throw new Error(`no such plugin kind: ${kind}`)
    return names
  }

  /** Versions that are here of what `name` means, oldest first; none when it means nothing. */
  versions<K extends PluginKind>(kind: K, name: string): readonly OfKind<E, K>[] {
    const { exact, aliases, classes } = this.#namesOf(kind)
    const className = exact.get(name) ?? aliases.get(name) ?? null
    return (className === null ? [] : (classes.get(className) ?? [])) as readonly OfKind<E, K>[]
  }

  /**
   * The newest version that will do.
   * @param wanted version or range; null and undefined: any
   * @returns null when there is none, also for a text that is no range
   */
  find<K extends PluginKind>(kind: K, name: string, wanted?: string | null): OfKind<E, K> | null {
    const found = chooseVersion(this.versions(kind, name), wanted ?? null)
    return typeof found === 'string' ? null : found
  }

  /** @throws ConnectError with Connect's text, which lists what there is: classes, or versions of the class */
  get<K extends PluginKind>(kind: K, name: string, wanted?: string | null): OfKind<E, K> {
    const versions = this.versions(kind, name)
    const found = chooseVersion(versions, wanted ?? null)
    if (typeof found !== 'string') return found
    if (versions.length > 0) throw wrongVersion(found)
    const known = this.#plugins.filter((candidate) => kindOfPlugin(candidate) === kind).map((p) => p.name)
    const advice = adviceFor(name, known)
    throw new ConnectError(
      'config',
      'CONNECT_PLUGIN_UNKNOWN',
      `Failed to find any class that implements ${interfaceNames[kind]} and which name matches ${name}, available ` +
        `${kind}s are: ${[...new Set(known)].sort().join(', ')}${advice === null ? '' : `. ${advice}`}`,
    )
  }

  /** The connector that a config names, in the version that it asks for; null when that is not here. */
  findConnector(config: ConnectorChoice): OfKind<E, 'connector'> | null {
    return this.find('connector', config['connector.class'] ?? '', config['connector.plugin.version'])
  }

  /** @throws ConnectError as `get` */
  getConnector(config: ConnectorChoice): OfKind<E, 'connector'> {
    return this.get('connector', config['connector.class'] ?? '', config['connector.plugin.version'])
  }

  /** The newest plugin of a name of any kind; null when there is none. */
  findAny(name: string): E | null {
    return this.#versionsOfAny(name).at(-1) ?? null
  }

  /**
   * A plugin of any kind, for `GET /connector-plugins/{name}/config`.
   * @throws NotFoundError, or ConnectError when it is not here in that version
   */
  getAny(name: string, wanted: string | null): E {
    const versions = this.#versionsOfAny(name)
    if (versions.length === 0) throw new NotFoundError(`Unknown plugin ${name}.`)
    const found = chooseVersion(versions, wanted)
    if (typeof found === 'string') throw wrongVersion(found)
    return found
  }

  /** A class of two kinds counts with each, as in Connect's lists of versions; the first kind is meant. */
  #versionsOfAny(name: string): readonly E[] {
    const className = kinds.flatMap((kind) => this.versions(kind, name))[0]?.name ?? name
    return kinds
      .toReversed()
      .flatMap((kind): readonly E[] => this.#namesOf(kind).classes.get(className) ?? [])
      .sort((a, b) => compareVersions(a.version, b.version))
  }

  all(): readonly E[] {
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
      .sort(
        (a, b) =>
          order.indexOf(a.type) - order.indexOf(b.type) ||
          (a.class === b.class ? compareVersions(a.version, b.version) : a.class < b.class ? -1 : 1),
      )
  }
}

/** Plugins with their manifests. */
export class PluginRegistry extends PluginIndex<Plugin> {
  protected override async manifestOf(plugin: Plugin): Promise<Plugin> {
    return plugin
  }

  override async complete(): Promise<PluginRegistry> {
    return this
  }
}

function wrongVersion(problem: string): ConnectError {
  return new ConnectError('config', 'CONNECT_PLUGIN_VERSION', problem)
}
