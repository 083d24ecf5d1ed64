import { GrowingByteWriter } from '../../worker/api/byte-writer.ts'
import type { Clock, Logger, Metrics } from '../../worker/api/context.ts'
import { toError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import { type BulkMetrics, bulkMetrics } from './bulk-metrics.ts'
import { BulkRequests } from './bulk-requests.ts'
import type { ServerConnection } from './client.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import type { Action } from './documents.ts'
import { type BulkItem, classifyItem } from './errors.ts'
import { FlowControl } from './flow-control.ts'
import type { OffsetSlot } from './offset-tracker.ts'
import { Refusals } from './refusals.ts'
import { Backoff, exhausted } from './retry.ts'

/** A record on its way: done when its slot is. */
interface PendingAction {
  /** Kept only for reports: thousands of records wait here, and what lives long is dear to collect. */
  readonly record: SinkRecord | null
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
  /** Reports a refused record to the dead letter queue. */
  report(record: SinkRecord, error: Error): Promise<void>
  /** Creates an index that has gone. */
  recreate(resource: string): Promise<void>
  readonly backoff?: Backoff
}

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
  readonly #metrics: BulkMetrics
  readonly #flow: FlowControl
  readonly #requests: BulkRequests
  readonly #refusals: Refusals
  /** Keys with an action under way, and the actions that wait for it, with their bytes. */
  readonly #busy = new Map<string, { readonly pending: PendingAction; readonly bytes: Uint8Array }[]>()
  readonly #ready: Batch[] = []
  readonly #spareBodies: GrowingByteWriter[] = []
  #open: Batch | null = null
  /** Whether the open batch has waited for `linger.ms`. */
  #due = false
  #linger: AbortController | null = null
  #draining = false

  constructor(options: BulkWriterOptions) {
    const { config, clock, logger, connection, report } = options
    this.#options = options
    this.#config = config
    this.#backoff = options.backoff ?? new Backoff(config)
    const limit = config['bulk.size.bytes']
    this.#maxBytes = limit < 0 ? Number.POSITIVE_INFINITY : limit
    this.#itemRetries = itemRetries(config)
    this.#metrics = bulkMetrics(options.metrics)
    const metrics = this.#metrics
    this.#flow = new FlowControl({
      clock,
      maxRecords: config['max.buffered.records'],
      timeoutMs: config['flush.timeout.ms'],
      maxRequests: config['max.in.flight.requests'],
    })
    this.#requests = new BulkRequests({
      config,
      connection,
      logger,
      metrics,
      backoff: this.#backoff,
      flow: this.#flow,
    })
    this.#refusals = new Refusals({ config, logger, metrics, report })
  }

  /** @throws the first failure, once there is one: nothing more is sent after it */
  throwIfFailed(): void {
    this.#flow.throwIfFailed()
  }

  /**
   * Takes one action, whose bytes are copied, unless the buffer is full: the usual case, without a promise.
   * @returns false when the buffer is full
   * @throws the writer's failure
   */
  tryAdd(pending: PendingAction, bytes: Uint8Array): boolean {
    if (!this.#flow.take()) return false
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
    if (this.tryAdd(pending, bytes)) return true
    this.flush()
    return (await this.#flow.room(signal)) && this.tryAdd(pending, bytes)
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
      return await this.#flow.drained(timeoutMs)
    } finally {
      this.#draining = false
    }
  }

  /** Ends everything that is under way; what was not acknowledged is not done. */
  async close(): Promise<void> {
    this.#linger?.abort()
    await this.#flow.close()
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
    while (!this.#flow.halted.aborted && this.#flow.inFlight < this.#config['max.in.flight.requests']) {
      // A batch whose time has come stays open while all requests are taken: it only grows meanwhile.
      if (this.#ready.length === 0 && this.#due) this.#seal()
      const batch = this.#ready.shift()
      if (batch === undefined) return
      this.#flow.requestStarts()
      void this.#send(batch)
    }
  }

  async #send(batch: Batch): Promise<void> {
    this.#metrics.inFlight.set(this.#flow.inFlight)
    try {
      await this.#deliver(batch)
    } catch (error) {
      this.#flow.fail(toError(error))
    } finally {
      this.#recycle(batch.body)
      this.#flow.requestEnds()
      this.#metrics.inFlight.set(this.#flow.inFlight)
      this.#pump()
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
      await this.#flow.pause(this.#backoff.waitMs(attempt))
      remaining = subset(remaining, failed)
    }
  }

  /** One request. @returns indices of the actions to send again */
  async #attempt(batch: Batch, attempt: number): Promise<readonly number[]> {
    const { actions, body } = batch
    const outcome = await this.#requests.bulk(body.view(0, body.length), actions.length, attempt)
    if (outcome.kind === 'answered') return await this.#settle(batch, outcome)
    // In halves, in order; a single action that is too large is a malformed document.
    const [single, second] = actions
    if (single !== undefined && second === undefined) {
      await this.#refusals.malformed(single, outcome.error)
      this.#finish(single)
      return []
    }
    const all = actions.map((_, i) => i)
    await this.#deliver(subset(batch, all.slice(0, all.length >> 1)))
    await this.#deliver(subset(batch, all.slice(all.length >> 1)))
    return []
  }

  async #settle(
    { actions }: Batch,
    { errors, items }: { readonly errors: boolean; readonly items: readonly BulkItem[] },
  ): Promise<readonly number[]> {
    if (!errors) {
      for (const pending of actions) this.#finish(pending)
      return []
    }
    const retry: number[] = []
    const missing = new Set<string>()
    // All items first, so that those which succeeded are done even if another fails the task.
    const refused: (readonly [PendingAction, BulkItem])[] = []
    for (const [i, pending] of actions.entries()) {
      const item = items[i] as BulkItem
      const verdict = classifyItem(item)
      if (verdict === 'done') this.#finish(pending)
      else if (verdict === 'retry' || (verdict === 'conflict' && !isSuperseded(pending.action))) retry.push(i)
      else if (verdict === 'missing-index') {
        missing.add(pending.action.resource)
        retry.push(i)
      } else refused.push([pending, item])
    }
    for (const [pending, item] of refused) {
      await this.#refusals.refuse(pending, classifyItem(item), item.error)
      this.#finish(pending)
    }
    for (const resource of missing) await this.#options.recreate(resource)
    return retry
  }

  #finish(pending: PendingAction): void {
    pending.slot.done = true
    this.#flow.finish()
    this.#metrics.done.add(1)
    const { orderKey } = pending.action
    if (orderKey === null) return
    const next = this.#busy.get(orderKey)?.shift()
    if (next === undefined) this.#busy.delete(orderKey)
    else this.#append(next.pending, next.bytes)
  }
}

/** Repeats of single items, by `bulk.item.retries`. */
export function itemRetries(config: ElasticsearchSinkConfig): number {
  const own = config['bulk.item.retries']
  return own < 0 ? config['max.retries'] : own
}

/** Whether a conflict says that the effect is there, or a later one. */
function isSuperseded({ versioned, kind }: Action): boolean {
  return versioned || kind === 'create' || kind === 'index'
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
