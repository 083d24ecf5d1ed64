import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type MetadataMessage, messageId } from '../../../../connectors/common/metadata-message.ts'
import {
  appendStatements,
  copyStatement,
  filteredStatements,
  type Load,
} from '../../../../connectors/redshift/copy-statement.ts'
import { classifyStatement } from '../../../../connectors/redshift/errors.ts'
import { createLedger } from '../../../../connectors/redshift/ledger.ts'
import { manifestAddress, manifestBody } from '../../../../connectors/redshift/manifest.ts'
import { batchId, overlaps } from '../../../../connectors/redshift/pending-file.ts'
import { literal, normaliseName } from '../../../../connectors/redshift/sql.ts'
import { columnDefinitions, createTable, tableFor } from '../../../../connectors/redshift/table-definition.ts'

const column = { nullable: true, length: null, precision: null, scale: null }

function message(first: number, last: number, key = `t/kind=a/e+0+${first}.json.gz`): MetadataMessage {
  const files = [
    {
      bucket: 'lake',
      key,
      region: null,
      bytes: 100,
      recordCount: last - first + 1,
      etag: "e'",
      versionId: null,
      contentHash: null,
    },
  ]
  const source = {
    topic: 'events',
    partition: 0,
    firstOffset: BigInt(first),
    lastOffset: BigInt(last),
    minTs: 1,
    maxTs: null,
  }
  return {
    v: 1,
    type: 's3.file.committed',
    id: messageId(files, source, 'value'),
    producer: { connector: 's3', task: 0, host: 'h' },
    role: 'value',
    op: 'append',
    eventKey: 'Ad.Click',
    table: null,
    source,
    files,
    format: 'json',
    compression: 'gzip',
    columns: [
      { name: 'User_Id', type: 'int64', ...column },
      { name: 'url', type: 'string', ...column, length: 2048 },
      { name: 'price', type: 'decimal', ...column, precision: 60, scale: 4 },
      { name: 'tags', type: 'array', ...column },
    ],
    metaFields: ['__partition', '__offset'],
    schemaId: null,
    commitId: null,
    createdAt: '2024-06-03T16:34:21.010Z',
  }
}

const one = message(0, 9)
const two = message(10, 14)
const target = { schema: 'public', table: 'ad_click' }
const load: Load = {
  target,
  ledger: { schema: 'public', table: 'kc_ledger_ad_click' },
  messages: [one, two],
  manifest: { bucket: 'lake', key: '_manifests/ad_click/b.manifest' },
  batch: 'b',
  connector: 'warehouse',
}
const settings = {
  iamRole: 'arn:aws:iam::123456789012:role/loader',
  region: '',
  jsonMode: 'auto ignorecase',
  options: "TIMEFORMAT 'auto' COMPUPDATE OFF STATUPDATE OFF",
  maxErrors: 0,
  verifyCounts: true,
  fields: [],
}
const role = "IAM_ROLE 'arn:aws:iam::123456789012:role/loader'"

test('COPY of a batch', () => {
  assert.equal(
    copyStatement('"public"."ad_click"', load, settings),
    `COPY "public"."ad_click" FROM 's3://lake/_manifests/ad_click/b.manifest' ${role} MANIFEST FORMAT AS JSON 'auto ignorecase' GZIP TIMEFORMAT 'auto' COMPUPDATE OFF STATUPDATE OFF`,
  )
  const other = {
    ...settings,
    iamRole: 'default',
    region: 'eu-west-1',
    maxErrors: 5,
    fields: ['id', 'name'],
    options: '',
  }
  assert.equal(
    copyStatement('t', load, other),
    `COPY t ("id", "name") FROM 's3://lake/_manifests/ad_click/b.manifest' IAM_ROLE default MANIFEST FORMAT AS JSON 'auto ignorecase' GZIP REGION 'eu-west-1' MAXERROR 5`,
  )
})

