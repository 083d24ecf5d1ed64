import type { RedshiftDataClientConfig } from '@aws-sdk/client-redshift-data'
import { toError } from '../../worker/api/errors.ts'
import { type AwsKeys, sdkCredentials } from '../common/aws-credentials.ts'
import { KeptSessions, type SessionChoice } from './kept-sessions.ts'

/** A submitted statement as the Data API sees it. */
export interface StatementState {
  readonly status: 'SUBMITTED' | 'PICKED' | 'STARTED' | 'FINISHED' | 'FAILED' | 'ABORTED' | 'ALL'
  /** Empty unless the status is FAILED or ABORTED. */
  readonly error: string
  readonly hasResult: boolean
  /** Query id of the statement that failed, as the load error views know it; null when there is none. */
  readonly failedQueryId: string | null
}

/** A row of a result; int8 and smaller as bigint, everything else as text. */
export type ResultRow = readonly (string | bigint | boolean | number | null)[]

/** The calls of the Redshift Data API that the sink makes. Errors are those of the SDK. */
export interface DataApi {
  /** One transaction. The same token within hours gives the first id again. */
  submit(sqls: readonly string[], token: string, signal: AbortSignal): Promise<string>
  /** @param waitSeconds how long the service may wait for the end before it answers, 1 to 30; 0: not at all */
  describe(id: string, waitSeconds: number, signal: AbortSignal): Promise<StatementState>
  rows(id: string, signal: AbortSignal): Promise<readonly ResultRow[]>
  cancel(id: string): Promise<void>
  close(): void
}

export interface DataApiOptions {
  readonly region: string
  /** Null: the service's own. */
  readonly endpoint: string | null
  readonly credentials: AwsKeys | null
  readonly workgroup: string
  readonly cluster: string
  readonly database: string
  readonly dbUser: string
  readonly secretArn: string
  /** How long the service keeps a session open for further statements; 0: every statement has its own. */
  readonly sessionKeepAliveSeconds: number
}

/** What the service says of a session that is not there any more, or not free. */
const sessionErrors: ReadonlySet<string> = new Set(['ResourceNotFoundException', 'ActiveSessionsExceededException'])

/** Loads the SDK and makes a client; call it in `start`. The SDK's own retries are off: the runner repeats. */
export async function openDataApi(options: DataApiOptions): Promise<DataApi> {
  const sdk = await import('@aws-sdk/client-redshift-data')
  const config: RedshiftDataClientConfig = { region: options.region, maxAttempts: 1 }
  if (options.endpoint !== null) config.endpoint = options.endpoint
  if (options.credentials !== null) config.credentials = sdkCredentials(options.credentials)
  const client = new sdk.RedshiftDataClient(config)
  const place = {
    Database: options.database,
    ...(options.workgroup === '' ? {} : { WorkgroupName: options.workgroup }),
    ...(options.cluster === '' ? {} : { ClusterIdentifier: options.cluster }),
    ...(options.dbUser === '' ? {} : { DbUser: options.dbUser }),
    ...(options.secretArn === '' ? {} : { SecretArn: options.secretArn }),
  }
  const keepAlive = options.sessionKeepAliveSeconds
  const sessions = new KeptSessions()
  const api: DataApi = {
    async submit(sqls, token, abortSignal) {
      const [first = ''] = sqls
      const choice: SessionChoice = keepAlive === 0 ? { kind: 'new' } : sessions.choose(token)
      const where = {
        ...(choice.kind === 'kept' ? { SessionId: choice.id } : place),
        ...(keepAlive === 0 ? {} : { SessionKeepAliveSeconds: keepAlive }),
        ClientToken: token,
      }
      // A batch of one is an ordinary statement, and only that has a result of its own.
      const send = () =>
        sqls.length === 1
          ? client.send(new sdk.ExecuteStatementCommand({ ...where, Sql: first }), { abortSignal })
          : client.send(new sdk.BatchExecuteStatementCommand({ ...where, Sqls: [...sqls] }), { abortSignal })
      try {
        const { Id, SessionId } = await send()
        if (Id === undefined) throw new TypeError('the Data API answered without an Id')
        sessions.submitted(token, Id, keepAlive === 0 ? undefined : SessionId)
        return Id
      } catch (error) {
        if (choice.kind === 'new' || !sessionErrors.has(toError(error).name)) throw error
        sessions.refused(token)
        return api.submit(sqls, token, abortSignal)
      }
    },
    async describe(Id, waitSeconds, abortSignal) {
      const input = waitSeconds === 0 ? { Id } : { Id, WaitTimeSeconds: waitSeconds }
      const answer = await client.send(new sdk.DescribeStatementCommand(input), { abortSignal })
      const failed = answer.SubStatements?.find((s) => s.Status === 'FAILED')
      const { Status } = answer
      if (Status === 'FINISHED' || Status === 'FAILED' || Status === 'ABORTED') sessions.ended(Id, Status)
      const queryId = answer.SubStatements === undefined ? answer.RedshiftQueryId : failed?.RedshiftQueryId
      return {
        status: answer.Status ?? 'SUBMITTED',
        error: answer.Error ?? failed?.Error ?? '',
        hasResult: answer.HasResultSet ?? false,
        // 0 and -1 stand for a query that never had one.
        failedQueryId: queryId === undefined || queryId <= 0 ? null : String(queryId),
      }
    },
    async rows(Id, abortSignal) {
      const rows: ResultRow[] = []
      let NextToken: string | undefined
      do {
        const input = NextToken === undefined ? { Id } : { Id, NextToken }
        const page = await client.send(new sdk.GetStatementResultCommand(input), { abortSignal })
        for (const record of page.Records ?? []) rows.push(record.map(fieldValue))
        NextToken = page.NextToken
      } while (NextToken !== undefined)
      return rows
    },
    async cancel(Id) {
      await client.send(new sdk.CancelStatementCommand({ Id }))
    },
    close: () => client.destroy(),
  }
  return api
}

type SdkField = import('@aws-sdk/client-redshift-data').Field

function fieldValue(field: SdkField): ResultRow[number] {
  if (field.stringValue !== undefined) return field.stringValue
  // The SDK reads int8 as a double; offsets beyond 2^53 are asked for as text instead.
  if (field.longValue !== undefined) return BigInt(field.longValue)
  return field.doubleValue ?? field.booleanValue ?? null
}
