import type { Logger } from '../../worker/api/context.ts'
import { ConnectError, toError } from '../../worker/api/errors.ts'
import { BulkSuccess, bulkQuery } from './bulk-answer.ts'
import type { BulkMetrics } from './bulk-metrics.ts'
import type { ServerConnection, ServerRequest } from './client.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import { type BulkItem, classify, type ItemError, reasonOf, requestError, serverError, statusOf } from './errors.ts'
import { type FlowControl, taskClosed } from './flow-control.ts'
import type { Backoff } from './retry.ts'

/** Outcome of one bulk request: what became of each action, or that it was refused before any was looked at. */
export type BulkOutcome =
  | { readonly kind: 'answered'; readonly errors: boolean; readonly items: readonly BulkItem[] }
  | { readonly kind: 'unread'; readonly error: ItemError }

export interface BulkRequestsOptions {
  readonly config: ElasticsearchSinkConfig
  readonly connection: ServerConnection
  readonly logger: Logger
  readonly metrics: BulkMetrics
  readonly backoff: Backoff
  readonly flow: FlowControl
}

/** Requests repeated while they fail as a whole (KIP-610 does not apply to them: no single record is at fault). */
export class BulkRequests {
  readonly #options: BulkRequestsOptions
  readonly #query: string

  constructor(options: BulkRequestsOptions) {
    this.#options = options
    const pipeline = options.config['pipeline.name']
    this.#query = pipeline === '' ? bulkQuery : `${bulkQuery}&pipeline=${encodeURIComponent(pipeline)}`
  }

  /**
   * Sends the lines of `actions` actions.
   * @param attempt of the actions so far, 1 at first: repeats of items and of requests count together, unless items
   * have a count of their own
   * @throws ConnectError that fails the task
   */
  async bulk(ndjson: Uint8Array, actions: number, attempt: number): Promise<BulkOutcome> {
    const first = this.#options.config['bulk.item.retries'] < 0 ? attempt : 1
    let answer: unknown
    try {
      answer = await this.#repeat('execute bulk request', actions, first, () => {
        this.#options.metrics.requests.add(1)
        this.#options.metrics.bytes.add(ndjson.length)
        return { method: 'POST', path: '/_bulk', query: this.#query, ndjson }
      })
    } catch (error) {
      if (this.#options.flow.cut.aborted) throw error
      if (!isDivisible(error)) throw failedBulk(error)
      const reason = `the request was refused with HTTP ${statusOf(error)}: ${ndjson.length} bytes`
      return { kind: 'unread', error: { type: 'content_too_long_exception', reason, ...serverError(error) } }
    }
    return readAnswer(answer, actions)
  }

  /** A request that reads. @throws ConnectError */
  async read(what: string, request: ServerRequest, actions: number): Promise<unknown> {
    try {
      return await this.#repeat(what, actions, 1, () => request)
    } catch (error) {
      throw failed(what, error)
    }
  }

  async #repeat(what: string, actions: number, first: number, request: () => ServerRequest): Promise<unknown> {
    const { config, connection, flow, logger, metrics, backoff } = this.#options
    for (let attempt = first; ; attempt++) {
      try {
        return await flow.request(() => connection.request(request(), flow.cut), isOverload)
      } catch (error) {
        if (flow.cut.aborted) throw taskClosed()
        if (classify(error) !== 'retry') throw error
        if (attempt > config['max.retries']) throw requestError({ what, error, attempts: attempt })
        metrics.retries.add(actions)
        logger.warn(
          { attempt, records: actions, error: reasonOf(error) },
          'Elasticsearch bulk request failed, will be repeated',
        )
        await flow.pause(backoff.waitMs(attempt))
      }
    }
  }
}

/** A request that went out once. What the server says of one that it cannot read may quote it (I8). */
function failed(what: string, error: unknown): ConnectError {
  if (error instanceof ConnectError) return error
  return requestError({ what, error, attempts: 1, quotesData: statusOf(error) === 400 })
}

/** The error that fails the task, with what happened as its cause, as in Confluent's traces. */
function failedBulk(error: unknown): ConnectError {
  const cause = failed('execute bulk request', error)
  return new ConnectError('fatal', cause.code, 'Bulk request failed', { cause, context: cause.context })
}

/** Anything that a repeat may mend, but a connection that was refused or lost. */
function isOverload(error: unknown): boolean {
  return classify(error) === 'retry' && toError(error).name !== 'ConnectionError'
}

/** With 400: one action cannot be read, or fails validation, and the server looks at none of them. */
const unreadableTypes: ReadonlySet<string> = new Set([
  'action_request_validation_exception',
  'parse_exception',
  'x_content_parse_exception',
])

/** A request that smaller parts may get through. Other answers with 400 are about more than single actions. */
function isDivisible(error: unknown): boolean {
  if (error instanceof ConnectError) return false
  if (classify(error) === 'split') return true
  return statusOf(error) === 400 && unreadableTypes.has(serverError(error)?.type ?? '')
}

function readAnswer(answer: unknown, actions: number): BulkOutcome {
  if (answer instanceof BulkSuccess) {
    checkItems(answer.items, actions)
    return noErrors
  }
  if (typeof answer !== 'object' || answer === null || !('errors' in answer)) {
    const message =
      'The bulk answer is not one of Elasticsearch: check that connection.url leads to it, and what stands in between'
    throw new ConnectError('fatal', 'CONNECT_ES_REQUEST', message)
  }
  const raw = 'items' in answer && Array.isArray(answer.items) ? (answer.items as readonly object[]) : []
  checkItems(raw.length, actions)
  if (answer.errors === false) return noErrors
  // Each item has one member, named after its action.
  return { kind: 'answered', errors: true, items: raw.map((item) => Object.values(item)[0] as BulkItem) }
}

const noErrors: BulkOutcome = { kind: 'answered', errors: false, items: [] }

function checkItems(items: number, actions: number): void {
  if (items === actions) return
  throw new ConnectError('fatal', 'CONNECT_ES_REQUEST', 'The bulk answer does not have one item per action', {
    context: { actions, items },
  })
}
