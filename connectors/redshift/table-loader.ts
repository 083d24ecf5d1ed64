import { BatchLoader, type LoaderServices } from './batch-loader.ts'
import { bytesOf, directoriesOf, type FileSet, groupOf, overlaps } from './pending-file.ts'
import type { TableName } from './sql.ts'

/** SQL of a batch stays below the Data API's 100 KB with this much for the files. */
const maxSqlChars = 80_000

/**
 * The queue of one target table and its loads, one at a time, in the order of the metadata topic. A set leaves it
 * when it is in the table, was there before, or is reported: what the ledger says decides, never the answer to a call.
 */
export class TableLoader {
  readonly #services: LoaderServices
  readonly #batches: BatchLoader
  #queue: FileSet[] = []
  /** Sets that count as done with another: repeated messages, and objects that were rewritten meanwhile. */
  readonly #followers = new Map<FileSet, FileSet[]>()
  #isRunning = false

  constructor(names: { readonly target: TableName; readonly ledger: TableName }, services: LoaderServices) {
    this.#services = services
    this.#batches = new BatchLoader(names, services, {
      loaded: (set) => this.#settle(set),
      rejected: (set, error) => this.#reject(set, error),
    })
  }

  /** Monotonic ms at which the oldest set arrived. */
  get oldest(): number {
    return this.#queue[0]?.arrivedAt ?? Number.POSITIVE_INFINITY
  }

  add(set: FileSet): void {
    const twin = this.#queue.find((waiting) => waiting.message.id === set.message.id)
    if (twin !== undefined) {
      this.#follow(twin, set)
      return
    }
    const keys = new Set(set.message.files.map((f) => `${f.bucket}/${f.key}`))
    const isRewritten = (old: FileSet) => old.message.files.every((f) => keys.has(`${f.bucket}/${f.key}`))
    for (const old of this.#queue.filter(isRewritten)) this.#follow(set, old)
    this.#queue = this.#queue.filter((old) => !isRewritten(old))
    this.#queue.push(set)
  }

  /** Ms until a load should start; 0 now, null when there is nothing to load or a load runs. */
  dueInMs(): number | null {
    if (this.#isRunning || this.#queue.length === 0) return null
    const { clock, options } = this.#services
    if (this.#prefix().length < this.#queue.length || this.#queue.length >= options.maxFiles) return 0
    return Math.max(0, this.oldest + options.lingerMs - clock.monotonicMs())
  }

  /** Loads the next batch to its end. @throws ConnectError when the task must stop */
  async loadNext(signal: AbortSignal): Promise<void> {
    const batch = this.#prefix()
    this.#queue = this.#queue.slice(batch.length)
    this.#isRunning = true
    try {
      await this.#batches.load(batch, signal)
    } finally {
      this.#isRunning = false
    }
  }

  /** Longest prefix of the queue that one COPY can load. */
  #prefix(): readonly FileSet[] {
    const { options } = this.#services
    const batch: FileSet[] = []
    let files = 0
    let bytes = 0
    let chars = 0
    for (const set of this.#queue) {
      const { message } = set
      files += message.files.length
      bytes += bytesOf(message)
      // A row of the ledger and its part of the guard, for each directory.
      const directories = directoriesOf(message)
      chars += directories.reduce((sum, directory) => sum + 1000 + 4 * directory.length, 0)
      const first = batch[0]
      if (first !== undefined) {
        if (groupOf(first.message) !== groupOf(message)) break
        if (files > options.maxFiles || bytes > options.maxBytes || chars > maxSqlChars) break
        // In two loads, so that the second sees the first in the ledger.
        if (batch.some((other) => overlaps(other.message, message))) break
      }
      batch.push(set)
    }
    return batch
  }

  #settle(set: FileSet): void {
    set.done()
    for (const follower of this.#takeFollowers(set)) this.#settle(follower)
  }

  async #reject(set: FileSet, error: Error): Promise<void> {
    await set.reject(error)
    set.done()
    // A rewritten object's older message tells of content that is gone: reported as well, never dropped (I3).
    for (const follower of this.#takeFollowers(set)) await this.#reject(follower, error)
  }

  #follow(leader: FileSet, follower: FileSet): void {
    const followers = this.#followers.get(leader) ?? []
    this.#followers.set(leader, [...followers, follower])
  }

  #takeFollowers(set: FileSet): readonly FileSet[] {
    const followers = this.#followers.get(set) ?? []
    this.#followers.delete(set)
    return followers
  }
}
