/**
 * The way of a source record from `poll` to the producer: transforms, headers, key, value, append. The hot loop is
 * synchronous and allocates nothing of its own; whatever needs waiting (a new topic, room in the producer, a schema
 * registry, a retry) leaves the loop, waits, and enters again at the same record.
 */

import { GrowingByteWriter } from '../api/byte-writer.ts'
import type { Converter } from '../api/converter.ts'
import { type Schema, StructView } from '../api/data.ts'
import { DataError, kindOf, toError } from '../api/errors.ts'
import type { Headers, SourceRecord } from '../api/record.ts'
import type { Producer, RecordHeader } from '../kafka/types.ts'
import type { LoadedConverter, TaskConverters } from './converters.ts'
import type { ErrorOperator, RecordFailure, Stage } from './retry.ts'
import type { SubmittedRecords } from './submitted-records.ts'
import type { TransformationChain } from './transformation-chain.ts'

const noRecordHeaders: readonly RecordHeader[] = Object.freeze([])

/** Outcome of one attempt at one record. */
type Step = 'appended' | 'filtered' | 'unknown-topic' | 'prepare'

export interface SourcePipelineOptions {
  readonly chain: TransformationChain
  readonly converters: TaskConverters
  readonly producer: Producer
  readonly submitted: SubmittedRecords
  readonly errors: ErrorOperator
  /** Sees to it that the topic exists and that the producer knows it; waits as long as it takes. */
  readonly prepareTopic: (topic: string, signal: AbortSignal) => Promise<void>
  /** A record was dropped, by a transform or as a tolerated failure. */
  readonly onSkipped: () => void
}

/** A schema that a converter must load before it can convert. */
interface Preparation {
  readonly converter: Converter<unknown>
  readonly item: Schema | null
}

/** Reused for every record: `append` copies what it is given. */
interface Draft {
  topic: string
  partition: number | null
  key: Uint8Array | null
  value: Uint8Array | null
  headers: readonly RecordHeader[]
  timestamp: number | null
}

