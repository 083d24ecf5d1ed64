import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { validateConnection } from '../../connectors/elasticsearch/validate.ts'
import { Decimal, decimalSchema, LogicalName, makeSchema, Schemas } from '../../worker/api/data.ts'
import { parseJson } from '../../worker/api/json.ts'
import { elasticsearchConfig, sinkRecord } from '../unit/connectors/elasticsearch/support.ts'
import { plain, Subject, server } from './elasticsearch-subject.ts'

describe('Elasticsearch sink on a real server', { skip: server.skip }, () => {
  it('inserts, replaces and deletes; a replay changes nothing (E30, E56, E59)', async () => {
    await using subject = await Subject.open()
    const log = [
      subject.record(0, 'a', { n: 1 }),
      subject.record(1, 'b', { n: 2 }),
      subject.record(2, 'a', { n: 3 }),
      subject.record(3, 'b', null),
      subject.record(4, 'never', null),
    ]
    const expected = { a: { version: 2, source: { n: 3 } } }
    for (let round = 0; round < 3; round++) {
      await subject.put(...log)
      assert.equal(await subject.committed(), 5n)
      assert.deepEqual(await subject.documents(), expected)
    }
    assert.deepEqual(subject.context.reports, [])
  })

  it('makes mappings and values of a schema, int64 exact (E27, E28, E40)', async () => {
    await using subject = await Subject.open({})
    const schema = makeSchema({
      type: 'STRUCT',
      fields: [
        { name: 'id', schema: Schemas.int64 },
        { name: 's', schema: makeSchema({ type: 'STRING', optional: true, defaultValue: 'x' }) },
        { name: 'd', schema: decimalSchema(2) },
        {
          name: 'at',
          schema: makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1, defaultValue: new Date(5) }),
        },
        { name: 'l', schema: makeSchema({ type: 'INT64', optional: true, defaultValue: 9007199254740993n }) },
        { name: 'm', schema: makeSchema({ type: 'MAP', keySchema: Schemas.string, valueSchema: Schemas.int32 }) },
        { name: 'im', schema: makeSchema({ type: 'MAP', keySchema: Schemas.int32, valueSchema: Schemas.string }) },
      ],
    })
    const value = {
      id: 9007199254740993n,
      s: null,
      d: new Decimal(150n, 2),
      at: new Date(1_700_000_000_000),
      l: null,
      m: new Map([['k', 1]]),
      im: new Map([[1, 'x']]),
    }
    await subject.put(subject.record(0, 'a', value, { valueSchema: schema }))
    assert.equal(await subject.committed(), 1n)
    const text = await (await fetch(`${server.settings.url}/${subject.topic}/_source/a`)).text()
    assert.deepEqual(parseJson(text), {
      id: 9007199254740993n,
      s: 'x',
      d: 1.5,
      at: 1_700_000_000_000,
      l: 9007199254740993n,
      m: { k: 1 },
      im: [{ key: 1, value: 'x' }],
    })
    const mapping = (await subject.json('GET', `/${subject.topic}/_mapping`)) as Record<
      string,
      { mappings: { properties: Record<string, object> } }
    >
    const { properties } = mapping[subject.topic]?.mappings ?? { properties: {} }
    const text256 = { type: 'text', fields: { keyword: { type: 'keyword', ignore_above: 256 } } }
    assert.deepEqual(properties['id'], { type: 'long' })
    assert.deepEqual(properties['s'], text256)
    assert.deepEqual(properties['d'], { type: 'double' })
    assert.equal((properties['at'] as { type: string }).type, 'date')
    assert.equal((properties['l'] as { type: string }).type, 'long')
    assert.deepEqual(properties['im'], { properties: { key: { type: 'integer' }, value: text256 } })
  })

  it('sends refused documents to the dead letter queue and goes on, or fails without passing them (E54, E55)', async () => {
    await using subject = await Subject.open({ ...plain, 'behavior.on.malformed.documents': 'report' })
    await subject.json('PUT', `/${subject.topic}`, {
      mappings: { dynamic: 'strict', properties: { n: { type: 'integer' } } },
    })
    await subject.put(
      subject.record(0, 'a', { n: 0 }),
      subject.record(1, 'b', { n: 'x' }),
      subject.record(2, 'c', { other: 1 }),
      subject.record(3, 'd', 'a text'),
      subject.record(4, 'e', { n: 4 }),
    )
    assert.equal(await subject.committed(), 5n)
    assert.deepEqual(Object.keys(await subject.documents()).sort(), ['a', 'e'])
    assert.deepEqual(
      subject.context.reports.map((r) => r.record.offset),
      [1n, 2n, 3n],
    )
    assert.match(
      subject.context.reports[0]?.error.message ?? '',
      /^Indexing failed: ElasticsearchException\[Elasticsearch exception \[type=(document|mapper)_parsing_exception, .*; nested: .*;$/,
    )

    for (const synchronous of [false, true]) {
      await using failing = await Subject.open({ ...plain, 'flush.synchronously': String(synchronous) })
      await failing.json('PUT', `/${failing.topic}`, {
        mappings: { dynamic: 'strict', properties: { n: { type: 'integer' } } },
      })
      await failing.put(
        failing.record(0, 'a', { n: 0 }),
        failing.record(1, 'b', { n: 'x' }),
        failing.record(2, 'c', { n: 2 }),
      )
      assert.equal(await failing.committed(), synchronous ? undefined : 1n)
      await assert.rejects(() => failing.put(), /Indexing record failed\. Please check DLQ topic for errors\./)
    }
  })

  it('merges fields with write.method=upsert, and deletes in order', async () => {
    await using subject = await Subject.open({ ...plain, 'write.method': 'upsert' })
    await subject.put(
      subject.record(0, 'a', { x: 1, y: 1 }),
      subject.record(1, 'a', { x: 2 }),
      subject.record(2, 'b', { x: 1 }),
      subject.record(3, 'b', null),
      subject.record(4, 'a', { z: 3 }),
    )
    assert.equal(await subject.committed(), 5n)
    assert.deepEqual((await subject.documents())['a']?.source, { x: 2, y: 1, z: 3 })
    assert.equal((await subject.documents())['b'], undefined)
  })

  it('finds the update that is no object, for which the server refuses the whole request (E54)', async () => {
    const options = { ...plain, 'write.method': 'upsert', 'behavior.on.malformed.documents': 'report' }
    await using subject = await Subject.open(options)
    await subject.put(
      subject.record(0, 'a', { n: 0 }),
      subject.record(1, 'b', 'a text'),
      subject.record(2, 'c', [1]),
      subject.record(3, 'd', { n: 3 }),
    )
    assert.equal(await subject.committed(), 4n)
    assert.deepEqual(Object.keys(await subject.documents()).sort(), ['a', 'd'])
    assert.deepEqual(
      subject.context.reports.map((r) => r.record.offset),
      [1n, 2n],
    )
    for (const { error } of subject.context.reports)
      assert.match(error.message, /type=x_content_parse_exception, reason=\[/)
  })

  it('makes ids of positions when keys are ignored, and of odd keys as they are (E23, E25)', async () => {
    await using subject = await Subject.open({ ...plain, 'key.ignore': 'true' })
    await subject.put(subject.record(7, null, { n: 1 }))
    await subject.committed()
    assert.deepEqual(Object.keys(await subject.documents()), [`${subject.topic}+0+7`])
    await using keyed = await Subject.open()
    await keyed.put(
      keyed.record(0, 'k/9 ü"\n', { n: 1 }),
      keyed.record(1, 12345678901234567890n, { n: 1 }, { keySchema: null }),
    )
    await keyed.committed()
    assert.deepEqual(Object.keys(await keyed.documents()).sort(), ['12345678901234567890', 'k/9 ü"\n'])
  })

  it('drops what cannot be converted only when told to (E24, E31)', async () => {
    await using strict = await Subject.open()
    await assert.rejects(
      () => strict.put(strict.record(0, null, { n: 1 })),
      ({ message, cause }: Error) =>
        message.includes(`topic=${strict.topic} partition=0 offset=0`) &&
        (cause as Error).message === 'Key is used as document id and can not be null.',
    )
    await using lenient = await Subject.open({ ...plain, 'drop.invalid.message': 'true' })
    await lenient.put(
      lenient.record(0, null, { n: 1 }),
      lenient.record(1, 'k'.repeat(513), { n: 1 }),
      lenient.record(2, 1.5, { n: 1 }),
      lenient.record(3, null, null),
      lenient.record(4, 'a', { n: 1 }),
    )
    assert.equal(await lenient.committed(), 5n)
    assert.deepEqual(
      lenient.context.reports.map((r) => r.record.offset),
      [0n, 1n, 2n, 3n],
    )
    assert.deepEqual(Object.keys(await lenient.documents()), ['a'])
  })

  it('follows the original coordinates of records that a transform sent elsewhere by KIP-793 (E64)', async () => {
    await using subject = await Subject.open()
    const moved = subject.record(0, 'a', { n: 1 }).with({ topic: `${subject.topic}-Moved` })
    await subject.put(moved)
    assert.equal(await subject.committed(), 1n)
    assert.deepEqual(Object.keys(await subject.documents(`${subject.topic}-moved`)), ['a'])
  })

  it('writes data streams with @timestamp; a replay is harmless (E34, E35, E39)', async () => {
    await using subject = await Subject.open({
      'schema.ignore': 'true',
      'key.ignore': 'true',
      'data.stream.type': 'LOGS',
      'data.stream.dataset': 'ds',
    })
    await subject.json('PUT', `/_index_template/${subject.topic}`, {
      index_patterns: [`logs-ds-${subject.topic}`],
      data_stream: {},
      priority: 1000,
    })
    for (let round = 0; round < 2; round++) {
      await subject.put(
        subject.record(0, null, { n: 9007199254740993n }),
        subject.record(1, null, { '@timestamp': 'x', n: 2 }),
      )
      assert.equal(await subject.committed(), 2n)
    }
    const documents = await subject.documents(`logs-ds-${subject.topic}`)
    assert.deepEqual(Object.keys(documents).sort(), [`${subject.topic}+0+0`, `${subject.topic}+0+1`])
    assert.deepEqual(documents[`${subject.topic}+0+1`]?.source, { '@timestamp': 1_700_000_000_000, n: 2 })
  })

  it('lets two tasks create one index at one time (E42)', async () => {
    await using first = await Subject.open()
    await using second = await Subject.open()
    await Promise.all([
      first.put(first.record(0, 'a', { n: 1 })),
      second.put(sinkRecord(0, { topic: first.topic, key: 'b', value: { n: 2 } })),
    ])
    await first.committed()
    await second.committed()
    assert.deepEqual(Object.keys(await first.documents()).sort(), ['a', 'b'])
  })

  it('writes into indices named after records, to the shard of a routing value', async () => {
    const named = { 'schema.ignore': 'true', 'index.name.format': '${topic}-${field:tenant}' }
    await using subject = await Subject.open({ ...named, 'routing.from': 'value', 'routing.field': 'tenant' })
    await subject
      .put(
        subject.record(0, 'a', { tenant: 'Red', n: 1 }),
        subject.record(1, 'b', { n: 2 }),
        subject.record(2, 'c', { tenant: 'blue', n: 3 }),
      )
      .then(
        () => assert.fail('a record without the field must not pass'),
        (error: Error) => assert.match((error.cause as Error).message, /'tenant' must be/),
      )
    await using dropping = await Subject.open({ ...named, 'drop.invalid.message': 'true' })
    await dropping.put(
      dropping.record(0, 'a', { tenant: 'Red', n: 1 }),
      dropping.record(1, 'b', { n: 2 }),
      dropping.record(2, 'c', { tenant: 'blue', n: 3 }),
    )
    assert.equal(await dropping.committed(), 3n)
    assert.deepEqual(Object.keys(await dropping.documents(`${dropping.topic}-red`)), ['a'])
    assert.deepEqual(Object.keys(await dropping.documents(`${dropping.topic}-blue`)), ['c'])
    await using routed = await Subject.open({ ...plain, 'routing.from': 'key' })
    await routed.put(routed.record(0, 'a', { n: 1 }), routed.record(1, 'b', { n: 2 }), routed.record(2, 'b', null))
    assert.equal(await routed.committed(), 3n)
    assert.deepEqual(Object.keys(await routed.documents()), ['a'])
    const { _routing: routing } = (await routed.json('GET', `/${routed.topic}/_doc/a?routing=a`)) as {
      _routing: string
    }
    assert.equal(routing, 'a')
  })

  it('skips the records of a closed index, or fails without passing them', async () => {
    await using subject = await Subject.open({ ...plain, 'behavior.on.closed.index': 'skip' })
    await subject.put(subject.record(0, 'a', { n: 1 }))
    assert.equal(await subject.committed(), 1n)
    await subject.json('POST', `/${subject.topic}/_close`)
    await subject.put(subject.record(1, 'b', { n: 2 }))
    assert.equal(await subject.committed(), 2n)
    assert.deepEqual(
      subject.context.reports.map((r) => r.record.offset),
      [1n],
    )
    await using failing = await Subject.open({ ...plain, 'max.retries': '0' })
    await failing.put(failing.record(0, 'a', { n: 1 }))
    assert.equal(await failing.committed(), 1n)
    await failing.json('POST', `/${failing.topic}/_close`)
    await failing.put(failing.record(1, 'b', { n: 2 }))
    assert.equal(await failing.committed(), 1n)
    await assert.rejects(() => failing.put(), /Indexing record failed/)
  })

  it('validates against the server (E18)', async () => {
    const url = server.settings.url
    assert.deepEqual(await validateConnection(elasticsearchConfig({ 'connection.url': url })), [])
    const mapped = elasticsearchConfig({
      'connection.url': url,
      'external.resource.usage': 'index',
      'topic.to.external.resource.mapping': 'a:no-such-index',
    })
    assert.match((await validateConnection(mapped))[0]?.message ?? '', /'no-such-index' does not exist/)
    const wrong = await validateConnection(elasticsearchConfig({ 'connection.url': 'http://127.0.0.1:9' }))
    assert.deepEqual(
      wrong.map((p) => p.option),
      ['connection.url', 'connection.url'],
    )
  })
})
