import type { Clock, Logger } from '../../worker/api/context.ts'
import { ConnectError, DataError, kindOf, toError } from '../../worker/api/errors.ts'
import type { ObjectStore, WriteOptions } from '../common/object-store.ts'
import { badData, loadErrorContext, missingFile, type Suspicion, suspicionOf } from './bad-files.ts'
import type { CopyRunner, Outcome } from './copy-runner.ts'
import type { CopySettings, Load } from './copy-statement.ts'
import { classifyStatement, withHint } from './errors.ts'
import { type LedgerRow, selectLedger, selectTopics } from './ledger.ts'
import { type LoadPlan, loadTransaction } from './load-transaction.ts'
import { manifestAddress, manifestBody } from './manifest.ts'
import { canBeFiltered, isCovered, overlapError, overlappingRows } from './overlaps.ts'
import { batchId, type FileSet, isPositional } from './pending-file.ts'
import { maxSqlBytes, type TableName } from './sql.ts'
import { stageOf } from './stage.ts'
import { metaColumns } from './table-definition.ts'
import type { Tables } from './tables.ts'
import type { UpsertSettings } from './upsert-statements.ts'

export interface LoaderOptions {
  readonly copy: CopySettings
  /** Null appends. */
  readonly upsert: UpsertSettings | null
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

/** What becomes of a set; each is called at most once. */
export interface SetOutcomes {
  /** The set is in the table. */
  readonly loaded: (set: FileSet) => void
  /** Reports a set that cannot be loaded. */
  readonly rejected: (set: FileSet, error: Error) => Promise<void>
}

type Failure = Exclude<Outcome, { kind: 'finished' }>

const plainObject: WriteOptions = {
  contentType: 'application/json',
  cannedAcl: null,
  encryption: null,
  kmsKeyId: null,
  customerKey: null,
  contentMd5: false,
}

/**
 * Brings one batch of sets after the other into a table. A set is done when it is in the table, was there before, or
 * is reported: what the ledger says decides, never the answer to a call.
 */
export class BatchLoader {
  readonly #target: TableName
  readonly #ledger: TableName
  readonly #services: LoaderServices
  readonly #outcomes: SetOutcomes
  #attempts = 0
  /** Source topics whose rows are in the table; null before the ledger was asked. */
  #topics: Set<string> | null = null

  constructor(names: { target: TableName; ledger: TableName }, services: LoaderServices, outcomes: SetOutcomes) {
    this.#target = names.target
    this.#ledger = names.ledger
    this.#services = services
    this.#outcomes = outcomes
  }

