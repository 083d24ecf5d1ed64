import type { Databases } from './databases.ts'
import type { Executor } from './executor.ts'
import {
  ApiError,
  epochSeconds,
  type JsonObject,
  numberMember,
  readTarget,
  requiredString,
  sqlParameters,
  stringList,
  stringMember,
  validationError,
} from './protocol.ts'
import { columnMetadata, pageSize, resultBytes, resultPage } from './results.ts'
import type { Sessions } from './sessions.ts'
import { isFinal, type SqlRun, type Statement, type StatementStore } from './statements.ts'

/** What the operations work with. */
export interface OperationParts {
  readonly store: StatementStore
  readonly executor: Executor
  readonly sessions: Sessions
  readonly databases: Databases
}

type Operation = (parts: OperationParts, input: JsonObject) => JsonObject | Promise<JsonObject>

function submit(parts: OperationParts, input: JsonObject, sqls: readonly string[], isBatch: boolean): Statement {
  const sessionId = stringMember(input, 'SessionId') ?? null
  const { statement, isNew } = parts.store.submit({
    sqls,
    isBatch,
    target: sessionId === null ? readTarget(input) : parts.sessions.targetOf(sessionId),
    name: stringMember(input, 'StatementName') ?? null,
    parameters: sqlParameters(input),
    clientToken: stringMember(input, 'ClientToken') ?? null,
    sessionId,
  })
  if (!isNew) return statement
  if (sessionId !== null) parts.sessions.check(sessionId)
  const keepAliveSeconds = numberMember(input, 'SessionKeepAliveSeconds') ?? 0
  if (keepAliveSeconds > 0) parts.sessions.keepAfter(statement, keepAliveSeconds * 1000)
  parts.executor.enqueue(statement)
  return statement
}

function submitted(statement: Statement): JsonObject {
  return {
    Id: statement.id,
    CreatedAt: epochSeconds(statement.createdAt),
    ...targetMembers(statement),
    SessionId: statement.sessionId ?? undefined,
  }
}

function targetMembers({ target }: Statement): JsonObject {
  return {
    ClusterIdentifier: target.clusterIdentifier,
    WorkgroupName: target.workgroupName,
    Database: target.database,
    DbUser: target.dbUser,
    SecretArn: target.secretArn,
  }
}

function durationNs(run: SqlRun): number {
  if (run.startedAt === null) return -1
  return ((run.finishedAt ?? Date.now()) - run.startedAt) * 1_000_000
}

function runMembers(run: SqlRun): JsonObject {
  return {
    HasResultSet: run.result !== null,
    ResultRows: run.status === 'FINISHED' ? run.rowCount : -1,
    ResultSize: resultBytes(run.result),
    RedshiftQueryId: run.startedAt === null ? 0 : run.queryId,
    Duration: durationNs(run),
    QueryString: run.sql,
  }
}

function describe(statement: Statement): JsonObject {
  const first = statement.runs[0]
  const last = statement.runs.at(-1)
  const common = {
    Id: statement.id,
    Status: statement.status,
    CreatedAt: epochSeconds(statement.createdAt),
    UpdatedAt: epochSeconds(statement.updatedAt),
    Error: statement.error ?? undefined,
    RedshiftPid: statement.backendPid,
    SessionId: statement.sessionId ?? undefined,
    ...targetMembers(statement),
  }
  if (!statement.isBatch) return { ...common, ...(first === undefined ? {} : runMembers(first)) }
  return {
    ...common,
    Duration: statement.runs.reduce((sum, run) => sum + Math.max(0, durationNs(run)), 0),
    HasResultSet: statement.runs.some((run) => run.result !== null),
    RedshiftQueryId: last?.queryId ?? 0,
    ResultRows: -1,
    ResultSize: -1,
    SubStatements: statement.runs.map((run) => ({
      Id: run.id,
      Status: run.status,
      Error: run.error ?? undefined,
      CreatedAt: epochSeconds(statement.createdAt),
      UpdatedAt: epochSeconds(run.finishedAt ?? statement.updatedAt),
      ...runMembers(run),
    })),
  }
}

function statementResult(parts: OperationParts, input: JsonObject): JsonObject {
  const id = requiredString(input, 'Id')
  const { statement, run } = parts.store.find(id)
  const chosen = run ?? (statement.isBatch ? undefined : statement.runs[0])
  if (chosen === undefined) throw validationError('The statement is a batch; give the id of one of its statements.')
  if (statement.status !== 'FINISHED' || chosen.result === null) {
    throw new ApiError(
      'ResourceNotFoundException',
      'Query does not have result. Please check query status with DescribeStatement.',
      { extra: { ResourceId: id } },
    )
  }
  const offset = Number(stringMember(input, 'NextToken') ?? 0)
  if (!Number.isInteger(offset) || offset < 0) throw validationError('NextToken is not valid.')
  const records = resultPage(chosen.result, offset)
  const isMore = offset + records.length < chosen.result.rows.length
  return {
    ColumnMetadata: columnMetadata(chosen.result),
    Records: records,
    TotalNumRows: chosen.result.rows.length,
    NextToken: isMore ? String(offset + pageSize) : undefined,
  }
}

