import { qualified } from '../../../connectors/redshift/sql.ts'
import type { Finding } from './finding.ts'
import { type LedgeredTable, nameOf, type Warehouse } from './target.ts'

/** A file set as the ledger remembers it. */
export interface LedgerEntry {
  readonly fileId: string
  readonly directory: string
  readonly topic: string | null
  readonly partition: number
  readonly first: bigint
  readonly last: bigint
  /** Null when nobody said. */
  readonly records: bigint | null
}

/** Everything that a ledger remembers. */
export async function readLedger(warehouse: Warehouse, { ledger }: LedgeredTable): Promise<readonly LedgerEntry[]> {
  const rows = await warehouse.query(
    'SELECT file_id, src_directory, src_topic, src_partition, first_offset::VARCHAR, last_offset::VARCHAR, ' +
      `record_count::VARCHAR FROM ${qualified(ledger)} ORDER BY src_topic, src_partition, src_directory, first_offset`,
  )
  return rows.map(([fileId, directory, topic, partition, first, last, records]) => ({
    fileId: String(fileId),
    directory: String(directory),
    topic: topic === null || topic === undefined ? null : String(topic),
    partition: Number(partition ?? 0),
    first: BigInt(String(first ?? '0')),
    last: BigInt(String(last ?? '-1')),
    records: records === null || records === undefined ? null : BigInt(String(records)),
  }))
}

/**
 * Ledger ↔ table: as many rows as the ledger says were loaded, none twice. Both are read in one statement, so that a
 * load in between makes no difference.
 */
export async function checkLedger(warehouse: Warehouse, table: LedgeredTable): Promise<Finding> {
  const columns = await warehouse.columnsOf(table.target)
  const hasOffsets = columns.has('__partition') && columns.has('__offset')
  const distinct = hasOffsets ? `COUNT(DISTINCT "__partition"::VARCHAR || ':' || "__offset"::VARCHAR)` : 'COUNT(*)'
  const [row] = await warehouse.query(
    `SELECT l.files, l.records::VARCHAR, l.unknown, t.total::VARCHAR, t.separate::VARCHAR FROM ` +
      `(SELECT COUNT(*) AS files, NVL(SUM(record_count),0) AS records, SUM(CASE WHEN record_count IS NULL THEN 1 ELSE 0 END) AS unknown FROM ${qualified(table.ledger)}) AS l, ` +
      `(SELECT COUNT(*) AS total, ${distinct} AS separate FROM ${qualified(table.target)}) AS t`,
  )
  const [files, records, unknown, total, separate] = (row ?? []).map((field) => BigInt(String(field ?? '0')))
  if (files === undefined || records === undefined || total === undefined || separate === undefined) {
    throw new TypeError('a query without grouping always has a row')
  }
  const overlapping = countOverlaps(await readLedger(warehouse, table))
  const differences: string[] = []
  const notes: string[] = []
  const isUpsert = warehouse.config['insert.mode'].toLowerCase() === 'upsert'
  if (isUpsert) notes.push('rows are merged by key: their number is compared with the files only (--files)')
  else if (unknown !== undefined && unknown > 0n) notes.push(`${unknown} files came without a number of records`)
  else if (total > records) differences.push(`${total - records} rows more than the ledger says were loaded`)
  else if (total < records && overlapping === 0) differences.push(`${records - total} rows of the ledger are missing`)
  else if (total < records)
    notes.push(`${overlapping} files overlap with others, so their records count twice in the ledger`)
  if (!isUpsert && total > separate) differences.push(`${total - separate} rows have the offset of another row`)
  if (!hasOffsets) notes.push('rows carry no __partition and __offset: duplicates are not seen')
  return {
    what: `ledger → ${nameOf(table.target)}`,
    figures: { files: Number(files), records: Number(records), rows: Number(total) },
    differences,
    notes,
  }
}

/** Files whose offsets intersect with those of an earlier file of their directory. */
function countOverlaps(entries: readonly LedgerEntry[]): number {
  let overlaps = 0
  const last = new Map<string, bigint>()
  for (const { topic, partition, directory, first, last: end } of entries) {
    if (topic === null) continue
    const place = `${topic}\n${partition}\n${directory}`
    const before = last.get(place)
    if (before !== undefined && first <= before) overlaps++
    if (before === undefined || end > before) last.set(place, end)
  }
  return overlaps
}
