/** Converters of one task: the connector's own where it names one, else the worker's. */
import type { RawConfig } from '../api/connector.ts'
import type { Converter, ConverterRole, HeaderConverter } from '../api/converter.ts'
import { ConfigError } from '../api/errors.ts'
import { parseConfig } from '../config/config-def.ts'
import { withPrefixCut } from '../config/config-provider.ts'
import type { PluginIndex } from '../plugins/registry.ts'
import { under } from './transformation-chain.ts'

export interface LoadedConverter {
  readonly className: string
  readonly version: string
  readonly converter: Converter<unknown>
}

export interface LoadedHeaderConverter {
  readonly className: string
  readonly version: string
  readonly converter: HeaderConverter<unknown>
}

export interface TaskConverters {
  readonly key: LoadedConverter
  readonly value: LoadedConverter
  readonly header: LoadedHeaderConverter
  close(): Promise<void>
}

const defaultHeaderConverter = 'org.apache.kafka.connect.storage.SimpleHeaderConverter'

/**
 * Class, version and options of a converter: `key.converter` in the connector brings only the connector's `key.converter.*`;
 * otherwise both come from the worker. Options without the class are ignored, as in Connect.
 */
export function converterConfig(
  role: ConverterRole,
  connector: RawConfig,
  worker: RawConfig,
): {
  readonly className: string
  readonly wanted: string | undefined
  readonly prefix: string
  readonly options: RawConfig
} {
  const option = `${role}.converter`
  const owner = connector[option] === undefined ? worker : connector
  const className = owner[option] ?? (role === 'header' ? defaultHeaderConverter : undefined)
  if (className === undefined) {
    const message = `Missing required configuration "${option}" which has no default value.`
    throw new ConfigError([{ option, message }])
  }
  const wanted = owner[`${option}.plugin.version`]
  return {
    className,
    wanted,
    prefix: `${option}.`,
    options: { ...withPrefixCut(owner, `${option}.`), 'converter.type': role },
  }
}

/** @throws ConfigError naming the full option; ConnectError for an unknown class */
export async function loadConverters(
  connector: RawConfig,
  worker: RawConfig,
  registry: PluginIndex,
): Promise<TaskConverters> {
  const key = await loadConverter('key', connector, worker, registry)
  const value = await loadConverter('value', connector, worker, registry)
  const header = await loadHeaderConverter(connector, worker, registry)
  return {
    key,
    value,
    header,
    close: async () => {
      for (const loaded of [key, value, header]) await loaded.converter.close?.()
    },
  }
}

async function loadConverter(
  role: 'key' | 'value',
  connector: RawConfig,
  worker: RawConfig,
  registry: PluginIndex,
): Promise<LoadedConverter> {
  const { className, wanted, prefix, options } = converterConfig(role, connector, worker)
  const plugin = await registry.load('converter', className, wanted)
  const converter = (await plugin.create()) as Converter<unknown>
  converter.configure(
    under(prefix, () => parseConfig(plugin.config, options)),
    role,
  )
  return { className: plugin.name, version: plugin.version, converter }
}

async function loadHeaderConverter(
  connector: RawConfig,
  worker: RawConfig,
  registry: PluginIndex,
): Promise<LoadedHeaderConverter> {
  const { className, wanted, prefix, options } = converterConfig('header', connector, worker)
  const plugin = await registry.load('header_converter', className, wanted)
  const converter = (await plugin.create()) as HeaderConverter<unknown>
  converter.configure(under(prefix, () => parseConfig(plugin.config, options)))
  return { className: plugin.name, version: plugin.version, converter }
}