async function cancel(parts: OperationParts, input: JsonObject): Promise<JsonObject> {
  const { statement, run } = parts.store.find(requiredString(input, 'Id'))
  if (run !== null) throw validationError('A statement inside a batch cannot be cancelled by itself.')
  if (isFinal(statement.status))
    throw validationError(`Could not cancel a query that is already in ${statement.status} state.`)
  await parts.executor.cancel(statement)
  return { Status: true }
}

function list(parts: OperationParts, input: JsonObject): JsonObject {
  const status = stringMember(input, 'Status')
  const name = stringMember(input, 'StatementName')
  const max = numberMember(input, 'MaxResults') ?? 100
  const statements = parts.store
    .list()
    .filter((statement) => status === undefined || status === 'ALL' || statement.status === status)
    .filter((statement) => name === undefined || (statement.name ?? '').startsWith(name))
    .slice(0, max)
  return {
    Statements: statements.map((statement) => ({
      Id: statement.id,
      Status: statement.status,
      StatementName: statement.name ?? undefined,
      CreatedAt: epochSeconds(statement.createdAt),
      UpdatedAt: epochSeconds(statement.updatedAt),
      IsBatchStatement: statement.isBatch,
      QueryString: statement.isBatch ? undefined : statement.runs[0]?.sql,
      QueryStrings: statement.isBatch ? statement.runs.map((run) => run.sql) : undefined,
    })),
  }
}

async function queryRows(
  parts: OperationParts,
  database: string,
  sql: string,
  values: readonly string[],
): Promise<readonly (readonly (string | null)[])[]> {
  const client = await parts.databases.connect(database)
  try {
    const answer = await client.query({ text: sql, values: [...values], rowMode: 'array' })
    return answer.rows as unknown as readonly (readonly (string | null)[])[]
  } finally {
    await client.end()
  }
}

async function describeTable(parts: OperationParts, input: JsonObject): Promise<JsonObject> {
  const { database } = readTarget(input)
  const schema = stringMember(input, 'Schema') ?? 'public'
  const table = requiredString(input, 'Table')
  const rows = await queryRows(
    parts,
    database,
    `SELECT column_name, data_type, is_nullable, column_default, coalesce(character_maximum_length, numeric_precision, 0)::text, coalesce(numeric_scale, 0)::text
       FROM svv_columns WHERE table_schema = $1 AND table_name = $2 ORDER BY ordinal_position`,
    [schema, table],
  )
  return {
    TableName: table,
    ColumnList: rows.map(([name, type, nullable, columnDefault, length, scale]) => ({
      name,
      label: name,
      typeName: type,
      nullable: nullable === 'YES' ? 1 : 0,
      columnDefault: columnDefault ?? undefined,
      length: Number(length),
      precision: Number(length),
      scale: Number(scale),
      schemaName: schema,
      tableName: table,
    })),
  }
}

async function listTables(parts: OperationParts, input: JsonObject): Promise<JsonObject> {
  const { database } = readTarget(input)
  const rows = await queryRows(
    parts,
    database,
    `SELECT table_schema, table_name FROM svv_tables WHERE table_schema LIKE $1 AND table_name LIKE $2 ORDER BY 1, 2`,
    [stringMember(input, 'SchemaPattern') ?? '%', stringMember(input, 'TablePattern') ?? '%'],
  )
  return { Tables: rows.map(([schema, name]) => ({ schema, name, type: 'TABLE' })) }
}

/** Operations by the name in `X-Amz-Target: RedshiftData.<Operation>`. */
export const operations: Readonly<Record<string, Operation>> = {
  ExecuteStatement: (parts, input) => {
    const statement = submit(parts, input, [requiredString(input, 'Sql')], false)
    return submitted(statement)
  },
  BatchExecuteStatement: (parts, input) => submitted(submit(parts, input, stringList(input, 'Sqls'), true)),
  DescribeStatement: async (parts, input) => {
    const { statement, run } = parts.store.find(requiredString(input, 'Id'))
    const waitSeconds = numberMember(input, 'WaitTimeSeconds') ?? 0
    if (waitSeconds < 0 || waitSeconds > 30) throw validationError('WaitTimeSeconds must be between 0 and 30.')
    await parts.store.ended(statement, waitSeconds * 1000)
    if (run === null) return describe(statement)
    return {
      ...describe(statement),
      SubStatements: undefined,
      Id: run.id,
      Status: run.status,
      Error: run.error ?? undefined,
      ...runMembers(run),
    }
  },
  GetStatementResult: statementResult,
  CancelStatement: cancel,
  ListStatements: list,
  DescribeTable: describeTable,
  ListTables: listTables,
}

/** Cluster or workgroup and SQL of a request, for matching faults; requests by id are matched by their statement. */
export function requestScope(
  store: StatementStore,
  input: JsonObject,
): { readonly owner: string | null; readonly sql: string } {
  const id = input['Id']
  if (typeof id === 'string') {
    const statement = store.get(id)
    return { owner: statement?.target.owner ?? null, sql: statement?.runs.map((run) => run.sql).join('\n') ?? '' }
  }
  const owner = input['ClusterIdentifier'] ?? input['WorkgroupName']
  const sql =
    typeof input['Sql'] === 'string' ? input['Sql'] : Array.isArray(input['Sqls']) ? input['Sqls'].join('\n') : ''
  return { owner: typeof owner === 'string' ? owner : null, sql }
}
