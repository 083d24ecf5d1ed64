import { type CopySettings, copyStatement, type Load } from './copy-statement.ts'
import { guard, insertLedger, type LedgerRow, lockLedger } from './ledger.ts'
import { mergedRanges } from './overlaps.ts'
import { recordsOf } from './pending-file.ts'
import { identifier, qualified } from './sql.ts'
import { type Stage, stageDefinition, stagedValue } from './stage.ts'
import { type UpsertSettings, upsertStatements } from './upsert-statements.ts'

/** How a batch comes into the table. */
export type LoadPlan =
  | {
      readonly kind: 'direct'
      /** Columns to load, folded; empty loads all. */
      readonly fields: readonly string[]
    }
  /** Through a temporary table: files without names of columns, rows to leave out, or keys to compare. */
  | {
      readonly kind: 'staged'
      readonly stage: Stage
      /** What the ledger holds of the offsets of a single set; its rows are left out. */
      readonly covered: readonly LedgerRow[]
      /** Null appends. */
      readonly upsert: UpsertSettings | null
    }

export interface TransactionOptions {
  readonly plan: LoadPlan
  /** Whether the guard also refuses sets whose offsets overlap with loaded ones. */
  readonly checkOverlaps: boolean
}

/** Fails by a division by zero unless the count is as expected. */
const check = (count: string, expected: number, from = '') =>
  `SELECT 1/(CASE WHEN ${count}=${expected} THEN 1 ELSE 0 END)${from}`

/**
 * The transaction that loads a batch: lock, guard, COPY, count, rows, ledger. LOCK is first, because the snapshot of a
 * transaction is taken by its first query; nothing in it commits by itself (statements R16, R17).
 */
export function loadTransaction(load: Load, settings: CopySettings, options: TransactionOptions): readonly string[] {
  const { plan } = options
  const seen = plan.kind === 'staged' ? plan.covered : []
  const guarded = { withOverlaps: options.checkOverlaps, seen }
  const statements = [lockLedger(load.ledger), guard(load.ledger, load.messages, guarded)]
  const count = settings.verifyCounts ? recordCount(load) : null
  if (plan.kind === 'direct') {
    statements.push(copyStatement(qualified(load.target), load, { ...settings, fields: plan.fields }))
    if (count !== null) statements.push(check('pg_last_copy_count()', count))
    return [...statements, insertLedger(load.ledger, load.messages, load)]
  }
  const { stage, covered, upsert } = plan
  const into = identifier(stage.name)
  statements.push(
    `CREATE TEMP TABLE ${into} (${stageDefinition(stage)})`,
    // The stage has exactly the columns to copy, so there is no list of them (columnar COPY takes none).
    copyStatement(into, load, { ...settings, fields: [] }),
  )
  if (count !== null) statements.push(check('COUNT(*)', count, ` FROM ${into}`))
  const outside = mergedRanges(covered).map(({ first, last }) => `NOT ("__offset" BETWEEN ${first} AND ${last})`)
  if (upsert === null) {
    const columns = stage.loaded.map(({ name }) => identifier(name)).join(', ')
    const values = stage.loaded.map((column) => stagedValue('s', column)).join(', ')
    const where = outside.length === 0 ? '' : ` WHERE ${outside.join(' AND ')}`
    statements.push(`INSERT INTO ${qualified(load.target)} (${columns}) SELECT ${values} FROM ${into} AS s${where}`)
  } else {
    statements.push(...upsertStatements(load, { stage, upsert, outside }))
  }
  statements.push(insertLedger(load.ledger, load.messages, load), `DROP TABLE ${into}`)
  return statements
}

/** Rows of the batch; null when a message does not know. */
function recordCount(load: Load): number | null {
  let count = 0
  for (const message of load.messages) {
    const records = recordsOf(message)
    if (records === null) return null
    count += records
  }
  return count
}
