import type { Logger } from '../../worker/api/context.ts'
import { toError } from '../../worker/api/errors.ts'
import type { ObjectAddress, ObjectStore } from '../common/object-store.ts'
import type { CommittedRole } from './committed-files.ts'
import { Limiter } from './limiter.ts'
import type { MetadataTopic } from './metadata-topic.ts'
import type { OpenFile } from './open-file.ts'

export interface Tagging {
  /** Beside `startOffset`, `endOffset` and `recordCount`, or instead of them. */
  readonly pairs: readonly (readonly [string, string])[]
  readonly failOnError: boolean
}

export interface CommitterOptions {
  readonly store: ObjectStore
  /** Null: objects are not tagged. */
  readonly tagging: Tagging | null
  /** Null: no metadata topic. */
  readonly metadataTopic: MetadataTopic | null
  readonly logger: Logger
}

/** Objects that are completed at a time, over all topic partitions: each may need memory to compress what is left. */
const concurrentFiles = 16

/**
 * Carries out commits in the order that makes offsets safe: all objects of the commit become visible, then their
 * metadata messages are acknowledged, and only then may the caller expose the offsets (I1).
 */
export class Committer {
  readonly #options: CommitterOptions
  readonly #limiter = new Limiter(concurrentFiles)

  constructor(options: CommitterOptions) {
    this.#options = options
  }

  begin(files: readonly OpenFile[]): Commit {
    return new Commit(files, this.#options, this.#limiter)
  }
}

/** One commit of a topic partition. `run` goes on where it stopped, until it returns. */
export class Commit {
  readonly files: readonly OpenFile[]
  readonly #options: CommitterOptions
  readonly #limiter: Limiter
  readonly #done = new Map<OpenFile, readonly CommittedRole[]>()

  constructor(files: readonly OpenFile[], options: CommitterOptions, limiter: Limiter) {
    this.files = files
    this.#options = options
    this.#limiter = limiter
  }

  /** @throws RetriableError: call again later. Other errors are those of `ObjectUpload.complete`. */
  async run(): Promise<void> {
    const outcomes = await Promise.allSettled(this.files.map((file) => this.#limiter.run(() => this.#complete(file))))
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw toError(outcome.reason)
    const { metadataTopic } = this.#options
    if (metadataTopic === null) return
    const committed = this.files.map((file) => ({ file, objects: this.#done.get(file) ?? [] }))
    await metadataTopic.publish(committed)
  }

  async #complete(file: OpenFile): Promise<void> {
    if (this.#done.has(file)) return
    file.finish()
    const objects: CommittedRole[] = []
    for (const { role, upload } of file.objects) {
      const object = await upload.complete()
      objects.push({ role, object })
      // Those of keys and headers have no tags, as with the Java connector.
      if (role === 'value') await this.#tag(object.at, file)
    }
    this.#done.set(file, objects)
  }

  async #tag(at: ObjectAddress, file: OpenFile): Promise<void> {
    const { tagging, store, logger } = this.#options
    if (tagging === null) return
    // S3 refuses a set with two tags of one name.
    const tags = new Map([
      ['startOffset', file.firstOffset.toString()],
      ['endOffset', file.lastOffset.toString()],
      ['recordCount', String(file.recordCount)],
      ...tagging.pairs,
    ])
    try {
      await store.tag(at, [...tags])
    } catch (error) {
      if (tagging.failOnError) throw error
      logger.warn({ key: at.key, error: toError(error).message }, 'object is committed but could not be tagged')
    }
  }
}
