import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import {
  BatchExecuteStatementCommand,
  CancelStatementCommand,
  DescribeStatementCommand,
  type DescribeStatementCommandOutput,
  DescribeTableCommand,
  ExecuteStatementCommand,
  GetStatementResultCommand,
  ListStatementsCommand,
  RedshiftDataClient,
} from '@aws-sdk/client-redshift-data'
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { requireService, skipUnless } from '../support/services.ts'

const redshift = requireService('redshift')
const s3 = requireService('s3')
const postgres = requireService('postgres')
const skip = skipUnless(redshift, s3, postgres)

const id = randomBytes(5).toString('hex')
const WorkgroupName = `wg-${id}`
const Database = 'dev'
const bucket = `redshift-${id}`
const role = "IAM_ROLE 'arn:aws:iam::123456789012:role/loader'"

let data: RedshiftDataClient
let objects: S3Client

async function admin(method: string, path: string, body?: object): Promise<void> {
  const answer = await fetch(`${redshift.settings.endpoint}/_admin/${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  await answer.arrayBuffer()
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`)
}

const arm = (fault: object): Promise<void> => admin('POST', 'faults', { owner: WorkgroupName, ...fault })

async function finish(statementId: string): Promise<DescribeStatementCommandOutput> {
  const deadline = Date.now() + 20_000
  for (;;) {
    const answer = await data.send(new DescribeStatementCommand({ Id: statementId }))
    if (['FINISHED', 'FAILED', 'ABORTED'].includes(answer.Status ?? '')) return answer
    assert.ok(Date.now() < deadline, `statement ${statementId} is still ${answer.Status}`)
  }
}

async function run(sql: string, extra: object = {}): Promise<DescribeStatementCommandOutput> {
  const { Id } = await data.send(new ExecuteStatementCommand({ WorkgroupName, Database, Sql: sql, ...extra }))
  return finish(Id ?? '')
}

async function batch(sqls: string[], extra: object = {}): Promise<DescribeStatementCommandOutput> {
  const { Id } = await data.send(new BatchExecuteStatementCommand({ WorkgroupName, Database, Sqls: sqls, ...extra }))
  return finish(Id ?? '')
}

async function must(sql: string, extra: object = {}): Promise<DescribeStatementCommandOutput> {
  const answer = await run(sql, extra)
  assert.equal(answer.Status, 'FINISHED', answer.Error)
  return answer
}

async function rows(sql: string, extra: object = {}): Promise<unknown[][]> {
  const answer = await must(sql, extra)
  const result: unknown[][] = []
  let NextToken: string | undefined
  do {
    const page = await data.send(new GetStatementResultCommand({ Id: answer.Id, NextToken }))
    for (const record of page.Records ?? [])
      result.push(record.map((field) => (field.isNull ? null : Object.values(field)[0])))
    NextToken = page.NextToken
  } while (NextToken !== undefined)
  return result
}

async function put(key: string, body: string | Buffer): Promise<string> {
  await objects.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }))
  return `s3://${bucket}/${key}`
}

async function manifest(key: string, urls: readonly string[], mandatory = true): Promise<string> {
  return put(key, JSON.stringify({ entries: urls.map((url) => ({ url, mandatory })) }))
}

const table = (name: string): string => `${name}_${id}`

