/** Events as functions of their number, so that both ends can be computed without remembering anything. */
export const kinds = ['salary_paid', 'employee_hired', 'timesheet_entry', 'benefit_elected'] as const

export interface PayrollEvent {
  readonly key: string
  readonly value: string
  /** Debug events carry the header `debug`; a Filter drops them. */
  readonly debug: boolean
}

export function isDebug(i: number): boolean {
  return i % 20 === 7
}

export function kindOf(i: number): (typeof kinds)[number] {
  return kinds[(i * 7 + (i >> 4)) % kinds.length] ?? kinds[0]
}

/** Cents, so that sums are exact. */
export function amountCents(i: number): number {
  return (i * 7919) % 1_000_000
}

export function eventAt(i: number): PayrollEvent {
  const cents = amountCents(i)
  const value: Record<string, unknown> = {
    event_id: `e-${i}`,
    kind: kindOf(i),
    company_id: 1 + (i % 311),
    employee_id: 1_000 + (i % 5_003),
    email: `employee${i % 5_003}@example.org`,
    iban: `DE${String(i).padStart(20, '0')}`,
    amount: cents / 100,
    occurred_at: 1_750_000_000_000 + i * 1_000,
  }
  // Producers do not agree on a shape: that is what semi-structured means.
  if (i % 3 === 0)
    value['attributes'] = { source: `app-${i % 3}`, note: 'überweisung "x"', tags: ['a', String(i % 10)] }
  if (i % 5 === 0) value['client_version'] = '2.1'
  return { key: kindOf(i), value: JSON.stringify(value), debug: isDebug(i) }
}
