import { GrowingByteWriter } from '../../worker/api/byte-writer.ts'
import type { Clock, Counter, Gauge, Logger, Metrics } from '../../worker/api/context.ts'
import { ConnectError, DataError, toError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import type { ServerConnection } from './client.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import type { Action } from './documents.ts'
import {
  type BulkItem,
  classify,
  classifyItem,
  describeItemError,
  type ItemError,
  requestError,
  serverErrorType,
  statusOf,
} from './errors.ts'
import type { OffsetSlot } from './offset-tracker.ts'
import { Backoff, exhausted, reasonOf } from './retry.ts'

/** A record on its way: done when its slot is. */
interface PendingAction {
  readonly record: SinkRecord
  readonly slot: OffsetSlot
  readonly action: Action
}

/** Actions whose lines stand one after the other in `body`; `ends[i]` is where those of action i end. */
interface Batch {
  readonly actions: PendingAction[]
  readonly ends: number[]
  readonly body: GrowingByteWriter
}

export interface BulkWriterOptions {
  readonly config: ElasticsearchSinkConfig
  readonly connection: ServerConnection
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  /** Reports a refused record to the dead letter queue, if there is one. */
  report(record: SinkRecord, error: Error): Promise<void>
  /** Creates an index that has gone. */
  recreate(resource: string): Promise<void>
  readonly backoff?: Backoff
}

const bulkPath = '/_bulk'
// Without the status of every item, positions of the failed ones would be lost.
const bulkQuery = 'filter_path=errors,items.*.status,items.*.error'

/**
 * Sends actions in bulk requests, several at a time.
 *
 * Order: actions with an external version may arrive in any order, the server keeps the latest. Those with an order
 * key (updates, unversioned deletes) go one at a time per key: a later one waits until the earlier is done, retries
 * included. Nothing is dropped: an action is done when the server took it, when it was reported, or when it is known
 * to be superseded; otherwise the writer fails, and its record's offset is never committed (I1).
 */
export class BulkWriter {
  readonly #options: BulkWriterOptions
  readonly #config: ElasticsearchSinkConfig
  readonly #backoff: Backoff
  readonly #maxBytes: number
  readonly #itemRetries: number
  readonly #query: string
  readonly #metrics: BulkMetrics
  /** Ends waits between retries, once the writer has failed or is closed. */
  readonly #halt = new AbortController()
  /** Cuts requests off, after the deadline of closing. */
  readonly #cut = new AbortController()
  /** Keys with an action under way, and the actions that wait for it, with their bytes. */
  readonly #busy = new Map<string, { readonly pending: PendingAction; readonly bytes: Uint8Array }[]>()
  readonly #ready: Batch[] = []
  readonly #spareBodies: GrowingByteWriter[] = []
  readonly #waiters = new Set<() => void>()
  #open: Batch | null = null
  /** Whether the open batch has waited for `linger.ms`. */
  #due = false
  #linger: AbortController | null = null
  #inFlight = 0
  /** Actions that are buffered, waiting or in flight. */
  #count = 0
  #draining = false
  #failure: Error | null = null

  constructor(options: BulkWriterOptions) {
    this.#options = options
    this.#config = options.config
    this.#backoff = options.backoff ?? new Backoff(options.config)
    const limit = options.config['bulk.size.bytes']
    this.#maxBytes = limit < 0 ? Number.POSITIVE_INFINITY : limit
    const itemRetries = options.config['bulk.item.retries']
    this.#itemRetries = itemRetries < 0 ? options.config['max.retries'] : itemRetries
    const pipeline = options.config['pipeline.name']
    this.#query = pipeline === '' ? bulkQuery : `${bulkQuery}&pipeline=${encodeURIComponent(pipeline)}`
    this.#metrics = bulkMetrics(options.metrics)
  }

  /** @throws the first failure, once there is one: nothing more is sent after it */
  throwIfFailed(): void {
    if (this.#failure !== null) throw this.#failure
  }

  /**
   * Takes one action, whose bytes are copied, unless the buffer is full: the usual case, without a promise.
   * @returns false when the buffer is full
   * @throws the writer's failure
   */
  tryAdd(pending: PendingAction, bytes: Uint8Array): boolean {
    this.throwIfFailed()
    if (this.#count >= this.#config['max.buffered.records']) return false
    this.#count++
    const { orderKey } = pending.action
    if (orderKey !== null) {
      const waiting = this.#busy.get(orderKey)
      if (waiting !== undefined) {
        waiting.push({ pending, bytes: Uint8Array.from(bytes) })
        return true
      }
      this.#busy.set(orderKey, [])
    }
    this.#append(pending, bytes)
    return true
  }

  /**
   * As `tryAdd`, but waits while the buffer is full.
   * @returns false when `signal` aborted the wait: the action was not taken
   * @throws ConnectError after `flush.timeout.ms`, or the writer's failure
   */
  async add(pending: PendingAction, bytes: Uint8Array, signal: AbortSignal): Promise<boolean> {
    return this.tryAdd(pending, bytes) || ((await this.#room(signal)) && this.tryAdd(pending, bytes))
  }

  async #room(signal: AbortSignal): Promise<boolean> {
    const limit = this.#config['max.buffered.records']
    this.flush()
    const hasRoom = await this.#until(() => this.#count < limit, this.#config['flush.timeout.ms'], signal)
    this.throwIfFailed()
    if (hasRoom || signal.aborted) return hasRoom
    throw new ConnectError(
      'fatal',
      'CONNECT_ES_BUFFER_FULL',
      'Could not make space in the internal buffer fast enough. Consider increasing flush.timeout.ms or max.buffered.records.',
    )
  }

  /** Sends what is buffered as soon as a request may be made, without waiting for `linger.ms`. */
  flush(): void {
    this.#due = true
    this.#pump()
  }

  /**
   * Waits until every action taken so far is done.
   * @returns false when that took longer than `timeoutMs` or the writer failed
   */
  async drain(timeoutMs: number): Promise<boolean> {
    this.#draining = true
    try {
      this.flush()
      return await this.#until(() => this.#count === 0, timeoutMs, this.#halt.signal)
    } finally {
      this.#draining = false
    }
  }

  /** Ends everything that is under way; what was not acknowledged is not done. */
  async close(): Promise<void> {
    this.#halt.abort()
    this.#cut.abort()
    this.#linger?.abort()
    this.#wake()
    // Requests that were cut off end at once; without this they would outlive the task.
    while (this.#inFlight > 0) await new Promise<void>((resolve) => this.#waiters.add(resolve))
  }

  #append(pending: PendingAction, bytes: Uint8Array): void {
    if (this.#open !== null && this.#open.body.length + bytes.length > this.#maxBytes) this.#seal()
    this.#open ??= { actions: [], ends: [], body: this.#spareBodies.pop() ?? new GrowingByteWriter() }
    const batch = this.#open
    batch.body.bytes(bytes)
    batch.actions.push(pending)
    batch.ends.push(batch.body.length)
    if (batch.actions.length >= this.#config['batch.size'] || batch.body.length >= this.#maxBytes) this.#seal()
    else if (this.#draining) this.flush()
    else if (this.#linger === null) this.#startLinger()
  }

  #startLinger(): void {
    const linger = new AbortController()
    this.#linger = linger
    void this.#options.clock.sleep(this.#config['linger.ms'], linger.signal).then(() => {
      if (!linger.signal.aborted) this.flush()
    })
  }

  #seal(): void {
    if (this.#open === null) return
    this.#ready.push(this.#open)
    this.#open = null
    this.#due = false
    this.#linger?.abort()
    this.#linger = null
    this.#pump()
  }

  #pump(): void {
    while (!this.#halt.signal.aborted && this.#inFlight < this.#config['max.in.flight.requests']) {
      // A batch whose time has come stays open while all requests are taken: it only grows meanwhile.
      if (this.#ready.length === 0 && this.#due) this.#seal()
      const batch = this.#ready.shift()
      if (batch === undefined) return
      this.#inFlight++
      void this.#send(batch)
    }
  }

  async #send(batch: Batch): Promise<void> {
    this.#metrics.inFlight.set(this.#inFlight)
    try {
      await this.#deliver(batch)
    } catch (error) {
      this.#fail(toError(error))
    } finally {
      this.#inFlight--
      this.#metrics.inFlight.set(this.#inFlight)
      this.#recycle(batch.body)
      this.#pump()
      this.#wake()
    }
  }

  #recycle(body: GrowingByteWriter): void {
    // One enormous document must not hold its memory for ever.
    if (body.length > 2 * this.#config['bulk.size.bytes'] || this.#spareBodies.length > 8) return
    body.reset()
    this.#spareBodies.push(body)
  }

  /** Sends a batch until each of its actions is done. @throws the error that fails the task */
  async #deliver(batch: Batch): Promise<void> {
    let remaining: Batch = batch
    for (let attempt = 1; ; attempt++) {
      const failed = await this.#attempt(remaining, attempt)
      if (failed.length === 0) return
      if (attempt > this.#itemRetries) {
        throw exhausted('index records', new Error('the cluster is too busy'), attempt)
      }
      this.#metrics.retries.add(failed.length)
      this.#options.logger.warn({ attempt, records: failed.length }, 'Elasticsearch was too busy for some records')
      await this.#pause(attempt)
      remaining = subset(remaining, failed)
    }
  }

  /** One request, itself repeated while it fails as a whole. @returns indices of the actions to send again */
  async #attempt(batch: Batch, firstAttempt: number): Promise<readonly number[]> {
    for (let attempt = firstAttempt; ; attempt++) {
      try {
        const answer = await this.#request(batch)
        return await this.#settle(batch, answer)
      } catch (error) {
        if (error instanceof ConnectError) throw error
        if (this.#cut.signal.aborted) throw closed()
        if (isTooLarge(error)) return await this.#split(batch, error)
        if (classify(error) !== 'retry') throw requestError('execute bulk request', error)
        if (attempt > this.#config['max.retries']) throw exhausted('execute bulk request', error, attempt)
        this.#metrics.retries.add(batch.actions.length)
        this.#options.logger.warn(
          { attempt, records: batch.actions.length, error: reasonOf(error) },
          'Elasticsearch bulk request failed, will be repeated',
        )
        await this.#pause(attempt)
      }
    }
  }

  async #request(batch: Batch): Promise<unknown> {
    const ndjson = batch.body.view(0, batch.body.length)
    this.#metrics.requests.add(1)
    this.#metrics.bytes.add(ndjson.length)
    return await this.#options.connection.request(
      { method: 'POST', path: bulkPath, query: this.#query, ndjson },
      this.#cut.signal,
    )
  }

  async #pause(attempt: number): Promise<void> {
    await this.#options.clock.sleep(this.#backoff.waitMs(attempt), this.#halt.signal)
    if (this.#halt.signal.aborted) throw this.#failure ?? closed()
  }

  /** Too large for the server: in halves, in order; a single action is a malformed document. */
  async #split(batch: Batch, error: unknown): Promise<readonly number[]> {
    const all = batch.actions.map((_, i) => i)
    if (all.length === 1) {
      const type = serverErrorType(error).trim() || 'content_too_long_exception'
      const reason = `the request was refused with HTTP ${statusOf(error)}: ${batch.body.length} bytes`
      await this.#malformed(batch.actions[0] as PendingAction, { type, reason })
      return []
    }
    const middle = all.length >> 1
    await this.#deliver(subset(batch, all.slice(0, middle)))
    await this.#deliver(subset(batch, all.slice(middle)))
    return []
  }

  async #settle(batch: Batch, answer: unknown): Promise<readonly number[]> {
    const { errors, items } = readAnswer(answer)
    if (items.length !== batch.actions.length) {
      throw new ConnectError('fatal', 'CONNECT_ES_REQUEST', 'The bulk answer does not have one item per action', {
        context: { actions: batch.actions.length, items: items.length },
      })
    }
    if (!errors) {
      for (const pending of batch.actions) this.#finish(pending)
      return []
    }
    const retry: number[] = []
    const missing = new Set<string>()
    // All items first, so that those which succeeded are done even if another fails the task.
    const refused: (readonly [PendingAction, BulkItem])[] = []
    for (let i = 0; i < items.length; i++) {
      const pending = batch.actions[i] as PendingAction
      const item = items[i] as BulkItem
      const verdict = classifyItem(item)
      if (verdict === 'done') this.#finish(pending)
      else if (verdict === 'retry' || (verdict === 'conflict' && !isSuperseded(pending.action))) retry.push(i)
      else if (verdict === 'missing-index') {
        missing.add(pending.action.resource)
        retry.push(i)
      } else refused.push([pending, item])
    }
    for (const [pending, item] of refused) await this.#refuse(pending, item)
    for (const resource of missing) await this.#options.recreate(resource)
    return retry
  }

  async #refuse(pending: PendingAction, item: BulkItem): Promise<void> {
    const verdict = classifyItem(item)
    if (verdict === 'conflict') return await this.#conflict(pending, item)
    if (verdict === 'malformed') return await this.#malformed(pending, item.error)
    await this.#options.report(pending.record, rejected(item.error))
    const skips = this.#config['behavior.on.closed.index'].toLowerCase() === 'skip'
    if (verdict !== 'closed-index' || !skips) throw failTask(pending, item.error, 'CONNECT_ES_REJECTED')
    this.#options.logger.warn(coordinates(pending, item.error), 'The index is closed; the record is skipped')
    this.#finish(pending)
  }

  async #malformed(pending: PendingAction, error: ItemError | undefined): Promise<void> {
    this.#metrics.malformed.add(1)
    await this.#options.report(pending.record, rejected(error))
    const behavior = this.#config['behavior.on.malformed.documents'].toLowerCase()
    if (behavior === 'fail') throw failTask(pending, error, 'CONNECT_ES_REJECTED')
    if (behavior === 'warn') {
      this.#options.logger.warn(coordinates(pending, error), 'Elasticsearch refused a document; it is skipped')
    }
    this.#finish(pending)
  }

  /** The index has the same or a later version: what a replay looks like. */
  async #conflict(pending: PendingAction, item: BulkItem): Promise<void> {
    this.#metrics.conflicts.add(1)
    const behavior = this.#config['behavior.on.version.conflict'].toLowerCase()
    if (behavior === 'report' || behavior === 'fail') {
      await this.#options.report(pending.record, rejected(item.error, 'CONNECT_ES_CONFLICT'))
    }
    if (behavior === 'fail') throw failTask(pending, item.error, 'CONNECT_ES_CONFLICT')
    if (behavior === 'warn') {
      this.#options.logger.warn(coordinates(pending, item.error), 'The index has this or a later version')
    }
    this.#finish(pending)
  }

  #finish(pending: PendingAction): void {
    pending.slot.done = true
    this.#count--
    this.#metrics.done.add(1)
    const { orderKey } = pending.action
    if (orderKey === null) return
    const next = this.#busy.get(orderKey)?.shift()
    if (next === undefined) this.#busy.delete(orderKey)
    else this.#append(next.pending, next.bytes)
  }

  #fail(error: Error): void {
    if (this.#halt.signal.aborted && this.#failure === null) return
    this.#failure ??= error
    this.#halt.abort()
  }

  #wake(): void {
    const waiters = [...this.#waiters]
    this.#waiters.clear()
    for (const resolve of waiters) resolve()
  }

  /** Waits for a condition, looked at after each answer. */
  async #until(isMet: () => boolean, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    if (isMet()) return true
    const timer = new AbortController()
    const either = AbortSignal.any([timer.signal, signal, this.#halt.signal])
    let timedOut = false
    const expiry = this.#options.clock.sleep(timeoutMs, either).then(() => {
      timedOut = true
      this.#wake()
    })
    try {
      while (!isMet() && !timedOut && !either.aborted) {
        await new Promise<void>((resolve) => this.#waiters.add(resolve))
      }
      return isMet()
    } finally {
      timer.abort()
      await expiry
    }
  }
}

