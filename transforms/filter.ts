import { defineConfig } from '../worker/api/config.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { transformsVersion } from './record-part.ts'

/** Drops every record that reaches it; a predicate decides which do. */
class Filter implements Transformation<unknown> {
  configure(): void {}

  apply(): null {
    return null
  }
}

export const filter = defineTransformation({
  name: 'org.apache.kafka.connect.transforms.Filter',
  // Debezium has a Filter too; the short name has always meant this one.
  aliases: ['Filter'],
  version: transformsVersion,
  config: defineConfig({}),
  create: async () => new Filter(),
})
