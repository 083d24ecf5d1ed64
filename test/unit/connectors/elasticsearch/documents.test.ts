import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DocumentWriter } from '../../../../connectors/elasticsearch/documents.ts'
import { GrowingByteWriter } from '../../../../worker/api/byte-writer.ts'
import { Decimal, decimalSchema, LogicalName, makeSchema, type Value } from '../../../../worker/api/data.ts'
import { elasticsearchConfig, type RawOptions, sinkRecord } from './support.ts'

type ValueSchema = ReturnType<typeof makeSchema> | null

function lines(options: RawOptions, value: Value, valueSchema: ValueSchema = null): readonly string[] {
  const out = new GrowingByteWriter()
  new DocumentWriter(elasticsearchConfig(options)).write(sinkRecord(1, { key: 'k', value, valueSchema }), 'index', out)
  return Buffer.from(out.since(0)).toString('utf8').split('\n')
}

/** The document's line. */
const written = (options: RawOptions, value: Value, schema: ValueSchema = null) =>
  lines(options, value, schema)[1] ?? ''

describe('documents', () => {
  const schema = makeSchema({
    type: 'STRUCT',
    fields: [
      { name: 'price', schema: decimalSchema(2) },
      { name: 'day', schema: makeSchema({ type: 'INT32', name: LogicalName.date, version: 1 }) },
    ],
  })
  const value = { price: new Decimal(1_234_567_890_123_456_789n, 2), day: new Date(Date.UTC(2026, 0, 31)) }

  it('have decimals and dates in the form that is asked for', () => {
    const forms: readonly (readonly [RawOptions, string])[] = [
      // As Java prints the double.
      [{}, '{"price":1.2345678901234568E16,"day":20484}'],
      [{ 'decimal.format': 'NUMBER' }, '{"price":12345678901234567.89,"day":20484}'],
      [{ 'decimal.format': 'string', 'date.format': 'ISO' }, '{"price":"12345678901234567.89","day":"2026-01-31"}'],
    ]
    for (const [options, text] of forms) assert.equal(written(options, value, schema), text)
    const ignored = { 'schema.ignore': 'true', 'decimal.format': 'string', 'date.format': 'iso' }
    assert.equal(written(ignored, value, schema), '{"price":"ESIQ9H3pgRU=","day":20484}')
  })

  it('are the values as they are without a schema, whatever the form of maps (E27)', () => {
    for (const compact of ['true', 'false']) {
      const options = { 'compact.map.entries': compact }
      assert.equal(written(options, new Map<Value, Value>([['a', 1]])), '{"a":1}')
      assert.equal(written(options, new Map<Value, Value>([[1n, 'x']])), '[[1,"x"]]')
    }
  })

  it('have maps of other than text keys as lists, in both forms (E27)', () => {
    const keySchema = makeSchema({ type: 'INT32' })
    const map = makeSchema({ type: 'MAP', keySchema, valueSchema: makeSchema({ type: 'STRING' }) })
    for (const compact of ['true', 'false']) {
      const text = written({ 'compact.map.entries': compact }, new Map([[7, 'x']]), map)
      assert.equal(text, '[{"key":7,"value":"x"}]')
    }
  })

  it('have entries and pairs in the order of a hash map (E27)', () => {
    const keySchema = makeSchema({ type: 'FLOAT64' })
    const map = makeSchema({ type: 'MAP', keySchema, valueSchema: makeSchema({ type: 'INT8' }) })
    const value = new Map([
      [1.5, 1],
      [0.0001, 2],
      [1, 3],
    ])
    const entries = '[{"key":1.0,"value":3},{"key":1.5,"value":1},{"key":1.0E-4,"value":2}]'
    assert.equal(written({}, value, map), entries)
    assert.equal(written({ 'schema.ignore': 'true' }, value, map), '[[1.0,3],[1.5,1],[1.0E-4,2]]')
  })

  it('of a stream have the text of a field as their time, which lists and objects lack (E35)', () => {
    const options = { 'data.stream.type': 'logs', 'data.stream.dataset': 'd', 'data.stream.timestamp.field': 'no,at' }
    for (const [at, text] of [
      [5, '5'],
      [1.5e10, '15000000000'],
      [0.5, '0.5'],
      ['2026', '2026'],
      [true, 'true'],
      [[1], ''],
      [{ a: 1 }, ''],
    ] as const) {
      const [, document = ''] = lines(options, { at })
      assert.equal((JSON.parse(document) as { '@timestamp': string })['@timestamp'], text)
    }
  })

  it('are sent twice with write.method=upsert, as an update that is repeated by the server (E36)', () => {
    for (const [inFlight, repeats] of [
      ['1', 1],
      ['4', 4],
      ['5', 5],
      ['9', 5],
    ] as const) {
      const options = { 'write.method': 'upsert', 'max.in.flight.requests': inFlight, 'batch.size': '10' }
      assert.deepEqual(lines(options, { n: 1 }), [
        `{"update":{"_index":"index","_id":"k","retry_on_conflict":${repeats}}}`,
        '{"doc":{"n":1},"upsert":{"n":1}}',
        '',
      ])
    }
  })
})
