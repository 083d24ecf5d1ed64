import { createHash } from 'node:crypto'
import { amountCents, isDebug, kindOf, kinds } from './events.ts'
import type { Warehouse } from './warehouse-client.ts'

interface KindTotals {
  events: number
  cents: number
  /** Sum over events of the first 15 hex digits of md5(event_id), as the warehouse computes it too. */
  hash: bigint
}

function expectedTotals(events: number): Map<string, KindTotals> {
  const totals = new Map<string, KindTotals>()
  for (let i = 0; i < events; i++) {
    if (isDebug(i)) continue
    const kind = kindOf(i)
    const total = totals.get(kind) ?? { events: 0, cents: 0, hash: 0n }
    total.events++
    total.cents += amountCents(i)
    total.hash += BigInt(`0x${createHash('md5').update(`e-${i}`).digest('hex').slice(0, 15)}`)
    totals.set(kind, total)
  }
  return totals
}

/** A table of the warehouse against the events that were produced. */
export interface TotalsOfKind {
  readonly kind: string
  readonly expected: number
  readonly rows: number
  readonly duplicates: number
  readonly differences: readonly string[]
}

/** Counts, sums and a hash over the ids of the first `events` events, against the same by SQL. */
export async function compareTotals(
  warehouse: Warehouse,
  schema: string,
  events: number,
): Promise<readonly TotalsOfKind[]> {
  const expected = expectedTotals(events)
  const results: TotalsOfKind[] = []
  for (const kind of kinds) {
    const want = expected.get(kind) ?? { events: 0, cents: 0, hash: 0n }
    const [got] = await warehouse.query(
      `SELECT COUNT(*) AS loaded, COUNT(DISTINCT event_id) AS distinct_events,
         COALESCE(SUM(CAST(ROUND(amount * 100) AS BIGINT)), 0) AS cents,
         COALESCE(SUM(CAST(STRTOL(LEFT(MD5(event_id), 15), 16) AS DECIMAL(38,0))), 0) AS hash,
         COALESCE(SUM(CASE WHEN email <> '****' OR iban <> '****' THEN 1 ELSE 0 END), 0) AS unmasked,
         COALESCE(SUM(CASE WHEN kind <> '${kind}' THEN 1 ELSE 0 END), 0) AS misplaced
       FROM ${schema}.${kind}`,
    )
    const rows = BigInt(got?.['loaded'] ?? '0')
    const duplicates = rows - BigInt(got?.['distinct_events'] ?? '0')
    const differences: string[] = []
    if (rows !== BigInt(want.events)) differences.push(`${kind}: ${rows} rows instead of ${want.events}`)
    if (duplicates !== 0n) differences.push(`${kind}: ${duplicates} duplicates`)
    if (BigInt(got?.['cents'] ?? '0') !== BigInt(want.cents)) differences.push(`${kind}: sum of amounts differs`)
    if (BigInt(got?.['hash'] ?? '0') !== want.hash) differences.push(`${kind}: set of event ids differs`)
    if (got?.['unmasked'] !== '0') differences.push(`${kind}: ${got?.['unmasked']} rows are not masked`)
    if (got?.['misplaced'] !== '0') differences.push(`${kind}: ${got?.['misplaced']} rows of another kind`)
    results.push({ kind, expected: want.events, rows: Number(rows), duplicates: Number(duplicates), differences })
  }
  return results
}
