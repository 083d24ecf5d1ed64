import { type ConfigOf, defineConfig, javaRegex } from '../worker/api/config.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { compileJavaRegex, expandReplacement } from './java-regex.ts'
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
  #whole = /$^/
  #first = /$^/
  #replacement = ''
  // Topics are few and come again with every record.
  readonly #known = new Map<string, string>()

  configure(options: ConfigOf<typeof config>): void {
    this.#whole = compileJavaRegex(options.regex, true)
    this.#first = compileJavaRegex(options.regex, false)
    this.#replacement = options.replacement
    this.#known.clear()
  }

  apply<R extends ConnectRecord>(record: R): R {
    let topic = this.#known.get(record.topic)
    if (topic === undefined) {
      topic = this.#route(record.topic)
      if (this.#known.size >= 1000) this.#known.clear()
      this.#known.set(record.topic, topic)
    }
    return topic === record.topic ? record : record.with({ topic })
  }

  #route(topic: string): string {
    if (!this.#whole.test(topic)) return topic
    // Java replaces the first match, which may be shorter than the whole name (`a|ab`).
    const match = this.#first.exec(topic)
    if (match === null) return topic
    const rest = topic.slice(match.index + match[0].length)
    return topic.slice(0, match.index) + expandReplacement(this.#replacement, match) + rest
  }
}

export const regexRouter = defineTransformation({
  name: 'org.apache.kafka.connect.transforms.RegexRouter',
  aliases: [],
  version: transformsVersion,
  config,
  create: async () => new RegexRouter(),
})
