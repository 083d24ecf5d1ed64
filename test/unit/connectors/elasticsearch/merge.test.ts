import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { DocumentWriter } from '../../../../connectors/elasticsearch/documents.ts'
import { mergeInto } from '../../../../connectors/elasticsearch/merge-document.ts'
import { MergeRules } from '../../../../connectors/elasticsearch/merge-rules.ts'
import { MergeStage } from '../../../../connectors/elasticsearch/merge-stage.ts'
import { OffsetTracker } from '../../../../connectors/elasticsearch/offset-tracker.ts'
import { Float64, type Struct, type Value } from '../../../../worker/api/data.ts'
import { parseJson } from '../../../../worker/api/json.ts'
import type { SinkRecord } from '../../../../worker/api/record.ts'
import {
  elasticsearchConfig,
  eventually,
  FakeElasticsearch,
  type Fault,
  offsets,
  type RawOptions,
  sinkContext,
  sinkRecord,
} from './support.ts'

const leads = {
  'write.method': 'merge',
  'schema.ignore': 'true',
  'behavior.on.null.values': 'delete',
  'merge.increment.syntax': 'signed',
  'merge.created.field': 'created_at',
  'merge.updated.field': 'updated_at',
}

const config = (options: RawOptions = {}) => elasticsearchConfig({ ...leads, ...options })

/** Merges values at ascending offsets into nothing. */
function merged(options: RawOptions, ...values: readonly Value[]): Value {
  const rules = new MergeRules(config(options))
  const operations = values.map((value, i) => ({
    source: 'topic-0',
    offset: BigInt(i),
    timestamp: null,
    changes: value === null ? null : rules.changes('topic', value),
  }))
  const { document, failures } = mergeInto(null, operations, rules)
  assert.deepEqual([...failures.values()], [])
  const { kc_fence: _fence, ...body } = document as Struct
  return body
}

/** One task over a server that several of them may share. */
class Task implements AsyncDisposable {
  readonly context = sinkContext()
  readonly tracker = new OffsetTracker()
  readonly stage: MergeStage
  readonly recreated: string[] = []
  #next = 0n

  constructor(server: FakeElasticsearch, options: RawOptions = {}) {
    const parsed = config(options)
    const { clock, logger, metrics, report } = this.context
    const recreate = async (resource: string) => void this.recreated.push(resource)
    this.stage = new MergeStage(
      { config: parsed, connection: server, clock, logger, metrics, report, recreate },
      new DocumentWriter(parsed),
      true,
    )
  }

  async put(...records: SinkRecord[]): Promise<void> {
    for (const record of records) {
      const slot = this.tracker.add(record)
      this.#next = record.offset + 1n
      await this.stage.writer.add(this.stage.pending(record, slot, 'topic'), AbortSignal.timeout(20_000))
    }
  }

  drain(): Promise<boolean> {
    return this.stage.writer.drain(20_000)
  }

