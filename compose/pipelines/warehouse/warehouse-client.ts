import {
  DescribeStatementCommand,
  ExecuteStatementCommand,
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
    const { ColumnMetadata, Records } = await this.#client.send(new GetStatementResultCommand({ Id: id }))
    return (Records ?? []).map((record) => {
      const row: Record<string, string> = {}
      for (const [i, field] of record.entries()) {
        const name = ColumnMetadata?.[i]?.name
        const value = field.stringValue ?? field.longValue ?? field.doubleValue ?? field.booleanValue
        if (name !== undefined && value !== undefined) row[name] = String(value)
      }
      return row
    })
  }

  close(): void {
    this.#client.destroy()
  }
}
