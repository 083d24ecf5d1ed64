/**
 * Which source offsets may be committed: per source partition, the offset of the last record of the acknowledged
 * prefix (I2). Records of one partition that follow one another share one `Run`, so tracking costs an increment per
 * record, not an object.
 */
import type { SourceOffset, SourcePartition } from '../api/record.ts'
import type { CommittedOffset } from '../api/task.ts'
import { partitionIdentity } from '../cluster/offset-format.ts'
import type { Delivery } from '../kafka/types.ts'

/** A run is closed at this many records, so that one slow Kafka partition holds back little of what is acknowledged. */
export const maxRunRecords = 256

/** What a run tells its owner, once per call of the producer and not per record. */
export interface RunListener {
  /** Called for every acknowledgement of records of this source, also of parts of a run. */
  onDelivered(count: number, topic: string): void
  /**
   * The producer gave up on `count` records of the run.
   * @returns true when they count as done (`errors.tolerance=all`: they have been reported)
   */
  onFailed(count: number, error: Error): boolean
}

/**
 * Consecutive records of one source partition. Its offset may be committed only when every record in it is
 * acknowledged: records of one run may go to several Kafka partitions and be acknowledged in any order, so nothing
 * less than the whole is a prefix.
 */
class Run implements Delivery {
  readonly #queue: PartitionQueue
  readonly #listener: RunListener
  offset: SourceOffset | null = null
  submitted = 0
  #done = 0
  sealed = false

  constructor(queue: PartitionQueue, listener: RunListener) {
    this.#queue = queue
    this.#listener = listener
  }

  get complete(): boolean {
    return this.sealed && this.#done === this.submitted
  }

  delivered(count: number, topic: string): void {
    this.#done += count
    this.#queue.outstanding -= count
    this.#listener.onDelivered(count, topic)
    this.#queue.owner.onProgress()
  }

  failed(count: number, error: Error): void {
    this.#queue.outstanding -= count
    // A record that failed without tolerance is never done: its run, and all behind it, stay uncommitted (I1).
    if (this.#listener.onFailed(count, error)) this.#done += count
    this.#queue.owner.onProgress()
  }
}

class PartitionQueue {
  readonly partition: SourcePartition
  readonly owner: SubmittedRecords
  readonly runs: Run[] = []
  outstanding = 0
  /** Last committable offset not yet handed out. */
  committable: SourceOffset | null = null

  constructor(partition: SourcePartition, owner: SubmittedRecords) {
    this.partition = partition
    this.owner = owner
  }

  /** Takes complete runs off the front. */
  advance(): void {
    let count = 0
    for (const run of this.runs) {
      if (!run.complete) break
      if (run.offset !== null) this.committable = run.offset
      count++
    }
    if (count > 0) this.runs.splice(0, count)
  }
}

/** Not shared between tasks; every method is synchronous. */
export class SubmittedRecords {
  readonly #listener: RunListener
  readonly #byKey = new Map<string, PartitionQueue>()
  /** Connectors reuse one partition object for many records: found without building a key. */
  readonly #byIdentity = new WeakMap<SourcePartition, PartitionQueue>()
  #lastPartition: SourcePartition | null = null
  #lastQueue: PartitionQueue | null = null
  #open: Run | null = null
  #openQueue: PartitionQueue | null = null
  /** Offset of the open run before the last `submit`, for `undo`. */
  #previousOffset: SourceOffset | null = null
  #idleWaiters: (() => void)[] = []

  constructor(listener: RunListener) {
    this.#listener = listener
  }

  /**
   * Notes that a record is about to be appended. @returns the `Delivery` to append it with. When the append throws,
   * call `undo` before anything else.
   */
  submit(partition: SourcePartition, offset: SourceOffset): Delivery {
    const queue =
      partition === this.#lastPartition && this.#lastQueue !== null ? this.#lastQueue : this.#queue(partition)
    let run = this.#open
    if (run === null || this.#openQueue !== queue || run.submitted >= maxRunRecords) {
      this.seal()
      run = new Run(queue, this.#listener)
      queue.runs.push(run)
      this.#open = run
      this.#openQueue = queue
    }
    this.#previousOffset = run.offset
    run.offset = offset
    run.submitted++
    queue.outstanding++
    return run
  }

  /** Notes an offset without a record: committable as soon as everything that was submitted before it is. */
  advance(partition: SourcePartition, offset: SourceOffset): void {
    this.seal()
    const queue = this.#queue(partition)
    const run = new Run(queue, this.#listener)
    run.offset = offset
    run.sealed = true
    queue.runs.push(run)
  }

  /** Takes back the last `submit`: its record was not appended. */
  undo(): void {
    const run = this.#open
    if (run === null || this.#openQueue === null) return
    run.submitted--
    run.offset = this.#previousOffset
    this.#openQueue.outstanding--
    // Sealed, so that a second `undo` cannot reach an offset that is no longer known.
    this.seal()
    this.onProgress()
  }

  /** Ends the open run: before every wait of the sending loop, so that what is acknowledged meanwhile counts. */
  seal(): void {
    if (this.#open !== null) this.#open.sealed = true
    this.#open = null
    this.#openQueue = null
  }

  /** Offsets of acknowledged prefixes that have moved since the last call. */
  takeCommittable(): CommittedOffset[] {
    this.seal()
    const offsets: CommittedOffset[] = []
    for (const queue of this.#byKey.values()) {
      queue.advance()
      if (queue.committable === null) continue
      offsets.push({ partition: queue.partition, offset: queue.committable })
      queue.committable = null
    }
    return offsets
  }

  /** Records that have no outcome yet. */
  get outstanding(): number {
    let count = 0
    for (const queue of this.#byKey.values()) count += queue.outstanding
    return count
  }

  /** Resolves when every submitted record has an outcome, or when `signal` aborts. */
  async awaitOutcomes(signal: AbortSignal): Promise<void> {
    while (this.outstanding > 0 && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          signal.removeEventListener('abort', wake)
          resolve()
        }
        this.#idleWaiters.push(wake)
        signal.addEventListener('abort', wake, { once: true })
      })
    }
  }

  /** Called by the runs; wakes `awaitOutcomes`. */
  onProgress(): void {
    if (this.#idleWaiters.length === 0) return
    const waiters = this.#idleWaiters
    this.#idleWaiters = []
    for (const wake of waiters) wake()
  }

  #queue(partition: SourcePartition): PartitionQueue {
    let queue = this.#byIdentity.get(partition)
    if (queue === undefined) {
      const key = partitionIdentity(partition)
      queue = this.#byKey.get(key)
      if (queue === undefined) {
        queue = new PartitionQueue(partition, this)
        this.#byKey.set(key, queue)
      }
      this.#byIdentity.set(partition, queue)
    }
    this.#lastPartition = partition
    this.#lastQueue = queue
    return queue
  }
}
