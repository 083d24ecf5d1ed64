import { GrowingByteWriter } from '../../worker/api/byte-writer.ts'
import type { Clock } from '../../worker/api/context.ts'
import type { Struct, Value } from '../../worker/api/data.ts'
import { ConnectError, toError } from '../../worker/api/errors.ts'
import { quoteJson, stringifyJson } from '../../worker/api/json.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import { isStruct } from '../../worker/api/values.ts'
import type { BulkOutcome } from './bulk-requests.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import { Delivery, type WriterOptions } from './delivery.ts'
import { classifyItem, classifyItemRead, type ItemError } from './errors.ts'
import { type MergeOperation, mergeInto } from './merge-document.ts'
import type { MergeRules } from './merge-rules.ts'
import type { OffsetSlot } from './offset-tracker.ts'
import { refuseEach } from './refusals.ts'

/** A record on its way into a document that others share. */
export interface PendingMerge {
  /** Kept only for reports. */
  readonly record: SinkRecord | null
  readonly slot: OffsetSlot
  readonly resource: string
  readonly id: string
  /** Shard routing; null when the id decides. */
  readonly routing: string | null
  readonly operation: MergeOperation
}

/** A document with records to merge; at most one request of this task is under way for it. */
interface Target {
  readonly key: string
  readonly resource: string
  readonly id: string
  readonly routing: string | null
  waiting: PendingMerge[]
}

/** What one request does to one document. */
interface Work {
  readonly target: Target
  readonly records: readonly PendingMerge[]
}

/** A document as it was read, by which a write is refused when somebody else wrote in between. */
interface Read {
  readonly document: Struct | null
  readonly sequence: string | null
}

/** The records merged into a document, the lines that write it, and records that can be looked at only after that. */
interface Write {
  readonly work: Work
  readonly bytes: Uint8Array
  readonly rest: readonly PendingMerge[]
}

/** What has to be done again, and why; `rest` has not been tried yet. */
interface Again {
  readonly busy: Work[]
  readonly conflicts: Work[]
  readonly rest: Work[]
}

/** What `behavior.on.version.conflict` decides about: usual after a replay. */
const passedByFence: ItemError = {
  type: 'merge_fence_exception',
  reason: 'the document has merged this record, or a later one of its partition, before',
}

// `_source` by itself: everything else that a read document has would only be sent for nothing.
const readQuery =
  'filter_path=docs.found,docs._source,docs._seq_no,docs._primary_term,docs.error&_source=true&realtime=true'

/**
 * Merges records into documents: reads them, applies what waits for each, and writes them back on the condition that
 * nobody wrote in between (`if_seq_no`), so that no script engine is needed on the server.
 *
 * Exactly once: the fence of a document is written together with the effect of the records it stands for, and a
 * repeated request, a replay or another task's write is met by reading again. Order: records of one document are
 * merged in the order of arrival, and a request that must be repeated keeps later ones waiting (E72).
 */
export class MergeWriter {
  readonly #config: ElasticsearchSinkConfig
  readonly #clock: Clock
  readonly #rules: MergeRules
  readonly #delivery: Delivery
  /** Documents with records that wait or are under way. */
  readonly #targets = new Map<string, Target>()
  /** Those of them that no request is under way for, in the order of their first record. */
  #queue: Target[] = []
  #due = false
  #draining = false
  #linger: AbortController | null = null

  constructor(options: WriterOptions, rules: MergeRules) {
    this.#config = options.config
    this.#clock = options.clock
    this.#rules = rules
    this.#delivery = new Delivery(options)
  }

  /** @throws the first failure, once there is one */
  throwIfFailed(): void {
    this.#delivery.flow.throwIfFailed()
  }

