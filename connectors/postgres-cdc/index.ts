import { defineSourceConnector } from '../../worker/api/plugin.ts'
import { postgresConfig } from './config.ts'
import { postgresErrorCodes } from './errors.ts'

/** PostgreSQL change data capture, in place of Debezium's connector of the same class name. */
export const plugin = defineSourceConnector({
  name: 'io.debezium.connector.postgresql.PostgresConnector',
  aliases: ['PostgresConnector', 'Postgres'],
  taskName: 'io.debezium.connector.postgresql.PostgresConnectorTask',
  version: '3.7.0.Final',
  config: postgresConfig,
  errorCodes: postgresErrorCodes,
  createConnector: async () => new (await import('./connector.ts')).PostgresConnector(),
  createTask: async () => new (await import('./task.ts')).PostgresTask(),
  validate: async (config, raw) => await (await import('./connector.ts')).validateConnection(config, raw),
})
