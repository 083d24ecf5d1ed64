/**
 * The way of a consumed record to `put`: key, value, headers, then transforms. Synchronous per record; a record that
 * fails, or whose converter must load something first, is handled outside the loop, in order (I4).
 */
import type { Converter, SchemaAndValue } from '../api/converter.ts'
import type { PlainJson } from '../api/plain-json.ts'
import { type Header, noHeaders, SinkRecord } from '../api/record.ts'
import type { ConsumerBatch, ConsumerRecord } from '../kafka/types.ts'
import type { LoadedConverter, TaskConverters } from './converters.ts'
import type { ConsumedRecord, ErrorOperator, RecordFailure, Stage } from './retry.ts'
import type { TransformationChain } from './transformation-chain.ts'

const untyped: SchemaAndValue = Object.freeze({ schema: null, value: null })

export interface SinkPipelineOptions {
  readonly chain: TransformationChain
  readonly converters: TaskConverters
  readonly errors: ErrorOperator
  /** Keeps the consumed bytes of each record for reports that the task makes later; only with a dead letter queue. */
  readonly keepOriginals: boolean
}

export class SinkPipeline {
  readonly #options: SinkPipelineOptions
  readonly #needsPrepare: boolean
  readonly #originals = new WeakMap<SinkRecord, ConsumedRecord>()
  #stage: Stage = 'KEY_CONVERTER'
  #className = ''
  #failure: unknown = null
  /** For a task that asks for it, when no transform would look at the value first. */
  #plainJson = false

  constructor(options: SinkPipelineOptions) {
    this.#options = options
    const { key, value } = options.converters
    this.#needsPrepare = key.converter.needsPrepare !== undefined || value.converter.needsPrepare !== undefined
  }

  /** Whether records refer to the bytes that they were read from. */
  get keepsBytes(): boolean {
    const { key, value, header } = this.#options.converters
    const all = [key.converter, value.converter, header.converter]
    return this.#plainJson || all.some(({ copiesBytes }) => copiesBytes !== true)
  }

  /** From now on values may stay in their bytes (`SinkTask.takesPlainJson`). */
  keepPlainJson(): void {
    this.#plainJson = this.#options.chain.empty
  }

  /**
   * Appends the batch's records to `out`; those that a transform drops, or that fail and are tolerated, are left out.
   * @returns false when `signal` aborted first: the position must not move past this batch (I3)
   * @throws ConnectError when a record fails and is not tolerated, after it has been reported
   */
  async convert(batch: ConsumerBatch, out: SinkRecord[], signal: AbortSignal): Promise<boolean> {
    const { records } = batch
    for (let i = 0; i < records.length; ) {
      const next = this.#convertWhilePossible(batch, i, out)
      if (next === records.length) return true
      if (!(await this.#convertSlowly(batch, records[next] as ConsumerRecord, out, signal))) return false
      i = next + 1
    }
    return true
  }

  /** The original of a record that the task was given; null when it is not known. */
  originalOf(record: SinkRecord): ConsumedRecord | null {
    return this.#originals.get(record) ?? null
  }

  /** A record of which nothing is kept, converted back by the sink's own converters, as Connect does. */
  convertBack(record: SinkRecord): ConsumedRecord {
    const { key, value, header } = this.#options.converters
    const { originalTopic: topic, headers, timestampType } = record
    return {
      topic,
      partition: record.originalPartition,
      record: {
        offset: record.offset,
        timestamp: record.timestamp ?? -1,
        timestampType,
        key: key.converter.fromConnectData(topic, headers, record.keySchema, record.key),
        value: value.converter.fromConnectData(topic, headers, record.valueSchema, record.value),
        headers: headers.map((h) => ({
          key: h.key,
          value: header.converter.fromConnectHeader(topic, h.key, h.schema, h.value),
        })),
      },
    }
  }

  /** @returns index of the record that needs more than a synchronous call, or the end */
  #convertWhilePossible(batch: ConsumerBatch, from: number, out: SinkRecord[]): number {
    const { records } = batch
    let i = from
    try {
      for (; i < records.length; i++) {
        const consumed = records[i] as ConsumerRecord
        if (this.#needsPrepare && this.#mustPrepare(batch.topic, consumed)) {
          this.#failure = null
          return i
        }
        this.#push(batch, consumed, this.#attempt(batch, consumed), out)
      }
    } catch (error) {
      this.#failure = error
    }
    return i
  }

  #push(batch: ConsumerBatch, consumed: ConsumerRecord, record: SinkRecord | null, out: SinkRecord[]): void {
    if (record === null) return
    out.push(record)
    if (this.#options.keepOriginals) this.#originals.set(record, copyOf(batch, consumed))
  }

  /** @returns false when stopped */
  async #convertSlowly(
    batch: ConsumerBatch,
    consumed: ConsumerRecord,
    out: SinkRecord[],
    signal: AbortSignal,
  ): Promise<boolean> {
    let failure = this.#failure
    this.#failure = null
    if (failure === null) {
      try {
        await this.#prepare(batch.topic, consumed, signal)
        this.#push(batch, consumed, this.#attempt(batch, consumed), out)
        return true
      } catch (error) {
        if (signal.aborted) return false
        failure = error
      }
    }
    const place = (): Omit<RecordFailure, 'error'> => ({
      stage: this.#stage,
      className: this.#className,
      consumed: { topic: batch.topic, partition: batch.partition, record: consumed },
      source: null,
    })
    // What could not be loaded is asked for again: a registry may be away for a while.
    const attempt = async (): Promise<SinkRecord | null> => {
      if (this.#needsPrepare) await this.#prepare(batch.topic, consumed, signal)
      return this.#attempt(batch, consumed)
    }
    const recovery = await this.#options.errors.recover(failure, attempt, place, signal)
    if (recovery.kind === 'value') this.#push(batch, consumed, recovery.value, out)
    return recovery.kind !== 'stopped'
  }

  #mustPrepare(topic: string, { key, value }: ConsumerRecord): boolean {
    const { converters } = this.#options
    return (
      (converters.key.converter.needsPrepare?.(topic, key) ?? false) ||
      (converters.value.converter.needsPrepare?.(topic, value) ?? false)
    )
  }

