import { redshiftSinkConfig } from '../../../connectors/redshift/config.ts'
import type { RedshiftSinkConfig } from '../../../connectors/redshift/config-options.ts'
import { CopyRunner } from '../../../connectors/redshift/copy-runner.ts'
import { type DataApi, openDataApi, type ResultRow } from '../../../connectors/redshift/data-api.ts'
import { apiOptions, runnerOptions } from '../../../connectors/redshift/settings.ts'
import { foldName, literal, type TableName } from '../../../connectors/redshift/sql.ts'
import { ledgerFor } from '../../../connectors/redshift/table-names.ts'
import { parseConfig } from '../../config/config-def.ts'
import { readConnectorFile } from '../../config/config-files.ts'
import { ConfigProviders } from '../../config/config-provider.ts'
import { systemClock } from '../../util/clock.ts'

/** A table that the sink loads, with its ledger. */
export interface LedgeredTable {
  readonly target: TableName
  readonly ledger: TableName
}

/** The providers that connector files may use here, as in the pipelines. */
const providers = {
  'config.providers': 'env,file,directory',
  'config.providers.env.class': 'org.apache.kafka.common.config.provider.EnvVarConfigProvider',
  'config.providers.file.class': 'org.apache.kafka.common.config.provider.FileConfigProvider',
  'config.providers.directory.class': 'org.apache.kafka.common.config.provider.DirectoryConfigProvider',
}

/** Somebody waits for the answer: a warehouse that is away is told of within seconds, not after the sink's retries. */
const patience = { maxRetries: 3, retryBackoffMs: 500 }

const quiet = { trace() {}, debug() {}, info() {}, warn() {}, error() {} }

/** The warehouse as the configuration of a Redshift sink names it. */
export class Warehouse implements Disposable {
  readonly config: RedshiftSinkConfig
  readonly #raw: Readonly<Record<string, string | null>>
  readonly #api: DataApi
  readonly #runner: CopyRunner
  readonly #signal: AbortSignal

  private constructor(
    config: RedshiftSinkConfig,
    raw: Readonly<Record<string, string | null>>,
    api: DataApi,
    signal: AbortSignal,
  ) {
    this.config = config
    this.#raw = raw
    this.#api = api
    this.#signal = signal
    const options = { ...runnerOptions(config), ...patience }
    this.#runner = new CopyRunner(api, options, { clock: systemClock, logger: quiet })
  }

  /**
   * @param file JSON or properties of the sink connector
   * @throws ConnectError the file cannot be read; ConfigError it is not a valid configuration of the sink
   */
  static async open(file: string, signal: AbortSignal): Promise<Warehouse> {
    const { config: raw } = await readConnectorFile(file)
    await using references = await ConfigProviders.fromWorkerConfig(providers)
    const resolved = await references.resolve(raw)
    const config = parseConfig(redshiftSinkConfig, resolved.config)
    return new Warehouse(config, resolved.config, await openDataApi(apiOptions(config)), signal)
  }

  /** Topics of the metadata messages. */
  get topics(): readonly string[] {
    return (this.#raw['topics'] ?? '')
      .split(',')
      .map((topic) => topic.trim())
      .filter((topic) => topic !== '')
  }

  /** Where the sink puts messages that it cannot load; null when it has no such topic. */
  get deadLetterTopic(): string | null {
    const topic = this.#raw['errors.deadletterqueue.topic.name']?.trim() ?? ''
    return topic === '' ? null : topic
  }

  /** Rows of a query, in one snapshot. @throws ConnectError */
  async query(sql: string): Promise<readonly ResultRow[]> {
    return this.#runner.query(sql, this.#signal)
  }

  /** The tables of the schema that have a ledger, sorted by name. */
  async ledgeredTables(): Promise<readonly LedgeredTable[]> {
    const schema = foldName(this.config['redshift.schema'])
    const rows = await this.query(`SELECT table_name FROM svv_tables WHERE table_schema = ${literal(schema)}`)
    const names = new Set(rows.map(([name]) => String(name)))
    const pairs = [...names]
      .toSorted()
      .map((table) => [table, ledgerFor(table, this.config['ledger.table.format'])] as const)
    return pairs
      .filter(([, ledger]) => names.has(ledger))
      .map(([table, ledger]) => ({ target: { schema, table }, ledger: { schema, table: ledger } }))
  }

  /** Columns with their types, in the order of the table; empty when there is no such table. */
  async columnsOf({ schema, table }: TableName): Promise<ReadonlyMap<string, string>> {
    const rows = await this.query(
      `SELECT column_name, data_type FROM svv_columns WHERE table_schema = ${literal(schema)} ` +
        `AND table_name = ${literal(table)} ORDER BY ordinal_position`,
    )
    return new Map(rows.map(([name, type]) => [String(name), String(type)]))
  }

  [Symbol.dispose](): void {
    this.#api.close()
  }
}

/** `schema.table` as people write it. */
export const nameOf = ({ schema, table }: TableName): string => `${schema}.${table}`
