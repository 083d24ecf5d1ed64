/** Replication slot: state, creation, removal, and how a stored position fits it. */
import type pg from 'pg'
import type { Logger } from '../../worker/api/context.ts'
import { ConnectError, RetriableError } from '../../worker/api/errors.ts'
import type { Database } from './connection.ts'
import { sqlStateOf } from './errors.ts'
import { formatLsn, type Lsn, maxLsn, parseLsn } from './lsn.ts'
import { type StoredOffset, startOf } from './offsets.ts'
import { quoteIdentifier, quoteLiteral } from './sql.ts'

export interface SlotState {
  /** Oldest log that the slot still needs. */
  readonly restartLsn: Lsn | null
  /** Everything before was confirmed. */
  readonly confirmedFlushLsn: Lsn | null
  readonly activePid: number | null
}

interface SlotRow {
  plugin: string
  database: string
  restart_lsn: string | null
  confirmed_flush_lsn: string | null
  active_pid: string | null
  wal_status: string | null
  reason: string | null
  this_database: string
}

/** What keeps a slot from being invalidated again, by `invalidation_reason` (PostgreSQL 17 on); else the first. */
const safeguards: Readonly<Record<string, string>> = {
  wal_removed: 'raise max_slot_wal_keep_size',
  idle_timeout: 'raise idle_replication_slot_timeout',
  rows_removed: 'turn on hot_standby_feedback at the standby, with a physical slot at its primary',
  wal_level_insufficient: 'keep wal_level=logical at the primary',
}

/**
 * State of the slot, or null when there is none of that name.
 * @throws ConnectError when the name belongs to another plugin or database, or when its log is gone
 */
export async function slotState(database: Database, slot: string): Promise<SlotState | null> {
  const [row] = await database.rows<SlotRow>(
    `SELECT plugin, database, restart_lsn, confirmed_flush_lsn, active_pid, current_database() AS this_database,
            to_jsonb(s)->>'wal_status' AS wal_status, to_jsonb(s)->>'invalidation_reason' AS reason
     FROM pg_replication_slots s WHERE slot_name = $1`,
    [slot],
  )
  if (row === undefined) return null
  const remedy = 'Choose another slot.name, or drop the slot if nobody needs it.'
  if (row.plugin !== 'pgoutput') {
    throw slotError(`Replication slot ${slot} uses the plugin ${row.plugin}, not pgoutput. ${remedy}`)
  }
  if (row.database !== row.this_database) {
    throw slotError(`Replication slot ${slot} belongs to the database ${row.database}. ${remedy}`)
  }
  if (row.wal_status === 'lost') {
    const safeguard = safeguards[row.reason ?? ''] ?? safeguards['wal_removed']
    throw slotError(
      `Replication slot ${slot} was invalidated${row.reason === null ? '' : ` (${row.reason})`}: what it needs is no longer ` +
        `available on the server. Drop it, ${safeguard} and take a new snapshot.`,
    )
  }
  const position = (text: string | null) => (text === null ? null : parseLsn(text))
  return {
    restartLsn: position(row.restart_lsn),
    confirmedFlushLsn: position(row.confirmed_flush_lsn),
    activePid: row.active_pid === null ? null : Number(row.active_pid),
  }
}

function slotError(message: string): ConnectError {
  return new ConnectError('fatal', 'CONNECT_POSTGRES_SLOT', message)
}

export interface CreatedSlot {
  readonly consistentPoint: Lsn
  /** Valid while the creating connection stays open and idle. */
  readonly snapshotName: string
}

export interface SlotCreation {
  readonly slot: string
  readonly temporary: boolean
  readonly failover: boolean
  /** Time limit in ms; 0 is none. */
  readonly timeoutMs: number
}

/**
 * Creates the slot over a replication connection; its snapshot shows the database at the consistent point. That comes when
 * all transactions that run now have ended, which the server waits for without regard to statement_timeout.
 * @param database another connection, which gives up the wait
 */
