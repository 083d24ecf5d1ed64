import { allOf, type ConfigOf, defineConfig, javaRegex, nonEmptyString } from '../../worker/api/config.ts'
import { JavaRegex } from '../../worker/api/java-regex.ts'
import { definePredicate } from '../../worker/api/plugin.ts'
import type { ConnectRecord } from '../../worker/api/record.ts'
import type { Predicate } from '../../worker/api/transform.ts'
import { transformsVersion } from '../record-part.ts'

const config = defineConfig({
  pattern: {
    type: 'STRING',
    importance: 'MEDIUM',
    valid: allOf(nonEmptyString, javaRegex),
    doc: "A Java regular expression for matching against the name of a record's topic.",
  },
})

class TopicNameMatches implements Predicate<ConfigOf<typeof config>> {
  #pattern = new JavaRegex('')

  configure(options: ConfigOf<typeof config>): void {
    this.#pattern = new JavaRegex(options.pattern)
  }

  test(record: ConnectRecord): boolean {
    return this.#pattern.matches(record.topic)
  }
}

export const topicNameMatches = definePredicate({
  name: 'org.apache.kafka.connect.transforms.predicates.TopicNameMatches',
  aliases: [],
  version: transformsVersion,
  config,
  create: async () => new TopicNameMatches(),
})
