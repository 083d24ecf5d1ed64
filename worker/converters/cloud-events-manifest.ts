import { defineConverter } from '../api/plugin.ts'
import { cloudEventsConverterConfig } from './cloud-events-config.ts'

export const cloudEvents = defineConverter({
  name: 'io.debezium.converters.CloudEventsConverter',
  aliases: [],
  version: '3.7.0.Final',
  config: cloudEventsConverterConfig,
  create: async () => new (await import('./cloud-events.ts')).CloudEventsConverter(),
})
