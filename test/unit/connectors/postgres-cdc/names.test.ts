import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type NamingStrategy, namingStrategyOf, topicNames } from '../../../../connectors/postgres-cdc/names.ts'

const base = { prefix: 'p', delimiter: '.', heartbeatPrefix: 'hb', heartbeatName: null, transaction: 'tx' }
const routing = {
  regex: '(.*)shard_(.*)',
  replacement: '$1all',
  unique: true,
  keyField: 'shard',
  keyRegex: '(?<a>.*)shard_(?<b>.*)',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: Java's notation of a named group
  keyReplacement: '${b}\\$',
}

describe('topic names', () => {
  const tables: readonly [NamingStrategy, string, string, string][] = [
    ['SchemaTopicNamingStrategy', 'a b', 'c_d', 'p.a_b.c_d'],
    ['SchemaUnicodeTopicNamingStrategy', 'a b', 'c_d', 'p.a_u0020b.c_u005fd'],
    ['DefaultTopicNamingStrategy', 'a b', 'c_d', 'p.c_d'],
    ['DefaultUnicodeTopicNamingStrategy', 'a', 'ž', 'p._u17e'],
    ['DefaultRegexTopicNamingStrategy', 'a', 'shard_1', 'p.all'],
    ['DefaultRegexTopicNamingStrategy', 'a', 'other', 'p.other'],
  ]
  for (const [strategy, schema, table, topic] of tables) {
    it(`${strategy} names ${schema}.${table} ${topic}`, () => {
      assert.equal(topicNames({ ...base, strategy, routing }).table(schema, table), topic)
    })
  }

  it('knows strategies by class name only', () => {
    assert.equal(namingStrategyOf('io.debezium.schema.DefaultTopicNamingStrategy'), 'DefaultTopicNamingStrategy')
    assert.equal(namingStrategyOf('com.example.Mine'), null)
  })

  it('derives the origin of rows from the topic before it is replaced', () => {
    const named = topicNames({ ...base, strategy: 'DefaultRegexTopicNamingStrategy', routing })
    assert.equal(named.origin?.value('a', 'shard_7'), '7$')
    assert.equal(named.origin?.value('a', 'other'), 'p.other')
    assert.equal(named.origin?.value('a', 'quo"te'), 'p.quo"te')
    assert.equal(topicNames(base).origin, null)
    const shared = { ...routing, unique: false }
    assert.equal(topicNames({ ...base, strategy: 'DefaultRegexTopicNamingStrategy', routing: shared }).origin, null)
  })

  it('leaves the names of heartbeats and transactions as they are given', () => {
    const names = topicNames({
      ...base,
      prefix: 'my_p',
      heartbeatPrefix: '__hb',
      transaction: 'tx_1',
      strategy: 'SchemaUnicodeTopicNamingStrategy',
    })
    assert.deepEqual([names.heartbeat, names.transaction], ['__hb.my_p', 'my_p.tx_1'])
  })

  it('keeps names within what Kafka allows', () => {
    assert.equal(topicNames(base).table('s', 'x'.repeat(300)).length, 249)
  })
})
