import { defineConfig } from '../../worker/api/config.ts'
import { elasticsearchOptions } from './config-options.ts'
import { checkOptions } from './config-rules.ts'

/** The options together with the rules between them. */
export const elasticsearchSinkConfig = defineConfig(elasticsearchOptions.keys, { validate: checkOptions })
