/**
 * Decoder of record batches (magic 2). Headers are read at once, records as views over the bytes of the fetch:
 * keys, values and headers become objects only when touched.
 *
 * @see https://kafka.apache.org/documentation/#recordbatch
 */
import { decompress } from './compression.ts'
import { crc32c } from './crc32c.ts'
import { corrupt } from './errors.ts'
import { BATCH_HEADER_BYTES, CRC_START } from './record-batch-builder.ts'
import type { ConsumerRecord, RecordHeader } from './types.ts'

/** Offset of the first byte after the length field; the length counts from there. */
const LENGTH_END = 12
/** Bytes needed to see magic and checksum. */
const SMALLEST_BATCH = BATCH_HEADER_BYTES - LENGTH_END

export interface BatchHeader {
  readonly baseOffset: bigint
  readonly lastOffset: bigint
  /** Where consumption goes on; also right for batches whose records were compacted away. */
  readonly nextOffset: bigint
  readonly codec: number
  readonly timestampType: ConsumerRecord['timestampType']
  readonly transactional: boolean
  readonly control: boolean
  readonly firstTimestamp: number
  readonly maxTimestamp: number
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly count: number
  /** Position of this batch in the bytes it was read from. */
  readonly start: number
  readonly end: number
}

/**
 * Reads the batch header at `start`.
 * @returns null when the bytes end before the batch does: a broker may cut the last batch of an answer
 * @throws ConnectError `CONNECT_KAFKA_CORRUPT` wrong magic, length or checksum
 */
export function readBatchHeader(bytes: Buffer, start: number): BatchHeader | null {
  if (bytes.length - start < LENGTH_END + 5) return null
  const length = bytes.readInt32BE(start + 8)
  const magic = bytes.readInt8(start + 16)
  const baseOffset = bytes.readBigInt64BE(start)
  if (magic !== 2) {
    throw corrupt(
      `The record batch at offset ${baseOffset} has the format ${magic}; only format 2 (Kafka 0.11) is read`,
    )
  }
  if (length < SMALLEST_BATCH) throw corrupt(`The record batch at offset ${baseOffset} claims ${length} bytes`)
  const end = start + LENGTH_END + length
  if (end > bytes.length) return null
  const sum = crc32c(bytes, start + CRC_START, end)
  if (sum !== bytes.readUInt32BE(start + 17)) {
    throw corrupt(`The record batch at offset ${baseOffset} has a wrong checksum`)
  }
  const attributes = bytes.readInt16BE(start + 21)
  const lastOffsetDelta = bytes.readInt32BE(start + 23)
  const count = bytes.readInt32BE(start + 57)
  if (lastOffsetDelta < 0 || count < 0) throw corrupt(`The record batch at offset ${baseOffset} has negative counts`)
  const maxTimestamp = Number(bytes.readBigInt64BE(start + 35))
  const lastOffset = baseOffset + BigInt(lastOffsetDelta)
  return {
    baseOffset,
    lastOffset,
    nextOffset: lastOffset + 1n,
    codec: attributes & 7,
    timestampType: attributes & 8 ? 'LogAppendTime' : maxTimestamp === -1 ? 'NoTimestampType' : 'CreateTime',
    transactional: (attributes & 0x10) !== 0,
    control: (attributes & 0x20) !== 0,
    firstTimestamp: Number(bytes.readBigInt64BE(start + 27)),
    maxTimestamp,
    producerId: bytes.readBigInt64BE(start + 43),
    producerEpoch: bytes.readInt16BE(start + 51),
    baseSequence: bytes.readInt32BE(start + 53),
    count,
    start,
    end,
  }
}

/**
 * The records of one batch, in offset order.
 * @throws ConnectError `CONNECT_KAFKA_CORRUPT`, `CONNECT_KAFKA_CODEC`
 */
export function readRecords(bytes: Buffer, header: BatchHeader): RecordView[] {
  return new BatchRecords(bytes, header).take(header.count)
}

/** What an end-of-transaction marker says about its producer's open transaction. */
export type ControlType = 'abort' | 'commit' | 'other'