export async function createSlot(client: pg.Client, creation: SlotCreation, database: Database): Promise<CreatedSlot> {
  const { slot, temporary, failover, timeoutMs } = creation
  const words = [
    'CREATE_REPLICATION_SLOT',
    quoteIdentifier(slot),
    ...(temporary ? ['TEMPORARY'] : []),
    'LOGICAL pgoutput',
  ]
  const cancelling: Promise<void>[] = []
  const cancel = (): void => {
    // A connection that is gone needs no cancelling.
    cancelling.push(database.cancel(client).catch(() => undefined))
  }
  const timer = timeoutMs === 0 ? null : setTimeout(cancel, timeoutMs)
  try {
    const result = await client.query(`${words.join(' ')}${failover ? ' (FAILOVER)' : ''}`)
    // No further command here: it would end the exported snapshot.
    const row = result.rows[0] as { consistent_point: string; snapshot_name: string }
    return { consistentPoint: parseLsn(row.consistent_point), snapshotName: row.snapshot_name }
  } catch (error) {
    if (sqlStateOf(error) !== '57014') throw error
    throw new RetriableError(
      'CONNECT_POSTGRES_BUSY',
      `The slot ${slot} could not be created within internal.create.slot.command.timeout=${timeoutMs} ms: the server waits ` +
        'for transactions that were open before. Find them in pg_stat_activity (xact_start); it is tried again.',
      { cause: error },
    )
  } finally {
    if (timer !== null) clearTimeout(timer)
    await Promise.all(cancelling)
  }
}

/** Removes the slot; three attempts, since the walsender may need a moment to let go of it. */
export async function dropSlot(database: Database, slot: string, wait: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await database.rows('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1', [
        slot,
      ])
      return
    } catch (error) {
      if (attempt === 3) throw error
      await wait()
    }
  }
}

export type MismatchStrategy = 'fail' | 'no_validation' | 'trust_offset' | 'trust_slot' | 'trust_greater_lsn'

export interface PositionCheck {
  readonly database: Database
  readonly slot: string
  readonly strategy: MismatchStrategy
  readonly logger: Logger
}

/** The slot no longer has what the offset asks for, or never had it. */
export function positionLost(slot: string, at: Lsn, detail: string): ConnectError {
  return new ConnectError(
    'fatal',
    'CONNECT_POSTGRES_POSITION',
    `The connector is to go on from ${formatLsn(at)}, but this is no longer available on the server: ${detail} ` +
      `(slot ${slot}). Events in between may be lost. Set snapshot.mode=when_needed, or remove the connector's offset, to ` +
      'take a new snapshot; offset.mismatch.strategy=trust_slot goes on without them.',
    { context: { slot, lsn: at } },
  )
}

/**
 * Where to start, given a stored offset and the slot; advances the slot where the strategy says so.
 * @throws ConnectError when they do not fit
 */
export async function resumeLsn(stored: StoredOffset, state: SlotState | null, check: PositionCheck): Promise<Lsn> {
  const { slot, strategy, logger } = check
  const at = startOf(stored)
  if (state === null) {
    if (strategy !== 'trust_slot') throw positionLost(slot, at, 'the replication slot does not exist')
    return at
  }
  const position = state.confirmedFlushLsn ?? state.restartLsn ?? at
  if (strategy === 'fail' || strategy === 'no_validation' || strategy === 'trust_offset') {
    const needed = stored.lsnProc ?? stored.lsn
    if (state.restartLsn !== null && state.restartLsn > needed) {
      throw positionLost(slot, at, `the slot starts at ${formatLsn(state.restartLsn)}`)
    }
    // The server sends nothing that was confirmed, whatever it is asked for.
    if (strategy !== 'no_validation' && at < position) {
      throw positionLost(
        slot,
        at,
        `the slot was confirmed up to ${formatLsn(position)}, ${position - at} bytes further`,
      )
    }
    if (strategy === 'trust_offset' && at > position) await advanceSlot(check, at)
    return at
  }
  if (at === position) return at
  if (strategy === 'trust_greater_lsn' && at > position) {
    await advanceSlot(check, at)
    return at
  }
  logger.warn(
    { slot, offset: formatLsn(at), slotPosition: formatLsn(position) },
    'The stored offset and the slot differ; offset.mismatch.strategy takes the position of the slot',
  )
  return position
}

async function advanceSlot({ database, slot, logger }: PositionCheck, to: Lsn): Promise<void> {
  logger.info({ slot, to: formatLsn(to) }, 'Advancing the replication slot to the stored offset')
  try {
    await database.rows(`SELECT pg_replication_slot_advance(${quoteLiteral(slot)}, ${quoteLiteral(formatLsn(to))})`)
  } catch (error) {
    // The stream starts at the offset all the same; only the log before it is kept until something is confirmed.
    if (sqlStateOf(error) === '42883') logger.info({ slot }, 'Before PostgreSQL 11 a slot cannot be advanced')
    else if (sqlStateOf(error) === '42501')
      logger.warn({ slot }, 'The role may not advance the slot: it needs REPLICATION')
    else throw error
  }
}

