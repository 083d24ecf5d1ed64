import { ConnectError } from '../../worker/api/errors.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import { namesDataStreams } from './config-rules.ts'
import { parseResourceMapping } from './config-validators.ts'

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
 * How the configuration turns topics into names of indices, data streams or aliases.
 * @returns a function that throws ConnectError for a topic that is not mapped
 */
export function resourceNaming(config: ElasticsearchSinkConfig): (topic: string) => string {
  if (config['external.resource.usage'].toLowerCase() !== 'disabled') {
    const mapping = parseResourceMapping(config['topic.to.external.resource.mapping'])
    return (topic) => {
      const resource = mapping.get(topic)
      if (resource !== undefined) return resource
      throw new ConnectError(
        'fatal',
        'CONNECT_ES_RECORD',
        `Topic '${topic}' is not mapped to any resource. Add it to topic.to.external.resource.mapping.`,
      )
    }
  }
  return namesDataStreams(config) ? (topic) => dataStreamName(config, topic) : indexName
}
