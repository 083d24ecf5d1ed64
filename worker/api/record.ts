import { type Schema, StructView, type Value } from './data.ts'
import { PlainJson } from './plain-json.ts'

export interface Header {
  readonly key: string
  readonly schema: Schema | null
  readonly value: Value
}

/** Headers of a record, in order; a key may occur more than once. Never changed in place (I5). */
export type Headers = readonly Header[]

export const noHeaders: Headers = Object.freeze([])

/** The last header with this key, as Connect's `lastWithName`. */
export function lastHeader(headers: Headers, key: string): Header | null {
  for (let i = headers.length - 1; i >= 0; i--) {
    const header = headers[i]
    if (header !== undefined && header.key === key) return header
  }
  return null
}

/** What a transform may change; absent properties stay as they are. */
export interface RecordChanges {
  readonly topic?: string
  readonly partition?: number | null
  readonly keySchema?: Schema | null
  readonly key?: Value
  readonly valueSchema?: Schema | null
  readonly value?: Value
  readonly timestamp?: number | null
  readonly headers?: Headers
}

/** What source and sink records have in common: the part that transforms see. */
export interface ConnectRecord {
  readonly topic: string
  /** Kafka partition; null on a source record leaves the choice to the partitioner. */
  readonly partition: number | null
  readonly keySchema: Schema | null
  readonly key: Value
  readonly valueSchema: Schema | null
  readonly value: Value
  /** Milliseconds since 1970; null when there is none. */
  readonly timestamp: number | null
  readonly headers: Headers
  /** A new record with some parts replaced; positions always stay those of the original (KIP-793, I5). */
  with(changes: RecordChanges): this
}

/** Identifies what a source reads from, e.g. `{server: 'db1'}`; values are primitives (they are stored as JSON). */
export type SourcePartition = Readonly<Record<string, SourceOffsetValue>>
export type SourceOffset = Readonly<Record<string, SourceOffsetValue>>
export type SourceOffsetValue = string | number | bigint | boolean | null

export interface SourceRecordInit {
  readonly sourcePartition: SourcePartition
  readonly sourceOffset: SourceOffset
  readonly topic: string
  readonly partition?: number | null
  readonly keySchema?: Schema | null
  readonly key?: Value | StructView
  readonly valueSchema?: Schema | null
  readonly value?: Value | StructView
  readonly timestamp?: number | null
  readonly headers?: Headers
}

/**
 * A record on its way from a source to Kafka. Key and value may be given as `StructView`s: `rawKey` and `rawValue`
 * are what was given (the converter writes views without decoding), `key` and `value` materialise on first touch.
 */
export class SourceRecord implements ConnectRecord {
  readonly sourcePartition: SourcePartition
  readonly sourceOffset: SourceOffset
  readonly topic: string
  readonly partition: number | null
  readonly keySchema: Schema | null
  readonly rawKey: Value | StructView
  readonly valueSchema: Schema | null
  readonly rawValue: Value | StructView
  readonly timestamp: number | null
  readonly headers: Headers
  #key: Value | undefined
  #value: Value | undefined

  constructor(init: SourceRecordInit) {
    this.sourcePartition = init.sourcePartition
    this.sourceOffset = init.sourceOffset
    this.topic = init.topic
    this.partition = init.partition ?? null
    this.keySchema = init.keySchema ?? null
    this.rawKey = init.key ?? null
    this.valueSchema = init.valueSchema ?? null
    this.rawValue = init.value ?? null
    this.timestamp = init.timestamp ?? null
    this.headers = init.headers ?? noHeaders
  }

  get key(): Value {
    this.#key ??= this.rawKey instanceof StructView ? this.rawKey.materialize() : this.rawKey
    return this.#key
  }

  get value(): Value {
    this.#value ??= this.rawValue instanceof StructView ? this.rawValue.materialize() : this.rawValue
    return this.#value
  }

  with(changes: RecordChanges): this {
    return new SourceRecord({
      sourcePartition: this.sourcePartition,
      sourceOffset: this.sourceOffset,
      topic: changes.topic ?? this.topic,
      partition: changes.partition === undefined ? this.partition : changes.partition,
      keySchema: changes.keySchema === undefined ? this.keySchema : changes.keySchema,
      key: changes.key === undefined ? this.rawKey : changes.key,
      valueSchema: changes.valueSchema === undefined ? this.valueSchema : changes.valueSchema,
      value: changes.value === undefined ? this.rawValue : changes.value,
      timestamp: changes.timestamp === undefined ? this.timestamp : changes.timestamp,
      headers: changes.headers ?? this.headers,
    }) as this
  }
}

export type TimestampType = 'CreateTime' | 'LogAppendTime' | 'NoTimestampType'

export interface SinkRecordInit {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly keySchema?: Schema | null
  readonly key?: Value
  readonly valueSchema?: Schema | null
  readonly value?: Value | PlainJson
  readonly timestamp?: number | null
  readonly timestampType?: TimestampType
  readonly headers?: Headers
  readonly originalTopic?: string
  readonly originalPartition?: number
}

/**
 * A record on its way from Kafka to a sink. `original*` and `offset` are the consumed position, whatever transforms
 * did. For a task that asks for it (`SinkTask.takesPlainJson`) `rawValue` may be JSON still in its bytes; `value`
 * parses that on first touch.
 */
export class SinkRecord implements ConnectRecord {
  readonly topic: string
  readonly partition: number | null
  readonly offset: bigint
  readonly keySchema: Schema | null
  readonly key: Value
  readonly valueSchema: Schema | null
  readonly rawValue: Value | PlainJson
  readonly timestamp: number | null
  readonly timestampType: TimestampType
  readonly headers: Headers
  readonly originalTopic: string
  readonly originalPartition: number
  #value: Value | undefined

  constructor(init: SinkRecordInit) {
    this.topic = init.topic
    this.partition = init.partition
    this.offset = init.offset
    this.keySchema = init.keySchema ?? null
    this.key = init.key ?? null
    this.valueSchema = init.valueSchema ?? null
    this.rawValue = init.value ?? null
    this.timestamp = init.timestamp ?? null
    this.timestampType = init.timestampType ?? 'CreateTime'
    this.headers = init.headers ?? noHeaders
    this.originalTopic = init.originalTopic ?? init.topic
    this.originalPartition = init.originalPartition ?? init.partition
  }

  get value(): Value {
    this.#value ??= this.rawValue instanceof PlainJson ? this.rawValue.parse() : this.rawValue
    return this.#value
  }

  with(changes: RecordChanges): this {
    return new SinkRecord({
      topic: changes.topic ?? this.topic,
      partition: changes.partition ?? this.partition ?? this.originalPartition,
      offset: this.offset,
      keySchema: changes.keySchema === undefined ? this.keySchema : changes.keySchema,
      key: changes.key === undefined ? this.key : changes.key,
      valueSchema: changes.valueSchema === undefined ? this.valueSchema : changes.valueSchema,
      value: changes.value === undefined ? this.rawValue : changes.value,
      timestamp: changes.timestamp === undefined ? this.timestamp : changes.timestamp,
      timestampType: this.timestampType,
      headers: changes.headers ?? this.headers,
      originalTopic: this.originalTopic,
      originalPartition: this.originalPartition,
    }) as this
  }
}
