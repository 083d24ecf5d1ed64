import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import { copyStatement, type Load } from '../../../../connectors/redshift/copy-statement.ts'
import { classifyStatement, isThrottled, isTransientCall, withHint } from '../../../../connectors/redshift/errors.ts'
import { createLedger, purgeLedger } from '../../../../connectors/redshift/ledger.ts'
import { type LoadPlan, loadTransaction } from '../../../../connectors/redshift/load-transaction.ts'
import { manifestAddress, manifestBody } from '../../../../connectors/redshift/manifest.ts'
import { isCovered, mergedRanges } from '../../../../connectors/redshift/overlaps.ts'
import { batchId, overlaps } from '../../../../connectors/redshift/pending-file.ts'
import { literal, normaliseName } from '../../../../connectors/redshift/sql.ts'
import { stageOf } from '../../../../connectors/redshift/stage.ts'
import { columnDefinitions, createTable } from '../../../../connectors/redshift/table-definition.ts'
import { ledgerFor, tableFor } from '../../../../connectors/redshift/table-names.ts'
import type { UpsertSettings } from '../../../../connectors/redshift/upsert-statements.ts'
import { messageColumn } from '../../../support/redshift-sink.ts'
import { fileMessage as message } from './file-message.ts'

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
  csvHeader: false,
  options: "TIMEFORMAT 'auto' COMPUPDATE OFF STATUPDATE OFF",
  maxErrors: 0,
  verifyCounts: true,
  fields: [],
}
const tableOptions = {
  varcharBytes: 4096,
  primaryKey: ['USER_ID'],
  distKey: 'user_id',
  sortKey: ['__offset'],
  distStyle: '',
  noshred: false,
  fields: [],
}
const direct = { plan: { kind: 'direct', fields: [] }, checkOverlaps: true } as const

/** The columns of the target, with a type of its own for one of them. */
const targetColumns = new Map(
  [
    { name: 'user_id', type: 'bigint' },
    { name: 'url', type: 'character varying(100)' },
    { name: '__partition', type: 'integer' },
    { name: '__offset', type: 'bigint' },
  ].map((definition) => [definition.name, definition]),
)

function staged(
  messages: Load['messages'],
  { upsert = null, fields = [] }: { upsert?: UpsertSettings | null; fields?: readonly string[] } = {},
): LoadPlan {
  const stage = stageOf({ name: 'stage', messages, target: targetColumns, fields, options: tableOptions })
  assert.ok(stage)
  return { kind: 'staged', stage, covered: [], upsert }
}

const namesOf = (columns: readonly { readonly name: string }[]) => columns.map(({ name }) => name)

const role = "IAM_ROLE 'arn:aws:iam::123456789012:role/loader'"

