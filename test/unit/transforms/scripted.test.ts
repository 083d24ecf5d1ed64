import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Schemas } from '../../../worker/api/data.ts'
import { record, struct, transform } from './support.ts'

const filter = 'io.debezium.transforms.Filter'
const router = 'io.debezium.transforms.ContentBasedRouter'
const valueSchema = struct({ op: Schemas.string, country: Schemas.optionalString })
const event = (op: string, country: string | null = null, topic = 'orders') =>
  record({ topic, valueSchema, value: { op, country } })

describe('Filter and ContentBasedRouter of Debezium', () => {
  it('keeps the records for which the condition is true', async () => {
    const keep = await transform(filter, { language: 'jsr223.graal.js', condition: "value.op == 'c'" })
    const created = event('c')
    assert.equal(keep.apply(created), created)
    assert.equal(keep.apply(event('u')), null)
  })

  it('fails for a condition that is neither true nor false', async () => {
    const wrong = await transform(filter, { language: 'js', condition: 'value.country' })
    assert.throws(() => wrong.apply(event('c')), /must give true or false, but gave null/)
  })

  it('routes by an expression; null leaves the topic', async () => {
    const route = await transform(router, {
      language: 'js',
      'topic.expression': "value.country == 'CZ' ? topic + '.eu' : null",
    })
    assert.equal(route.apply(event('c', 'CZ'))?.topic, 'orders.eu')
    const other = event('c', 'US')
    assert.equal(route.apply(other), other)
    const number = await transform(router, { language: 'js', 'topic.expression': '7' })
    assert.throws(() => number.apply(event('c')), /topic name or null/)
  })

  it('leaves topics alone that topic.regex does not match as a whole', async () => {
    const drop = await transform(filter, { language: 'js', condition: 'false', 'topic.regex': 'ord' })
    assert.notEqual(drop.apply(event('c')), null)
    const whole = await transform(filter, { language: 'js', condition: 'false', 'topic.regex': 'ord.*' })
    assert.equal(whole.apply(event('c')), null)
  })

  it('treats tombstones as null.handling.mode says', async () => {
    const tombstone = record({ topic: 'orders', key: 'k', valueSchema: null, value: null })
    const by = (mode: string) =>
      transform(filter, { language: 'js', condition: 'value == null', 'null.handling.mode': mode })
    assert.equal((await by('keep')).apply(tombstone), tombstone)
    assert.equal((await by('drop')).apply(tombstone), null)
    assert.equal((await by('evaluate')).apply(tombstone), tombstone)
    const evaluated = await transform(filter, {
      language: 'js',
      condition: 'value.op == 1',
      'null.handling.mode': 'evaluate',
    })
    assert.throws(() => evaluated.apply(tombstone), /Cannot read op of null/)
  })

  it('refuses Groovy and expressions that do not compile when it is configured', async () => {
    await assert.rejects(
      transform(filter, { language: 'jsr223.groovy', condition: 'true' }),
      /Only JavaScript expressions/,
    )
    await assert.rejects(
      transform(filter, { language: 'js', condition: 'value.op = 1' }),
      /is not part of an expression/,
    )
    await assert.rejects(
      transform(router, { language: 'js', 'topic.expression': 'require("fs")' }),
      /no function require/,
    )
  })
})
