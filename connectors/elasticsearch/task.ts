import { GrowingByteWriter } from '../../worker/api/byte-writer.ts'
import { ConnectError, DataError, kindOf, toError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import type { SinkTask, SinkTaskContext } from '../../worker/api/task.ts'
import { type Offsets, type TopicPartition, TopicPartitionMap } from '../../worker/api/topic-partition.ts'
import { BulkWriter } from './bulk-writer.ts'
import { openConnection, type ServerConnection } from './client.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import { mapsToExisting, merges, usesDataStreams } from './config-rules.ts'
import type { WriterOptions } from './delivery.ts'
import { type Action, DocumentWriter } from './documents.ts'
import { MergeStage } from './merge-stage.ts'
import { type OffsetSlot, OffsetTracker } from './offset-tracker.ts'
import { resourceNaming } from './resource-names.ts'
import { type ResourceKind, Resources } from './resources.ts'
import { Backoff } from './retry.ts'

/** What a started task works with. */
interface Parts {
  readonly config: ElasticsearchSinkConfig
  readonly context: SinkTaskContext
  readonly connection: ServerConnection
  readonly resources: Resources
  readonly documents: DocumentWriter
  readonly stage: Stage
  readonly resourceOf: (record: SinkRecord) => string
  readonly reports: boolean
  /** Ends waits for resources when the task stops. */
  readonly halt: AbortController
}

/** Either whole documents go out, or records are merged into documents. */
type Stage =
  | { readonly kind: 'write'; readonly writer: BulkWriter }
  | { readonly kind: 'merge'; readonly writer: MergeStage['writer']; readonly merge: MergeStage }

/** Delivery is held back when so many times `max.buffered.records` wait behind the first that is not done. */
const pauseFactor = 10
const resumeFactor = 5
/** Wait in ms before the next look while delivery is held back. */
const pausedLookMs = 100

/** Writes records into Elasticsearch; offsets become committable as the server acknowledges (I1, I2). */
export class ElasticsearchSinkTask implements SinkTask<ElasticsearchSinkConfig> {
  readonly takesPlainJson = true
  readonly #offsets = new OffsetTracker()
  readonly #scratch = new GrowingByteWriter(16 * 1024)
  #parts: Parts | null = null
  /** Whether delivery is held back. */
  #paused = false

  /** Bytes are copied into requests; only records that may have to be reported are kept. */
  get copiesRecords(): boolean {
    return this.#parts?.reports === false
  }

  async start(config: ElasticsearchSinkConfig, context: SinkTaskContext): Promise<void> {
    const connection = await openConnection(config)
    const halt = new AbortController()
    const { clock, logger, metrics } = context
    const backoff = new Backoff(config)
    const kind = resourceKind(config)
    const retry = { backoff, maxRetries: config['max.retries'], clock, logger, signal: halt.signal }
    const fenceField = merges(config) ? config['merge.fence.field'] : null
    const resources = new Resources({ connection, kind, fenceField, retry })
    // Without errors.tolerance=all a report would fail the task, and what to do is this connector's own option.
    const reports = context.rawConfig['errors.tolerance']?.toLowerCase() === 'all'
    const documents = new DocumentWriter(config)
    const stage = openStage(
      { documents, reports },
      {
        config,
        connection,
        clock,
        logger,
        metrics,
        backoff,
        report: (record, error) => context.report(record, error),
        recreate: (resource) => resources.recreate(resource),
      },
    )
    this.#parts = {
      config,
      context,
      connection,
      resources,
      documents,
      stage,
      resourceOf: resourceNaming(config),
      reports,
      halt,
    }
  }

  async open(partitions: readonly TopicPartition[]): Promise<void> {
    this.#offsets.drop(partitions)
  }

  async put(records: readonly SinkRecord[], signal: AbortSignal): Promise<void> {
    const parts = this.#started()
    parts.stage.writer.throwIfFailed()
    for (const record of records) {
      if (signal.aborted) return
      const slot = this.#offsets.add(record)
      if (record.rawValue === null && (await this.#skipsNull(record, parts))) {
        slot.partition.finish(slot.sequence, 1)
        continue
      }
      const resource = nameOf(record, parts)
      if (resource instanceof Error) {
        await this.#invalid(record, parts, resource)
        slot.partition.finish(slot.sequence, 1)
        continue
      }
      const { stage, resources, documents } = parts
      const schemaCounts = !documents.ignoresSchema(record.topic)
      if (!resources.isReady(resource, schemaCounts)) {
        // A tombstone seldom has one: the next record says what the mapping is.
        const schema = record.valueSchema ?? (record.rawValue === null ? undefined : null)
        await resources.ensure(resource, schemaCounts ? schema : undefined)
      }
      // From here on no promise per record, unless the record is invalid or the buffer full.
      const taken =
        stage.kind === 'write'
          ? this.#write(record, { slot, resource, parts, signal, writer: stage.writer })
          : this.#merge(record, { slot, resource, parts, signal, merge: stage.merge })
      // Not taken: the task is being stopped, and the slot stays pending, so nothing is lost.
      if (taken !== true && !(await taken)) return
    }
    this.#holdBack(parts)
  }

  /** @returns whether the record was taken, or is done; a promise when that takes time */
  #write(
    record: SinkRecord,
    { slot, resource, parts, signal, writer }: Step & { readonly writer: BulkWriter },
  ): true | Promise<boolean> {
    const action = this.#convert(record, resource, parts)
    if (action instanceof Error) return this.#drop(record, slot, parts, action)
    const pending = { record: parts.reports ? record : null, slot, action }
    const bytes = this.#scratch.since(0)
    return writer.tryAdd(pending, bytes) || writer.add(pending, bytes, signal)
  }

  /** As `#write`, for a record that is merged. */
  #merge(
    record: SinkRecord,
    { slot, resource, parts, signal, merge }: Step & { readonly merge: MergeStage },
  ): true | Promise<boolean> {
    try {
      const pending = merge.pending(record, slot, resource)
      return merge.writer.tryAdd(pending) || merge.writer.add(pending, signal)
    } catch (error) {
      return this.#drop(record, slot, parts, recordError(error))
    }
  }

  async #drop(record: SinkRecord, slot: OffsetSlot, parts: Parts, error: Error): Promise<true> {
    await this.#invalid(record, parts, error)
    slot.partition.finish(slot.sequence, 1)
    return true
  }

  /** One request that hangs must not let the records behind it pile up without bound: their offsets are kept. */
  #holdBack({ config, context }: Parts): void {
    const held = this.#offsets.heldCount()
    const limit = config['max.buffered.records']
    if (held > pauseFactor * limit) {
      if (!this.#paused) context.logger.info({ held }, 'Delivery is held back until earlier records are written')
      this.#paused = true
      context.pause(context.assignment())
    } else if (this.#paused && held <= resumeFactor * limit) {
      this.#paused = false
      context.resume(context.assignment())
    }
    if (this.#paused) context.timeout(pausedLookMs)
  }

  /** Decides about a tombstone. @returns whether there is nothing to write */
  async #skipsNull(record: SinkRecord, parts: Parts): Promise<boolean> {
    switch (parts.config['behavior.on.null.values'].toLowerCase()) {
      case 'ignore':
        await report(parts, record, new DataError('CONNECT_ES_RECORD', 'Cannot write null valued record.'))
        return true
      case 'delete':
        // Nothing may say which document to delete.
        if (parts.stage.kind === 'merge' && parts.stage.merge.hasIdInValue(record.topic)) {
          await report(
            parts,
            record,
            new DataError('CONNECT_ES_RECORD', 'A tombstone has no field for the document id'),
          )
          return true
        }
        if (record.key !== null) return false
        // Where keys are ignored, no tombstone meets a document: there is nothing to tell.
        if (!parts.documents.ignoresKey(record.topic)) {
          await report(
            parts,
            record,
            new DataError('CONNECT_ES_RECORD', 'Key is used as document id and can not be null.'),
          )
        }
        return true
      default:
        await this.#invalid(record, parts, nullValue(record))
        return true
    }
  }

  /** Writes the record's lines into the scratch buffer. @returns the error of a record that cannot be converted */
  #convert(record: SinkRecord, resource: string, parts: Parts): Action | Error {
    this.#scratch.reset()
    try {
      return parts.documents.write(record, resource, this.#scratch)
    } catch (error) {
      return recordError(error)
    }
  }

  /** @throws ConnectError unless invalid messages are dropped */
  async #invalid(record: SinkRecord, parts: Parts, error: Error): Promise<void> {
    await report(parts, record, error)
    if (parts.config['drop.invalid.message']) return
    const { originalTopic: topic, originalPartition: partition, offset } = record
    throw new ConnectError(
      'fatal',
      'CONNECT_ES_RECORD',
      `The record topic=${topic} partition=${partition} offset=${offset} cannot be written; drop.invalid.message=true skips such records`,
      { cause: error, context: { topic, partition, offset } },
    )
  }

  async preCommit(current: Offsets): Promise<Offsets> {
    const parts = this.#parts
    if (parts === null) return this.#offsets.committable(current)
    const { config, stage } = parts
    // After a failure, too, what was written before it may be committed; the framework offers nothing of a failed `put`.
    if (!config['flush.synchronously']) {
      stage.writer.flush()
      return this.#offsets.committable(current)
    }
    // As in the reference all that was delivered is committed or nothing: what was written goes out again, under the same
    // ids and versions. Ids that the server makes up would be others: there each document that is done counts.
    const isDone = await stage.writer.drain(config['flush.timeout.ms'])
    if (!isDone && !config['use.autogenerated.ids']) return new TopicPartitionMap()
    return this.#offsets.committable(current)
  }

  async close(partitions: readonly TopicPartition[]): Promise<void> {
    const parts = this.#parts
    // A zombie's late request could bring back what the next owner has deleted (I7).
    if (parts !== null) await parts.stage.writer.drain(parts.config['flush.timeout.ms'])
    this.#offsets.drop(partitions)
  }

  async stop(): Promise<void> {
    const parts = this.#parts
    if (parts === null) return
    this.#parts = null
    try {
      await parts.stage.writer.drain(parts.config['flush.timeout.ms'])
    } finally {
      parts.halt.abort()
      await parts.stage.writer.close()
      await parts.connection.close()
    }
  }

  #started(): Parts {
    if (this.#parts === null) throw new ConnectError('fatal', 'CONNECT_ES_REQUEST', 'The task is not running')
    return this.#parts
  }
}

