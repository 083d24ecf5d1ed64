/** When the transactions of the stream show to queries. */
import type { Clock } from '../../worker/api/context.ts'
import { RetriableError } from '../../worker/api/errors.ts'
import type { Database } from './connection.ts'

/** A synchronous standby that has gone may hold a commit back for ever. */
const longestWaitMs = 5000
const longestPauseMs = 100

/**
 * Waits until queries see what these transactions wrote. The server sends a commit as soon as it is in the log, and
 * takes the transaction off those that run a moment later, with synchronous standbys after their answer: a query in
 * between sees the rows as they were.
 *
 * @param transactions the 32 bits of their numbers that the stream has
 * @returns whether all of them show by now; false after five seconds
 */
export async function untilVisible(
  transactions: ReadonlySet<number>,
  { database, clock }: { readonly database: Database; readonly clock: Clock },
): Promise<boolean> {
  const deadline = clock.monotonicMs() + longestWaitMs
  let waiting = [...transactions]
  for (let pauseMs = 1; waiting.length > 0; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    const [row] = await database.rows<{ snapshot: string }>('SELECT txid_current_snapshot()::text AS snapshot')
    const runs = runningIn(row?.snapshot ?? '')
    waiting = waiting.filter(runs)
    if (waiting.length === 0) break
    if (clock.monotonicMs() >= deadline) return false
    await clock.sleep(pauseMs)
  }
  return true
}

/**
 * Returns when queries see what this transaction wrote: what the catalog then says of the tables it announces is meant.
 *
 * @throws RetriableError after five seconds: described by an older catalog, tables would be without the key or the columns
 * that it gave them, until the server announces them again. Nothing is passed over: the stream begins anew with it.
 */
export async function requireVisible(
  transaction: number,
  services: { readonly database: Database; readonly clock: Clock },
): Promise<void> {
  if (await untilVisible(new Set([transaction]), services)) return
  throw new RetriableError(
    'CONNECT_POSTGRES_BUSY',
    `Transaction ${transaction} has been sent, but after ${longestWaitMs / 1000} s queries do not show it yet, and its ` +
      'tables cannot be described. A synchronous standby that does not answer holds commits back: see pg_stat_activity ' +
      'for sessions that wait for SyncRep, and synchronous_standby_names. The stream goes on as soon as it shows.',
    { context: { transaction } },
  )
}

/** @param snapshot `xmin:xmax:xip,…`: xmax is the first number not given out, the list those that run below it */
function runningIn(snapshot: string): (transaction: number) => boolean {
  const [, end = '0', list = ''] = snapshot.split(':')
  const low = (text: string): number => Number(BigInt.asUintN(32, BigInt(text)))
  const next = low(end)
  const running = new Set(list === '' ? [] : list.split(',').map(low))
  // Numbers go round: later is what is less than half a turn ahead.
  return (transaction) => ((transaction - next) | 0) >= 0 || running.has(transaction)
}
