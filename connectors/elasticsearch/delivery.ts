import type { Clock, Logger, Metrics } from '../../worker/api/context.ts'
import { ConnectError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import { type BulkMetrics, bulkMetrics } from './bulk-metrics.ts'
import { BulkRequests } from './bulk-requests.ts'
import type { ServerConnection } from './client.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import { merges } from './config-rules.ts'
import { FlowControl } from './flow-control.ts'
import type { OffsetSlot } from './offset-tracker.ts'
import { Refusals } from './refusals.ts'
import { Backoff } from './retry.ts'

/** What a writer is given. */
export interface WriterOptions {
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
 * What the writer of documents and the writer that merges have in common, made of the same options: how much may be
 * taken and sent, the requests, what becomes of refused records, and when a record is done. One per writer.
 */
export class Delivery {
  readonly metrics: BulkMetrics
  readonly flow: FlowControl
  readonly requests: BulkRequests
  readonly refusals: Refusals
  readonly backoff: Backoff
  /** `bulk.size.bytes`, infinite when it is turned off. */
  readonly maxBytes: number
  readonly #options: WriterOptions
  readonly #itemRetries: number

  constructor(options: WriterOptions) {
    const { config, clock, logger, connection, report } = options
    this.#options = options
    this.metrics = bulkMetrics(options.metrics)
    this.backoff = options.backoff ?? new Backoff(config)
    this.flow = new FlowControl({
      clock,
      maxRecords: mostTaken(config),
      timeoutMs: config['flush.timeout.ms'],
      maxRequests: config['max.in.flight.requests'],
    })
    const { metrics, backoff, flow } = this
    this.requests = new BulkRequests({ config, connection, logger, metrics, backoff, flow })
    this.refusals = new Refusals({ config, logger, metrics, report })
    const limit = config['bulk.size.bytes']
    this.maxBytes = limit < 0 ? Number.POSITIVE_INFINITY : limit
    const own = config['bulk.item.retries']
    this.#itemRetries = own < 0 ? config['max.retries'] : own
  }

  /** Whether another batch may be sent now. */
  get mayStart(): boolean {
    return !this.flow.halted.aborted && this.flow.inFlight < this.#options.config['max.in.flight.requests']
  }

  started(): void {
    this.flow.requestStarts()
    this.metrics.inFlight.set(this.flow.inFlight)
  }

  ended(): void {
    this.flow.requestEnds()
    this.metrics.inFlight.set(this.flow.inFlight)
  }

  /**
   * The record's effect is durable, it was reported, or it is known to be superseded: its offset may be committed (I1).
   * @param count as much for the records delivered next in its partition; 1 for this one alone
   */
  finish({ partition, sequence }: OffsetSlot, count = 1): void {
    partition.finish(sequence, count)
    this.flow.finish(count)
    this.metrics.done.add(count)
  }

  /** Whether nothing is sent again after this attempt. */
  isLast(attempt: number): boolean {
    return attempt > this.#itemRetries
  }

  /** Notes records that the server was too busy for. @throws ConnectError after the last repeat */
  tooBusy(attempt: number, records: number): void {
    if (this.isLast(attempt)) {
      const message = `Failed to index records due to 'the cluster is too busy' after ${attempt} attempt(s)`
      const why =
        'The server took no more writes: its queues were full, shards had no node, or its disk is nearly full (flood stage). See its log; max.retries, retry.backoff.ms and bulk.item.retries say for how long records are sent again.'
      throw new ConnectError('fatal', 'CONNECT_ES_RETRIES_EXHAUSTED', message, {
        cause: new ConnectError('fatal', 'CONNECT_ES_RETRIES_EXHAUSTED', why),
        context: { attempts: attempt },
      })
    }
    this.#options.logger.warn(
      { attempt, records },
      'Elasticsearch took some records not yet, as it is too busy or their index is blocked',
    )
  }

  /** Creates indices that have gone. @throws ConnectError */
  async recreate(resources: Iterable<string>): Promise<void> {
    for (const resource of resources) await this.#options.recreate(resource)
  }
}

/**
 * Records that may be taken and not finished. With one request at a time the reference sends from within `put`, which
 * so meets the failure of every record but the last ones, and nothing of that `put` is committed. Here the next batch
 * may fill meanwhile, so that requests stay full; with `batch.size=1` it is record by record all the same. What is
 * merged is batched by documents, of which one may take many records.
 */
function mostTaken(config: ElasticsearchSinkConfig): number {
  const most = config['max.buffered.records']
  if (merges(config) || config['max.in.flight.requests'] > 1) return most
  return Math.min(most, 2 * config['batch.size'] - 1)
}
