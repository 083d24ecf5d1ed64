import type { Clock, Logger } from '../../worker/api/context.ts'
import type { Schema } from '../../worker/api/data.ts'
import { ConnectError, DataError, kindOf, toError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import type { TopicPartition } from '../../worker/api/topic-partition.ts'
import type { Commit, Committer } from './committer.ts'
import type { SchemaCompatibility } from './config-rules.ts'
import type { CutJournal, CutLog } from './cut-journal.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { MemoryHolder } from './memory-relief.ts'
import { type FileLayout, OpenFile, type RoleObject } from './open-file.ts'
import type { PartitionWriter } from './partition-writer.ts'
import type { Partitioner } from './partitioner.ts'
import { needsNewObject, projectRecord } from './schema-compatibility.ts'
import { nextScheduledRotation, type TimeZone } from './time-pattern.ts'

/** When the open files of a topic partition are committed; -1 turns a rule off. */
export interface RotationRules {
  readonly flushCount: number
  readonly flushBytes: number
  readonly intervalMs: number
  readonly onPartitionChange: boolean
  readonly schedule: { readonly periodMs: number; readonly zone: TimeZone } | null
  readonly idleMs: number
  readonly maxOpenFiles: number
}

/** What the buffers of one task share. */
export interface FileBufferServices {
  readonly layout: FileLayout
  readonly partitioner: Partitioner
  readonly rotation: RotationRules
  readonly compatibility: SchemaCompatibility
  readonly committer: Committer
  /** Null: cuts by the clock are not repeated after a crash. */
  readonly journal: CutJournal | null
  readonly budget: MemoryBudget
  readonly clock: Clock
  readonly logger: Logger
  readonly nullValues: 'ignore' | 'write' | 'row'
  readonly retryBackoffMs: number
  /** Keys from that of the file on that belong to other objects, `known` ones among them. @throws ConnectError CONNECT_S3_NAMES_TAKEN */
  takenNames(file: OpenFile, known: ReadonlySet<string>): Promise<readonly string[]>
  /** Reports a record that cannot be written; throws when errors are not tolerated. */
  report(record: SinkRecord, error: Error): Promise<void>
  /** Reports a null that is ignored, if that is wanted. */
  reportNull(record: SinkRecord): Promise<void>
  /** Whether this task still owns the partition (I7). */
  isAssigned(tp: TopicPartition): boolean
  seek(tp: TopicPartition, offset: bigint): void
  onCommitted(files: readonly OpenFile[]): void
}

/** Quiet time after which the rest of a known commit is no longer waited for: compaction may have removed it. */
const repeatPatienceMs = 60_000

/** What happened to the record at the head of the queue. */
type Step = 'next' | 'next-then-commit' | 'commit-first' | 'next-then-drain'

/**
 * Records of one topic partition on their way into objects: at most one open file per directory, and all of them are
 * committed together. Rules of rotation in the order of Confluent's `TopicPartitionWriter`.
 *
 * A retriable failure keeps everything as it is: `write` goes on after `retry.backoff.ms`, so a commit that is half
 * done neither doubles nor renames what is written (the Java connector reads the records again instead).
 */
export class FileBuffer implements PartitionWriter, MemoryHolder {
  readonly tp: TopicPartition
  readonly #services: FileBufferServices
  #queue: SinkRecord[] = []
  #head = 0
  readonly #files = new Map<string, OpenFile>()
  /** Schema that the current file of a directory was begun with, be it by a record that was then refused. */
  readonly #schemas = new Map<string, Schema | null>()
  readonly #takenNames = new Set<string>()
  /** Whether an open file may have a part or a chunk to go on with: hundreds of them need not be asked each time. */
  #isSomeFull = false
  #commit: Commit | null = null
  #count = 0
  #lastDirectory: string | null = null
  #baseTimestamp: number | null = null
  #nextSchedule: number | null
  #lastRecordAt = 0
  /** Monotonic ms before which nothing is tried. */
  #retryAt: number | null = null
  /** What is known of the commits of earlier owners; opened with the first record. */
  #cuts: CutLog | null = null
  /** Last offset of a commit that an earlier owner has fixed and that is made again now. */
  #repeatedCut: bigint | null = null
  /** First offset of the open files: what a restart must read again. */
  #groupStart: bigint | null = null
  /** After the last record that was appended, skipped or reported. */
  #handled: bigint | null = null

  constructor(tp: TopicPartition, services: FileBufferServices) {
    this.tp = tp
    this.#services = services
    this.#nextSchedule = this.#scheduleAfter(services.clock.now())
  }

  /** Records that wait to be written. */
  get waiting(): number {
    return this.#queue.length - this.#head
  }

  get isActive(): boolean {
    return this.waiting > 0 || this.#files.size > 0
  }

  get isBackingOff(): boolean {
    return this.#retryAt !== null
  }

  get openFiles(): number {
    return this.#files.size
  }

  /**
   * Next offset to read after a crash now: everything before it is durable, or was reported or skipped (I1, I2).
   * Null when no record came yet.
   */
  get committable(): bigint | null {
    return this.#groupStart ?? this.#handled
  }

  enqueue(record: SinkRecord): void {
    this.#queue.push(record)
  }

  /** Ms until time alone calls for a `write`; null when it does not. */
  wakeAfterMs(): number | null {
    const { clock, rotation } = this.#services
    if (this.#retryAt !== null) return Math.max(0, this.#retryAt - clock.monotonicMs())
    if (this.#files.size === 0) return null
    const now = clock.now()
    let wakeAt = this.#nextSchedule ?? Number.POSITIVE_INFINITY
    if (rotation.idleMs >= 0) wakeAt = Math.min(wakeAt, this.#lastRecordAt + rotation.idleMs)
    if (this.#repeatedCut !== null) wakeAt = Math.max(wakeAt, this.#lastRecordAt + repeatPatienceMs)
    return Number.isFinite(wakeAt) ? Math.max(0, wakeAt - now) : null
  }

  /**
   * Writes what waits, and commits what the rules call for. Never rejects for a retriable failure. Records are left
   * for the next call when the memory of the task is used up.
   * @param deadline monotonic ms after which waiting records are left for the next call, too
   */
  async write(deadline: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#services
    if (this.#retryAt !== null && clock.monotonicMs() < this.#retryAt) return
    this.#retryAt = null
    await this.#attempt(() => this.#write(clock.now(), deadline, signal), signal)
  }

  *openObjects(): Generator<RoleObject> {
    if (this.#commit === null) for (const file of this.#files.values()) yield* file.objects
  }

  get canUpload(): boolean {
    return this.#retryAt === null
  }

  upload(object: RoleObject, signal: AbortSignal): Promise<void> {
    return this.#attempt(() => object.upload.spill(), signal)
  }

  commitEarly(signal: AbortSignal): Promise<void> {
    return this.#attempt(() => this.#beginCommit(this.#services.clock.now()), signal)
  }

  async #attempt(step: () => Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await step()
    } catch (error) {
      if (signal.aborted) return
      await this.#recover(error)
    }
  }

  /** Drops what is not committed; the next owner reads it again. */
  async close(): Promise<void> {
    const files = [...this.#files.values()]
    this.#reset()
    const aborted = await Promise.allSettled(files.flatMap((f) => f.objects.map(({ upload }) => upload.abort())))
    for (const outcome of aborted) {
      if (outcome.status === 'fulfilled') continue
      const { topic, partition } = this.tp
      const error = toError(outcome.reason).message
      this.#services.logger.warn(
        { topic, partition, error },
        'an upload could not be aborted: the lifecycle rule of the bucket must remove it',
      )
    }
  }

  async #write(now: number, deadline: number, signal: AbortSignal): Promise<void> {
    // What a failure interrupted comes first: a commit, then full parts.
    if (this.#commit !== null) await this.#finishCommit()
    await this.#drainFull()
    if (this.waiting > 0) this.#cuts ??= (await this.#services.journal?.open(this.tp)) ?? null
    // A period without data does not cut the first file of the next one short.
    if (this.#files.size === 0 && this.#isScheduleDue(now)) this.#nextSchedule = this.#scheduleAfter(now)
    if (this.waiting > 0) this.#lastRecordAt = now
    await this.#writeQueue(now, deadline, signal)
    if (this.#files.size > 0 && this.waiting === 0 && this.#isCutByClock(now)) await this.#beginCommit(now)
  }

  async #writeQueue(now: number, deadline: number, signal: AbortSignal): Promise<void> {
    const { clock, budget } = this.#services
    // Without `max.write.duration.ms` the clock need not be asked for every record.
    const isLimited = deadline < Number.MAX_SAFE_INTEGER
    while (this.#head < this.#queue.length && !signal.aborted && !budget.exceeded) {
      const record = this.#queue[this.#head]
      if (record === undefined || (isLimited && clock.monotonicMs() >= deadline)) break
      let step: Step
      try {
        if (record.rawValue === null && this.#services.nullValues === 'ignore') {
          await this.#services.reportNull(record)
          await this.#skip(record, now)
          continue
        }
        step = this.#append(record, now)
      } catch (error) {
        // Of a record's own fault; reported before the position passes (I3).
        if (kindOf(error) !== 'record') throw error
        await this.#services.report(record, toError(error))
        await this.#skip(record, now)
        continue
      }
      if (step !== 'commit-first') this.#advance(record)
      if (step === 'next-then-drain') await this.#drainFull()
      else if (step !== 'next') await this.#beginCommit(now)
    }
    if (this.#head === this.#queue.length) {
      this.#queue = []
      this.#head = 0
    }
  }

  /** Passes a record that is not written; a known commit may end with it. */
  async #skip(record: SinkRecord, now: number): Promise<void> {
    this.#advance(record)
    if (this.#count > 0 && this.#repeatedCut !== null && record.offset >= this.#repeatedCut)
      await this.#beginCommit(now)
  }

  #advance(record: SinkRecord): void {
    this.#head++
    this.#handled = record.offset + 1n
  }

  /** Appends one record, or says that a commit must come first. @throws DataError */
  #append(record: SinkRecord, now: number): Step {
    const { partitioner, rotation, compatibility, layout, nullValues } = this.#services
    const isTombstone = record.rawValue === null && nullValues === 'write'
    const timestamp = this.#timestampOf(record, now, isTombstone)
    this.#baseTimestamp ??= timestamp
    const directory = isTombstone ? layout.tombstoneDirectory : partitioner.encode(record, now)
    // A tombstone that is written as a row has no schema of a value to compare with those of its neighbours.
    const isRowOfKey = record.rawValue === null && nullValues === 'row'
    const known = this.#schemas.get(directory)
    if (known === undefined && !isRowOfKey) this.#schemas.set(directory, record.valueSchema)
    const current = known === undefined ? record.valueSchema : known
    if (this.#isOtherCommit(record.offset)) return 'commit-first'
    if (this.#repeatedCut === null && this.#isTimeUp(directory, timestamp, now, isTombstone)) return 'commit-first'
    if (!isRowOfKey && needsNewObject(compatibility, record.valueSchema, current)) {
      if (this.#count > 0) {
        this.#schemas.set(directory, record.valueSchema)
        return 'commit-first'
      }
      // Only a refused record can have come before this one. Without projection its schema stays until the next record,
      // as in the Java connector: the objects have the same names. To project to it would refuse this record, too, and
      // no schema beside one is never kept.
      const isFlip = current === null || record.valueSchema === null
      if (isFlip || compatibility !== 'NONE') this.#schemas.set(directory, record.valueSchema)
    }
    const isNew = !this.#files.has(directory)
    if (isNew && rotation.maxOpenFiles > 0 && this.#files.size >= rotation.maxOpenFiles) return 'commit-first'
    const file = this.#appendTo(directory, projectRecord(compatibility, record, this.#schemas.get(directory) ?? null))
    this.#lastDirectory = directory
    this.#count++
    if (this.#isComplete(record.offset)) return 'next-then-commit'
    this.#isSomeFull ||= file.isFull
    return this.#isSomeFull ? 'next-then-drain' : 'next'
  }

  /** A tombstone has its own time only: there is no field to look into, and its directory does not depend on it. */
  #timestampOf(record: SinkRecord, now: number, isTombstone: boolean): number | null {
    const { timestampOf } = this.#services.partitioner
    if (timestampOf === null) return null
    return isTombstone ? record.timestamp : timestampOf(record, now)
  }

  /** Whether a record belongs to another known commit than the open files, or to none. */
  #isOtherCommit(offset: bigint): boolean {
    if (this.#cuts === null) return false
    const cut = this.#cuts.cutOf(offset)
    if (this.#count > 0) return cut !== this.#repeatedCut
    this.#repeatedCut = cut
    return false
  }

  /** Whether the commit ends with the record that was just appended. A known one ends where it did. */
  #isComplete(offset: bigint): boolean {
    if (this.#repeatedCut !== null) return offset >= this.#repeatedCut
    const { flushCount, flushBytes } = this.#services.rotation
    return this.#count >= flushCount || (flushBytes > 0 && this.#encodedBytes() >= flushBytes)
  }

  #appendTo(directory: string, record: SinkRecord): OpenFile {
    const existing = this.#files.get(directory)
    if (existing !== undefined) {
      existing.append(record)
      return existing
    }
    const file = new OpenFile(this.#services.layout, record, directory, this.#takenNames)
    try {
      file.append(record)
    } catch (error) {
      file.discard()
      throw error
    }
    this.#files.set(directory, file)
    this.#groupStart ??= record.offset
    return file
  }

  /** Whether record time or the clock calls for a commit before this record. */
  #isTimeUp(directory: string, timestamp: number | null, now: number, isTombstone: boolean): boolean {
    if (this.#count === 0) return false
    const { intervalMs, onPartitionChange } = this.#services.rotation
    if (intervalMs > 0 && timestamp !== null && this.#baseTimestamp !== null) {
      if (timestamp - this.#baseTimestamp >= intervalMs) return true
      const wasTombstone = this.#lastDirectory === this.#services.layout.tombstoneDirectory
      const changed = this.#lastDirectory !== null && directory !== this.#lastDirectory
      if (onPartitionChange && changed && !isTombstone && !wasTombstone) return true
    }
    return this.#isScheduleDue(now)
  }

  /** Whether the clock alone ends the commit. The records of a known one come soon, unless they are gone by now. */
  #isCutByClock(now: number): boolean {
    const { idleMs } = this.#services.rotation
    const quietMs = now - this.#lastRecordAt
    if (this.#repeatedCut !== null && quietMs < repeatPatienceMs) return false
    return this.#isScheduleDue(now) || (idleMs >= 0 && quietMs >= idleMs)
  }

  #isScheduleDue(now: number): boolean {
    return this.#nextSchedule !== null && now >= this.#nextSchedule
  }

  #scheduleAfter(now: number): number | null {
    const { schedule } = this.#services.rotation
    return schedule === null ? null : nextScheduledRotation(now, schedule.periodMs, schedule.zone)
  }

  #encodedBytes(): number {
    let bytes = 0
    for (const file of this.#files.values()) bytes += file.encodedBytes
    return bytes
  }

  async #drainFull(): Promise<void> {
    if (!this.#isSomeFull) return
    for (const file of this.#files.values()) if (file.isFull) await file.drain()
    // Not after a failure: what is full then is drained first by the next call.
    this.#isSomeFull = false
  }

  async #beginCommit(now: number): Promise<void> {
    this.#commit = this.#services.committer.begin([...this.#files.values()])
    if (this.#isScheduleDue(now)) this.#nextSchedule = this.#scheduleAfter(now)
    await this.#finishCommit()
  }

  async #finishCommit(): Promise<void> {
    const commit = this.#commit
    if (commit === null) return
    // A task that lost the partition must not shorten what the new owner writes under the same names (I7).
    if (!this.#services.isAssigned(this.tp)) return this.close()
    if (this.#groupStart !== null && this.#handled !== null) {
      await this.#cuts?.append(this.#groupStart, this.#handled - 1n)
    }
    await commit.run()
    this.#files.clear()
    this.#takenNames.clear()
    this.#commit = null
    this.#count = 0
    this.#baseTimestamp = null
    this.#groupStart = null
    this.#repeatedCut = null
    // In each mode: a schema from before would make other bytes after a restart, which begins without one.
    this.#schemas.clear()
    this.#services.onCommitted(commit.files)
  }

  /** Back-off, a new start from the first open offset, or the end of the task. */
  async #recover(error: unknown): Promise<void> {
    const { clock, logger, retryBackoffMs } = this.#services
    const { topic, partition } = this.tp
    if (kindOf(error) === 'retriable') {
      this.#retryAt = clock.monotonicMs() + retryBackoffMs
      logger.warn(
        { topic, partition, error: toError(error).message, retryBackoffMs },
        'write failed and will be tried again',
      )
      return
    }
    if (!(error instanceof ConnectError)) throw error
    const restart = this.#groupStart
    if (restart === null) throw error
    if (error.code === 'CONNECT_S3_PRECONDITION_FAILED') await this.#rememberTakenNames()
    else if (error.code === 'CONNECT_S3_JOURNAL_CHANGED') this.#cuts = null
    else if (error.code !== 'CONNECT_S3_NOT_FOUND' || error.context['error'] !== 'NoSuchUpload') throw error
    logger.warn({ topic, partition, offset: restart, error: error.message }, 'the open files are written anew')
    const taken = [...this.#takenNames]
    await this.close()
    for (const name of taken) this.#takenNames.add(name)
    this.#handled = restart
    this.#services.seek(this.tp, restart)
  }

  /** Finds out which names of the open files are taken, so that one repetition is enough. */
  async #rememberTakenNames(): Promise<void> {
    for (const file of this.#files.values()) {
      for (const key of await this.#services.takenNames(file, this.#takenNames)) this.#takenNames.add(key)
    }
  }

  #reset(): void {
    this.#queue = []
    this.#head = 0
    this.#files.clear()
    this.#takenNames.clear()
    this.#commit = null
    this.#count = 0
    this.#baseTimestamp = null
    this.#lastDirectory = null
    this.#handled = this.committable
    this.#groupStart = null
    this.#repeatedCut = null
  }
}

/** A null value while `behavior.on.null.values=fail`. */
export function nullValueError(): ConnectError {
  const message = "Null valued records are not writeable with current behavior.on.null.values 'settings."
  return new ConnectError('fatal', 'CONNECT_S3_NULL_VALUE', message)
}

/** The report of an ignored null, in the words of the Java connector. */
export function skippedNullError(): DataError {
  return new DataError('CONNECT_S3_NULL_VALUE', 'Skipping null value record.')
}
