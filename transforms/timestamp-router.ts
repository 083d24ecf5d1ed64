import { type ConfigOf, defineConfig } from '../worker/api/config.ts'
import { DataError } from '../worker/api/errors.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { DateFormat } from './date-format.ts'
import { transformsVersion } from './record-part.ts'

const config = defineConfig({
  'topic.format': {
    type: 'STRING',
    default: '${topic}-${timestamp}',
    importance: 'HIGH',
    doc: 'Format string which can contain <code>${topic}</code> and <code>${timestamp}</code> as placeholders for the topic and timestamp, respectively.',
  },
  'timestamp.format': {
    type: 'STRING',
    default: 'yyyyMMdd',
    importance: 'HIGH',
    doc: 'Format string for the timestamp that is compatible with <code>java.text.SimpleDateFormat</code>.',
  },
})

/** Names topics after the time of their records, in UTC. */
class TimestampRouter implements Transformation<ConfigOf<typeof config>> {
  #topicFormat = ''
  #timestampFormat = new DateFormat('yyyyMMdd')

  configure(options: ConfigOf<typeof config>): void {
    this.#topicFormat = options['topic.format']
    this.#timestampFormat = new DateFormat(options['timestamp.format'])
  }

  apply<R extends ConnectRecord>(record: R): R {
    const { timestamp, topic } = record
    if (timestamp === null) {
      throw new DataError('CONNECT_TRANSFORM_TIMESTAMP', `Timestamp missing on record: of topic ${topic}`)
    }
    const time = this.#timestampFormat.format(timestamp)
    // Functions, since `$` in a replacement text would have a meaning.
    const named = this.#topicFormat.replaceAll('${topic}', () => topic).replaceAll('${timestamp}', () => time)
    return record.with({ topic: named })
  }
}

export const timestampRouter = defineTransformation({
  name: 'org.apache.kafka.connect.transforms.TimestampRouter',
  aliases: [],
  version: transformsVersion,
  config,
  create: async () => new TimestampRouter(),
})
