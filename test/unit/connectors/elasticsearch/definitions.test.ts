import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { elasticsearchSinkConfig } from '../../../../connectors/elasticsearch/config.ts'
import { validateConfig } from '../../../../worker/config/config-def.ts'

/**
 * What Connect 4.3 answers about Confluent's connector (`config/validate`, its own options, without the texts that
 * explain them), recorded from version 15.2.
 */
const recorded = JSON.parse(
  readFileSync(new URL('../../../conformance/elasticsearch/definitions.json', import.meta.url), 'utf8'),
) as readonly { readonly name: string; readonly group: string; readonly order_in_group: number }[]

/** Words of choices that are more than there: they are proposed last. */
const ownWords: Readonly<Record<string, string>> = {
  'behavior.on.malformed.documents': 'report',
  'write.method': 'merge',
}

const answered = validateConfig(elasticsearchSinkConfig, { 'connection.url': 'http://localhost:9200' })

describe('definitions of the options', () => {
  it('are those of the reference, in its order, with the same places and names for people (E1)', () => {
    const ours = answered.slice(0, recorded.length).map(({ definition, value }) => {
      assert.ok(definition !== null)
      const { documentation, ...rest } = definition
      assert.notEqual(documentation, '', value.name)
      const own = ownWords[definition.name]
      if (own !== undefined) assert.equal(value.recommended_values.at(-1), own)
      return { ...rest, recommended_values: value.recommended_values.filter((word) => word !== own) }
    })
    assert.deepEqual(ours, recorded)
  })

  it('have what this sink adds after what the reference has, in forms that sort by group and place too', () => {
    const lastPlaces = new Map<string, number>()
    for (const { group, order_in_group } of recorded) {
      lastPlaces.set(group, Math.max(order_in_group, lastPlaces.get(group) ?? 0))
    }
    const own = answered.slice(recorded.length)
    assert.ok(own.length > 0)
    for (const { definition } of own) {
      assert.ok(definition !== null)
      const last = lastPlaces.get(String(definition.group))
      if (last !== undefined) assert.ok(definition.order_in_group > last, definition.name)
    }
  })

  it('count what credentials of a proxy lack one by one, as the reference does (E14)', () => {
    const infos = validateConfig(elasticsearchSinkConfig, {
      'connection.url': 'http://localhost:9200',
      'proxy.username': 'u',
      'proxy.password': 'p',
    })
    const errors = infos.map(({ value }) => [value.name, value.errors.length]).filter(([, count]) => count !== 0)
    assert.deepEqual(errors, [
      ['proxy.host', 2],
      ['proxy.username', 1],
      ['proxy.password', 1],
    ])
  })
})
