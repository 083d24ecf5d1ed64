import { ConnectError, toError } from '../../worker/api/errors.ts'
import type { TopicPartition } from '../../worker/api/topic-partition.ts'
import type { ObjectAddress, ObjectStore, WriteOptions } from '../common/object-store.ts'

/** Commits that a journal remembers: more than can be made between two commits of offsets. */
const maxRanges = 512

/** Offsets of one commit, both inclusive. */
interface OffsetRange {
  readonly first: bigint
  readonly last: bigint
}

export interface CutJournalOptions {
  readonly store: ObjectStore
  readonly bucket: string
  /** Key of the journal of a topic partition, without `<topic>/<partition>.json`. */
  readonly prefix: string
  readonly write: WriteOptions
}

/**
 * Fixes the offset range of every commit before its upload, in one small object per topic partition. A cut that the
 * clock made is thereby known to the next owner, who repeats it: same names, same content, same message ids. Without
 * it a later cut would leave the objects of the earlier one behind, that is duplicates.
 *
 * Each write is conditional on the one before (`If-Match`), so two owners cannot both go on (I7).
 */
export class CutJournal {
  readonly #options: CutJournalOptions

  constructor(options: CutJournalOptions) {
    this.#options = options
  }

  /** @throws RetriableError, ConnectError as `ObjectStore.read` */
  async open(tp: TopicPartition): Promise<CutLog> {
    const { store, bucket, prefix } = this.#options
    const at = { bucket, key: `${prefix}${tp.topic}/${tp.partition}.json` }
    const found = await store.read(at)
    const ranges = found === null ? [] : parseRanges(at, found.body)
    return new CutLog(at, { options: this.#options, ranges, etag: found?.etag ?? null })
  }
}

interface CutLogState {
  readonly options: CutJournalOptions
  /** Ascending, without overlaps. */
  readonly ranges: readonly OffsetRange[]
  readonly etag: string | null
}

/** The journal of one topic partition, as its owner holds it. */
export class CutLog {
  readonly #at: ObjectAddress
  readonly #options: CutJournalOptions
  #ranges: readonly OffsetRange[]
  #etag: string | null

  constructor(at: ObjectAddress, { options, ranges, etag }: CutLogState) {
    this.#at = at
    this.#options = options
    this.#ranges = ranges
    this.#etag = etag
  }

  /** Last offset of the known commit to which a record belongs; null when there is none. */
  cutOf(offset: bigint): bigint | null {
    const newest = this.#ranges.at(-1)
    if (newest === undefined || offset > newest.last) return null
    return this.#ranges.find(({ first, last }) => first <= offset && offset <= last)?.last ?? null
  }

  /**
   * Fixes a commit. Repeating it is harmless.
   * @throws ConnectError CONNECT_S3_JOURNAL_CHANGED: another task has written, open the journal anew
   */
  async append(first: bigint, last: bigint): Promise<void> {
    if (this.#ranges.some((range) => range.first === first && range.last === last)) return
    const before = this.#ranges.filter((range) => range.last < first)
    // A known commit that was cut short keeps its rest; one that reaches in from before, its head.
    const heads = this.#ranges.filter((range) => range.first < first && range.last >= first)
    const rests = this.#ranges.filter((range) => range.last > last)
    const ranges = [
      ...before,
      ...heads.map((range) => ({ first: range.first, last: first - 1n })),
      { first, last },
      ...rests.map((range) => ({ first: range.first > last ? range.first : last + 1n, last: range.last })),
    ].slice(-maxRanges)
    const text = JSON.stringify({ v: 1, commits: ranges.map((range) => [`${range.first}`, `${range.last}`]) })
    const body = Buffer.from(text, 'utf8')
    const { store, write } = this.#options
    const condition = this.#etag === null ? { onlyIfAbsent: true } : { onlyIfAbsent: false, ifMatch: this.#etag }
    try {
      const { etag } = await store.put(this.#at, body, { ...write, ...condition })
      this.#etag = etag
    } catch (error) {
      this.#etag = await this.#etagIfWritten(error, body)
    }
    this.#ranges = ranges
  }

  /** The answer to a write may be lost: the repeat then meets its own object. */
  async #etagIfWritten(error: unknown, body: Buffer): Promise<string | null> {
    if (!(error instanceof ConnectError) || error.code !== 'CONNECT_S3_PRECONDITION_FAILED') throw error
    const found = await this.#options.store.read(this.#at)
    if (found !== null && body.equals(found.body)) return found.etag
    const message = `${this.#at.key} was written by another task: it is read again`
    throw new ConnectError('fatal', 'CONNECT_S3_JOURNAL_CHANGED', message, { cause: error })
  }
}

function parseRanges(at: ObjectAddress, body: Buffer): readonly OffsetRange[] {
  try {
    const { v, commits } = JSON.parse(body.toString('utf8')) as { v?: unknown; commits?: unknown }
    if (v !== 1 || !Array.isArray(commits)) throw new TypeError('not version 1')
    return commits.map((range: unknown) => {
      const [first, last] = range as readonly unknown[]
      return { first: BigInt(String(first)), last: BigInt(String(last)) }
    })
  } catch (cause) {
    const place = `${at.bucket}/${at.key}`
    const message = `${place} is no journal of commits (${toError(cause).message}): change commit.journal.prefix`
    throw new ConnectError('fatal', 'CONNECT_S3_JOURNAL_INVALID', message, { cause })
  }
}
