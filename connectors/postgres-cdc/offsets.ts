/** Source offsets exactly as Debezium writes them, so that either implementation continues the other's work. */
import type { SourceOffset, SourceOffsetValue } from '../../worker/api/record.ts'
import { type Lsn, lsn, maxLsn } from './lsn.ts'
import { progressMember } from './snapshot-progress.ts'

export type MessageType =
  | 'INSERT'
  | 'UPDATE'
  | 'DELETE'
  | 'TRUNCATE'
  | 'MESSAGE'
  | 'BEGIN'
  | 'COMMIT'
  | 'ORIGIN'
  | 'NOOP'

/** A stored offset, read with Debezium's loader rules; unknown members are ignored. */
export interface StoredOffset {
  readonly lsn: Lsn
  readonly lsnProc: Lsn | null
  /** End of the last commit that was decoded, which `source.sequence` names. */
  readonly lsnCommit: Lsn | null
  /** Everything that ends here or before is emitted: `lsnCommit`, or the end of the log that an idle stream had reached. */
  readonly complete: Lsn | null
  readonly txId: number | null
  readonly tsUs: bigint
  readonly messageType: string | null
  /** Changes with this `lsnProc` that were emitted; at least 1. */
  readonly eventsProcessed: number
  /** Written by a snapshot that did not come to its end. */
  readonly snapshotUnfinished: boolean
  /** How far that snapshot has come (`SnapshotProgress`); null where the offset does not say. */
  readonly snapshotProgress: string | null
  readonly transactionId: string | null
  readonly transactionCounts: ReadonlyMap<string, number>
  /** Next record of the signal topic; null before the first. */
  readonly signalPosition: bigint | null
  /** `system_identifier` of the server that the position belongs to; null where the offset does not tell. */
  readonly systemId: string | null
  /** Timeline of that server, which a promotion ends; null where the offset does not tell. */
  readonly timeline: number | null
}

const changeTypes = new Set(['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'])

/** Snapshots within the stream: one that was interrupted leaves the stream where it was. */
const streamed = new Set(['INCREMENTAL', 'BLOCKING'])

/** Members of ours: Debezium's loader passes over what it does not know. */
const signalMember = 'signal_kafka_position'
const systemMember = 'system_identifier'
const timelineMember = 'timeline'
/** In an offset within a transaction: where the stream had been idle before, further than `lsn_commit`. */
const idleMember = 'lsn_idle'

const countPrefix = 'transaction_data_collection_order_'

function integer(value: SourceOffsetValue | undefined): bigint | null {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number') return BigInt(Math.trunc(value))
  return typeof value === 'string' && /^-?\d+$/.test(value) ? BigInt(value) : null
}

const flag = (value: SourceOffsetValue | undefined): boolean => value === true || value === 'true'

/** Null for an offset without `lsn`, which says nothing about a position. */
export function readOffset(offset: SourceOffset): StoredOffset | null {
  const at = integer(offset['lsn'])
  if (at === null) return null
  const proc = integer(offset['lsn_proc'])
  const commit = integer(offset['lsn_commit']) ?? proc
  const txId = integer(offset['txId'])
  const snapshot = offset['snapshot'] ?? null
  const finished = flag(offset['snapshot_completed']) || flag(offset['last_snapshot_record'])
  const messageType = offset['messageType']
  const counts = new Map<string, number>()
  for (const [key, value] of Object.entries(offset)) {
    const isOpen = messageType !== 'COMMIT'
    if (isOpen && key.startsWith(countPrefix)) counts.set(key.slice(countPrefix.length), Number(value))
  }
  // Behind a COMMIT nothing is open: where lsn_proc goes further than lsn_commit, the stream was idle up to there.
  const idle = integer(offset[idleMember]) ?? (messageType === 'COMMIT' ? proc : null)
  const complete = commit !== null && idle !== null && idle > commit ? idle : commit
  // The offset of an END still names its transaction: nothing of it goes on.
  const transactionId = messageType === 'COMMIT' ? undefined : offset['transaction_id']
  const systemId = offset[systemMember]
  const timeline = integer(offset[timelineMember])
  const progress = offset[progressMember]
  return {
    lsn: lsn(at),
    lsnProc: proc === null ? null : lsn(proc),
    lsnCommit: commit === null ? null : lsn(commit),
    complete: complete === null ? null : lsn(complete),
    txId: txId === null ? null : Number(BigInt.asUintN(32, txId)),
    tsUs: integer(offset['ts_usec']) ?? 0n,
    messageType: typeof messageType === 'string' ? messageType : null,
    eventsProcessed: Math.max(1, Number(integer(offset['lsn_events_processed']) ?? 1n)),
    snapshotUnfinished: snapshot !== null && snapshot !== false && !streamed.has(String(snapshot)) && !finished,
    snapshotProgress: typeof progress === 'string' ? progress : null,
    transactionId: typeof transactionId === 'string' ? transactionId : null,
    transactionCounts: counts,
    signalPosition: signalPositionOf(offset),
    systemId: typeof systemId === 'string' ? systemId : null,
    timeline: timeline === null ? null : Number(timeline),
  }
}