export class SourcePipeline {
  readonly #options: SourcePipelineOptions
  readonly #writer = new GrowingByteWriter()
  readonly #topics = new Set<string>()
  readonly #draft: Draft = {
    topic: '',
    partition: null,
    key: null,
    value: null,
    headers: noRecordHeaders,
    timestamp: null,
  }
  #stage: Stage = 'TRANSFORMATION'
  #className = ''
  #topic = ''
  #toPrepare: Preparation | null = null
  readonly #needsPrepare: boolean
  #lastHeaders: Headers | null = null
  #lastHeadersTopic = ''
  #lastConverted: readonly RecordHeader[] = noRecordHeaders
  #decided = 0

  constructor(options: SourcePipelineOptions) {
    this.#options = options
    const { key, value } = options.converters
    this.#needsPrepare = key.converter.needsPrepare !== undefined || value.converter.needsPrepare !== undefined
  }

  /** Records of the last `send` that were decided, also when it threw: they must not be sent again. */
  get decided(): number {
    return this.#decided
  }

  /**
   * Sends one batch in order. @returns the number of records decided; fewer than the batch only when `signal` aborted
   * @throws ConnectError when a record fails and is not tolerated: those before it are on their way
   */
  async send(batch: readonly SourceRecord[], signal: AbortSignal): Promise<number> {
    const { producer, submitted } = this.#options
    let i = 0
    this.#decided = 0
    try {
      while (i < batch.length && !signal.aborted) {
        if (producer.isFull) {
          // What is acknowledged while this waits belongs to a closed run, so it can be committed.
          submitted.seal()
          await producer.ready(signal)
          continue
        }
        const next = this.#sendWhilePossible(batch, i)
        if (next.kind === 'progress') {
          i = next.index
          continue
        }
        submitted.seal()
        const decided = await this.#wait(next, batch[next.index] as SourceRecord, signal)
        i = decided ? next.index + 1 : next.index
      }
    } finally {
      submitted.seal()
      this.#decided = i
    }
    return i
  }

  /** The hot loop: until the end, until the producer is full, or until something must be waited for. */
  #sendWhilePossible(batch: readonly SourceRecord[], from: number): Halt {
    const { producer } = this.#options
    const end = batch.length
    let i = from
    try {
      for (; i < end; i++) {
        const step = this.#attempt(batch[i] as SourceRecord)
        if (step === 'appended') {
          if (producer.isFull) return { kind: 'progress', index: i + 1 }
        } else if (step === 'filtered') this.#options.onSkipped()
        else return { kind: step, index: i }
      }
      return { kind: 'progress', index: end }
    } catch (error) {
      return { kind: 'error', index: i, error }
    }
  }

  /** @returns whether the record is decided: appended, dropped or reported */
  async #wait(halt: Exclude<Halt, { kind: 'progress' }>, record: SourceRecord, signal: AbortSignal): Promise<boolean> {
    switch (halt.kind) {
      case 'unknown-topic': {
        const topic = this.#topic
        await this.#options.prepareTopic(topic, signal)
        if (!signal.aborted) this.#topics.add(topic)
        return false
      }
      case 'prepare': {
        const wanted = this.#toPrepare
        this.#toPrepare = null
        if (wanted === null) return false
        return await this.#prepare(wanted, record, signal)
      }
      case 'error':
        return await this.#recover(halt.error, record, signal)
    }
  }

  async #prepare({ converter, item }: Preparation, record: SourceRecord, signal: AbortSignal): Promise<boolean> {
    try {
      await converter.prepare?.(this.#topic, item, signal)
      return false
    } catch (error) {
      if (signal.aborted) return false
      return await this.#recover(error, record, signal)
    }
  }

  /** After a failed attempt: retries, then reports; see `ErrorOperator`. */
  async #recover(error: unknown, record: SourceRecord, signal: AbortSignal): Promise<boolean> {
    if (this.#stage === 'KAFKA_PRODUCE') throw error
    const place = (): Omit<RecordFailure, 'error'> => ({
      stage: this.#stage,
      className: this.#className,
      consumed: null,
      source: record,
    })
    const recovery = await this.#options.errors.recover(error, () => this.#attempt(record), place, signal)
    switch (recovery.kind) {
      case 'value':
        if (recovery.value === 'filtered') this.#options.onSkipped()
        return recovery.value === 'appended' || recovery.value === 'filtered'
      case 'failed':
        this.#options.onSkipped()
        return true
      case 'stopped':
        return false
    }
  }

  #attempt(original: SourceRecord): Step {
    const { chain, converters, submitted, producer } = this.#options
    let record = original
    if (!chain.empty) {
      this.#stage = 'TRANSFORMATION'
      const transformed = this.#transform(original)
      if (transformed === null) return 'filtered'
      record = transformed
    }
    this.#topic = record.topic
    if (!this.#topics.has(record.topic)) return 'unknown-topic'
    if (this.#needsPrepare && this.#mustPrepare(record)) return 'prepare'
    const draft = this.#draft
    draft.headers = record.headers.length === 0 ? noRecordHeaders : this.#convertHeaders(record)
    draft.timestamp = checkedTimestamp(record.timestamp)
    draft.topic = record.topic
    draft.partition = record.partition
    this.#encode(record, converters)
    this.#stage = 'KAFKA_PRODUCE'
    // Positions are the framework's own copy: those of the record as it was polled (KIP-793, I5).
    const delivery = submitted.submit(original.sourcePartition, original.sourceOffset)
    try {
      producer.append(draft, delivery)
    } catch (error) {
      // A record that alone is too large fails like one that the broker refused.
      if (kindOf(error) === 'record') delivery.failed(1, toError(error))
      else {
        submitted.undo()
        throw error
      }
    }
    return 'appended'
  }

  #transform(record: SourceRecord): SourceRecord | null {
    const { chain } = this.#options
    try {
      return chain.apply(record)
    } catch (error) {
      this.#className = chain.lastClassName
      throw error
    }
  }

  #mustPrepare(record: SourceRecord): boolean {
    const { key, value } = this.#options.converters
    return (
      this.#wants(key.converter, record.topic, record.keySchema, 'KEY_CONVERTER', key.className) ||
      this.#wants(value.converter, record.topic, record.valueSchema, 'VALUE_CONVERTER', value.className)
    )
  }

  #wants(
    converter: Converter<unknown>,
    topic: string,
    schema: SourceRecord['keySchema'],
    stage: Stage,
    className: string,
  ): boolean {
    if (!converter.needsPrepare?.(topic, schema)) return false
    this.#stage = stage
    this.#className = className
    this.#toPrepare = { converter, item: schema }
    return true
  }

  #convertHeaders(record: SourceRecord): readonly RecordHeader[] {
    // Sources repeat one array of headers for all their records.
    if (record.headers === this.#lastHeaders && record.topic === this.#lastHeadersTopic) return this.#lastConverted
    const { header } = this.#options.converters
    this.#stage = 'HEADER_CONVERTER'
    this.#className = header.className
    const converted: RecordHeader[] = []
    for (const { key, schema, value } of record.headers) {
      converted.push({ key, value: header.converter.fromConnectHeader(record.topic, key, schema, value) })
    }
    this.#lastHeaders = record.headers
    this.#lastHeadersTopic = record.topic
    this.#lastConverted = converted
    return converted
  }

  /** Key and value into the draft: straight into one buffer when the converter can write. */
  #encode(record: SourceRecord, { key, value }: TaskConverters): void {
    const writer = this.#writer
    const draft = this.#draft
    writer.reset()
    this.#stage = 'KEY_CONVERTER'
    this.#className = key.className
    const keyLength = this.#write(key, record.topic, record.headers, record.keySchema, record.rawKey, 'key')
    const valueStart = writer.length
    this.#stage = 'VALUE_CONVERTER'
    this.#className = value.className
    const valueLength = this.#write(value, record.topic, record.headers, record.valueSchema, record.rawValue, 'value')
    // Views only now: the buffer may have moved while the value was written.
    if (keyLength >= 0) draft.key = writer.view(0, keyLength)
    if (valueLength >= 0) draft.value = writer.view(valueStart, valueStart + valueLength)
  }

  /** @returns bytes written to the buffer, or -1 when the draft holds the result already */
  #write(
    { converter }: LoadedConverter,
    topic: string,
    headers: Headers,
    schema: SourceRecord['keySchema'],
    raw: SourceRecord['rawKey'],
    part: 'key' | 'value',
  ): number {
    const writer = this.#writer
    const start = writer.length
    if (converter.write !== undefined) {
      if (converter.write(topic, headers, schema, raw, writer)) return writer.length - start
      writer.rollback(start)
      this.#draft[part] = null
      return -1
    }
    const plain = raw instanceof StructView ? raw.materialize() : raw
    this.#draft[part] = converter.fromConnectData(topic, headers, schema, plain)
    return -1
  }
}

type Halt =
  | { readonly kind: 'progress'; readonly index: number }
  | { readonly kind: 'unknown-topic' | 'prepare'; readonly index: number }
  | { readonly kind: 'error'; readonly index: number; readonly error: unknown }

/** -1 means none, as in Connect; other negative times are errors. */
function checkedTimestamp(timestamp: number | null): number | null {
  if (timestamp === null || timestamp >= 0) return timestamp
  if (timestamp === -1) return null
  throw new DataError('CONNECT_RECORD_TIMESTAMP', `Invalid record timestamp ${timestamp}`)
}