  committable(): bigint | undefined {
    return this.tracker.committable(offsets({ 'topic-0': this.#next })).get('topic', 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stage.writer.close()
  }
}

/** As Java's UUID.nameUUIDFromBytes. */
function uuidOf(text: string): string {
  const hex = createHash('md5').update(text).digest('hex')
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16)
  const digits = `${hex.slice(0, 12)}3${hex.slice(13, 16)}${variant}${hex.slice(17)}`
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

const documentOf = (server: FakeElasticsearch, id: string): Value =>
  parseJson(server.documents.get(id)?.source ?? 'null')

describe('merging fields', () => {
  it('adds signed texts and numbers of declared fields, exactly', () => {
    assert.deepEqual(merged({}, { clicks: '+1' }, { clicks: '+5' }, { clicks: '-2' }), { clicks: 4 })
    assert.deepEqual(merged({ 'merge.increment.fields': 'n.a' }, { n: { a: 1 } }, { n: { a: '2' } }), { n: { a: 3 } })
    assert.deepEqual(merged({}, { n: '+9007199254740993' }, { n: '+1' }), { n: 9007199254740994n })
    assert.deepEqual(merged({}, { n: '+1' }, { n: '+0.5' }), { n: 1.5 })
    assert.deepEqual(merged({}, { n: '+0.5' }, { n: '+0.5' }), { n: new Float64(1) })
    assert.deepEqual(merged({ 'merge.increment.syntax': 'none' }, { phone: '+441' }), { phone: '+441' })
  })

  it('merges objects, replaces scalars and lists', () => {
    assert.deepEqual(merged({}, { geo: { c: 'US' }, l: [1, 2] }, { geo: { s: 'NJ' }, l: [3] }), {
      geo: { c: 'US', s: 'NJ' },
      l: [3],
    })
    assert.deepEqual(merged({}, { geo: 'text' }, { geo: { s: 'NJ' } }), { geo: { s: 'NJ' } })
    assert.deepEqual(merged({}, parseJson('{"__proto__":{"a":1}}')), parseJson('{"__proto__":{"a":1}}'))
  })

  it('keeps first values, extremes and sets', () => {
    const options = {
      'merge.set.once.fields': 'first',
      'merge.max.fields': 'max',
      'merge.min.fields': 'min',
      'merge.append.fields': 'tags',
    }
    const values = [
      { first: null, max: 2, min: 2.5, tags: ['a'] },
      { first: 'x', max: 9007199254740993n, min: 3, tags: ['b', 'a'] },
      { first: 'y', max: 5, min: -1, tags: { k: 1 } },
      { tags: { k: 1 } },
    ]
    assert.deepEqual(merged(options, ...values), {
      first: 'x',
      max: 9007199254740993n,
      min: -1,
      tags: ['a', 'b', { k: 1 }],
    })
  })

  it('treats null fields by merge.null', () => {
    assert.deepEqual(merged({}, { a: 1 }, { a: null }), { a: null })
    assert.deepEqual(merged({ 'merge.null': 'ignore' }, { a: 1 }, { a: null }), { a: 1 })
    assert.deepEqual(merged({ 'merge.null': 'REMOVE' }, { a: 1, b: 1 }, { a: null }), { b: 1 })
    assert.deepEqual(merged({ 'merge.increment.fields': 'n' }, { n: 1 }, { n: null }), { n: 1 })
  })

  it('never lets a placeholder of an unchanged large value overwrite, in any of its forms', () => {
    const text = '__debezium_unavailable_value'
    const bytes = Buffer.from(text)
    const forms: readonly Value[] = [
      text,
      bytes.toString('base64'),
      bytes.toString('hex'),
      [text],
      [...bytes],
      { [text]: text },
      `{"${text}":"${text}"}`,
      [uuidOf(text)],
    ]
    for (const form of forms)
      assert.deepEqual(merged({}, { big: 'kept', n: 1 }, { big: form, n: 2 }), { big: 'kept', n: 2 })
    assert.deepEqual(merged({ 'merge.unavailable.value': '' }, { big: 'kept' }, { big: text }), { big: text })
  })

  it('nests the values of a topic', () => {
    assert.deepEqual(merged({ 'merge.nest.fields': 'topic:user.of' }, { name: 'A' }, { age: 1 }), {
      user: { of: { name: 'A', age: 1 } },
    })
  })

  it('refuses what cannot be merged, without its content (I8)', () => {
    const rules = new MergeRules(config({ 'merge.increment.fields': 'n' }))
    for (const value of ['secret', [1], { n: 'secret' }, { n: { a: 1 } }, { kc_fence: 'secret' }, { deleted: true }]) {
      assert.throws(
        () => rules.changes('topic', value as Value),
        (error: Error & { kind?: string }) => error.kind === 'record' && !error.message.includes('secret'),
      )
    }
  })

  it('empties a document on a tombstone, and begins anew after it', () => {
    const rules = new MergeRules(config())
    const operation = (offset: number, value: Value) => ({
      source: 'topic-0',
      offset: BigInt(offset),
      timestamp: null,
      changes: value === null ? null : rules.changes('topic', value),
    })
    const gone = mergeInto(null, [operation(0, { n: '+1', a: 1 }), operation(1, null)], rules)
    assert.deepEqual(gone.document, { deleted: true, kc_fence: { 'topic-0': 1 } })
    const back = mergeInto(gone.document, [operation(0, { n: '+1' }), operation(2, { n: '+1' })], rules)
    assert.deepEqual(back.document, { n: 1, kc_fence: { 'topic-0': 2 } })
  })
})

describe('MergeWriter', () => {
  it('gives the document of the specification, after any replay (E71)', async () => {
    const server = new FakeElasticsearch()
    const records = [
      sinkRecord(5, { topic: 'requests', key: 'r', value: { id: 'r', clicks: '+1' }, timestamp: 100 }),
      sinkRecord(6, {
        topic: 'requests',
        key: 'r',
        value: { id: 'r', clicks: '+1', geo: { c: 'US' } },
        timestamp: 130,
      }),
      sinkRecord(7, { topic: 'requests', key: 'r', value: { id: 'r', geo: { s: 'NJ' } }, timestamp: 160 }),
    ]
    const expected = {
      id: 'r',
      clicks: 2,
      geo: { c: 'US', s: 'NJ' },
      created_at: 100,
      updated_at: 160,
      kc_fence: { 'requests-0': 7 },
    }
    for (const from of [0, 0, 1, 2, 0]) {
      await using task = new Task(server)
      await task.put(...records.slice(from))
      assert.equal(await task.drain(), true)
      assert.deepEqual(documentOf(server, 'r'), expected)
    }
  })

  it('keeps the order of one id while an earlier record is refused as busy (E72)', async () => {
    const server = new FakeElasticsearch()
    await using task = new Task(server, { 'linger.ms': '0', 'max.retries': '50', 'retry.backoff.max.ms': '2' })
    const busy: Fault = { items: { a: { status: 429, type: 'es_rejected_execution_exception' } } }
    server.faults.push(...Array.from({ length: 20 }, () => busy))
    await task.put(sinkRecord(0, { key: 'a', value: { n: '+1', s: 'first' } }))
    await eventually(() => server.requests.length > 0)
    assert.ok(server.faults.length > 0, 'the first is still refused when the second comes')
    await task.put(sinkRecord(1, { key: 'a', value: { n: '+1', s: 'second' } }))
    assert.equal(await task.drain(), true)
    assert.deepEqual((documentOf(server, 'a') as Struct)['n'], 2)
    assert.deepEqual((documentOf(server, 'a') as Struct)['s'], 'second')
    assert.equal(task.committable(), 2n)
  })

  it('merges all records that wait for a document by one write', async () => {
    const server = new FakeElasticsearch()
    await using task = new Task(server, { 'linger.ms': '1000' })
    await task.put(...Array.from({ length: 500 }, (_, i) => sinkRecord(i, { key: `k${i % 5}`, value: { n: '+1' } })))
    assert.equal(await task.drain(), true)
    assert.equal(server.requests.length, 1)
    assert.equal(server.requests[0]?.length, 5)
    for (let k = 0; k < 5; k++) assert.equal((documentOf(server, `k${k}`) as Struct)['n'], 100)
  })

  it('deletes nothing that it has not read', async () => {
    const server = new FakeElasticsearch()
    await using task = new Task(server, { 'merge.delete': 'hard', 'linger.ms': '1000' })
    await task.put(sinkRecord(0, { key: 'a', value: { n: '+1' } }), sinkRecord(1, { key: 'a', value: null }))
    assert.equal(await task.drain(), true)
    assert.deepEqual(server.requests, [])
    assert.equal(task.committable(), 2n)
  })

  it('finds the one record that the server does not take', async () => {
    const server = new FakeElasticsearch()
    await using task = new Task(server, { 'behavior.on.malformed.documents': 'report', 'linger.ms': '1000' })
    const refusal: Fault = { items: { a: { status: 400, type: 'document_parsing_exception' } } }
    // The merged document, then that of the second record alone.
    server.faults.push(refusal, null, refusal)
    await task.put(...[1, 2, 4].map((n, i) => sinkRecord(i, { key: 'a', value: { n: `+${n}` } })))
    assert.equal(await task.drain(), true)
    assert.equal((documentOf(server, 'a') as Struct)['n'], 5)
    assert.deepEqual(
      task.context.reports.map((r) => r.record.offset),
      [1n],
    )
    assert.equal(task.committable(), 3n)
  })

  it('reports a record that does not fit the document, and merges the others', async () => {
    const server = new FakeElasticsearch()
    await using task = new Task(server, { 'behavior.on.malformed.documents': 'ignore' })
    await task.put(...['text', '+1', { m: 1 }].map((n, i) => sinkRecord(i, { key: 'a', value: { n } })))
    assert.equal(await task.drain(), true)
    assert.deepEqual((documentOf(server, 'a') as Struct)['n'], { m: 1 })
    assert.match(task.context.reports[0]?.error.message ?? '', /no number where one is to be merged/)
  })

  for (const behavior of ['ignore', 'warn', 'report', 'fail']) {
    it(`treats records that were merged before by behavior.on.version.conflict=${behavior}`, async () => {
      const server = new FakeElasticsearch()
      await using task = new Task(server, { 'behavior.on.version.conflict': behavior })
      await task.put(sinkRecord(7, { key: 'a', value: { n: '+1' } }))
      assert.equal(await task.drain(), true)
      // As of a topic that was created anew: its offsets begin at 0 again.
      await task.put(sinkRecord(3, { key: 'a', value: { n: '+1' } }))
      assert.equal(await task.drain(), behavior !== 'fail')
      assert.equal((documentOf(server, 'a') as Struct)['n'], 1)
      assert.equal(task.context.metrics.values.get('elasticsearch-version-conflicts'), 1)
      assert.equal(task.context.reports.length, behavior === 'report' || behavior === 'fail' ? 1 : 0)
      assert.equal(
        task.context.logger.lines.some((line) => line.includes('this or a later version')),
        behavior === 'warn',
      )
    })
  }

  it('takes the id of a topic from a field, so that topics meet in one document', async () => {
    const server = new FakeElasticsearch()
    await using task = new Task(server, { 'merge.id.fields': 'items:of', 'merge.nest.fields': 'users:user' })
    await task.put(
      sinkRecord(0, { topic: 'conversations', key: 'c1', value: { subject: 'S' } }),
      sinkRecord(0, { topic: 'items', key: 'i1', value: { of: 'c1', items: '+1' } }),
      sinkRecord(1, { topic: 'items', key: 'i2', value: { of: 'c1', items: '+1' } }),
      sinkRecord(0, { topic: 'users', key: 'c1', value: { name: 'N' } }),
    )
    assert.equal(await task.drain(), true)
    const { kc_fence: fence, created_at: _c, updated_at: _u, ...body } = documentOf(server, 'c1') as Struct
    assert.deepEqual(body, { subject: 'S', of: 'c1', items: 2, user: { name: 'N' } })
    assert.deepEqual(fence, { 'conversations-0': 0, 'items-0': 1, 'users-0': 0 })
    const withoutId = sinkRecord(2, { topic: 'items', value: {} })
    assert.throws(() => task.stage.pending(withoutId, task.tracker.add(withoutId), 'x'), { kind: 'record' })
  })

  const transient: readonly Fault[] = [
    { fail: { name: 'ResponseError', statusCode: 429 } },
    { fail: { name: 'ResponseError', statusCode: 503 } },
    { fail: { name: 'ConnectionError' } },
    { applyThenFail: { name: 'ConnectionError' } },
    { applyThenFail: { name: 'TimeoutError' } },
  ]

  it('halves what is too large, and refuses one such document', async () => {
    const server = new FakeElasticsearch()
    await using task = new Task(server, { 'behavior.on.malformed.documents': 'ignore', 'linger.ms': '1000' })
    const tooLarge: Fault = { fail: { name: 'ResponseError', statusCode: 413 } }
    server.faults.push(tooLarge, tooLarge)
    await task.put(...['a', 'b', 'c'].map((key, i) => sinkRecord(i, { key, value: { n: '+1' } })))
    assert.equal(await task.drain(), true)
    assert.deepEqual([...server.documents.keys()].sort(), ['b', 'c'])
    assert.equal(task.context.reports[0]?.record.offset, 0n)
    assert.equal(task.committable(), 3n)
  })

  it('takes no record for done by an earlier delivery that is not written yet (I1, E71)', async () => {
    const server = new FakeElasticsearch()
    await using task = new Task(server, { 'linger.ms': '5000' })
    const records = [1, 2, 3].map((n, i) => sinkRecord(i, { key: 'a', value: { n: `+${n}` } }))
    await task.put(...records)
    // Partitions are lost before anything is sent, and come back: the task has two deliveries of each record.
    task.tracker.drop([{ topic: 'topic', partition: 0 }])
    await task.put(...records)
    server.hold = true
    const drained = task.drain()
    await eventually(() => server.held.length === 1)
    assert.equal(task.committable(), 0n)
    server.hold = false
    for (const release of server.held.splice(0)) release()
    assert.equal(await drained, true)
    assert.equal(task.committable(), 3n)
    assert.equal((documentOf(server, 'a') as Struct)['n'], 6)
  })

  it('judges a record by the document, not by an earlier record that the server then refuses', async () => {
    const server = new FakeElasticsearch()
    server.faults.push({ items: { a: { status: 400, type: 'document_parsing_exception' } } })
    await using task = new Task(server, { 'behavior.on.malformed.documents': 'report', 'linger.ms': '20' })
    await task.put(
      sinkRecord(0, { key: 'a', value: { n: 'no number' } }),
      sinkRecord(1, { key: 'a', value: { n: '+2' } }),
      sinkRecord(2, { key: 'a', value: { n: '+3' } }),
    )
    assert.equal(await task.drain(), true)
    assert.deepEqual(
      task.context.reports.map(({ record }) => record.offset),
      [0n],
    )
    assert.equal((documentOf(server, 'a') as Struct)['n'], 5)
    assert.equal(task.committable(), 3n)
  })

  it('counts each record once under replays, faults and two lost tasks that go on writing (E71)', async () => {
    const log = fc.array(
      fc.record({
        key: fc.constantFrom('a', 'b', 'c'),
        by: fc.option(fc.integer({ min: 1, max: 9 }), { freq: 8 }),
        set: fc.integer(),
      }),
      { minLength: 1, maxLength: 40 },
    )
    const plan = fc.array(
      fc.oneof(
        fc.constant<Fault | null>(null),
        fc.constantFrom<Fault>(...transient),
        fc
          .constantFrom('a', 'b')
          .map<Fault>((id) => ({ items: { [id]: { status: 429, type: 'es_rejected_execution_exception' } } })),
        fc
          .constantFrom('a', 'c')
          .map<Fault>((id) => ({ items: { [id]: { status: 409, type: 'version_conflict_engine_exception' } } })),
      ),
      { maxLength: 12 },
    )
    const starts = fc.array(fc.nat(40), { minLength: 2, maxLength: 3 })
    const property = fc.asyncProperty(
      log,
      plan,
      starts,
      fc.integer({ min: 1, max: 4 }),
      async (events, faults, from, size) => {
        const server = new FakeElasticsearch()
        server.faults.push(...faults)
        const options = { 'batch.size': String(size), 'max.retries': '40', 'retry.backoff.ms': '0' }
        const records = events.map(({ key, by, set }, i) =>
          sinkRecord(i, { key, value: by === null ? null : { n: `+${by}`, s: set }, timestamp: 1000 + i }),
        )
        const run = async (part: readonly SinkRecord[]) => {
          await using task = new Task(server, options)
          await task.put(...part)
          assert.equal(await task.drain(), true)
        }
        // Lost tasks have read less and still write; a replay begins anywhere, in other batches.
        await Promise.all([run(records), ...from.map((end) => run(records.slice(0, end)))])
        for (const start of from) await run(records.slice(start))
        for (const key of ['a', 'b', 'c']) {
          const own = records.filter((r) => r.key === key)
          if (own.length === 0) continue
          const since = own.slice(own.findLastIndex((r) => r.value === null) + 1)
          const { kc_fence: fence, ...body } = documentOf(server, key) as Struct
          assert.deepEqual(fence, { 'topic-0': Number(own.at(-1)?.offset) })
          const last = since.at(-1)
          if (last === undefined) assert.deepEqual(body, { deleted: true })
          else {
            assert.deepEqual(body, {
              n: since.reduce((sum, r) => sum + Number((r.value as Struct)['n']), 0),
              s: (last.value as Struct)['s'],
              created_at: since[0]?.timestamp,
              updated_at: last.timestamp,
            })
          }
        }
      },
    )
    await fc.assert(property, { numRuns: 80 })
  })
})
