/**
 * The emulator's answers against the service's own model, as its SDK ships it: whatever a real workgroup may answer is
 * described there, so an emulator that keeps to it cannot teach the sink what the service does not do (statement R50).
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import * as sdk from '@aws-sdk/client-redshift-data'
import { waitFor } from '../../compose/pipelines/support/wait.ts'
import { requireService, skipUnless } from '../support/services.ts'

const redshift = requireService('redshift')
const skip = skipUnless(redshift, requireService('postgres'))

type Json = null | boolean | number | string | readonly Json[] | { readonly [member: string]: Json }
type Members = Readonly<Record<string, Json>>

/** What the SDK knows of a structure: names and, in the same order, schemas of its members. */
function structure(name: string): ReadonlyMap<string, unknown> {
  const schema: unknown = Reflect.get(sdk, `${name}$`)
  ok(Array.isArray(schema), `the SDK has no ${name}`)
  const parts: readonly unknown[] = schema
  const [names, types] = [parts[4], parts[5]]
  ok(Array.isArray(names) && Array.isArray(types), name)
  return new Map(names.map((member: unknown, i): [string, unknown] => [String(member), types[i]]))
}

/** Members that are there must be known; lists of structures are looked into where the caller names them. */
function checkAgainst(name: string, answer: Members, inner: Readonly<Record<string, string>> = {}): void {
  const known = structure(name)
  for (const [member, value] of Object.entries(answer)) {
    ok(known.has(member), `${name} has no member ${member}`)
    const element = inner[member]
    if (element === undefined || !Array.isArray(value)) continue
    for (const item of value as readonly Members[]) checkAgainst(element, item, inner)
  }
}

interface Answer {
  readonly status: number
  readonly body: Members
}

const target = { WorkgroupName: `wg-${randomBytes(5).toString('hex')}`, Database: 'dev' }

async function call(operation: string, input: object): Promise<Answer> {
  const answer = await fetch(redshift.settings.endpoint, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': `RedshiftData.${operation}`,
      authorization:
        'AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/redshift-data/aws4_request, SignedHeaders=host, Signature=0',
    },
    body: JSON.stringify(input),
  })
  return { status: answer.status, body: (await answer.json()) as Members }
}

async function finished(id: Json): Promise<Members> {
  return await waitFor('a statement', 20_000, async () => {
    const { body } = await call('DescribeStatement', { Id: id })
    ok(Object.keys(sdk.StatusString).includes(String(body['Status'])), `${body['Status']} is no state of the service`)
    return ['FINISHED', 'FAILED', 'ABORTED'].includes(String(body['Status'])) ? body : null
  })
}

describe('Redshift Data API emulator: the model of the service (statement R50)', { skip }, () => {
  test('answers of statements, batches and results have the members of the service, and no others', async () => {
    const one = await call('ExecuteStatement', { ...target, Sql: "SELECT 1 AS a, 'x' AS b, 2.5::float8, true, NULL" })
    checkAgainst('ExecuteStatementOutput', one.body)
    const described = await finished(one.body['Id'] ?? null)
    checkAgainst('DescribeStatementResponse', described, { SubStatements: 'SubStatementData' })
    equal(described['Status'], 'FINISHED')
    const result = await call('GetStatementResult', { Id: one.body['Id'] })
    checkAgainst('GetStatementResultResponse', result.body, { ColumnMetadata: 'ColumnMetadata' })
    const fields = structure('Field')
    const records = result.body['Records'] as readonly (readonly Members[])[]
    for (const field of records.flat()) {
      const names = Object.keys(field)
      equal(names.length, 1, 'a field is a union')
      ok(fields.has(names[0] ?? ''), `${names[0]} is no kind of field`)
    }
    const batch = await call('BatchExecuteStatement', { ...target, Sqls: ['SELECT 1', 'SELECT 1/0', 'SELECT 2'] })
    checkAgainst('BatchExecuteStatementOutput', batch.body)
    const failed = await finished(batch.body['Id'] ?? null)
    checkAgainst('DescribeStatementResponse', failed, { SubStatements: 'SubStatementData' })
    const states = (failed['SubStatements'] as readonly Members[]).map((sub) => sub['Status'])
    deepEqual(states, ['FINISHED', 'FAILED', 'ABORTED'])
    for (const state of states) ok(Object.keys(sdk.StatementStatusString).includes(String(state)))
  })

  test('lists, tables and cancellation have the members of the service', async () => {
    checkAgainst('ListStatementsResponse', (await call('ListStatements', {})).body, { Statements: 'StatementData' })
    const tables = await call('ListTables', target)
    checkAgainst('ListTablesResponse', tables.body, { Tables: 'TableMember' })
    const table = await call('DescribeTable', { ...target, Schema: 'pg_catalog', Table: 'pg_class' })
    checkAgainst('DescribeTableResponse', table.body, { ColumnList: 'ColumnMetadata' })
    const slow = await call('ExecuteStatement', { ...target, Sql: 'SELECT pg_sleep(10)' })
    const cancelled = await call('CancelStatement', { Id: slow.body['Id'] })
    checkAgainst('CancelStatementResponse', cancelled.body)
  })

  for (const [what, operation, input] of [
    ['no target', 'ExecuteStatement', { Database: 'dev', Sql: 'SELECT 1' }],
    ['both targets', 'ExecuteStatement', { ...target, ClusterIdentifier: 'c', Sql: 'SELECT 1' }],
    ['no SQL', 'ExecuteStatement', target],
    [
      'more than 40 statements',
      'BatchExecuteStatement',
      { ...target, Sqls: Array.from({ length: 41 }, () => 'SELECT 1') },
    ],
    ['an unknown statement', 'DescribeStatement', { Id: '00000000-0000-4000-8000-000000000000' }],
    ['an id that is none', 'GetStatementResult', { Id: 'x' }],
  ] as const) {
    test(`${what} is refused with an error that the service declares`, async () => {
      const { status, body } = await call(operation, input)
      const name = String(body['__type']).split('#').at(-1) ?? ''
      ok(status >= 400, `${status}`)
      ok(name.endsWith('Exception') && Reflect.has(sdk, name), `${name} is no error of the service`)
      // Of errors the clients take the text in either case.
      const { __type: _type, message, ...rest } = body
      checkAgainst(name, { Message: message ?? '', ...rest })
    })
  }
})
