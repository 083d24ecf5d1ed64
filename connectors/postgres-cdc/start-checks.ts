/** What is looked at before a session touches slot or publication: the server, the captured tables, the signal table. */
import type { Logger } from '../../worker/api/context.ts'
import { ConnectError } from '../../worker/api/errors.ts'
import type { Catalog, CatalogTable } from './catalog.ts'
import type { Database } from './connection.ts'
import type { Settings } from './settings.ts'

/** What later steps need to know of the server. */
export interface ServerFacts {
  /** `server_version_num` */
  readonly version: number
  readonly walSenderTimeoutMs: number
}

interface Services {
  readonly settings: Settings
  readonly catalog: Catalog
  readonly logger: Logger
}

/** @throws ConnectError (fatal) behind a pooler, or where `wal_level` has no logical decoding */
export async function checkServer(database: Database): Promise<ServerFacts> {
  if (!(await database.isDirect())) throw pooled()
  const [row] = await database.rows<{ version: string; timeout: string; wal_level: string }>(
    `SELECT current_setting('server_version_num') AS version, current_setting('wal_level') AS wal_level,
            (SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout') AS timeout`,
  )
  if (row?.wal_level !== 'logical') {
    throw new ConnectError(
      'fatal',
      'CONNECT_POSTGRES_SETUP',
      `The server's wal_level is ${row?.wal_level}, which has no logical decoding. ALTER SYSTEM SET wal_level = logical; then restart it.`,
    )
  }
  return { version: Number(row.version), walSenderTimeoutMs: Number(row.timeout) }
}

/** @throws ConnectError (fatal) for more tables than the guardrail allows, where it says so */
export async function capturedTables({ settings, catalog, logger }: Services): Promise<readonly CatalogTable[]> {
  const { filters, guardrail } = settings
  const tables = (await catalog.tables()).filter((t) => filters.capturesTable(t.schema, t.table))
  if (guardrail.max > 0 && tables.length > guardrail.max) {
    const message = `${tables.length} tables are captured, more than guardrail.collections.max=${guardrail.max}`
    if (guardrail.fail)
      throw new ConnectError('fatal', 'CONNECT_POSTGRES_SETUP', `${message}. Narrow table.include.list.`)
    logger.warn({ tables: tables.length }, message)
  }
  if (tables.length === 0) {
    logger.warn({}, 'No table is captured: check schema.include.list, table.include.list and the grants')
  }
  return tables
}

/** A signal table that cannot work is reported; streaming does without it. */
export async function checkSignalTable(
  tables: readonly CatalogTable[],
  { settings, catalog, logger }: Services,
): Promise<void> {
  const { table: wanted } = settings.signals
  if (wanted === null) return
  const name = `${wanted.schema}.${wanted.table}`
  const found = tables.find(({ schema, table }) => schema === wanted.schema && table === wanted.table)
  const columns = found === undefined ? null : (await catalog.details(found.oid)).columns.length
  if (columns === 3) return
  const what = columns === null ? 'does not exist' : `has ${columns} columns`
  const remedy = 'CREATE TABLE … (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048))'
  logger.error({ table: name }, `The table of signal.data.collection ${what}; signals need: ${remedy}`)
}

function pooled(): ConnectError {
  return new ConnectError(
    'fatal',
    'CONNECT_POSTGRES_POOLER',
    'The connection leads through a pooler: replication and snapshots need sessions of the server itself. ' +
      'Set database.hostname and database.port to the server, not to PgBouncer or the like.',
  )
}
