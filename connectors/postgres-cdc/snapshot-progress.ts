/**
 * How far an initial snapshot has come, as its offsets say it, so that a restart goes on where it stopped.
 *
 * The snapshot that the rows were read under dies with its connection, so a restart reads the rest under another one.
 * Nothing may be missed or come out of order all the same. Let L1 be the consistent point of the slot, where the first
 * snapshot S1 was exact, and L2 that of a temporary slot, where the second one, S2, is. After a restart come
 *
 * 1. the stream from its stored position (at first L1) up to L2: all that changed in any table between S1 and S2;
 * 2. under S2, the ranges that had not been read;
 * 3. the stream from L2 on.
 *
 * A row whose range was read under S1: its state at L1, then its changes from L1 on. A row whose range is read under
 * S2: its changes before L2, then its state at L2, then its changes from L2 on. Either way the key's events are in
 * order and the last one is the row's state (I4); a row that was deleted before L2 has its delete event.
 *
 * Ranges are of `ctid`, the place of a row version, and an update moves a row. From a read range into one that is not:
 * it is read twice, at L1 and at L2, in order. From an unread range into a read one, between S1 and S2: no snapshot
 * reads it. Its update is in the stream, but a TOAST value that the update left alone is not. So under S2 the read
 * ranges of a table that is not complete are looked through once more for row versions that S1 could not see
 * (`xmin` not older than S1's). What moves rows without a new version (CLUSTER, VACUUM FULL, a rewriting ALTER TABLE),
 * and TRUNCATE, changes the table's file node: such a table is read anew.
 *
 * That a scan gives rows in the order of `ctid` takes a session without synchronised and parallel scans.
 */
import { createHash } from 'node:crypto'

/** Member of the offset; Debezium ignores it, and snapshots again as it always does. */
export const progressMember = 'snapshot_progress'

/** A table of which some ranges have been read, or are being read. */
export interface OpenTable {
  readonly id: string
  /** Changes whenever rows move without a new version. */
  readonly fileNode: string
  /** Ranges; the last one has no end. */
  readonly chunks: number
  readonly pagesPerChunk: number
  readonly done: Set<number>
  /** By range: `ctid` of the last row that was emitted. */
  readonly reached: Map<number, string>
}

export class SnapshotProgress {
  /** Oldest transaction that the first snapshot could not see, as an xid. */
  readonly xmin: string
  readonly #tables: string
  readonly #index: ReadonlyMap<string, number>
  readonly #open: Map<string, OpenTable>
  /** Tables from here on have not been touched. */
  #next: number

  private constructor(ids: readonly string[], xmin: string, next: number, open: readonly OpenTable[]) {
    this.#tables = digest(ids)
    this.#index = new Map(ids.map((id, index) => [id, index]))
    this.xmin = xmin
    this.#next = next
    this.#open = new Map(open.map((table) => [table.id, table]))
  }

  /** @param ids `schema.table` of all tables, in the order in which they are read */
  static begin(ids: readonly string[], xmin: string): SnapshotProgress {
    return new SnapshotProgress(ids, xmin, 0, [])
  }

  /** Null for progress over other tables, or in another form: then everything is to be read. */
  static resume(text: string, ids: readonly string[]): SnapshotProgress | null {
    const stored = parse(text)
    if (stored === null || stored.tables !== digest(ids)) return null
    return new SnapshotProgress(
      ids,
      stored.xmin,
      stored.next,
      stored.open.map(({ done, reached, ...table }) => ({
        ...table,
        done: new Set(done),
        reached: new Map(reached),
      })),
    )
  }

  isDone(id: string): boolean {
    return !this.#open.has(id) && (this.#index.get(id) ?? this.#next) < this.#next
  }

  opened(id: string): OpenTable | null {
    return this.#open.get(id) ?? null
  }

  /** The table is read from its beginning. */
  open(table: Pick<OpenTable, 'id' | 'fileNode' | 'chunks' | 'pagesPerChunk'>): OpenTable {
    const opened = { ...table, done: new Set<number>(), reached: new Map<number, string>() }
    this.#open.set(table.id, opened)
    this.#next = Math.max(this.#next, (this.#index.get(table.id) ?? -1) + 1)
    return opened
  }

  finished(table: OpenTable, chunk: number): void {
    table.done.add(chunk)
    table.reached.delete(chunk)
    if (table.done.size === table.chunks) this.#open.delete(table.id)
  }

  toText(): string {
    const open = [...this.#open.values()].map(({ done, reached, ...table }) => ({
      ...table,
      done: [...done],
      reached: [...reached],
    }))
    const stored: Stored = { version: 1, tables: this.#tables, xmin: this.xmin, next: this.#next, open }
    return JSON.stringify(stored)
  }
}

interface Stored {
  readonly version: 1
  readonly tables: string
  readonly xmin: string
  readonly next: number
  readonly open: readonly (Omit<OpenTable, 'done' | 'reached'> & {
    readonly done: readonly number[]
    readonly reached: readonly (readonly [number, string])[]
  })[]
}

const tid = /^\(\d+,\d+\)$/
const count = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

/** Offsets are a user's to edit: what is not of the form is no progress. */
function parse(text: string): Stored | null {
  try {
    const stored = JSON.parse(text) as Stored
    const valid =
      stored.version === 1 &&
      /^\d+$/.test(stored.xmin) &&
      count(stored.next) &&
      stored.open.every(
        (table) =>
          typeof table.id === 'string' &&
          typeof table.fileNode === 'string' &&
          count(table.chunks) &&
          count(table.pagesPerChunk) &&
          table.done.every(count) &&
          table.reached.every(([chunk, at]) => count(chunk) && tid.test(at)),
      )
    return valid ? stored : null
  } catch {
    return null
  }
}

function digest(ids: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(ids)).digest('hex').slice(0, 16)
}

/** SQL conditions on `ctid`: one range, behind what was reached in it; empty for a whole table. */
export function rangeCondition(table: OpenTable, chunk: number): string {
  const { pagesPerChunk, chunks, reached } = table
  const at = reached.get(chunk)
  const conditions: string[] = []
  if (at !== undefined) conditions.push(`ctid > '${at}'::tid`)
  else if (chunk > 0) conditions.push(`ctid >= '(${chunk * pagesPerChunk},0)'::tid`)
  if (chunk < chunks - 1) conditions.push(`ctid < '(${(chunk + 1) * pagesPerChunk},0)'::tid`)
  return conditions.join(' AND ')
}

/** What has been read, where it holds versions that the first snapshot could not see; null when nothing was read. */
export function movedCondition(table: OpenTable, xmin: string): string | null {
  const { pagesPerChunk, chunks, reached, done } = table
  const ranges: string[] = []
  for (const chunk of [...done, ...reached.keys()]) {
    const at = reached.get(chunk)
    const until =
      at !== undefined
        ? `ctid <= '${at}'::tid`
        : chunk < chunks - 1
          ? `ctid < '(${(chunk + 1) * pagesPerChunk},0)'::tid`
          : 'true'
    ranges.push(`ctid >= '(${chunk * pagesPerChunk},0)'::tid AND ${until}`)
  }
  if (ranges.length === 0) return null
  return `age(xmin) <= age('${xmin}'::xid) AND (${ranges.map((range) => `(${range})`).join(' OR ')})`
}
