import type { LoadedRange } from '../../../connectors/redshift/overlaps.ts'
import { qualified } from '../../../connectors/redshift/sql.ts'
import { differencesOf, type Look } from './finding.ts'
import { type LedgeredTable, nameOf, type Warehouse } from './target.ts'

/** A file set as the ledger remembers it. */
export interface LedgerEntry extends LoadedRange {
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
    topic: String(topic ?? ''),
    partition: Number(partition ?? 0),
    firstOffset: BigInt(String(first ?? '0')),
    lastOffset: BigInt(String(last ?? '-1')),
    records: records === null || records === undefined ? null : BigInt(String(records)),
  }))
}

/**
 * Ledger ↔ table: as many rows as the ledger says were loaded, none twice. Both are read in one statement, so that a
 * load in between makes no difference.
 */
export async function checkLedger(warehouse: Warehouse, table: LedgeredTable): Promise<Look> {
  const columns = await warehouse.columnsOf(table.target)
  const hasOffsets = columns.has('__partition') && columns.has('__offset')
  const entries = await readLedger(warehouse, table)
  const topics = new Set(entries.map(({ topic }) => topic))
  // Offsets tell rows apart within a topic; of several, only with its name.
  const isTold = hasOffsets && (topics.size < 2 || columns.has('__topic'))
  const topicOf = columns.has('__topic') ? `NVL(r."__topic",'') || ':' || ` : ''
  const origin = `${topicOf}r."__partition"::VARCHAR || ':' || r."__offset"::VARCHAR`
  const doubles = isTold ? `COUNT(${origin}) - COUNT(DISTINCT ${origin})` : '0'
  // The ledger is purged by its retention, the table is not: rows before what it remembers prove nothing.
  const isOlder = hasOffsets ? 'r."__offset" >= 0 AND r."__offset" < k.first_offset' : 'FALSE'
  const remembered = hasOffsets
    ? ` LEFT JOIN (SELECT src_partition, MIN(first_offset) AS first_offset FROM ${qualified(table.ledger)} GROUP BY src_partition) AS k ON r."__partition" = k.src_partition`
    : ''
  const [row] = await warehouse.query(
    `SELECT l.files, l.records::VARCHAR, l.unknown, t.total::VARCHAR, t.doubled::VARCHAR, t.older::VARCHAR FROM ` +
      `(SELECT COUNT(*) AS files, NVL(SUM(record_count),0) AS records, SUM(CASE WHEN record_count IS NULL THEN 1 ELSE 0 END) AS unknown FROM ${qualified(table.ledger)}) AS l, ` +
      `(SELECT COUNT(*) AS total, ${doubles} AS doubled, NVL(SUM(CASE WHEN ${isOlder} THEN 1 ELSE 0 END),0) AS older FROM ${qualified(table.target)} AS r${remembered}) AS t`,
  )
  const numbers = (row ?? []).map((field) => BigInt(String(field ?? '0')))
  const [files = 0n, records = 0n, unknown = 0n, rows = 0n, doubled = 0n, older = 0n] = numbers
  const total = rows - older
  const overlapping = countOverlaps(entries)
  const found: Record<string, bigint> = {}
  const notes: string[] = []
  const isUpsert = warehouse.config['insert.mode'].toLowerCase() === 'upsert'
  if (isUpsert) notes.push('rows are merged by key: their number is compared with the files only (--files)')
  else if (unknown > 0n) notes.push(`${unknown} files came without a number of records`)
  else if (total > records) found['rows more than the ledger says were loaded'] = total - records
  else if (total < records && overlapping === 0) found['rows of the ledger are missing'] = records - total
  else if (total < records)
    notes.push(`${overlapping} files overlap with others, so their records count twice in the ledger`)
  if (!isUpsert && doubled > 0n) found['rows have the offset of another row'] = doubled
  if (!isUpsert && older > 0n)
    notes.push(`${older} rows are older than what the ledger remembers (ledger.retention.ms)`)
  if (!hasOffsets) notes.push('rows carry no __partition and __offset: duplicates are not seen')
  else if (!isTold) notes.push('rows of several topics carry no __topic: duplicates are not seen')
  return {
    what: `ledger → ${nameOf(table.target)}`,
    figures: { files: Number(files), records: Number(records), rows: Number(rows) },
    differences: differencesOf(found),
    notes,
  }
}

/** Files whose offsets intersect with those of an earlier file of their directory. */
function countOverlaps(entries: readonly LedgerEntry[]): number {
  let overlaps = 0
  const last = new Map<string, bigint>()
  for (const { topic, partition, directory, firstOffset, lastOffset } of entries) {
    if (topic === '') continue
    const place = `${topic}\n${partition}\n${directory}`
    const before = last.get(place)
    if (before !== undefined && firstOffset <= before) overlaps++
    if (before === undefined || lastOffset > before) last.set(place, lastOffset)
  }
  return overlaps
}