  /**
   * Loads sets that one COPY can take, to their end. Returns early when `signal` aborts.
   * @throws ConnectError when the task must stop
   */
  async load(sets: readonly FileSet[], signal: AbortSignal): Promise<void> {
    await this.#prepare(sets, signal)
    if (this.#services.options.upsert?.fence === true) await this.#checkTopics(sets, signal)
    await this.#load(sets, [], signal)
  }

  /**
   * Offsets of two topics say nothing about each other: without the topic in the rows the fence would take changes of
   * one for older ones of the other, and drop them.
   */
  async #checkTopics(sets: readonly FileSet[], signal: AbortSignal): Promise<void> {
    const { runner, tables } = this.#services
    this.#topics ??= new Set((await runner.query(selectTopics(this.#ledger), signal)).map(([topic]) => String(topic)))
    for (const { message } of sets) this.#topics.add(message.topic)
    if (this.#topics.size < 2) return
    const target = await tables.columnsOf(this.#target, signal)
    if (target.has('__topic') && sets.every(({ message }) => message.metaFields.includes('__topic'))) return
    throw new ConnectError(
      'fatal',
      'CONNECT_REDSHIFT_UPSERT_COLUMNS',
      `Table ${this.#target.table} takes rows of several topics (${[...this.#topics].join(', ')}), which upsert.fence tells apart by ` +
        '__topic only: add topic to format.output.meta.fields of the S3 sink and the column to the table, or set upsert.fence=false',
    )
  }

  async #prepare(sets: readonly FileSet[], signal: AbortSignal): Promise<void> {
    const names = { target: this.#target, ledger: this.#ledger }
    const messages = sets.map((set) => set.message)
    await this.#services.tables.prepare(names, messages, signal)
  }

  /** `alreadyThere`: what the ledger holds of the offsets of a single set that must be filtered. */
  async #load(sets: readonly FileSet[], alreadyThere: readonly LedgerRow[], signal: AbortSignal): Promise<void> {
    const { runner, options } = this.#services
    let rest = sets
    let covered = alreadyThere
    for (let failures = 0; rest.length > 0 && !signal.aborted; ) {
      const load = this.#loadOf(rest)
      const statements = await this.#statements(load, covered, signal)
      const bytes = sqlBytes(statements)
      if (bytes > maxSqlBytes) return this.#loadLess(rest, { covered, bytes }, signal)
      const outcome = await this.#attempt(load, statements, signal)
      if (outcome.kind === 'finished') return this.#loaded(rest)
      if (signal.aborted) return
      const before = rest.length
      const known = await this.#readLedger(rest, signal)
      const ids = new Set(known.map((row) => row.fileId))
      this.#loaded(rest.filter((set) => ids.has(set.message.id)))
      rest = rest.filter((set) => !ids.has(set.message.id))
      const [only] = rest
      if (covered.length > 0 && only !== undefined) covered = overlappingRows(only.message, known)
      else if (options.overlapPolicy !== 'load') rest = await this.#loadOverlapping(rest, known, signal)
      if (rest.length === 0) return
      // The guard did its work: what it found is out of the way.
      if (rest.length < before && failureOf(outcome) === 'guard') continue
      rest = await this.#afterFailure(rest, { outcome, failures: ++failures, covered }, signal)
      if (rest.length > 0) await runner.backOff(failures, signal)
    }
  }

  #loadOf(sets: readonly FileSet[]): Load {
    const { connector, manifestPrefix } = this.#services.options
    const messages = sets.map((set) => set.message)
    const batch = batchId(messages)
    const manifest = manifestAddress(manifestPrefix, { table: this.#target.table, batch, messages })
    return { target: this.#target, ledger: this.#ledger, messages, manifest, batch, connector }
  }

  async #statements(load: Load, covered: readonly LedgerRow[], signal: AbortSignal): Promise<readonly string[]> {
    const { options } = this.#services
    const plan = await this.#plan(load, covered, signal)
    return loadTransaction(load, options.copy, { plan, checkOverlaps: options.overlapPolicy !== 'load' })
  }

  /** Less than one set cannot be loaded: what the Data API does not take for one it never will. */
  async #loadLess(
    sets: readonly FileSet[],
    { covered, bytes }: { readonly covered: readonly LedgerRow[]; readonly bytes: number },
    signal: AbortSignal,
  ): Promise<void> {
    const [only, ...others] = sets
    if (only === undefined) return
    if (others.length > 0) {
      const middle = Math.ceil(sets.length / 2)
      await this.#load(sets.slice(0, middle), covered, signal)
      return this.#load(sets.slice(middle), covered, signal)
    }
    const { table } = this.#target
    const message =
      `the load of ${only.message.files[0]?.key} into ${table} needs ${bytes} bytes of SQL, the Data API takes ${maxSqlBytes}: ` +
      'let messages name fewer directories (notify.granularity=file), or load fewer columns (fields.whitelist)'
    await this.#outcomes.rejected(only, new DataError('CONNECT_REDSHIFT_FORMAT', message))
  }

  async #attempt(load: Load, statements: readonly string[], signal: AbortSignal): Promise<Outcome> {
    const { runner, store, options, logger } = this.#services
    const { manifest, messages, batch } = load
    const { table } = this.#target
    try {
      await store.put(manifest, manifestBody(messages), { ...plainObject, onlyIfAbsent: false })
    } catch (error) {
      const { message } = toError(error)
      if (kindOf(error) === 'retriable') return { kind: 'unknown', error: message }
      // Without a bucket of its own the manifest lies beside the files: their bucket is gone, or never was.
      const isBucketGone = error instanceof ConnectError && error.code === 'CONNECT_S3_NOT_FOUND'
      if (options.manifestPrefix !== '' || !isBucketGone) throw error
      return { kind: 'failed', id: '', queryId: null, error: message }
    }
    const outcome = await runner.run(statements, `${table}|${batch}`, ++this.#attempts, signal)
    const context = { table, batch, files: messages.length }
    if (outcome.kind !== 'finished') {
      logger.warn({ ...context, outcome: outcome.kind, error: outcome.error }, 'load failed')
      return outcome
    }
    logger.debug(context, 'batch is loaded')
    if (options.deleteManifest) {
      await store.remove(manifest).catch((error: unknown) => {
        logger.warn({ key: manifest.key, error: toError(error).message }, 'manifest could not be removed')
      })
    }
    return outcome
  }

  async #plan(load: Load, covered: readonly LedgerRow[], signal: AbortSignal): Promise<LoadPlan> {
    const { options, tables } = this.#services
    const { upsert } = options
    const { format = '', columns = null } = load.messages[0] ?? {}
    const byPosition = isPositional(format) && columns !== null
    if (upsert === null && covered.length === 0 && !byPosition) return this.#directPlan(load, signal)
    const target = await tables.columnsOf(this.#target, signal)
    if (target.size === 0) throw this.#tableMissing('it has no columns in svv_columns')
    const required = upsert === null ? [] : [...upsert.keys, ...(upsert.fence ? ['__partition', '__offset'] : [])]
    const absent = required.filter((column) => !target.has(column))
    if (absent.length > 0) {
      throw new ConnectError(
        'fatal',
        'CONNECT_REDSHIFT_UPSERT_COLUMNS',
        `Table ${this.#target.table} has no column ${absent.join(', ')}, which insert.mode=upsert needs (pk.fields; upsert.fence)`,
      )
    }
    const stage = stageOf({
      name: `kc_stage_${load.batch}`,
      messages: load.messages,
      target,
      fields: options.copy.fields,
      options: tables.options.definition,
    })
    if (stage === null) throw new TypeError(`messages of format ${format} without columns are not loaded`)
    return { kind: 'staged', stage, covered, upsert }
  }

  /** Of what the S3 sink added to the rows, all goes into the table that it has a column for. */
  async #directPlan({ messages }: Load, signal: AbortSignal): Promise<LoadPlan> {
    const { options, tables } = this.#services
    const { fields } = options.copy
    const [first] = messages
    if (fields.length === 0 || first === undefined) return { kind: 'direct', fields }
    const target = await tables.columnsOf(this.#target, signal)
    const added = metaColumns(first).filter(({ name }) => target.has(name) && !fields.includes(name))
    return { kind: 'direct', fields: [...fields, ...added.map(({ name }) => name)] }
  }

  #loaded(sets: readonly FileSet[]): void {
    for (const set of sets) this.#outcomes.loaded(set)
  }

