import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import {
  encodeMetadataMessage,
  type MetadataMessage,
  messageId,
  parseMetadataMessage,
} from '../../../../connectors/common/metadata-message.ts'
import { testSeed } from '../../../support/seed.ts'

const seed = testSeed
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null })
const text = fc.string({ minLength: 1, unit: 'grapheme' })
const count = fc.nat()
const offset = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n })

const message: fc.Arbitrary<MetadataMessage> = fc
  .record({
    connector: text,
    task: count,
    role: fc.constantFrom('value', 'keys', 'headers', 'tombstone' as const),
    op: fc.constantFrom('append', 'upsert', 'delete' as const),
    eventKey: optional(text),
    table: optional(text),
    topic: text,
    partition: count,
    offsets: fc.tuple(offset, offset),
    times: optional(fc.tuple(count, count)),
    files: fc.uniqueArray(
      fc.record({ bucket: text, key: text, bytes: count, recordCount: count, etag: optional(text) }),
      {
        minLength: 1,
        maxLength: 4,
        selector: (file) => `${file.bucket}/${file.key}`,
      },
    ),
    columns: optional(
      fc.array(
        fc.record(
          {
            name: text,
            type: fc.constantFrom('int64', 'string', 'struct', 'decimal' as const),
            nullable: fc.boolean(),
            length: optional(count),
            precision: optional(count),
            scale: optional(count),
          },
          { noNullPrototype: true },
        ),
      ),
    ),
    metaFields: fc.array(text),
  })
  .map(({ connector, task, topic, partition, offsets, times, files, ...rest }) => {
    const [a, b] = offsets
    const source = {
      topic,
      partition,
      firstOffset: a < b ? a : b,
      lastOffset: a < b ? b : a,
      minTs: times === null ? null : times[0],
      maxTs: times === null ? null : times[1],
    }
    return {
      v: 1,
      type: 's3.file.committed',
      id: messageId(files, source, rest.role),
      producer: { connector, task, host: 'h' },
      source,
      files: files.map((file) => ({ ...file, region: null, versionId: null, contentHash: null })),
      format: 'json',
      compression: 'gzip',
      schemaId: null,
      commitId: null,
      createdAt: '2024-06-03T16:34:21.010Z',
      ...rest,
    } as const
  })

test(`a message survives its text (seed ${seed})`, () => {
  fc.assert(
    fc.property(message, (m) => assert.deepEqual(parseMetadataMessage(JSON.parse(encodeMetadataMessage(m))), m)),
    { seed },
  )
})

const published = new URL('../../../../connectors/common/metadata-message.schema.json', import.meta.url)
const fitsSchema = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(
  JSON.parse(readFileSync(published, 'utf8')) as object,
)

test(`a message fits the published JSON schema (seed ${seed})`, () => {
  fc.assert(
    fc.property(message, (m) => {
      assert.equal(fitsSchema(JSON.parse(encodeMetadataMessage(m))), true, JSON.stringify(fitsSchema.errors))
    }),
    { seed },
  )
})

test(`unknown members are ignored, offsets beyond 2^53 are exact (seed ${seed})`, () => {
  fc.assert(
    fc.property(message, fc.jsonValue(), (m, extra) => {
      const json = JSON.parse(encodeMetadataMessage(m)) as object
      assert.deepEqual(parseMetadataMessage({ ...json, later_addition: extra }), m)
    }),
    { seed },
  )
})

test(`the id depends on place, offsets and role only, not on the order of files (seed ${seed})`, () => {
  fc.assert(
    fc.property(message, (m) => {
      assert.equal(messageId([...m.files].reverse(), m.source, m.role), m.id)
      const moved = { ...m.source, lastOffset: m.source.lastOffset + 1n }
      assert.notEqual(messageId(m.files, moved, m.role), m.id)
      assert.notEqual(messageId(m.files, m.source, m.role === 'keys' ? 'value' : 'keys'), m.id)
    }),
    { seed },
  )
})

const valid = {
  v: 1,
  type: 's3.file.committed',
  id: 'a'.repeat(64),
  producer: { connector: 'c', task: 0, host: 'h' },
  role: 'value',
  op: 'append',
  source: { topic: 't', partition: 0, first_offset: '0', last_offset: '9', min_ts: null, max_ts: null },
  files: [{ bucket: 'b', key: 'k', bytes: 1, record_count: 10 }],
  format: 'json',
  compression: 'none',
  created_at: '2024-06-03T16:34:21.010Z',
}

/** What a JSON schema cannot say. */
const beyondSchema: ReadonlySet<string> = new Set([
  'a file twice',
  'offsets in reverse',
  'an offset of 64 bits',
  'a key of too many bytes',
  'a topic with NUL',
])

const [validFile] = valid.files

for (const [name, broken, field] of [
  ['null', null, '(message)'],
  ['a list', [], '(message)'],
  ['a later major version', { ...valid, v: 2 }, 'v'],
  ['another type', { ...valid, type: 'x' }, 'type'],
  ['an id of another form', { ...valid, id: 'abc' }, 'id'],
  ['no files', { ...valid, files: [] }, 'files'],
  ['a file without size', { ...valid, files: [{ bucket: 'b', key: 'k', record_count: 1 }] }, 'files[0].bytes'],
  ['a file twice', { ...valid, files: [valid.files[0], valid.files[0]] }, 'files[1].key'],
  ['an offset as a number', { ...valid, source: { ...valid.source, first_offset: 1 } }, 'source.first_offset'],
  ['offsets in reverse', { ...valid, source: { ...valid.source, first_offset: '10' } }, 'source.last_offset'],
  [
    'an offset of 64 bits',
    { ...valid, source: { ...valid.source, last_offset: '9223372036854775808' } },
    'source.last_offset',
  ],
  ['a partition beyond int32', { ...valid, source: { ...valid.source, partition: 2 ** 31 } }, 'source.partition'],
  ['a partition below 0', { ...valid, source: { ...valid.source, partition: -1 } }, 'source.partition'],
  ['a topic that is too long', { ...valid, source: { ...valid.source, topic: 't'.repeat(256) } }, 'source.topic'],
  ['a topic with NUL', { ...valid, source: { ...valid.source, topic: 'a\u0000b' } }, 'source.topic'],
  ['a key of too many bytes', { ...valid, files: [{ ...validFile, key: 'é'.repeat(513) }] }, 'files[0].key'],
  ['an ETag that is too long', { ...valid, files: [{ ...validFile, etag: 'e'.repeat(129) }] }, 'files[0].etag'],
  ['a content hash of letters', { ...valid, files: [{ ...validFile, content_hash: 'ab' }] }, 'files[0].content_hash'],
  ['a column without a name', { ...valid, columns: [{ name: '', type: 'int8' }] }, 'columns[0].name'],
  ['an unknown role', { ...valid, role: 'other' }, 'role'],
  ['an unknown column type', { ...valid, columns: [{ name: 'c', type: 'uuid' }] }, 'columns[0].type'],
] as const) {
  test(`${name} is a data error that names ${field}`, () => {
    assert.equal(fitsSchema(broken), beyondSchema.has(name))
    assert.throws(() => parseMetadataMessage(broken), {
      name: 'DataError',
      kind: 'record',
      code: 'CONNECT_METADATA_MESSAGE_INVALID',
      context: { field },
    })
  })
}
