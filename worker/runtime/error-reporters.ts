/** Reports of records that could not be processed: the log, and the dead letter queue with its context headers. */
import type { Logger } from '../api/context.ts'
import { ConnectError } from '../api/errors.ts'
import type { Delivery, Producer, ProducerRecord, RecordHeader } from '../kafka/types.ts'
import { errorClassName, traceOf } from '../util/error-codec.ts'
import type { ErrorCounters, ErrorReporter, RecordFailure } from './retry.ts'
import type { TaskId } from './worker-types.ts'

/** `errors.log.enable`: one ERROR line per failed record; its content never stands in it (I8). */
export class LogReporter implements ErrorReporter {
  readonly #id: TaskId
  readonly #logger: Logger
  readonly #includeMessages: boolean
  readonly #counters: ErrorCounters

  constructor(options: { id: TaskId; logger: Logger; includeMessages: boolean; counters: ErrorCounters }) {
    this.#id = options.id
    this.#logger = options.logger
    this.#includeMessages = options.includeMessages
    this.#counters = options.counters
  }

  async report(failure: RecordFailure): Promise<void> {
    this.#logger.error({ error: failure.error }, errorLogMessage(this.#id, failure, this.#includeMessages))
    this.#counters.logged()
  }

  async close(): Promise<void> {}
}

/** Connect's log text of a failed record; coordinates only with `errors.log.include.messages`. */
export function errorLogMessage(id: TaskId, failure: RecordFailure, includeMessages: boolean): string {
  const where = `Error encountered in task ${id.connector}-${id.task}. Executing stage '${failure.stage}' with class '${failure.className}'`
  if (!includeMessages) return `${where}.`
  const { consumed, source } = failure
  if (consumed !== null) {
    const { record } = consumed
    const time =
      record.timestampType === 'NoTimestampType'
        ? ''
        : `, timestamp=${record.timestamp}, timestampType=${record.timestampType}`
    return `${where}, where consumed record is {topic='${consumed.topic}', partition=${consumed.partition}, offset=${record.offset}${time}}.`
  }
  if (source !== null) {
    const text = (value: unknown) =>
      JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? item.toString() : item))
    return `${where}, where source record is = SourceRecord{sourcePartition=${text(source.sourcePartition)}, sourceOffset=${text(source.sourceOffset)}, topic='${source.topic}'}.`
  }
  return `${where}.`
}

const headerPrefix = '__connect.errors.'

/** The headers of `errors.deadletterqueue.context.headers.enable`, as UTF-8 text (KIP-298). */
export function contextHeaders(id: TaskId, failure: RecordFailure): RecordHeader[] {
  const header = (name: string, value: string | null): RecordHeader => ({
    key: headerPrefix + name,
    value: value === null ? null : Buffer.from(value, 'utf8'),
  })
  const headers: RecordHeader[] = []
  const { consumed, error } = failure
  if (consumed !== null) {
    headers.push(
      header('topic', consumed.topic),
      header('partition', String(consumed.partition)),
      header('offset', consumed.record.offset.toString()),
    )
  }
  headers.push(
    header('connector.name', id.connector),
    header('task.id', String(id.task)),
    header('stage', failure.stage),
    header('class.name', failure.className),
    header('exception.class.name', errorClassName(error)),
    header('exception.message', error.message === '' ? null : error.message),
    header('exception.stacktrace', traceOf(error)),
  )
  for (const [name, value] of Object.entries(error instanceof ConnectError ? error.context : {})) {
    if (name.includes('.')) headers.push({ key: name, value: Buffer.from(String(value), 'utf8') })
  }
  return headers
}

export interface DeadLetterOptions {
  readonly id: TaskId
  readonly topic: string
  readonly contextHeaders: boolean
  readonly producer: Producer
  readonly logger: Logger
  readonly counters: ErrorCounters
}

/** Writes failed records, as they were consumed, to the dead letter queue. The topic exists before it is made. */
export class DeadLetterReporter implements ErrorReporter {
  readonly #options: DeadLetterOptions

  constructor(options: DeadLetterOptions) {
    this.#options = options
  }

  /** Resolves when the record is durable, or when its failure has been logged and counted (Connect: the task goes on). */
  async report(failure: RecordFailure): Promise<void> {
    const { consumed } = failure
    if (consumed === null) return
    const { id, topic, producer, logger, counters } = this.#options
    counters.deadLetterRequest()
    const { record } = consumed
    const letter: ProducerRecord = {
      topic,
      partition: null,
      key: record.key,
      value: record.value,
      headers: this.#options.contextHeaders ? [...record.headers, ...contextHeaders(id, failure)] : record.headers,
      timestamp: record.timestamp < 0 ? null : record.timestamp,
    }
    try {
      await producer.ready()
      await new Promise<void>((resolve, reject) => {
        const delivery: Delivery = { delivered: () => resolve(), failed: (_, error) => reject(error) }
        producer.append(letter, delivery)
      })
    } catch (error) {
      counters.deadLetterFailure()
      logger.error(
        { error, topic: consumed.topic, partition: consumed.partition, offset: record.offset },
        `Could not produce message to dead letter queue. topic=${topic}`,
      )
    }
  }

  async close(): Promise<void> {
    await this.#options.producer.close(30_000)
  }
}