  async #readLedger(sets: readonly FileSet[], signal: AbortSignal): Promise<readonly LedgerRow[]> {
    const messages = sets.map((set) => set.message)
    const rows = await this.#services.runner.query(selectLedger(this.#ledger, messages), signal)
    return rows.map(([fileId, topic, partition, directory, firstOffset, lastOffset, objectKey]) => ({
      fileId: String(fileId),
      topic: String(topic),
      partition: Number(partition),
      directory: String(directory),
      // Files of S3 events have no offsets, and overlap with nothing.
      firstOffset: firstOffset === null || firstOffset === undefined ? 0n : BigInt(String(firstOffset)),
      lastOffset: lastOffset === null || lastOffset === undefined ? -1n : BigInt(String(lastOffset)),
      objectKey: String(objectKey),
    }))
  }

  /** Carries out `overlap.policy`. @returns the sets that overlap with nothing in the ledger */
  async #loadOverlapping(
    sets: readonly FileSet[],
    known: readonly LedgerRow[],
    signal: AbortSignal,
  ): Promise<readonly FileSet[]> {
    const { overlapPolicy } = this.#services.options
    const others: FileSet[] = []
    for (const set of sets) {
      const rows = overlappingRows(set.message, known)
      if (rows.length === 0) others.push(set)
      else if (isCovered(set.message, rows) && overlapPolicy !== 'fail') this.#loaded([set])
      else if (overlapPolicy === 'filter' && canBeFiltered(set.message)) await this.#load([set], rows, signal)
      else throw overlapError(set.message, { table: this.#target.table, rows, policy: overlapPolicy })
    }
    return others
  }

  /** @returns the sets to try again after a pause */
  async #afterFailure(
    sets: readonly FileSet[],
    failed: { readonly outcome: Failure; readonly failures: number; readonly covered: readonly LedgerRow[] },
    signal: AbortSignal,
  ): Promise<readonly FileSet[]> {
    const { outcome, failures } = failed
    const { options, tables } = this.#services
    const { table } = this.#target
    switch (failureOf(outcome)) {
      case 'transient': {
        if (failures <= options.maxRetries) return sets
        const message = `Load into ${table} failed ${failures} times: ${outcome.error}`
        throw new ConnectError('fatal', 'CONNECT_REDSHIFT_LOAD_FAILED', message)
      }
      case 'guard':
        // Nothing of these sets is in the ledger, so the count was not right; once more, for an object in change.
        if (failures < 2) return sets
        await this.#isolate(sets, failed, signal)
        return []
      case 'data':
        await this.#isolate(sets, failed, signal)
        return []
      case 'missing-file':
        return this.#dropMissing(sets, outcome.error)
      case 'missing-table':
        tables.forget(this.#target)
        if (failures > 1 || !tables.options.autoCreate) throw this.#tableMissing(outcome.error)
        // Somebody removed it after we looked: made once more.
        await this.#prepare(sets, signal)
        return sets
      case 'missing-column':
        tables.forget(this.#target)
        // The table is another than we remember: once more, with its columns of now.
        if (failures > 1) throw this.#refused(outcome.error)
        await this.#prepare(sets, signal)
        return sets
      case 'fatal':
        tables.forget(this.#target)
        throw this.#refused(outcome.error)
    }
  }

  /**
   * Finds bad sets and reports them, the rest is loaded in its order: the files that the warehouse names, or else by
   * halving.
   */
  async #isolate(
    sets: readonly FileSet[],
    { outcome, covered }: { readonly outcome: Failure; readonly covered: readonly LedgerRow[] },
    signal: AbortSignal,
  ): Promise<void> {
    const { runner, clock, options } = this.#services
    const sleep = (ms: number) => clock.sleep(ms, signal)
    const suspicion = await suspicionOf(outcome, runner, { sleep, signal })
    const { table } = this.#target
    const [first] = sets
    if (first === undefined || signal.aborted) return
    const context = (set: FileSet) => loadErrorContext(table, { outcome, suspicion, message: set.message })
    const error = (set: FileSet) => badData(set.message, { table, suspicion, context: context(set) })
    if (options.onLoadError === 'fail') {
      const named = suspectsOf(sets, suspicion)[0] ?? first
      throw new ConnectError('fatal', 'CONNECT_REDSHIFT_BAD_DATA', error(named).message, { context: context(named) })
    }
    const suspects = suspectsOf(sets, suspicion)
    if (sets.length === 1 || options.onLoadError === 'dlq') {
      for (const set of sets) await this.#outcomes.rejected(set, error(set))
    } else if (suspects.length > 0) {
      for (const set of suspects) await this.#outcomes.rejected(set, error(set))
      await this.#load(
        sets.filter((set) => !suspects.includes(set)),
        covered,
        signal,
      )
    } else {
      const middle = Math.ceil(sets.length / 2)
      await this.#load(sets.slice(0, middle), covered, signal)
      await this.#load(sets.slice(middle), covered, signal)
    }
  }

  async #dropMissing(sets: readonly FileSet[], reason: string): Promise<readonly FileSet[]> {
    const { store, options } = this.#services
    const there: FileSet[] = []
    const dropped: FileSet[] = []
    for (const set of sets) {
      const heads = await headsOf(set, store)
      // S3 does not answer: nobody can say whether the file is gone, so the load is tried again.
      if (heads === null) return sets.filter((other) => !dropped.includes(other))
      const gone = set.message.files[heads.indexOf(null)]
      if (gone === undefined) {
        there.push(set)
        continue
      }
      const error = missingFile(gone, { table: this.#target.table, reason })
      if (options.onMissingFile === 'fail') {
        throw new ConnectError('fatal', 'CONNECT_REDSHIFT_FILE_MISSING', error.message, { context: error.context })
      }
      dropped.push(set)
      if (options.onMissingFile === 'ignore') this.#loaded([set])
      else await this.#outcomes.rejected(set, error)
    }
    // All are there for us: then it is the warehouse that cannot see them, and waiting does not help.
    if (dropped.length === 0) throw new ConnectError('fatal', 'CONNECT_REDSHIFT_STATEMENT', reason)
    return there
  }

  #refused(reason: string): ConnectError {
    const message = `Load into ${this.#target.table} failed: ${withHint(reason)}`
    return new ConnectError('fatal', 'CONNECT_REDSHIFT_STATEMENT', message)
  }

  #tableMissing(reason: string): ConnectError {
    const message = `Table ${this.#target.table} is missing and auto-creation is disabled, or its messages have no columns: ${reason}`
    return new ConnectError('fatal', 'CONNECT_REDSHIFT_TABLE_MISSING', message)
  }
}

/** The state of each file of a set, null for one that is gone; null instead of all when S3 does not answer. */
async function headsOf({ message }: FileSet, store: ObjectStore) {
  try {
    return await Promise.all(message.files.map((file) => store.head(file)))
  } catch (error) {
    if (kindOf(error) !== 'retriable') throw error
    return null
  }
}

const sqlBytes = (statements: readonly string[]) =>
  statements.reduce((sum, sql) => sum + Buffer.byteLength(sql, 'utf8'), 0)

function failureOf(outcome: Failure) {
  return outcome.kind === 'unknown' ? 'transient' : classifyStatement(outcome.error)
}

/** The sets that hold a file that the warehouse names. */
function suspectsOf(sets: readonly FileSet[], { files }: Suspicion): readonly FileSet[] {
  return sets.filter(({ message }) => message.files.some((f) => files.has(`s3://${f.bucket}/${f.key}`)))
}
