import { GrowingByteWriter } from '../../worker/api/byte-writer.ts'
import type { Clock } from '../../worker/api/context.ts'
import { toError } from '../../worker/api/errors.ts'
import { BulkBatch, type PendingAction } from './bulk-batch.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import { Delivery, type WriterOptions } from './delivery.ts'
import type { Action } from './documents.ts'
import { type BulkItem, classifyItem } from './errors.ts'
import type { OffsetSlot } from './offset-tracker.ts'
import { refuseEach } from './refusals.ts'

/**
 * Bytes in batches that wait while every request is taken, above which nothing more is taken: a usual batch is there
 * when a request ends, and making one takes less time than an answer to any. By count alone (`max.buffered.records`)
 * large documents would fill the memory.
 */
const maxWaitingBytes = 1 << 20
/** Bodies kept for the next batches: while requests are taken one after the other, more are never spare. */
const maxSpareBodies = 2
const leastBodyBytes = 64 * 1024

/**
 * Sends actions in bulk requests, several at a time.
 *
 * Order: actions with an external version may arrive in any order, the server keeps the latest. Those with an order
 * key (updates, unversioned deletes) go one at a time per key: a later one waits until the earlier is done, retries
 * included. Nothing is dropped: an action is done when the server took it, when it was reported, or when it is known
 * to be superseded; otherwise the writer fails, and its record's offset is never committed (I1).
 */
export class BulkWriter {
  readonly #config: ElasticsearchSinkConfig
  readonly #clock: Clock
  readonly #delivery: Delivery
  /** Keys with an action under way, and the actions that wait for it, with their bytes. */
  readonly #busy = new Map<string, { readonly pending: PendingAction; readonly bytes: Uint8Array }[]>()
  readonly #ready: BulkBatch[] = []
  readonly #spareBodies: GrowingByteWriter[] = []
  #open: BulkBatch | null = null
  /** Of the batches in `#ready`. */
  #waitingBytes = 0
  /**
   * What recent batches took: the next one will hardly need more, and a body that has to grow takes twice as much. One
   * that was sent early says little, so this falls slowly.
   */
  #bodyBytes = leastBodyBytes
  /** Whether the open batch has waited for `linger.ms`. */
  #due = false
  #linger: AbortController | null = null
  #draining = false

  constructor(options: WriterOptions) {
    this.#config = options.config
    this.#clock = options.clock
    this.#delivery = new Delivery(options)
  }

  /** @throws the first failure, once there is one: nothing more is sent after it */
  throwIfFailed(): void {
    this.#delivery.flow.throwIfFailed()
  }

  /**
   * Takes one action, whose bytes are copied, unless the buffer is full: the usual case, without a promise.
   * @returns false when the buffer is full
   * @throws the writer's failure
   */
  tryAdd(pending: PendingAction, bytes: Uint8Array): boolean {
    if (!this.#hasRoom() || !this.#delivery.flow.take()) return false
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
    while (!this.tryAdd(pending, bytes)) {
      this.flush()
      if (!(await this.#delivery.flow.room(signal, () => this.#hasRoom()))) return false
    }
    return true
  }

  #hasRoom(): boolean {
    return this.#waitingBytes < maxWaitingBytes
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
      return await this.#delivery.flow.drained(timeoutMs)
    } finally {
      this.#draining = false
    }
  }

  /** Ends everything that is under way; what was not acknowledged is not done. */
  async close(): Promise<void> {
    this.#linger?.abort()
    await this.#delivery.flow.close()
  }

  #append(pending: PendingAction, bytes: Uint8Array): void {
    if (this.#open !== null && this.#open.body.length + bytes.length > this.#delivery.maxBytes) this.#seal()
    this.#open ??= new BulkBatch(this.#spareBodies.pop() ?? new GrowingByteWriter(this.#bodyBytes))
    const batch = this.#open
    batch.add(pending, bytes)
    if (batch.count >= this.#config['batch.size'] || batch.body.length >= this.#delivery.maxBytes) this.#seal()
    else if (this.#draining) this.flush()
    else if (this.#linger === null) this.#startLinger()
  }

  #startLinger(): void {
    const linger = new AbortController()
    this.#linger = linger
    void this.#clock.sleep(this.#config['linger.ms'], linger.signal).then(() => {
      if (!linger.signal.aborted) this.flush()
    })
  }

  #seal(): void {
    if (this.#open === null) return
    const { length } = this.#open.body
    this.#ready.push(this.#open)
    this.#waitingBytes += length
    const recent = Math.max(length + (length >> 3), this.#bodyBytes - (this.#bodyBytes >> 6))
    this.#bodyBytes = Math.max(leastBodyBytes, Math.min(recent, this.#delivery.maxBytes))
    this.#open = null
    this.#due = false
    this.#linger?.abort()
    this.#linger = null
    this.#pump()
  }

  #pump(): void {
    while (this.#delivery.mayStart) {
      // A batch whose time has come stays open while all requests are taken: it only grows meanwhile.
      if (this.#ready.length === 0 && this.#due) this.#seal()
      const batch = this.#ready.shift()
      if (batch === undefined) return
      this.#waitingBytes -= batch.body.length
      this.#delivery.started()
      void this.#send(batch)
    }
  }

  async #send(batch: BulkBatch): Promise<void> {
    try {
      await this.#deliver(batch)
    } catch (error) {
      this.#delivery.flow.fail(toError(error))
    } finally {
      this.#recycle(batch.body)
      this.#delivery.ended()
      this.#pump()
    }
  }

  #recycle(body: GrowingByteWriter): void {
    // One enormous document must not hold its memory for ever.
    if (body.length > 2 * this.#config['bulk.size.bytes'] || this.#spareBodies.length >= maxSpareBodies) return
    body.reset()
    this.#spareBodies.push(body)
  }

  /** Sends a batch until each of its actions is done. @throws the error that fails the task */
  async #deliver(batch: BulkBatch): Promise<void> {
    let remaining = batch
    for (let attempt = 1; ; attempt++) {
      const failed = await this.#attempt(remaining, attempt)
      if (failed.length === 0) return
      this.#delivery.tooBusy(attempt, failed.length)
      this.#delivery.metrics.retries.add(failed.length)
      await this.#delivery.flow.pause(this.#delivery.backoff.waitMs(attempt))
      remaining = remaining.subset(failed)
    }
  }

