import { type ConfigOf, defineConfig } from '../../worker/api/config.ts'
import { connectorOptions } from './connector-options.ts'
import { conversionOptions } from './conversion-options.ts'
import { ownOptions } from './own-options.ts'
import { securityOptions } from './security-options.ts'

/**
 * Options of the Elasticsearch sink. Those of Confluent's connector come first, in its order: names, defaults, places
 * and names for people are what its `config/validate` answers, so that forms made from it look the same.
 */
export const elasticsearchOptions = defineConfig({
  ...connectorOptions,
  ...conversionOptions,
  ...securityOptions,
  ...ownOptions,
})

export type ElasticsearchSinkConfig = ConfigOf<typeof elasticsearchOptions>
