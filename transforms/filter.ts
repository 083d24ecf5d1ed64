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
  aliases: [],
  version: transformsVersion,
  config: defineConfig({}),
  create: async () => new Filter(),
})
