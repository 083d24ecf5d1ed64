import type { Clock, Logger } from '../../worker/api/context.ts'
import { ConnectError, DataError, kindOf, toError } from '../../worker/api/errors.ts'
import type { ObjectStore, WriteOptions } from '../common/s3-client.ts'
import type { CopyRunner, Outcome } from './copy-runner.ts'
import { appendStatements, type CopySettings, filteredStatements, type Load } from './copy-statement.ts'
import { classifyStatement } from './errors.ts'
import { type LedgerRow, selectLedger } from './ledger.ts'
import { manifestAddress, manifestBody } from './manifest.ts'
import { batchId, bytesOf, directoriesOf, type FileSet, groupOf, overlaps } from './pending-file.ts'
import type { TableName } from './sql.ts'
import type { Tables } from './tables.ts'

export interface LoaderOptions {
  readonly copy: CopySettings
  readonly overlapPolicy: 'fail' | 'skip' | 'filter' | 'load'
  readonly onLoadError: 'fail' | 'isolate' | 'dlq'
  readonly onMissingFile: 'fail' | 'dlq' | 'ignore'
  readonly maxFiles: number
  readonly maxBytes: number
  readonly lingerMs: number
  readonly maxRetries: number
  readonly manifestPrefix: string
  readonly deleteManifest: boolean
  readonly connector: string
}

export interface LoaderServices {
  readonly runner: CopyRunner
  readonly tables: Tables
  readonly store: ObjectStore
  readonly clock: Clock
  readonly logger: Logger
  readonly options: LoaderOptions
}

/** SQL of a batch stays below the Data API's 100 KB with this much for the files. */
const maxSqlChars = 80_000
const plainObject: WriteOptions = {
  contentType: 'application/json',
  cannedAcl: null,
  encryption: null,
  kmsKeyId: null,
  customerKey: null,
  contentMd5: false,
}

/**
 * The queue of one target table and its loads, one at a time, in the order of the metadata topic. A set leaves it
 * when it is in the table, was there before, or is reported: what the ledger says decides, never the answer to a call.
 */
export class TableLoader {
  readonly target: TableName
  readonly #ledger: TableName
  readonly #services: LoaderServices
  #queue: FileSet[] = []
  /** Sets that count as done with another: repeated messages, and objects that were rewritten meanwhile. */
  readonly #followers = new Map<FileSet, FileSet[]>()
  #attempts = 0
  #isRunning = false

  constructor(target: TableName, ledger: TableName, services: LoaderServices) {
    this.target = target
    this.#ledger = ledger
    this.#services = services
  }

  get waiting(): number {
    return this.#queue.length
  }

  get isRunning(): boolean {
    return this.#isRunning
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
      await this.#services.tables.prepare(
        { target: this.target, ledger: this.#ledger },
        batch.map((set) => set.message),
        signal,
      )
      await this.#load(batch, [], signal)
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
      chars += 1000 + 4 * (message.files[0]?.key.length ?? 0)
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

  /** `covered`: what the ledger holds of the offsets of a single set that must be filtered. */
  async #load(sets: readonly FileSet[], alreadyThere: readonly LedgerRow[], signal: AbortSignal): Promise<void> {
    const { runner, options } = this.#services
    let rest = sets
    let covered = alreadyThere
    for (let failures = 0; rest.length > 0 && !signal.aborted; ) {
      const outcome = await this.#attempt(rest, covered, signal)
      if (outcome.kind === 'finished') return this.#settle(rest)
      if (signal.aborted) return
      const before = rest.length
      const known = await this.#readLedger(rest, signal)
      const loaded = new Set(known.map((row) => row.fileId))
      this.#settle(rest.filter((set) => loaded.has(set.message.id)))
      rest = rest.filter((set) => !loaded.has(set.message.id))
      const [only] = rest
      if (covered.length > 0 && only !== undefined) covered = overlapping(only, known)
      else if (options.overlapPolicy !== 'load') rest = await this.#loadOverlapping(rest, known, signal)
      if (rest.length === 0) return
      // The guard did its work: what it found is out of the way.
      if (rest.length < before && classifyOutcome(outcome) === 'guard') continue
      rest = await this.#afterFailure(rest, { outcome, failures: ++failures, covered }, signal)
      if (rest.length > 0) await runner.backOff(failures, signal)
    }
  }