test('statements R4, R10: COPY of a batch reads a manifest, its role is one literal', () => {
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

test('statement R16: the append transaction: lock first, guard, COPY, count, ledger', () => {
  const [lock, guard, copy, count, ledger, ...rest] = loadTransaction(load, settings, direct)
  assert.equal(lock, 'LOCK TABLE "public"."kc_ledger_ad_click"')
  assert.equal(
    guard,
    `SELECT 1/(CASE WHEN COUNT(*)=0 THEN 1 ELSE 0 END) FROM "public"."kc_ledger_ad_click" WHERE file_id IN ('${one.id}','${two.id}') OR ` +
      "(src_topic='events' AND src_partition=0 AND src_directory IN ('lake/t/kind=a/') AND first_offset<=9 AND last_offset>=0) OR " +
      "(src_topic='events' AND src_partition=0 AND src_directory IN ('lake/t/kind=a/') AND first_offset<=14 AND last_offset>=10)",
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
  const statements = loadTransaction(load, { ...settings, verifyCounts: false }, { ...direct, checkOverlaps: false })
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
  const plan = { ...staged([one]), covered }
  const statements = loadTransaction({ ...load, messages: [one] }, settings, { plan, checkOverlaps: false })
  assert.match(statements[0] ?? '', /^LOCK TABLE/)
  // As many rows as were seen, and the same: twice 60 bits of the hash of the id.
  const ids = 2n * BigInt(`0x${hash('md5', 'c'.repeat(64)).slice(0, 15)}`)
  assert.ok(
    statements[1]?.startsWith(
      `SELECT 1/(CASE WHEN COUNT(*)=2 AND SUM(CAST(STRTOL(LEFT(MD5(file_id),15),16) AS DECIMAL(38,0)))=${ids} THEN 1`,
    ),
    statements[1],
  )
  assert.equal(
    statements[2],
    'CREATE TEMP TABLE "stage" ("user_id" bigint, "url" character varying(100), "__partition" integer, "__offset" bigint)',
  )
  assert.equal(statements[4], 'SELECT 1/(CASE WHEN COUNT(*)=10 THEN 1 ELSE 0 END) FROM "stage"')
  assert.equal(
    statements[5],
    'INSERT INTO "public"."ad_click" ("user_id", "url", "__partition", "__offset") SELECT s."user_id", s."url", s."__partition", s."__offset" ' +
      'FROM "stage" AS s WHERE NOT ("__offset" BETWEEN 0 AND 5) AND NOT ("__offset" BETWEEN 20 AND 25)',
  )
  assert.equal(statements.at(-1), 'DROP TABLE "stage"')
})

test('statement R17: no statement of any transaction commits by itself', () => {
  const upsert = { keys: ['user_id'], deletes: true, fence: true }
  const plans: readonly LoadPlan[] = [direct.plan, staged([one]), staged([one], { upsert })]
  for (const plan of plans) {
    for (const sql of loadTransaction(load, settings, { plan, checkOverlaps: true })) {
      assert.doesNotMatch(sql, /TRUNCATE|VACUUM|ALTER|CREATE (?!TEMP)/)
    }
  }
})

test('statement R13: COPY of Parquet has no REGION, MAXERROR, compression or time format', () => {
  const parquet = { ...load, messages: [{ ...one, format: 'parquet' }] }
  const all = { ...settings, region: 'eu-west-1', maxErrors: 7 }
  assert.equal(
    copyStatement('t', parquet, all),
    `COPY t FROM 's3://lake/_manifests/ad_click/b.manifest' ${role} MANIFEST FORMAT AS PARQUET SERIALIZETOJSON STATUPDATE OFF`,
  )
})

test('COPY of the other formats', () => {
  const copy = (parts: object, changes: object = {}) =>
    copyStatement('t', { ...load, messages: [{ ...one, ...parts }] }, { ...settings, ...changes })
  const options = "TIMEFORMAT 'auto' COMPUPDATE OFF STATUPDATE OFF"
  assert.ok(
    copy({ format: 'csv', compression: 'zstd' }).endsWith(`FORMAT AS CSV QUOTE '"' EMPTYASNULL ZSTD ${options}`),
  )
  const header = copy({ format: 'csv', compression: 'none' }, { csvHeader: true })
  assert.ok(header.endsWith(`FORMAT AS CSV QUOTE '"' IGNOREHEADER 1 EMPTYASNULL ${options}`))
  assert.ok(copy({ format: 'avro', compression: 'gzip' }).endsWith(`FORMAT AS AVRO 'auto ignorecase' ${options}`))
})

test('a stage for columns by position has those of the file in its order, and only those of the table are loaded', () => {
  const parquet = { ...one, format: 'parquet' }
  const plan = staged([parquet])
  assert.ok(plan.kind === 'staged')
  assert.deepEqual(
    plan.stage.copied.map(({ name, type }) => `${name} ${type}`),
    [
      'user_id bigint',
      'url character varying(100)',
      'price DECIMAL(38,4)',
      'tags SUPER',
      '__partition integer',
      '__offset bigint',
    ],
  )
  assert.deepEqual(namesOf(plan.stage.loaded), ['user_id', 'url', '__partition', '__offset'])
  const noColumns = { ...parquet, columns: null }
  const source = { name: 's', messages: [noColumns], target: targetColumns, fields: [], options: tableOptions }
  assert.equal(stageOf(source), null)
})

test('a stage for columns by name has those of the table, and what orders rows', () => {
  const plan = staged([{ ...one, metaFields: ['__partition', '__offset', '__op'] }], { fields: ['user_id'] })
  assert.ok(plan.kind === 'staged')
  assert.deepEqual(namesOf(plan.stage.copied), ['user_id', '__partition', '__offset', '__op'])
  assert.deepEqual(namesOf(plan.stage.loaded), ['user_id', '__partition', '__offset'])
})

test('statements R31, R32: the upsert keeps the newest row of a key, deletes older ones behind the fence, and inserts', () => {
  const deleting = { ...one, metaFields: ['__partition', '__offset', '__op'] }
  const upsert = { keys: ['user_id'], deletes: true, fence: true }
  const plan = staged([deleting], { upsert })
  const statements = loadTransaction({ ...load, messages: [deleting] }, settings, { plan, checkOverlaps: true })
  assert.deepEqual(statements.slice(5, 9), [
    'CREATE TEMP TABLE "stage_latest" AS SELECT * FROM (SELECT s.*, ROW_NUMBER() OVER (PARTITION BY "user_id" ' +
      'ORDER BY "__offset" DESC NULLS LAST) AS "kc_row" FROM "stage" AS s) AS ranked WHERE "kc_row"=1 OR "user_id" IS NULL',
    'DELETE FROM "public"."ad_click" USING "stage_latest" AS n WHERE "ad_click"."user_id"=n."user_id" AND ' +
      '("ad_click"."__offset" IS NULL OR "ad_click"."__partition"<>n."__partition" OR "ad_click"."__offset"<n."__offset")',
    'INSERT INTO "public"."ad_click" ("user_id", "url", "__partition", "__offset") SELECT n."user_id", n."url", n."__partition", n."__offset" ' +
      `FROM "stage_latest" AS n LEFT JOIN "public"."ad_click" AS t ON t."user_id"=n."user_id" WHERE t."user_id" IS NULL AND NOT (NVL(n."__op",'u')='d')`,
    'DROP TABLE "stage_latest"',
  ])
  const keeping = staged([deleting], { upsert: { ...upsert, deletes: false, fence: false } })
  const others = loadTransaction({ ...load, messages: [deleting] }, settings, { plan: keeping, checkOverlaps: true })
  assert.match(others[5] ?? '', /FROM "stage" AS s WHERE NVL\("__op",'u'\)<>'d'\) AS ranked/)
  assert.ok(others[6]?.endsWith('WHERE "ad_click"."user_id"=n."user_id"'))
})

test('between source partitions the time of the records orders rows', () => {
  const elsewhere = { ...two, source: two.source === null ? null : { ...two.source, partition: 1 } }
  const messages = [one, elsewhere].map((m) => ({ ...m, metaFields: ['__ts', '__partition', '__offset'] }))
  const plan = staged(messages, { upsert: { keys: ['user_id'], deletes: false, fence: true } })
  const statements = loadTransaction({ ...load, messages }, settings, { plan, checkOverlaps: true })
  assert.match(
    statements[5] ?? '',
    /ORDER BY "__ts" DESC NULLS LAST, "__partition" DESC NULLS LAST, "__offset" DESC NULLS LAST/,
  )
})

test('statement R49: the ledger is purged by the time of the load, never sooner', () => {
  assert.equal(
    purgeLedger(load.ledger, 86_400_500),
    `DELETE FROM "public"."kc_ledger_ad_click" WHERE loaded_at < SYSDATE - INTERVAL '86401 seconds'`,
  )
})

test('statement R18: the SQL of the largest batch stays below 100 KB and 40 statements', () => {
  const key = `topics/events/kind=a/${'x'.repeat(100)}`
  const messages = Array.from({ length: 50 }, (_, i) => message(i * 10, i * 10 + 9, `${key}${i}`))
  const statements = loadTransaction({ ...load, messages }, settings, direct)
  assert.ok(statements.length <= 40)
  assert.ok(statements.join('').length < 100_000)
})

test('statement R11: the manifest is mandatory, sorted, with sizes, and equal for equal batches', () => {
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

test('statements R14, R15: literals and names', () => {
  assert.equal(literal("it's \\n"), "'it''s \\\\n'")
  assert.equal(normaliseName('Ad.Click-ü$1'), 'ad_click__$1')
  assert.equal(normaliseName('x'.repeat(200)).length, 127)
  const names = { map: new Map<string, string>(), format: '${table}', ledgerFormat: 'kc_ledger_${table}' }
  assert.equal(tableFor(one, names), 'ad_click')
  assert.equal(tableFor(one, { ...names, format: '${topic}_${event_key}_v2' }), 'events_ad_click_v2')
  assert.equal(tableFor(one, { ...names, map: new Map([['Ad.Click', 'Clicks']]) }), 'clicks')
  assert.equal(
    tableFor({ ...one, eventKey: '${topic}' }, { ...names, format: '${event_key}_${topic}' }),
    '$_topic__events',
  )
  // A dollar of a name is none of a replacement.
  assert.equal(tableFor({ ...one, eventKey: 'a$$b$&' }, { ...names, format: 'x_${event_key}' }), 'x_a$$b$_')
})

test('a message without a table, or with the name of a ledger, is an error of the record (statement R7)', () => {
  const names = { map: new Map<string, string>(), format: '${table}', ledgerFormat: 'kc_ledger_${table}' }
  for (const [eventKey, remedy] of [
    ['', /table\.name\.format/],
    ['KC-ledger-ad_click', /'kc_ledger_ad_click' is the name of a ledger.*table\.name\.map/],
  ] as const) {
    const expected = { kind: 'record', code: 'CONNECT_REDSHIFT_FORMAT', message: remedy }
    assert.throws(() => tableFor({ ...one, eventKey }, names), expected)
  }
  assert.equal(tableFor({ ...one, eventKey: '' }, { ...names, format: 'events_${table}' }), 'events_')
})

test('ledgers of different tables are different, however long their names (statement R15)', () => {
  assert.equal(ledgerFor('a$$b', 'Kc-Ledger_${table}'), 'kc_ledger_a$$b')
  const long = 'x'.repeat(120)
  const ledgers = ['a', 'b', ''].map((end) => ledgerFor(`${long}${end}`, 'kc_ledger_${table}'))
  assert.equal(new Set(ledgers).size, 3)
  for (const ledger of ledgers) assert.ok(ledger.length <= 127, ledger)
})

test('coverage counts in each directory of a set (statement R48)', () => {
  const both = { ...one, files: [...one.files, ...message(0, 9, 't/kind=b/e+0+0.json.gz').files] }
  const [a, b] = ['lake/t/kind=a/', 'lake/t/kind=b/'].map((directory) =>
    [0n, 5n].map((firstOffset) => ({
      fileId: 'c'.repeat(64),
      topic: 'events',
      partition: 0,
      directory,
      firstOffset,
      lastOffset: firstOffset + 4n,
    })),
  )
  assert.ok(a && b)
  assert.equal(isCovered(one, a), true)
  assert.equal(isCovered(one, a.slice(1)), false)
  assert.equal(isCovered(both, a), false)
  assert.equal(isCovered(both, [...a, ...b]), true)
  // A file that is loaded with another cut leaves few ranges, however many rows there are.
  assert.deepEqual(mergedRanges([...a, ...b]), [{ first: 0n, last: 9n }])
})

test('tables from the columns of a message', () => {
  assert.equal(
    createTable(target, columnDefinitions(one, tableOptions) ?? [], tableOptions),
    'CREATE TABLE IF NOT EXISTS "public"."ad_click" ("user_id" BIGINT NOT NULL, "url" VARCHAR(2048), "price" DECIMAL(38,4), "tags" SUPER, ' +
      '"__partition" INTEGER, "__offset" BIGINT, PRIMARY KEY ("user_id")) DISTKEY("user_id") SORTKEY("__offset")',
  )
  assert.deepEqual(columnDefinitions(one, { ...tableOptions, noshred: true }), [{ name: 'doc', type: 'SUPER' }])
  assert.equal(columnDefinitions({ ...one, columns: null }, tableOptions), null)
  const chosen = columnDefinitions(one, { ...tableOptions, fields: ['url'] })
  assert.deepEqual(namesOf(chosen ?? []), ['url', '__partition', '__offset'])
  assert.match(
    createLedger(load.ledger),
    /^CREATE TABLE IF NOT EXISTS "public"."kc_ledger_ad_click" \(file_id VARCHAR\(64\) NOT NULL/,
  )
})

test('columns whose names need quotes keep them, also as keys; only ASCII letters are folded (statement R45)', () => {
  const columns = ['User-Id', 'Größe', 'ÄRGER', 'order', 'a"b'].map((name) => messageColumn(name, 'int64'))
  const options = { ...tableOptions, primaryKey: ['User-Id'], distKey: '', sortKey: ['Größe', 'ORDER'] }
  const definitions = columnDefinitions({ ...one, columns, metaFields: [] }, options) ?? []
  assert.equal(
    createTable(target, definitions, options),
    'CREATE TABLE IF NOT EXISTS "public"."ad_click" ("user-id" BIGINT NOT NULL, "größe" BIGINT, "Ärger" BIGINT, "order" BIGINT, ' +
      '"a""b" BIGINT, PRIMARY KEY ("user-id")) DISTKEY("user-id") SORTKEY("größe", "order")',
  )
})

for (const [parts, type] of [
  [{ precision: 10, scale: 2 }, 'DECIMAL(10,2)'],
  [{ precision: null, scale: null }, 'DECIMAL(38,0)'],
  [{ precision: 60, scale: 50 }, 'DECIMAL(38,37)'],
  // Both are decimals of Connect, and none of Redshift.
  [{ precision: 5, scale: -2 }, 'DECIMAL(38,0)'],
  [{ precision: 2, scale: 4 }, 'DECIMAL(4,4)'],
  [{ precision: 0, scale: 0 }, 'DECIMAL(38,0)'],
] as const) {
  test(`a decimal of ${JSON.stringify(parts)} becomes ${type} (statement R45)`, () => {
    const columns = [messageColumn('price', 'decimal', parts)]
    const [price] = columnDefinitions({ ...one, columns, metaFields: [] }, tableOptions) ?? []
    assert.deepEqual(price, { name: 'price', type })
  })
}

for (const [length, type] of [
  [10, 'VARCHAR(10)'],
  [100_000, 'VARCHAR(65535)'],
  [0, 'VARCHAR(4096)'],
  [null, 'VARCHAR(4096)'],
] as const) {
  test(`a text of ${length} bytes becomes ${type} (statement R45)`, () => {
    const columns = [messageColumn('note', 'string', { length })]
    const [note] = columnDefinitions({ ...one, columns, metaFields: [] }, tableOptions) ?? []
    assert.deepEqual(note, { name: 'note', type })
  })
}

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
  ['ERROR: 1018 Detail: Relation does not exist', 'transient'],
  ['ERROR: could not complete because of conflict with concurrent transaction', 'transient'],
  ['ERROR: system requested abort', 'transient'],
  ['Connection to the cluster was lost', 'transient'],
  ['ERROR: Query canceled by WLM abort action', 'transient'],
  ['S3ServiceException: The bucket you are attempting to access must be addressed, Error PermanentRedirect', 'fatal'],
  ['Query cancelled on user request', 'transient'],
  ['Disk Full', 'transient'],
  ['ERROR: relation "public.x" does not exist', 'missing-table'],
  ['ERROR: relation "public.connections" does not exist', 'missing-table'],
  ['ERROR: column "a" of relation "x" does not exist', 'missing-column'],
  ['ERROR: column "conflict" of relation "connections" does not exist', 'missing-column'],
  // What the table refuses of rows that COPY took into a stage.
  ['ERROR: null value in column "id" of relation "x" violates not-null constraint', 'data'],
  ['ERROR: Cannot insert a NULL value into column id', 'data'],
  ['ERROR: JSON parsing error', 'data'],
  ['ERROR: syntax error at or near "x"', 'fatal'],
] as const) {
  test(`'${text}' is ${failure}`, () => assert.equal(classifyStatement(text), failure))
}

for (const [text, hint] of [
  ['S3ServiceException:Access Denied,Status 403,Error AccessDenied', /copy\.iam\.role may read the bucket/],
  ['User arn:aws:redshift:x is not authorized to assume IAM Role', /copy\.iam\.role: its trust/],
  ['S3ServiceException: must be addressed using the specified endpoint, Error PermanentRedirect', /set copy\.region/],
  ['ERROR: permission denied for relation x', /grant the user/],
  ['ERROR: syntax error at or near "x"', /^[^(]*$/],
] as const) {
  test(`'${text}' comes with what to do (statement R44)`, () => {
    assert.match(withHint(text), hint)
    assert.ok(withHint(text).startsWith(text))
  })
}

// Calls that fail: what may pass is repeated with the same token, what will not stops the task (section 4.9).
for (const [error, transient, throttled] of [
  [{ name: 'ThrottlingException', $metadata: { httpStatusCode: 400 } }, true, true],
  [{ name: 'ActiveStatementsExceededException', $metadata: { httpStatusCode: 400 } }, true, true],
  [{ name: 'ActiveSessionsExceededException', $metadata: { httpStatusCode: 400 } }, true, true],
  [{ name: 'InternalServerException', $metadata: { httpStatusCode: 500 } }, true, false],
  [{ name: 'DatabaseConnectionException', $metadata: { httpStatusCode: 500 } }, true, false],
  [{ name: 'BatchExecuteStatementException', $metadata: { httpStatusCode: 500 } }, true, false],
  [{ name: 'QueryTimeoutException', $metadata: { httpStatusCode: 400 } }, true, false],
  [{ name: 'Error', code: 'ECONNRESET' }, true, false],
  [{ name: 'TimeoutError' }, true, false],
  [{ name: 'Unknown', $metadata: { httpStatusCode: 503 } }, true, false],
  [{ name: 'ValidationException', $metadata: { httpStatusCode: 400 } }, false, false],
  [{ name: 'ResourceNotFoundException', $metadata: { httpStatusCode: 400 } }, false, false],
  [{ name: 'AccessDeniedException', $metadata: { httpStatusCode: 400 } }, false, false],
] as const) {
  test(`a call that fails with ${JSON.stringify(error)} ${transient ? 'may pass' : 'will not'}`, () => {
    const thrown = Object.assign(new Error('failed'), error)
    assert.deepEqual([isTransientCall(thrown), isThrottled(thrown)], [transient, throttled])
  })
}
