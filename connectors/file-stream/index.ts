import { defineSinkConnector, defineSourceConnector } from '../../worker/api/plugin.ts'
import { fileStreamSinkConfig, fileStreamSourceConfig } from './config.ts'
import { fileStreamErrorCodes } from './errors.ts'

/** That of the release of Kafka whose connectors these stand for: configs may ask for it (KIP-891). */
const version = '4.3.0'

/** Lines of a file, or of the standard input, to a topic. */
export const fileStreamSource = defineSourceConnector({
  name: 'org.apache.kafka.connect.file.FileStreamSourceConnector',
  aliases: [],
  taskName: 'org.apache.kafka.connect.file.FileStreamSourceTask',
  version,
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
  version,
  config: fileStreamSinkConfig,
  errorCodes: fileStreamErrorCodes,
  createConnector: async () => new (await import('./connector.ts')).FileStreamSinkConnector(),
  createTask: async () => new (await import('./sink-task.ts')).FileStreamSinkTask(),
})

export const plugins = [fileStreamSource, fileStreamSink] as const
