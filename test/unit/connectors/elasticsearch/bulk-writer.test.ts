import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { BulkWriter } from '../../../../connectors/elasticsearch/bulk-writer.ts'
import { DocumentWriter } from '../../../../connectors/elasticsearch/documents.ts'
import { OffsetTracker } from '../../../../connectors/elasticsearch/offset-tracker.ts'
import { Backoff } from '../../../../connectors/elasticsearch/retry.ts'
import { GrowingByteWriter } from '../../../../worker/api/byte-writer.ts'
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

/** Whether a request that failed as a whole says why in its cause. */
function causedBy(text: RegExp): (error: Error) => boolean {
  return ({ message, cause }) => message === 'Bulk request failed' && cause instanceof Error && text.test(cause.message)
}

/** A writer over the in-memory server, and the offsets that it acknowledges. */
class Subject implements AsyncDisposable {
  readonly server = new FakeElasticsearch()
  readonly tracker = new OffsetTracker()
  readonly context = sinkContext()
  readonly recreated: string[] = []
  readonly writer: BulkWriter
  readonly #documents: DocumentWriter
  readonly #scratch = new GrowingByteWriter()
  #next = 0n

  constructor(options: RawOptions = {}) {
    const config = elasticsearchConfig({ 'schema.ignore': 'true', 'behavior.on.null.values': 'delete', ...options })
    this.#documents = new DocumentWriter(config)
    const { clock, logger, metrics } = this.context
    this.writer = new BulkWriter({
      config,
      connection: this.server,
      clock,
      logger,
      metrics,
      report: this.context.report,
      recreate: async (resource) => {
        this.recreated.push(resource)
      },
    })
  }

