import {
  type ColumnMetadata,
  DescribeStatementCommand,
  ExecuteStatementCommand,
  type Field,
  GetStatementResultCommand,
  RedshiftDataClient,
} from '@aws-sdk/client-redshift-data'
import type { Services } from '../support/pipeline.ts'
import { waitFor } from '../support/wait.ts'

/** Runs SQL through the Redshift Data API, as an analyst's tool would. */
export class Warehouse {
  readonly #client: RedshiftDataClient

  constructor(services: Services) {
    this.#client = new RedshiftDataClient({
      endpoint: services.redshiftEndpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: services.s3AccessKey, secretAccessKey: services.s3SecretKey },
    })
  }

  async execute(sql: string): Promise<string> {
    const { Id } = await this.#client.send(
      new ExecuteStatementCommand({ Sql: sql, Database: 'dev', WorkgroupName: 'payroll' }),
    )
    if (Id === undefined) throw new Error(`no statement id for ${sql}`)
    const status = await waitFor(
      'a statement',
      60_000,
      async () => {
        const answer = await this.#client.send(new DescribeStatementCommand({ Id }))
        return answer.Status === 'FINISHED' || answer.Status === 'FAILED' || answer.Status === 'ABORTED' ? answer : null
      },
      50,
    )
    if (status.Status !== 'FINISHED') throw new Error(`${status.Status}: ${status.Error ?? ''}\n${sql}`)
    return Id
  }

  /** Rows as text by column name; NULL is absent. */
  async query(sql: string): Promise<Record<string, string>[]> {
    const id = await this.execute(sql)
    const rows: Record<string, string>[] = []
    let page: string | undefined
    do {
      const command = new GetStatementResultCommand({ Id: id, ...(page !== undefined && { NextToken: page }) })
      const { ColumnMetadata, Records = [], NextToken } = await this.#client.send(command)
      for (const record of Records) rows.push(rowOf(ColumnMetadata ?? [], record))
      page = NextToken
    } while (page)
    return rows
  }

  close(): void {
    this.#client.destroy()
  }
}

function rowOf(columns: readonly ColumnMetadata[], record: readonly Field[]): Record<string, string> {
  const row: Record<string, string> = {}
  for (const [i, field] of record.entries()) {
    const name = columns[i]?.name
    const value = field.stringValue ?? field.longValue ?? field.doubleValue ?? field.booleanValue
    if (name !== undefined && value !== undefined) row[name] = String(value)
  }
  return row
}
