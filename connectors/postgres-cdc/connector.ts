import type { RawConfig, SourceConnector, SourceConnectorContext } from '../../worker/api/connector.ts'
import { type ConfigProblem, RequestError, toError } from '../../worker/api/errors.ts'
import type { SourceOffset, SourcePartition } from '../../worker/api/record.ts'
import type { PostgresConfig } from './config.ts'
import { Database } from './connection.ts'
import { readOffset } from './offsets.ts'
import { connectionOptions, namedOptionProblems } from './settings.ts'

/** One task, whatever `tasks.max` says: a slot has one reader. */
export class PostgresConnector implements SourceConnector<PostgresConfig> {
  readonly watches = false
  #taskConfig: RawConfig = {}

  async start(_config: PostgresConfig, context: SourceConnectorContext): Promise<void> {
    this.#taskConfig = context.rawConfig
  }

  async taskConfigs(): Promise<readonly RawConfig[]> {
    return [this.#taskConfig]
  }

  async stop(): Promise<void> {}

  exactlyOnceSupport(): 'supported' {
    return 'supported'
  }

  /**
   * An offset must name a position that the task can start from. Offsets of another partition may be removed: nobody
   * reads them, and an earlier topic.prefix may have left them behind.
   * @throws RequestError
   */
  async alterOffsets(
    config: PostgresConfig,
    offsets: readonly (readonly [SourcePartition | null, SourceOffset | null])[],
  ): Promise<boolean> {
    for (const [partition, offset] of offsets) {
      if (partition === null || (partition['server'] !== config['topic.prefix'] && offset !== null)) {
        throw new RequestError(
          400,
          'CONNECT_POSTGRES_POSITION',
          `The partition of this connector is {"server": "${config['topic.prefix']}"}, not ${partition === null ? 'missing' : JSON.stringify(partition)}`,
        )
      }
      if (offset !== null && !isPosition(offset)) {
        throw new RequestError(
          400,
          'CONNECT_POSTGRES_POSITION',
          'An offset needs the member `lsn`, a position as an integer that is not negative: ' +
            "SELECT '0/16B3748'::pg_lsn - '0/0' makes one of a pg_lsn",
        )
      }
    }
    return false
  }
}

function isPosition(offset: SourceOffset): boolean {
  const { lsn } = offset
  return (readOffset(offset)?.lsn ?? -1n) >= 0n && (typeof lsn !== 'number' || Number.isInteger(lsn))
}

const readOnlyVersion = 130_000

/** @param version `server_version_num` */
export function versionProblems(config: PostgresConfig, version: number): readonly ConfigProblem[] {
  if (!config['read.only'] || version >= readOnlyVersion) return []
  const message = `'read.only' needs PostgreSQL 13 or newer; the server is ${Math.trunc(version / 10_000)}`
  return [{ option: 'read.only', message }]
}

/** Checks with a connection: the server answers, and the options whose names carry values are right. */
export async function validateConnection(
  config: PostgresConfig,
  raw: Readonly<Record<string, string | null>>,
): Promise<readonly ConfigProblem[]> {
  const given = Object.entries(raw).filter((entry): entry is [string, string] => entry[1] !== null)
  const problems = namedOptionProblems(Object.fromEntries(given))
  if (problems.length > 0) return problems
  try {
    const options = connectionOptions(config, config['connection.validation.timeout.ms'])
    await using database = await Database.open(options, 'Debezium Validate Connection')
    const [row] = await database.rows<{ version: string }>("SELECT current_setting('server_version_num') AS version")
    return versionProblems(config, Number(row?.version))
  } catch (error) {
    const { message } = toError(error)
    return [{ option: 'database.hostname', message: `Error while validating connector config: ${message}` }]
  }
}
