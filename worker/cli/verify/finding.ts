/** What a check found out about one thing, as it is shown. */
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

/** Things that differ in the same way, by their names or, where they have none, by their number. */
export interface Difference {
  /** What is to be said after the number: `rows are missing`. */
  readonly text: string
  readonly items: readonly string[] | bigint
}

/** What one look at a thing found: a finding, while it is not known yet which differences will pass. */
export interface Look extends Omit<Finding, 'differences'> {
  readonly differences: readonly Difference[]
}

/** Items of a difference that are shown. */
const shownItems = 20

/** Differences of these texts, those without items left out. */
export function differencesOf(found: Readonly<Record<string, readonly string[] | bigint>>): readonly Difference[] {
  return Object.entries(found)
    .map(([text, items]) => ({ text, items }))
    .filter(({ items }) => (typeof items === 'bigint' ? items > 0n : items.length > 0))
}

/**
 * What two looks agree on. While data flows every look finds some of it on its way, but never the same.
 * @param now the later one; its figures and notes stand
 */
export function agreedOn(before: readonly Look[], now: readonly Look[]): readonly Look[] {
  return now.map((look) => {
    const known = before.find(({ what }) => what === look.what)?.differences ?? []
    const lasting = look.differences.map(({ text, items }) => {
      const earlier = known.find((difference) => difference.text === text)?.items ?? 0n
      if (typeof items === 'bigint' || typeof earlier === 'bigint') return [text, earlier === 0n ? 0n : items] as const
      const names = new Set(earlier)
      return [text, items.filter((item) => names.has(item))] as const
    })
    return { ...look, differences: differencesOf(Object.fromEntries(lasting)) }
  })
}

/** A look as it is shown: members in the order of the report. */
export function findingOf({ what, figures, differences, notes }: Look): Finding {
  const lines = differences.map(({ text, items }) =>
    typeof items === 'bigint' ? `${items} ${text}` : `${items.length} ${text}: ${some(items, shownItems)}`,
  )
  return { what, figures, differences: lines, notes }
}

/** Names some of many, so that a report stays readable. */
export function some(items: readonly string[], limit: number): string {
  const shown = items.slice(0, limit).join(', ')
  return items.length > limit ? `${shown} and ${items.length - limit} more` : shown
}
