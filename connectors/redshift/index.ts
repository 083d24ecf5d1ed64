import { defineSinkConnector } from '../../worker/api/plugin.ts'
import { redshiftSinkConfig } from './config.ts'
import { redshiftErrorCodes } from './errors.ts'

export const plugin = defineSinkConnector({
  name: 'RedshiftCopySinkConnector',
  aliases: ['RedshiftCopySink', 'RedshiftSink'],
  taskName: 'RedshiftCopySinkTask',
  version: '0.1.0',
  config: redshiftSinkConfig,
  errorCodes: redshiftErrorCodes,
  createConnector: async () => new (await import('./connector.ts')).RedshiftSinkConnector(),
  createTask: async () => new (await import('./task.ts')).RedshiftSinkTask(),
})