describe('Redshift Data API emulator', { skip }, () => {
  before(async () => {
    const credentials = { accessKeyId: s3.settings.accessKey, secretAccessKey: s3.settings.secretKey }
    const region = 'us-east-1'
    data = new RedshiftDataClient({ endpoint: redshift.settings.endpoint, region, credentials, maxAttempts: 1 })
    objects = new S3Client({ endpoint: s3.settings.endpoint, region, credentials, forcePathStyle: true })
    await objects.send(new CreateBucketCommand({ Bucket: bucket }))
  })

  after(async () => {
    await admin('DELETE', `faults?owner=${WorkgroupName}`)
    const names = await rows(`SELECT table_name FROM svv_tables WHERE table_name LIKE '%${id}'`)
    for (const [name] of names) await must(`DROP TABLE "${String(name)}"`)
    data.destroy()
    objects.destroy()
  })

  test('a query goes through SUBMITTED to FINISHED and gives typed fields', async () => {
    const { Id } = await data.send(
      new ExecuteStatementCommand({
        WorkgroupName,
        Database,
        Sql: "SELECT 9007199254740993::bigint, 1.50::numeric(5,2), true, NULL::int, 2.5::float8, 'it''s'",
      }),
    )
    const answer = await finish(Id ?? '')
    assert.equal(answer.HasResultSet, true)
    assert.equal(answer.ResultRows, 1)
    const result = await data.send(new GetStatementResultCommand({ Id }))
    assert.deepEqual(
      result.Records?.[0]?.map((field) => Object.entries(field)[0]?.[0]),
      ['longValue', 'stringValue', 'booleanValue', 'isNull', 'doubleValue', 'stringValue'],
    )
    assert.equal(result.Records?.[0]?.[1]?.stringValue, '1.50')
    assert.deepEqual(
      result.ColumnMetadata?.map((column) => column.typeName),
      ['int8', 'numeric', 'bool', 'int4', 'float8', 'varchar'],
    )
  })

  test('an int8 beyond 2^53 leaves the server digit by digit', async () => {
    const { Id } = await must('SELECT 9007199254740993::bigint')
    const answer = await fetch(redshift.settings.endpoint, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-amz-json-1.1',
        'x-amz-target': 'RedshiftData.GetStatementResult',
        authorization:
          'AWS4-HMAC-SHA256 Credential=k/20240101/us-east-1/redshift-data/aws4_request, SignedHeaders=host, Signature=0',
      },
      body: JSON.stringify({ Id }),
    })
    assert.match(await answer.text(), /"longValue":9007199254740993/)
  })

  test('parameters are bound by name, values of zero length refused', async () => {
    const Parameters = [
      { name: 'a', value: '7' },
      { name: 'b', value: "x'y" },
    ]
    assert.deepEqual(await rows('SELECT :a::int + :a::int, :b', { Parameters }), [[14, "x'y"]])
    await assert.rejects(run('SELECT :a', { Parameters: [{ name: 'a', value: '' }] }), { name: 'ValidationException' })
  })

  test('target rules and limits are validation errors', async () => {
    const bad: object[] = [
      { WorkgroupName: undefined },
      { ClusterIdentifier: 'c' },
      { WorkgroupName: undefined, ClusterIdentifier: 'c', DbUser: 'u', SecretArn: 'arn:s' },
    ]
    for (const extra of bad) await assert.rejects(run('SELECT 1', extra), { name: 'ValidationException' })
    await assert.rejects(run(`SELECT '${'x'.repeat(102_400)}'`), { name: 'ValidationException' })
    await assert.rejects(batch(Array.from({ length: 41 }, () => 'SELECT 1')), { name: 'ValidationException' })
    await assert.rejects(data.send(new DescribeStatementCommand({ Id: '00000000-0000-4000-8000-000000000000' })), {
      name: 'ResourceNotFoundException',
    })
  })

  test('SQL errors appear in DescribeStatement only; several statements in one text are refused', async () => {
    const missing = await run('SELECT * FROM nowhere_at_all')
    assert.equal(missing.Status, 'FAILED')
    assert.match(missing.Error ?? '', /^ERROR: relation "nowhere_at_all" does not exist/)
    assert.equal((await run('SELECT 1; SELECT 2')).Status, 'FAILED')
    assert.match((await run('SELECT 1', { Database: 'nope' })).Error ?? '', /database "nope" does not exist/)
  })

  test('a batch is one transaction: the failing statement rolls back everything', async () => {
    const name = table('batch')
    await must(`CREATE TABLE ${name} (a INT)`)
    const failed = await batch([`INSERT INTO ${name} VALUES (1)`, 'SELECT 1/0', 'SELECT 2'])
    assert.equal(failed.Status, 'FAILED')
    assert.match(failed.Error ?? '', /division by zero/)
    assert.deepEqual(
      failed.SubStatements?.map((part) => part.Status),
      ['FINISHED', 'FAILED', 'ABORTED'],
    )
    assert.deepEqual(await rows(`SELECT count(*) FROM ${name}`), [[0]])
    const done = await batch([`INSERT INTO ${name} VALUES (1)`, `SELECT a FROM ${name}`])
    assert.equal(done.Status, 'FINISHED', done.Error)
    const result = await data.send(new GetStatementResultCommand({ Id: `${done.Id}:2` }))
    assert.deepEqual(result.Records, [[{ longValue: 1 }]])
  })

  test('statements that commit by themselves do so inside a batch', async () => {
    const name = table('autocommit')
    await must(`CREATE TABLE ${name} (a INT, v VARCHAR(4))`)
    await must(`CREATE TABLE ${name}_other (a INT)`)
    await batch([`INSERT INTO ${name}_other VALUES (1)`, `TRUNCATE ${name}`, 'SELECT 1/0'])
    assert.deepEqual(await rows(`SELECT count(*) FROM ${name}_other`), [[1]], 'TRUNCATE committed what came before')
    await must(`DROP TABLE ${name}_other`)
    const altered = await batch([`ALTER TABLE ${name} ALTER COLUMN v TYPE VARCHAR(8)`])
    assert.match(altered.Error ?? '', /cannot run inside a transaction block/)
    await must(`ALTER TABLE ${name} ALTER COLUMN v TYPE VARCHAR(8)`)
    await must(`INSERT INTO ${name} VALUES (1, 'éééé')`)
    assert.match(
      (await run(`INSERT INTO ${name} VALUES (1, 'ééééé')`)).Error ?? '',
      /\S/,
      'eight bytes, not characters',
    )
    assert.match((await run(`ALTER TABLE ${name} ALTER COLUMN a TYPE BIGINT`)).Error ?? '', /VARCHAR only/)
    assert.match((await run(`ALTER TABLE ${name} ADD COLUMN b INT, ADD COLUMN c INT`)).Error ?? '', /syntax error/)
    assert.match((await run(`ALTER TABLE ${name} ADD COLUMN IF NOT EXISTS b INT`)).Error ?? '', /syntax error/)
    assert.equal((await run(`LOCK TABLE ${name}`)).Status, 'FAILED', 'LOCK needs a transaction')
  })

  test("Redshift's table definitions are taken, keys not enforced, NOT NULL and bytes of VARCHAR are", async () => {
    const name = table('ddl')
    await must(
      `CREATE TABLE IF NOT EXISTS "Public"."${name.toUpperCase()}" (id BIGINT NOT NULL ENCODE az64 DISTKEY, "Name" VARCHAR(4) ENCODE lzo,
         doc SUPER, big VARCHAR(MAX), at TIMESTAMP DEFAULT SYSDATE, total DECIMAL(38,0), PRIMARY KEY (id), UNIQUE (name))
       DISTSTYLE KEY COMPOUND SORTKEY (id, at) BACKUP NO`,
    )
    await must(`INSERT INTO ${name} (id, name) VALUES (1, 'a'), (1, 'a')`)
    assert.deepEqual(await rows(`SELECT count(*), count(at) FROM ${name}`), [[2, 2]])
    assert.equal((await run(`INSERT INTO ${name} (name) VALUES ('x')`)).Status, 'FAILED')
    assert.equal((await run(`INSERT INTO ${name} (id, name) VALUES (2, 'ääa')`)).Status, 'FAILED', 'five bytes')
    const described = await data.send(
      new DescribeTableCommand({ WorkgroupName, Database, Schema: 'public', Table: name }),
    )
    assert.deepEqual(
      described.ColumnList?.map((column) => [column.name, column.typeName]),
      [
        ['id', 'bigint'],
        ['name', 'character varying'],
        ['doc', 'super'],
        ['big', 'character varying'],
        ['at', 'timestamp without time zone'],
        ['total', 'numeric'],
      ],
    )
    assert.deepEqual(await rows("SELECT NVL(NULL, 'b'), LEN('abc'), STRTOL('ff', 16), 'a\\\\b\\'c'"), [
      ['b', 3, 255, "a\\b'c"],
    ])
  })

  test('a client token gives the first id again; with another text it is refused', async () => {
    const ClientToken = randomBytes(16).toString('hex')
    const first = await data.send(
      new ExecuteStatementCommand({ WorkgroupName, Database, Sql: 'SELECT 1/0', ClientToken }),
    )
    assert.equal((await finish(first.Id ?? '')).Status, 'FAILED')
    const again = await data.send(
      new ExecuteStatementCommand({ WorkgroupName, Database, Sql: 'SELECT 1/0', ClientToken }),
    )
    assert.equal(again.Id, first.Id, 'even after it failed')
    await assert.rejects(
      data.send(new ExecuteStatementCommand({ WorkgroupName, Database, Sql: 'SELECT 2', ClientToken })),
      {
        name: 'ValidationException',
      },
    )
  })

  test('COPY loads exactly the manifest, JSON auto, gzip, defaults and case rules', async () => {
    const name = table('copy')
    await must(
      `CREATE TABLE ${name} (user_id BIGINT, url VARCHAR(2048), doc SUPER, ok BOOLEAN, at TIMESTAMP, kind VARCHAR(10) DEFAULT 'none')`,
    )
    const lines = [
      '{"user_id":9007199254740993,"url":"http://x/\\u00e4","doc":{"a":[1,2.50]},"ok":true,"at":"2024-06-03T16:34:21.010Z","extra":1}',
      '{"user_id":2,"URL":"upper","doc":"text","kind":null}',
    ]
    const one = await put('copy/part+12', gzipSync(lines.join('\n')))
    await put('copy/part+120', gzipSync('{"user_id":666}'))
    const list = await manifest('copy/one.manifest', [one])
    const done = await must(
      `COPY ${name} FROM '${list}' ${role} MANIFEST FORMAT AS JSON 'auto' GZIP TIMEFORMAT 'auto' COMPUPDATE OFF STATUPDATE OFF`,
    )
    assert.equal(done.ResultRows, 2)
    assert.deepEqual(await rows(`SELECT user_id::varchar, url, doc, ok, at, kind FROM ${name} ORDER BY user_id DESC`), [
      ['9007199254740993', 'http://x/ä', '{"a": [1, 2.50]}', true, '2024-06-03 16:34:21.01', 'none'],
      ['2', null, '"text"', null, null, null],
    ])
    await must(`COPY ${name} FROM 's3://${bucket}/copy/part+12' ${role} JSON 'auto ignorecase' GZIP TIMEFORMAT 'auto'`)
    assert.deepEqual(
      await rows(`SELECT count(*), count(CASE WHEN url = 'upper' THEN 1 END) FROM ${name}`),
      [[5, 1]],
      'a prefix also takes part+120',
    )
    const twice = await manifest('copy/twice.manifest', [one, one])
    await must(`COPY ${name} (user_id, url) FROM '${twice}' ${role} MANIFEST JSON 'auto' GZIP`)
    assert.deepEqual(await rows(`SELECT count(*) FROM ${name}`), [[9]], 'an entry listed twice is loaded twice')
  })

  test('COPY in a batch counts its rows and rolls back with it', async () => {
    const name = table('guard')
    await must(`CREATE TABLE ${name} (a INT)`)
    await must(`CREATE TABLE ${name}_ledger (file_id VARCHAR(64) NOT NULL)`)
    const list = await manifest('guard/m', [await put('guard/f', '{"a":1}\n{"a":2}\n{"a":3}')])
    const load = (count: number): string[] => [
      `LOCK TABLE ${name}_ledger`,
      `SELECT 1/(CASE WHEN COUNT(*)=0 THEN 1 ELSE 0 END) FROM ${name}_ledger WHERE file_id IN ('f')`,
      `COPY ${name} FROM '${list}' ${role} MANIFEST JSON 'auto'`,
      `SELECT 1/(CASE WHEN pg_last_copy_count()=${count} THEN 1 ELSE 0 END)`,
      `INSERT INTO ${name}_ledger VALUES ('f')`,
    ]
    assert.match((await batch(load(4))).Error ?? '', /division by zero/)
    assert.deepEqual(await rows(`SELECT count(*) FROM ${name}`), [[0]])
    // Two loaders at once: the lock lets one through, the guard stops the other.
    const both = await Promise.all([batch(load(3)), batch(load(3))])
    assert.deepEqual(both.map((answer) => answer.Status).sort(), ['FAILED', 'FINISHED'])
    assert.deepEqual(await rows(`SELECT count(*) FROM ${name}`), [[3]])
    await must(`DROP TABLE ${name}_ledger`)
  })

  test('a bad row fails the load and is named in the error views, which survive the rollback', async () => {
    const name = table('errors')
    await must(`CREATE TABLE ${name} (a INT, b VARCHAR(3))`)
    const url = await put('errors/f', '{"a":1,"b":"abc"}\n{"a":"12x","b":"abc"}\n{"a":3,"b":"abcd"}')
    const list = await manifest('errors/m', [url])
    const failed = await batch([`COPY ${name} FROM '${list}' ${role} MANIFEST JSON 'auto'`])
    assert.match(
      failed.Error ?? '',
      /Load into table '.*' failed\. {2}Check 'sys_load_error_detail' system table for details\./,
    )
    const queryId = failed.SubStatements?.[0]?.RedshiftQueryId ?? 0
    const detail = await rows(
      `SELECT file_name, line_number, column_name, error_code, error_message FROM sys_load_error_detail WHERE query_id = ${queryId}`,
    )
    assert.equal(detail.length, 1)
    assert.equal(String(detail[0]?.[0]).trimEnd(), url)
    assert.deepEqual([detail[0]?.[1], String(detail[0]?.[2]).trimEnd(), detail[0]?.[3]], [2, 'a', 1207])
    assert.match(String(detail[0]?.[4]), /Invalid digit, Value 'x', Pos 2, Type: Integer/)
    assert.equal(String(detail[0]?.[0]).length, 256, 'CHAR columns are padded')
    const stl = await rows(`SELECT line_number, err_code FROM stl_load_errors WHERE query = ${queryId}`)
    assert.deepEqual(stl, [[2, 1207]])
    await must(`COPY ${name} FROM '${list}' ${role} MANIFEST JSON 'auto' MAXERROR 5`)
    assert.deepEqual(await rows(`SELECT a FROM ${name}`), [[1]])
    await must(
      `COPY ${name} FROM '${await manifest('errors/t', [await put('errors/t1', '{"a":4,"b":"äbcd"}')])}' ${role} MANIFEST JSON 'auto' TRUNCATECOLUMNS`,
    )
    assert.deepEqual(await rows(`SELECT b FROM ${name} WHERE a = 4`), [['äb']])
  })

  test('missing files, wrong compression, missing role and unknown options are errors', async () => {
    const name = table('refused')
    await must(`CREATE TABLE ${name} (a INT)`)
    const gone = `s3://${bucket}/refused/gone`
    const copy = (from: string, options: string): Promise<DescribeStatementCommandOutput> =>
      run(`COPY ${name} FROM '${from}' ${options}`)
    const there = await put('refused/there', '{"a":1}')
    assert.match(
      (await copy(await manifest('refused/m', [there, gone]), `${role} MANIFEST JSON 'auto'`)).Error ?? '',
      /NoSuchKey/,
    )
    assert.equal(
      (await copy(await manifest('refused/o', [there, gone], false), `${role} MANIFEST JSON 'auto'`)).Status,
      'FINISHED',
    )
    assert.match(
      (await copy(gone, `${role} JSON 'auto'`)).Error ?? '',
      /The specified S3 prefix 'refused\/gone' does not exist/,
    )
    assert.match((await copy(there, `${role} JSON 'auto' GZIP`)).Error ?? '', /decompress/)
    assert.match((await copy(there, "JSON 'auto'")).Error ?? '', /IAM_ROLE or CREDENTIALS required/)
    assert.match((await copy(there, `${role} JSON 'auto' FASTER`)).Error ?? '', /syntax error at or near "FASTER"/)
    assert.match(
      (await copy(there, `${role} FORMAT AS PARQUET REGION 'eu-west-1'`)).Error ?? '',
      /REGION argument is not supported/,
    )
  })

  test('CSV: quotes, header, NULL AS, columns by position', async () => {
    const name = table('csv')
    await must(`CREATE TABLE ${name} (a INT, b VARCHAR(50), c DATE)`)
    const url = await put('csv/f', 'a,b,c\r\n1,"x, ""y""\nz",2024-02-29\r\n2,\\N,\\N\r\n')
    await must(`COPY ${name} FROM '${url}' ${role} FORMAT AS CSV QUOTE '"' IGNOREHEADER 1 NULL AS '\\\\N'`)
    assert.deepEqual(await rows(`SELECT a, b, c FROM ${name} ORDER BY a`), [
      [1, 'x, "y"\nz', '2024-02-29'],
      [2, null, null],
    ])
  })

  test('sessions keep temporary tables, single statements do not', async () => {
    const opened = await must('CREATE TEMP TABLE mine (a INT)', { SessionKeepAliveSeconds: 60 })
    const SessionId = opened.SessionId ?? ''
    assert.notEqual(SessionId, '')
    await must('INSERT INTO mine VALUES (1)', { SessionId })
    assert.deepEqual(await rows('SELECT a FROM mine', { SessionId }), [[1]])
    assert.equal((await run('SELECT a FROM mine')).Status, 'FAILED')
  })

  test('a running statement can be cancelled', async () => {
    const { Id } = await data.send(new ExecuteStatementCommand({ WorkgroupName, Database, Sql: 'SELECT pg_sleep(60)' }))
    while ((await data.send(new DescribeStatementCommand({ Id }))).Status !== 'STARTED');
    assert.equal((await data.send(new CancelStatementCommand({ Id }))).Status, true)
    assert.equal((await finish(Id ?? '')).Status, 'ABORTED')
  })

  test('faults: lost response, late response, aborted though committed, throttling, 1023', async () => {
    const name = table('faults')
    await must(`CREATE TABLE ${name} (a INT)`)
    const insert = (value: number, extra: object = {}): Promise<DescribeStatementCommandOutput> =>
      batch([`INSERT INTO ${name} VALUES (${value})`], extra)
    await arm({ kind: 'drop-response', operation: 'BatchExecuteStatement' })
    const ClientToken = randomBytes(8).toString('hex')
    await assert.rejects(insert(1, { ClientToken }))
    assert.equal((await insert(1, { ClientToken })).Status, 'FINISHED', 'the same token finds the statement that ran')
    await arm({ kind: 'abort-though-committed', sqlContains: `${name} VALUES (2)` })
    assert.equal((await insert(2)).Status, 'ABORTED')
    await arm({ kind: 'throttle', operation: 'DescribeStatement' })
    await assert.rejects(insert(3), { name: 'ThrottlingException' })
    await arm({ kind: 'active-statements' })
    await assert.rejects(insert(4), { name: 'ActiveStatementsExceededException' })
    await arm({ kind: 'serializable-violation', sqlContains: `${name} VALUES (5)` })
    assert.match((await insert(5)).Error ?? '', /1023/)
    await arm({ kind: 'fail-commit', sqlContains: `${name} VALUES (6)` })
    assert.equal((await insert(6)).Status, 'FAILED')
    const impatient = new RedshiftDataClient({
      endpoint: redshift.settings.endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'k', secretAccessKey: 's' },
      maxAttempts: 1,
    })
    await arm({ kind: 'late-response', delayMs: 2000 })
    const command = new BatchExecuteStatementCommand({
      WorkgroupName,
      Database,
      Sqls: [`INSERT INTO ${name} VALUES (7)`],
    })
    await assert.rejects(impatient.send(command, { abortSignal: AbortSignal.timeout(200) }))
    impatient.destroy()
    const deadline = Date.now() + 10_000
    while ((await rows(`SELECT count(*) FROM ${name} WHERE a = 7`))[0]?.[0] !== 1) assert.ok(Date.now() < deadline)
    // 3 was submitted before its DescribeStatement was throttled.
    assert.deepEqual(await rows(`SELECT a FROM ${name} ORDER BY a`), [[1], [2], [3], [7]])
  })

  test('statements are listed', async () => {
    const StatementName = `named-${id}`
    await must('SELECT 1', { StatementName })
    const answer = await data.send(new ListStatementsCommand({ StatementName, Status: 'FINISHED' }))
    assert.equal(answer.Statements?.length, 1)
    assert.equal(answer.Statements?.[0]?.QueryString, 'SELECT 1')
  })
})
