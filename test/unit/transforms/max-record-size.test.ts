import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { recordBytes, recordBytesAtMost } from '../../../transforms/record-bytes.ts'
import { makeSchema, Schemas, type Value } from '../../../worker/api/data.ts'
import { kindOf } from '../../../worker/api/errors.ts'
import { stringifyJson } from '../../../worker/api/json.ts'
import { lastHeader, type SinkRecord } from '../../../worker/api/record.ts'
import { record, struct, transform } from './support.ts'

const name = 'sluice.transforms.MaxRecordSize'
const row = makeSchema({
  ...struct({ id: Schemas.int64, body: Schemas.optionalString, raw: Schemas.optionalBytes }),
  optional: true,
})
const json = makeSchema({ type: 'STRING', name: 'io.debezium.data.Json', optional: true })
const valueSchema = struct({ before: row, after: row, json })
const event = (value: Record<string, Value>): SinkRecord =>
  record({ topic: 'docs', valueSchema, value: { before: null, after: null, json: null, ...value } })
const shortened = (result: SinkRecord | null): unknown =>
  JSON.parse(String(lastHeader(result?.headers ?? [], 'sluice.shortened')?.value ?? 'null'))
const valueOf = (result: SinkRecord | null) => result?.value as Record<string, Record<string, Value>>

describe('MaxRecordSize', () => {
  it('passes what fits, untouched', async () => {
    const cut = await transform(name, { 'max.bytes': '2000', action: 'cut' })
    for (const input of [event({ after: { id: 1n, body: 'x'.repeat(1900), raw: null } }), record({ value: null })]) {
      assert.equal(cut.apply(input), input)
    }
  })

  it('cuts the longest fields until the record fits, and names them', async () => {
    const cut = await transform(name, { 'max.bytes': '5000', action: 'cut' })
    const input = event({
      before: { id: 1n, body: 'old'.repeat(1000), raw: null },
      after: { id: 1n, body: 'a"😀'.repeat(3000), raw: new Uint8Array(900) },
    })
    const result = cut.apply(input)
    assert.ok(result)
    assert.ok(recordBytes(result) <= 5000, String(recordBytes(result)))
    const { before: old, after: changed } = valueOf(result)
    assert.match(String(changed?.['body']), /^(?:a"😀)+a?"?…$/u)
    assert.equal(changed?.['id'], 1n)
    assert.match(String(old?.['body']), /^(?:old)+o?l?…$/)
    assert.deepEqual(shortened(result), [
      { field: 'after.body', bytes: 45_002 },
      { field: 'before.body', bytes: 3002 },
    ])
    assert.equal(result.valueSchema, valueSchema)
    assert.equal(String(valueOf(input)['after']?.['body']).length, 12_000, 'the input is as it was (I5)')
  })

  it('cuts bytes too, and only the fields it is told of', async () => {
    const cut = await transform(name, { 'max.bytes': '4000', action: 'cut', fields: 'after.raw' })
    const result = cut.apply(event({ after: { id: 1n, body: 'x'.repeat(1500), raw: new Uint8Array(5000) } }))
    assert.ok(recordBytes(result as SinkRecord) <= 4000)
    assert.equal(valueOf(result)['after']?.['body'], 'x'.repeat(1500))
    assert.throws(() => cut.apply(event({ after: { id: 1n, body: 'x'.repeat(5000), raw: null } })), /does not suffice/)
  })

  it('does not break a text that promises a form, unless it is named', async () => {
    const input = event({ json: `"${'x'.repeat(5000)}"` })
    const cut = await transform(name, { 'max.bytes': '2000', action: 'cut' })
    assert.throws(
      () => cut.apply(input),
      (error: Error) => kindOf(error) === 'record' && /max\.bytes/.test(error.message),
    )
    const named = await transform(name, { 'max.bytes': '2000', action: 'cut', fields: 'json' })
    assert.deepEqual(shortened(named.apply(input) as SinkRecord), [{ field: 'json', bytes: 5006 }])
  })

  it('fails the record for the dead letter queue, without its content (I8)', async () => {
    const dlq = await transform(name, { 'max.bytes': '2000', action: 'dlq' })
    assert.throws(
      () => dlq.apply(event({ after: { id: 1n, body: 'secret'.repeat(1000), raw: null } })),
      (error: Error) => kindOf(error) === 'record' && !error.message.includes('secret'),
    )
  })

  it('refuses claims without a bucket, or with half a key pair', async () => {
    await assert.rejects(transform(name, { 'max.bytes': '2000', action: 'claim' }), /needs a bucket/)
    const options = { 'max.bytes': '2000', action: 'claim', 'claim.bucket': 'b', 'aws.access.key.id': 'x' }
    await assert.rejects(transform(name, options), /must be set together/)
  })

  const text = fc.string({ unit: 'grapheme', maxLength: 200 })
  const data = fc.letrec<{ value: Value }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      text,
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(fc.string({ maxLength: 8 }), tie('value'), { maxKeys: 4 }) as fc.Arbitrary<Value>,
    ),
  })).value

  it('property: the size is that of the JSON, and the quick bound is never below', () => {
    fc.assert(
      fc.property(data, (value) => {
        const input = record({ value })
        const bytes = Buffer.byteLength(stringifyJson(value)) + Buffer.byteLength('null')
        const measured = recordBytes(input)
        assert.ok(measured >= bytes && measured <= bytes * 1.5 + 8, `${measured} for ${bytes}`)
        assert.ok(recordBytesAtMost(input) >= measured)
      }),
    )
  })

  it('property: a record either fits afterwards or fails, and other fields keep their values', async () => {
    const cut = await transform(name, { 'max.bytes': '3000', action: 'cut', 'min.field.bytes': '256' })
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 4000 }), fc.uint8Array({ maxLength: 3000 }), (body, raw) => {
        const input = event({ after: { id: 9007199254740993n, body, raw } })
        let result: SinkRecord | null
        try {
          result = cut.apply(input)
        } catch (error) {
          assert.equal(kindOf(error), 'record')
          return
        }
        assert.ok(result && recordBytes(result) <= 3000)
        assert.equal(valueOf(result)['after']?.['id'], 9007199254740993n)
      }),
    )
  })
})