  async #attempt(sets: readonly FileSet[], covered: readonly LedgerRow[], signal: AbortSignal): Promise<Outcome> {
    const { runner, store, options, logger } = this.#services
    const messages = sets.map((set) => set.message)
    const batch = batchId(messages)
    const manifest = manifestAddress(options.manifestPrefix, { table: this.target.table, batch, messages })
    try {
      await store.put(manifest, manifestBody(messages), { ...plainObject, onlyIfAbsent: false })
    } catch (error) {
      if (kindOf(error) !== 'retriable') throw error
      return { kind: 'unknown', error: toError(error).message }
    }
    const load: Load = {
      target: this.target,
      ledger: this.#ledger,
      messages,
      manifest,
      batch,
      connector: options.connector,
    }
    const statements =
      covered.length > 0
        ? filteredStatements(load, options.copy, covered)
        : appendStatements(load, options.copy, { checkOverlaps: options.overlapPolicy !== 'load' })
    const outcome = await runner.run(statements, `${this.target.table}|${batch}`, ++this.#attempts, signal)
    const { table } = this.target
    if (outcome.kind === 'finished') logger.debug({ table, batch, files: messages.length }, 'batch is loaded')
    else
      logger.warn({ table, batch, files: messages.length, outcome: outcome.kind, error: outcome.error }, 'load failed')
    if (outcome.kind === 'finished' && options.deleteManifest) {
      await store.remove(manifest).catch((error: unknown) => {
        logger.warn({ key: manifest.key, error: toError(error).message }, 'manifest could not be removed')
      })
    }
    return outcome
  }

