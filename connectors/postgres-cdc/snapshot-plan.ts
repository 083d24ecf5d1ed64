/** What an initial snapshot has to read: ranges of tables, less what its progress says has been read. */
import type { CatalogTable } from './catalog.ts'
import type { Database } from './connection.ts'
import { movedCondition, type OpenTable, rangeCondition, SnapshotProgress } from './snapshot-progress.ts'
import { qualifiedName } from './sql.ts'

/** One statement of the snapshot. */
export interface ReadItem {
  readonly table: PlannedTable
  /** Range of the table; null for what was moved between snapshots, whose rows are no progress. */
  readonly chunk: number | null
  /** On `ctid`, which is then selected too; null for a table that is read as a whole. */
  readonly condition: string | null
}

export class PlannedTable {
  readonly table: CatalogTable
  readonly id: string
  readonly size: TableSize
  /** Where the snapshot begins. */
  readonly first: boolean
  /** Read from its beginning. */
  readonly fresh: boolean
  items: readonly ReadItem[] = []
  /** Statements that are not over. */
  left = 0
  rows = 0
  opened: OpenTable | null

  constructor(table: CatalogTable, size: TableSize, opened: OpenTable | null, first: boolean) {
    this.table = table
    this.id = `${table.schema}.${table.table}`
    this.size = size
    this.opened = opened
    this.fresh = opened === null
    this.first = first
  }
}

export interface TableSize {
  readonly fileNode: string
  readonly pages: number
  /** The server's estimate; null where it has none. */
  readonly estimatedRows: number | null
  /** Rows have a place of their own (`ctid`), in whose order a scan finds them. */
  readonly places: boolean
  /** A range of places is found without reading the others: PostgreSQL 14. */
  readonly ranges: boolean
}

interface SizeRow {
  oid: string
  node: string | null
  pages: string
  estimate: string
  places: string
  ranges: string
}

/** One query for all tables. Parents of partitions and of heirs show rows of several files. */
const sizesSql = `
SELECT c.oid, pg_relation_filenode(c.oid) AS node, c.reltuples::bigint AS estimate,
       CASE WHEN c.relkind = 'r' THEN pg_relation_size(c.oid) / current_setting('block_size')::int ELSE 0 END AS pages,
       c.relkind = 'r' AND NOT c.relhassubclass AND (c.relam = 0 OR c.relam = 2) AS places,
       current_setting('server_version_num')::int >= 140000 AS ranges
FROM pg_class c WHERE c.oid = ANY($1::oid[])`

/** Less is not worth a statement. */
const leastChunkPages = 1024
/** Ranges of a table per reader: they end at about the same time though rows differ in size. */
const chunksPerReader = 8

/** `snapshot.tables.order.by.row.count` */
export type RowCountOrder = 'disabled' | 'ascending' | 'descending'

/** Rows of a table that the server has no estimate of: by its pages, so that it still stands among others. */
const rowsPerUnknownPage = 100

function inOrder(
  tables: readonly CatalogTable[],
  sizes: ReadonlyMap<number, TableSize>,
  order: RowCountOrder,
): readonly CatalogTable[] {
  if (order === 'disabled') return tables
  const sign = order === 'ascending' ? 1 : -1
  const rows = ({ oid }: CatalogTable) => {
    const { estimatedRows, pages } = sizes.get(oid) ?? nothing
    return estimatedRows ?? pages * rowsPerUnknownPage
  }
  return tables.toSorted((a, b) => sign * (rows(a) - rows(b)))
}

export interface PlanInput {
  readonly database: Database
  /** In the order in which they are read. */
  readonly tables: readonly CatalogTable[]
  /** `schema.table` of those that are read by a statement of the user's. */
  readonly overridden: ReadonlyMap<string, string>
  readonly readers: number
  readonly order: RowCountOrder
  /** Stored progress; null reads everything. */
  readonly stored: string | null
}

export interface SnapshotPlan {
  readonly tables: readonly PlannedTable[]
  readonly progress: SnapshotProgress
  /** Goes on with a snapshot that was interrupted. */
  readonly resumed: boolean
}