interface BulkMetrics {
  readonly requests: Counter
  readonly bytes: Counter
  readonly done: Counter
  readonly retries: Counter
  readonly conflicts: Counter
  readonly malformed: Counter
  readonly inFlight: Gauge
}

function bulkMetrics(metrics: Metrics): BulkMetrics {
  return {
    requests: metrics.counter('elasticsearch-bulk-requests', 'Bulk requests sent, repeats included'),
    bytes: metrics.counter('elasticsearch-bulk-bytes', 'Bytes of bulk requests, before compression'),
    done: metrics.counter('elasticsearch-actions-done', 'Records whose effect is in the index, or that were reported'),
    retries: metrics.counter('elasticsearch-actions-retried', 'Records sent again'),
    conflicts: metrics.counter(
      'elasticsearch-version-conflicts',
      'Records whose document was there in this or a later version',
    ),
    malformed: metrics.counter('elasticsearch-malformed-documents', 'Documents that the server refused'),
    inFlight: metrics.gauge('elasticsearch-requests-in-flight', 'Bulk requests waiting for their answer'),
  }
}

/** Whether a conflict says that the effect is there, or a later one. */
function isSuperseded({ versioned, kind }: Action): boolean {
  return versioned || kind === 'create' || kind === 'index'
}

/** A request that smaller parts may get through; 400 when one action of it fails validation. */
function isTooLarge(error: unknown): boolean {
  if (classify(error) === 'split') return true
  const type = serverErrorType(error)
  return statusOf(error) === 400 && type === ' action_request_validation_exception'
}