  /** One request. @returns indices of the actions to send again */
  async #attempt(batch: BulkBatch, attempt: number): Promise<readonly number[]> {
    const { body, count } = batch
    const outcome = await this.#delivery.requests.bulk(body.view(0, body.length), count, attempt)
    if (outcome.kind === 'answered') {
      if (outcome.errors) return await this.#settle(batch.actions(), outcome.items, attempt)
      for (const run of batch.runs) this.#finish(run.slot, run.action, run.count)
      return []
    }
    // In halves, in order; a single action that is too large is a malformed document.
    const actions = batch.actions()
    const [single, second] = actions
    if (single !== undefined && second === undefined) {
      await this.#delivery.refusals.malformed(single, outcome.error)
      this.#finish(single.slot, single.action)
      return []
    }
    const all = actions.map((_, i) => i)
    await this.#deliver(batch.subset(all.slice(0, count >> 1)))
    await this.#deliver(batch.subset(all.slice(count >> 1)))
    return []
  }

  /** What became of each action. @returns indices of those to send again */
  async #settle(
    actions: readonly PendingAction[],
    items: readonly BulkItem[],
    attempt: number,
  ): Promise<readonly number[]> {
    const retry: number[] = []
    const missing = new Set<string>()
    // All items first, so that those which succeeded are done even if another fails the task.
    const refused: (() => Promise<void>)[] = []
    const isLast = this.#delivery.isLast(attempt)
    for (const [i, pending] of actions.entries()) {
      const item = items[i] as BulkItem
      const verdict = classifyItem(item)
      if (verdict === 'done') this.#finish(pending.slot, pending.action)
      else if (verdict === 'retry' || (verdict === 'conflict' && !isSuperseded(pending.action))) retry.push(i)
      else if (verdict === 'blocked' && !isLast) retry.push(i)
      else if (verdict === 'missing-index') {
        missing.add(pending.action.resource)
        retry.push(i)
      } else {
        refused.push(async () => {
          await this.#delivery.refusals.refuse(pending, verdict, item.error)
          this.#finish(pending.slot, pending.action)
        })
      }
    }
    await refuseEach(refused)
    await this.#delivery.recreate(missing)
    return retry
  }

  /** @param count of the record and those right behind it in its partition; one where there is an order key */
  #finish(slot: OffsetSlot, { orderKey }: Action, count = 1): void {
    this.#delivery.finish(slot, count)
    if (orderKey === null) return
    const next = this.#busy.get(orderKey)?.shift()
    if (next === undefined) this.#busy.delete(orderKey)
    else this.#append(next.pending, next.bytes)
  }
}

/** Whether a conflict says that the effect is there, or a later one. */
function isSuperseded({ versioned, kind }: Action): boolean {
  return versioned || kind === 'create' || kind === 'index'
}