  /** Takes one record, unless the buffer is full. @returns false when it is @throws the writer's failure */
  tryAdd(pending: PendingMerge): boolean {
    if (!this.#delivery.flow.take()) return false
    const { resource, id, routing } = pending
    const key = `${resource}\n${id}`
    let target = this.#targets.get(key)
    if (target === undefined) {
      target = { key, resource, id, routing, waiting: [] }
      this.#targets.set(key, target)
      this.#queue.push(target)
    }
    target.waiting.push(pending)
    if (this.#queue.length >= this.#config['batch.size'] || this.#draining) this.flush()
    else if (this.#linger === null && this.#queue.length > 0) this.#startLinger()
    return true
  }

  /** As `tryAdd`, but waits while the buffer is full. @returns false when `signal` aborted the wait */
  async add(pending: PendingMerge, signal: AbortSignal): Promise<boolean> {
    if (this.tryAdd(pending)) return true
    this.flush()
    return (await this.#delivery.flow.room(signal)) && this.tryAdd(pending)
  }

  flush(): void {
    this.#due = true
    this.#pump()
  }

  /** @returns false when that took longer than `timeoutMs` or the writer failed */
  async drain(timeoutMs: number): Promise<boolean> {
    this.#draining = true
    try {
      this.flush()
      return await this.#delivery.flow.drained(timeoutMs)
    } finally {
      this.#draining = false
    }
  }

  async close(): Promise<void> {
    this.#linger?.abort()
    await this.#delivery.flow.close()
  }

  #startLinger(): void {
    const linger = new AbortController()
    this.#linger = linger
    void this.#clock.sleep(this.#config['linger.ms'], linger.signal).then(() => {
      this.#linger = null
      if (!linger.signal.aborted) this.flush()
    })
  }

  #pump(): void {
    while (this.#due && this.#queue.length > 0) {
      // While all requests are taken, documents only gather more records.
      if (!this.#delivery.mayStart) return
      const targets = this.#queue.splice(0, this.#config['batch.size'])
      const batch = targets.map((target) => {
        const records = target.waiting
        target.waiting = []
        return { target, records }
      })
      this.#delivery.started()
      void this.#send(batch)
    }
    if (this.#queue.length === 0) this.#due = false
  }

  async #send(batch: readonly Work[]): Promise<void> {
    try {
      await this.#deliver(batch)
    } catch (error) {
      this.#delivery.flow.fail(toError(error))
    } finally {
      let waited = false
      for (const { target } of batch) {
        if (target.waiting.length === 0) this.#targets.delete(target.key)
        else {
          this.#queue.push(target)
          waited = true
        }
      }
      this.#delivery.ended()
      // What came meanwhile has waited for a request already.
      if (waited) this.flush()
      else this.#pump()
    }
  }

  /** Reads, merges and writes until each record is done. @throws the error that fails the task */
  async #deliver(batch: readonly Work[]): Promise<void> {
    let remaining = batch
    let attempt = 1
    for (let round = 1; ; round++) {
      const again = await this.#attempt(remaining, attempt)
      const repeated = [...again.busy, ...again.conflicts]
      remaining = [...repeated, ...again.rest]
      if (remaining.length === 0) return
      if (repeated.length === 0) continue
      const records = repeated.reduce((sum, work) => sum + work.records.length, 0)
      this.#delivery.metrics.retries.add(records)
      // A conflict says that another writer got on, so it ends by itself: only a busy server uses up the retries.
      if (again.busy.length > 0) {
        this.#delivery.tooBusy(attempt, records)
        attempt++
      }
      await this.#delivery.flow.pause(this.#delivery.backoff.waitMs(Math.min(round, 6)))
    }
  }