function subset(batch: Batch, indices: readonly number[]): Batch {
  if (indices.length === batch.actions.length) return batch
  const part: Batch = { actions: [], ends: [], body: new GrowingByteWriter() }
  for (const i of indices) {
    part.body.bytes(batch.body.view(i === 0 ? 0 : (batch.ends[i - 1] as number), batch.ends[i] as number))
    part.ends.push(part.body.length)
    part.actions.push(batch.actions[i] as PendingAction)
  }
  return part
}

function readAnswer(answer: unknown): { readonly errors: boolean; readonly items: readonly BulkItem[] } {
  if (typeof answer !== 'object' || answer === null || !('errors' in answer)) {
    throw new ConnectError('fatal', 'CONNECT_ES_REQUEST', 'The bulk answer is not one of Elasticsearch')
  }
  const items = 'items' in answer && Array.isArray(answer.items) ? (answer.items as readonly object[]) : []
  // Each item has one member, named after its action.
  return { errors: answer.errors !== false, items: items.map((item) => Object.values(item)[0] as BulkItem) }
}

function coordinates({ record }: PendingAction, error: ItemError | undefined) {
  // The reason may quote the document (I8).
  const { originalTopic: topic, originalPartition: partition, offset } = record
  return { topic, partition, offset: offset.toString(), type: error?.type ?? null }
}

function rejected(
  error: ItemError | undefined,
  code: 'CONNECT_ES_REJECTED' | 'CONNECT_ES_CONFLICT' = 'CONNECT_ES_REJECTED',
) {
  return new DataError(code, describeItemError(error))
}

function failTask(
  pending: PendingAction,
  error: ItemError | undefined,
  code: 'CONNECT_ES_REJECTED' | 'CONNECT_ES_CONFLICT',
) {
  return new ConnectError('fatal', code, 'Indexing record failed. Please check DLQ topic for errors.', {
    context: coordinates(pending, error),
  })
}

function closed(): ConnectError {
  return new ConnectError('fatal', 'CONNECT_ES_REQUEST', 'The task was closed before the server answered')
}