/** @param record the single record of a control batch */
export function controlType(record: ConsumerRecord): ControlType {
  const key = record.key
  if (key === null || key.length < 4) return 'other'
  const type = ((key[2] ?? 0) << 8) | (key[3] ?? 0)
  return type === 0 ? 'abort' : type === 1 ? 'commit' : 'other'
}

const NO_HEADERS: readonly RecordHeader[] = Object.freeze([])

/** Positions of one record's parts; the parts themselves are made on each access, so keep what is used twice. */
export class RecordView implements ConsumerRecord {
  readonly #source: RecordSource
  readonly #offsetDelta: number
  readonly timestamp: number
  readonly #keyStart: number
  readonly #keyBytes: number
  readonly #valueStart: number
  readonly #valueBytes: number
  readonly #headersStart: number
  readonly #headerCount: number

  constructor(
    source: RecordSource,
    offsetDelta: number,
    timestamp: number,
    keyStart: number,
    keyBytes: number,
    valueStart: number,
    valueBytes: number,
    headersStart: number,
    headerCount: number,
  ) {
    this.#source = source
    this.#offsetDelta = offsetDelta
    this.timestamp = timestamp
    this.#keyStart = keyStart
    this.#keyBytes = keyBytes
    this.#valueStart = valueStart
    this.#valueBytes = valueBytes
    this.#headersStart = headersStart
    this.#headerCount = headerCount
  }

  get offset(): bigint {
    return this.#source.baseOffset + BigInt(this.#offsetDelta)
  }

  get timestampType(): ConsumerRecord['timestampType'] {
    return this.#source.timestampType
  }

