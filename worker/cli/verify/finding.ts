/** What a check found out about one thing. */
export interface Finding {
  /** What was compared, e.g. `files → payroll.salary_paid`. */
  readonly what: string
  /** Figures, in the order in which they are shown. */
  readonly figures: Readonly<Record<string, string | number>>
  /** One line per difference; empty when both sides agree. */
  readonly differences: readonly string[]
  /** What is worth knowing but no difference. */
  readonly notes: readonly string[]
}

/** Names some of many, so that a report stays readable. */
export function some(items: readonly string[], limit: number): string {
  const shown = items.slice(0, limit).join(', ')
  return items.length > limit ? `${shown} and ${items.length - limit} more` : shown
}
