/** One instrument at one moment, as plain data: it crosses threads and becomes Prometheus text. */
export interface MetricSnapshot {
  /** Connect's group, e.g. `source-task-metrics`. */
  readonly group: string
  /** Kebab-case, unit last, e.g. `source-record-poll-total`. */
  readonly name: string
  readonly help: string
  readonly labels: Readonly<Record<string, string>>
  readonly value:
    | { readonly kind: 'counter'; readonly value: number }
    | { readonly kind: 'gauge'; readonly value: number }
    /** Text attribute, exported as a label gauge with value 1. */
    | { readonly kind: 'text'; readonly value: string }
    | {
        readonly kind: 'histogram'
        /** Upper bounds, ascending, and the count of observations at or below each (cumulative). */
        readonly buckets: readonly (readonly [number, number])[]
        readonly sum: number
        readonly count: number
      }
}
