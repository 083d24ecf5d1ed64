import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { externalVersion, keyToId, positionId } from '../../../../connectors/elasticsearch/document-id.ts'
import {
  classify,
  classifyItem,
  describeItemError,
  type ItemVerdict,
} from '../../../../connectors/elasticsearch/errors.ts'
import { mappingOf } from '../../../../connectors/elasticsearch/mapping.ts'
import { dataStreamName, indexName, resourceNaming } from '../../../../connectors/elasticsearch/resource-names.ts'
import { Float64, makeSchema, type Schema, Schemas, type Value } from '../../../../worker/api/data.ts'
import { elasticsearchConfig, sinkRecord } from './support.ts'

describe('names of resources', () => {
  it('make indices of topics (E38)', () => {
    const names: readonly (readonly [string, string])[] = [
      ['.', 'dot'],
      ['..', 'dotdot'],
      ['-abc', 'abc'],
      ['_abc', 'abc'],
      ['--abc', '-abc'],
      ['ABC', 'abc'],
      ['a.b', 'a.b'],
    ]
    for (const [topic, index] of names) assert.equal(indexName(topic), index)
    assert.equal(indexName('x'.repeat(300)).length, 255)
  })

  it('make data streams of topics (E39), or take mapped resources', () => {
    const config = elasticsearchConfig({ 'data.stream.type': 'LOGS', 'data.stream.dataset': 'ds' })
    assert.equal(dataStreamName(config, 'My_Topic'), 'logs-ds-my_topic')
    const mapped = resourceNaming(
      elasticsearchConfig({ 'external.resource.usage': 'index', 'topic.to.external.resource.mapping': 'a: x ' }),
    )
    assert.equal(mapped(sinkRecord(0, { topic: 'a' })), 'x')
    assert.throws(() => mapped(sinkRecord(0, { topic: 'b' })), /'b' is not mapped to any resource/)
  })
})

describe('document ids and versions', () => {
  const bad: readonly (readonly [Value, RegExp])[] = [
    [null, /can not be null/],
    ['', /can not be empty/],
    [true, /BOOLEAN is not supported as the document id/],
    [1.5, /FLOAT64 is not supported/],
    [new Float64(1), /FLOAT64 is not supported/],
    [Uint8Array.of(1), /BYTES is not supported/],
    [[1], /ARRAY is not supported/],
    [{ a: 1 }, /MAP is not supported/],
    ['é'.repeat(257), /512 bytes/],
  ]
  it('come from text and integers only (E23, E24)', () => {
    assert.equal(keyToId(Schemas.int64, 9007199254740993n), '9007199254740993')
    assert.equal(keyToId(null, -5), '-5')
    assert.equal(keyToId(Schemas.string, 'é'), 'é')
    for (const [key, message] of bad) assert.throws(() => keyToId(null, key), { kind: 'record', message })
    assert.throws(() => keyToId(Schemas.boolean, true), /BOOLEAN is not supported/)
    assert.equal(keyToId(null, new Date(Date.UTC(2022, 0, 8))), 'Sat Jan 08 00:00:00 UTC 2022')
    assert.throws(() => keyToId(null, new Date(1)), { kind: 'record', message: /fractions of a second/ })
    assert.equal(positionId(sinkRecord(5)), 'topic+0+5')
  })

  it('take a version from a header, exactly and without echoing it (E32, E33)', () => {
    const version = (value: Value, schema: Schema | null = null) =>
      externalVersion(sinkRecord(1, { headers: [{ key: 'v', schema, value }] }), 'v')
    assert.equal(version('1700000000000000001'), 1700000000000000001n)
    assert.equal(version(5), 5n)
    assert.equal(version(Buffer.from('7')), 7n)
    assert.equal(version('+00000000000000000000000000000007'), 7n)
    assert.equal(version('-0'), 0n)
    assert.equal(version(5, Schemas.int8), 5n)
    // As texts they have a fraction, so they are no integers.
    assert.throws(() => version(5, Schemas.float32), { kind: 'fatal' })
    assert.throws(() => version(5, Schemas.float64), { kind: 'fatal' })
    for (const value of [
      'secret',
      '',
      ' 7',
      '-7',
      '0x7',
      true,
      new Float64(5),
      -1,
      1.5,
      '9223372036854775808',
      new Date(7),
    ]) {
      assert.throws(
        () => version(value),
        (e: Error) => /external version header 'v'/.test(e.message) && !e.message.includes('secret'),
      )
      assert.throws(() => version(value), { kind: 'fatal' })
    }
    assert.throws(() => externalVersion(sinkRecord(1), 'v'), { kind: 'record' })
  })
})

describe('mapping', () => {
  it('needs a schema (E41)', () => {
    assert.throws(
      () => mappingOf(null),
      ({ message, cause }: Error) =>
        /schema\.ignore=true/.test(message) && /^Cannot infer mapping without schema\.$/.test((cause as Error).message),
    )
    const nested = makeSchema({
      type: 'ARRAY',
      valueSchema: makeSchema({
        type: 'STRUCT',
        fields: [{ name: 'b', schema: makeSchema({ type: 'BOOLEAN', defaultValue: true }) }],
      }),
    })
    assert.deepEqual(mappingOf(nested), { properties: { b: { type: 'boolean', null_value: true } } })
  })
})

describe('classification of failures', () => {
  it('knows requests by status and error name', () => {
    const failure = (name: string, statusCode?: number) => Object.assign(new Error(), { name, statusCode })
    for (const status of [408, 429, 500, 502, 503, 504])
      assert.equal(classify(failure('ResponseError', status)), 'retry')
    for (const status of [400, 401, 403, 404]) assert.equal(classify(failure('ResponseError', status)), 'fail')
    assert.equal(classify(failure('ResponseError', 413)), 'split')
    for (const name of ['ConnectionError', 'TimeoutError', 'NoLivingConnectionsError'])
      assert.equal(classify(failure(name)), 'retry')
    assert.equal(classify(new Error('ConnectionError')), 'fail', 'the text does not count')
    assert.equal(classify('text'), 'fail')
  })

  const items: readonly (readonly [number, string | null, ItemVerdict])[] = [
    [201, null, 'done'],
    [404, null, 'done'],
    [404, 'index_not_found_exception', 'missing-index'],
    [409, 'version_conflict_engine_exception', 'conflict'],
    [429, 'es_rejected_execution_exception', 'retry'],
    [503, 'unavailable_shards_exception', 'retry'],
    [403, 'cluster_block_exception', 'blocked'],
    [429, 'cluster_block_exception', 'retry'],
    [400, 'document_parsing_exception', 'malformed'],
    [400, 'strict_dynamic_mapping_exception', 'malformed'],
    [403, 'security_exception', 'refused'],
  ]
  for (const [status, type, verdict] of items) {
    it(`knows an item with ${status} ${type}`, () => {
      assert.equal(classifyItem({ status, ...(type !== null && { error: { type } }) }), verdict)
    })
  }

  it('words the chain of causes as the Java client', () => {
    const error = { type: 'a', reason: 'r1', caused_by: { type: 'b', reason: 'r2' } }
    assert.equal(
      describeItemError(error),
      'Indexing failed: ElasticsearchException[Elasticsearch exception [type=a, reason=r1]]; nested: ElasticsearchException[Elasticsearch exception [type=b, reason=r2]];',
    )
  })
})
