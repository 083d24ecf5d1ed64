import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { RequestBody } from '../../../../connectors/common/request-body.ts'
import { openObjectStore, type S3ClientOptions } from '../../../../connectors/common/s3-client.ts'
import { classifyS3Error } from '../../../../connectors/common/s3-errors.ts'
import { Password } from '../../../../worker/api/config.ts'

const named = (name: string, status?: number) =>
  Object.assign(new Error('x'), { name }, status === undefined ? {} : { $metadata: { httpStatusCode: status } })

for (const [error, code, retriable] of [
  [named('SlowDown', 503), 'CONNECT_S3_UNAVAILABLE', true],
  [named('TimeoutError'), 'CONNECT_S3_UNAVAILABLE', true],
  [named('Unknown', 500), 'CONNECT_S3_UNAVAILABLE', true],
  [named('Unknown', 429), 'CONNECT_S3_UNAVAILABLE', true],
  [named('ExpiredToken', 400), 'CONNECT_S3_UNAVAILABLE', true],
  [named('ConditionalRequestConflict', 409), 'CONNECT_S3_UNAVAILABLE', true],
  [Object.assign(new Error('x'), { code: 'ECONNRESET' }), 'CONNECT_S3_UNAVAILABLE', true],
  [named('PreconditionFailed', 412), 'CONNECT_S3_PRECONDITION_FAILED', false],
  [named('PreconditionFailed', 200), 'CONNECT_S3_PRECONDITION_FAILED', false],
  [named('AccessDenied', 403), 'CONNECT_S3_DENIED', false],
  [named('NoSuchUpload', 404), 'CONNECT_S3_NOT_FOUND', false],
  [named('NotImplemented', 501), 'CONNECT_S3_REJECTED', false],
  [named('InvalidArgument', 400), 'CONNECT_S3_REJECTED', false],
  [new TypeError('x'), 'CONNECT_S3_REJECTED', false],
] as const) {
  test(`${error.name} ${JSON.stringify(error)} is ${code}`, () => {
    assert.deepEqual(classifyS3Error(error), { code, retriable })
  })
}

/** An S3 server that answers 503 to the first `failures` requests. */
async function openFake(failures: number, settings: Partial<S3ClientOptions> = {}) {
  const requests: { method: string; headers: NodeJS.Dict<string | string[]>; body: Buffer }[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      requests.push({ method: request.method ?? '', headers: request.headers, body: Buffer.concat(chunks) })
      if (requests.length <= failures) response.writeHead(503).end('<Error><Code>SlowDown</Code></Error>')
      else response.writeHead(200, { ETag: '"abc"' }).end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const store = await openObjectStore({
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    pathStyle: true,
    accelerate: false,
    credentials: { id: 'id', secret: new Password('secret'), sessionToken: null },
    attempts: 3,
    backoffMs: 1,
    checksums: 'WHEN_REQUIRED',
    expectContinue: false,
    ...settings,
  })
  return {
    requests,
    store,
    async [Symbol.asyncDispose]() {
      await store.close()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const options = {
  contentType: 'binary/octet-stream',
  cannedAcl: 'private',
  encryption: 'AES256',
  kmsKeyId: null,
  customerKey: null,
  contentMd5: true,
  onlyIfAbsent: true,
}

test('a put is repeated up to the number of attempts and carries its headers, without checksums', async () => {
  await using fake = await openFake(2)
  const written = await fake.store.put({ bucket: 'b', key: 'k' }, Buffer.from('text'), options)
  assert.deepEqual(written, { etag: 'abc', versionId: null })
  assert.equal(fake.requests.length, 3)
  const headers = fake.requests[2]?.headers ?? {}
  assert.equal(headers['if-none-match'], '*')
  assert.equal(headers['x-amz-acl'], 'private')
  assert.equal(headers['x-amz-server-side-encryption'], 'AES256')
  assert.equal(headers['content-md5'], 'HLJR7A1WjeapKbUgxK7Y0Q==')
  assert.deepEqual(
    Object.keys(headers).filter((name) => name.includes('checksum')),
    [],
  )
})

test('after the last attempt the error is retriable, without the secret', async () => {
  await using fake = await openFake(99)
  await assert.rejects(fake.store.put({ bucket: 'b', key: 'k' }, Buffer.from('text'), options), (error: Error) => {
    assert.equal(error.name, 'RetriableError')
    assert.doesNotMatch(error.message, /secret/)
    return true
  })
  assert.equal(fake.requests.length, 3)
})

/** More than a socket takes at once, in pieces of several sizes. */
const pieces = Array.from({ length: 40 }, (_, i) => Buffer.alloc(1 + i * 3001, i))
const whole = Buffer.concat(pieces)

for (const expectContinue of [false, true]) {
  test(`content in pieces arrives as one, signed with its sum, expectContinue=${expectContinue}; a repetition sends it again`, async () => {
    await using fake = await openFake(1, { expectContinue })
    const body = new RequestBody(pieces)
    assert.equal(body.length, whole.length)
    await fake.store.put({ bucket: 'b', key: 'k' }, body, options)
    assert.equal(body.mayStillBeRead, true)
    assert.equal(fake.requests.length, 2)
    for (const { headers, body: received } of fake.requests) {
      assert.ok(received.equals(whole))
      assert.equal(headers['content-length'], String(whole.length))
      assert.equal(headers['transfer-encoding'], undefined)
      assert.equal(headers['content-md5'], createHash('md5').update(whole).digest('base64'))
      assert.equal(headers['x-amz-content-sha256'], createHash('sha256').update(whole).digest('hex'))
    }
  })
}

test('a part in pieces has its CRC in a header, never in a trailer; nobody reads it after the answer', async () => {
  await using fake = await openFake(0, { checksums: 'WHEN_SUPPORTED' })
  const body = new RequestBody(pieces)
  const part = await fake.store.uploadPart({ bucket: 'b', key: 'k' }, 'id', { number: 3, body }, options)
  assert.deepEqual(part, { number: 3, etag: '"abc"' })
  assert.equal(body.mayStillBeRead, false)
  const [request] = fake.requests
  assert.ok(request !== undefined && request.body.equals(whole))
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(whole))
  assert.equal(request.headers['x-amz-checksum-crc32'], sum.toString('base64'))
  assert.equal(request.headers['x-amz-sdk-checksum-algorithm'], 'CRC32')
  assert.equal(request.headers['x-amz-trailer'], undefined)
  assert.equal(request.headers['content-encoding'], undefined)
})

test('who knows the sum of the content already is asked for it once, however often the request is repeated', async () => {
  await using fake = await openFake(1)
  let asked = 0
  const body = new RequestBody(pieces, whole.length, () => {
    asked++
    return createHash('sha256').update('known')
  })
  await fake.store.put({ bucket: 'b', key: 'k' }, body, options)
  const known = createHash('sha256').update('known').digest('hex')
  assert.deepEqual(
    fake.requests.map(({ headers }) => headers['x-amz-content-sha256']),
    [known, known],
  )
  assert.equal(asked, 1)
})

test('content without a byte is sent', async () => {
  await using fake = await openFake(0)
  await fake.store.put({ bucket: 'b', key: 'k' }, new RequestBody([]), options)
  await fake.store.put({ bucket: 'b', key: 'k' }, new Uint8Array(), options)
  assert.deepEqual(
    fake.requests.map(({ headers }) => headers['content-length']),
    ['0', '0'],
  )
})
