import type { Clock, Logger } from '../../worker/api/context.ts'
import { kindOf, toError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import type { TopicPartition } from '../../worker/api/topic-partition.ts'
import type { ObjectAddress } from '../common/object-store.ts'
import { MergedObject, type MergeSettings } from './merged-object.ts'
import { type NameTemplate, renderName } from './name-template.ts'
import { ObjectUpload } from './object-upload.ts'
import { type FileLayout, RoleObject } from './open-file.ts'
import type { PartitionWriter } from './partition-writer.ts'

/** What the writers of one task share. */
export interface KeyWriterServices {
  readonly layout: FileLayout
  readonly template: NameTemplate
  readonly clock: Clock
  readonly logger: Logger
  readonly nullValues: 'delete' | 'ignore'
  readonly retryBackoffMs: number
  /** Writes of one object follow each other, also those of different topic partitions. */
  readonly lanes: KeyLanes
  /** Null: the latest record is the object. */
  readonly merge: MergeSettings | null
  report(record: SinkRecord, error: Error): Promise<void>
  reportNull(record: SinkRecord): Promise<void>
  /** Whether this task still owns the partition (I7). */
  isAssigned(tp: TopicPartition): boolean
}

/** Runs jobs of one name after each other, jobs of different names side by side. */
export class KeyLanes {
  readonly #last = new Map<string, Promise<void>>()

  async run(name: string, job: () => Promise<void>): Promise<void> {
    const before = this.#last.get(name) ?? Promise.resolve()
    const mine = before.catch(() => undefined).then(job)
    this.#last.set(name, mine)
    try {
      await mine
    } finally {
      if (this.#last.get(name) === mine) this.#last.delete(name)
    }
  }
}

/** What becomes of one object: new content, what is merged into it, or null when it is removed. */
type Change = RoleObject | MergedObject | null

/**
 * One object per key, which holds the latest record of that key: of a batch the last one is written, a tombstone
 * removes the object. Repeating records from any offset on ends in the same objects, so a crash costs repeats only.
 */
export class KeyWriter implements PartitionWriter {
  readonly tp: TopicPartition
  readonly #services: KeyWriterServices
  #queue: SinkRecord[] = []
  readonly #changes = new Map<string, Change>()
  #retryAt: number | null = null
  /** After the last record whose change is durable, or which was skipped or reported. */
  #handled: bigint | null = null
  /** After the last record that was taken from the queue. */
  #taken: bigint | null = null
  /** The first record of this owner: nothing before it is its to commit. */
  #first: bigint | null = null

  constructor(tp: TopicPartition, services: KeyWriterServices) {
    this.tp = tp
    this.#services = services
  }

  get waiting(): number {
    return this.#queue.length + this.#changes.size
  }

  get isActive(): boolean {
    return this.waiting > 0
  }

  get isBackingOff(): boolean {
    return this.#retryAt !== null
  }

  get committable(): bigint | null {
    return this.#handled ?? this.#first
  }

  enqueue(record: SinkRecord): void {
    this.#first ??= record.offset
    this.#queue.push(record)
  }

  wakeAfterMs(): number | null {
    return this.#retryAt === null ? null : Math.max(0, this.#retryAt - this.#services.clock.monotonicMs())
  }

  async write(_deadline: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#services
    if (this.#retryAt !== null && clock.monotonicMs() < this.#retryAt) return
    this.#retryAt = null
    do {
      await this.#takeQueue()
      // A task that lost the partition must not put an older record over a newer one (I7).
      if (!this.#services.isAssigned(this.tp)) return this.close()
      const outcomes = await Promise.allSettled([...this.#changes].map(([name, change]) => this.#apply(name, change)))
      const failed = outcomes.find((outcome) => outcome.status === 'rejected')
      if (failed !== undefined) {
        if (!signal.aborted) this.#backOff(failed.reason)
        return
      }
      this.#handled = this.#taken ?? this.#handled
    } while (this.#queue.length > 0 && !signal.aborted)
  }

  /** Drops what is not written; the next owner reads it again. */
  async close(): Promise<void> {
    for (const change of this.#changes.values()) if (change instanceof RoleObject) await change.upload.abort()
    this.#changes.clear()
    this.#queue = []
  }

  /** As many records as there is memory for, at least one. */
  async #takeQueue(): Promise<void> {
    const { budget } = this.#services.layout.uploads
    let taken = 0
    for (const record of this.#queue) {
      if (taken > 0 && budget.exceeded) break
      taken++
      try {
        if (record.rawValue === null && this.#services.nullValues === 'ignore') await this.#services.reportNull(record)
        else this.#take(record)
      } catch (error) {
        // Of a record's own fault; reported before the position passes (I3).
        if (kindOf(error) !== 'record') throw error
        await this.#services.report(record, toError(error))
      }
      this.#taken = record.offset + 1n
    }
    this.#queue.splice(0, taken)
  }

  /** The change that a record makes replaces that of the record before it. @throws DataError */
  #take(record: SinkRecord): void {
    const { layout, template, merge } = this.#services
    const { format } = layout.values
    const rendered = renderName(template, record, this.#services.clock.now())
    const stem = layout.topicsDir === '' ? rendered : `${layout.topicsDir}${layout.directoryDelimiter}${rendered}`
    const name = `${stem}${format.extension}${layout.compressionSuffix}`
    const at: ObjectAddress = { bucket: layout.bucket, key: name }
    if (merge !== null) {
      const known = this.#changes.get(name)
      const merged = known instanceof MergedObject ? known : new MergedObject(at, this.tp, merge)
      merged.add(record)
      this.#changes.set(name, merged)
      return
    }
    let change: RoleObject | null = null
    if (record.rawValue !== null) {
      change = new RoleObject('value', layout.values, new ObjectUpload(at, layout.uploads))
      try {
        change.write(record)
        change.finish()
      } catch (error) {
        change.upload.release()
        throw error
      }
    }
    const before = this.#changes.get(name)
    if (before instanceof RoleObject) before.upload.release()
    this.#changes.set(name, change)
  }

  #apply(name: string, change: Change): Promise<void> {
    const { layout, lanes } = this.#services
    const { store, limiter } = layout.uploads
    return lanes.run(name, async () => {
      if (change === null) {
        await limiter.run(() => store.remove({ bucket: layout.bucket, key: name }))
      } else if (change instanceof MergedObject) await limiter.run(() => change.apply())
      else await change.upload.complete()
      this.#changes.delete(name)
    })
  }

  #backOff(error: unknown): void {
    if (kindOf(error) !== 'retriable') throw error
    const { clock, logger, retryBackoffMs } = this.#services
    const { topic, partition } = this.tp
    this.#retryAt = clock.monotonicMs() + retryBackoffMs
    logger.warn(
      { topic, partition, error: toError(error).message, retryBackoffMs },
      'write failed and will be tried again',
    )
  }
}
