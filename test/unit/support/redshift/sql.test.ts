import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseCopy } from '../../../support/redshift/copy-command.ts'
import { rewriteStatement } from '../../../support/redshift/sql-rewrite.ts'
import { literalValue, tokenize } from '../../../support/redshift/sql-tokens.ts'

const rewrite = (sql: string, parameters: Record<string, string> = {}) =>
  rewriteStatement(sql, new Map(Object.entries(parameters)))
const squeeze = (sql: string): string => sql.replace(/\s+/g, ' ').trim()

describe('dialect of the Redshift emulator', () => {
  test('tokens joined give back the statement', () => {
    const sql = `SELECT 'it''s \\' ok', "A b", x::int, :p, 1.5e3 /* c */ -- d\n FROM t WHERE a<>$$q'q$$`
    assert.equal(
      tokenize(sql)
        .map((token) => token.text)
        .join(''),
      sql,
    )
    assert.deepEqual(
      tokenize(sql)
        .filter((token) => token.kind === 'parameter')
        .map((token) => token.text),
      [':p'],
    )
    const literal = tokenize(sql).find((token) => token.kind === 'string')
    assert.equal(literal === undefined ? '' : literalValue(literal), "it's ' ok")
    assert.throws(() => tokenize("SELECT 'open"), /unterminated/)
  })

  for (const [sql, expected] of [
    ['SELECT NVL("A", 1), SYSDATE', `SELECT coalesce("a", 1), (statement_timestamp() at time zone 'UTC')`],
    ["SELECT nvl /* of two */ (a, nvl), LISTAGG(b, ',')", "SELECT coalesce /* of two */ (a, nvl), string_agg(b, ',')"],
    ['LOCK TABLE a', 'LOCK TABLE a IN ACCESS EXCLUSIVE MODE'],
    [
      'CREATE TABLE t (a INT ENCODE az64 SORTKEY, b SUPER) DISTSTYLE EVEN SORTKEY (a)',
      'CREATE TABLE t ("a" int , "b" jsonb)',
    ],
    [
      'CREATE TABLE t (a BIGINT IDENTITY(1,1), PRIMARY KEY (a))',
      'CREATE TABLE t ("a" bigint GENERATED ALWAYS AS IDENTITY NOT NULL)',
    ],
    ['CREATE TABLE t (a INT REFERENCES o(id), UNIQUE (a))', 'CREATE TABLE t ("a" int)'],
    ['CREATE TEMP TABLE s AS SELECT 1', 'CREATE TEMP TABLE s AS SELECT 1'],
    ['CREATE TEMP TABLE s (LIKE t INCLUDING DEFAULTS)', 'CREATE TEMP TABLE s (LIKE t INCLUDING DEFAULTS)'],
    ['ALTER TABLE t ADD COLUMN c VARCHAR(5)', 'ALTER TABLE t ADD COLUMN "c" varchar(5) CHECK (octet_length("c") <= 5)'],
  ] as const) {
    test(sql, () =>
      assert.equal(squeeze(rewrite(sql).sql).replaceAll(' ,', ','), squeeze(expected).replaceAll(' ,', ',')),
    )
  }

  test('each use of a parameter is bound by itself', () => {
    const { sql, values } = rewrite('SELECT :a, :b, :a', { a: '1', b: '2' })
    assert.equal(sql, 'SELECT $1, $2, $3')
    assert.deepEqual(values, ['1', '2', '1'])
    assert.throws(() => rewrite('SELECT :c'), /parameter :c has no value/)
  })

  test('COPY: all that the loader needs, in any order', () => {
    const command = parseCopy(
      `COPY "public"."T" ("A", b) FROM 's3://b/k.manifest' IAM_ROLE 'arn:aws:iam::1:role/r' MANIFEST FORMAT AS JSON 'auto ignorecase'
       GZIP TIMEFORMAT AS 'epochmillisecs' MAXERROR 3 COMPUPDATE OFF STATUPDATE OFF REGION AS 'eu-west-1' ACCEPTINVCHARS`,
    )
    assert.deepEqual(command, {
      schema: 'public',
      table: 't',
      columns: ['a', 'b'],
      url: 's3://b/k.manifest',
      iamRole: 'arn:aws:iam::1:role/r',
      isManifest: true,
      format: { kind: 'json', mode: { kind: 'auto', ignoreCase: true } },
      compression: 'gzip',
      timeFormat: 'epochmillisecs',
      truncateColumns: false,
      acceptInvalidCharacters: '?',
      maxErrors: 3,
      isDryRun: false,
    })
  })

  for (const [sql, message] of [
    ["COPY t FROM 's3://b/k' JSON 'auto'", /IAM_ROLE or CREDENTIALS required/],
    ["COPY t FROM 's3://b/k' IAM_ROLE default GZIP GZIP", /conflicting or redundant/],
    ["COPY t FROM 's3://b/k' IAM_ROLE default PARTITION BY a", /syntax error at or near "PARTITION"/],
    [
      "COPY t FROM 's3://b/k' IAM_ROLE default FORMAT AS PARQUET MAXERROR 1",
      /MAXERROR argument is not supported for PARQUET/,
    ],
    ["COPY t FROM 'dynamodb://t' IAM_ROLE default", /only s3:\/\//],
  ] as const) {
    test(`refused: ${sql}`, () => assert.throws(() => parseCopy(sql), message))
  }
})
