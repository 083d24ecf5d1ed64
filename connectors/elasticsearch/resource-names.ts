import { ConfigError, ConnectError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import { namesDataStreams } from './config-rules.ts'
import { parseResourceMapping } from './config-validators.ts'
import { compileNameFormat } from './index-name-format.ts'

/** Index that a topic goes to by itself: lower case, at most 255 characters, no leading `-` or `_`. */
export function indexName(topic: string): string {
  const name = topic.toLowerCase().slice(0, 255).replace(/^[-_]/, '')
  if (name === '.') return 'dot'
  return name === '..' ? 'dotdot' : name
}

/** `type-dataset-namespace` in lower case; `${topic}` in the namespace is the topic. */
export function dataStreamName(config: ElasticsearchSinkConfig, topic: string): string {
  const namespace = config['data.stream.namespace'].replaceAll('${topic}', topic).toLowerCase().slice(0, 100)
  return `${config['data.stream.type']}-${config['data.stream.dataset']}-${namespace}`.toLowerCase()
}

/**
 * How the configuration turns records into names of indices, data streams or aliases.
 * @returns a function that throws ConnectError for a topic that is not mapped, DataError for a record that lacks what
 * `index.name.format` needs
 */
export function resourceNaming(config: ElasticsearchSinkConfig): (record: SinkRecord) => string {
  if (config['external.resource.usage'].toLowerCase() !== 'disabled') {
    const mapping = parseResourceMapping(config['topic.to.external.resource.mapping'])
    return ({ topic }) => {
      const resource = mapping.get(topic)
      if (resource !== undefined) return resource
      throw new ConnectError(
        'fatal',
        'CONNECT_ES_RECORD',
        `Topic '${topic}' is not mapped to any resource. Add it to topic.to.external.resource.mapping.`,
      )
    }
  }
  if (namesDataStreams(config)) return ({ topic }) => dataStreamName(config, topic)
  const template = config['index.name.format']
  if (template === '${topic}') return ({ topic }) => indexName(topic)
  const format = compileNameFormat(template)
  if (typeof format === 'string') throw new ConfigError([{ option: 'index.name.format', message: format }])
  return (record) => indexName(format.name(record))
}