/** On a connection under the snapshot. */
export async function planReads(input: PlanInput): Promise<SnapshotPlan> {
  const { database, tables, overridden, readers } = input
  const ids = tables.map(({ schema, table }) => `${schema}.${table}`)
  const stored = input.stored === null ? null : SnapshotProgress.resume(input.stored, ids)
  const progress = stored ?? SnapshotProgress.begin(ids, await currentXmin(database))
  // From here on nothing moves the rows of a table that is gone on with: its file node stays what it is found to be.
  for (const [index, table] of tables.entries()) {
    if (progress.opened(ids[index] as string) !== null)
      await database.execute(`LOCK TABLE ${qualifiedName(table)} IN ACCESS SHARE MODE`)
  }
  const sizes = await sizesOf(database, tables)
  const planned: PlannedTable[] = []
  for (const [index, table] of inOrder(tables, sizes, input.order).entries()) {
    const id = `${table.schema}.${table.table}`
    if (progress.isDone(id)) continue
    const size = sizes.get(table.oid) ?? nothing
    const opened = progress.opened(id)
    // Moved rows or a table read as a whole: from its beginning.
    const goesOn = opened !== null && opened.fileNode === size.fileNode && size.places && !overridden.has(id)
    const plan = new PlannedTable(table, size, goesOn ? opened : null, stored === null && index === 0)
    plan.items = itemsOf(plan, { readers, xmin: progress.xmin, byPlace: size.places && !overridden.has(id) })
    plan.left = plan.items.length
    planned.push(plan)
  }
  return { tables: planned, progress, resumed: stored !== null }
}

function itemsOf(
  table: PlannedTable,
  { readers, xmin, byPlace }: { readonly readers: number; readonly xmin: string; readonly byPlace: boolean },
): readonly ReadItem[] {
  if (!byPlace) return [{ table, chunk: 0, condition: null }]
  const { opened } = table
  if (opened === null) {
    const { chunks, pagesPerChunk } = division(table.size, readers)
    const fresh = { id: table.id, fileNode: '', chunks, pagesPerChunk, done: new Set<number>(), reached: new Map() }
    return Array.from({ length: chunks }, (_, chunk) => ({ table, chunk, condition: rangeCondition(fresh, chunk) }))
  }
  const items: ReadItem[] = []
  const moved = movedCondition(opened, xmin)
  if (moved !== null) items.push({ table, chunk: null, condition: moved })
  for (let chunk = 0; chunk < opened.chunks; chunk++) {
    if (!opened.done.has(chunk)) items.push({ table, chunk, condition: rangeCondition(opened, chunk) })
  }
  return items
}

/** With one reader a table is one range: its last row is known to be the last. */
export function division(
  { pages, ranges }: Pick<TableSize, 'pages' | 'ranges'>,
  readers: number,
): { readonly chunks: number; readonly pagesPerChunk: number } {
  if (readers === 1 || !ranges) return { chunks: 1, pagesPerChunk: Math.max(1, pages) }
  const pagesPerChunk = Math.max(leastChunkPages, Math.ceil(pages / (readers * chunksPerReader)))
  return { chunks: Math.max(1, Math.ceil(pages / pagesPerChunk)), pagesPerChunk }
}

/** A statement of the item begins: from now on the table counts as begun. */
export function beginItem({ table }: ReadItem, progress: SnapshotProgress, readers: number): void {
  if (table.opened !== null) return
  const { id, size } = table
  const whole = table.items.length === 1 && table.items[0]?.condition === null
  const parts = whole ? { chunks: 1, pagesPerChunk: 1 } : division(size, readers)
  table.opened = progress.open({ id, fileNode: size.fileNode, ...parts })
}

/** All rows of the item have been emitted; what was moved between snapshots is no progress. */
export function finishItem({ table, chunk }: ReadItem, progress: SnapshotProgress): void {
  if (table.opened !== null && chunk !== null) progress.finished(table.opened, chunk)
}

const nothing: TableSize = { fileNode: '', pages: 0, estimatedRows: null, places: false, ranges: false }

async function sizesOf(database: Database, tables: readonly CatalogTable[]): Promise<ReadonlyMap<number, TableSize>> {
  const rows = await database.rows<SizeRow>(sizesSql, [`{${tables.map(({ oid }) => oid).join(',')}}`])
  return new Map(
    rows.map(({ oid, node, pages, estimate, places, ranges }) => [
      Number(oid),
      {
        fileNode: node ?? '',
        pages: Number(pages),
        estimatedRows: Number(estimate) < 0 ? null : Number(estimate),
        places: places === 't',
        ranges: ranges === 't',
      },
    ]),
  )
}

/** The 32 bits that row versions have. */
async function currentXmin(database: Database): Promise<string> {
  const [row] = await database.rows<{ xmin: string }>('SELECT txid_snapshot_xmin(txid_current_snapshot()) AS xmin')
  return String(BigInt.asUintN(32, BigInt(row?.xmin ?? 0)))
}
