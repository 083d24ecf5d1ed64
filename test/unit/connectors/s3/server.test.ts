import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parquetMetadata } from 'hyparquet'
import { makeSchema, Schemas, type Value } from '../../../../worker/api/data.ts'
import { ConnectError } from '../../../../worker/api/errors.ts'
import { SinkRecord } from '../../../../worker/api/record.ts'
import { FakeS3Server } from '../../../conformance/s3/fake-server.ts'
import { SinkHarness } from '../../../conformance/s3/sink-harness.ts'

const tp = { topic: 'orders', partition: 0 }

async function open(config: Readonly<Record<string, string>> = {}, endpoint?: string) {
  await using opened = new AsyncDisposableStack()
  const server = opened.use(await FakeS3Server.open())
  const harness = await SinkHarness.start({
    store: null,
    config: {
      'store.url': endpoint ?? server.endpoint,
      's3.region': 'us-east-1',
      'aws.access.key.id': 'id',
      'aws.secret.access.key': 'secret',
      's3.part.size': '5242880',
      's3.retry.backoff.ms': '1',
      's3.part.retries': '2',
      'retry.backoff.ms': '1000',
      'flush.size': '4',
      ...config,
    },
  })
  opened.defer(() => harness.stop())
  await harness.assign(tp)
  const stack = opened.move()
  return { server, harness, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

const schema = makeSchema({
  type: 'STRUCT',
  fields: [
    { name: 'id', schema: Schemas.int32 },
    { name: 'body', schema: Schemas.string },
  ],
})
const row = (id: number, body = ''): SinkRecord =>
  new SinkRecord({ ...tp, offset: BigInt(id), valueSchema: schema, value: { id, body } })
const rows = (count: number, body = '') => Array.from({ length: count }, (_, id) => row(id, `${id}${body}`))
const key = 'topics/orders/partition=0/orders+0+0000000000'

/** Two MB that no codec makes smaller than a part. */
const large = Array.from({ length: 2_000_000 }, (_, i) => String.fromCharCode(97 + ((i * i * 7919 + i) % 23))).join('')

const formats = {
  json: { class: 'io.confluent.connect.s3.format.json.JsonFormat', extension: '.json' },
  bytes: { class: 'io.confluent.connect.s3.format.bytearray.ByteArrayFormat', extension: '.bin' },
  avro: { class: 'io.confluent.connect.s3.format.avro.AvroFormat', extension: '.avro' },
  parquet: { class: 'io.confluent.connect.s3.format.parquet.ParquetFormat', extension: '.parquet' },
} as const

const calls = {
  put: { match: /^PUT .*orders\+0/, isLarge: false },
  create: { match: /^POST .*\?uploads/, isLarge: true },
  'upload-part': { match: /^PUT .*partNumber=1/, isLarge: true },
  complete: { match: /^POST .*uploadId=/, isLarge: true },
} as const

const answers = [
  { status: 429, code: 'TooManyRequests' },
  { status: 500, code: 'InternalError' },
  { status: 503, code: 'SlowDown' },
  'reset',
] as const

const bytesRow = (record: SinkRecord): SinkRecord => {
  const { id, body } = record.value as { id: number; body: string }
  return record.with({ valueSchema: Schemas.bytes, value: Buffer.from(`${id} ${body}`) as Value })
}

for (const [format, { class: name, extension }] of Object.entries(formats)) {
  test(`429, 500, 503 and resets at every call: one ${format} object, its content exact (S63)`, async () => {
    const config = { 'format.class': name, 'parquet.codec': 'none', 'parquet.row.group.bytes': '5300000' }
    const contents = new Map<boolean, Buffer>()
    const play = async (isLarge: boolean, plan: (server: FakeS3Server) => void) => {
      await using sink = await open(config)
      plan(sink.server)
      const records = rows(4, isLarge ? large : 'small')
      sink.harness.append(format === 'bytes' ? records.map(bytesRow) : records)
      await sink.harness.settle(5000)
      assert.equal(sink.harness.offset(), 4n)
      assert.equal(sink.server.pendingFaults, 0)
      assert.deepEqual([...sink.server.objects.keys()], [`${key}${extension}`])
      assert.equal(sink.server.uploads.size, 0)
      return sink.server.objects.get(`${key}${extension}`) ?? Buffer.alloc(0)
    }
    for (const isLarge of [false, true]) contents.set(isLarge, await play(isLarge, () => {}))
    for (const { match, isLarge } of Object.values(calls)) {
      // Both attempts of the first try and of the second fail.
      const body = await play(isLarge, (server) => {
        for (const answer of answers) server.plan({ match, answer })
      })
      assert.ok(body.equals(contents.get(isLarge) ?? Buffer.alloc(0)), String(match))
    }
    if (format === 'parquet') {
      const file = contents.get(true) ?? Buffer.alloc(0)
      const bytes = file.buffer.slice(file.byteOffset, file.byteOffset + file.length) as ArrayBuffer
      assert.equal(parquetMetadata(bytes).num_rows, 4n)
    }
  })
}

test('an answer that is lost after the work was done does not fail or double anything (S63)', async () => {
  for (const { match, isLarge } of Object.values(calls)) {
    await using sink = await open()
    sink.server.plan({ match, answer: 'reset', applied: true })
    sink.harness.append(rows(4, isLarge ? large : ''))
    await sink.harness.settle(3000)
    assert.equal(sink.harness.offset(), 4n)
    assert.deepEqual([...sink.server.objects.keys()], [`${key}.json`])
  }
})

test('403 stops the task, its offset stays (S64)', async () => {
  for (const { match, isLarge } of Object.values(calls)) {
    await using sink = await open()
    sink.server.plan({ match, answer: { status: 403, code: 'AccessDenied' } })
    sink.harness.append(rows(4, isLarge ? large : ''))
    await assert.rejects(sink.harness.poll(), { code: 'CONNECT_S3_DENIED', kind: 'fatal' })
    await sink.harness.commit()
    assert.equal(sink.harness.offset(), 0n)
    assert.equal(sink.server.objects.size, 0)
  }
})

test('open uploads are aborted on close, and when the server has lost a part of the work (S65)', async () => {
  await using sink = await open({ 'flush.size': '100' })
  sink.harness.append(rows(4, large))
  await sink.harness.settle()
  assert.equal(sink.server.uploads.size, 1)
  await sink.harness.revoke()
  assert.equal(sink.server.uploads.size, 0)
  await using again = await open()
  again.server.plan({ match: /^POST .*uploadId=/, answer: { status: 404, code: 'NoSuchUpload' } })
  again.harness.append(rows(4, large))
  await again.harness.settle(3000)
  assert.equal(again.server.seen('DELETE', 'uploadId').length, 1)
  assert.deepEqual([...again.server.objects.keys()], [`${key}.json`])
})

const conditional = { 'rotate.schedule.interval.ms': '10000', timezone: 'UTC', 'flush.size': '100' }
const named = (offset: number) => `topics/orders/partition=0/orders+0+${String(offset).padStart(10, '0')}.json`

test('412 where an object of other content is: the next free name, also when the 412 is in the body of a 200 (S66)', async () => {
  for (const answer of [null, { status: 200, code: 'PreconditionFailed' }]) {
    await using sink = await open(conditional)
    sink.server.objects.set(named(0), Buffer.from('other'))
    sink.server.objects.set(named(1), Buffer.from('other'))
    if (answer !== null) sink.server.plan({ match: /^POST .*uploadId=/, answer })
    sink.harness.append(rows(4, answer === null ? '' : large))
    await sink.harness.settle(30_000)
    assert.equal(sink.server.objects.get(named(0))?.toString(), 'other')
    assert.equal(sink.server.objects.get(named(2))?.toString().split('\n').length, 5)
    assert.equal(sink.harness.offset(), 4n)
  }
})

test('412 where our own object is: the commit counts as done (S66)', async () => {
  await using sink = await open(conditional)
  sink.server.plan({ match: /^PUT .*orders\+0/, answer: 'reset', applied: true })
  sink.harness.append(rows(4))
  await sink.harness.settle(30_000)
  assert.deepEqual([...sink.server.objects.keys()], [named(0)])
  assert.equal(sink.harness.offset(), 4n)
})

test('409 is repeated; 412 without an object fails; names are tried up to the limit (S66)', async () => {
  await using conflict = await open(conditional)
  conflict.server.plan({
    match: /^PUT .*orders\+0/,
    answer: { status: 409, code: 'ConditionalRequestConflict' },
    times: 3,
  })
  conflict.harness.append(rows(4))
  await conflict.harness.settle(30_000)
  assert.equal(conflict.harness.offset(), 4n)
  await using absent = await open({ ...conditional, 'max.files.scan.limit': '3' })
  for (const offset of [0, 1, 2, 3]) absent.server.objects.set(named(offset), Buffer.from('other'))
  absent.harness.append(rows(4))
  await assert.rejects(absent.harness.settle(30_000), { code: 'CONNECT_S3_NAMES_TAKEN' })
})

test('who may not look whether a name is taken goes on with the next, one at a time (S66)', async () => {
  for (const [taken, next] of [
    [[0], 1],
    [[0, 1], 2],
  ] as const) {
    await using sink = await open(conditional)
    for (const offset of taken) sink.server.objects.set(named(offset), Buffer.from('other'))
    sink.server.plan({ match: /^HEAD .*orders\+0/, answer: { status: 403, code: 'AccessDenied' }, times: 100 })
    sink.harness.append(rows(4))
    await sink.harness.settle(30_000)
    assert.equal(sink.server.objects.get(named(next))?.toString().split('\n').length, 5)
    assert.equal(sink.server.objects.size, taken.length + 1)
    assert.equal(sink.harness.offset(), 4n)
  }
})

test('conditions are used with a schedule and without stored keys and headers only (S16)', async () => {
  for (const [config, expected] of [
    [conditional, '*'],
    [{ ...conditional, 'enable.conditional.writes': 'false' }, undefined],
    [{ 'flush.size': '4' }, undefined],
    [{ ...conditional, 'commit.journal.prefix': '_journal/' }, undefined],
    [{ ...conditional, 'store.kafka.headers': 'true', 'headers.format.class': formats.json.class }, undefined],
  ] as const) {
    await using sink = await open(config)
    const headers = [{ key: 'h', schema: Schemas.string, value: 'v' }]
    sink.harness.append(rows(4).map((record) => record.with({ headers })))
    await sink.harness.settle(20_000)
    const put = sink.server.seen('PUT').find(({ path }) => path.endsWith('0000000000.json'))
    assert.equal(put?.headers['if-none-match'], expected)
  }
})

for (const [config, expected] of [
  [{ 's3.ssea.name': 'AES256' }, { 'x-amz-server-side-encryption': 'AES256' }],
  [
    { 's3.ssea.name': 'aws:kms', 's3.sse.kms.key.id': 'arn:key' },
    { 'x-amz-server-side-encryption': 'aws:kms', 'x-amz-server-side-encryption-aws-kms-key-id': 'arn:key' },
  ],
  [
    { 's3.ssea.name': 'AES256', 's3.sse.customer.key': Buffer.alloc(32, 7).toString('base64') },
    {
      'x-amz-server-side-encryption': undefined,
      'x-amz-server-side-encryption-customer-algorithm': 'AES256',
      'x-amz-server-side-encryption-customer-key': Buffer.alloc(32, 7).toString('base64'),
      'x-amz-server-side-encryption-customer-key-md5': 'y4HAEFCYWuvAXWFTtA1Qpg==',
    },
  ],
  [{ 's3.acl.canned': 'bucket-owner-full-control' }, { 'x-amz-acl': 'bucket-owner-full-control' }],
] as const) {
  test(`headers of every object and upload with ${Object.keys(config).join(', ')} (S67, S68)`, async () => {
    for (const isLarge of [false, true]) {
      // Customer keys go over https only; the fake has none, and the SDK leaves the check to the server.
      await using sink = await open(config)
      sink.harness.append(rows(4, isLarge ? large : ''))
      await sink.harness.settle()
      const [request] = isLarge ? sink.server.seen('POST', 'uploads') : sink.server.seen('PUT')
      for (const [header, value] of Object.entries(expected)) assert.equal(request?.headers[header], value, header)
      if (isLarge && 's3.sse.customer.key' in config) {
        const [part] = sink.server.seen('PUT', 'partNumber')
        assert.equal(part?.headers['x-amz-server-side-encryption-customer-algorithm'], 'AES256')
      }
    }
  })
}

test('a digest goes with each body when told to, checksums of the SDK only when told to (S68)', async () => {
  await using digest = await open({ 's3.send.digest': 'true' })
  digest.harness.append(rows(4, large))
  await digest.harness.settle()
  for (const part of digest.server.seen('PUT', 'partNumber')) assert.match(String(part.headers['content-md5']), /==$/)
  await using checksums = await open({ 's3.checksum.mode': 'when_supported' })
  checksums.harness.append(rows(4))
  await checksums.harness.settle()
  const [put] = checksums.server.seen('PUT')
  assert.match(String(put?.headers['x-amz-checksum-crc32']), /^.{6}==$/)
  await using plain = await open()
  plain.harness.append(rows(4))
  await plain.harness.settle()
  const names = Object.keys(plain.server.seen('PUT')[0]?.headers ?? {})
  assert.deepEqual(
    names.filter((name) => /checksum|content-md5/.test(name)),
    [],
  )
})

test('tags of an object; a refusal is ignored or stops the task (S17, S69)', async () => {
  const tagging = { 's3.object.tagging': 'true', 's3.object.tagging.key.value.pairs': 'team:data,env:prod' }
  await using sink = await open(tagging)
  sink.harness.append(rows(4))
  await sink.harness.settle()
  const pairs = [...(sink.server.tags.get(`${key}.json`) ?? '').matchAll(/<Key>(.*?)<\/Key><Value>(.*?)<\/Value>/g)]
  assert.deepEqual(
    pairs.map(([, name, value]) => `${name}=${value}`),
    ['startOffset=0', 'endOffset=3', 'recordCount=4', 'team=data', 'env=prod'],
  )
  for (const behaviour of ['ignore', 'fail']) {
    await using refusing = await open({ ...tagging, 's3.object.behavior.on.tagging.error': behaviour })
    refusing.server.plan({ match: /tagging/, answer: { status: 501, code: 'NotImplemented' }, times: 9 })
    refusing.harness.append(rows(4))
    if (behaviour === 'fail') await assert.rejects(refusing.harness.settle(), { code: 'CONNECT_S3_REJECTED' })
    else await refusing.harness.settle()
    await refusing.harness.commit()
    assert.equal(refusing.harness.offset(), behaviour === 'fail' ? 0n : 4n)
  }
})

test('a tag of an own takes the place of an offset; without s3.object.tagging there are none (S69)', async () => {
  const pairs = { 's3.object.tagging.key.value.pairs': 'recordCount:many' }
  for (const [tagging, expected] of [
    ['true', '<Key>recordCount</Key><Value>many</Value>'],
    ['false', undefined],
  ] as const) {
    await using sink = await open({ ...pairs, 's3.object.tagging': tagging })
    sink.harness.append(rows(4))
    await sink.harness.settle()
    assert.ok(sink.server.objects.has(`${key}.json`))
    const tags = sink.server.tags.get(`${key}.json`)
    assert.deepEqual(tags?.match(/<Key>recordCount<.*?<.Value>/g)?.join(), expected)
  }
})

test('requests go through the proxy with its credentials, which no error shows (S70)', async () => {
  // The fake stands for the proxy: to it, every request names the whole URL of a host that does not exist.
  await using proxy = await FakeS3Server.open()
  const config = { 's3.proxy.url': `127.0.0.1:${proxy.port}`, 's3.proxy.user': 'me', 's3.proxy.password': 'p:ss' }
  await using sink = await open(config, 'http://s3.invalid:8080')
  sink.harness.append(rows(4))
  await sink.harness.settle()
  assert.deepEqual([...proxy.objects.keys()], [`${key}.json`])
  const [request] = proxy.seen('PUT')
  assert.equal(request?.headers['host'], 's3.invalid:8080')
  assert.equal(request?.headers['proxy-authorization'], `Basic ${Buffer.from('me:p:ss').toString('base64')}`)
  proxy.plan({ match: /^PUT/, answer: 'reset', times: 99 })
  sink.harness.append([row(4), row(5), row(6), row(7)])
  await sink.harness.poll()
  assert.doesNotMatch(JSON.stringify(sink.harness.reported), /p:ss/)
})

test('the bucket: missing ends the start, forbidden or elsewhere does not (S15)', async () => {
  await assert.rejects(open({ 's3.bucket.name': 'other' }), { kind: 'config' })
  for (const status of [403, 301]) {
    await using server = await FakeS3Server.open()
    server.plan({ match: /^HEAD/, answer: { status, code: 'x' } })
    await using sink = await open({ 's3.bucket.name': 'lake' }, server.endpoint)
    assert.equal(server.seen('HEAD').length, 1)
    assert.ok(sink.harness)
  }
})

test('a role is assumed by the configured principal; its credentials sign the requests (S12)', async () => {
  await using server = await FakeS3Server.open()
  const xml = `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>token</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`
  const provider = 's3.credentials.provider'
  const config = {
    [`${provider}.class`]: 'io.confluent.connect.s3.auth.AwsAssumeRoleCredentialsProvider',
    [`${provider}.sts.role.arn`]: 'arn:aws:iam::123456789012:role/writer',
    [`${provider}.sts.role.session.name`]: 'sink',
    [`${provider}.sts.role.external.id`]: 'ext & 1',
    [`${provider}.sts.region`]: 'eu-west-1',
    [`${provider}.sts.endpoint`]: `${server.endpoint}/x/sts`,
  }
  server.plan({ match: /^POST \/x\/sts/, answer: { status: 200, code: '', body: xml } })
  await using sink = await open(config)
  sink.harness.append(rows(4))
  await sink.harness.settle()
  const [question] = server.seen('POST')
  assert.match(String(question?.headers['authorization']), /Credential=id\/\d{8}\/eu-west-1\/sts\/aws4_request/)
  const asked = new URLSearchParams(question?.body.toString())
  assert.equal(asked.get('RoleArn'), 'arn:aws:iam::123456789012:role/writer')
  assert.equal(asked.get('RoleSessionName'), 'sink')
  assert.equal(asked.get('ExternalId'), 'ext & 1')
  const [put] = sink.server.seen('PUT')
  assert.match(String(put?.headers['authorization']), /Credential=ROLE\//)
  assert.equal(put?.headers['x-amz-security-token'], 'token')
  server.plan({ match: /^POST \/x\/sts/, answer: { status: 503, code: 'SlowDown' } })
  await assert.rejects(open(config), (error: unknown) => {
    assert.ok(error instanceof ConnectError)
    assert.match(error.message, /STS answered 503 SlowDown/)
    assert.doesNotMatch(error.message, /secret/)
    return true
  })
})
