import type { Files, Names } from './names.ts'

/** A transform that sets a header, of records as they come. */
export function transformFiles({ type, className }: Names): Files {
  return {
    'src/index.ts': `import {
  type ConfigOf,
  type ConnectRecord,
  defineConfig,
  defineTransformation,
  nonEmptyString,
  Schemas,
  type Transformation,
} from 'sluice'

const config = defineConfig({
  header: { type: 'STRING', importance: 'HIGH', valid: nonEmptyString, doc: 'Header to set.' },
  'header.value': { type: 'STRING', default: '', importance: 'MEDIUM', doc: 'Its value.' },
})

/** Called for one record after the other; a transform keeps nothing of them. */
export class ${type} implements Transformation<ConfigOf<typeof config>> {
  #name = ''
  #value = ''

  configure(options: ConfigOf<typeof config>): void {
    this.#name = options.header
    this.#value = options['header.value']
  }

  /** A new record, or null to drop it; the one given is never changed. */
  apply<R extends ConnectRecord>(record: R): R | null {
    const others = record.headers.filter(({ key }) => key !== this.#name)
    return record.with({ headers: [...others, { key: this.#name, schema: Schemas.string, value: this.#value }] })
  }
}

export const plugin = defineTransformation({
  name: '${className}',
  aliases: [],
  version: '0.1.0',
  config,
  create: async () => new ${type}(),
})
`,
    'test/transform.test.ts': `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lastHeader } from 'sluice'
import { configured, pluginConformance, sinkRecord, transformationConformance } from 'sluice/testing'
import { plugin } from '../src/index.ts'

const options = { header: 'origin', 'header.value': 'here' }

pluginConformance('${type}', plugin)
transformationConformance('${type}', { plugin, options, records: [sinkRecord({ value: 'x' }), sinkRecord({ value: null })] })

test('the header is set, once', async () => {
  const transform = await configured(plugin, options)
  const once = transform.apply(sinkRecord({ value: 'x' }))
  const twice = once === null ? null : transform.apply(once)
  assert.equal(lastHeader(twice?.headers ?? [], 'origin')?.value, 'here')
  assert.equal(twice?.headers.length, 1)
})
`,
  }
}