  async add(...records: SinkRecord[]): Promise<void> {
    for (const record of records) {
      const slot = this.tracker.add(record)
      this.#next = record.offset + 1n
      this.#scratch.reset()
      const action = this.#documents.write(record, 'topic', this.#scratch)
      await this.writer.add({ record, slot, action }, this.#scratch.since(0), AbortSignal.timeout(20_000))
    }
  }

  committable(): bigint | undefined {
    return this.tracker.committable(offsets({ 'topic-0': this.#next })).get('topic', 0)
  }

  async drain(): Promise<boolean> {
    return await this.writer.drain(10_000)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.writer.close()
  }
}

const upsert = { 'write.method': 'upsert' }
const put = (offset: number, key: string, value: object | null = { n: offset }) =>
  sinkRecord(offset, { key, value: value as never })

describe('BulkWriter', () => {
  it('writes, replaces and deletes with the offset as version (E30, E52)', async () => {
    await using subject = new Subject()
    await subject.add(put(0, 'a'), put(1, 'b'), put(2, 'a'), put(3, 'b', null))
    assert.equal(await subject.drain(), true)
    assert.deepEqual([...subject.server.documents], [['a', { version: 2n, source: '{"n":2}' }]])
    assert.equal(subject.committable(), 4n)
  })

  it('sends versions beyond 2^53 exactly (E33)', async () => {
    await using subject = new Subject()
    await subject.add(sinkRecord(9007199254740993n, { key: 'a', value: { n: 1 } }))
    await subject.drain()
    assert.equal(subject.server.documents.get('a')?.version, 9007199254740993n)
  })

  it('closes a request at batch.size and at bulk.size.bytes (E45)', async () => {
    await using counted = new Subject({ 'batch.size': '2', 'linger.ms': '1000', 'max.in.flight.requests': '1' })
    await counted.add(put(0, 'a'), put(1, 'b'), put(2, 'c'))
    await eventually(() => counted.server.requests.length === 1)
    assert.equal(counted.server.requests[0]?.length, 2)
    assert.equal(await counted.drain(), true)
    await using sized = new Subject({ 'bulk.size.bytes': '210', 'linger.ms': '1000', 'max.in.flight.requests': '1' })
    await sized.add(put(0, 'a'), put(1, 'b'), put(2, 'c'))
    await sized.drain()
    assert.deepEqual(
      sized.server.requests.map((r) => r.length),
      [2, 1],
    )
  })

  it('counts repeats of items by bulk.item.retries, apart from those of requests (E53)', async () => {
    const busy = { items: { a: { status: 429, type: 'es_rejected_execution_exception' } } }
    const lost = { fail: { name: 'ConnectionError' } }
    await using patient = new Subject({ 'max.retries': '1', 'bulk.item.retries': '5' })
    // The fifth attempt of the item meets a lost connection, the first of a request that may be repeated once.
    patient.server.faults.push(busy, busy, busy, busy, lost)
    await patient.add(put(0, 'a'), put(1, 'b'))
    assert.equal(await patient.drain(), true)
    assert.equal(patient.committable(), 2n)
    await using impatient = new Subject({ 'max.retries': '5', 'bulk.item.retries': '0' })
    impatient.server.faults.push(lost, busy)
    await impatient.add(put(0, 'a'), put(1, 'b'))
    assert.equal(await impatient.drain(), false)
    assert.throws(() => impatient.writer.throwIfFailed(), /index records .* after 1 attempt/)
    assert.equal(impatient.committable(), 0n)
    assert.equal(impatient.server.requests.length, 2)
    await using exhausted = new Subject({ 'max.retries': '1', 'bulk.item.retries': '5' })
    exhausted.server.faults.push(busy, busy, lost, lost)
    await exhausted.add(put(0, 'a'))
    assert.equal(await exhausted.drain(), false)
    assert.throws(() => exhausted.writer.throwIfFailed(), causedBy(/execute bulk request .* after 2 attempt/))
  })

  it('sends a part of a request after linger.ms (E46)', async () => {
    await using subject = new Subject({ 'linger.ms': '5' })
    await subject.add(put(0, 'a'))
    await eventually(() => subject.committable() === 1n)
  })

  it('keeps to max.in.flight.requests (E49)', async () => {
    await using subject = new Subject({ 'batch.size': '1', 'max.in.flight.requests': '3' })
    subject.server.hold = true
    const adding = subject.add(...Array.from({ length: 9 }, (_, i) => put(i, `k${i}`)))
    await eventually(() => subject.server.held.length === 3)
    subject.server.hold = false
    for (const release of subject.server.held) release()
    await adding
    await subject.drain()
    assert.equal(subject.server.mostInFlight, 3)
    assert.equal(subject.server.documents.size, 9)
  })

  it('never lets offsets pass a hole (E60)', async () => {
    await using subject = new Subject({ 'batch.size': '1', 'max.in.flight.requests': '3' })
    subject.server.hold = true
    await subject.add(put(0, 'a'), put(1, 'b'), put(2, 'c'))
    await eventually(() => subject.server.held.length === 3)
    subject.server.held[1]?.()
    subject.server.held[2]?.()
    await eventually(() => subject.server.documents.size === 2)
    assert.equal(subject.committable(), 0n)
    subject.server.held[0]?.()
    await eventually(() => subject.committable() === 3n)
  })

  it('blocks while the buffer is full, and says so after flush.timeout.ms (E48)', async () => {
    await using subject = new Subject({
      'batch.size': '1',
      'max.in.flight.requests': '1',
      'max.buffered.records': '2',
      'flush.timeout.ms': '1000',
    })
    subject.server.hold = true
    await assert.rejects(() => subject.add(put(0, 'a'), put(1, 'b'), put(2, 'c')), {
      code: 'CONNECT_ES_BUFFER_FULL',
      message: /Could not make space in the internal buffer fast enough/,
    })
    assert.equal(subject.committable(), 0n)
  })

  it('takes nothing more while 1 MiB waits, however few documents that are', async () => {
    await using subject = new Subject({ 'batch.size': '1', 'max.in.flight.requests': '2' })
    subject.server.hold = true
    const large = (offset: number) => put(offset, `k${offset}`, { text: 'x'.repeat(1_500_000) })
    // Two are sent, one waits.
    await subject.add(large(0), large(1), large(2))
    let isTaken = false
    const fourth = subject.add(large(3)).then(() => {
      isTaken = true
    })
    await setImmediate()
    assert.equal(isTaken, false)
    subject.server.hold = false
    for (const answer of subject.server.held) answer()
    await fourth
    assert.equal(await subject.drain(), true)
    assert.deepEqual(
      subject.server.requests.map((lines) => lines.map(({ id }) => id)),
      [['k0'], ['k1'], ['k2'], ['k3']],
    )
    assert.equal(subject.committable(), 4n)
  })

  it('takes record by record where one request has one record, and so fails at the next (E54)', async () => {
    await using subject = new Subject({ 'batch.size': '1', 'max.in.flight.requests': '1' })
    const { server } = subject
    server.hold = true
    await subject.add(put(0, 'a'))
    let isTaken = false
    const second = subject.add(put(1, 'b')).then(() => {
      isTaken = true
    })
    await setImmediate()
    assert.equal(isTaken, false)
    server.faults.push({ items: { b: { status: 400, type: 'mapper_parsing_exception' } } })
    server.hold = false
    server.held[0]?.()
    await second
    await assert.rejects(() => subject.add(put(2, 'c')), /Indexing record failed/)
    assert.equal(server.requests.length, 2)
    assert.equal(subject.committable(), 1n)
  })

  it('fills the next batch while the only request is under way, and no more (E48)', async () => {
    await using subject = new Subject({ 'batch.size': '3', 'max.in.flight.requests': '1', 'linger.ms': '5000' })
    const { server } = subject
    server.hold = true
    await subject.add(put(0, 'a'), put(1, 'b'), put(2, 'c'), put(3, 'd'), put(4, 'e'))
    let isTaken = false
    const sixth = subject.add(put(5, 'f')).then(() => {
      isTaken = true
    })
    await setImmediate()
    assert.equal(isTaken, false)
    server.hold = false
    server.held[0]?.()
    await sixth
    assert.equal(await subject.drain(), true)
    assert.equal(subject.committable(), 6n)
    assert.equal(server.mostInFlight, 1)
  })

  it('has room for a usual batch in each body, also behind one that was sent early', async () => {
    await using subject = new Subject({ 'batch.size': '100', 'linger.ms': '5000' })
    const { server, writer } = subject
    const rooms: number[] = []
    const answer = server.request.bind(server)
    server.request = async (request, signal) => {
      if (request.ndjson !== undefined) rooms.push(request.ndjson.buffer.byteLength / request.ndjson.length)
      return await answer(request, signal)
    }
    // Under way together, so that each has a body of its own.
    server.hold = true
    let offset = 0
    for (const count of [100, 60, 100, 30]) {
      for (let i = 0; i < count; i++, offset++) await subject.add(put(offset, `k${offset}`, { text: 'x'.repeat(2000) }))
      writer.flush()
    }
    await setImmediate()
    const [, , usual = 9] = rooms
    assert.equal(rooms.length, 4)
    assert.ok(usual < 1.3, `${usual} times its size`)
    server.hold = false
    for (const release of server.held) release()
    assert.equal(await subject.drain(), true)
  })

  const transient: readonly Fault[] = [
    { fail: { name: 'ResponseError', statusCode: 429 } },
    { fail: { name: 'ResponseError', statusCode: 503 } },
    { fail: { name: 'ConnectionError' } },
    { fail: { name: 'TimeoutError' } },
    { applyThenFail: { name: 'ConnectionError' } },
  ]
  for (const fault of transient) {
    it(`repeats a request after ${JSON.stringify(fault)} without loss (E52)`, async () => {
      await using subject = new Subject()
      subject.server.faults.push(fault, fault)
      await subject.add(put(0, 'a'), put(1, 'b'))
      assert.equal(await subject.drain(), true)
      assert.equal(subject.server.requests.length, 3)
      assert.equal(subject.server.documents.size, 2)
      assert.equal(subject.committable(), 2n)
      assert.deepEqual(subject.context.reports, [])
    })
  }

  it('fails after the last retry, with nothing committed (E51)', async () => {
    await using subject = new Subject({ 'max.retries': '2' })
    subject.server.faults.push(...Array.from({ length: 3 }, () => ({ fail: { name: 'ConnectionError' } })))
    await subject.add(put(0, 'a'))
    assert.equal(await subject.drain(), false)
    assert.throws(
      () => subject.writer.throwIfFailed(),
      causedBy(/Failed to execute bulk request due to 'ConnectionError.*' after 3 attempt\(s\)/),
    )
    assert.equal(subject.committable(), 0n)
  })

  it('sends less at a time to a server that is too busy, and more again once it answers', async () => {
    await using subject = new Subject({ 'batch.size': '1', 'max.in.flight.requests': '8', 'max.retries': '100' })
    const busy: Fault = { fail: { name: 'TimeoutError' } }
    subject.server.faults.push(...Array.from({ length: 40 }, () => busy))
    const records = Array.from({ length: 60 }, (_, i) => put(i, `k${i}`))
    await subject.add(...records.slice(0, 20))
    await eventually(() => subject.server.faults.length === 0)
    const atOnce = new Set(subject.server.inFlightAtFaults.slice(20))
    assert.deepEqual(atOnce, new Set([1]), 'one request, while every one meets a busy server')
    subject.server.mostInFlight = 0
    await subject.add(...records.slice(20))
    assert.equal(await subject.drain(), true)
    assert.ok(subject.server.mostInFlight > 2, `${subject.server.mostInFlight} at a time afterwards`)
    assert.equal(subject.server.documents.size, 60)
  })

  it('fails at once when access is denied', async () => {
    await using subject = new Subject()
    subject.server.faults.push({ fail: { name: 'ResponseError', statusCode: 403, type: 'security_exception' } })
    await subject.add(put(0, 'a'))
    assert.equal(await subject.drain(), false)
    assert.equal(subject.server.requests.length, 1)
    assert.throws(() => subject.writer.throwIfFailed(), causedBy(/security_exception.* after 1 attempt/))
  })

  it('sends only those items again that the server was too busy for (E53)', async () => {
    await using subject = new Subject()
    subject.server.faults.push({ items: { b: { status: 429, type: 'es_rejected_execution_exception' } } })
    await subject.add(put(0, 'a'), put(1, 'b'), put(2, 'c'))
    await subject.drain()
    assert.deepEqual(
      subject.server.requests.map((r) => r.map((l) => l.id)),
      [['a', 'b', 'c'], ['b']],
    )
    assert.equal(subject.committable(), 3n)
  })

  it('creates an index anew that has gone', async () => {
    await using subject = new Subject()
    subject.server.faults.push({ items: { a: { status: 404, type: 'index_not_found_exception' } } })
    await subject.add(put(0, 'a'))
    await subject.drain()
    assert.deepEqual(subject.recreated, ['topic'])
    assert.equal(subject.server.documents.size, 1)
  })

  const unread = [
    { statusCode: 413 },
    { statusCode: 400, type: 'action_request_validation_exception' },
    { statusCode: 400, type: 'x_content_parse_exception' },
  ]
  for (const refusal of unread) {
    it(`splits what is refused as a whole with ${JSON.stringify(refusal)}, and treats one such document as malformed`, async () => {
      await using subject = new Subject({ 'behavior.on.malformed.documents': 'ignore' })
      const refused: Fault = { fail: { name: 'ResponseError', ...refusal } }
      subject.server.faults.push(refused, refused, null, refused)
      await subject.add(put(0, 'a'), put(1, 'b'), put(2, 'c'))
      await subject.drain()
      assert.deepEqual(
        subject.server.requests.map((r) => r.map((l) => l.id).join('')),
        ['abc', 'a', 'bc'],
      )
      assert.equal(subject.committable(), 3n)
      assert.deepEqual(
        subject.context.reports.map((r) => r.record.offset),
        [0n],
      )
      assert.match(
        subject.context.reports[0]?.error.message ?? '',
        new RegExp(`type=${refusal.type ?? 'content_too_long'}`),
      )
    })
  }

  it('fails at once when a request is refused for more than its documents', async () => {
    await using subject = new Subject({ 'behavior.on.malformed.documents': 'ignore' })
    const fail = { name: 'ResponseError', statusCode: 400, type: 'illegal_argument_exception' }
    subject.server.faults.push({ fail })
    await subject.add(put(0, 'a'), put(1, 'b'))
    await subject.drain()
    assert.throws(() => subject.writer.throwIfFailed(), causedBy(/HTTP 400 illegal_argument_exception/))
    assert.equal(subject.server.requests.length, 1)
    assert.equal(subject.committable(), 0n)
  })

  for (const behavior of ['ignore', 'warn', 'report', 'fail']) {
    it(`treats malformed documents by behavior.on.malformed.documents=${behavior} (E54)`, async () => {
      await using subject = new Subject({ 'behavior.on.malformed.documents': behavior })
      subject.server.faults.push({ items: { b: { status: 400, type: 'document_parsing_exception' } } })
      await subject.add(put(0, 'a'), put(1, 'b'), put(2, 'c'))
      const drained = await subject.drain()
      assert.equal(drained, behavior !== 'fail')
      assert.equal(subject.committable(), behavior === 'fail' ? 1n : 3n)
      const [report] = subject.context.reports
      assert.equal(report?.record.offset, 1n)
      assert.equal(
        report?.error.message,
        'Indexing failed: ElasticsearchException[Elasticsearch exception [type=document_parsing_exception, reason=planned]]',
      )
      assert.equal(
        subject.context.logger.lines.some((l) => l.includes('refused')),
        behavior === 'warn',
      )
      if (behavior === 'fail') {
        assert.throws(() => subject.writer.throwIfFailed(), {
          message: 'Indexing record failed. Please check DLQ topic for errors.',
        })
      }
    })
  }

  it('takes version conflicts as success and counts them (E56)', async () => {
    await using subject = new Subject()
    await subject.add(put(0, 'a'), put(1, 'a'))
    await subject.drain()
    await subject.add(put(0, 'a'), put(1, 'a'))
    await subject.drain()
    assert.deepEqual(subject.server.documents.get('a'), { version: 1n, source: '{"n":1}' })
    assert.deepEqual(subject.context.reports, [])
    assert.equal(subject.context.metrics.values.get('elasticsearch-version-conflicts'), 2)
    assert.equal(subject.committable(), 2n)
  })

  it('retries conflicts of updates instead of skipping them (E69)', async () => {
    await using subject = new Subject(upsert)
    subject.server.faults.push({ items: { a: { status: 409, type: 'version_conflict_engine_exception' } } })
    await subject.add(put(0, 'a'))
    await subject.drain()
    assert.equal(subject.server.requests.length, 2)
    assert.equal(subject.server.documents.size, 1)
  })

  it('keeps updates and deletes of one document in order, also when one is repeated', async () => {
    await using subject = new Subject({ ...upsert, 'batch.size': '1' })
    subject.server.faults.push({ items: { a: { status: 429, type: 'es_rejected_execution_exception' } } })
    await subject.add(
      put(0, 'a', { x: 1, y: 1 }),
      put(1, 'a', { x: 2 }),
      put(2, 'b'),
      put(3, 'a', null),
      put(4, 'a', { z: 5 }),
    )
    await subject.drain()
    assert.equal(subject.server.documents.get('a')?.source, '{"z":5}')
    assert.equal(subject.committable(), 5n)
  })

  it('ends with the state of the log whatever fails, in both methods (I1-I4)', async () => {
    const faults = fc.array(
      fc.oneof(
        fc.constant<Fault | null>(null),
        fc.constantFrom<Fault>(...transient, { fail: { name: 'ResponseError', statusCode: 413 } }),
        fc
          .constantFrom('a', 'b')
          .map<Fault>((id) => ({ items: { [id]: { status: 429, type: 'es_rejected_execution_exception' } } })),
      ),
      { maxLength: 6 },
    )
    const log = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.option(fc.integer(), { freq: 3 })), {
      minLength: 1,
      maxLength: 30,
    })
    const property = fc.asyncProperty(
      log,
      faults,
      fc.boolean(),
      fc.integer({ min: 1, max: 5 }),
      async (events, plan, asUpsert, size) => {
        await using subject = new Subject({
          'write.method': asUpsert ? 'upsert' : 'insert',
          'batch.size': String(size),
          'max.retries': '20',
          'retry.backoff.ms': '0',
          'behavior.on.malformed.documents': 'report',
        })
        // A 413 for one action alone would be a refusal, which is another test.
        subject.server.faults.push(...plan.filter((f) => size > 1 || !JSON.stringify(f).includes('413')))
        const records = events.map(([key, n], i) => put(i, key, n === null ? null : { n }))
        await subject.add(...records)
        assert.equal(await subject.drain(), true)
        assert.equal(subject.committable(), BigInt(records.length))
        const reported = new Set(subject.context.reports.map((r) => r.record.offset))
        // A record that was reported may have been applied all the same, when the answer that said so was lost.
        const possible = new Map<string, (string | null)[]>()
        for (const r of records) {
          const id = String(r.key)
          const state = r.value === null ? null : JSON.stringify(r.value)
          possible.set(id, reported.has(r.offset) ? [...(possible.get(id) ?? [null]), state] : [state])
        }
        for (const [id, states] of possible) {
          const actual = subject.server.documents.get(id)?.source ?? null
          assert.ok(states.includes(actual), `${id} is ${actual} instead of ${states.join(' or ')}`)
        }
      },
    )
    await fc.assert(property, { numRuns: 60 })
  })

  it('ends requests that hang when it is closed', async () => {
    const subject = new Subject()
    subject.server.hold = true
    await subject.add(put(0, 'a'))
    await eventually(() => subject.server.held.length === 1)
    await subject.writer.close()
    assert.equal(subject.committable(), 0n)
  })
})

describe('Backoff', () => {
  it('doubles up to its bound, with full jitter (E50)', () => {
    const config = elasticsearchConfig({ 'retry.backoff.ms': '100' })
    const bounds = new Backoff(config)
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6].map((n) => bounds.boundMs(n)),
      [100, 200, 400, 800, 1600, 3200],
    )
    assert.equal(bounds.boundMs(1000), 86_400_000)
    assert.equal(new Backoff(config, () => 0.5).waitMs(2), 100)
    const bounded = new Backoff(elasticsearchConfig({ 'retry.backoff.ms': '100', 'retry.backoff.max.ms': '1000' }))
    assert.equal(bounded.boundMs(20), 1000)
  })
})
