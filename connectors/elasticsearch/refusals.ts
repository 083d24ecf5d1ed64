import type { Logger } from '../../worker/api/context.ts'
import { ConnectError, DataError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import type { BulkMetrics } from './bulk-metrics.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import { describeItemError, type ItemError, type ItemVerdict, itemDiagnosis } from './errors.ts'
import type { OffsetSlot } from './offset-tracker.ts'

/** A record that was refused; without its content when there is nobody to report it to. */
export interface Refused {
  readonly record: SinkRecord | null
  readonly slot: OffsetSlot
}

export interface RefusalsOptions {
  readonly config: ElasticsearchSinkConfig
  readonly logger: Logger
  readonly metrics: BulkMetrics
  /** Reports a refused record to the dead letter queue. */
  report(record: SinkRecord, error: Error): Promise<void>
}

/** What becomes of a record whose document the server does not take: by the `behavior.on.…` options. */
export class Refusals {
  readonly #options: RefusalsOptions

  constructor(options: RefusalsOptions) {
    this.#options = options
  }

  /** Returns when the record counts as done. @throws ConnectError when it fails the task */
  async refuse(refused: Refused, verdict: ItemVerdict, error: ItemError | undefined): Promise<void> {
    if (verdict === 'conflict') return await this.#conflict(refused, error)
    if (verdict === 'malformed') return await this.malformed(refused, error)
    await this.#report(refused, rejected(error))
    const skips = this.#options.config['behavior.on.closed.index'].toLowerCase() === 'skip'
    if (verdict !== 'closed-index' || !skips) throw failTask(refused, error, 'CONNECT_ES_REJECTED')
    this.#options.logger.warn(coordinates(refused, error), 'The index is closed; the record is skipped')
  }

  /** @throws ConnectError with `behavior.on.malformed.documents=fail` */
  async malformed(refused: Refused, error: ItemError | undefined): Promise<void> {
    const { config, logger, metrics } = this.#options
    metrics.malformed.add(1)
    await this.#report(refused, rejected(error))
    const behavior = config['behavior.on.malformed.documents'].toLowerCase()
    if (behavior === 'fail') throw failTask(refused, error, 'CONNECT_ES_REJECTED')
    if (behavior === 'warn') {
      logger.warn(coordinates(refused, error), 'Elasticsearch refused a document; it is skipped')
    }
  }

  async #report({ record }: Refused, error: Error): Promise<void> {
    if (record !== null) await this.#options.report(record, error)
  }

  /** The index has the same or a later version: what a replay looks like. */
  async #conflict(refused: Refused, error: ItemError | undefined): Promise<void> {
    const { config, logger, metrics } = this.#options
    metrics.conflicts.add(1)
    const behavior = config['behavior.on.version.conflict'].toLowerCase()
    if (behavior === 'report' || behavior === 'fail') {
      await this.#report(refused, rejected(error, 'CONNECT_ES_CONFLICT'))
    }
    if (behavior === 'fail') throw failTask(refused, error, 'CONNECT_ES_CONFLICT')
    if (behavior === 'warn') logger.warn(coordinates(refused, error), 'The index has this or a later version')
  }
}

/** Carries out all refusals of one answer, so that each record is reported. @throws the first failure of any */
export async function refuseEach(refusals: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = []
  for (const refuse of refusals) await refuse().catch((error: unknown) => failures.push(error))
  if (failures.length > 0) throw failures[0]
}

type RefusalCode = 'CONNECT_ES_REJECTED' | 'CONNECT_ES_CONFLICT'

function coordinates({ slot }: Refused, error: ItemError | undefined) {
  // The reason may quote the document (I8).
  const { topic, partition } = slot.partition.source
  const offset = slot.partition.offsetOf(slot.sequence)
  return { topic, partition, offset: offset.toString(), type: error?.type ?? null }
}

function rejected(error: ItemError | undefined, code: RefusalCode = 'CONNECT_ES_REJECTED'): DataError {
  return new DataError(code, describeItemError(error))
}

/** In the words of the reference, which say nothing about the record: its cause does, as far as it quotes none (I8). */
function failTask(refused: Refused, error: ItemError | undefined, code: RefusalCode): ConnectError {
  const context = coordinates(refused, error)
  const { topic, partition, offset, type } = context
  const parts = [
    `The record topic=${topic} partition=${partition} offset=${offset} was refused with ${type ?? 'no reason'}.`,
    itemDiagnosis(error),
    refused.record === null
      ? 'The reason in full goes to a dead letter queue: set errors.tolerance=all and errors.deadletterqueue.topic.name.'
      : null,
  ]
  const cause = new ConnectError('fatal', code, parts.filter((part) => part !== null).join(' '))
  return new ConnectError('fatal', code, 'Indexing record failed. Please check DLQ topic for errors.', {
    cause,
    context,
  })
}
