/** Which plugins a task is made of, by its options: text attributes of its metrics (KIP-891). */
import type { RawConfig } from '../api/connector.ts'
import type { ConverterRole } from '../api/converter.ts'
import type { ConnectorPlugin } from '../api/plugin.ts'
import type { PluginIndex, PluginKind } from '../plugins/registry.ts'
import { parseList } from '../util/text-list.ts'
import { converterConfig } from './converters.ts'
import type { AliasedPlugin, PluginAttributes } from './task-metrics.ts'

const converterKinds = { key: 'converter', value: 'converter', header: 'header_converter' } as const satisfies Record<
  ConverterRole,
  PluginKind
>

/** Plugins that are not here are left out: the task fails of them, and says so itself. */
export function pluginAttributes(
  plugin: ConnectorPlugin,
  configs: { readonly connector: RawConfig; readonly worker: RawConfig },
  registry: PluginIndex,
): PluginAttributes {
  const texts: Record<string, string> = {
    'connector-class': plugin.name,
    'connector-type': plugin.type,
    'connector-version': plugin.version,
    'task-class': plugin.taskName,
    'task-version': plugin.version,
  }
  for (const role of ['key', 'value', 'header'] as const) {
    const { className, wanted } = converterConfig(role, configs.connector, configs.worker)
    const converter = registry.find(converterKinds[role], className, wanted)
    if (converter === null) continue
    texts[`${role}-converter-class`] = converter.name
    texts[`${role}-converter-version`] = converter.version
  }
  const aliased = (option: 'transforms' | 'predicates', kind: 'transformation' | 'predicate'): AliasedPlugin[] =>
    parseList(configs.connector[option]).flatMap((alias) => {
      const found = registry.find(
        kind,
        configs.connector[`${option}.${alias}.type`] ?? '',
        configs.connector[`${option}.${alias}.plugin.version`],
      )
      return found === null ? [] : [{ alias, className: found.name, version: found.version }]
    })
  return {
    texts,
    transforms: aliased('transforms', 'transformation'),
    predicates: aliased('predicates', 'predicate'),
  }
}
