import { type ConfigOf, defineConfig, javaRegex } from '../worker/api/config.ts'
import { JavaRegex } from '../worker/api/java-regex.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { transformsVersion } from './record-part.ts'

const config = defineConfig({
  regex: {
    type: 'STRING',
    importance: 'HIGH',
    valid: javaRegex,
    doc: 'Regular expression to use for matching.',
  },
  replacement: {
    type: 'STRING',
    importance: 'HIGH',
    doc: 'Replacement string.',
  },
})

/** Renames topics; a topic that the expression does not match as a whole stays. */
class RegexRouter implements Transformation<ConfigOf<typeof config>> {
  #regex = new JavaRegex('')
  #replacement = ''
  // Topics are few and come again with every record.
  readonly #known = new Map<string, string>()

  configure(options: ConfigOf<typeof config>): void {
    this.#regex = new JavaRegex(options.regex)
    this.#replacement = options.replacement
    this.#known.clear()
  }

  apply<R extends ConnectRecord>(record: R): R {
    let topic = this.#known.get(record.topic)
    if (topic === undefined) {
      topic = this.#regex.replaceWhenWhole(record.topic, this.#replacement) ?? record.topic
      if (this.#known.size >= 1000) this.#known.clear()
      this.#known.set(record.topic, topic)
    }
    return topic === record.topic ? record : record.with({ topic })
  }
}

export const regexRouter = defineTransformation({
  name: 'org.apache.kafka.connect.transforms.RegexRouter',
  aliases: [],
  version: transformsVersion,
  config,
  create: async () => new RegexRouter(),
})