/** Next record of the signal topic once this offset is durable; null where there is no such topic. */
export function signalPositionOf(offset: SourceOffset): bigint | null {
  return integer(offset[signalMember])
}

/** Where the stream is requested from: what came before is known to be complete. */
export function startOf(stored: StoredOffset): Lsn {
  return stored.complete ?? stored.lsnProc ?? stored.lsn
}

/**
 * What may be confirmed to the slot once this offset is durable: the end of the last transaction that it covers
 * entirely, without adding to it (I1). A transaction that has begun is sent again as a whole.
 */
export function confirmable(offset: SourceOffset): Lsn | null {
  const stored = readOffset(offset)
  return stored === null ? null : startOf(stored)
}

export interface SnapshotOffsetParts {
  readonly lsn: Lsn
  readonly txId: number | null
  readonly tsUs: bigint
  readonly last: boolean
}

export function snapshotOffset({ lsn: at, txId, tsUs, last }: SnapshotOffsetParts): SourceOffset {
  return {
    ts_usec: tsUs,
    ...(txId === null ? {} : { txId }),
    lsn: at,
    snapshot: 'INITIAL',
    last_snapshot_record: last,
    snapshot_completed: last,
  }
}

/** The same place once the snapshot is over: nothing in it tells of one any more. */
export function withoutSnapshot(offset: SourceOffset): SourceOffset {
  const { snapshot: _kind, last_snapshot_record: _last, snapshot_completed: _completed, ...place } = offset
  return place
}

/** What says, beside a stream's own position, that an initial snapshot has not come to its end. */
export function unfinishedMembers(progress: string): SourceOffset {
  return { snapshot: 'INITIAL', last_snapshot_record: false, snapshot_completed: false, [progressMember]: progress }
}

/** Position of the stream as records carry it; advances message by message. */
export class StreamPosition {
  lsn: Lsn
  /**
   * Of the last message: an idle stream leaves it where it is, and so does Debezium. What a signal has read names it in
   * `source.sequence`; what others write to the server must not show there.
   */
  eventLsn: Lsn
  lsnProc: Lsn
  lsnCommit: Lsn | null
  txId: number | null
  tsUs: bigint
  messageType: MessageType | null = null
  /** Changes in a row that share `lsnProc`. */
  eventsProcessed = 0
  /** Set while transaction metadata is provided and a transaction is open. */
  transactionId: string | null = null
  readonly transactionCounts = new Map<string, number>()
  /** Where the stream was idle last; null when it never was, or a transaction has committed since. */
  #idleAt: Lsn | null = null
  /** Progress of an initial snapshot that is still to go on, behind this part of the stream; null otherwise. */
  snapshotProgress: string | null = null
  /** Members that let an incremental snapshot go on; null while none runs. */
  incremental: Readonly<Record<string, string>> | null = null
  /** Next record of the signal topic; null where there is none. */
  signalPosition: bigint | null
  /** Which server the position belongs to. Set by the first heartbeat or idle advance, so offsets before are Debezium's. */
  systemId: string | null
  /** Its timeline, set with it. */
  timeline: number | null
  /** `catalog_xmin` of the slot as it was read last; null when it is not followed. */
  xmin: number | null = null

  /** @param stored null for a stream without any offset, which then starts at `start` */
  constructor(stored: StoredOffset | null, start: Lsn) {
    this.lsn = stored?.lsn ?? start
    this.eventLsn = this.lsn
    this.lsnProc = stored?.lsnProc ?? start
    this.lsnCommit = stored?.lsnCommit ?? null
    this.txId = stored?.txId ?? null
    this.tsUs = stored?.tsUs ?? 0n
    this.signalPosition = stored?.signalPosition ?? null
    if (stored?.complete != null && stored.lsnProc !== null) this.#idleAt = stored.complete
    this.systemId = stored?.systemId ?? null
    this.timeline = stored?.timeline ?? null
    // Within the transaction that was cut, counting goes on: a second cut must not repeat what the first one passed.
    this.eventsProcessed = stored !== null && changeTypes.has(stored.messageType ?? '') ? stored.eventsProcessed : 0
    this.transactionId = stored?.transactionId ?? null
    for (const [collection, count] of stored?.transactionCounts ?? []) this.transactionCounts.set(collection, count)
  }

