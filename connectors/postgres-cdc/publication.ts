/** Publication: checks, automatic creation and adjustment; replica identities. */
import type { Logger } from '../../worker/api/context.ts'
import { ConnectError } from '../../worker/api/errors.ts'
import { JavaRegex } from '../../worker/api/java-regex.ts'
import type { CatalogTable } from './catalog.ts'
import type { Database } from './connection.ts'
import { classify, sqlStateOf } from './errors.ts'
import { qualifiedName, quoteIdentifier } from './sql.ts'

export type AutocreateMode = 'disabled' | 'all_tables' | 'filtered' | 'no_tables'

export interface PublicationOptions {
  readonly name: string
  readonly mode: AutocreateMode
  readonly viaPartitionRoot: boolean
  /** Operations of `publish = …`; null when `skipped.operations` was left alone. */
  readonly publish: readonly string[] | null
  readonly captured: readonly CatalogTable[]
  /** Time limit of a statement in ms; 0 is none. */
  readonly timeoutMs: number
  readonly logger: Logger
}

function fail(message: string): ConnectError {
  return new ConnectError('fatal', 'CONNECT_POSTGRES_PUBLICATION', message)
}

/** Makes sure that the publication exists and, where that is our business, holds exactly the captured tables. */
export async function ensurePublication(database: Database, options: PublicationOptions): Promise<void> {
  // The server refuses unlogged tables in a publication.
  await createOrAdjust(database, { ...options, captured: options.captured.filter(({ unlogged }) => !unlogged) })
  await warnOfUnpublished(database, options)
}

async function createOrAdjust(database: Database, options: PublicationOptions): Promise<void> {
  const { name, mode, captured } = options
  const [existing] = await database.rows<{ puballtables: string }>(
    'SELECT puballtables FROM pg_publication WHERE pubname = $1',
    [name],
  )
  if (mode === 'filtered') await rejectLeavesAndEmpty(options, existing)
  if (existing !== undefined) {
    if (mode === 'filtered') await adjust(database, options)
    return
  }
  if (mode === 'disabled') {
    throw fail(
      `Publication autocreation is disabled, please create one and restart the connector: CREATE PUBLICATION ` +
        `${quoteIdentifier(name)} FOR TABLE …;`,
    )
  }
  const [recovery] = await database.rows<{ standby: string }>('SELECT pg_is_in_recovery() AS standby')
  if (recovery?.standby === 't') throw fail(`Publication ${name} is missing and a standby cannot create it.`)
  const target =
    mode === 'all_tables'
      ? ' FOR ALL TABLES'
      : mode === 'no_tables'
        ? ''
        : ` FOR TABLE ${captured.map(qualifiedName).join(', ')}`
  const settings = [
    ...(options.viaPartitionRoot ? ['publish_via_partition_root = true'] : []),
    ...(options.publish === null ? [] : [`publish = '${options.publish.join(', ')}'`]),
  ]
  const clause = settings.length === 0 ? '' : ` WITH (${settings.join(', ')})`
  await define(database, options, [`CREATE PUBLICATION ${quoteIdentifier(name)}${target}${clause}`])
  options.logger.info({ publication: name, mode }, 'Created the publication')
}

/** Captured tables that the publication has neither itself nor by a partition of theirs, or by what they are one of. */
const unpublishedSql = `
WITH published AS (
  SELECT c.oid FROM pg_publication_tables p JOIN pg_namespace n ON n.nspname = p.schemaname
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename WHERE p.pubname = $1
), covered AS (
  SELECT oid FROM published
  UNION SELECT below.relid FROM published p, pg_partition_tree(p.oid) below
  UNION SELECT above.relid FROM published p, pg_partition_ancestors(p.oid) above
)
SELECT t.oid FROM unnest($2::oid[]) t(oid) WHERE t.oid NOT IN (SELECT oid FROM covered)`

/** A snapshot reads such tables, and no stream follows: for some a publication is the filter, for others a mistake. */
async function warnOfUnpublished(database: Database, { name, captured, logger }: PublicationOptions): Promise<void> {
  const rows = await database.rows<{ oid: string }>(unpublishedSql, [
    name,
    `{${captured.map(({ oid }) => oid).join(',')}}`,
  ])
  const missing = new Set(rows.map(({ oid }) => Number(oid)))
  const unlogged = captured.filter((table) => table.unlogged)
  const absent = captured.filter((table) => missing.has(table.oid) && !table.unlogged)
  if (absent.length > 0)
    logger.warn(
      { publication: name, tables: absent.length },
      `The publication ${name} does not have the captured tables ${some(absent)}: a snapshot reads them, but their changes ` +
        `are not streamed. ALTER PUBLICATION ${quoteIdentifier(name)} ADD TABLE …, or leave them out by table.include.list`,
    )
  if (unlogged.length > 0)
    logger.warn(
      { tables: unlogged.length },
      `The captured tables ${some(unlogged)} are unlogged: a snapshot reads them, but their changes are not streamed. ` +
        'ALTER TABLE … SET LOGGED, or leave them out by table.include.list',
    )
}

