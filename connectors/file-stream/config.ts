import { type ConfigOf, defineConfig, nonEmptyString } from '../../worker/api/config.ts'

/** Options of Kafka's FileStreamSource, name for name. */
export const fileStreamSourceConfig = defineConfig({
  file: {
    type: 'STRING',
    default: null,
    importance: 'HIGH',
    doc: 'Source filename. If not specified, the standard input will be used',
  },
  topic: { type: 'STRING', valid: nonEmptyString, importance: 'HIGH', doc: 'The topic to publish data to' },
  'batch.size': {
    type: 'INT',
    default: 2000,
    importance: 'LOW',
    doc: 'The maximum number of records the source task can read from the file each time it is polled',
  },
})

export type FileStreamSourceConfig = ConfigOf<typeof fileStreamSourceConfig>

/** Options of Kafka's FileStreamSink. */
export const fileStreamSinkConfig = defineConfig({
  file: {
    type: 'STRING',
    default: null,
    importance: 'HIGH',
    doc: 'Destination filename. If not specified, the standard output will be used',
  },
})

export type FileStreamSinkConfig = ConfigOf<typeof fileStreamSinkConfig>
