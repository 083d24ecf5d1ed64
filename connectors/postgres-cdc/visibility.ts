/** When the transactions of the stream show to queries. */
import type { Clock } from '../../worker/api/context.ts'
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

/** @param snapshot `xmin:xmax:xip,…`: xmax is the first number not given out, the list those that run below it */
function runningIn(snapshot: string): (transaction: number) => boolean {
  const [, end = '0', list = ''] = snapshot.split(':')
  const low = (text: string): number => Number(BigInt.asUintN(32, BigInt(text)))
  const next = low(end)
  const running = new Set(list === '' ? [] : list.split(',').map(low))
  // Numbers go round: later is what is less than half a turn ahead.
  return (transaction) => ((transaction - next) | 0) >= 0 || running.has(transaction)
}