/** A server in a thread of its own: this one sleeps while a claim is uploaded. */
const s3 = `
  const { createServer } = require('node:http')
  const { parentPort } = require('node:worker_threads')
  let failures = 0
  const server = createServer((request, response) => {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      if (request.url.includes('silent')) return
      if (request.url.includes('denied')) return response.writeHead(403).end('<Error><Code>AccessDenied</Code></Error>')
      if (request.url.includes('flaky') && failures++ < 2) return response.writeHead(503).end('<Error><Code>SlowDown</Code></Error>')
      parentPort.postMessage({ method: request.method, url: request.url, body: Buffer.concat(chunks).toString() })
      response.writeHead(200, { etag: '"x"' }).end()
    })
  })
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))
`

describe('MaxRecordSize with claim checks', () => {
  let server: Worker
  let endpoint = ''
  before(async () => {
    server = new Worker(s3, { eval: true })
    const [port] = (await once(server, 'message')) as [number]
    endpoint = `http://127.0.0.1:${port}`
  })
  after(() => server.terminate())

  const claim = (bucket: string, more: Record<string, string> = {}) =>
    transform(name, {
      'max.bytes': '2000',
      action: 'claim',
      'claim.bucket': bucket,
      'claim.endpoint': endpoint,
      'claim.path.style': 'true',
      'aws.access.key.id': 'id',
      'aws.secret.access.key': 'secret',
      ...more,
    })
  const body = 'héllo '.repeat(1000)
  const large = event({ after: { id: 1n, body, raw: null } })

  for (const bucket of ['bucket', 'flaky']) {
    it(`stores the field before the record goes on (I1): ${bucket}`, async () => {
      const store = await claim(bucket)
      const stored = once(server, 'message')
      const result = store.apply(large)
      const [put] = (await stored) as [{ method: string; url: string; body: string }]
      const url = String(valueOf(result as SinkRecord)['after']?.['body'])
      assert.match(url, new RegExp(`^s3://${bucket}/claims/docs/[\\da-f]{64}$`))
      assert.equal(put.method, 'PUT')
      assert.equal(put.url.split('?')[0], url.replace('s3:/', ''))
      assert.equal(put.body, body)
      const sha256 = url.split('/').at(-1)
      assert.deepEqual(shortened(result as SinkRecord), [{ field: 'after.body', bytes: 7002, url, sha256 }])
      const again = once(server, 'message')
      assert.deepEqual(store.apply(large)?.value, result?.value, 'the same object again')
      await again
      store.close?.()
    })
  }

  it('fails in time when S3 does not answer, and by kind when it refuses', async () => {
    const silent = await claim('silent', { 'claim.timeout.ms': '1000' })
    assert.throws(
      () => silent.apply(large),
      (error: Error) => kindOf(error) === 'retriable' && /no answer within/.test(error.message),
    )
    silent.close?.()
    const denied = await claim('denied')
    assert.throws(
      () => denied.apply(large),
      (error: Error) => kindOf(error) !== 'retriable' && /was not stored/.test(error.message),
    )
    denied.close?.()
  })
})
