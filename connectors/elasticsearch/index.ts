import { defineSinkConnector } from '../../worker/api/plugin.ts'
import { elasticsearchSinkConfig } from './config.ts'
import { elasticsearchErrorCodes } from './errors.ts'

export const plugin = defineSinkConnector({
  name: 'io.confluent.connect.elasticsearch.ElasticsearchSinkConnector',
  aliases: ['ElasticsearchSinkConnector', 'ElasticsearchSink'],
  taskName: 'io.confluent.connect.elasticsearch.ElasticsearchSinkTask',
  version: '0.1.0',
  config: elasticsearchSinkConfig,
  errorCodes: elasticsearchErrorCodes,
  createConnector: async () => new (await import('./connector.ts')).ElasticsearchSinkConnector(),
  createTask: async () => new (await import('./task.ts')).ElasticsearchSinkTask(),
  validate: async (config) => (await import('./validate.ts')).validateConnection(config),
})
