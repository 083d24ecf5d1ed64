import { defineSinkConnector, defineSourceConnector } from '../../worker/api/plugin.ts'
import { fileStreamSinkConfig, fileStreamSourceConfig } from './config.ts'
import { fileStreamErrorCodes } from './errors.ts'

/** Lines of a file, or of the standard input, to a topic. */
export const fileStreamSource = defineSourceConnector({
  name: 'org.apache.kafka.connect.file.FileStreamSourceConnector',
  aliases: [],
  taskName: 'org.apache.kafka.connect.file.FileStreamSourceTask',
  version: '0.1.0',
  config: fileStreamSourceConfig,
  errorCodes: fileStreamErrorCodes,
  createConnector: async () => new (await import('./connector.ts')).FileStreamSourceConnector(),
  createTask: async () => new (await import('./source-task.ts')).FileStreamSourceTask(),
})

/** Values of a topic as lines of a file, or on the standard output. */
export const fileStreamSink = defineSinkConnector({
  name: 'org.apache.kafka.connect.file.FileStreamSinkConnector',
  aliases: [],
  taskName: 'org.apache.kafka.connect.file.FileStreamSinkTask',
  version: '0.1.0',
  config: fileStreamSinkConfig,
  errorCodes: fileStreamErrorCodes,
  createConnector: async () => new (await import('./connector.ts')).FileStreamSinkConnector(),
  createTask: async () => new (await import('./sink-task.ts')).FileStreamSinkTask(),
})

export const plugins = [fileStreamSource, fileStreamSink] as const