  #settle(sets: readonly FileSet[]): void {
    for (const set of sets) {
      set.done()
      const followers = this.#followers.get(set) ?? []
      this.#followers.delete(set)
      this.#settle(followers)
    }
  }

  async #reject(set: FileSet, error: Error): Promise<void> {
    await set.reject(error)
    set.done()
    const followers = this.#followers.get(set) ?? []
    this.#followers.delete(set)
    // A rewritten object's older message tells of content that is gone: reported as well, never dropped (I3).
    for (const follower of followers) await this.#reject(follower, error)
  }

  #follow(leader: FileSet, follower: FileSet): void {
    const followers = this.#followers.get(leader) ?? []
    this.#followers.set(leader, [...followers, follower])
  }

  async #readLedger(sets: readonly FileSet[], signal: AbortSignal): Promise<readonly LedgerRow[]> {
    const sql = selectLedger(
      this.#ledger,
      sets.map((set) => set.message),
    )
    const rows = await this.#services.runner.query(sql, signal)
    return rows.map(([fileId, topic, partition, directory, firstOffset, lastOffset, objectKey]) => ({
      fileId: String(fileId),
      topic: String(topic),
      partition: Number(partition),
      directory: String(directory),
      firstOffset: BigInt(String(firstOffset)),
      lastOffset: BigInt(String(lastOffset)),
      objectKey: String(objectKey),
    }))
  }

  /** Carries out `overlap.policy`. @returns the sets that overlap with nothing in the ledger */
  async #loadOverlapping(
    sets: readonly FileSet[],
    known: readonly LedgerRow[],
    signal: AbortSignal,
  ): Promise<readonly FileSet[]> {
    const others: FileSet[] = []
    for (const set of sets) {
      const rows = overlapping(set, known)
      if (rows.length === 0) others.push(set)
      else if (isCovered(set, rows) && this.#services.options.overlapPolicy !== 'fail') this.#settle([set])
      else {
        this.#checkFilter(set, rows)
        await this.#load([set], rows, signal)
      }
    }
    return others
  }

  #checkFilter({ message }: FileSet, rows: readonly LedgerRow[]): void {
    const { overlapPolicy } = this.#services.options
    const fields = message.metaFields
    const canFilter =
      fields.includes('__partition') && fields.includes('__offset') && directoriesOf(message).length === 1
    if (overlapPolicy === 'filter' && canFilter) return
    const { topic, partition, firstOffset, lastOffset } = message.source
    const ranges = rows.map((row) => `${row.firstOffset}-${row.lastOffset} (${row.objectKey})`).join(', ')
    const why =
      overlapPolicy === 'filter' ? ', and its rows cannot be filtered (__partition, __offset, one directory)' : ''
    throw new ConnectError(
      'fatal',
      'CONNECT_REDSHIFT_OVERLAP',
      `${message.files[0]?.key} holds ${topic}-${partition} ${firstOffset}-${lastOffset}; ${this.target.table} has ${ranges} already${why}`,
    )
  }

  /** @returns the sets to try again after a pause */
  async #afterFailure(
    sets: readonly FileSet[],
    failed: { outcome: Exclude<Outcome, { kind: 'finished' }>; failures: number; covered: readonly LedgerRow[] },
    signal: AbortSignal,
  ): Promise<readonly FileSet[]> {
    const { outcome, failures, covered } = failed
    const { options, tables } = this.#services
    const { table } = this.target
    switch (classifyOutcome(outcome)) {
      case 'transient':
        if (failures <= options.maxRetries) return sets
        throw new ConnectError(
          'fatal',
          'CONNECT_REDSHIFT_LOAD_FAILED',
          `Load into ${table} failed ${failures} times: ${outcome.error}`,
        )
      case 'guard':
        // Nothing of these sets is in the ledger, so the count was not right; once more, for an object in change.
        if (failures < 2) return sets
        await this.#badData(sets, { reason: 'rows in the files are not as many as the messages say', covered }, signal)
        return []
      case 'data':
        await this.#badData(sets, { reason: outcome.error, covered }, signal)
        return []
      case 'missing-file':
        return this.#dropMissing(sets, outcome.error)
      case 'missing-table': {
        tables.forget(this.target)
        const message = `Table ${table} is missing and auto-creation is disabled, or its messages have no columns: ${outcome.error}`
        throw new ConnectError('fatal', 'CONNECT_REDSHIFT_TABLE_MISSING', message)
      }
      case 'fatal':
        tables.forget(this.target)
        throw new ConnectError('fatal', 'CONNECT_REDSHIFT_STATEMENT', `Load into ${table} failed: ${outcome.error}`)
    }
  }

  /** Finds bad sets by halving and reports them. */
  async #badData(
    sets: readonly FileSet[],
    { reason, covered }: { reason: string; covered: readonly LedgerRow[] },
    signal: AbortSignal,
  ): Promise<void> {
    const { onLoadError } = this.#services.options
    const error = (set: FileSet) => {
      const key = set.message.files[0]?.key
      return new DataError('CONNECT_REDSHIFT_BAD_DATA', `${key} cannot be loaded into ${this.target.table}: ${reason}`)
    }
    const [first] = sets
    if (first === undefined) return
    if (onLoadError === 'fail') throw new ConnectError('fatal', 'CONNECT_REDSHIFT_BAD_DATA', error(first).message)
    if (sets.length === 1 || onLoadError === 'dlq') {
      for (const set of sets) await this.#reject(set, error(set))
      return
    }
    const middle = Math.ceil(sets.length / 2)
    await this.#load(sets.slice(0, middle), covered, signal)
    await this.#load(sets.slice(middle), covered, signal)
  }

  async #dropMissing(sets: readonly FileSet[], reason: string): Promise<readonly FileSet[]> {
    const { store, options } = this.#services
    const there: FileSet[] = []
    let missing = 0
    for (const set of sets) {
      const heads = await Promise.all(set.message.files.map((file) => store.head(file)))
      if (!heads.includes(null)) {
        there.push(set)
        continue
      }
      missing++
      const message = `${set.message.files[0]?.key} does not exist: ${reason}`
      if (options.onMissingFile === 'fail') throw new ConnectError('fatal', 'CONNECT_REDSHIFT_FILE_MISSING', message)
      if (options.onMissingFile === 'ignore') this.#settle([set])
      else await this.#reject(set, new DataError('CONNECT_REDSHIFT_FILE_MISSING', message))
    }
    // All are there for us: then it is the warehouse that cannot see them, and waiting does not help.
    if (missing === 0) throw new ConnectError('fatal', 'CONNECT_REDSHIFT_STATEMENT', reason)
    return there
  }
}

function classifyOutcome(outcome: Exclude<Outcome, { kind: 'finished' }>) {
  return outcome.kind === 'unknown' ? 'transient' : classifyStatement(outcome.error)
}

/** Rows of the ledger that hold offsets of this set, in its directories, under another id. */
function overlapping({ message }: FileSet, known: readonly LedgerRow[]): readonly LedgerRow[] {
  const { topic, partition, firstOffset, lastOffset } = message.source
  const directories = directoriesOf(message)
  return known.filter(
    (row) =>
      row.fileId !== message.id &&
      row.topic === topic &&
      row.partition === partition &&
      directories.includes(row.directory) &&
      row.firstOffset <= lastOffset &&
      row.lastOffset >= firstOffset,
  )
}

/** Whether the ranges together hold every offset of the set. */
function isCovered({ message }: FileSet, rows: readonly LedgerRow[]): boolean {
  let next = message.source.firstOffset
  const sorted = [...rows].sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1))
  for (const row of sorted) {
    if (row.firstOffset > next) return false
    if (row.lastOffset >= next) next = row.lastOffset + 1n
  }
  return next > message.source.lastOffset
}
