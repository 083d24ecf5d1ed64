/** Rows of the closing table of a pipeline; a pipeline is right when every `differences` is 0. */
export interface ReportRow {
  readonly [column: string]: string | number
}

export interface Report {
  readonly title: string
  readonly rows: readonly ReportRow[]
  /** Human-readable, one per differing thing, at most a few. Empty: source and destination are equal. */
  readonly differences: readonly string[]
  readonly notes: readonly string[]
}

/** Prints a report as a boxed table. */
export function printReport(report: Report, out: (line: string) => void): void {
  const columns = [...new Set(report.rows.flatMap((row) => Object.keys(row)))]
  const cells = report.rows.map((row) => columns.map((column) => format(row[column])))
  const widths = columns.map((column, i) => Math.max(column.length, ...cells.map((row) => row[i]?.length ?? 0)))
  const line = (left: string, middle: string, right: string) =>
    left + widths.map((width) => '─'.repeat(width + 2)).join(middle) + right
  const row = (values: readonly string[], right: readonly boolean[]) => {
    const padded = values.map((value, i) => (right[i] ? value.padStart(widths[i] ?? 0) : value.padEnd(widths[i] ?? 0)))
    return `│${padded.map((value) => ` ${value} `).join('│')}│`
  }
  out(`\n${report.title}`)
  out(line('┌', '┬', '┐'))
  out(row(columns, []))
  out(line('├', '┼', '┤'))
  for (const [i, values] of cells.entries()) {
    const source = report.rows[i] ?? {}
    out(
      row(
        values,
        columns.map((column) => typeof source[column] === 'number'),
      ),
    )
  }
  out(line('└', '┴', '┘'))
  for (const note of report.notes) out(`  ${note}`)
  for (const difference of report.differences) out(`  DIFFERENT: ${difference}`)
  if (report.differences.length === 0) out('  no difference')
}

function format(value: string | number | undefined): string {
  if (value === undefined) return ''
  return typeof value === 'number' ? value.toLocaleString('en-US', { maximumFractionDigits: 1 }) : value
}

/** Percentile of unsorted samples, `p` in [0, 1]; NaN for none. */
export function percentile(samples: readonly number[], p: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] ?? Number.NaN
}
