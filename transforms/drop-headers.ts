import { type ConfigOf, defineConfig, distinctList } from '../worker/api/config.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { transformsVersion } from './record-part.ts'

const config = defineConfig({
  headers: {
    type: 'LIST',
    importance: 'HIGH',
    valid: distinctList({ allowEmpty: false }),
    doc: 'The name of the headers to be removed.',
  },
})

/** Leaves out every header with one of the names. */
class DropHeaders implements Transformation<ConfigOf<typeof config>> {
  #names: ReadonlySet<string> = new Set()

  configure(options: ConfigOf<typeof config>): void {
    this.#names = new Set(options.headers)
  }

  apply<R extends ConnectRecord>(record: R): R {
    const headers = record.headers.filter((header) => !this.#names.has(header.key))
    return headers.length === record.headers.length ? record : record.with({ headers })
  }
}

export const dropHeaders = defineTransformation({
  name: 'org.apache.kafka.connect.transforms.DropHeaders',
  aliases: [],
  version: transformsVersion,
  config,
  create: async () => new DropHeaders(),
})
