/** How a snapshot comes along: metrics with every block, a line in the log now and then. */
import type { Clock, Gauge, Logger, Metrics } from '../../worker/api/context.ts'
import type { SnapshotPlan } from './snapshot-plan.ts'

const intervalMs = 10_000

interface Gauges {
  readonly running: Gauge
  readonly tables: Gauge
  readonly tablesLeft: Gauge
  readonly rows: Gauge
  readonly rowsLeft: Gauge
  readonly secondsLeft: Gauge
}

/** Rows left are by the server's own estimates: a table that was never analysed counts as empty. */
export class SnapshotMeter {
  readonly #plan: SnapshotPlan
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #gauges: Gauges | null
  readonly #startedMs: number
  #nextMs: number
  #rows = 0

  constructor(options: {
    readonly plan: SnapshotPlan
    readonly clock: Clock
    readonly logger: Logger
    readonly metrics: Metrics | null
  }) {
    const { plan, clock, logger, metrics } = options
    this.#plan = plan
    this.#clock = clock
    this.#logger = logger
    this.#gauges = metrics === null ? null : gaugesOf(metrics)
    this.#startedMs = clock.monotonicMs()
    this.#nextMs = this.#startedMs + intervalMs
    this.#gauges?.running.set(1)
    this.#gauges?.tables.set(plan.tables.length)
    this.#gauges?.tablesLeft.set(plan.tables.length)
  }

  /** Rows have been read. */
  read(rows: number): void {
    this.#rows += rows
    const now = this.#clock.monotonicMs()
    if (now < this.#nextMs) {
      this.#gauges?.rows.set(this.#rows)
      return
    }
    this.#nextMs = now + intervalMs
    this.#report(now)
  }

  /** Of this connection: an interrupted snapshot counts what it still has to read. */
  end(): void {
    this.#gauges?.running.set(0)
    this.#report(this.#clock.monotonicMs())
  }

  #report(now: number): void {
    const tables = this.#plan.tables.filter((table) => table.left > 0)
    const rowsLeft = tables.reduce((sum, { size, rows }) => sum + Math.max(0, (size.estimatedRows ?? 0) - rows), 0)
    const seconds = Math.max(0.001, (now - this.#startedMs) / 1000)
    const rate = this.#rows / seconds
    const secondsLeft = rowsLeft === 0 ? 0 : rate > 0 ? Math.round(rowsLeft / rate) : -1
    const gauges = this.#gauges
    gauges?.rows.set(this.#rows)
    gauges?.tablesLeft.set(tables.length)
    gauges?.rowsLeft.set(rowsLeft)
    gauges?.secondsLeft.set(secondsLeft)
    this.#logger.info(
      {
        rows: this.#rows,
        rowsPerSecond: Math.round(rate),
        tables: this.#plan.tables.length,
        tablesLeft: tables.length,
        estimatedRowsLeft: rowsLeft,
        estimatedSecondsLeft: secondsLeft,
      },
      'Snapshot progress',
    )
  }
}

function gaugesOf(metrics: Metrics): Gauges {
  return {
    running: metrics.gauge('snapshot-running', '1 while the tables are read for the first time'),
    tables: metrics.gauge('snapshot-total-table-count', 'Tables that the snapshot reads'),
    tablesLeft: metrics.gauge('snapshot-remaining-table-count', 'Tables that have not been read to their end'),
    rows: metrics.gauge('snapshot-rows-scanned', 'Rows that the snapshot has read'),
    rowsLeft: metrics.gauge('snapshot-estimated-rows-left', "Rows still to read, by the server's estimates"),
    secondsLeft: metrics.gauge('snapshot-estimated-seconds-left', 'Until the snapshot ends at its pace; -1: unknown'),
  }
}
