import { defineSinkConnector } from '../../worker/api/plugin.ts'
import { s3SinkConfig } from './config.ts'
import { s3SinkErrorCodes } from './errors.ts'

export const plugin = defineSinkConnector({
  name: 'io.confluent.connect.s3.S3SinkConnector',
  aliases: ['S3SinkConnector', 'S3Sink'],
  taskName: 'io.confluent.connect.s3.S3SinkTask',
  version: '0.1.0',
  config: s3SinkConfig,
  errorCodes: s3SinkErrorCodes,
  createConnector: async () => new (await import('./connector.ts')).S3SinkConnector(),
  createTask: async () => new (await import('./task.ts')).S3SinkTask(),
})