/** Their names, or the first ten of them. */
function some(tables: readonly CatalogTable[]): string {
  return `${tables.slice(0, 10).map(qualifiedName).join(', ')}${tables.length > 10 ? ', …' : ''}`
}

/** Runs what creates or changes the publication, within the time limit. */
async function define(database: Database, options: PublicationOptions, statements: readonly string[]): Promise<void> {
  const { name, mode, captured, timeoutMs } = options
  const tables = mode === 'all_tables' ? 'ALL TABLES' : `TABLE ${some(captured)}`
  try {
    await database.execute(`SET statement_timeout = ${timeoutMs}`)
    for (const statement of statements) await database.execute(statement)
    await database.execute('SET statement_timeout = 0')
  } catch (error) {
    const isRefused = sqlStateOf(error) === '42501'
    throw classify(error, {
      what: `create or change the publication ${name} (publication.autocreate.mode=${mode})`,
      publication: name,
      ...(isRefused
        ? {
            remedy:
              `Let a role that may do it run CREATE PUBLICATION ${quoteIdentifier(name)} FOR ${tables}; ` +
              'and set publication.autocreate.mode=disabled, or GRANT CREATE ON DATABASE and make database.user the owner ' +
              'of the publication and the tables (FOR ALL TABLES needs a superuser).',
          }
        : {}),
    })
  }
}

async function rejectLeavesAndEmpty(
  { name, captured }: PublicationOptions,
  existing: { puballtables: string } | undefined,
): Promise<void> {
  if (existing?.puballtables === 't') {
    throw fail(
      `A logical publication for all tables named '${name}' already exists, but publication.autocreate.mode is filtered. ` +
        'Drop it, or choose another publication.name.',
    )
  }
  if (captured.length === 0)
    throw fail(`No table filters found for filtered publication ${name}: no table is captured.`)
}

async function adjust(database: Database, options: PublicationOptions): Promise<void> {
  const { name, captured, publish, logger } = options
  const rows = await database.rows<{ schemaname: string; tablename: string }>(
    'SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = $1',
    [name],
  )
  const id = (schema: string, table: string) => JSON.stringify([schema, table])
  const published = new Set(rows.map((row) => id(row.schemaname, row.tablename)))
  const wanted = captured.map((table) => id(table.schema, table.table))
  if (published.size === wanted.length && wanted.every((table) => published.has(table))) return
  await define(database, options, [
    `ALTER PUBLICATION ${quoteIdentifier(name)} SET TABLE ${captured.map(qualifiedName).join(', ')}`,
    ...(publish === null ? [] : [`ALTER PUBLICATION ${quoteIdentifier(name)} SET (publish = '${publish.join(', ')}')`]),
  ])
  logger.info({ publication: name, tables: captured.length }, 'Set the tables of the publication')
}

const identityItem = /^\s*([^\s:]+):(DEFAULT|INDEX\s+(\S+)|FULL|NOTHING)\s*$/i

/** The first problem of `replica.identity.autoset.values`, or null. */
export function identityProblem(text: string): string | null {
  const wrong = text.split(',').find((item) => item.trim() !== '' && !identityItem.test(item))
  return wrong === undefined ? null : `'${wrong}' is not of the form <schema.table>:DEFAULT|INDEX <name>|FULL|NOTHING`
}

/** `replica.identity.autoset.values`; a table that we do not own is only logged. */
export async function setReplicaIdentities(
  database: Database,
  text: string,
  captured: readonly CatalogTable[],
  logger: Logger,
): Promise<void> {
  const items = text
    .split(',')
    .map((item) => identityItem.exec(item))
    .filter((match) => match !== null)
    .map((match) => ({
      tables: new JavaRegex(match[1] as string, { ignoreCase: true }),
      identity: match[2] as string,
      index: match[3],
    }))
  for (const table of captured) {
    const id = `${table.schema}.${table.table}`
    const matching = items.filter((item) => item.tables.matches(id))
    if (matching.length > 1) {
      throw new ConnectError(
        'fatal',
        'CONNECT_POSTGRES_SETUP',
        `More than one item of replica.identity.autoset.values matches ${id}. Make the patterns exclusive.`,
      )
    }
    const [item] = matching
    if (item === undefined) continue
    const identity =
      item.index === undefined ? item.identity.toUpperCase() : `USING INDEX ${quoteIdentifier(item.index)}`
    try {
      await database.execute(`ALTER TABLE ${qualifiedName(table)} REPLICA IDENTITY ${identity}`)
    } catch (error) {
      if (sqlStateOf(error) !== '42501') throw error
      logger.error({ table: id, identity }, 'Not the owner of the table: its replica identity stays as it is')
    }
  }
}