  begin(at: Lsn, xid: number, tsUs: bigint): void {
    if (xid !== this.txId) this.eventsProcessed = 0
    this.#event(at)
    this.txId = xid
    this.tsUs = tsUs
    this.messageType = 'BEGIN'
  }

  change(at: Lsn, type: MessageType): void {
    this.eventsProcessed = this.eventsProcessed > 0 && this.lsnProc === at ? this.eventsProcessed + 1 : 1
    this.#event(at)
    this.lsnProc = at
    this.messageType = type
  }

  /** A table of a TRUNCATE that is not its last: the message is not processed yet. */
  partialTruncate(at: Lsn): void {
    this.#event(at)
    this.messageType = 'TRUNCATE'
  }

  commit(end: Lsn): void {
    this.#event(end)
    this.lsnProc = end
    this.lsnCommit = end
    this.messageType = 'COMMIT'
    this.eventsProcessed = 0
    this.#idleAt = null
  }

  /** A message outside transactions is its own commit. */
  freeMessage(at: Lsn, tsUs: bigint): void {
    this.commit(at)
    this.messageType = 'MESSAGE'
    this.txId = null
    this.tsUs = tsUs
  }

  /** A message within a transaction is processed like a change, but not counted as one. */
  transactionalMessage(at: Lsn): void {
    this.#event(at)
    this.lsnProc = at
    this.messageType = 'MESSAGE'
  }

  #event(at: Lsn): void {
    this.lsn = at
    this.eventLsn = at
  }

  /**
   * Everything up to here was seen while nothing was open: an idle slot moves on. That is no commit, so `lsn_commit` and
   * with it `source.sequence` stay; Debezium starts from `lsn_proc`.
   */
  idle(walEnd: Lsn): void {
    this.lsnProc = maxLsn(walEnd, this.lsnProc)
    this.lsn = this.lsnProc
    this.#idleAt = this.lsnProc
    this.messageType = 'COMMIT'
    this.eventsProcessed = 0
  }

  /** A new object per call: records keep it. */
  offset(): SourceOffset {
    const offset = this.#members()
    // The slot may have been confirmed up to there: no offset may fall behind (I2).
    if (this.#idleAt !== null && this.#idleAt > (this.lsnCommit ?? 0n) && this.messageType !== 'COMMIT')
      offset[idleMember] = this.#idleAt
    if (this.transactionId !== null) {
      offset['transaction_id'] = this.transactionId
      for (const [collection, count] of this.transactionCounts) offset[countPrefix + collection] = count
    }
    if (this.xmin !== null) offset['xmin'] = this.xmin
    if (this.snapshotProgress !== null) Object.assign(offset, unfinishedMembers(this.snapshotProgress))
    if (this.incremental !== null) Object.assign(offset, this.incremental)
    if (this.signalPosition !== null) offset[signalMember] = this.signalPosition
    if (this.systemId !== null) offset[systemMember] = this.systemId
    if (this.timeline !== null) offset[timelineMember] = this.timeline
    return offset
  }

  /** What every offset has, as far as it is known. A change has all of it: made at once, since there are so many. */
  #members(): Record<string, SourceOffsetValue> {
    const { tsUs, txId, lsnCommit, messageType, eventsProcessed } = this
    if (txId !== null && lsnCommit !== null && messageType !== null && eventsProcessed > 0) {
      return {
        ts_usec: tsUs,
        txId,
        lsn: this.lsn,
        lsn_proc: this.lsnProc,
        lsn_commit: lsnCommit,
        messageType,
        lsn_events_processed: eventsProcessed,
      }
    }
    const offset: Record<string, SourceOffsetValue> = { ts_usec: tsUs }
    if (txId !== null) offset['txId'] = txId
    offset['lsn'] = this.lsn
    offset['lsn_proc'] = this.lsnProc
    if (lsnCommit !== null) offset['lsn_commit'] = lsnCommit
    if (messageType !== null) offset['messageType'] = messageType
    if (eventsProcessed > 0) offset['lsn_events_processed'] = eventsProcessed
    return offset
  }
}
