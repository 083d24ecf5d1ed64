/** Values kept elsewhere (KIP-297): what `${name:path:key}` in a config stands for. */

export interface ProvidedValues {
  readonly values: Readonly<Record<string, string>>
  /** After so many ms the values should be read again; null: they do not expire. */
  readonly ttlMs: number | null
}

export interface ConfigProvider {
  /** Values of `keys` below `path` ('' when the reference had none); keys without a value are left out. */
  get(path: string, keys: ReadonlySet<string>): Promise<ProvidedValues>
  /** Gives back what it holds: once, when the worker stops, or could not start; nothing is asked of it afterwards. */
  close?(): Promise<void> | void
}

/**
 * A provider for others to use. A module of `plugin.path` exports such as `configProviders`; `config.providers.NAME.class`
 * names one. It runs on the worker's main thread, and in that of the connectors for validation: what blocks there
 * blocks the worker. With a time to live connectors restart when it is over (`config.action.reload`).
 */
export interface ConfigProviderPlugin {
  readonly name: string
  readonly version: string
  /** @param params `config.providers.NAME.param.KEY`, by KEY */
  create(params: Readonly<Record<string, string>>): ConfigProvider
}

export function defineConfigProvider(plugin: ConfigProviderPlugin): ConfigProviderPlugin {
  return plugin
}
