import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DocumentWriter } from '../../../../connectors/elasticsearch/documents.ts'
import { classifyItem } from '../../../../connectors/elasticsearch/errors.ts'
import { resourceNaming } from '../../../../connectors/elasticsearch/resource-names.ts'
import { GrowingByteWriter } from '../../../../worker/api/byte-writer.ts'
import { elasticsearchConfig, sinkRecord } from './support.ts'

const at = Date.UTC(2026, 10, 21, 7, 5)
const record = sinkRecord(3, {
  topic: 'Orders',
  key: 'k1',
  value: { tenant: { id: 'ACME' }, n: 5n, bad: 'a/b', list: [1] },
  timestamp: at,
  headers: [{ key: 'kind', schema: null, value: 'Paid' }],
})

describe('index.name.format', () => {
  const name = (template: string) => resourceNaming(elasticsearchConfig({ 'index.name.format': template }))(record)

  it('makes names of topic, partition, time, fields and headers, in lower case', () => {
    assert.equal(name('${topic}'), 'orders')
    assert.equal(name('${topic}-${partition}'), 'orders-0')
    assert.equal(name('logs-${timestamp:yyyy.MM.dd}'), 'logs-2026.11.21')
    assert.equal(name('${timestamp:yyyyMMdd-HHmm}'), '20261121-0705')
    assert.equal(name('${field:tenant.id}-${field:n}'), 'acme-5')
    assert.equal(name('${header:kind}-x'), 'paid-x')
  })

  it('reports records that lack a part, without their content', () => {
    for (const template of ['${field:missing}', '${field:list}', '${header:none}', '${field:bad}', '${field:tenant}']) {
      assert.throws(
        () => name(template),
        (e: Error & { kind?: string }) => e.kind === 'record' && !e.message.includes('a/b'),
      )
    }
  })

  it('refuses templates and options that do not fit', () => {
    for (const template of ['${what}', '${timestamp:YYYY}', '${field:a..b}', '${topic:x}', '']) {
      assert.throws(() => elasticsearchConfig({ 'index.name.format': template }), /index.name.format/)
    }
    const deleting = { 'behavior.on.null.values': 'delete' }
    for (const template of ['${field:a}', '${timestamp:yyyy}']) {
      assert.throws(() => elasticsearchConfig({ ...deleting, 'index.name.format': template }), /tombstone/)
    }
    assert.ok(elasticsearchConfig({ ...deleting, 'index.name.format': '${topic}-${partition}' }))
    const stream = { 'data.stream.type': 'logs', 'data.stream.dataset': 'd' }
    assert.throws(() => elasticsearchConfig({ ...stream, 'index.name.format': 'x' }), /indices only/)
  })
})

describe('routing', () => {
  const line = (options: Readonly<Record<string, string>>) => {
    const out = new GrowingByteWriter()
    new DocumentWriter(elasticsearchConfig({ 'schema.ignore': 'true', ...options })).write(record, 'i', out)
    const text = Buffer.from(out.view(0, out.length)).toString('utf8')
    return JSON.parse(text.split('\n')[0] ?? '') as { index: { routing?: string } }
  }

  it('comes from the key, a field or a header', () => {
    assert.equal(line({}).index.routing, undefined)
    assert.equal(line({ 'routing.from': 'key' }).index.routing, 'k1')
    assert.equal(line({ 'routing.from': 'value', 'routing.field': 'tenant.id' }).index.routing, 'ACME')
    assert.equal(line({ 'routing.from': 'header', 'routing.field': 'kind' }).index.routing, 'Paid')
    assert.throws(() => line({ 'routing.from': 'value', 'routing.field': 'none' }), { kind: 'record' })
  })

  it('refuses options that do not fit', () => {
    assert.throws(() => elasticsearchConfig({ 'routing.from': 'value' }), /routing.field/)
    assert.throws(() => elasticsearchConfig({ 'routing.field': 'a' }), /routing.field/)
    const value = { 'routing.from': 'value', 'routing.field': 'a' }
    assert.throws(() => elasticsearchConfig({ ...value, 'behavior.on.null.values': 'delete' }), /tombstone/)
  })
})

describe('a closed index', () => {
  it('is told from other refusals by its error type', () => {
    assert.equal(classifyItem({ status: 400, error: { type: 'index_closed_exception' } }), 'closed-index')
  })
})
