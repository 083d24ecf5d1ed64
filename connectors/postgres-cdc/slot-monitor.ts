/** Watches how much log the slot keeps the server from removing, and says so before a disk is full or the slot lost. */
import type { Clock, Gauge, Logger, Metrics } from '../../worker/api/context.ts'
import type { Database } from './connection.ts'

/** What the server says about a slot. */
export interface SlotSample {
  readonly atMs: number
  /** Log from `restart_lsn` to its end, in bytes: what may not be removed. */
  readonly retainedBytes: number
  /** Log from `confirmed_flush_lsn` to its end, in bytes. */
  readonly unconfirmedBytes: number
  /** `reserved`, `extended`, `unreserved` or `lost`; null before PostgreSQL 13. */
  readonly walStatus: string | null
  /** Bytes that may still be written before the slot is in danger (`max_slot_wal_keep_size`); null without a limit. */
  readonly safeBytes: number | null
}

export interface SlotAssessment {
  readonly level: 'ok' | 'over budget' | 'in danger'
  /** Seconds until the limit of the server, or the budget, is reached at the present pace; null when it is not. */
  readonly secondsLeft: number | null
}

/** Forecasts within this time are a warning. */
const shortSeconds = 3600

/**
 * @param growth bytes per second by which the retained log grows
 * @param budgetBytes 0 is no budget
 */
export function assess(sample: SlotSample, growth: number, budgetBytes: number): SlotAssessment {
  const room = [
    ...(sample.safeBytes === null ? [] : [sample.safeBytes]),
    ...(budgetBytes === 0 ? [] : [budgetBytes - sample.retainedBytes]),
  ]
  const left = Math.max(0, Math.min(...room))
  const secondsLeft = room.length === 0 || growth <= 0 ? null : Math.round(left / growth)
  const isUnsafe = sample.walStatus === 'unreserved' || sample.walStatus === 'lost'
  if (isUnsafe || (sample.safeBytes !== null && sample.safeBytes <= 0)) return { level: 'in danger', secondsLeft }
  if (budgetBytes > 0 && sample.retainedBytes > budgetBytes) return { level: 'over budget', secondsLeft }
  return { level: 'ok', secondsLeft }
}

/** Growth of the retained log in bytes per second, smoothed over samples: one burst is no trend. */
export function smoothedGrowth(previous: number | null, before: SlotSample, now: SlotSample): number {
  const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1000)
  const growth = (now.retainedBytes - before.retainedBytes) / seconds
  return previous === null ? growth : previous * 0.7 + growth * 0.3
}

interface SlotRow {
  retained: string | null
  unconfirmed: string | null
  wal_status: string | null
  safe: string | null
}

const slotSql = `
SELECT pg_wal_lsn_diff(wal.at, restart_lsn) AS retained, pg_wal_lsn_diff(wal.at, confirmed_flush_lsn) AS unconfirmed,
       to_jsonb(s)->>'wal_status' AS wal_status, to_jsonb(s)->>'safe_wal_size' AS safe
FROM pg_replication_slots s, (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                          ELSE pg_current_wal_lsn() END AS at) wal
WHERE slot_name = $1`

const walStatusNumbers: Readonly<Record<string, number>> = { reserved: 0, extended: 1, unreserved: 2, lost: 3 }

export interface SlotMonitorOptions {
  readonly database: Database
  readonly slot: string
  /** Time between looks in ms; 0 is never. */
  readonly intervalMs: number
  readonly budgetBytes: number
  readonly metrics: Metrics
  readonly clock: Clock
  readonly logger: Logger
}

export class SlotMonitor {
  readonly #options: SlotMonitorOptions
  readonly #retained: Gauge
  readonly #unconfirmed: Gauge
  readonly #safe: Gauge
  readonly #status: Gauge
  readonly #secondsLeft: Gauge
  #running = false
  #lookedMs = Number.NEGATIVE_INFINITY
  #last: SlotSample | null = null
  #growth: number | null = null
  #warned = ''

  constructor(options: SlotMonitorOptions) {
    const { metrics } = options
    this.#options = options
    this.#retained = metrics.gauge('slot-retained-bytes', 'Log that the replication slot keeps from being removed')
    this.#unconfirmed = metrics.gauge('slot-unconfirmed-bytes', 'Log behind the confirmed position of the slot')
    this.#safe = metrics.gauge('slot-safe-bytes', 'Log that may be written before the slot is in danger; -1: no limit')
    this.#status = metrics.gauge('slot-wal-status', '0 reserved, 1 extended, 2 unreserved, 3 lost, -1 unknown')
    this.#secondsLeft = metrics.gauge('slot-seconds-left', 'Until limit or budget at the present pace; -1: never')
  }

  /** Looks when it is time, without making the caller wait. */
  look(): void {
    const { intervalMs, clock } = this.#options
    if (intervalMs === 0 || this.#running || clock.monotonicMs() - this.#lookedMs < intervalMs) return
    this.#lookedMs = clock.monotonicMs()
    this.#running = true
    // A lost connection is reported by the session that owns it.
    this.#read()
      .catch((error: unknown) => this.#options.logger.debug({ error }, 'The slot could not be looked at'))
      .finally(() => {
        this.#running = false
      })
  }

  async #read(): Promise<void> {
    const { database, slot, budgetBytes, clock } = this.#options
    const [row] = await database.rows<SlotRow>(slotSql, [slot])
    if (row === undefined) return
    const sample: SlotSample = {
      atMs: clock.monotonicMs(),
      retainedBytes: Number(row.retained ?? 0),
      unconfirmedBytes: Number(row.unconfirmed ?? 0),
      walStatus: row.wal_status,
      safeBytes: row.safe === null ? null : Number(row.safe),
    }
    this.#growth = this.#last === null ? null : smoothedGrowth(this.#growth, this.#last, sample)
    this.#last = sample
    const assessment = assess(sample, this.#growth ?? 0, budgetBytes)
    this.#retained.set(sample.retainedBytes)
    this.#unconfirmed.set(sample.unconfirmedBytes)
    this.#safe.set(sample.safeBytes ?? -1)
    this.#status.set(walStatusNumbers[sample.walStatus ?? ''] ?? -1)
    this.#secondsLeft.set(assessment.secondsLeft ?? -1)
    this.#warn(sample, assessment)
  }

  /** Once per change of level: a slot in trouble stays so for long. */
  #warn(sample: SlotSample, { level, secondsLeft }: SlotAssessment): void {
    const { logger, slot, budgetBytes } = this.#options
    const isSoon = secondsLeft !== null && secondsLeft < shortSeconds
    const state = level === 'ok' && isSoon ? 'soon' : level
    if (state === this.#warned) return
    const recovered = state === 'ok' && this.#warned !== ''
    this.#warned = state
    const fields = { slot, ...sample, budgetBytes, secondsLeft }
    if (state === 'in danger') {
      const message = 'The server is about to remove log that the replication slot needs, or has done so'
      logger.error(fields, `${message}: raise max_slot_wal_keep_size, and see why offsets are not committed`)
    } else if (state === 'over budget') {
      logger.warn(fields, 'The replication slot keeps more log than slot.wal.budget.bytes: see why offsets do not move')
    } else if (state === 'soon') {
      logger.warn(fields, 'At the present pace the replication slot reaches its limit within an hour')
    } else if (recovered) logger.info(fields, 'The replication slot keeps little log again')
  }
}
