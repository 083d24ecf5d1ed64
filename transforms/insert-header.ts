import { type ConfigOf, defineConfig, type Validator } from '../worker/api/config.ts'
import { parseHeaderText } from '../worker/api/header-text.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord, Header } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { transformsVersion } from './record-part.ts'

const nonNull: Validator = {
  description: 'non-null string',
  check: (_, value) => (value === null ? 'entry must be non null' : null),
}

const config = defineConfig({
  header: { type: 'STRING', importance: 'HIGH', valid: nonNull, doc: 'The name of the header.' },
  'value.literal': {
    type: 'STRING',
    importance: 'HIGH',
    valid: nonNull,
    doc: 'The literal value that is to be set as the header value on all records.',
  },
})

/** Adds one header; its type is guessed from the text as SimpleHeaderConverter does. */
class InsertHeader implements Transformation<ConfigOf<typeof config>> {
  #header: Header = { key: '', schema: null, value: null }

  configure(options: ConfigOf<typeof config>): void {
    this.#header = { key: options.header, ...parseHeaderText(options['value.literal']) }
  }

  apply<R extends ConnectRecord>(record: R): R {
    return record.with({ headers: [...record.headers, this.#header] })
  }
}

export const insertHeader = defineTransformation({
  name: 'org.apache.kafka.connect.transforms.InsertHeader',
  aliases: [],
  version: transformsVersion,
  config,
  create: async () => new InsertHeader(),
})