/** Which server this is, and where its log ends. */
export interface SystemIdentity {
  readonly systemId: string
  readonly logEnd: Lsn
  /** Counts promotions. */
  readonly timeline: number
}

export async function identifySystem(client: pg.Client): Promise<SystemIdentity> {
  const result = await client.query('IDENTIFY_SYSTEM')
  const row = result.rows[0] as { systemid: string; xlogpos: string; timeline: string }
  return { systemId: row.systemid, logEnd: parseLsn(row.xlogpos), timeline: Number(row.timeline) }
}

/** Where the log ends now; on a standby, where it has been replayed to. */
export async function currentLsn(database: Database): Promise<Lsn> {
  const [row] = await database.rows<{ at: string }>(
    'SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS at',
  )
  return parseLsn(row?.at ?? '')
}

/** Where an earlier timeline of the server ended, over a replication connection; null for one that it does not come of. */
export async function endOfTimeline(client: pg.Client, current: number, earlier: number): Promise<Lsn | null> {
  if (current <= earlier) return null
  const result = await client.query(`TIMELINE_HISTORY ${current}`)
  const { content } = result.rows[0] as { content: string }
  return parseTimelineHistory(historyText(content)).get(earlier) ?? null
}

/** Type bytea: its bytes themselves, or in hexadecimal. */
function historyText(content: string): string {
  return content.startsWith('\\x') ? Buffer.from(content.slice(2), 'hex').toString('utf8') : content
}

/** Ends of the timelines that a history file names: per line the number, the position and a reason. */
export function parseTimelineHistory(text: string): ReadonlyMap<number, Lsn> {
  const lines = [...text.matchAll(/^\s*(\d+)\s+([0-9A-F]+\/[0-9A-F]+)/gm)]
  return new Map(lines.map(([, timeline, end]) => [Number(timeline), parseLsn(end ?? '')]))
}

/**
 * A promoted standby need not have had everything: its log goes on from where it was, and what it has written since lies
 * at positions that the former server had used for something else.
 * @param end of the timeline that the position belongs to; null when the server does not come of it
 * @throws ConnectError when the position lies behind that end: what the new server wrote before it would be passed over
 */
export function checkTimeline(
  stored: StoredOffset,
  { was, is, end }: { readonly was: number; readonly is: number; readonly end: Lsn | null },
  strategy: MismatchStrategy,
): void {
  const at = maxLsn(stored.lsn, startOf(stored))
  if (was === is || (end !== null && at <= end) || strategy === 'trust_slot') return
  const where = end === null ? `does not come of timeline ${was}` : `left timeline ${was} at ${formatLsn(end)}`
  throw new ConnectError(
    'fatal',
    'CONNECT_POSTGRES_POSITION',
    `The server was promoted: its timeline ${is} ${where}, and the stored position is ${formatLsn(at)} of timeline ${was}. ` +
      'What the former server wrote in between is gone, and what this one wrote instead would be passed over. Remove the ' +
      "connector's offset to take a new snapshot; offset.mismatch.strategy=trust_slot goes on from the slot without one. " +
      'synchronized_standby_slots (PostgreSQL 17) keeps the stream behind the standby.',
    { context: { was, is, at, end } },
  )
}

/**
 * @throws ConnectError when the position belongs to another server, or the log ends before it: the server was restored,
 * or failed over to a standby that was behind
 */
export function checkSystem(
  { systemId, logEnd }: SystemIdentity,
  stored: StoredOffset,
  strategy: MismatchStrategy,
): void {
  const followsSlot = strategy === 'trust_slot' || strategy === 'trust_greater_lsn'
  if (stored.systemId !== null && stored.systemId !== systemId && !followsSlot) {
    throw new ConnectError(
      'fatal',
      'CONNECT_POSTGRES_SYSTEM',
      `The stored position ${formatLsn(stored.lsn)} belongs to the server with the system identifier ${stored.systemId}; ` +
        `this one has ${systemId}, and its log another history. Correct database.hostname, or remove the connector's ` +
        'offset to take a new snapshot; offset.mismatch.strategy=trust_slot goes on from the slot without one.',
      { context: { stored: stored.systemId, found: systemId } },
    )
  }
  if (logEnd >= stored.lsn) return
  throw new ConnectError(
    'fatal',
    'CONNECT_POSTGRES_POSITION',
    `The server's log ends at ${formatLsn(logEnd)}, before the stored position ${formatLsn(stored.lsn)}: it was restored from ` +
      'a backup or failed over to a standby that was behind. Remove the offset to take a new snapshot.',
  )
}
