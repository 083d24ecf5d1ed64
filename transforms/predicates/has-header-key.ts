import { type ConfigOf, defineConfig, nonEmptyString } from '../../worker/api/config.ts'
import { definePredicate } from '../../worker/api/plugin.ts'
import { type ConnectRecord, lastHeader } from '../../worker/api/record.ts'
import type { Predicate } from '../../worker/api/transform.ts'
import { transformsVersion } from '../record-part.ts'

const config = defineConfig({
  name: { type: 'STRING', importance: 'MEDIUM', valid: nonEmptyString, doc: 'The header name.' },
})

class HasHeaderKey implements Predicate<ConfigOf<typeof config>> {
  #name = ''

  configure(options: ConfigOf<typeof config>): void {
    this.#name = options.name
  }

  test(record: ConnectRecord): boolean {
    return lastHeader(record.headers, this.#name) !== null
  }
}

export const hasHeaderKey = definePredicate({
  name: 'org.apache.kafka.connect.transforms.predicates.HasHeaderKey',
  aliases: [],
  version: transformsVersion,
  config,
  create: async () => new HasHeaderKey(),
})