  async #prepare(topic: string, { key, value }: ConsumerRecord, signal: AbortSignal): Promise<void> {
    const { converters } = this.#options
    await this.#prepareOne('KEY_CONVERTER', converters.key, topic, key, signal)
    await this.#prepareOne('VALUE_CONVERTER', converters.value, topic, value, signal)
  }

  async #prepareOne(
    stage: Stage,
    { converter, className }: LoadedConverter,
    topic: string,
    bytes: Uint8Array | null,
    signal: AbortSignal,
  ): Promise<void> {
    const loading: Converter<unknown> = converter
    if (!loading.needsPrepare?.(topic, bytes)) return
    this.#stage = stage
    this.#className = className
    await loading.prepare?.(topic, bytes, signal)
  }

  /** @returns null when a transform dropped the record */
  #attempt(batch: ConsumerBatch, consumed: ConsumerRecord): SinkRecord | null {
    const { chain, converters } = this.#options
    const { topic } = batch
    const headers = consumed.headers.length === 0 ? noHeaders : this.#convertHeaders(topic, consumed)
    this.#stage = 'KEY_CONVERTER'
    this.#className = converters.key.className
    const key = converters.key.converter.toConnectData(topic, headers, consumed.key)
    this.#stage = 'VALUE_CONVERTER'
    this.#className = converters.value.className
    const plain = this.#plainJson ? this.#toPlainJson(consumed.value) : null
    const value = plain === null ? converters.value.converter.toConnectData(topic, headers, consumed.value) : untyped
    const record = new SinkRecord({
      topic,
      partition: batch.partition,
      offset: consumed.offset,
      keySchema: key.schema,
      key: key.value,
      valueSchema: value.schema,
      value: plain ?? value.value,
      timestamp: consumed.timestampType === 'NoTimestampType' ? null : consumed.timestamp,
      timestampType: consumed.timestampType,
      headers,
    })
    if (chain.empty) return record
    this.#stage = 'TRANSFORMATION'
    try {
      return chain.apply(record)
    } catch (error) {
      this.#className = chain.lastClassName
      throw error
    }
  }

  #toPlainJson(bytes: Uint8Array | null): PlainJson | null {
    return bytes === null ? null : (this.#options.converters.value.converter.toPlainJson?.(bytes) ?? null)
  }

  #convertHeaders(topic: string, { headers }: ConsumerRecord): readonly Header[] {
    const { header } = this.#options.converters
    this.#stage = 'HEADER_CONVERTER'
    this.#className = header.className
    const converted: Header[] = []
    for (const { key, value } of headers) {
      const data = header.converter.toConnectHeader(topic, key, value)
      converted.push({ key, schema: data.schema, value: data.value })
    }
    return converted
  }
}

/** Key and value are views of the fetch buffer; a report may come long after it (KIP-610). */
function copyOf({ topic, partition }: ConsumerBatch, record: ConsumerRecord): ConsumedRecord {
  const { offset, timestamp, timestampType } = record
  const copy = (bytes: Uint8Array | null): Uint8Array | null => (bytes === null ? null : bytes.slice())
  const headers = record.headers.map(({ key, value }) => ({ key, value: copy(value) }))
  return {
    topic,
    partition,
    record: { offset, timestamp, timestampType, key: copy(record.key), value: copy(record.value), headers },
  }
}