test('the append transaction: lock first, guard, COPY, count, ledger', () => {
  const [lock, guard, copy, count, ledger, ...rest] = appendStatements(load, settings, { checkOverlaps: true })
  assert.equal(lock, 'LOCK TABLE "public"."kc_ledger_ad_click"')
  assert.equal(
    guard,
    `SELECT 1/(CASE WHEN COUNT(*)=0 THEN 1 ELSE 0 END) FROM "public"."kc_ledger_ad_click" WHERE (file_id IN ('${one.id}','${two.id}') OR ` +
      "(src_topic='events' AND src_partition=0 AND src_directory IN ('lake/t/kind=a/') AND first_offset<=9 AND last_offset>=0) OR " +
      "(src_topic='events' AND src_partition=0 AND src_directory IN ('lake/t/kind=a/') AND first_offset<=14 AND last_offset>=10))",
  )
  assert.match(copy ?? '', /^COPY "public"\."ad_click" FROM/)
  assert.equal(count, 'SELECT 1/(CASE WHEN pg_last_copy_count()=15 THEN 1 ELSE 0 END)')
  assert.match(
    ledger ?? '',
    /^INSERT INTO "public"\."kc_ledger_ad_click" \(file_id, .*\) VALUES \('[0-9a-f]{64}','warehouse','lake',.*'e''','events',0,0,9,10,100,NULL,1,NULL,'b'\),\(/,
  )
  assert.deepEqual(rest, [])
})

test('without verify.counts and overlaps there is neither count nor range', () => {
  const statements = appendStatements(load, { ...settings, verifyCounts: false }, { checkOverlaps: false })
  assert.equal(statements.length, 4)
  assert.doesNotMatch(statements[1] ?? '', /src_topic/)
})

test('the filtered transaction goes through a stage and keeps rows outside of the covered ranges', () => {
  const covered = [0n, 20n].map((first) => ({
    fileId: 'c'.repeat(64),
    topic: 'events',
    partition: 0,
    directory: 'lake/t/kind=a/',
    firstOffset: first,
    lastOffset: first + 5n,
    objectKey: 'k',
  }))
  const statements = filteredStatements({ ...load, messages: [one] }, settings, covered)
  assert.match(statements[0] ?? '', /^LOCK TABLE/)
  assert.match(statements[1] ?? '', /AND file_id NOT IN \('c{64}'\)$/)
  assert.deepEqual(statements.slice(2, 3), ['CREATE TEMP TABLE "kc_stage_b" (LIKE "public"."ad_click")'])
  assert.equal(statements[4], 'SELECT 1/(CASE WHEN COUNT(*)=10 THEN 1 ELSE 0 END) FROM "kc_stage_b"')
  assert.equal(
    statements[5],
    'INSERT INTO "public"."ad_click" SELECT * FROM "kc_stage_b" WHERE NOT ("__offset" BETWEEN 0 AND 5) AND NOT ("__offset" BETWEEN 20 AND 25)',
  )
  assert.equal(statements.at(-1), 'DROP TABLE "kc_stage_b"')
  // What commits by itself must not be in a transaction.
  for (const sql of statements) assert.doesNotMatch(sql, /TRUNCATE|VACUUM|ALTER/)
})

test('the SQL of the largest batch stays below 100 KB and 40 statements', () => {
  const key = `topics/events/kind=a/${'x'.repeat(100)}`
  const messages = Array.from({ length: 50 }, (_, i) => message(i * 10, i * 10 + 9, `${key}${i}`))
  const statements = appendStatements({ ...load, messages }, settings, { checkOverlaps: true })
  assert.ok(statements.length <= 40)
  assert.ok(statements.join('').length < 100_000)
})

test('the manifest is mandatory, sorted, with sizes, and equal for equal batches', () => {
  const url = (first: number) => ({
    url: `s3://lake/t/kind=a/e+0+${first}.json.gz`,
    mandatory: true,
    meta: { content_length: 100 },
  })
  assert.deepEqual(JSON.parse(manifestBody([two, one]).toString()), { entries: [url(0), url(10)] })
  assert.deepEqual(manifestBody([two, one, one]), manifestBody([one, two]))
  assert.equal(batchId([two, one]), batchId([one, two]))
  const batch = { table: 't', batch: 'b', messages: [one] }
  assert.deepEqual(manifestAddress('', batch), { bucket: 'lake', key: '_manifests/t/b.manifest' })
  assert.deepEqual(manifestAddress('s3://other', batch), { bucket: 'other', key: 't/b.manifest' })
  assert.deepEqual(manifestAddress('s3://other/x/y/', batch), { bucket: 'other', key: 'x/y/t/b.manifest' })
})

test('overlaps count within one directory of one source partition only', () => {
  assert.equal(overlaps(one, message(9, 20)), true)
  assert.equal(overlaps(one, message(10, 20)), false)
  assert.equal(overlaps(one, message(9, 20, 't/kind=b/e+0+9.json.gz')), false)
})

test('literals and names', () => {
  assert.equal(literal("it's \\n"), "'it''s \\\\n'")
  assert.equal(normaliseName('Ad.Click-ü$1'), 'ad_click__$1')
  assert.equal(normaliseName('x'.repeat(200)).length, 127)
  assert.equal(tableFor(one, '${table}', new Map()), 'ad_click')
  assert.equal(tableFor(one, '${topic}_${event_key}_v2', new Map()), 'events_ad_click_v2')
  assert.equal(tableFor(one, '${table}', new Map([['Ad.Click', 'Clicks']])), 'clicks')
})

test('tables from the columns of a message', () => {
  const options = {
    varcharBytes: 4096,
    primaryKey: ['USER_ID'],
    distKey: 'user_id',
    sortKey: '__offset',
    distStyle: '',
    noshred: false,
  }
  assert.equal(
    createTable(target, columnDefinitions(one, options) ?? [], options),
    'CREATE TABLE IF NOT EXISTS "public"."ad_click" ("user_id" BIGINT NOT NULL, "url" VARCHAR(2048), "price" DECIMAL(38,4), "tags" SUPER, ' +
      '"__partition" INTEGER, "__offset" BIGINT, PRIMARY KEY ("user_id")) DISTKEY("user_id") SORTKEY("__offset")',
  )
  assert.deepEqual(columnDefinitions(one, { ...options, noshred: true }), [{ name: 'doc', type: 'SUPER' }])
  assert.equal(columnDefinitions({ ...one, columns: null }, options), null)
  assert.match(
    createLedger(load.ledger),
    /^CREATE TABLE IF NOT EXISTS "public"."kc_ledger_ad_click" \(file_id VARCHAR\(64\) NOT NULL/,
  )
})

for (const [text, failure] of [
  ['ERROR: division by zero', 'guard'],
  ['ERROR: Divide by zero Detail: code: 1005', 'guard'],
  ["Load into table 'x' failed. Check 'sys_load_error_detail' system table for details.", 'data'],
  ["Load into table 'x' failed.  Check 'stl_load_errors' system table for details.", 'data'],
  [
    'Problem reading manifest file - S3ServiceException:The specified key does not exist.,Status 404,Error NoSuchKey',
    'missing-file',
  ],
  ['S3ServiceException:Access Denied,Status 403,Error AccessDenied', 'fatal'],
  ['User arn:aws:redshift:x is not authorized to assume IAM Role', 'fatal'],
  ['ERROR: permission denied for relation x', 'fatal'],
  ['ERROR: 1023 Detail: Serializable isolation violation on table - 1', 'transient'],
  ['ERROR: deadlock detected', 'transient'],
  ['ERROR: could not open relation with OID 5', 'transient'],
  ['Query cancelled on user request', 'transient'],
  ['Disk Full', 'transient'],
  ['ERROR: relation "public.x" does not exist', 'missing-table'],
  ['ERROR: column "a" of relation "x" does not exist', 'fatal'],
  ['ERROR: syntax error at or near "x"', 'fatal'],
] as const) {
  test(`'${text}' is ${failure}`, () => assert.equal(classifyStatement(text), failure))
}
