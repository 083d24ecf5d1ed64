/** What a read-only incremental snapshot knows of transactions, in place of rows in a signal table. */
import { type Lsn, lsn } from './lsn.ts'

/** So many are kept before the server is asked which of them can still be invisible. */
const manyTransactions = 10_000

/** a − b for transaction ids, which wrap around at 2^32. */
function distance(a: number, b: number): number {
  return (a - b) | 0
}

/** What `pg_current_snapshot()` says, without epochs. */
export interface VisibleTransactions {
  readonly xmin: number
  readonly xmax: number
  /** In progress when the snapshot was taken. */
  readonly running: ReadonlySet<number>
}

/** Reads `xmin:xmax:xip,xip`. */
export function parseSnapshot(text: string): VisibleTransactions {
  const [xmin = '', xmax = '', running = ''] = text.split(':')
  const low = (id: string) => Number(BigInt.asUintN(32, BigInt(id)))
  return {
    xmin: low(xmin),
    xmax: low(xmax),
    running: new Set(running === '' ? [] : running.split(',').map(low)),
  }
}

/**
 * Transactions that the stream has passed. The server streams a commit as soon as it is written; others see it a
 * moment later, and with synchronous replication much later. Rows read under a snapshot that does not show a passed
 * transaction are older than events that were emitted: they must not be emitted behind them.
 */
export class PassedTransactions {
  readonly #ids = new Set<number>()
  #limit = manyTransactions

  get size(): number {
    return this.#ids.size
  }

  /** Whether it is time to forget some. */
  get isLarge(): boolean {
    return this.#ids.size > this.#limit
  }

  add(xid: number): void {
    this.#ids.add(xid)
  }

  /** Whether all of them show in the snapshot. */
  allIn({ xmax, running }: VisibleTransactions): boolean {
    for (const id of this.#ids) if (distance(id, xmax) >= 0 || running.has(id)) return false
    return true
  }

  /** Forgets those that every later snapshot shows, too. */
  forget({ xmin }: VisibleTransactions): void {
    for (const id of this.#ids) if (distance(id, xmin) < 0) this.#ids.delete(id)
    // While an old transaction keeps them all, asking again soon would be in vain.
    this.#limit = Math.max(manyTransactions, this.#ids.size * 2)
  }
}

/** Longest header of a page of the log, in bytes. */
const pageHeaderBytes = 40n

/**
 * The insert position as a walsender comes to know it: directly behind a page's header stands the end of the page
 * before, as long as nothing was written to the new one.
 */
export function reachableEnd(insertLsn: Lsn, pageBytes: number): Lsn {
  const within = insertLsn % BigInt(pageBytes)
  return within <= pageHeaderBytes ? lsn(insertLsn - within) : insertLsn
}
