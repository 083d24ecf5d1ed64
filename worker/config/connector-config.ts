/** Definitions of connector configs: common options, those of sources and sinks, and the rules between them. */
import { type ConfigKeys, type ConfigOf, defineConfig } from '../api/config.ts'
import type { ConfigProblem } from '../api/errors.ts'
import { bucketsOfCopy, hashOrder } from '../api/java-hash.ts'
import { JavaRegex } from '../api/java-regex.ts'
import type { ConnectorPlugin, Plugin } from '../api/plugin.ts'
import { keyInfos, type RawOptions } from './config-def.ts'
import type { ConfigKeyInfo } from './config-infos.ts'
import { baseKeys, sinkKeys, sourceKeys } from './connector-options.ts'

/** Options of a source connector, the framework's part. */
export const sourceConnectorOptions = defineConfig({ ...baseKeys, ...sourceKeys })

/** Options of a sink connector, the framework's part; its rules run again when connector and tasks start. */
export const sinkConnectorOptions = defineConfig({ ...baseKeys, ...sinkKeys }, { validate: sinkProblems })

export type SourceConnectorOptions = ConfigOf<typeof sourceConnectorOptions>
export type SinkConnectorOptions = ConfigOf<typeof sinkConnectorOptions>

/** Framework options for connectors of one type, in Connect's order. */
export function connectorKeys(type: ConnectorPlugin['type']): ConfigKeys {
  return type === 'source' ? sourceConnectorOptions.keys : sinkConnectorOptions.keys
}

export interface SinkTopicOptions {
  /** Null: given as null. */
  readonly topics: readonly string[] | null
  readonly 'topics.regex': string | null
  readonly 'errors.deadletterqueue.topic.name': string | null
}

/** Which topics a sink reads must be clear, and its dead letter queue must not be among them. */
export function sinkProblems(config: SinkTopicOptions): ConfigProblem[] {
  const topics = [...new Set(config.topics ?? [])].filter((topic) => topic !== '')
  const regex = config['topics.regex'] ?? ''
  // A list of nothing but commas is one, if a wrong one.
  const byName = (config.topics ?? []).length > 0
  const byPattern = regex.trim() !== ''
  if (byName === byPattern) {
    const message = byName
      ? 'topics and topics.regex are mutually exclusive options, but both are set.'
      : 'Must configure one of topics or topics.regex'
    return [
      { option: 'topics', message },
      { option: 'topics.regex', message },
    ]
  }
  return deadLetterQueueProblems(topics, regex, (config['errors.deadletterqueue.topic.name'] ?? '').trim())
}

function deadLetterQueueProblems(topics: readonly string[], regex: string, queue: string): ConfigProblem[] {
  if (queue === '') return []
  if (topics.includes(queue)) {
    const message = `The DLQ topic '${queue}' may not be included in the list of topics ('topics=[${topics.join(', ')}]') consumed by the connector`
    return [{ option: 'topics', message }]
  }
  if (regex.trim() !== '' && matchesFully(regex, queue)) {
    const message = `The DLQ topic '${queue}' may not be matched by the regex for the topics ('topics.regex=${regex}') consumed by the connector`
    return [{ option: 'topics.regex', message }]
  }
  return []
}

/** False too when the pattern is malformed: its own validator reports that. */
function matchesFully(regex: string, text: string): boolean {
  try {
    return new JavaRegex(regex).matches(text)
  } catch {
    return false
  }
}

/**
 * Answer of `GET /connector-plugins/{p}/config`: the plugin's options in its own order, then, for connectors, those of
 * the framework that it does not define itself.
 * @param newest the version that a config without `connector.plugin.version` gets
 */
export function pluginConfigInfos(plugin: Plugin, newest: string = plugin.version): ConfigKeyInfo[] {
  const own = keyInfos(plugin.config.keys)
  if (plugin.type !== 'source' && plugin.type !== 'sink') return own
  const defined = new Set(own.map((info) => info.name))
  const versionKey = { ...baseKeys['connector.plugin.version'], default: newest }
  const common = { ...connectorKeys(plugin.type), 'connector.plugin.version': versionKey }
  return [...own, ...keyInfos(common).filter((info) => !defined.has(info.name))]
}

/** A config as Java prints a `HashMap`, for Connect's messages. */
export function javaMapText(raw: RawOptions): string {
  const names = Object.keys(raw)
  const pairs = hashOrder(names, bucketsOfCopy(names.length)).map((key) => `${key}=${raw[key]}`)
  return `{${pairs.join(', ')}}`
}