/** What a record is worked on with. */
interface Step {
  readonly slot: OffsetSlot
  readonly resource: string
  readonly parts: Parts
  readonly signal: AbortSignal
}

function openStage(
  { documents, reports }: { readonly documents: DocumentWriter; readonly reports: boolean },
  options: WriterOptions,
): Stage {
  if (!merges(options.config)) return { kind: 'write', writer: new BulkWriter(options) }
  const merge = new MergeStage(options, documents, reports)
  return { kind: 'merge', writer: merge.writer, merge }
}

/** Name of the record's index; the error of a record that it cannot be made of. */
function nameOf(record: SinkRecord, parts: Parts): string | Error {
  try {
    return parts.resourceOf(record)
  } catch (error) {
    return recordError(error)
  }
}

/** @throws the error itself when it is not about one record */
function recordError(error: unknown): Error {
  if (kindOf(error) !== 'record') throw error
  return toError(error)
}

async function report(parts: Parts, record: SinkRecord, error: Error): Promise<void> {
  if (parts.reports) await parts.context.report(record, error)
}

function nullValue(record: SinkRecord): DataError {
  return new DataError(
    'CONNECT_ES_RECORD',
    `record from topic=${record.originalTopic} partition=${record.originalPartition} offset=${record.offset} has a null value (to ignore future records like this change the configuration property 'behavior.on.null.values' from 'FAIL' to 'IGNORE')`,
  )
}

function resourceKind(config: ElasticsearchSinkConfig): ResourceKind {
  if (mapsToExisting(config)) return usesDataStreams(config) ? 'existing-data-stream' : 'existing'
  return usesDataStreams(config) ? 'data-stream' : 'index'
}
