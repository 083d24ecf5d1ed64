import assert from 'node:assert/strict'
import { test } from 'node:test'
import { messageId, parseMetadataMessage } from '../../../../connectors/common/metadata-message.ts'
import { type MessageOptions, readMessages } from '../../../../connectors/redshift/messages.ts'
import type { Value } from '../../../../worker/api/data.ts'
import { SinkRecord } from '../../../../worker/api/record.ts'

const append: MessageOptions = {
  format: 'sluice',
  upsert: null,
  manifestPrefix: '',
  makesColumns: false,
  matchesCase: false,
  noshred: false,
}
const upsert = { ...append, upsert: { keys: ['id'], deletes: true, fence: true } }
const s3Event: MessageOptions = { ...append, format: 's3-event' }

const read = (value: Value, options = append) =>
  readMessages(new SinkRecord({ topic: 'files', partition: 0, offset: 0n, value }), options)

const file = { bucket: 'lake', key: 't/e+0+1.json', bytes: 10, record_count: 1, etag: 'one' }
const source = { topic: 'events', partition: 3, first_offset: '9007199254740993', last_offset: '9223372036854775807' }
const message = {
  v: 1,
  type: 's3.file.committed',
  id: 'a'.repeat(64),
  producer: { connector: 's3', task: 0, host: 'h' },
  role: 'value',
  op: 'append',
  source,
  files: [file],
  format: 'json',
  compression: 'none',
  created_at: '2024-06-03T16:34:21.010Z',
}

test('statement R6: offsets beyond 2^53 are read exactly, as text or as a parsed object', () => {
  for (const value of [message, JSON.stringify(message), Buffer.from(JSON.stringify(message))]) {
    const [read_] = read(value)
    assert.deepEqual([read_?.source?.firstOffset, read_?.source?.lastOffset], [9007199254740993n, 2n ** 63n - 1n])
  }
})

test('statement R7: bad messages are errors of the record that name the member; unknown members are ignored', () => {
  assert.equal(read({ ...message, novelty: { a: 1 } }).length, 1)
  const { files: _, ...withoutFiles } = message
  for (const [bad, named] of [
    ['{"v":', /not JSON/],
    [null, /must be a JSON object/],
    [{ ...message, v: 2 }, /'v' is 2/],
    [withoutFiles, /'files'/],
    [{ ...message, files: [] }, /'files' is empty/],
    [{ ...message, id: 'x' }, /'id'/],
  ] as const) {
    assert.throws(() => read(bad), { kind: 'record', code: 'CONNECT_METADATA_MESSAGE_INVALID', message: named })
  }
})

test('statement R9: the id of a message does not depend on the ETag', () => {
  const { firstOffset, lastOffset, ...rest } = parseMetadataMessage(message).source
  const id = (etag: string) =>
    messageId([{ ...file, etag } as typeof file], { ...rest, firstOffset, lastOffset }, 'value')
  assert.equal(id('one'), id('two'))
})

test('files of keys and headers are passed over; those of tombstones are for upserts that delete', () => {
  for (const role of ['keys', 'headers', 'tombstone']) assert.deepEqual(read({ ...message, role }), [])
  const tombstones = { ...message, role: 'tombstone', op: 'delete', meta_fields: ['__offset', '__partition'] }
  assert.equal(read(tombstones, upsert)[0]?.op, 'delete')
})

const column = (name: string) => ({ name, type: 'int64' })
const twins = [column('id'), column('Id')]

test('what cannot be loaded as configured is an error of the record with its remedy', () => {
  const code = 'CONNECT_REDSHIFT_FORMAT'
  for (const [bad, options, remedy] of [
    [{ ...message, format: 'orc' }, append, /json, csv, parquet, avro/],
    [{ ...message, compression: 'snappy' }, append, /none, gzip, zstd/],
    [{ ...message, format: 'parquet', compression: 'snappy' }, append, /notify\.include\.schema=true/],
    [message, upsert, /format\.output\.meta\.fields=offset,partition,op/],
    [{ ...message, format: 'avro' }, { ...append, noshred: true }, /noshred/],
    [{ ...message, columns: twins }, { ...append, makesColumns: true }, /two columns are called 'id'.*rename/],
    [{ ...message, format: 'csv', columns: twins }, append, /two columns are called 'id'/],
    [
      { ...message, columns: [column('Id')] },
      { ...append, makesColumns: true, matchesCase: true },
      /'auto ignorecase'/,
    ],
    [{ ...message, columns: [column('é'.repeat(64))] }, { ...append, makesColumns: true }, /127 bytes: rename/],
  ] as const) {
    assert.throws(() => read(bad, options), { kind: 'record', code, message: remedy })
  }
  assert.equal(read({ ...message, meta_fields: ['__offset', '__partition'] }, upsert).length, 1)
  assert.equal(read({ ...message, columns: twins }).length, 1)
})

const created = (key: string, parts: object = {}) => ({
  eventVersion: '2.1',
  eventName: 'ObjectCreated:Put',
  awsRegion: 'eu-west-1',
  s3: { bucket: { name: 'lake' }, object: { key, size: 12, eTag: 'e1', ...parts } },
})

test('statement R8: keys of S3 events are decoded, a plus is a space', () => {
  const [first, second] = read({ Records: [created('a+b/%C3%A4%2B1.json.gz'), created('t/x.csv')] }, s3Event)
  assert.deepEqual([first?.files[0]?.key, first?.format, first?.compression], ['a b/ä+1.json.gz', 'json', 'gzip'])
  assert.deepEqual([second?.format, second?.compression, second?.topic], ['csv', 'none', 'files'])
})

test('an S3 event is a file per object: told by its ETag, without counts and offsets', () => {
  const [one] = read({ Records: [created('t/x.json')] }, s3Event)
  const [two] = read({ Records: [created('t/x.json', { eTag: 'e2' })] }, s3Event)
  assert.notEqual(one?.id, two?.id)
  assert.deepEqual([one?.source, one?.files[0]?.recordCount, one?.files[0]?.region], [null, null, 'eu-west-1'])
})

test('events that create nothing to load are passed over', () => {
  assert.deepEqual(read({ Service: 'Amazon S3', Event: 's3:TestEvent' }, s3Event), [])
  const removed = { ...created('t/x.json'), eventName: 'ObjectRemoved:Delete' }
  const records = [removed, created('folder/'), created('_manifests/t/b.manifest')]
  assert.deepEqual(read({ Records: records }, s3Event), [])
})

test('bad S3 events name the member', () => {
  for (const [bad, named] of [
    [{}, /'Records' must be an array/],
    [{ Records: [{ eventName: 'ObjectCreated:Put' }] }, /'Records\[0\]\.s3'/],
    [{ Records: [created('t/x.bin')] }, /'t\/x\.bin' does not end in/],
    [{ Records: [created('t/%E4.json')] }, /is not URL-encoded/],
    [{ Records: [created('t/%00.json')] }, /NUL/],
    [{ Records: [created('t/x.json', { size: -1 })] }, /'Records\[0\]\.s3\.object\.size'/],
  ] as const) {
    assert.throws(() => read(bad, s3Event), {
      kind: 'record',
      code: 'CONNECT_METADATA_MESSAGE_INVALID',
      message: named,
    })
  }
})
