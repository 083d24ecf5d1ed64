import { DataError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import { parseTopicFields } from './config-validators.ts'
import type { WriterOptions } from './delivery.ts'
import { checkedId } from './document-id.ts'
import type { DocumentWriter } from './documents.ts'
import type { MergeOperation } from './merge-document.ts'
import { MergeRules } from './merge-rules.ts'
import { MergeWriter, type PendingMerge } from './merge-writer.ts'
import type { OffsetSlot } from './offset-tracker.ts'
import { partText } from './record-text.ts'

/** Turns records into operations on documents, with `write.method=merge`. */
export class MergeStage {
  readonly writer: MergeWriter
  readonly #reports: boolean
  readonly #rules: MergeRules
  readonly #documents: DocumentWriter
  readonly #idFields: ReadonlyMap<string, readonly string[]>

  /** @param reports whether refused records are reported, and so kept until they are done */
  constructor(options: WriterOptions, documents: DocumentWriter, reports: boolean) {
    this.#reports = reports
    this.#rules = new MergeRules(options.config)
    this.#documents = documents
    this.#idFields = parseTopicFields(options.config['merge.id.fields'])
    this.writer = new MergeWriter(options, this.#rules)
  }

  /** Whether a tombstone of the topic names no document, as the id of its records stands in their values. */
  hasIdInValue(topic: string): boolean {
    return this.#idFields.has(topic)
  }

  /** @throws DataError for a record that cannot be merged */
  pending(record: SinkRecord, slot: OffsetSlot, resource: string): PendingMerge {
    return {
      record: this.#reports ? record : null,
      slot,
      resource,
      id: this.#id(record),
      routing: this.#documents.routing(record),
      operation: this.#operation(record),
    }
  }

  #id(record: SinkRecord): string {
    const path = this.#idFields.get(record.topic)
    if (path === undefined) return this.#documents.id(record)
    if (record.rawValue === null)
      throw new DataError('CONNECT_ES_RECORD', 'A tombstone has no field for the document id')
    return checkedId(partText(record, { from: 'value', path }), `The field '${path.join('.')}'`)
  }

  #operation(record: SinkRecord): MergeOperation {
    return {
      source: this.#rules.fenceKey(record.originalTopic, record.originalPartition),
      offset: record.offset,
      timestamp: record.timestamp,
      changes: record.rawValue === null ? null : this.#rules.changes(record.topic, this.#documents.document(record)),
    }
  }
}