  async #attempt(batch: readonly Work[], attempt: number): Promise<Again> {
    const again: Again = { busy: [], conflicts: [], rest: [] }
    const reads = await this.#read(batch)
    const writes: Write[] = []
    for (const [i, work] of batch.entries()) {
      const read = reads[i] ?? null
      if (read === null) again.busy.push(work)
      else {
        const write = await this.#merge(work, read)
        if (write !== null) writes.push(write)
      }
    }
    for (const chunk of inChunks(writes, this.#delivery.maxBytes)) await this.#write(chunk, attempt, again)
    return again
  }

  /** Documents as they are now, refreshed or not; null for one that must be asked for again. */
  async #read(batch: readonly Work[]): Promise<readonly (Read | null)[]> {
    const docs = batch.map(({ target: { resource, id, routing } }) => {
      const route = routing === null ? '' : `,"routing":${quoteJson(routing)}`
      return `{"_index":${quoteJson(resource)},"_id":${quoteJson(id)}${route}}`
    })
    const answer = await this.#delivery.requests.read(
      'read documents to merge into',
      { method: 'POST', path: '/_mget', query: readQuery, json: `{"docs":[${docs.join(',')}]}` },
      batch.length,
    )
    const found = isRecord(answer) && Array.isArray(answer['docs']) ? (answer['docs'] as readonly Value[]) : []
    if (found.length !== batch.length) {
      throw new ConnectError('fatal', 'CONNECT_ES_REQUEST', 'The answer does not have one document per id', {
        context: { ids: batch.length, documents: found.length },
      })
    }
    return found.map(readOf)
  }

  /** @returns null when nothing needs to be written: its records are done */
  async #merge(work: Work, { document, sequence }: Read): Promise<Write | null> {
    const operations = work.records.map(({ operation }) => operation)
    const merged = mergeInto(document, operations, this.#rules)
    const skipped = new Set(merged.skipped)
    const left: PendingMerge[] = []
    for (const [i, pending] of work.records.slice(0, merged.taken).entries()) {
      const failure = merged.failures.get(i)
      if (failure === undefined && !skipped.has(i)) {
        left.push(pending)
        continue
      }
      if (failure === undefined) await this.#delivery.refusals.refuse(pending, 'conflict', passedByFence)
      else await this.#delivery.refusals.malformed(pending, { type: 'merge_exception', reason: failure.message })
      this.#delivery.finish(pending.slot)
    }
    // What came and went within the batch leaves nothing to delete: a delete without a condition could meet a document
    // that another task has made since.
    if (!merged.changed || (merged.document === null && sequence === null)) {
      for (const pending of left) this.#delivery.finish(pending.slot)
      return null
    }
    const { target } = work
    const out = new GrowingByteWriter(1024)
    const kind = merged.document === null ? 'delete' : sequence === null ? 'create' : 'index'
    out.utf8(`{"${kind}":{"_index":${quoteJson(target.resource)},"_id":${quoteJson(target.id)}`)
    if (target.routing !== null) out.utf8(`,"routing":${quoteJson(target.routing)}`)
    out.ascii(`${sequence ?? ''}}}\n`)
    if (merged.document !== null) out.utf8(`${stringifyJson(merged.document)}\n`)
    return { work: { target, records: left }, bytes: out.since(0), rest: work.records.slice(merged.taken) }
  }

  async #write(chunk: readonly Write[], attempt: number, again: Again): Promise<void> {
    const body = chunk.length === 1 ? (chunk[0]?.bytes ?? new Uint8Array()) : Buffer.concat(chunk.map((w) => w.bytes))
    const outcome = await this.#delivery.requests.bulk(body, chunk.length, attempt)
    if (outcome.kind === 'answered') return await this.#settle(chunk, outcome, again)
    if (chunk.length === 1) return await this.#refused(chunk[0] as Write, outcome.error, again)
    const middle = chunk.length >> 1
    await this.#write(chunk.slice(0, middle), attempt, again)
    await this.#write(chunk.slice(middle), attempt, again)
  }

  async #settle(chunk: readonly Write[], outcome: BulkOutcome & { kind: 'answered' }, again: Again): Promise<void> {
    const refused: (() => Promise<void>)[] = []
    const missing = new Set<string>()
    // All items first, so that those which succeeded are done even if another fails the task.
    for (const [i, write] of chunk.entries()) {
      const { work } = write
      const item = outcome.items[i]
      const verdict = item === undefined ? 'done' : classifyItem(item)
      if (verdict === 'done') {
        for (const pending of work.records) this.#delivery.finish(pending.slot)
        leaveRest(write, again)
      } else if (verdict === 'conflict') again.conflicts.push(whole(write))
      else if (verdict === 'retry' || verdict === 'blocked') again.busy.push(whole(write))
      else if (verdict === 'missing-index') {
        missing.add(work.target.resource)
        again.busy.push(whole(write))
      } else if (verdict === 'malformed') refused.push(() => this.#refused(write, item?.error, again))
      else {
        refused.push(async () => {
          for (const pending of work.records) {
            await this.#delivery.refusals.refuse(pending, verdict, item?.error)
            this.#delivery.finish(pending.slot)
          }
          leaveRest(write, again)
        })
      }
    }
    await refuseEach(refused)
    await this.#delivery.recreate(missing)
  }

  /** A document that the server does not take: the record at fault is found by merging one after the other. */
  async #refused(write: Write, error: ItemError | undefined, again: Again): Promise<void> {
    const { target, records } = write.work
    const [single, second] = records
    if (single !== undefined && second === undefined) {
      await this.#delivery.refusals.malformed(single, error)
      this.#delivery.finish(single.slot)
    } else for (const pending of records) await this.#deliver([{ target, records: [pending] }])
    leaveRest(write, again)
  }
}

/** All records of a write that did not take effect, in their order. */
function whole({ work: { target, records }, rest }: Write): Work {
  return { target, records: [...records, ...rest] }
}

/** What stands behind a write that is over is tried next, on the document as it is then. */
function leaveRest({ work: { target }, rest }: Write, again: Again): void {
  if (rest.length > 0) again.rest.push({ target, records: rest })
}

function* inChunks(writes: readonly Write[], maxBytes: number): Iterable<readonly Write[]> {
  let chunk: Write[] = []
  let bytes = 0
  for (const write of writes) {
    if (chunk.length > 0 && bytes + write.bytes.length > maxBytes) {
      yield chunk
      chunk = []
      bytes = 0
    }
    chunk.push(write)
    bytes += write.bytes.length
  }
  if (chunk.length > 0) yield chunk
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

/** @returns null for a document that may be there and could not be read now @throws ConnectError */
function readOf(answer: Value): Read | null {
  if (!isStruct(answer)) throw unreadable('unknown')
  const error = (answer['error'] ?? null) as ItemError | null
  if (error !== null) {
    const verdict = classifyItemRead(error)
    if (verdict === 'refused') throw unreadable(error.type ?? 'unknown')
    return verdict === 'retry' ? null : { document: null, sequence: null }
  }
  const document = answer['_source'] ?? null
  if (answer['found'] !== true) return { document: null, sequence: null }
  if (!isStruct(document)) throw unreadable('_source is not stored')
  const sequence = `,"if_seq_no":${String(answer['_seq_no'])},"if_primary_term":${String(answer['_primary_term'])}`
  return { document, sequence }
}

function unreadable(type: string): ConnectError {
  return new ConnectError(
    'fatal',
    'CONNECT_ES_REQUEST',
    `A document cannot be read to be merged into: ${type}. write.method=merge needs the privilege read, and an index that stores _source.`,
  )
}