  get key(): Uint8Array | null {
    if (this.#keyBytes < 0) return null
    return this.#source.body.subarray(this.#keyStart, this.#keyStart + this.#keyBytes)
  }

  get value(): Uint8Array | null {
    if (this.#valueBytes < 0) return null
    return this.#source.body.subarray(this.#valueStart, this.#valueStart + this.#valueBytes)
  }

  get headers(): readonly RecordHeader[] {
    if (this.#headerCount === 0) return NO_HEADERS
    return this.#source.headers(this.#headersStart, this.#headerCount)
  }
}

/** What the records of one batch share. */
export interface RecordSource {
  readonly body: Buffer
  readonly baseOffset: bigint
  readonly timestampType: ConsumerRecord['timestampType']
  headers(start: number, count: number): readonly RecordHeader[]
}

/**
 * The records of one batch, made as they are taken: views of a large batch that were made at once would outlive
 * several polls, and V8 would move them to the old generation before they are used.
 */
export class BatchRecords implements RecordSource {
  readonly body: Buffer
  readonly baseOffset: bigint
  readonly timestampType: ConsumerRecord['timestampType']
  readonly #count: number
  readonly #firstTimestamp: number
  readonly #appendTime: number | null
  #taken = 0
  #at = 0
  #end: number
  /** Of the record that was read last. */
  #timeDelta = 0
  #offsetDelta = 0
  #keyStart = 0
  #keyBytes = 0
  #valueStart = 0
  #valueBytes = 0
  #headersStart = 0
  #headerCount = 0

  /** @throws ConnectError `CONNECT_KAFKA_CORRUPT`, `CONNECT_KAFKA_CODEC` */
  constructor(bytes: Buffer, header: BatchHeader) {
    const packed = bytes.subarray(header.start + BATCH_HEADER_BYTES, header.end)
    this.body = header.codec === 0 ? packed : decompress(header.codec, packed)
    this.baseOffset = header.baseOffset
    this.timestampType = header.timestampType
    this.#count = header.count
    this.#firstTimestamp = header.firstTimestamp
    this.#appendTime = header.timestampType === 'LogAppendTime' ? header.maxTimestamp : null
    this.#end = this.body.length
  }

  /** How many have not been taken. */
  get left(): number {
    return this.#count - this.#taken
  }

  /** Reads all records that have not been taken, and takes none. @throws ConnectError `CONNECT_KAFKA_CORRUPT` */
  check(): void {
    const start = this.#at
    for (let i = this.#taken; i < this.#count; i++) this.#read()
    this.#at = start
  }

  /** Passes over records before `offset`. @throws ConnectError `CONNECT_KAFKA_CORRUPT` */
  skipTo(offset: bigint): void {
    for (; this.#taken < this.#count; this.#taken++) {
      const start = this.#at
      this.#read()
      if (this.baseOffset + BigInt(this.#offsetDelta) < offset) continue
      this.#at = start
      return
    }
  }

  /** The next `count` records, of those that are left. @throws ConnectError `CONNECT_KAFKA_CORRUPT` */
  take(count: number): RecordView[] {
    const views: RecordView[] = []
    for (let i = 0; i < count; i++) {
      this.#read()
      views.push(
        new RecordView(
          this,
          this.#offsetDelta,
          this.#appendTime ?? (this.timestampType === 'NoTimestampType' ? -1 : this.#firstTimestamp + this.#timeDelta),
          this.#keyStart,
          this.#keyBytes,
          this.#valueStart,
          this.#valueBytes,
          this.#headersStart,
          this.#headerCount,
        ),
      )
    }
    this.#taken += count
    return views
  }

  #read(): void {
    const length = this.#varint()
    const end = this.#at + length
    if (length < 0 || end > this.body.length) throw this.#damaged()
    this.#end = end
    this.#at++
    this.#timeDelta = this.#varlong()
    this.#offsetDelta = this.#varint()
    this.#keyBytes = this.#varint()
    this.#keyStart = this.#skip(this.#keyBytes)
    this.#valueBytes = this.#varint()
    this.#valueStart = this.#skip(this.#valueBytes)
    const headerCount = this.#varint()
    this.#headerCount = headerCount
    this.#headersStart = this.#at
    // Each header takes at least two bytes; the rest is checked when the headers are read.
    if (headerCount < 0 || headerCount * 2 > end - this.#at) throw this.#damaged()
    if (headerCount > 0) this.#checkHeaders(headerCount)
    else if (this.#at !== end) throw this.#damaged()
    this.#at = end
    this.#end = this.body.length
  }

  headers(start: number, count: number): readonly RecordHeader[] {
    const resume = this.#at
    this.#at = start
    const headers: RecordHeader[] = []
    for (let i = 0; i < count; i++) {
      const keyBytes = this.#varint()
      const key = this.body.toString('utf8', this.#at, this.#skip(keyBytes) + keyBytes)
      const valueBytes = this.#varint()
      const valueStart = this.#skip(valueBytes)
      headers.push({ key, value: valueBytes < 0 ? null : this.body.subarray(valueStart, valueStart + valueBytes) })
    }
    this.#at = resume
    return headers
  }

  /** Damage is found here, while the batch is decoded, and not later in a plugin that touches the headers. */
  #checkHeaders(count: number): void {
    for (let i = 0; i < count; i++) {
      const keyBytes = this.#varint()
      if (keyBytes < 0) throw this.#damaged()
      this.#skip(keyBytes)
      this.#skip(this.#varint())
    }
    if (this.#at !== this.#end) throw this.#damaged()
  }

  /** @returns where the skipped bytes start; -1 bytes is null */
  #skip(bytes: number): number {
    const start = this.#at
    if (bytes < -1 || start + bytes > this.#end) throw this.#damaged()
    if (bytes > 0) this.#at += bytes
    return start
  }

  #varint(): number {
    const body = this.body
    let byte = body[this.#at++]
    if (byte === undefined) throw this.#damaged()
    if (byte < 128) return (byte >>> 1) ^ -(byte & 1)
    let zigzag = byte & 127
    for (let shift = 7; shift < 35; shift += 7) {
      byte = body[this.#at++]
      if (byte === undefined || this.#at > this.#end) throw this.#damaged()
      zigzag |= (byte & 127) << shift
      if (byte < 128) return (zigzag >>> 1) ^ -(zigzag & 1)
    }
    throw this.#damaged()
  }

  /** Timestamp deltas: exact up to 2^53, which no clock reaches. */
  #varlong(): number {
    let zigzag = 0
    let factor = 1
    for (let i = 0; i < 10; i++) {
      const byte = this.body[this.#at++]
      if (byte === undefined || this.#at > this.#end) throw this.#damaged()
      zigzag += (byte & 127) * factor
      if (byte < 128) return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2
      factor *= 128
    }
    throw this.#damaged()
  }

  #damaged(): Error {
    return corrupt(`A record of the batch at offset ${this.baseOffset} does not follow the format`)
  }
}
