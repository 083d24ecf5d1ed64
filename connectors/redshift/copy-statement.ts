import type { MetadataMessage } from '../common/metadata-message.ts'
import type { ObjectAddress } from '../common/s3-client.ts'
import { guard, insertLedger, type LedgerRow, lockLedger } from './ledger.ts'
import { recordsOf } from './pending-file.ts'
import { identifier, literal, qualified, type TableName } from './sql.ts'

/** What the COPY of every batch shares. */
export interface CopySettings {
  readonly iamRole: string
  /** Region of the files when it is not that of the warehouse; empty otherwise. */
  readonly region: string
  readonly jsonMode: string
  readonly options: string
  readonly maxErrors: number
  readonly verifyCounts: boolean
  /** Columns to load; empty loads all. */
  readonly fields: readonly string[]
}

/** One load: a batch of file sets into one table. */
export interface Load {
  readonly target: TableName
  readonly ledger: TableName
  readonly messages: readonly MetadataMessage[]
  readonly manifest: ObjectAddress
  readonly batch: string
  readonly connector: string
}

/** COPY of a manifest into a table. */
export function copyStatement(into: string, load: Load, settings: CopySettings): string {
  const { compression } = load.messages[0] ?? { compression: 'none' }
  const columns = settings.fields.length === 0 ? '' : ` (${settings.fields.map(identifier).join(', ')})`
  const role = settings.iamRole === 'default' ? 'default' : literal(settings.iamRole)
  const parts = [
    `COPY ${into}${columns} FROM ${literal(`s3://${load.manifest.bucket}/${load.manifest.key}`)}`,
    `IAM_ROLE ${role} MANIFEST FORMAT AS JSON ${literal(settings.jsonMode)}`,
  ]
  if (compression === 'gzip') parts.push('GZIP')
  if (settings.region !== '') parts.push(`REGION ${literal(settings.region)}`)
  if (settings.maxErrors > 0) parts.push(`MAXERROR ${settings.maxErrors}`)
  if (settings.options !== '') parts.push(settings.options)
  return parts.join(' ')
}

/** Fails by a division by zero unless the count is as expected. */
const check = (count: string, expected: number, from = '') =>
  `SELECT 1/(CASE WHEN ${count}=${expected} THEN 1 ELSE 0 END)${from}`

const countOf = (load: Load) => load.messages.reduce((sum, message) => sum + recordsOf(message), 0)

/**
 * The transaction that appends a batch: lock, guard, COPY, count, ledger. With `checkOverlaps` the guard also
 * refuses sets whose offsets overlap with loaded ones.
 */
export function appendStatements(
  load: Load,
  settings: CopySettings,
  { checkOverlaps }: { readonly checkOverlaps: boolean },
): readonly string[] {
  const statements = [
    lockLedger(load.ledger),
    guard(load.ledger, load.messages, { withOverlaps: checkOverlaps, except: [] }),
    copyStatement(qualified(load.target), load, settings),
  ]
  if (settings.verifyCounts) statements.push(check('pg_last_copy_count()', countOf(load)))
  statements.push(insertLedger(load.ledger, load.messages, load))
  return statements
}

/**
 * The transaction that loads one set whose offsets overlap with loaded sets: through a stage, and only the rows
 * outside of their ranges. The guard makes sure that the ledger knows no more overlaps than `covered`.
 */
export function filteredStatements(
  load: Load,
  settings: CopySettings,
  covered: readonly LedgerRow[],
): readonly string[] {
  const stage = identifier(`kc_stage_${load.batch}`)
  const except = [...new Set(covered.map((row) => row.fileId))]
  const outside = covered.map((row) => `NOT ("__offset" BETWEEN ${row.firstOffset} AND ${row.lastOffset})`)
  const where = outside.length === 0 ? '' : ` WHERE ${outside.join(' AND ')}`
  const columns = settings.fields.length === 0 ? '*' : settings.fields.map(identifier).join(', ')
  const into = settings.fields.length === 0 ? '' : ` (${columns})`
  const statements = [
    lockLedger(load.ledger),
    guard(load.ledger, load.messages, { withOverlaps: true, except }),
    `CREATE TEMP TABLE ${stage} (LIKE ${qualified(load.target)})`,
    copyStatement(stage, load, settings),
  ]
  if (settings.verifyCounts) statements.push(check('COUNT(*)', countOf(load), ` FROM ${stage}`))
  statements.push(
    `INSERT INTO ${qualified(load.target)}${into} SELECT ${columns} FROM ${stage}${where}`,
    insertLedger(load.ledger, load.messages, load),
    `DROP TABLE ${stage}`,
  )
  return statements
}
